"""Signals to the head, and to its group as a terminal sends them: exit code, time, nothing left, nothing half-made."""

import os
import signal
import sys
import time

import pytest
from ground import alive, until

GRACE_S = 5.0
JOBS = {
    "obedient": "sleep 99",
    "in the background": "sleep 99 & sleep 98 & wait",
    "in the background, its parent gone": "sleep 99 & sleep 98 & until [ -e never ]; do sleep 0.05; done",
    "of a double fork": "sh -c 'sleep 99 & ' & wait; sleep 98",
    "in a session of its own": "setsid sleep 99 & sleep 98",
    "of a double fork in a session of its own": "(setsid sh -c 'sleep 99 & sleep 97' &) ; sleep 98",
    "stopped": "sh -c 'kill -STOP $$' & kill -STOP $$",
    "all stopped": "setsid sh -c 'kill -STOP $$' & kill -STOP $$",
}
DEAF = {
    "deaf to TERM": "trap '' TERM INT HUP; sleep 99 & while :; do sleep 0.2; done",
    "deaf in a session of its own": "trap '' TERM INT HUP; setsid sleep 99 & while :; do sleep 0.2; done",
}
# Makes the terminal the session's own, so that closing it is a real hang-up.
ON_TERMINAL = """
import fcntl, os, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
for number in range(3):
    os.dup2(terminal, number)
os.execv(sys.argv[2], sys.argv[2:])
"""
FLOW = """
    async def flow_signals():
        await sf.bag(*(sf.Task(["sh", "-c", 'echo $$ > pid-%d; echo cut > out-%d; ' % (n, n) + {job!r}],
                               outputs="out-%d" % n, name="t%d" % n) for n in range(3)))
"""


def begin(ground, job):
    """Start three such jobs and wait until their commands are at work; return the head."""
    ground.flow(FLOW.format(job=job))
    head = ground.start("run", "-j", "3")
    until(lambda: all((ground / f"out-{n}").exists() and (ground / f"out-{n}").read_text() for n in range(3)),
          what="three jobs", head=head)  # fmt: skip
    return head


def stop(head, number, to):
    """Send the signal; return when."""
    if to == "group":
        head.signal_group(number)
    else:
        head.send_signal(number)
    return time.monotonic()


def assert_stopped(ground, head, began, *, code, within):
    told = head.end(code)
    took = time.monotonic() - began
    assert took < within, f"took {took:.2f} s\n{told}"
    assert "Traceback" not in told, told
    ground.assert_no_process(within=0.3)
    assert not [n for n in range(3) if (ground / f"out-{n}").exists()]
    assert ground.litter() == []
    ground.assert_sound()
    assert ground.answer("runs")[0]["status"] in ("cancelled", "stopped", "interrupted")


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize(("number", "to", "code"), [
    (signal.SIGINT, "head", 130), (signal.SIGINT, "group", 130),
    (signal.SIGTERM, "head", 143), (signal.SIGTERM, "group", 143),
])  # fmt: skip
def test_a_stop_ends_a_job_at_once_and_leaves_nothing(ground, job, number, to, code):
    head = begin(ground, JOBS[job])
    assert_stopped(ground, head, stop(head, number, to), code=code, within=1.0)


@pytest.mark.parametrize("job", DEAF)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_ends_a_deaf_job_after_the_grace(ground, job, number, code):
    head = begin(ground, DEAF[job])
    assert_stopped(ground, head, stop(head, number, "head"), code=code, within=GRACE_S + 1)


@pytest.mark.parametrize("job", DEAF)
@pytest.mark.parametrize("to", ["head", "group"])
def test_a_second_interrupt_ends_a_deaf_job_at_once(ground, job, to):
    head = begin(ground, DEAF[job])
    stop(head, signal.SIGINT, to)
    until(lambda: "told to end" in head.told(), what="an answer to the first", head=head)
    assert_stopped(ground, head, stop(head, signal.SIGINT, to), code=130, within=1.0)


def test_two_interrupts_within_a_moment_end_at_once(ground):
    head = begin(ground, DEAF["deaf to TERM"])
    stop(head, signal.SIGINT, "head")
    time.sleep(0.02)  # what two quick keys are apart
    assert_stopped(ground, head, stop(head, signal.SIGINT, "head"), code=130, within=1.0)


def test_an_interrupt_says_what_was_stopped_and_how_to_go_on(ground):
    head = begin(ground, JOBS["obedient"])
    head.send_signal(signal.SIGINT)
    told = head.end(130)
    assert "3 running jobs" in told
    assert "scriptflow run" in told


@pytest.mark.parametrize("to", ["head", "group"])
def test_a_lost_terminal_does_not_end_the_run(ground, to):
    head = begin(ground, "until [ -e go ]; do sleep 0.02; done")
    stop(head, signal.SIGHUP, to)
    (ground / "go").touch()
    head.end(0)
    assert all((ground / f"out-{n}").exists() for n in range(3))
    ground.assert_no_process()


def test_a_lost_terminal_whose_screen_is_gone_does_not_end_the_run(ground):
    """With the terminal gone too: what is written to it fails from then on."""
    main, sub = os.openpty()
    ground.flow(FLOW.format(job="until [ -e go ]; do sleep 0.02; done"))
    tty = os.ttyname(sub)
    head = ground.start("run", "-j", "3", before=[sys.executable, "-c", ON_TERMINAL, tty])
    os.close(sub)
    until(lambda: all((ground / f"out-{n}").exists() for n in range(3)), what="three jobs", head=head)
    os.close(main)
    (ground / "go").touch()
    head.end(0)
    assert all((ground / f"out-{n}").exists() for n in range(3))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(ground, number):
    """As under nohup, and for a background job of a script."""
    ground.flow(FLOW.format(job="until [ -e go ]; do sleep 0.02; done"))
    name = number.name.removeprefix("SIG")
    head = ground.start("run", "-j", "3", before=["sh", "-c", f'trap "" {name}; exec "$@"', "sh"])
    until(lambda: all((ground / f"out-{n}").exists() for n in range(3)), what="three jobs", head=head)
    head.send_signal(number)
    (ground / "go").touch()
    head.end(0)


def test_a_stop_before_the_first_job_leaves_nothing(ground):
    ground.flow("""
        import time
        open("up", "w").close()
        time.sleep(99)
        async def flow_signals(): pass
    """)
    head = ground.start("run")
    until((ground / "up").exists, what="the flow file's first line", head=head)
    head.send_signal(signal.SIGTERM)
    told = head.end(limit=5)
    assert head.returncode in (143, -signal.SIGTERM), told
    assert "Traceback" not in told
    ground.assert_no_process()


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.08, 0.1, 0.15, 0.2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_at_any_instant_of_the_start_leaves_nothing(ground, delay_s, number, code):
    ground.flow(FLOW.format(job="sleep 99"))
    head = ground.start("run", "-j", "3")
    time.sleep(delay_s)  # the instant is what is tried out
    head.send_signal(number)
    told = head.end(limit=5)
    assert head.returncode in (code, -number), told
    ground.assert_no_process()
    assert ground.litter() == []


def test_a_stopped_run_goes_on_where_it_was(ground):
    ground.flow("""
        async def flow_signals():
            await sf.Task(["sh", "-c", "echo >> first-ran; echo 1 > first"], outputs="first")
            await sf.Task(["sh", "-c", "echo cut > second; [ -e go ] || sleep 99; cat first > second"],
                          inputs="first", outputs="second")
    """)
    head = ground.start("run")
    until(lambda: (ground / "second").exists(), what="the second task", head=head)
    head.send_signal(signal.SIGINT)
    head.end(130)
    (ground / "go").touch()
    assert ground.counts() == (1, 1, 0)
    assert (ground / "second").read_text() == "1\n"
    assert (ground / "first-ran").read_text() == "\n"


def test_a_killed_head_leaves_no_process_for_a_second(ground):
    for number, job in enumerate([*JOBS.values(), *DEAF.values()]):
        for n in range(3):
            (ground / f"out-{n}").unlink(missing_ok=True)
        head = begin(ground, job + f"; : {number}")
        head.kill()
        head.wait()
        ground.assert_no_process(within=0.3)


def test_a_daemon_neither_holds_its_task_nor_outlives_it(ground):
    ground.flow("""
        async def flow_daemon():
            await sf.Task(["sh", "-c", "setsid sleep 99 & echo $! > pid; echo done > out"], outputs="out")
            with open("pid") as file:
                pid = int(file.read())
            await sf.Task(["sh", "-c", "sleep 0.5; ! grep -q sleep /proc/%d/comm" % pid], outputs=[])
    """)
    began = time.monotonic()
    ground.run()
    assert time.monotonic() - began < 5
    assert not alive(int((ground / "pid").read_text()))
