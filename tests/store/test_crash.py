"""What a kill, a full disk or a foreign lock leaves behind."""

import os
import random
import signal
import sqlite3
import subprocess
import time

import pytest
from making import begun, child, do_jobs, end_child, end_of, line_of, run_start, start_of

from scriptflow.core.states import JobState
from scriptflow.errors import StoreBusy, StoreError
from scriptflow.store.sqlite import SqliteStore

WRITER = """
while True:
    starts = [start_of(store, run, store.next_job()) for _ in range(3)]
    assert begun(store, starts) is None
    print("started", *[start.job for start in starts], flush=True)
    for start in starts:
        store.ended(end_of(start), lambda job=start.job: print("ended", job, flush=True))
"""


@pytest.mark.parametrize("seed", range(12))
def test_a_kill_leaves_every_committed_start_and_a_sound_file(folder, seed):
    head = child(folder, WRITER, options={"network": seed % 4 == 3})
    line_of(head)
    time.sleep(random.Random(seed).uniform(0, 0.4))  # the instant of the kill is what is tried out
    os.kill(head.pid, signal.SIGKILL)
    lines = [line.split() for line in head.stdout.read().split("\n")[:-1]]
    end_child(head)
    started = {int(number) for kind, *numbers in lines if kind == "started" for number in numbers}
    done = {int(number) for kind, *numbers in lines if kind == "ended" for number in numbers}
    store = SqliteStore.open(folder)
    store.begin_run(run_start())
    assert all(store.job(number).files for number in started)
    assert all(store.job(number).state == JobState.SUCCEEDED for number in done)
    latest = store.latest()
    for number in started - done:
        job = store.job(number)
        assert job.state in {JobState.SUCCEEDED, JobState.LOST}
        path = next(seen.path for seen in job.files if seen.role == "out")
        assert latest[path].ok == (job.state == JobState.SUCCEEDED)
    store.close()
    connection = sqlite3.connect(folder / "runs.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM intents").fetchone() == (0,)
    connection.close()
    assert not list(folder.glob("*.damaged-*"))


def test_a_full_store_stops_starts_keeps_ends_and_goes_on_after(folder):
    """The file may not grow: what a full disk does, for a user who cannot mount one."""
    store = SqliteStore.open(folder)
    run, _ = store.begin_run(run_start())
    going = [start_of(store, run, store.next_job()) for _ in range(20)]
    assert begun(store, going) is None
    store.flush()
    failures = []
    store.on_failure = failures.append
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count={pages}")
    huge = [start_of(store, run, store.next_job(), manifest="x" * 100_000) for _ in range(20)]
    assert isinstance(begun(store, huge), StoreError)
    assert "full" in str(failures[0])
    assert len(failures) == 1
    store._connection.execute("PRAGMA max_page_count=1000000")
    for start in going:
        store.ended(end_of(start))
    store.close()
    store = SqliteStore.open(folder)
    assert all(store.job(start.job).state == JobState.SUCCEEDED for start in going)
    assert store.job(huge[0].job) is None
    store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_never_breaks_the_store(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        store = SqliteStore.open(disk / ".scriptflow")
        run, _ = store.begin_run(run_start())
        fine = []
        for _ in range(100):
            start = start_of(store, run, store.next_job(), manifest="x" * 5000)
            if begun(store, [start]) is not None:
                break
            fine.append(start)
            store.ended(end_of(start))
        else:
            raise AssertionError("the disk is not full")
        with pytest.raises(StoreError):
            store.close()
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        store = SqliteStore.open(disk / ".scriptflow")
        assert all(store.job(start.job) is not None for start in fine)
        assert store._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        store.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_lock_of_another_program_is_waited_for_with_one_word(folder):
    SqliteStore.open(folder).close()
    holder = sqlite3.connect(folder / "runs.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    said = []
    with pytest.raises(StoreBusy, match="locked by another program"):
        SqliteStore.open(folder, busy_s=0.8, notice=said.append)
    assert len(said) == 1

    def let_go(text):
        said.append(text)
        holder.execute("ROLLBACK")

    store = SqliteStore.open(folder, notice=let_go)
    do_jobs(store, store.begin_run(run_start())[0], 1)
    store.close()
    holder.close()


def test_a_head_that_ends_without_closing_counts_as_killed(folder):
    head = child(folder, "begun(store, [start_of(store, run, 1)])\nimport os\nos._exit(0)\n")
    assert head.wait(30) == 0
    end_child(head)
    store = SqliteStore.open(folder)
    store.begin_run(run_start())
    assert store.resumed == "demo-1 was cut short: 0 tasks done, 1 interrupted"
    store.close()


@pytest.mark.parametrize("run_ends", [False, True])
def test_what_a_head_killed_after_its_last_record_left_beside_outputs_is_known(folder, run_ends):
    """Also where the end of the run was recorded with them, and where an older job took longer than the last."""
    body = f"""
import os
from scriptflow.core.records import RunCounts
first, last = (start_of(store, run, store.next_job(), outputs=(name,)) for name in ("slow", "last"))
assert begun(store, [first, last]) is None
store.ended(end_of(first, ended=first.started + 60))
store.ended(end_of(last, ended=last.started + 59), lambda: os._exit(9))
if {run_ends}:
    store.end_run("succeeded", RunCounts(ran=2), "")
store.close()
"""
    head = child(folder, body)
    assert head.wait(30) == 9
    end_child(head)
    store = SqliteStore.open(folder)
    assert {os.path.basename(path) for path in store.unfinished} == {"slow", "last"}
    store.begin_run(run_start())
    store.close()
    store = SqliteStore.open(folder)
    assert store.unfinished == []
    store.close()
