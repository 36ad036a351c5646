"""Options are read strictly, and a task's own come before the executor's."""

import asyncio
import shutil
import subprocess

import pytest

from scriptflow.core.job import Job, Resources
from scriptflow.errors import SettingsError, UnitError
from scriptflow.hpc.options import Options
from scriptflow.hpc.slurm import SlurmExecutor
from scriptflow.transports.local import LocalTransport


def job(**changes):
    return Job(number=1, run="r", task="t", key="k", attempt=1, argv=("true",), cwd="/", log="/l", **changes)


def test_unknown_option_names_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match="no option 'partitoin'") as caught:
        SlurmExecutor({"partitoin": "long"}, folder=str(tmp_path))
    assert "'partition'" in caught.value.do


@pytest.mark.parametrize(
    ("name", "value"),
    [("maxsize", 0), ("array_max", True), ("queue", "two words"), ("modules", 3), ("env", "A=1"), ("directives", [1])],
)
def test_value_of_the_wrong_kind_is_refused(tmp_path, name, value):
    with pytest.raises(SettingsError, match=name):
        SlurmExecutor({name: value}, folder=str(tmp_path))


@pytest.mark.parametrize(("name", "value"), [("walltime", "soon"), ("memory", "much"), ("poll", "often")])
def test_sizes_and_times_are_refused_in_a_wrong_form(tmp_path, name, value):
    with pytest.raises(UnitError):
        SlurmExecutor({name: value}, folder=str(tmp_path))


def test_what_a_task_says_comes_before_what_the_executor_says():
    options = Options("slurm", {"queue": "long", "walltime": "1h", "memory": "2GB", "modules": ["a"]})
    ask, around = options.of({"queue": "short", "modules": "b\nc"}, job(resources=Resources(cpus=3, walltime_s=60)))
    assert (ask.queue, ask.walltime_s, ask.memory_bytes, ask.cpus) == ("short", 60, 2 * 1024**3, 3)
    assert around.modules == ("b", "c")


def test_option_of_the_whole_executor_is_none_of_a_task():
    with pytest.raises(SettingsError, match="maxsize"):
        Options("slurm", {}).of({"maxsize": 3})


def test_transport_copies_files_and_folders_whole(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file ü").write_text("1")

    async def body():
        transport = LocalTransport()
        await transport.put(tmp_path / "a", str(tmp_path / "there" / "a"))
        (tmp_path / "a" / "b" / "file ü").write_text("2")
        await transport.get(str(tmp_path / "a"), tmp_path / "there" / "a")
        await transport.put(tmp_path / "a" / "b" / "file ü", str(tmp_path / "there" / "one"))

    asyncio.run(body())
    assert (tmp_path / "there" / "a" / "b" / "file ü").read_text() == "2"
    assert (tmp_path / "there" / "one").read_text() == "2"
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["a", "one"]


def test_transport_runs_with_input_and_environment_and_ends_what_is_cancelled(tmp_path):
    async def body():
        transport = LocalTransport()
        done = await transport.run(["sh", "-c", 'cat; echo "$WORD" >&2; exit 3'], stdin="in", env={"WORD": "ü"})
        assert (done.exit_code, done.out, done.err) == (3, "in", "ü\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await transport.run(["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 100"])

    asyncio.run(body())
    assert subprocess.run(["kill", "-0", (tmp_path / "pid").read_text().strip()], capture_output=True).returncode != 0


def test_commands_that_are_not_there_are_told(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "sed"):
        (folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder))

    async def body():
        async with SlurmExecutor({}, folder=str(tmp_path / ".scriptflow")) as executor:
            return await executor.probe()

    assert "sbatch" in asyncio.run(body())["trouble"]
