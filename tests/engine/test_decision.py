"""Must this task run? Every reason, alone and together, through runs of small flows."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from places import Place, until

import scriptflow as sf

HOUR_NS = 3600 * 10**9


def cp(**more):
    return sf.Task(**{"cmd": ["cp", "in", "out"], "inputs": "in", "outputs": "out", **more})


async def copy_flow():
    await cp()


def age(path, hours=1):
    """Set a file's time back, so that no clock tick is in question."""
    then = time.time_ns() - hours * HOUR_NS
    os.utime(path, ns=(then, then))


def set_time(path, ns):
    os.utime(path, ns=(ns, ns))


@pytest.fixture
def built(here):
    """A folder where ``out`` was made from ``in`` a while ago."""
    (here / "in").write_text("first")
    age(here / "in")
    assert here.good(copy_flow).ran == 1
    assert here.told.codes("out") == ["output-missing"]
    assert here.good(copy_flow).skipped == 1
    return here


def assert_runs_for(here, flow, *codes, task="out", **params):
    """The next run gives exactly these reasons, and the one after it runs nothing."""
    here.good(flow, **params)
    assert here.told.ran, "nothing ran"
    assert here.told.codes(task) == list(codes)
    assert here.good(flow, **params).ran == 0


def assert_skips(here, flow, **params):
    result = here.good(flow, **params)
    assert (result.ran, here.told.reasons) == (0, {})


# --- each reason alone --------------------------------------------------------------------------


def test_forced_by_a_setting(built):
    result = built.good(copy_flow, settings={"force": ["o*"]})
    assert result.ran == 1
    assert built.told.reasons["out"] == (("forced", "o*"),)


def test_forced_by_the_command_line_names_the_pattern_and_leaves_others_alone(here):
    flow = """
        import scriptflow as sf
        async def flow_demo():
            await sf.bag(*[sf.Task(["touch", n], outputs=n) for n in ("aa", "ab", "b")])
    """
    here.cli(flow, "run")
    out = here.cli(None, "run", "--force", "a*", "--events", "-").stdout
    assert out.count('"forced"') >= 2
    assert '"a*"' in out
    assert '"ran": 2' in here.cli(None, "run", "--force", "a*", "--json").stdout


def test_no_outputs_runs_every_time(here):
    async def flow():
        await sf.Task(["true"], name="t")

    for _ in range(2):
        assert here.good(flow).ran == 1
        assert here.told.codes("t") == ["no-outputs"]


@pytest.mark.parametrize("gone", [["a"], ["b"], ["c"], ["a", "c"], ["a", "b", "c"]])
def test_output_missing_is_asked_of_each_output(here, gone):
    async def flow():
        await sf.Task(["touch", "a", "b", "c"], outputs=["a", "b", "c"], name="t")

    here.good(flow)
    for name in gone:
        (here / name).unlink()
    here.good(flow)
    assert here.told.reasons["t"] == tuple(("output-missing", name) for name in gone)
    assert here.good(flow).ran == 0


def test_a_dangling_link_is_a_missing_output(built):
    (built / "out").unlink()
    (built / "out").symlink_to("nowhere")
    built.good(copy_flow)
    assert built.told.codes("out") == ["output-missing"]
    assert (built / "out").read_text() == "first"
    assert not (built / "nowhere").exists()


def test_last_failed_whatever_lies_on_disk(built):
    async def bad():
        await cp(cmd=["sh", "-c", "echo half > out; exit 3"])

    assert built.run(bad).failed == 1
    (built / "out").write_text("by hand")
    built.run(bad)
    assert "exit 3" in dict(built.told.reasons["out"])["last-failed"]


def test_a_job_that_did_not_end_well_left_no_output_that_could_have_changed(built):
    async def bad():
        await cp(cmd=["sh", "-c", "echo half > out; exit 3"])

    built.run(bad)
    (built / "out").write_text("by hand")
    built.run(bad)
    assert built.told.codes("out") == ["last-failed"]


def test_last_failed_by_a_signal_says_so(here):
    async def flow():
        await sf.Task(["sh", "-c", "kill -9 $$"], outputs="out")

    here.run(flow)
    here.run(flow)
    details = dict(here.told.reasons["out"])
    assert "signal 9" in details["last-failed"]


HALF = """
    import os
    import scriptflow as sf
    async def flow_demo():
        with open("head", "w") as file:
            file.write(str(os.getpid()))
        await sf.Task(["sh", "-c", "echo half > out; [ -e go ] || { %s sleep 60; }"], outputs="out")
"""


@pytest.mark.parametrize("ask", ["run", "plan"])
def test_interrupted_when_the_head_was_killed_just_after_the_start(here, ask):
    head = here.start(HALF % "kill -9 $(cat head);")
    here.end_of(head, code=-9)
    (here / "go").touch()
    (here / "out").write_text("looks done")
    done = here.cli(None, *(["plan", "--json"] if ask == "plan" else ["run", "--events", "-"]))
    assert '"interrupted"' in done.stdout
    if ask == "run":
        assert (here / "out").read_text() == "half\n"


def test_a_plan_just_after_the_head_was_killed_knows_what_it_had_started(here):
    """The older output was good; what lies there now is of the job that was cut short, and as long."""
    (here / "go").touch()
    here.cli(HALF % "kill -9 $(cat head);", "run")
    text = (here / "out").read_text()
    (here / "go").unlink()
    (here / "out").unlink()
    here.end_of(here.start(HALF % "kill -9 $(cat head);"), code=-9)
    (here / "out").write_text(text)
    planned = here.cli(None, "plan", "--json").stdout
    (here / "go").touch()
    ran = here.cli(None, "run", "--json").stdout
    assert '"ran": 1' in ran
    assert '"task": "out"' in planned


def test_interrupted_when_the_run_was_stopped(here):
    head = here.start(HALF % "touch up;")
    until(lambda: (here / "up").exists(), process=head)
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130)
    (here / "go").touch()
    (here / "out").write_text("looks done")
    assert '"interrupted"' in here.cli(None, "plan", "--json").stdout
    assert '"ran": 1' in here.cli(None, "run", "--json").stdout


def test_upstream_names_the_maker_and_the_file(here):
    (here / "in").write_text("1")
    age(here / "in")

    async def flow():
        first = sf.Task(["cp", "in", "mid"], inputs="in", outputs="mid", name="first")
        await cp(cmd=["cp", "mid", "out"], inputs=first)

    here.good(flow)
    (here / "in").write_text("22")
    here.good(flow)
    assert here.told.codes("first") == ["input-changed"]
    assert here.told.reasons["out"] == (("upstream", "first made mid"),)


def test_upstream_that_ran_and_left_its_output_untouched_runs_nothing_after_it(here):
    (here / "in").write_text("1")

    async def flow():
        first = sf.Task(["true"], inputs="in", outputs="mid", name="first", update_in_place=True)
        await cp(cmd=["cp", "mid", "out"], inputs=first)

    (here / "mid").write_text("mid")
    here.good(flow)
    set_time(here / "in", time.time_ns() + HOUR_NS)
    here.good(flow)
    assert here.told.ran == ["first"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cmd": ["cp", "-p", "in", "out"]}, "cp in out -> cp -p in out"),
        ({"cmd": "cp  in out"}, None),
        ({"cwd": "."}, "cwd: (not set) -> ."),
        ({"env": {"A": "1"}}, "env A: (not set) -> 1"),
        ({"cmd": "cp in out", "shell": True}, "shell=False -> shell=True"),
    ],
    ids=str,
)
def test_command_changed_by_command_folder_and_environment(built, change, told):
    async def changed():
        await cp(**change)

    assert_runs_for(built, changed, "command-changed")
    if told:
        built.good(copy_flow)
        assert len(built.told.reasons["out"]) == 1
        built.good(changed)
        assert built.told.reasons["out"] == (("command-changed", told),)


def test_command_changed_tells_the_old_and_the_new_value_of_a_variable(here):
    async def flow(**env):
        await sf.Task(["touch", "out"], outputs="out", env=env)

    here.good(flow, A="1", B="b")
    here.good(flow, A="2", B="b")
    assert here.told.reasons["out"] == (("command-changed", "env A: 1 -> 2"),)
    here.good(flow, B="b")
    assert here.told.reasons["out"] == (("command-changed", "env A: 2 -> (not set)"),)
    here.good(flow)
    assert here.told.reasons["out"] == (("command-changed", "env B: b -> (not set)"),)
    assert_skips(here, flow)


@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_command_changed_when_a_named_file_of_the_command_is_another(here, where):
    """The words of the command are the same; what is filled in for them is not."""
    for name in ("a", "b"):
        (here / name).write_text(name)
        age(here / name)

    async def flow(x, y):
        if where == "inputs":
            await sf.Task("cat {inputs[x]} > out", inputs={x: "a", y: "b"}, outputs="out", shell=True, name="t")
        else:
            command = "echo x > {outputs[x]}; echo y > {outputs[y]}"
            await sf.Task(command, outputs={x: "o1", y: "o2"}, shell=True, name="t")

    here.good(flow, x="x", y="y")
    here.good(flow, x="y", y="x")
    assert here.told.ran == ["t"]
    assert (here / ("out" if where == "inputs" else "o1")).read_text() == ("b" if where == "inputs" else "y\n")


def test_container_changed(built):
    """No container runs here: the plan tells what a run would do."""

    async def boxed():
        await cp(container="image:2")

    (planned,) = built.plan(boxed).would_run
    assert planned.reasons == (("container-changed", "container: (not set) -> image:2"),)


def test_inputs_changed_by_one_more_and_one_less(built):
    (built / "more").write_text("more")
    age(built / "more")

    async def more():
        await cp(inputs=["in", "more"])

    built.good(more)
    assert built.told.reasons["out"] == (("inputs-changed", "added more"),)
    assert_skips(built, more)
    built.good(copy_flow)
    assert built.told.reasons["out"] == (("inputs-changed", "gone more"),)


def test_inputs_changed_by_their_order(built):
    (built / "more").write_text("more")
    age(built / "more")

    async def flow(inputs):
        await cp(inputs=inputs)

    built.good(flow, inputs=["in", "more"])
    built.good(flow, inputs=["more", "in"])
    assert built.told.reasons["out"] == (("inputs-changed", "order changed"),)


def test_inputs_changed_when_a_glob_matches_more_or_less(here):
    async def flow():
        await sf.Task("cat {inputs} > out", inputs=sf.glob("*.csv"), outputs="out", shell=True)

    for name in ("a.csv", "b.csv"):
        (here / name).write_text(name)
        age(here / name)
    here.good(flow)
    assert_skips(here, flow)
    (here / "c.csv").write_text("c")
    age(here / "c.csv", hours=9)
    here.good(flow)
    assert here.told.reasons["out"] == (("inputs-changed", "added c.csv"),)
    assert_skips(here, flow)
    (here / "a.csv").unlink()
    here.good(flow)
    assert here.told.reasons["out"] == (("inputs-changed", "gone a.csv"),)
    (here / "b.csv").rename(here / "d.csv")
    here.good(flow)
    assert here.told.reasons["out"] == (("inputs-changed", "added d.csv; gone b.csv"),)
    assert (here / "out").read_text() == "cb.csv"


def test_a_file_that_was_an_input_of_a_glob_and_became_an_output_is_told(here):
    async def flow():
        await sf.Task("cat {inputs} > out.csv", inputs=sf.glob("*.csv"), outputs="out.csv", shell=True)

    (here / "a.csv").write_text("a")
    first = here.run(flow)
    second = here.run(flow)
    # Whatever the answer, it is one, and the same at every later run.
    third = here.run(flow)
    assert first.error is None
    assert (second.error is None) == (third.error is None)
    assert (second.ran, second.failed) == (third.ran, third.failed)
    assert (here / "out.csv").exists()


def test_input_newer_decides_alone_when_the_store_is_gone(built):
    shutil.rmtree(built / ".scriptflow")
    assert_skips(built, copy_flow)
    shutil.rmtree(built / ".scriptflow")
    set_time(built / "in", (built / "out").stat().st_mtime_ns + 1)
    assert_runs_for(built, copy_flow, "input-newer")


def test_input_newer_counts_equal_times_as_fresh(built):
    shutil.rmtree(built / ".scriptflow")
    set_time(built / "in", (built / "out").stat().st_mtime_ns)
    assert_skips(built, copy_flow)


def test_input_newer_is_asked_of_the_oldest_output(here):
    async def flow():
        await sf.Task("cp in a; cp in b", shell=True, inputs="in", outputs=["a", "b"], name="t")

    now = time.time_ns()
    for name, hours in (("a", 1), ("in", 2), ("b", 3)):
        (here / name).write_text(name)
        set_time(here / name, now - hours * HOUR_NS)
    here.good(flow)
    assert here.told.reasons["t"] == (("input-newer", "in"),)


def test_files_that_were_there_before_scriptflow_count_by_their_times(here):
    for name, hours in (("in", 2), ("out", 1)):
        (here / name).write_text("made by make")
        age(here / name, hours)
    assert_skips(here, copy_flow)
    assert here.good(copy_flow).skipped == 1


def test_without_a_store_an_output_with_a_marker_beside_it_is_missing(built):
    shutil.rmtree(built / ".scriptflow")
    (built / ".out.sf-part").touch()
    built.good(copy_flow)
    ((code, detail),) = built.told.reasons["out"]
    assert code == "output-missing"
    assert "never ended" in detail
    assert not (built / ".out.sf-part").exists()
    assert_skips(built, copy_flow)


@pytest.mark.parametrize("hours", [-5, 0.5, 24], ids=["newer", "between", "older"])
def test_input_changed_by_its_time_in_either_direction(built, hours):
    set_time(built / "in", time.time_ns() - int(hours * HOUR_NS))
    here = built
    here.good(copy_flow)
    ((code, detail),) = here.told.reasons["out"]
    assert code == "input-changed"
    assert ("older" in detail) == (hours == 24)
    assert_skips(here, copy_flow)


def test_input_changed_by_size_tells_both(built):
    (built / "in").write_text("longer text")
    age(built / "in", hours=9)
    built.good(copy_flow)
    assert built.told.reasons["out"] == (("input-changed", "in: size 5 -> 11"),)


def test_input_changed_while_the_job_ran_makes_the_result_stale_at_birth(here):
    async def flow():
        await sf.Task("cp in out; echo x >> in", shell=True, inputs="in", outputs="out")

    (here / "in").write_text("1")
    age(here / "in")
    here.good(flow)
    assert "input-changed-while-running" in [event.slug for event in here.told.of("Message")]
    here.good(flow)
    assert here.told.codes("out") == ["input-changed"]


@pytest.mark.parametrize("name", ["in", "out"])
def test_an_edit_of_the_same_size_and_time_is_found_by_the_recorded_hash(built, name):
    was = (built / name).stat()
    text = (built / name).read_text()
    (built / name).write_text(text[::-1])
    set_time(built / name, was.st_mtime_ns)
    assert_runs_for(built, copy_flow, "input-changed" if name == "in" else "outputs-changed")
    assert (built / "out").read_text() == (built / "in").read_text()


def test_without_hashes_equal_size_and_time_count_as_unchanged(here):
    (here / "in").write_text("first")
    age(here / "in")
    here.good(copy_flow, settings={"hash": "off"})
    was = (here / "in").stat()
    (here / "in").write_text("other")
    set_time(here / "in", was.st_mtime_ns)
    assert here.good(copy_flow, settings={"hash": "off"}).skipped == 1


def test_a_young_input_edited_within_the_clock_tick_is_found(here):
    """As young as the tick when looked at: the times may be equal, the hash is not."""
    for turn in range(6):
        (here / "in").write_text("abcdef"[turn])
        was = (here / "in").stat().st_mtime_ns
        here.good(copy_flow)
        (here / "in").write_text("ABCDEF"[turn])
        set_time(here / "in", was)
        here.good(copy_flow)
        assert (here / "out").read_text() == "ABCDEF"[turn]


@pytest.mark.parametrize("size", [0, 2, 9])
def test_outputs_changed_by_size_whatever_the_time(built, size):
    was = (built / "out").stat().st_mtime_ns
    os.truncate(built / "out", size)
    set_time(built / "out", was)
    built.good(copy_flow)
    assert built.told.reasons["out"] == (("outputs-changed", f"out: size 5 -> {size}"),)
    assert (built / "out").read_text() == "first"
    assert_skips(built, copy_flow)


def test_outputs_changed_is_asked_of_each_output(here):
    async def flow():
        await sf.Task("echo 1 > a; echo 2 > b", shell=True, outputs=["a", "b"], name="t")

    here.good(flow)
    os.truncate(here / "b", 0)
    here.good(flow)
    assert here.told.reasons["t"] == (("outputs-changed", "b: size 2 -> 0"),)


def test_a_touched_output_is_no_reason(built):
    set_time(built / "out", time.time_ns() + HOUR_NS)
    assert_skips(built, copy_flow)
    set_time(built / "out", 10**9)
    assert_skips(built, copy_flow)


def test_an_output_that_another_task_left_there_is_no_output_of_this_one(here):
    """A task that now makes ``b`` too must make it, also when another task of an older flow left one."""

    async def before():
        await sf.bag(
            sf.Task("sh make.sh", outputs="a"),
            sf.Task(["sh", "-c", "echo other > b"], outputs="b"),
        )  # fmt: skip

    async def after():
        await sf.Task("sh make.sh", outputs=["a", "b"])

    (here / "make.sh").write_text("echo mine > a; echo mine > b\n")
    here.good(before, settings={"executors": {"local": {"maxsize": 1}}})
    (here / "b").write_text("other\n")
    here.good(before)
    assert (here / "b").read_text() == "other\n"
    here.good(after)
    assert here.told.ran == ["a"]
    assert (here / "b").read_text() == "mine\n"


def test_two_tasks_that_swap_their_outputs_both_run(here):
    async def flow(one, two):
        await sf.bag(
            sf.Task("echo x > {output}", shell=True, outputs=one, name="x"),
            sf.Task("echo y > {output}", shell=True, outputs=two, name="y"),
        )  # fmt: skip

    here.good(flow, one="a", two="b")
    here.good(flow, one="b", two="a")
    assert sorted(here.told.ran) == ["x", "y"]
    assert ((here / "a").read_text(), (here / "b").read_text()) == ("y\n", "x\n")


def test_the_order_of_outputs_is_part_of_the_task(here):
    async def flow(outputs):
        await sf.Task("echo 0 > {outputs[0]}; echo 1 > {outputs[1]}", shell=True, outputs=outputs, name="t")

    here.good(flow, outputs=["a", "b"])
    here.good(flow, outputs=["b", "a"])
    assert here.told.ran == ["t"]
    assert (here / "a").read_text() == "1\n"


# --- together -----------------------------------------------------------------------------------


def test_all_reasons_are_reported_together_in_the_order_of_the_table(here):
    async def flow(first=True):
        one = sf.Task(["cp", "src", "mid"], inputs="src", outputs="mid", name="one")
        more = {} if first else {"env": {"A": "1"}, "container": None, "cwd": "."}
        await sf.Task(
            ["sh", "-c", "cat mid in > a; cat in > b; cat in > c"],
            inputs=[one, "in"] if first else [one, "in", "new"], outputs=["a", "b", "c"], name="two", **more,
        )  # fmt: skip

    for name in ("src", "in", "new"):
        (here / name).write_text(name)
        age(here / name)
    here.good(flow)
    (here / "src").write_text("other src")
    (here / "in").write_text("other in")
    (here / "a").unlink()
    os.truncate(here / "b", 0)
    here.good(flow, first=False)
    assert here.told.reasons["two"] == (
        ("output-missing", "a"),
        ("upstream", "one made mid"),
        ("command-changed", "cwd: (not set) -> ."),
        ("command-changed", "env A: (not set) -> 1"),
        ("inputs-changed", "added new"),
        ("input-changed", "in: size 2 -> 8"),
        ("outputs-changed", "b: size 2 -> 0"),
    )


def test_a_plan_gives_the_reasons_that_the_run_gives_in_the_same_order(here):
    async def flow(word="a"):
        one = sf.Task(["cp", "src", "mid"], inputs="src", outputs=["mid", "more"], name="one", update_in_place=True)
        await sf.Task(["sh", "-c", f"cat mid more > out; : {word}"], inputs=one, outputs=["out"], name="two")

    (here / "src").write_text("1")
    (here / "more").write_text("1")
    age(here / "src")
    here.good(flow)
    (here / "src").write_text("22")
    (here / "out").unlink()
    one, two = here.plan(flow, word="b").would_run
    here.good(flow, word="b")
    assert one.reasons == here.told.reasons["one"]
    assert [code for code, _ in two.reasons] == ["output-missing", "upstream", "command-changed"]
    assert [code for code, _ in two.reasons] == here.told.codes("two")


def test_the_record_holds_the_reasons_of_each_job(built):
    from scriptflow.store.reader import StoreReader

    (built / "in").write_text("longer text")
    built.good(copy_flow)
    with StoreReader(built / ".scriptflow") as store:
        job = store.last_job("out")
    assert job.reasons == (("input-changed", "in: size 5 -> 11"),)


# --- copies and moves ---------------------------------------------------------------------------


@pytest.fixture
def project(here, tmp_path_factory):
    """A project in a folder of its own, with a folder, a glob, and paths in every spelling."""
    folder = tmp_path_factory.mktemp("p") / "project"
    folder.mkdir()
    place = Place(folder)
    (folder / "data").mkdir()
    for name in ("data/a.csv", "data/b.csv", "in"):
        (folder / name).write_text(name)
        age(folder / name)
    yield place
    place.close()


async def project_flow():
    parts = [sf.Task(["cp", f"data/{n}.csv", f"{n}.out"], inputs=f"data/{n}.csv", outputs=f"{n}.out") for n in "ab"]
    whole = sf.Task("cat {inputs} > whole", inputs=parts, outputs="whole", shell=True)
    listed = sf.Task("ls data > listed", inputs=sf.directory("data"), outputs="listed", shell=True)
    globbed = sf.Task("cat {inputs} > globbed", inputs=sf.glob("data/*.csv"), outputs="globbed", shell=True)
    made = sf.Task("cp in out/x", inputs="in", outputs=sf.directory("out"), shell=True)
    await sf.bag(whole, listed, globbed, made)


def moved(place, tmp_path_factory, *, how):
    """Return the project in its new folder."""
    target = tmp_path_factory.mktemp("q") / "elsewhere"
    if how == "moved":
        place.folder.rename(target)
    else:
        subprocess.run(["cp", *how.split()[1:], str(place.folder), str(target)], check=True)
        shutil.rmtree(place.folder)
    return Place(target)


@pytest.mark.parametrize("how", ["moved", "cp -rp", "cp -a"])
def test_a_moved_project_and_a_copy_with_its_times_are_up_to_date(project, tmp_path_factory, how):
    assert project.good(project_flow).ran == 6
    assert project.good(project_flow).ran == 0
    there = moved(project, tmp_path_factory, how=how)
    assert_skips(there, project_flow)
    assert there.plan(project_flow).would_run == ()
    (there / "data/a.csv").write_text("changed")
    there.good(project_flow)
    assert sorted(there.told.ran) == ["a.out", "globbed", "listed", "whole"]
    assert there.told.codes("whole") == ["upstream"]


def test_a_copy_without_its_times_is_new_to_the_eye_and_settles_after_one_run(project, tmp_path_factory):
    project.good(project_flow)
    there = moved(project, tmp_path_factory, how="cp -r")
    there.good(project_flow)
    assert {code for task in there.told.reasons for code in there.told.codes(task)} <= {"input-changed", "upstream"}
    assert_skips(there, project_flow)


def test_a_copy_with_its_times_and_one_edit_of_the_same_size_and_time_finds_it(project, tmp_path_factory):
    project.good(project_flow)
    there = moved(project, tmp_path_factory, how="cp -rp")
    was = (there / "in").stat().st_mtime_ns
    (there / "in").write_text("ni")
    set_time(there / "in", was)
    there.good(project_flow)
    assert there.told.reasons == {"out": (("input-changed", "in: other content of the same size and time"),)}


def test_a_fresh_clone_without_store_is_judged_by_times(project, tmp_path_factory):
    project.good(project_flow)
    there = moved(project, tmp_path_factory, how="cp -rp")
    shutil.rmtree(there / ".scriptflow")
    assert_skips(there, project_flow)


@pytest.mark.parametrize("how", ["moved", "cp -rp"])
def test_a_project_with_full_paths_to_itself_is_up_to_date_after_a_move(project, tmp_path_factory, how):
    """``Path(__file__).parent / "in"`` is what many write."""

    async def flow(folder):
        await sf.Task(["cp", "in", "out"], inputs=folder / "in", outputs=folder / "out", name="t")

    project.good(flow, folder=project.folder)
    there = moved(project, tmp_path_factory, how=how)
    result = there.good(flow, folder=there.folder)
    assert (result.ran, there.told.reasons) == (0, {})


def test_full_paths_are_recorded_and_found_again(here):
    async def flow(word="one"):
        await sf.Task(["sh", "-c", f"echo {word} > out"], inputs=here / "in", outputs=here / "out", name="t")

    (here / "in").write_text("in")
    age(here / "in")
    assert here.good(flow).ran == 1
    assert_skips(here, flow)
    here.good(flow, word="two")
    assert here.told.codes("t") == ["command-changed"]
    os.truncate(here / "out", 0)
    here.good(flow, word="two")
    assert here.told.codes("t") == ["outputs-changed"]
    assert here.plan(flow, word="two").would_run == ()


def test_a_file_by_its_full_path_and_by_its_short_one_is_one_file(here):
    async def flow():
        sf.Task(["sh", "-c", "echo > mid"], outputs="mid", name="maker")
        await sf.Task(["cp", "mid", "out"], inputs=here / "mid", outputs=here / "out", name="taker")

    here.good(flow)
    assert here.told.ran == ["maker", "taker"]


def test_one_output_by_two_spellings_is_a_duplicate(here):
    async def flow():
        await sf.bag(
            sf.Task(["touch", "a"], outputs="a", name="one"), sf.Task(["touch", "./a"], outputs=here / "a", name="two")
        )

    assert type(here.run(flow).error) is sf.DuplicateOutput


# --- directories --------------------------------------------------------------------------------


async def listing_flow():
    await sf.Task("ls data > out", inputs=sf.directory("data"), outputs="out", shell=True)


@pytest.fixture
def listed(here):
    (here / "data/sub").mkdir(parents=True)
    for name in ("data/a", "data/sub/b"):
        (here / name).write_text(name)
        age(here / name)
    here.good(listing_flow)
    assert_skips(here, listing_flow)
    return here


@pytest.mark.parametrize("edit", ["add", "delete", "rename", "rewrite", "touch", "deep"])
def test_a_directory_as_input_counts_by_its_listing(listed, edit):
    here = listed
    match edit:
        case "add":
            (here / "data/c").write_text("c")
            age(here / "data/c", hours=9)
        case "delete":
            (here / "data/a").unlink()
        case "rename":
            (here / "data/a").rename(here / "data/z")
        case "rewrite":
            (here / "data/a").write_text("other")
        case "touch":
            set_time(here / "data/a", time.time_ns() - 2 * HOUR_NS)
        case "deep":
            (here / "data/sub/b").write_text("other")
    assert_runs_for(here, listing_flow, "input-changed")


def test_a_directory_never_counts_by_its_own_time(listed):
    (listed / "data/temporary").write_text("")
    (listed / "data/temporary").unlink()
    set_time(listed / "data", time.time_ns() + HOUR_NS)
    assert_skips(listed, listing_flow)


def test_a_directory_as_output_counts_by_what_is_in_it(here):
    async def flow():
        await sf.Task("echo 1 > d/a; echo 2 > d/b", outputs=sf.directory("d"), shell=True)

    here.good(flow)
    assert_skips(here, flow)
    set_time(here / "d", time.time_ns() + HOUR_NS)
    assert_skips(here, flow)
    (here / "d/a").unlink()
    here.good(flow)
    assert here.told.codes("d") == ["outputs-changed"]
    assert_skips(here, flow)
    shutil.rmtree(here / "d")
    assert_runs_for(here, flow, "output-missing", task="d")


def test_a_truncated_file_in_an_output_directory_is_found(here):
    async def flow():
        await sf.Task("echo 1 > d/a; echo 2 > d/b", outputs=sf.directory("d"), shell=True)

    here.good(flow)
    os.truncate(here / "d/a", 0)
    here.good(flow)
    assert here.told.codes("d") == ["outputs-changed"]
    assert (here / "d/a").read_text() == "1\n"


def test_a_touched_file_in_an_output_directory_is_no_reason(here):
    """As with an output that is a file: its time says nothing of what the task left."""

    async def flow():
        await sf.Task("echo 1 > d/a; echo 2 > d/b", outputs=sf.directory("d"), shell=True)

    here.good(flow)
    set_time(here / "d/a", time.time_ns() + HOUR_NS)
    assert_skips(here, flow)


def test_a_directory_where_a_file_was_and_a_file_where_a_directory_was_are_changes(built):
    (built / "in").unlink()
    (built / "in").mkdir()
    result = built.run(copy_flow)
    assert built.told.codes("out") == ["input-changed"]
    assert result.failed == 1
    (built / "in").rmdir()
    (built / "in").write_text("first")
    built.good(copy_flow)
    (built / "out").unlink()
    (built / "out").mkdir()
    built.good(copy_flow)
    assert built.told.codes("out") == ["outputs-changed"]
    assert (built / "out").is_file()
