"""Two heads in one folder: one wins, the others say who; one that slept past its lease stops without writing."""

import contextlib
import json
import os
import signal
import sqlite3

from ground import until

WAITS = """
    async def flow_waits():
        await sf.Task(["sh", "-c", "echo $$ >> ran; echo half > out; until [ -e go ]; do sleep 0.01; done; "
                                   "echo all > out"], outputs="out", name="waits")
        await sf.Task(["sh", "-c", "echo >> after-ran; cat out > after"], inputs="out", outputs="after")
"""


def begin(ground):
    ground.flow(WAITS)
    head = ground.start("run")
    until(lambda: (ground / "out").exists() and (ground / "out").read_text(), what="the first task", head=head)
    return head


def store(ground):
    return contextlib.closing(sqlite3.connect(ground / ".scriptflow/runs.db", timeout=10))


def test_of_twenty_heads_at_once_one_wins_and_the_others_name_it(ground):
    ground.flow(WAITS)
    heads = [ground.start("run") for _ in range(20)]
    until(lambda: sum(head.poll() is not None for head in heads) == 19, what="nineteen ends")
    (ground / "go").touch()
    codes = [(head.wait(30), head) for head in heads]
    (winner,) = [head for code, head in codes if code == 0]
    assert sorted(code for code, _ in codes) == [0] + [75] * 19
    for _, head in codes:
        if head is not winner:
            assert str(winner.pid) in head.told(), head.told()
            assert os.uname().nodename in head.told()
    assert len((ground / "ran").read_text().splitlines()) == 1
    ground.assert_sound()


def test_a_second_head_is_refused_whatever_it_would_do(ground):
    head = begin(ground)
    for words in (["run"], ["run", "--force", "*"], ["run", "--only", "waits"], ["run", "-C", str(ground.folder)]):
        assert str(head.pid) in ground.call(*words, code=75)
    (ground / "go").touch()
    head.end(0)


def test_reading_commands_work_during_a_run(ground):
    head = begin(ground)
    assert ground.answer("status")["running"] == 1
    assert ground.answer("runs")[0]["status"] == "running"
    assert ground.answer("show", "waits")["state"] in ("started", "running")
    for words in (
        ["list"],
        ["plan"],
        ["run", "-n"],
        ["logs", "waits"],
        ["show", "waits-1"],
        ["status"],
        ["doctor"],
        ["config"],
    ):
        ground.call(*words)
    (ground / "go").touch()
    head.end(0)


def test_the_status_of_a_run_counts_what_was_shown_as_done(ground):
    ground.flow("""
        async def flow_counts():
            words = "[ %d -lt 6 ] || until [ -e go ]; do sleep 0.01; done; echo > out-%d"
            await sf.bag(*(sf.Task(["sh", "-c", words % (n, n)], outputs="out-%d" % n) for n in range(12)))
    """)
    head = ground.start("run", "-j", "12")
    until(lambda: head.told().count(" ok ") == 6, what="six ends", head=head)
    until(lambda: ground.answer("status")["ran"] == 6, limit=5, what="six in the status")
    assert ground.answer("status")["queued"] == 0
    (ground / "go").touch()
    head.end(0)


def test_reading_commands_work_beside_a_killed_head_that_nobody_followed(ground):
    head = begin(ground)
    head.kill()
    head.wait()
    ground.assert_no_process(within=0.3)
    assert ground.answer("runs")[0]["status"] != "succeeded"
    for words in (["list"], ["plan"], ["logs", "waits"], ["show", "waits"], ["status"]):
        assert "Traceback" not in ground.call(*words)


def test_a_killed_head_is_followed_at_once(ground):
    head = begin(ground)
    head.kill()
    (ground / "go").touch()
    told = ground.run(limit=5)
    assert "1 interrupted" in told
    assert len((ground / "ran").read_text().splitlines()) == 2
    assert ground.counts() == (0, 2, 0)


def test_a_sleeping_head_on_this_machine_is_not_taken_over(ground):
    """It is alive, and holds the lock: a suspended laptop's head goes on when it wakes."""
    head = begin(ground)
    head.send_signal(signal.SIGSTOP)
    assert str(head.pid) in ground.call("run", code=75, limit=20)
    head.send_signal(signal.SIGCONT)
    (ground / "go").touch()
    head.end(0)


def test_a_head_that_lost_its_lease_while_asleep_stops_without_writing(ground):
    """The lease of a head elsewhere was taken over: its row names another, with a higher epoch."""
    head = begin(ground)
    until(lambda: ground.answer("status")["running"] == 1, what="the started row", head=head)
    head.send_signal(signal.SIGSTOP)
    with store(ground) as rows:
        rows.execute("UPDATE lease SET epoch = epoch + 1, host = 'elsewhere', boot = 'b', pid = 1, process_start = 1")
        rows.commit()
        before = list(rows.iterdump())
    (ground / "go").touch()
    head.send_signal(signal.SIGCONT)
    told = head.end(75)
    assert "Traceback" not in told
    assert "ok    waits" not in told, f"shown, but not on record\n{told}"
    with store(ground) as rows:
        assert list(rows.iterdump()) == before
    assert not (ground / "after").exists()
    ground.assert_no_process(within=0.3)


def forge(ground, **row):
    """Write a dead head's name into the store of a finished run."""
    ground.flow("async def flow_demo(): await sf.Task('touch out', outputs='out')")
    ground.run()
    with store(ground) as rows:
        rows.execute(
            "UPDATE lease SET epoch = epoch + 1, host = :host, boot = :boot, pid = :pid, process_start = :start, "
            "since = 1, run = 'demo-1'",
            {"host": os.uname().nodename, "boot": "", "pid": 1, "start": 1} | row,
        )
        rows.commit()


def boot():
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def test_a_lease_of_another_boot_is_taken_over_whoever_has_that_pid_now(ground):
    forge(ground, boot="another boot", pid=os.getpid())
    assert ground.counts() == (0, 1, 0)


def test_a_lease_of_a_process_number_used_again_is_taken_over(ground):
    forge(ground, boot=boot(), pid=os.getpid(), start=1)
    assert ground.counts() == (0, 1, 0)


def test_a_lease_of_process_1_is_taken_over(ground):
    forge(ground, boot=boot(), pid=1, start=123456789)
    assert ground.counts() == (0, 1, 0)


def test_a_lease_of_a_live_process_without_the_lock_is_respected(ground):
    """As when somebody removed the lock file under a live head."""
    with open("/proc/self/stat") as file:
        start = int(file.read().rpartition(")")[2].split()[19])
    forge(ground, boot=boot(), pid=os.getpid(), start=start)
    assert str(os.getpid()) in ground.call("run", code=75)


def test_a_removed_lock_file_does_not_let_a_second_head_in(ground):
    head = begin(ground)
    (ground / ".scriptflow/lock").unlink()
    assert str(head.pid) in ground.call("run", code=75)
    (ground / "go").touch()
    head.end(0)
    assert len((ground / "ran").read_text().splitlines()) == 1


def test_a_head_whose_store_was_moved_away_stops_and_says_so(ground):
    """The lock goes with the folder, so a second head may begin: said in docs/explanation/reliability.md."""
    head = begin(ground)
    (ground / ".scriptflow").rename(ground / "away")
    (ground / "go").touch()
    told = head.end(1)
    assert "moved or removed" in told, told
    assert "Traceback" not in told, told
    assert not (ground / "after").exists()
    assert ground.counts()[0] == 2


def test_the_refusal_is_one_json_document_too(ground):
    head = begin(ground)
    told = ground.call("run", "--json", code=75)
    last = told.splitlines()[-1]
    assert str(head.pid) in told
    if last.startswith("{"):
        json.loads(last)
    (ground / "go").touch()
    head.end(0)
