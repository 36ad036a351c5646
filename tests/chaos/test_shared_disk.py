"""A project on a shared disk: files that are seen late, and heads on two machines that have only the disk in common."""

import contextlib
import os
import shutil
import signal
import sqlite3

import pytest
from disks import shared
from ground import Ground, until

# An executor as a guest package brings it: its jobs work on the server's side of the disk.
ELSEWHERE = """
import asyncio
import os
import subprocess
import time
from scriptflow.plugin import Capabilities, JobReport, JobState

class Elsewhere:
    slots = 4
    capabilities = Capabilities()

    def __init__(self, options, **known):
        self.jobs = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def submit(self, job):
        self.jobs[job.key] = job
        return job.key

    async def wait(self, key):
        job = self.jobs[key]
        began = time.time()
        process = await asyncio.create_subprocess_exec(*job.argv, cwd=os.environ["SERVER"])
        assert await process.wait() == 0
        return JobReport(state=JobState.SUCCEEDED, exit_code=0, began=began, ended=time.time())

    async def cancel(self, key):
        pass

    def fits(self, resources):
        return True
"""
WAITS = """
    async def flow_waits():
        await sf.Task(["sh", "-c", "echo >> ran; echo > up; until [ -e go ]; do sleep 0.01; done; echo all > out"],
                      outputs="out", name="waits")
        await sf.Task(["sh", "-c", "echo >> after-ran; cat out > after"], inputs="out", outputs="after")
"""


def ground_on(folder, word):
    """Return a ground whose heads run in a folder of the disk."""
    ground = Ground(folder)
    ground.word = ground.env["CHAOS_HEAD"] = f"{os.getpid()}.{word}"
    return ground


@pytest.fixture
def disk(tmp_path):
    """Give what mounts the one server at a client; unmount all at the end."""
    with contextlib.ExitStack() as stack:

        def mount(name, **how):
            return stack.enter_context(shared(tmp_path / "server", tmp_path / name, **how))

        mount.server = tmp_path / "server"
        yield mount


# --- seen late ----------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(disk, tmp_path):
    """Give a ground on a client whose cache lasts so long, with an executor on the server's side."""
    grounds = []

    def make(cache_s):
        package = tmp_path / "package"
        (package / "elsewhere-1.0.dist-info").mkdir(parents=True)
        (package / "elsewhere-1.0.dist-info/METADATA").write_text(
            "Metadata-Version: 2.1\nName: elsewhere\nVersion: 1\n"
        )
        (package / "elsewhere-1.0.dist-info/entry_points.txt").write_text(
            "[scriptflow.executors]\nelsewhere = elsewhere:Elsewhere\n"
        )
        (package / "elsewhere.py").write_text(ELSEWHERE)
        ground = ground_on(disk("client", cache_s=cache_s), "elsewhere")
        ground.env |= {"PYTHONPATH": str(package), "SERVER": str(disk.server)}
        ground.flow("""
            sf.init({"executors": {"elsewhere": {}}})
            async def flow_late():
                await sf.Task(["sh", "-c", "echo made > out"], outputs="out", name="late", executor="elsewhere")
        """)
        grounds.append(ground)
        return ground

    yield make
    for ground in grounds:
        ground.close()


def test_an_output_that_the_disk_shows_late_is_waited_for(elsewhere):
    ground = elsewhere(3)
    ground.run()
    assert (ground / "out").read_text() == "made\n"
    assert ground.counts() == (0, 1, 0)


def test_an_output_that_the_disk_does_not_show_in_time_is_missing_and_both_views_are_told(elsewhere):
    ground = elsewhere(60)
    told = ground.run(code=1, SCRIPTFLOW_LATENCY_WAIT="1")
    assert "left no out" in told, told
    assert "two views" in told, told


def test_a_stop_does_not_wait_for_a_file_that_is_late(elsewhere):
    ground = elsewhere(60)
    head = ground.start("run")
    until((ground / "../server/out").exists, what="the job's end", head=head)
    head.send_signal(signal.SIGINT)
    head.end(limit=5)


# --- two machines -------------------------------------------------------------------------------------


@pytest.fixture
def machines(disk, tmp_path):
    """Give two grounds: one disk, and each machine its own name, its own boot and its own view of the disk.

    Locks are the server's, and nothing is cached, as between an NFS client's lock and its unlock.
    """
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    grounds = []
    for name in ("first", "second"):
        ground = ground_on(disk(name, cache_s=0, locks=True), name)
        boot = tmp_path / f"{name}.boot"
        boot.write_text(f"boot-of-{name}\n")
        words = f'hostname {name} && mount --bind {boot} /proc/sys/kernel/random/boot_id && exec "$@"'
        ground.before = ["unshare", "--uts", "--mount", "sh", "-c", words, "sh"]
        grounds.append(ground)
    yield grounds
    for ground in grounds:
        ground.close()


def begin(ground):
    ground.flow(WAITS)
    head = ground.start("run", before=ground.before)
    until((ground / "up").exists, what="the first task", head=head)
    return head


def is_quiet(ground):
    """Whether all is written: a head paused in the middle of a write keeps the file locked, and nobody can go on."""
    with contextlib.closing(sqlite3.connect(ground / ".scriptflow/runs.db", timeout=10)) as rows:
        (noted,) = rows.execute("SELECT count(*) FROM intents").fetchone()
        (begun,) = rows.execute("SELECT count(*) FROM jobs").fetchone()
    return begun and not noted


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_second_machine_is_refused_while_the_first_ones_head_lives(machines):
    first, second = machines
    head = begin(first)
    told = second.call("run", code=75, limit=60, before=second.before)
    assert f"process {head.pid} on first" in told, told
    (first / "go").touch()
    head.end(0)
    assert second.counts(before=second.before) == (0, 2, 0)
    assert len((second / "ran").read_text().splitlines()) == 1


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("shift", ["-2h", "+2h"])
def test_a_second_machine_follows_a_paused_head_which_then_stops_without_writing(machines, shift):
    """Whatever the clocks say: each judges the other by its own."""
    if not shutil.which("faketime"):
        pytest.skip("faketime is not here: apt-get install faketime")
    first, second = machines
    head = begin(first)
    until(lambda: is_quiet(first), what="the started row", head=head)
    head.send_signal(signal.SIGSTOP)
    (second / "go").touch()
    told = second.run(limit=120, before=[*second.before, "faketime", "-f", shift])
    assert "last held on first" in told, told
    with contextlib.closing(sqlite3.connect(second / ".scriptflow/runs.db")) as rows:
        before = list(rows.iterdump())
    head.send_signal(signal.SIGCONT)
    told = head.end(75)
    assert "Traceback" not in told
    assert "ok    waits" not in told, told
    with contextlib.closing(sqlite3.connect(second / ".scriptflow/runs.db")) as rows:
        assert list(rows.iterdump()) == before
    first.assert_no_process()
    assert len((second / "after-ran").read_text().splitlines()) == 1
    assert second.counts(before=second.before) == (0, 2, 0)
