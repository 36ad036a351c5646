"""A job is submitted exactly once, whatever happens to its head, to an answer or to the daemon."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from beds import QUICK, until

from scriptflow.core.frozen import changed
from scriptflow.core.states import JobState

HEAD = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from beds import Place
from scriptflow.hpc.pbs import PbsExecutor
from scriptflow.hpc.sge import SgeExecutor
from scriptflow.hpc.slurm import SlurmExecutor
from pathlib import Path

async def main(count):
    place = Place({{"pbs": PbsExecutor, "sge": SgeExecutor, "slurm": SlurmExecutor}}[{kind!r}], Path({folder!r}))
    async with place.executor() as executor:
        jobs = [place.job(f"echo >> ran-{{n}}; until [ -e go ]; do sleep 0.1; done; exit {{n}}") for n in range(count)]
        ids = await asyncio.gather(*(executor.submit(job) for job in jobs))
        print(*ids, flush=True)
        await asyncio.sleep(100)

asyncio.run(main({count}))
"""


def submit_program(place):
    return "sbatch" if place.executor_class.kind == "slurm" else "qsub"


def shim(place, monkeypatch, program, text):
    """Put a program of this name in front of the real one, which ``text`` finds in ``$REAL``."""
    folder = place.folder / "shims"
    folder.mkdir(exist_ok=True)
    path = folder / program
    real = shutil.which(program)
    asked = f'case $1 in --version | -help | -B) exec {real} "$@" ;; esac'  # what it is, not what it shall do
    path.write_text(f"#!/bin/sh\n{asked}\nREAL={real}\ncd {folder}\nFROM=$OLDPWD\n{text}\n")
    path.chmod(0o755)
    if str(folder) not in os.environ["PATH"]:
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def jobs_of(place, count):
    return [place.job(f"echo >> ran-{n}; until [ -e go ]; do sleep 0.1; done; exit {n}") for n in range(count)]


def take_over(place, count):
    """Be the head that comes after: hand the same jobs in again."""

    async def body(executor):
        ids = await asyncio.gather(*(executor.submit(job) for job in jobs_of(place, count)))
        (place.folder / "go").touch()
        return await asyncio.gather(*(executor.wait(job_id) for job_id in ids))

    return [report.exit_code for report in place.run(body)]


def ran_once(place, count):
    return all((place.folder / f"ran-{n}").read_text() == "\n" for n in range(count))


def start_head(place, count):
    program = HEAD.format(
        tests=str(Path(__file__).parent), kind=place.executor_class.kind, folder=str(place.folder), count=count
    )
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("count", [1, 3], ids=["one", "array"])
@pytest.mark.parametrize("step", ["before", "after"])
def test_head_killed_around_the_submission_leaves_one_job(place, monkeypatch, step, count):
    kill = 'kill -9 "$(cat head)"'
    submit = '(cd "$FROM" && exec $REAL "$@") >answer'
    first, second = (kill, "exit 1") if step == "before" else (submit, kill)
    shim(place, monkeypatch, submit_program(place), f"until [ -s head ]; do sleep 0.1; done\n{first}\n{second}")
    head = start_head(place, count)
    (place.folder / "shims" / "head").write_text(f"{head.pid}\n")
    assert head.communicate(timeout=60)[0] == ""
    assert head.returncode == -signal.SIGKILL
    (place.folder / "shims" / submit_program(place)).unlink()
    assert take_over(place, count) == list(range(count))
    assert ran_once(place, count)


@pytest.mark.parametrize("count", [1, 3], ids=["one", "array"])
@pytest.mark.parametrize("state", ["waiting", "running", "ended"])
def test_head_killed_after_the_submission_leaves_jobs_that_are_adopted(place, state, count):
    head = start_head(place, count)
    ids = head.stdout.readline().split()
    if state != "waiting":
        deadline = time.monotonic() + 60
        while not all((place.folder / f"ran-{n}").exists() for n in range(count)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    if state == "ended":
        (place.folder / "go").touch()
        deadline = time.monotonic() + 60
        jobs = place.folder / ".scriptflow" / "jobs" / "demo-1"
        while not all((jobs / str(n + 1) / "exit").exists() for n in range(count)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    head.kill()
    head.communicate()

    async def body(executor):
        (place.folder / "go").touch()
        return await asyncio.gather(*(executor.wait(job_id) for job_id in ids))

    assert [report.exit_code for report in place.run(body)] == list(range(count))
    assert ran_once(place, count)


def test_leaving_by_an_exception_leaves_the_jobs_to_be_adopted(place):
    async def body(executor):
        await executor.submit(jobs_of(place, 1)[0])
        await until((place.folder / "ran-0").exists)
        raise KeyError("a bug")

    with pytest.raises((KeyError, BaseExceptionGroup)):
        place.run(body)
    place._numbers = iter(range(1, 10))
    assert take_over(place, 1) == [0]
    assert ran_once(place, 1)


@pytest.mark.parametrize("count", [1, 3], ids=["one", "array"])
@pytest.mark.parametrize("lost", ["Socket timed out: connection refused", "mumbled", "hangs"])
def test_lost_answer_is_settled_by_looking_not_by_submitting_again(place, monkeypatch, lost, count):
    answers = {"mumbled": "echo what?; exit 0", "hangs": "sleep 1000"}
    answer = answers.get(lost, f"echo '{lost}' >&2; exit 1")
    shim(
        place,
        monkeypatch,
        submit_program(place),
        f'echo >>calls\n(cd "$FROM" && exec $REAL "$@") >answer\n{answer}',
    )

    async def body(executor):
        ids = await asyncio.gather(*(executor.submit(job) for job in jobs_of(place, count)))
        (place.folder / "go").touch()
        return await asyncio.gather(*(executor.wait(job_id) for job_id in ids))

    reports = place.run(body, pace=changed(QUICK, deadline_s=3.0))
    assert [report.exit_code for report in reports] == list(range(count))
    assert (place.folder / "shims" / "calls").read_text() == "\n"
    assert ran_once(place, count)
    assert len(place.notes) == 1


def test_refusal_of_a_job_that_was_taken_all_the_same_is_not_believed(place, monkeypatch):
    shim(place, monkeypatch, submit_program(place), '(cd "$FROM" && exec $REAL "$@") >answer; echo "no!" >&2; exit 1')
    (place.folder / "go").touch()
    assert place.report(jobs_of(place, 1)[0]).state is JobState.SUCCEEDED
    assert ran_once(place, 1)


def test_submission_to_a_daemon_that_is_down_is_tried_again(place, monkeypatch):
    shim(
        place,
        monkeypatch,
        submit_program(place),
        '[ -e up ] || { touch up; echo "connection refused" >&2; exit 1; }; cd "$FROM"; exec $REAL "$@"',
    )
    (place.folder / "go").touch()
    assert place.report(jobs_of(place, 1)[0]).state is JobState.SUCCEEDED
    assert ran_once(place, 1)


@pytest.mark.parametrize("answer", ["exit 1", "exit 0", "echo '<job_info'", "echo 'alles|gut'", "sleep 1000"])
def test_silence_of_the_queue_fails_no_job(place, monkeypatch, answer):
    program = "squeue" if place.executor_class.kind == "slurm" else "qstat"
    shim(place, monkeypatch, program, '[ ! -e up ] || { cd "$FROM"; exec $REAL "$@"; }\necho >>calls\n' + answer)

    async def body(executor):
        job_id = await executor.submit(jobs_of(place, 1)[0])
        waiter = asyncio.ensure_future(executor.wait(job_id))
        calls = place.folder / "shims" / "calls"
        await until(lambda: calls.exists() and len(calls.read_text()) >= 3)
        assert not waiter.done()
        (place.folder / "shims" / "up").touch()
        await until(lambda: executor.seen(job_id) is not None)
        (place.folder / "go").touch()
        return await waiter

    report = place.run(body, pace=changed(QUICK, deadline_s=1.5, grace_s=60.0))
    assert report.state is JobState.SUCCEEDED, report


def test_frozen_controller_fails_no_job_and_takes_the_submission_once(slurm):
    controller = int(Path(os.environ["TESTBED_SLURM"], "pid", "slurmctld").read_text())

    async def body(executor):
        first, second = jobs_of(slurm, 2)
        one = await executor.submit(first)
        await until((slurm.folder / "ran-0").exists)
        os.kill(controller, signal.SIGSTOP)
        try:
            two = asyncio.ensure_future(executor.submit(second))
            await until(lambda: len(slurm.notes) >= 2)
            assert not two.done()
        finally:
            os.kill(controller, signal.SIGCONT)
        (slurm.folder / "go").touch()
        return await executor.wait(one), await executor.wait(await two)

    reports = slurm.run(body, pace=changed(QUICK, deadline_s=3.0, settle_s=8.0))
    assert [report.exit_code for report in reports] == [0, 1]
    assert ran_once(slurm, 2)


def test_cancel_is_delivered_when_the_daemon_is_back(place, monkeypatch):
    program = "scancel" if place.executor_class.kind == "slurm" else "qdel"
    shim(
        place,
        monkeypatch,
        program,
        '[ -e up ] || { touch up; echo "connection refused" >&2; exit 1; }\ncd "$FROM" && exec $REAL "$@"',
    )

    async def body(executor):
        job_id = await executor.submit(jobs_of(place, 1)[0])
        await until((place.folder / "ran-0").exists)
        await executor.cancel(job_id)
        return await executor.wait(job_id)

    assert place.run(body).state is JobState.CANCELLED


def test_cancels_of_a_moment_are_one_command(place, monkeypatch):
    program = "scancel" if place.executor_class.kind == "slurm" else "qdel"
    shim(place, monkeypatch, program, 'echo >>calls\ncd "$FROM" && exec $REAL "$@"')

    async def body(executor):
        ids = await asyncio.gather(*(executor.submit(job) for job in jobs_of(place, 5)))
        executor.stop(range(1, 6), 0.0)
        return await asyncio.gather(*(executor.wait(job_id) for job_id in ids))

    assert {report.state for report in place.run(body)} == {JobState.CANCELLED}
    assert (place.folder / "shims" / "calls").read_text() == "\n"


def test_retry_leaves_the_array(place):
    async def body(executor):
        jobs = [place.job("true"), place.job("true"), place.job("true", attempt=2)]
        ids = await asyncio.gather(*(executor.submit(job) for job in jobs))
        for job_id in ids:
            await executor.wait(job_id)
        return [executor.split(job_id) for job_id in ids]

    (first, one), (second, two), (_, alone) = place.run(body)
    assert (first, one, two, alone) == (second, 1, 2, 0)


def test_array_max_of_one_makes_no_arrays(place):
    async def body(executor):
        ids = await asyncio.gather(*(executor.submit(place.job("true")) for _ in range(2)))
        return [executor.split(job_id)[1] for job_id in ids]

    assert place.run(body, {"array_max": 1}) == [0, 0]
