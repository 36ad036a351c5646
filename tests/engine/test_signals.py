"""Signals to a run, as a user and a batch system send them, and the ways in which a flow itself ends."""

import os
import pty
import signal
import sqlite3
import time

import pytest
from places import PYTHON, alive, until

from scriptflow.store.reader import StoreReader

SLOW = """
    import scriptflow as sf
    async def flow_demo():
        await sf.Task("echo 1 > first", shell=True, outputs="first")
        await sf.bag(
            *[sf.Task(["sh", "-c", "echo half > $0; echo $$ > pid-$0; [ -e go ] || {{ {wait} }}; echo whole > $0", n],
                      inputs="first", outputs=n) for n in ("a", "b")],
            sf.Task("cat a b > c", shell=True, inputs=["a", "b"], outputs="c"),
        )
"""
OBEDIENT = "exec sleep 60;"
DEAF = "trap '' TERM INT HUP; while :; do sleep 0.1; done;"
UNTIL_GO = "until [ -e go ]; do sleep 0.01; done;"


def begin(here, wait, *words):
    """Start the flow and wait until both jobs are at work; return head and the jobs' processes."""
    head = here.start(SLOW.format(wait=wait), "-j", "2", *words)
    pids = [here.appears(f"pid-{name}", process=head) for name in ("a", "b")]
    return head, pids


def store_of(here):
    return StoreReader(here / ".scriptflow")


def assert_stopped(here, pids, word="cancelled"):
    for pid in pids:
        until(lambda pid=pid: not alive(pid), 2, "a job is dead")
    for name in ("a", "b", "c"):
        assert not (here / name).exists()
    with store_of(here) as store:
        run = store.find_run()
        assert run.status == word
        assert run.ended is not None
        assert {job.task: (job.state, job.cause) for job in store.jobs(run.id)} == {
            "first": ("succeeded", None), "a": ("cancelled", "cancelled"), "b": ("cancelled", "cancelled"),
        }  # fmt: skip
        assert (run.counts.ran, run.counts.cancelled, run.counts.failed) == (1, 3, 0)


def assert_resumes(here):
    (here / "go").touch()
    done = here.cli(None, "run", "--json")
    assert '"ran": 3, "skipped": 1' in done.stdout
    assert (here / "c").read_text() == "whole\nwhole\n"
    assert '"ran": 0, "skipped": 4' in here.cli(None, "run", "--json").stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_jobs_and_run_and_the_next_run_goes_on(here, number, code):
    head, pids = begin(here, OBEDIENT)
    began = time.monotonic()
    head.send_signal(number)
    done = here.end_of(head, code=code)
    assert time.monotonic() - began < 3
    assert "Traceback" not in done.stderr
    assert "scriptflow run" in done.stderr
    assert_stopped(here, pids)
    assert_resumes(here)


def test_ctrl_c_twice_kills_jobs_that_ignore_term_at_once(here):
    head, pids = begin(here, DEAF)
    head.send_signal(signal.SIGINT)
    time.sleep(0.3)  # two keys, a moment apart
    assert head.poll() is None
    assert all(map(alive, pids))
    began = time.monotonic()
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130)
    assert time.monotonic() - began < 2
    assert_stopped(here, pids)
    assert_resumes(here)


def test_ctrl_c_then_term_kills_at_once_too(here):
    head, pids = begin(here, DEAF)
    head.send_signal(signal.SIGINT)
    time.sleep(0.3)
    head.send_signal(signal.SIGTERM)
    here.end_of(head, code=130, limit=3)
    assert_stopped(here, pids)


def test_once_is_enough_for_deaf_jobs_after_the_grace(here):
    here.env["SCRIPTFLOW_GRACE"] = "0.5"
    head, pids = begin(here, DEAF)
    began = time.monotonic()
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130)
    assert 0.5 <= time.monotonic() - began < 3
    assert_stopped(here, pids)


def test_a_stopped_job_may_clean_up_after_itself(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            await sf.Task(["sh", "-c", "trap 'sleep 0.3; echo clean > ../cleaned; exit 1' TERM; echo > ../up; "
                           "while :; do sleep 0.05; done"], cwd="sub", outputs="out")
    """
    (here / "sub").mkdir()
    head = here.start(text.replace("../", ""))
    (here / "sub").exists()
    here.appears("sub/up", process=head)
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130)
    assert (here / "sub/cleaned").read_text() == "clean\n"


def test_a_job_that_ends_well_at_its_term_is_not_taken_for_done(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            await sf.Task(["sh", "-c", "trap 'exit 0' TERM; echo half > out; echo > up; while :; do sleep 0.05; done"],
                          outputs="out")
    """
    head = here.start(text)
    here.appears("up", process=head)
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130)
    assert not (here / "out").exists()
    assert '"would_run": [{"task": "out"' in here.cli(None, "plan", "--json").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_flow_s_own_code_runs_ends_it_when_sent_again(here, number):
    """The first one waits for the flow's next await, as asyncio's own does."""
    text = """
        import time
        import scriptflow as sf
        async def flow_demo():
            await sf.Task("touch a", outputs="a")
            sf.Task("sh -c 'echo $$ > pid; exec sleep 60'", outputs="b").start()
            await sf.Task("sh -c 'until [ -e pid ]; do sleep 0.01; done; touch c'", outputs="c")
            open("busy", "w").write("x")
            time.sleep(60)
    """
    head = here.start(text)
    here.appears("busy", process=head)
    pid = here.appears("pid", process=head)
    head.send_signal(number)
    time.sleep(0.3)
    head.send_signal(number)
    here.end_of(head, code=128 + number, limit=8)
    assert not alive(pid)
    with store_of(here) as store:
        assert store.find_run().status == "cancelled"


def test_a_signal_while_a_flow_of_nothing_to_do_runs_ends_it(here):
    head = here.start("""
        import time
        async def flow_demo():
            open("busy", "w").write("x")
            time.sleep(60)
    """)
    here.appears("busy", process=head)
    head.send_signal(signal.SIGINT)
    done = here.end_of(head, code=130, limit=5)
    assert "Traceback" not in done.stderr


def test_a_flow_that_cleans_up_at_ctrl_c_may_do_so(here):
    text = """
        import asyncio
        import scriptflow as sf
        async def flow_demo():
            try:
                await sf.Task("sh -c 'echo > up; exec sleep 60'", outputs="a")
            finally:
                open("cleaned", "w").write("x")
    """
    head = here.start(text)
    here.appears("up", process=head)
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130, limit=8)
    assert (here / "cleaned").exists()


def test_ctrl_c_ends_a_flow_that_waits_for_something_else(here):
    text = """
        import asyncio
        import scriptflow as sf
        async def flow_demo():
            await sf.Task("touch a", outputs="a")
            open("up", "w").write("x")
            await asyncio.sleep(60)
    """
    head = here.start(text)
    here.appears("up", process=head)
    head.send_signal(signal.SIGINT)
    done = here.end_of(head, code=130, limit=5)
    assert "Traceback" not in done.stderr


def test_hup_carries_on(here):
    head, _ = begin(here, UNTIL_GO)
    head.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert head.poll() is None
    (here / "go").touch()
    here.end_of(head, code=0)
    assert (here / "c").read_text() == "whole\nwhole\n"


def test_hup_of_a_closed_terminal_carries_on_without_a_screen(here):
    """The live display draws on a terminal that then goes away."""
    here.write(SLOW.format(wait=UNTIL_GO))
    main, sub = pty.openpty()
    code = ("import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "os.execv(sys.executable, [sys.executable, '-m', 'scriptflow', 'run', '-j', '2'])")  # fmt: skip
    import subprocess

    head = subprocess.Popen([PYTHON, "-c", code], cwd=here.folder, env=here.env, stdin=sub, stdout=sub, stderr=sub,
                            start_new_session=True)  # fmt: skip
    os.close(sub)
    try:
        until(lambda: (here / "pid-a").exists() and (here / "pid-b").exists(), 10, "both jobs")
        os.close(main)
        (here / "go").touch()
        assert head.wait(15) == 0
    finally:
        head.kill()
        head.wait()
    assert (here / "c").read_text() == "whole\nwhole\n"
    with store_of(here) as store:
        assert store.find_run().status == "succeeded"


def test_nohup_stays_deaf_to_hup(here):
    here.write(SLOW.format(wait=UNTIL_GO))
    head = here.popen("nohup", PYTHON, "-m", "scriptflow", "run", "-j", "2")
    for name in ("pid-a", "pid-b"):
        here.appears(name, process=head)
    os.killpg(head.pid, signal.SIGHUP)
    (here / "go").touch()
    here.end_of(head, code=0)


def test_a_stopped_and_continued_run_goes_on(here):
    head, _ = begin(here, UNTIL_GO)
    head.send_signal(signal.SIGSTOP)
    (here / "go").touch()
    time.sleep(0.3)
    head.send_signal(signal.SIGCONT)
    here.end_of(head, code=0)


def test_a_second_run_beside_a_live_one_is_refused_and_names_it(here):
    head, _ = begin(here, UNTIL_GO)
    done = here.cli(None, "run", code=75)
    assert str(head.pid) in done.stderr
    (here / "go").touch()
    here.end_of(head, code=0)


def test_plain_python_stopped_by_ctrl_c_dies_of_it(here):
    here.write("""
        import scriptflow as sf
        async def flow():
            await sf.Task("sh -c 'echo $$ > pid; exec sleep 60'", outputs="a")
        sf.run(flow)
    """, "script.py")  # fmt: skip
    child = here.popen(PYTHON, "script.py")
    pid = here.appears("pid", process=child)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=10)
    assert child.returncode in (-signal.SIGINT, 130)
    assert not alive(pid)


def test_plain_python_stopped_by_term_does_not_look_like_a_success(here):
    here.write("""
        import scriptflow as sf
        async def flow():
            await sf.Task("sh -c 'echo $$ > pid; exec sleep 60'", outputs="a")
        sf.run(flow)
        open("after", "w").close()
    """, "script.py")  # fmt: skip
    child = here.popen(PYTHON, "script.py")
    pid = here.appears("pid", process=child)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=10)
    assert child.returncode not in (0, 1)
    assert not alive(pid)
    assert not (here / "after").exists()


# --- how the flow itself ends -------------------------------------------------------------------


ENDS = """
    import sys
    import scriptflow as sf
    async def flow_demo():
        {first}
        {last}
"""
FIRST = {"nothing": "pass", "a job that ended": "await sf.Task('touch a', outputs='a')",
         "a job that runs": "sf.Task(['sh', '-c', 'sleep 0.3; echo > b'], outputs='b').start()"}  # fmt: skip


@pytest.mark.parametrize("first", FIRST)
def test_a_flow_that_raises_exits_1_and_shows_his_line(here, first):
    done = here.cli(ENDS.format(first=FIRST[first], last="raise ValueError('odd data')"), "run", code=1)
    assert "ValueError: odd data" in done.stderr
    assert "sflow.py" in done.stderr
    assert done.stderr.count("Traceback") == 1
    with store_of(here) as store:
        run = store.find_run()
    assert run.status == "failed"
    assert "odd data" in run.message


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize(("last", "code", "said"), [
    ("sys.exit(3)", 3, ""), ("sys.exit()", 0, ""), ("sys.exit(0)", 0, ""), ("sys.exit('no data')", 1, "no data"),
])  # fmt: skip
def test_sys_exit_in_a_flow_exits_with_its_code(here, first, last, code, said):
    done = here.cli(ENDS.format(first=FIRST[first], last=last), "run", code=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (here / ".b.sf-part").exists()
    with store_of(here) as store:
        run = store.find_run()
        assert run.status in (("succeeded",) if code == 0 else ("failed",))
        assert not [job for job in store.jobs(run.id) if job.ended is None]


def test_a_flow_that_catches_everything_still_ends_at_ctrl_c(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            for n in range(1000):
                try:
                    await sf.Task(["sh", "-c", "echo > up; exec sleep 60", str(n)], outputs=f"o{n}")
                except BaseException:
                    pass
    """
    head = here.start(text)
    here.appears("up", process=head)
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130, limit=8)


def test_a_store_is_whole_after_a_stop(here):
    head, _ = begin(here, OBEDIENT)
    head.send_signal(signal.SIGINT)
    here.end_of(head, code=130)
    connection = sqlite3.connect(here / ".scriptflow/runs.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT count(*) FROM intents").fetchall() == [(0,)]
    connection.close()
