"""Random graphs, random edits and random records: what runs is what an oracle says, and a plan says it before."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import Place

import scriptflow as sf
from scriptflow.core.fingerprint import manifest_text
from scriptflow.core.freshness import MISSING, ORDER, decide
from scriptflow.core.records import JobRecord, Seen
from scriptflow.core.states import Cause, JobState

pytestmark = pytest.mark.timeout(30)

# --- graphs -------------------------------------------------------------------------------------

SOURCES = ("s0", "s1", "s2")
START_NS = 1_600_000_000 * 10**9


class Step:
    """A task of a random graph: it writes its inputs and its own words into each of its outputs."""

    def __init__(self, number, inputs, outputs):
        self.number = number
        self.name = f"t{number}"
        self.inputs = list(inputs)
        self.outputs = [f"f{number}.{k}" for k in range(outputs)]
        self.version = 0

    def task(self):
        script = 'for o in $OUT; do { cat $IN /dev/null; echo "$0 $o"; } > $o; done'
        env = {"OUT": " ".join(self.outputs), "IN": " ".join(self.inputs)}
        words = ["sh", "-c", script, f"{self.name} version {self.version}"]
        return sf.Task(words, inputs=self.inputs, outputs=self.outputs, name=self.name, env=env)

    @property
    def declared(self):
        return (self.version, tuple(self.inputs))


@st.composite
def graphs(draw):
    steps = []
    for number in range(draw(st.integers(1, 5))):
        files = [*SOURCES, *[name for step in steps for name in step.outputs]]
        inputs = draw(st.lists(st.sampled_from(files), max_size=3, unique=True))
        steps.append(Step(number, inputs, draw(st.integers(1, 2))))
    return steps, draw(st.permutations(range(len(steps))))


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["touch", "older", "rewrite", "same size", "same stat", "delete", "command", "add", "drop"]),
        st.integers(0, 50), st.integers(0, 50),
    ),
    max_size=3,
)  # fmt: skip


class Project:
    """A folder with a graph in it, and an oracle that knows what has changed since the last run."""

    def __init__(self, folder, steps, order):
        self.place = Place(folder)
        self.steps, self.order = steps, order
        self.makers = {name: step for step in steps for name in step.outputs}
        self.clock = START_NS
        for name in SOURCES:
            (folder / name).write_text(f"source {name}\n")
            self.tick(folder / name)

        async def flow():
            await sf.bag([steps[number].task() for number in order])

        self.flow = flow

    def tick(self, path):
        self.clock += 10**9 + 7
        os.utime(path, ns=(self.clock, self.clock))

    def look(self, name):
        path = self.place / name
        return (path.stat().st_mtime_ns, path.read_text()) if path.exists() else None

    def settled(self):
        """All is right now: remember how it looks."""
        self.seen = {name: self.look(name) for name in (*SOURCES, *self.makers)}
        self.declared = {step.name: step.declared for step in self.steps}

    def edit(self, what, which, where):
        files = [*SOURCES, *self.makers]
        step = self.steps[where % len(self.steps)]
        if what in ("command", "add", "drop"):
            self.edit_step(step, what, which)
            return
        name = files[which % len(files)]
        path = self.place / name
        if not path.exists():
            return
        was = path.stat().st_mtime_ns
        match what:
            case "touch":
                self.tick(path)
            case "older":
                os.utime(path, ns=(START_NS - which, START_NS - which))
            case "rewrite":
                path.write_text(path.read_text() + "by hand\n")
                self.tick(path)
            case "same size":
                path.write_text(path.read_text().swapcase())
                self.tick(path)
            case "same stat":
                path.write_text(path.read_text().swapcase())
                os.utime(path, ns=(was, was))
            case "delete" if name in self.makers:
                path.unlink()

    def edit_step(self, step, what, which):
        earlier = [*SOURCES, *[name for other in self.steps[: step.number] for name in other.outputs]]
        match what:
            case "command":
                step.version += 1
            case "add" if earlier[which % len(earlier)] not in step.inputs:
                step.inputs.append(earlier[which % len(earlier)])
            case "drop" if step.inputs:
                del step.inputs[which % len(step.inputs)]

    def expected(self):
        """Names of the tasks that must run now: by the rules of the design, not by its code."""
        runs = set()
        for step in self.steps:  # in the order of the graph
            looked = {name: self.look(name) for name in (*step.inputs, *step.outputs)}
            if (
                step.declared != self.declared[step.name]
                or any(looked[name] is None or looked[name][1] != self.seen[name][1] for name in step.outputs)
                or any(looked[name] != self.seen[name] for name in step.inputs)
                or any(name in self.makers and self.makers[name].name in runs for name in step.inputs)
            ):
                runs.add(step.name)
        return runs

    def text(self, name):
        """What a file holds when all is right."""
        step = self.makers.get(name)
        if step is None:
            return (self.place / name).read_text()
        return "".join(map(self.text, step.inputs)) + f"{step.name} version {step.version} {name}\n"


def snapshot(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        body = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns,
                                                stat.st_ino, body)  # fmt: skip
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs(), st.lists(EDITS, min_size=1, max_size=3))
def test_after_edits_exactly_the_affected_tasks_run_and_a_plan_says_so_before(graph, rounds):
    steps, order = graph
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), steps, order)
        place = project.place
        assert place.good(project.flow).ran == len(steps)
        for edits in rounds:
            project.settled()
            for edit in edits:
                project.edit(*edit)
            expected = project.expected()
            before = snapshot(Path(folder))
            planned = [task.task for task in place.plan(project.flow).would_run]
            after = snapshot(Path(folder))
            assert {name for name in before if not name.startswith(".scriptflow")} == {
                name for name in after if not name.startswith(".scriptflow")
            }
            place.good(project.flow)
            assert set(place.told.ran) == expected
            assert sorted(planned) == sorted(expected)
            done = set()
            for name in planned:  # a plan's order is one in which they can run
                needs = {project.makers[i].name for i in steps[int(name[1:])].inputs if i in project.makers}
                assert needs & expected <= done
                done.add(name)
            assert all((place / name).read_text() == project.text(name) for name in project.makers)
            assert place.good(project.flow).ran == 0
            assert not list(Path(folder).glob(".*.sf-part"))


def test_a_plan_changes_not_one_byte(here):
    async def flow(n):
        await sf.bag([sf.Task(["touch", f"o{k}"], outputs=f"o{k}") for k in range(n)])

    here.good(flow, n=2)
    before = snapshot(here.folder)
    for n in (2, 3):
        assert len(here.plan(flow, n=n).would_run) == n - 2
        assert snapshot(here.folder) == before


def test_a_plan_of_a_fresh_project_makes_no_store_and_changes_nothing(here):
    async def flow():
        await sf.bag([sf.Task(["touch", name], outputs=name) for name in "abc"])

    before = snapshot(here.folder)
    assert [task.task for task in here.plan(flow).would_run] == ["a", "b", "c"]
    assert snapshot(here.folder) == before
    assert not (here / ".scriptflow").exists()


def test_a_plan_on_the_command_line_changes_not_one_byte(here):
    text = """
        import scriptflow as sf
        async def flow_demo(n: int = 3):
            await sf.bag([sf.Task(["touch", f"o{k}"], outputs=f"o{k}") for k in range(n)])
    """
    here.cli(text, "run", PYTHONDONTWRITEBYTECODE="1")
    before = snapshot(here.folder)
    for words in (["plan"], ["plan", "--json"], ["run", "-n"], ["plan", "--n", "4"]):
        here.cli(None, *words, PYTHONDONTWRITEBYTECODE="1")
        assert snapshot(here.folder) == before


def test_a_plan_while_a_run_is_going_on_works_and_changes_nothing_of_its_files(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            await sf.Task("touch a", outputs="a")
            await sf.Task(["sh", "-c", "touch up; until [ -e go ]; do sleep 0.01; done; touch b"], outputs="b")
    """
    head = here.start(text)
    while not (here / "up").exists():
        assert head.poll() is None
    out = here.cli(None, "plan", "--json").stdout
    (here / "go").touch()
    here.end_of(head, code=0)
    assert '"task": "b"' in out
    assert '"task": "a"' not in out


# --- the pure function --------------------------------------------------------------------------

NS = st.integers(1, 10**6)
SHA = "sha256:" + "0" * 64


@st.composite
def looks(draw, role, path):
    return Seen(
        path=path, role=role, size=draw(st.integers(0, 99)), mtime_ns=draw(NS), ctime_ns=draw(NS), inode=draw(NS),
        sha256=draw(st.sampled_from([None, SHA])), racy=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def situations(draw):
    inputs = [draw(looks("in", f"i{k}")) for k in range(draw(st.integers(0, 4)))]
    outputs = [draw(looks("out", f"o{k}")) for k in range(draw(st.integers(1, 4)))]
    return inputs, outputs


def manifest(inputs, outputs, command=("cp", "a"), extra=None):
    return manifest_text(command, False, [seen.path for seen in inputs], [seen.path for seen in outputs], extra)


def record(inputs, outputs, text, *, state=JobState.SUCCEEDED, **more):
    known = {
        "job": 1, "run": "demo-1", "task": "t", "key": "0" * 32, "manifest": text, "attempt": 1, "executor": "local",
        "executor_id": None, "state": state, "started": 1.0, "began": 1.0, "ended": 2.0, "exit_code": 0,
        "signal": None, "cause": None, "max_rss_bytes": None, "cpu_s": None, "host": "h", "pid": 1, "log": "l",
        "detail": "", "group": "", "files": (*inputs, *outputs),
    }  # fmt: skip
    return JobRecord(**(known | more))


def look(seen, **changes):
    fields = {name: getattr(seen, name) for name in ("path", "role", "size", "mtime_ns", "ctime_ns", "inode", "sha256",
                                                     "racy")}  # fmt: skip
    return Seen(**(fields | {"sha256": None, "racy": False} | changes))


def asked(before_in, before_out, last, **more):
    given = {
        "manifest": manifest(before_in, before_out), "last": last, "inputs": [look(seen) for seen in before_in],
        "outputs": [look(seen) for seen in before_out], "declares_outputs": True,
        "same_content": lambda before, _: None if before.sha256 is None else True,
    }  # fmt: skip
    return decide(**(given | more))


@given(situations())
def test_nothing_changed_is_up_to_date(situation):
    inputs, outputs = situation
    decision = asked(inputs, outputs, record(inputs, outputs, manifest(inputs, outputs)))
    assert not decision.run
    assert decision.reasons == ()


@given(situations(), st.booleans(), st.sampled_from([None, True]))
def test_other_inodes_and_ctimes_alone_are_no_reason(situation, by_content, same):
    inputs, outputs = situation
    copied = [look(seen, inode=seen.inode + 1, ctime_ns=seen.ctime_ns + 5) for seen in (*inputs, *outputs)]
    last = record(inputs, outputs, manifest(inputs, outputs))
    assert not asked(
        inputs, outputs, last, inputs=copied[: len(inputs)], outputs=copied[len(inputs) :], by_content=by_content,
        same_content=lambda *_: same,
    ).run  # fmt: skip


MUTATIONS = ("command", "env", "container", "code", "param", "inputs", "size", "newer", "older", "content", "gone out",
             "cut out", "failed", "killed", "forced", "maker")  # fmt: skip
CODE = {
    "command": "command-changed", "env": "command-changed", "container": "container-changed", "code": "code-changed",
    "param": "params-changed", "inputs": "inputs-changed", "size": "input-changed", "newer": "input-changed",
    "older": "input-changed", "content": "input-changed", "gone out": "output-missing", "cut out": "outputs-changed",
    "failed": "last-failed", "killed": "interrupted", "forced": "forced", "maker": "upstream",
}  # fmt: skip
EXTRA = {"env": ("env A", "1"), "container": ("container", "c"), "code": ("code", "x"), "param": ("param n", "3")}


@settings(max_examples=300)
@given(st.sets(st.sampled_from(MUTATIONS)))
def test_each_change_is_told_whatever_else_changed_in_the_order_of_the_table(mutations):
    """Each mutation has a file of its own, so that none hides another."""
    names = ["size", "newer", "older", "content", "maker", "calm"]
    inputs = [Seen(path=name, role="in", size=5, mtime_ns=50, ctime_ns=50, inode=5, sha256=SHA) for name in names]
    outputs = [
        Seen(path=name, role="out", size=5, mtime_ns=60, ctime_ns=60, inode=6) for name in ("gone", "cut", "calm out")
    ]
    changes = {
        "size": {"size": 6}, "newer": {"mtime_ns": 90}, "older": {"mtime_ns": 10}, "content": {"ctime_ns": 51},
        "maker": {"mtime_ns": 91}, "gone": {"size": MISSING}, "cut": {"size": 0},
    }  # fmt: skip
    asks = {"gone": "gone out", "cut": "cut out"}
    now = [look(seen, **(changes.get(seen.path, {}) if asks.get(seen.path, seen.path) in mutations else {}))
           for seen in (*inputs, *outputs)]  # fmt: skip
    extra = dict(EXTRA[name] for name in EXTRA if name in mutations)
    state = JobState.LOST if "killed" in mutations else JobState.SUCCEEDED
    state = JobState.FAILED if "failed" in mutations else state
    last = record(inputs, outputs, manifest(inputs, outputs), state=state, exit_code=3, cause=Cause.EXIT)
    text = manifest(
        [*inputs, *([look(inputs[0], path="added")] if "inputs" in mutations else [])], outputs,
        ("cp", "b") if "command" in mutations else ("cp", "a"), extra,
    )  # fmt: skip
    decision = decide(
        manifest=text, last=last, inputs=now[: len(inputs)], outputs=now[len(inputs) :], declares_outputs=True,
        forced_by="t*" if "forced" in mutations else "", makers={"maker": "up"} if "maker" in mutations else {},
        same_content=lambda before, _: before.path != "content",
    )  # fmt: skip
    bad_end = mutations & {"failed", "killed"}  # then no output was left, so none can have changed
    hidden = {"killed" if "failed" in mutations else "", "cut out" if bad_end else ""}
    expected = sorted(CODE[name] for name in mutations - hidden)
    codes = [reason.code for reason in decision.reasons]
    assert sorted(codes) == expected
    assert [ORDER.index(code) for code in codes] == sorted(ORDER.index(code) for code in codes)
    assert decision.run == bool(expected)
    assert all(reason.detail for reason in decision.reasons)


@given(situations(), st.data())
def test_every_missing_output_is_named(situation, data):
    inputs, outputs = situation
    gone = data.draw(st.sets(st.sampled_from([seen.path for seen in outputs])))
    now = [look(seen, size=MISSING) if seen.path in gone else look(seen) for seen in outputs]
    for last in (None, record(inputs, outputs, manifest(inputs, outputs))):
        decision = asked(inputs, outputs, last, outputs=now)
        named = [reason.detail for reason in decision.reasons if reason.code == "output-missing"]
        assert sorted(named) == sorted(gone)


@given(situations())
def test_without_a_record_make_s_rule_alone_decides(situation):
    inputs, outputs = situation
    decision = asked(inputs, outputs, None)
    oldest = min(seen.mtime_ns for seen in outputs)
    newer = [seen.path for seen in inputs if seen.mtime_ns > oldest]
    assert [(reason.code, reason.detail) for reason in decision.reasons] == [("input-newer", path) for path in newer]


@given(situations(), st.data())
def test_by_content_a_differing_time_is_a_reason_only_with_other_content_or_none_recorded(situation, data):
    inputs, outputs = situation
    touched = data.draw(st.sets(st.sampled_from([seen.path for seen in inputs]))) if inputs else set()
    now = [look(seen, mtime_ns=seen.mtime_ns + 1) if seen.path in touched else look(seen) for seen in inputs]
    last = record(inputs, outputs, manifest(inputs, outputs))
    hashed = {seen.path for seen in inputs if seen.sha256}
    by_time = asked(inputs, outputs, last, inputs=now)
    assert [reason.detail.partition(":")[0] for reason in by_time.reasons] == sorted(touched)
    by_content = asked(inputs, outputs, last, inputs=now, by_content=True)
    assert {reason.detail.partition(":")[0] for reason in by_content.reasons} == touched - hashed


@given(situations(), st.booleans())
def test_deciding_twice_gives_the_same(situation, with_record):
    inputs, outputs = situation
    last = record(inputs, outputs, manifest(inputs, outputs, ("other",))) if with_record else None
    one, two = asked(inputs, outputs, last), asked(inputs, outputs, last)
    assert one.reasons == two.reasons
    assert one.run == bool(one.reasons)


@given(
    st.one_of(st.text(st.characters(exclude_characters="\0"), min_size=1),
              st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1).map(tuple)),
    st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), max_size=4),
    st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), max_size=4),
    st.dictionaries(st.sampled_from(["cwd", "container", "env A", "env B"]),
                    st.text(st.characters(exclude_characters="\0"))),
)  # fmt: skip
def test_a_manifest_is_read_back_as_it_was_written(command, inputs, outputs, extra):
    from scriptflow.core.fingerprint import Manifest, differences

    text = manifest_text(command, False, inputs, outputs, extra)
    back = Manifest(text)
    assert (list(back.inputs), list(back.outputs), back.extra) == (inputs, outputs, extra)
    assert differences(text, text) == ()
