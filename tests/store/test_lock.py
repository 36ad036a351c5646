"""One head writes; a dead one is taken over, a live one is named."""

import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
from making import begun, child, do_jobs, end_child, end_of, line_of, run_start, start_of

from scriptflow.core.records import RunCounts
from scriptflow.core.states import JobState, RunState
from scriptflow.errors import StoreBusy, StoreLost
from scriptflow.store import lock
from scriptflow.store.reader import StoreReader
from scriptflow.store.sqlite import SqliteStore

WAIT = "print('ready', flush=True)\nsys.stdin.readline()\n"


def forge(folder, **columns):
    connection = sqlite3.connect(folder / "runs.db")
    here = {"host": socket.gethostname(), "boot": lock.boot_id(), "pid": os.getpid(), "process_start": 1, "since": 1}
    values = {**here, **columns}
    names = ", ".join(f"{name} = ?" for name in values)
    connection.execute(f"UPDATE lease SET {names}", tuple(values.values()))
    connection.commit()
    connection.close()


@pytest.fixture
def made(folder):
    """A store that was closed cleanly."""
    store = SqliteStore.open(folder)
    do_jobs(store, store.begin_run(run_start())[0], 2)
    store.end_run("succeeded", RunCounts(ran=2), "")
    store.close()
    return folder


def test_a_live_head_is_named_and_readers_go_on(folder):
    head = child(folder, WAIT)
    try:
        assert line_of(head) == "ready"
        with pytest.raises(StoreBusy) as caught:
            SqliteStore.open(folder)
        assert caught.value.exits_with == 75
        assert "demo-1" in str(caught.value)
        assert f"process {head.pid} on {socket.gethostname()}" in str(caught.value)
        with StoreReader(folder) as reader:
            assert reader.find_run().status == RunState.RUNNING
    finally:
        end_child(head)


def test_two_stores_in_one_process_are_two_heads(store, folder):
    with pytest.raises(StoreBusy, match=str(os.getpid())):
        SqliteStore.open(folder)


def test_of_twenty_heads_at_once_one_gets_the_store(folder):
    body = "print('got', flush=True)\nsys.stdin.readline()\n"
    heads = [child(folder, body, stderr=subprocess.PIPE) for _ in range(20)]
    try:
        losers = []
        deadline = time.monotonic() + 60
        while len(losers) < 19:
            assert time.monotonic() < deadline
            losers = [head for head in heads if head.poll() is not None]
        (winner,) = set(heads) - set(losers)
        assert line_of(winner) == "got"
        assert all("StoreBusy" in head.stderr.read() for head in losers)
    finally:
        for head in heads:
            end_child(head)
            head.stderr.close()


def test_a_killed_head_is_taken_over_and_its_run_closed(folder):
    body = """
starts = [start_of(store, run, store.next_job()) for _ in range(4)]
begun(store, [*starts[:3], start_of(store, run, store.next_job(), executor="slurm")])
store.ended(end_of(starts[0]))
store.flush()
begun(store, starts[3:])
print("ready", flush=True)
sys.stdin.readline()
"""
    head = child(folder, body)
    line_of(head)
    end_child(head)
    with StoreReader(folder) as reader:
        assert reader.find_run().status == RunState.INTERRUPTED
    store = SqliteStore.open(folder)
    assert store.begin_run(run_start())[1] == "demo-2"
    assert (
        store.resumed == "demo-1 was cut short: 1 task done, 3 interrupted, 1 left with other executors, to be joined"
    )
    states = {number: store.job(number).state for number in range(1, 6)}
    assert states == {1: "succeeded", 2: "lost", 3: "lost", 4: "lost", 5: "started"}
    assert store.job(4).cause == "lost"
    store.begin_run(run_start())
    store.close()
    with StoreReader(folder) as reader:
        assert [r.status for r in reader.runs()][-1] == RunState.INTERRUPTED


def test_a_clean_end_leaves_nothing_to_resume(made):
    store = SqliteStore.open(made)
    store.begin_run(run_start())
    assert store.resumed == ""
    store.close()


@pytest.mark.parametrize("columns", [{"pid": 1}, {}, {"pid": 2**22 - 1}, {"boot": "another start", "pid": 1}])
def test_a_number_that_is_another_process_now_holds_nothing(made, columns):
    forge(made, **columns)
    SqliteStore.open(made).close()


def test_a_live_head_whose_lock_file_was_removed_still_holds_the_store(made):
    forge(made, pid=os.getppid(), process_start=lock.process_start(os.getppid()), run="demo-9")
    with pytest.raises(StoreBusy, match="demo-9"):
        SqliteStore.open(made)


def test_the_reaper_of_a_dead_head_is_waited_for(made):
    forge(made, pid=2**22 - 1)
    reaper = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX)\n"
         "print('held', flush=True)\nsys.stdin.readline()", str(made / "lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert line_of(reaper) == "held"
        opener = child(made, "print('ready', flush=True)\nstore.close()\n")
        reaper.stdin.write("\n")
        reaper.stdin.flush()
        assert line_of(opener) == "ready"
        end_child(opener)
    finally:
        end_child(reaper)


def test_a_reaper_that_never_ends_is_not_waited_for_for_ever(made, monkeypatch):
    monkeypatch.setattr(lock, "DYING_S", 0.2)
    forge(made, pid=2**22 - 1)
    with open(made / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy):
            SqliteStore.open(made)


def test_the_lock_goes_on_with_whoever_shares_it(folder):
    store = SqliteStore.open(folder)
    assert os.get_inheritable(store.lock_fd)
    reaper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[store.lock_fd])
    store._lock._close()  # as if this head had died
    assert lock.is_locked(str(folder))
    reaper.communicate(b"\n")
    assert not lock.is_locked(str(folder))
    store._connection.close()


# --- network disks ------------------------------------------------------------------------------------


def test_a_silent_head_on_another_machine_is_taken_over_with_a_word(made):
    forge(made, host="far", boot="far-boot", pid=7)
    said = []
    store = SqliteStore.open(made, network=True, heartbeat_s=0.1, notice=said.append)
    assert "far" in said[0]
    store.close()


def test_a_beating_head_on_another_machine_is_not(made):
    forge(made, host="far", boot="far-boot", pid=7, run="demo-3")
    beating = subprocess.Popen(
        [sys.executable, "-c", "import sqlite3, sys, time\n"
         "c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
         "while True:\n c.execute('UPDATE lease SET beat = beat + 1'); print('b', flush=True); time.sleep(0.05)",
         str(made / "runs.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert line_of(beating) == "b"
        with pytest.raises(StoreBusy, match="demo-3"):
            SqliteStore.open(made, network=True, heartbeat_s=0.5)
    finally:
        end_child(beating)


def test_on_a_network_disk_a_head_beats_and_writes_without_shared_memory(folder):
    store = SqliteStore.open(folder, network=True, heartbeat_s=0.05)
    run, _ = store.begin_run(run_start())
    do_jobs(store, run, 3)
    assert not (folder / "runs.db-shm").exists()
    reader = sqlite3.connect(folder / "runs.db")
    (before,) = reader.execute("SELECT beat FROM lease").fetchone()
    deadline = time.monotonic() + 30
    while reader.execute("SELECT beat FROM lease").fetchone()[0] < before + 3:
        assert time.monotonic() < deadline
    reader.close()
    store.close()
    with StoreReader(folder) as reading:
        assert len(reading.jobs(run)) == 3


def test_a_store_moves_between_disks(folder):
    for network in (False, True, False):
        store = SqliteStore.open(folder, network=network)
        do_jobs(store, store.begin_run(run_start())[0], 1)
        store.close()
    with StoreReader(folder) as reader:
        assert len(reader.runs()) == 3


def test_a_head_that_lost_its_lease_writes_nothing_more(folder):
    store = SqliteStore.open(folder)
    run, _ = store.begin_run(run_start())
    start = start_of(store, run, store.next_job())
    assert begun(store, [start]) is None
    store.flush()
    lost = []
    store.on_lost = lost.append
    other = sqlite3.connect(folder / "runs.db", isolation_level=None)
    other.execute("UPDATE lease SET epoch = epoch + 1")
    assert isinstance(begun(store, [start_of(store, run, store.next_job())]), StoreLost)
    store.ended(end_of(start), lambda: lost.append("never"))
    with pytest.raises(StoreLost) as caught:
        store.close()
    assert caught.value.exits_with == 75
    assert len(lost) == 1
    assert other.execute("SELECT id, state FROM jobs").fetchall() == [(1, JobState.STARTED)]
    other.close()


def test_a_paused_head_that_wakes_up_replaced_stops(folder):
    body = """
print("ready", flush=True)
for _ in sys.stdin:
    print(type(begun(store, [start_of(store, run, store.next_job())])).__name__, flush=True)
"""
    options = {"network": True, "heartbeat_s": 0.1}
    head = child(folder, body, options=options)
    try:
        line_of(head)
        os.kill(head.pid, signal.SIGSTOP)
        forge_boot = sqlite3.connect(folder / "runs.db", timeout=30)
        forge_boot.execute("UPDATE lease SET boot = 'far', host = 'far'")
        forge_boot.commit()
        forge_boot.close()
        os.unlink(folder / "lock")  # the lock of a machine that is not this one
        store = SqliteStore.open(folder, **options)
        os.kill(head.pid, signal.SIGCONT)
        head.stdin.write("\n")
        head.stdin.flush()
        assert line_of(head) == "StoreLost"
        store.close()
    finally:
        end_child(head)
