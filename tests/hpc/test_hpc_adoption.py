"""The next run joins what a killed or stopped head left: never a second job, never a lost one."""

import os
import signal

import pytest
from clusterflow import ClusterFlow, cancel_program, probe_program, submit_program

from scriptflow.testing.batchtools import ScriptedPbs

PROBES = "case $1 in --version | -help | -B | -V) PROBE=1 ;; *) PROBE= ;; esac\n"
each_count = pytest.mark.parametrize("count", [1, 3], ids=["one", "array"])


@pytest.fixture
def flow(place):
    return ClusterFlow(place.folder / "project", place.executor_class.kind)


def finish(flow, count):
    """Be the next run: it ends well, and every command was begun once, by a job of the first run."""
    flow.go()
    out = flow.run("--n", str(count))
    assert flow.times_run() == [1] * count
    assert flow.jobs() == [("demo-1", 1, "succeeded")] * count, out
    assert flow.submissions() == 1
    assert "up to date" in flow.run("--n", str(count))
    assert flow.times_run() == [1] * count
    return out


@each_count
@pytest.mark.parametrize("step", ["before the intent", "before the submission", "before the answer"])
def test_head_killed_while_submitting(flow, step, count):
    kill = "kill -9 $HEAD; exit 1"
    if step == "before the intent":
        flow.shim(probe_program(flow.kind), f'{PROBES}[ -z "$PROBE" ] || {{ {kill}; }}\nexec $REAL "$@"')
    else:
        submit = "" if step == "before the submission" else '$REAL "$@" >/dev/null; '
        flow.shim(submit_program(flow.kind), f'{PROBES}[ -z "$PROBE" ] || exec $REAL "$@"\n{submit}{kill}')
    flow.killed(flow.start("--n", str(count)))
    flow.unshim()
    finish(flow, count)


@each_count
@pytest.mark.parametrize("state", ["submitted", "running", "ended"])
def test_head_killed_after_submitting(flow, state, count):
    head = flow.start("--n", str(count))
    if state == "submitted":
        flow.until(lambda: flow.submissions() == 1)
    else:
        flow.wait_for(*(f"ran-{number}" for number in range(count)))
    if state == "ended":
        os.kill(head.pid, signal.SIGSTOP)  # so that it does not see the end
        flow.go()
        flow.until(lambda: len(flow.exits()) == count)
    flow.kill(head)
    out = finish(flow, count)
    assert f"{count} left with other executors, to be joined" in out


def test_heads_killed_one_after_the_other_leave_one_job_each(flow):
    for _ in range(3):
        head = flow.start()
        flow.wait_for("ran-0", "ran-1", "ran-2")
        flow.kill(head)
    finish(flow, 3)


def test_jobs_in_the_queue_are_joined(tmp_path, monkeypatch):
    tools = ScriptedPbs(tmp_path / "tools", slots=1)
    monkeypatch.setenv("PATH", f"{tools.commands}:{os.environ['PATH']}")
    flow = ClusterFlow(tmp_path / "project", "pbs")
    try:
        head = flow.start()
        flow.wait_for("ran-0")
        flow.kill(head)
        assert flow.times_run() == [1]
        finish(flow, 3)
    finally:
        tools.close()


def test_task_that_failed_when_nobody_looked_is_tried_again_as_its_second_try(pbs):
    text = """
import scriptflow as sf

async def flow_demo():
    await sf.Task(
        "echo >>ran-0; until [ -e go ]; do sleep 0.05; done; [ $(wc -l <ran-0) = 2 ] && echo >out",
        shell=True, outputs="out", retries=1, name="t",
    )
"""
    flow = ClusterFlow(pbs.folder / "project", "pbs", text)
    head = flow.start()
    flow.wait_for("ran-0")
    flow.kill(head)
    flow.go()
    flow.run()
    assert flow.jobs() == [("demo-1", 1, "failed"), ("demo-2", 2, "succeeded")]


def test_task_without_outputs_is_joined_too(pbs):
    text = """
import scriptflow as sf

async def flow_demo():
    await sf.Task("echo >>ran-0; until [ -e go ]; do sleep 0.05; done", shell=True, name="t")
"""
    flow = ClusterFlow(pbs.folder / "project", "pbs", text)
    head = flow.start()
    flow.wait_for("ran-0")
    flow.kill(head)
    flow.go()
    flow.run()
    assert flow.times_run() == [1]
    flow.run()
    assert flow.times_run() == [2]


def test_job_whose_input_has_changed_is_ended_before_the_new_one_begins(flow):
    head = flow.start("--n", "1")
    flow.wait_for("ran-0")
    flow.kill(head)
    flow.write("in", "other input\n")
    head = flow.start("--n", "1")
    flow.until(lambda: flow.times_run() == [2])
    flow.go()
    out = head.communicate(timeout=60)[0]
    assert "t0 has changed since demo-1" in out
    assert (flow.folder / "out-0").read_text() == "other input\n"
    assert flow.jobs() == [("demo-1", 1, "cancelled"), ("demo-2", 1, "succeeded")]


def test_job_whose_command_has_changed_is_ended_before_the_new_one_begins(pbs):
    flow = ClusterFlow(pbs.folder / "project", "pbs")
    head = flow.start("--n", "1")
    flow.wait_for("ran-0")
    flow.kill(head)
    flow.write("sflow.py", (flow.folder / "sflow.py").read_text().replace("cat in", "cat ./in"))
    flow.go()
    flow.run("--n", "1")
    assert flow.jobs()[1:] == [("demo-2", 1, "succeeded")]
    assert flow.jobs()[0][2] == "cancelled"


def test_job_whose_task_is_gone_is_named_and_left_alone(pbs):
    flow = ClusterFlow(pbs.folder / "project", "pbs")
    head = flow.start("--n", "2")
    flow.wait_for("ran-0", "ran-1")
    flow.kill(head)
    flow.write("out-0", "made by hand\n")
    head = flow.start("--n", "1")
    flow.go()
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 0, out
    assert "1 job of an earlier run may go on and no task of this flow equals it: t1" in out
    flow.run("--n", "2")
    assert flow.times_run() == [1, 1]


def test_term_leaves_the_jobs_running_and_the_next_run_joins_them(flow):
    head = flow.start()
    flow.wait_for("ran-0", "ran-1", "ran-2")
    head.terminate()
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 143, out
    assert "3 jobs go on without this run" in out
    assert not flow.exits()
    finish(flow, 3)


def test_term_amid_a_submission_loses_nothing(flow):
    submit = f'$REAL "$@" >{flow.folder}/answer; touch {flow.folder}/sent; sleep 5; cat {flow.folder}/answer'
    flow.shim(submit_program(flow.kind), f'{PROBES}[ -z "$PROBE" ] || exec $REAL "$@"\n{submit}')
    head = flow.start()
    flow.wait_for("sent")
    head.terminate()
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 143, out
    flow.unshim()
    finish(flow, 3)


def test_interrupt_cancels_all_jobs_with_one_command(flow):
    flow.shim(cancel_program(flow.kind), f'echo "$@" >>{flow.folder}/cancels; exec $REAL "$@"')
    head = flow.start()
    flow.wait_for("ran-0", "ran-1", "ran-2")
    head.send_signal(signal.SIGINT)
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 130, out
    assert len((flow.folder / "cancels").read_text().splitlines()) == 1
    assert {state for _, _, state in flow.jobs()} == {"cancelled"}


def test_second_interrupt_does_not_wait_for_a_silent_scheduler(flow):
    flow.shim(cancel_program(flow.kind), f"touch {flow.folder}/asked; sleep 1000")
    head = flow.start()
    flow.wait_for("ran-0", "ran-1", "ran-2")
    head.send_signal(signal.SIGINT)
    flow.wait_for("asked")
    head.send_signal(signal.SIGINT)
    out = head.communicate(timeout=20)[0]
    assert head.returncode == 130, out
    flow.unshim()
    finish(flow, 3)


def test_output_that_a_shared_disk_shows_late_is_waited_for(pbs):
    text = """
import scriptflow as sf

async def flow_demo():
    await sf.Task("true", outputs="late", name="t")
"""
    flow = ClusterFlow(pbs.folder / "project", "pbs", text)
    head = flow.start()
    flow.until(flow.exits)
    flow.write("late", "here")
    assert head.wait(60) == 0


def test_output_that_never_comes_is_missing_after_the_wait(pbs):
    text = """
import scriptflow as sf

async def flow_demo():
    await sf.Task("true", outputs="never", name="t")
"""
    flow = ClusterFlow(pbs.folder / "project", "pbs", text)
    flow.write("scriptflow.toml", 'latency_wait = "0.5s"\n[executors.pbs]\n')
    assert "it left no never" in flow.run(code=1)
