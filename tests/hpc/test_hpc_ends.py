"""The cause of an end is told right, on the real systems."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from beds import BEDS, QUICK, until

from scriptflow.core.frozen import changed
from scriptflow.core.job import Resources
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import ExecutorError

MEGABYTE = 1024 * 1024
BUSY = """
import time
x = b"a" * 100_000_000
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
time.sleep(2.5)
"""
EATS = "x = bytearray(300_000_000); print(len(x))"


def tell(*argv):
    subprocess.run(argv, check=True, capture_output=True, timeout=30)


def delete(place, job_id):
    tell("scancel" if place.executor_class.kind == "slurm" else "qdel", job_id)


def while_it_runs(place, happens, text="echo > runs; sleep 300", **changes):
    """Report a job to which something happens as soon as it runs."""

    async def body(executor):
        job_id = await executor.submit(place.job(text, **changes))
        await until((place.folder / "runs").exists)
        happens(job_id)
        return await executor.wait(job_id)

    return place.run(body)


@pytest.mark.parametrize("code", [1, 99, 100, 127, 128, 137, 143 + 1, 255])
def test_exit_codes_are_told_as_they_are_however_odd(place, code):
    report = place.report(place.job(f"exit {code}"))
    assert (report.state, report.exit_code, report.signal, report.cause) == (JobState.FAILED, code, None, Cause.EXIT)


@pytest.mark.parametrize("name", ["SEGV", "KILL", "ABRT"])
def test_signals_are_told_as_signals(place, name):
    report = place.report(place.job(f"kill -s {name} $$"))
    assert (report.state, report.exit_code, report.cause) == (JobState.FAILED, None, Cause.SIGNAL), report
    assert report.signal == getattr(signal, f"SIG{name}")


def test_job_deleted_elsewhere_while_it_runs_is_cancelled(place):
    report = while_it_runs(place, lambda job_id: delete(place, job_id))
    assert (report.state, report.cause) == (JobState.CANCELLED, Cause.CANCELLED), report


def test_array_element_deleted_elsewhere_is_cancelled_and_the_others_go_on(place):
    async def body(executor):
        jobs = [place.job(f"echo > runs-{n}; until [ -e go ]; do sleep 0.1; done") for n in range(3)]
        ids = await asyncio.gather(*(executor.submit(job) for job in jobs))
        await until((place.folder / "runs-1").exists)
        delete(place, ids[1])
        second = await executor.wait(ids[1])
        (place.folder / "go").touch()
        return await executor.wait(ids[0]), second, await executor.wait(ids[2])

    states = [report.state for report in place.run(body)]
    assert states == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUCCEEDED]


def test_job_that_outlives_term_is_cancelled_too(place):
    report = while_it_runs(
        place, lambda job_id: delete(place, job_id), "trap '' TERM; echo > runs; while :; do sleep 1; done"
    )
    assert (report.state, report.cause) == (JobState.CANCELLED, Cause.CANCELLED), report


def test_waiting_job_is_cancelled_and_never_runs(place):
    hold = ["--hold"] if place.executor_class.kind == "slurm" else ["-h"]

    async def body(executor):
        job_id = await executor.submit(place.job("echo > ran"))
        await until(lambda: executor.seen(job_id) is not None)
        state, reason = executor.seen(job_id)
        await executor.cancel(job_id)
        return state, reason, await executor.wait(job_id)

    state, reason, report = place.run(body, {"directives": hold})
    assert (state, "held" in reason) == (JobState.QUEUED, True)
    assert (report.state, report.cause) == (JobState.CANCELLED, Cause.CANCELLED), report
    assert not (place.folder / "ran").exists()


def test_refused_job_is_told_with_the_systems_words_and_its_script(place):
    with pytest.raises(ExecutorError) as caught:
        place.report(place.job("true"), {"queue": "no-such-queue"})
    text = str(caught.value)
    assert "nvalid partition" in text or "nknown queue" in text
    assert str(place.folder / ".scriptflow" / "jobs" / "demo-1") in caught.value.what
    assert "command: " in text


def test_each_job_of_a_refused_array_is_told(place):
    async def body(executor):
        return await asyncio.gather(*(executor.submit(place.job("true")) for _ in range(3)), return_exceptions=True)

    errors = place.run(body, {"queue": "no-such-queue"})
    assert [type(error) for error in errors] == [ExecutorError] * 3


def test_job_that_vanished_is_lost_not_failed(place):
    async def body(executor):
        first = await executor.submit(place.job("true"))
        await executor.wait(first)
        kind = executor.kind
        jobs = place.folder / ".scriptflow" / "jobs"
        (jobs / "demo-1" / "77").mkdir()
        unknown = first.replace(executor.short(first), "8888888")
        (jobs / "by-id" / kind / unknown).write_text("demo-1/77\n")
        return await executor.wait(unknown)

    report = place.run(body, pace=changed(QUICK, grace_s=2.0))
    assert (report.state, report.cause) == (JobState.LOST, Cause.LOST)
    assert "vanished" in report.detail


def test_foreign_id_is_refused(place):
    async def body(executor):
        with pytest.raises(ExecutorError, match="was submitted from here"):
            await executor.wait("424242")

    place.run(body)


def test_node_failure_is_told_on_slurm(slurm):
    node = subprocess.run(["sinfo", "-h", "-o", "%n"], capture_output=True, text=True, check=True).stdout.split()[0]

    def fail(job_id):
        del job_id
        tell("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        tell("scontrol", "update", f"NodeName={node}", "State=RESUME")

    report = while_it_runs(slurm, fail)
    assert (report.state, report.cause) == (JobState.FAILED, Cause.NODE_FAILURE), report


def test_node_failure_is_told_on_grid_engine(sge):
    execd = int((Path(os.environ["TESTBED_SGE"], "pid", "sge_execd")).read_text())

    def fail(job_id):
        del job_id
        kin = descendants(execd)
        for pid in (execd, *kin):
            os.kill(pid, signal.SIGKILL)
        tell(str(BEDS / "sge-up"))

    report = while_it_runs(sge, fail)
    assert (report.state, report.cause) == (JobState.FAILED, Cause.NODE_FAILURE), report


def descendants(pid):
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(int(child))]
    return found


def test_requeued_job_is_one_job_and_its_second_run_counts(slurm):
    async def body(executor):
        text = "echo ran >> ran; if [ -e again ]; then exit 0; fi; touch again; sleep 300"
        job_id = await executor.submit(slurm.job(text))
        await until((slurm.folder / "again").exists)
        tell("scontrol", "requeue", job_id)
        await until(lambda: executor.seen(job_id) is not None and executor.seen(job_id)[0] is JobState.QUEUED)
        while subprocess.run(
            ["scontrol", "update", f"JobId={job_id}", "StartTime=now"], capture_output=True
        ).returncode:
            time.sleep(0.2)
        return await executor.wait(job_id)

    report = slurm.run(body, {"directives": ["#SBATCH --requeue"]})
    assert (report.state, report.exit_code) == (JobState.SUCCEEDED, 0), report
    assert (slurm.folder / "ran").read_text() == "ran\nran\n"


def test_error_state_is_a_failure_with_its_reason(sge):
    report = sge.report(sge.job("true"), {"directives": ["-wd /nosuch/folder"]})
    assert report.state is JobState.FAILED, report
    assert "can't chdir to /nosuch/folder" in report.detail
    assert subprocess.run(["qstat"], capture_output=True, text=True, check=True).stdout == ""


def test_walltime_is_told_on_pbs(pbs):
    report = pbs.report(pbs.job("sleep 300", resources=Resources(walltime_s=1)))
    assert (report.state, report.cause) == (JobState.FAILED, Cause.WALLTIME), report


def test_walltime_is_told_on_grid_engine(sge):
    report = sge.report(sge.job("sleep 300", resources=Resources(walltime_s=2)))
    assert (report.state, report.cause) == (JobState.FAILED, Cause.WALLTIME), report


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("text", ["sleep 300", "trap 'exit 7' TERM; while :; do sleep 1; done"])
def test_walltime_is_told_on_slurm(slurm, text, monkeypatch):
    monkeypatch.setattr("beds.LIMIT_S", 190)
    report = slurm.report(slurm.job(text, resources=Resources(walltime_s=5)))  # Slurm counts in minutes
    assert (report.state, report.cause) == (JobState.FAILED, Cause.WALLTIME), report


def with_memory_limits(slurm):
    config = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=True).stdout
    if "task/cgroup" not in config:
        pytest.skip("this Slurm enforces no memory limits: /sys/fs/cgroup cannot be written")
    return Resources(memory_bytes=64 * MEGABYTE)


def test_out_of_memory_is_told(slurm):
    job = slurm.job("", resources=with_memory_limits(slurm), argv=(sys.executable, "-c", EATS))
    report = slurm.report(job)
    assert (report.state, report.cause) == (JobState.FAILED, Cause.OUT_OF_MEMORY), report


def test_out_of_memory_of_a_child_is_told_although_the_command_ended_well(slurm):
    text = f"{sys.executable} -c '{EATS}' || true; exit 0"
    report = slurm.report(slurm.job(text, resources=with_memory_limits(slurm)))
    assert (report.state, report.cause, report.exit_code) == (JobState.FAILED, Cause.OUT_OF_MEMORY, 0), report


def test_peak_memory_and_cpu_time_are_told(place):
    job = place.job("", argv=(sys.executable, "-c", BUSY), resources=Resources(memory_bytes=1024 * MEGABYTE))
    report = place.report(job)
    assert report.state is JobState.SUCCEEDED, report
    assert 100_000_000 < report.max_rss_bytes < 200_000_000
    assert 0.2 < report.cpu_s < 5


def test_requests_reach_the_system(place):
    resources = Resources(cpus=2, memory_bytes=512 * MEGABYTE, walltime_s=3600)
    kind = place.executor_class.kind
    if kind == "pbs":
        pytest.skip("the scripted PBS does not keep them; see test_hpc_recorded.py")

    async def body(executor):
        job_id = await executor.submit(place.job("sleep 100", resources=resources))
        argv = ["scontrol", "-o", "show", "job", job_id] if kind == "slurm" else ["qstat", "-j", job_id]
        shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        await executor.cancel(job_id)
        return shown

    shown = place.run(body, {"account": "mine", "pe": "smp"} if kind == "sge" else {"partition": "debug"})
    told = {
        "slurm": ["CPUs/Task=2", "MinMemoryNode=512M", "TimeLimit=01:00:00", "Partition=debug", "Requeue=0"],
        "sge": ["parallel environment:  smp range: 2", "h_vmem=256", "h_rt=3600", "account:                    mine"],
    }
    assert [word for word in told[kind] if word not in shown] == []
