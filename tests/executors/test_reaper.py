"""Nothing survives its head, its job or its reaper, and nothing else is harmed."""

import asyncio
import fcntl
import os
import shutil
import signal
import sys

import pytest
from small_heads import HEAD, command_of, wait_until

from scriptflow.core.states import Cause, JobState
from scriptflow.executors import kin
from scriptflow.executors.local import LocalExecutor

linux = pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")

# Each writes a file when it is where it wants to be, and stays there for ever.
STUBBORN = {
    "plain": "echo > plain; sleep 300",
    "deaf": "trap '' TERM INT HUP; echo > deaf; while :; do sleep 300; done",
    "background": "sleep 300 & sleep 300 & echo > background; wait",
    "session": "setsid sh -c 'echo > session; sleep 300'",
    "orphan": "(setsid sh -c '(echo > orphan; sleep 300) &' &); sleep 300",
    "deep": 'setsid sh -c "setsid sh -c \'setsid sh -c \\"echo > deep; sleep 300\\" & sleep 300\' & sleep 300"',
    "stopped": "sh -c 'echo > stopped; kill -STOP $$; sleep 300' & wait",
}


def all_there(folder, names):
    return lambda: all((folder / name).exists() for name in names)


@linux
def test_nothing_survives_a_killed_head(start_head, kindred, tmp_path):
    head = start_head(*STUBBORN.values())
    wait_until(all_there(tmp_path, STUBBORN))
    assert len(kindred.alive()) > 2 * len(STUBBORN)
    head.kill()
    assert wait_until(lambda: not kindred.alive()) < 1


@linux
def test_nothing_survives_a_killed_head_that_was_forked(start_head, kindred, tmp_path):
    """A fork that lives on shares the head's end of the socket."""
    head = start_head(
        "echo $$ > pid; mv pid plain; exec sleep 300",
        after="import time; os.fork() or (open(f'{folder}/forked', 'w').close(), time.sleep(5), os._exit(0))",
    )
    wait_until(all_there(tmp_path, ("plain", "forked")))
    sleeper = int((tmp_path / "plain").read_text())
    assert sleeper in kindred.alive()
    head.kill()
    assert wait_until(lambda: sleeper not in kindred.alive()) < 1


@linux
def test_lock_is_held_until_the_last_command_is_gone(start_head, kindred, tmp_path):
    head = start_head(
        *STUBBORN.values(),
        before="import fcntl; lock = os.open(f'{folder}/lock', os.O_CREAT | os.O_RDWR); "
        "fcntl.flock(lock, fcntl.LOCK_EX)",
        options="inherit_fds=(lock,)",
    )
    wait_until(all_there(tmp_path, STUBBORN))
    with open(tmp_path / "lock", "w") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        head.kill()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not kindred.alive()


def test_commands_do_not_hold_the_lock(start_head, tmp_path):
    """Nor any other descriptor: a job that outlived all of us would keep the store locked."""
    head = start_head(
        "ls /dev/fd > fds", before="lock = os.open(f'{folder}/lock', os.O_CREAT | os.O_RDWR)",
        options="inherit_fds=(lock,)",
    )  # fmt: skip
    assert head.wait(20) == 0
    assert (tmp_path / "fds").read_text().split() == ["0", "1", "2", "3"]  # ls opens one


def test_commands_meet_signals_in_their_default_state(start_head, tmp_path):
    """A head under nohup ignores HUP; its jobs must not, nor what Python itself ignores."""
    head = start_head(
        "grep -E 'Sig(Ign|Blk)' /proc/self/status > signals",
        before="import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; "
        "signal.pthread_sigmask(signal.SIG_BLOCK, (2, 10, 15))",
    )
    assert head.wait(20) == 0
    masks = [int(line.split()[1], 16) for line in (tmp_path / "signals").read_text().splitlines()]
    assert [mask & ~0x180000000 for mask in masks] == [0, 0]  # 32 and 33 are glibc's own


def test_signals_of_the_terminal_and_the_batch_system_do_not_reach_the_jobs(start_head, kindred, tmp_path):
    """The head decides what they mean."""
    head = start_head(
        "echo > runs; until [ -e go ]; do sleep 0.02; done",
        before="import signal; [signal.signal(n, lambda *_: None) for n in (1, 2, 10, 15)]",
        start_new_session=True,
    )
    wait_until((tmp_path / "runs").exists)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.killpg(head.pid, number)
    reaper = next(pid for pid in kindred.alive() if "reaper.main" in command_of(pid))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(reaper, number)
    (tmp_path / "go").touch()
    assert head.stdout.read().split() == ["succeeded"]


def test_timeout_holds_while_the_head_is_stopped(start_head, kindred, tmp_path):
    head = start_head("echo > runs; sleep 300", changes="timeout_s=0.5, grace_s=0.2")
    wait_until((tmp_path / "runs").exists)
    head.send_signal(signal.SIGSTOP)
    wait_until(lambda: len(kindred.alive()) == 2)  # head and reaper
    head.send_signal(signal.SIGCONT)
    assert head.stdout.read().split() == ["failed"]


@linux
def test_killed_reaper_loses_its_jobs_and_nothing_survives(kindred, shell_job, run, tmp_path):
    async def body(executor):
        ids = [await executor.submit(shell_job(text)) for text in STUBBORN.values()]
        await asyncio.to_thread(wait_until, all_there(tmp_path, STUBBORN))
        (reaper,) = kin.own_children()
        os.kill(reaper, signal.SIGKILL)
        reports = [await executor.wait(job_id) for job_id in ids]
        assert {(report.state, report.cause) for report in reports} == {(JobState.LOST, Cause.LOST)}
        assert "has died" in reports[0].detail
        assert not kindred.alive()
        return await executor.wait(await executor.submit(shell_job("exit 7")))

    report = run(LocalExecutor({}, base_env={**os.environ, **kindred.env}), body)
    assert report.exit_code == 7, "the next job gets a new reaper"


@linux
def test_leftovers_of_an_ended_job_are_killed_and_do_not_delay_its_end(kindred, shell_job, run, tmp_path):
    texts = [
        "sleep 300 & exit 0",
        "setsid sleep 300 & exit 0",
        "(setsid sh -c '(echo > left; exec sleep 300) & sleep 300' &); until [ -e left ]; do sleep 0.01; done",
    ]

    async def body(executor):
        job_ids = [await executor.submit(shell_job(text)) for text in texts]
        for job_id in job_ids:
            report = await executor.wait(job_id)
            assert report.state is JobState.SUCCEEDED
            assert report.ended - report.began < 5
        await asyncio.to_thread(wait_until, lambda: not kindred.alive(), 2)

    # The reaper's own environment is the test's, so only jobs are counted.
    run(LocalExecutor({}, base_env={**os.environ, **kindred.env}), body)


@linux
def test_orphan_of_a_running_job_is_let_be(kindred, shell_job, run, tmp_path):
    async def body(executor):
        keeper = await executor.submit(
            shell_job(
                "(setsid sh -c 'echo $$ > pid; mv pid orphan; sleep 300' &); until [ -e go ]; do sleep 0.02; done"
            )
        )
        await asyncio.to_thread(wait_until, (tmp_path / "orphan").exists)
        orphan = int((tmp_path / "orphan").read_text())
        for _ in range(3):  # each end makes the reaper look for strays, a moment later
            await executor.wait(await executor.submit(shell_job("sleep 300 & setsid sleep 301 & exit 0")))
            await asyncio.to_thread(wait_until, lambda: not any("301" in command_of(pid) for pid in kindred.alive()))
            assert orphan in kindred.alive()
        (tmp_path / "go").touch()
        await executor.wait(keeper)
        await asyncio.to_thread(wait_until, lambda: not kindred.alive())

    run(LocalExecutor({}, base_env={**os.environ, **kindred.env}), body)


@linux
def test_orphan_of_a_job_within_a_job_is_let_be(shell_job, run, kindred, tmp_path):
    """Both runs have one name and the same job numbers: the marks must still tell them apart."""
    inner = tmp_path / "inner"
    inner.mkdir()
    program = tmp_path / "head.py"
    program.write_text(HEAD.format(before="pass", after="pass", options="", changes=""))
    text = "(setsid sh -c 'echo > orphan; exec sleep 300' &); until [ -e go ]; do sleep 0.02; done"
    nested = shell_job("", argv=(sys.executable, str(program), str(inner), "exit 0", text), number=1)

    async def body(executor):
        job_id = await executor.submit(nested)
        await asyncio.to_thread(wait_until, (inner / "orphan").exists)
        await executor.wait(await executor.submit(shell_job("setsid sleep 301 & exit 0", number=2)))
        await asyncio.to_thread(wait_until, lambda: not any("301" in command_of(pid) for pid in kindred.alive()))
        (inner / "go").touch()
        report = await executor.wait(job_id)
        await asyncio.to_thread(wait_until, lambda: not kindred.alive(), 2)
        return report.exit_code, (tmp_path / f"{nested.number}.log").read_text().split()

    executor = LocalExecutor({}, base_env={**os.environ, **kindred.env})
    assert run(executor, body) == (0, ["succeeded", "succeeded"])


def test_works_with_64_descriptors(start_head):
    head = start_head(*["exit 0"] * 200, before="import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))")
    assert head.stdout.read().split() == ["succeeded"] * 200


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_works_with_room_for_20_processes(start_head, tmp_path):
    """Jobs for which there is no room wait until others have ended."""
    may_read = ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]  # this Python may be root's own
    head = start_head(
        *["exec sleep 0.05"] * 60,
        prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *may_read),
        before="import resource; resource.setrlimit(resource.RLIMIT_NPROC, (20, 20))",
        options="note=print",
    )
    assert head.stdout.read().split("\n") == [
        "no room for another process now (Resource temporarily unavailable): waiting for some",
        *["succeeded"] * 60,
        "",
    ]


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_waits_until_the_machine_has_room_for_the_first_process(start_head):
    may_read = ["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
    head = start_head(
        *["exit 0"] * 40,
        prefix=("setpriv", "--reuid=65533", "--regid=65534", "--clear-groups", *may_read),
        before="import resource; resource.setrlimit(resource.RLIMIT_NPROC, (1, 100))",
        after="await asyncio.sleep(0.2); resource.setrlimit(resource.RLIMIT_NPROC, (100, 100))",
    )
    assert head.stdout.read().split() == ["succeeded"] * 40


def test_a_log_of_200_mb_costs_no_memory(shell_job, run):
    def peak_bytes(pid):
        with open(f"/proc/{pid}/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

    async def body(executor):
        await executor.wait(await executor.submit(shell_job("exit 0")))
        reapers = kin.own_children()
        before = {pid: peak_bytes(pid) for pid in (os.getpid(), *reapers)}
        job = shell_job("head -c 200000000 /dev/zero")
        report = await executor.wait(await executor.submit(job))
        assert os.path.getsize(job.log) == 200_000_000
        assert report.max_rss_bytes < 50e6
        assert all(peak_bytes(pid) - size < 20e6 for pid, size in before.items())

    run(LocalExecutor({}), body)


def test_launch_from_another_thread_reports_on_the_loop(shell_job, run):
    async def body(executor):
        import threading

        ended, seen = asyncio.Event(), []

        def note(job, report, _more):
            seen.append((job.number, report.exit_code, threading.current_thread() is threading.main_thread()))
            if len(seen) == 100:
                ended.set()

        jobs = [shell_job(f"exit {number}") for number in range(100)]
        threads = [threading.Thread(target=executor.launch, args=(jobs[n::4], note)) for n in range(4)]
        for thread in threads:
            thread.start()
        await ended.wait()
        assert sorted(seen) == [(job.number, number, True) for number, job in enumerate(jobs)]

    run(LocalExecutor({}), body)


def test_more_requests_than_the_socket_holds_all_arrive(shell_job, run):
    async def body(executor):
        jobs = [shell_job(f"exit {number % 5}", env={"LONG": "x" * 100_000}) for number in range(60)]
        ids = [await executor.submit(job) for job in jobs]
        return [(await executor.wait(job_id)).exit_code for job_id in ids]

    assert run(LocalExecutor({}), body) == [number % 5 for number in range(60)]


def test_peak_memory_and_cpu_time_are_measured(shell_job, run):
    code = "import time\nx = b'x' * 150_000_000\nwhile time.process_time() < 0.3: pass"
    job = shell_job("", argv=(sys.executable, "-c", code))

    async def body(executor):
        return await executor.wait(await executor.submit(job))

    report = run(LocalExecutor({}), body)
    assert 150e6 < report.max_rss_bytes < 400e6
    assert 0.3 <= report.cpu_s < 3
    assert report.pid
    assert report.host
