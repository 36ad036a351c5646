"""``why TASK --blocked``: why a task is not running now."""

import signal
import time

import pytest

SLOW = """
async def flow_demo():
    command = "echo > begun; while test ! -e go; do sleep 0.02; done; echo > a"
    slow = sf.Task(["sh", "-c", command], outputs="a", name="slow")
    other = sf.Task("touch b", outputs="b", name="other")
    last = sf.Task("touch c", inputs=[slow], outputs="c", name="last")
    await sf.bag(slow, other, last)
"""


def until(question):
    limit = time.monotonic() + 20
    while not (answer := question()):
        assert time.monotonic() < limit
        time.sleep(0.02)
    return answer


@pytest.fixture
def running(asked):
    """A run with room for one job, which is at its first task."""
    asked.flow(SLOW)
    head = asked.popen("run", "-j", "1")
    until((asked / "begun").exists)
    asked.head = head
    yield asked
    (asked / "go").touch()
    if head.poll() is None:
        head.send_signal(signal.SIGINT)
    head.communicate()


def blocked(asked, task):
    reasons = asked.json("why", task, "--blocked")["reasons"]
    return [(reason["code"], reason["detail"]) for reason in reasons]


def test_each_cause_of_waiting_is_told(running):
    ((code, detail),) = until(lambda: blocked(running, "slow"))
    assert code == "running"
    assert detail.startswith("it is running: job 1 on local since ")
    assert blocked(running, "last") == [("waits-for", "slow, which is running on local")]
    # How much room there is, is recorded a moment after the first job began.
    ((code, detail),) = until(lambda: [one for one in blocked(running, "other") if "room for" in one[1]])
    assert (code, detail[:25]) == ("no-room", "local has 1 in flight (ro")
    assert "slow, which is running on local" in running("why", "last", "--blocked").stdout


def test_ended_run_is_told(running):
    (running / "go").touch()
    running.head.wait()
    assert [code for code, _ in blocked(running, "slow")] == ["run-ended", "done"]


def test_dead_head_is_told(running):
    running.head.kill()
    running.head.wait()
    until(lambda: blocked(running, "slow")[0][0] == "head-dead")


def test_failure_before_it_is_told(asked):
    asked.flow("""
        async def flow_demo():
            await sf.bag(
                sf.Task("false", outputs="a", name="first"), sf.Task("touch c", inputs="a", outputs="c", name="last")
            )
    """)("run", code=1)
    codes = dict(blocked(asked, "last"))
    assert codes["upstream-failed"] == "first failed (exit 1); scriptflow logs first"
    assert dict(blocked(asked, "first"))["failed"].startswith("attempt 1 ended (exit 1)")


def test_several_tasks_are_refused_by_name(asked):
    asked.flow(SLOW.replace("test ! -e go", "false"))("run")
    assert "'*' means 3 tasks" in asked("why", "*", "--blocked", code=2).stderr
    asked("why", "nope", "--blocked", code=2)
