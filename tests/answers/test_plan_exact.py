"""A static flow's plan is exact: it lists the tasks that the next run runs, and the codes that it records."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixed_functions import join

import scriptflow as sf
from scriptflow.outcome import RunOptions
from scriptflow.plans import plan_flow
from scriptflow.settings_files import load_settings
from scriptflow.store.reader import StoreReader

SOURCES = ("s0", "s1")


@st.composite
def graphs(draw):
    """Return tasks as (inputs, outputs), each reading sources and what earlier ones make."""
    tasks, known = [], list(SOURCES)
    for number in range(draw(st.integers(1, 6))):
        inputs = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        outputs = [f"out/{number}.{part}" for part in range(draw(st.integers(1, 2)))]
        tasks.append((inputs, outputs))
        known += outputs
    return tasks


edits = st.lists(
    st.tuples(
        st.sampled_from(["touch", "older", "edit", "delete", "rename", "command", "input"]), st.integers(0, 20)
    ),
    max_size=3,
)  # fmt: skip


class Project:
    """One graph in a folder of its own, planned and run in this process."""

    def __init__(self, folder, tasks, check, calls=()):
        self.folder, self.tasks, self.check, self.calls = folder, tasks, check, calls
        self.versions = [0] * len(tasks)
        self.file = folder / "sflow.py"
        self.file.touch()
        for name in SOURCES:
            self.write(folder / name, "source\n")

    def write(self, path, text):
        """Write a file that looks a minute old, so that its time tells a later edit."""
        path.write_text(text)
        self.clock = getattr(self, "clock", 0) + 1
        moment = path.stat().st_mtime - 3600 + self.clock
        os.utime(path, (moment, moment))

    async def flow(self):
        made = []
        for number, (inputs, outputs) in enumerate(self.tasks):
            if number in self.calls:
                call = join.task(
                    inputs, outputs, self.versions[number], inputs=inputs, outputs=outputs, name=f"t{number}"
                )
                made.append(call)
                continue
            command = (
                f": version {self.versions[number]}; for o in {' '.join(outputs)}; do cat {' '.join(inputs)} > $o; done"
            )
            made.append(sf.Task(["sh", "-c", command], inputs=inputs, outputs=outputs, name=f"t{number}"))
        await sf.bag(made)

    def plan(self):
        here = Path.cwd()
        try:
            found = plan_flow(
                SimpleNamespace(folder=str(self.folder), path=str(self.file)),
                SimpleNamespace(name="main", function=self.flow, file=str(self.file)),
                {}, load_settings(str(self.folder), flags=[("test", {"check": self.check})]), RunOptions(),
            )  # fmt: skip
        finally:
            os.chdir(here)
        assert found.complete
        return {task.task: {code for code, _ in task.reasons} for task in found.would_run}

    def run(self):
        import asyncio

        async def main():
            async with sf.Head({"check": self.check}, folder=self.folder) as head:
                await head.run(self.flow())
            assert head.result.exit_code == 0

        asyncio.run(main())
        with StoreReader(self.folder / ".scriptflow", relative=True) as reader:
            run = reader.find_run("last")
            return {
                job.task: {code for code, _ in reader.job(job.job).reasons} for job in reader.jobs(run.id)
            }  # fmt: skip

    def change(self, kind, number):
        outputs = [path for _, made in self.tasks for path in made]
        files = [*SOURCES, *outputs]
        path = self.folder / files[number % len(files)]
        task = number % len(self.tasks)
        if kind == "command":
            self.versions[task] += 1
        elif kind == "input":
            inputs, made = self.tasks[task]
            self.tasks[task] = (sorted({*inputs, SOURCES[number % 2]}), made)
        elif kind in ("delete", "rename"):
            path = self.folder / outputs[number % len(outputs)]
            if path.exists():
                path.unlink() if kind == "delete" else path.rename(f"{path}.away")
        elif path.exists():
            if kind == "edit":
                self.write(path, path.read_text() + "more\n")
            else:
                moment = path.stat().st_mtime + (100 if kind == "touch" else -1000)
                os.utime(path, (moment, moment))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tasks=graphs(), rounds=st.lists(edits, min_size=1, max_size=3))
def test_plan_lists_what_the_next_run_runs_and_records(tasks, rounds):
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), list(tasks), "mtime")
        for changes in [[], *rounds]:
            for kind, number in changes:
                project.change(kind, number)
            planned = project.plan()
            assert planned == project.run()
        assert project.plan() == {}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tasks=graphs(), rounds=st.lists(edits, min_size=1, max_size=2), calls=st.sets(st.integers(0, 5), min_size=1))
def test_plan_is_as_exact_where_commands_and_functions_stand_in_one_graph(tasks, rounds, calls):
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), list(tasks), "mtime", calls)
        for changes in [[], *rounds]:
            for kind, number in changes:
                project.change(kind, number)
            planned = project.plan()
            assert planned == project.run()
        assert project.plan() == {}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tasks=graphs(), rounds=st.lists(edits, min_size=1, max_size=3))
def test_by_content_a_run_does_no_more_than_its_plan_and_nothing_the_plan_did_not_say(tasks, rounds):
    """Whether an output will be equal only the run can tell: what stands behind it in a plan may be skipped."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), list(tasks), "content")
        for changes in [[], *rounds]:
            for kind, number in changes:
                project.change(kind, number)
            planned, ran = project.plan(), project.run()
            assert planned.keys() >= ran.keys()
            assert all(planned[task] == {"upstream"} for task in planned.keys() - ran.keys())
        assert project.plan() == {}
