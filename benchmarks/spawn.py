"""Compare what a job costs through the local executor with a bare ``posix_spawn`` and ``wait4`` loop.

Prints microseconds of CPU per job (the head's and the reaper's together, the children's not counted) and the
time from a job's exit to its report, beside the bare loop of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pathlib
import resource
import shutil
import statistics
import sys
import tempfile
import time

from scriptflow.core.job import Job, JobReport
from scriptflow.executors import kin
from scriptflow.executors.local import LocalExecutor


def own_cpu_s() -> float:
    """Return the CPU time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_of(pid: int) -> float:
    """Return the CPU time of another one."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bare(program: str, count: int, at_once: int, folder: str) -> tuple[float, float]:
    """Return CPU and wall seconds of the floor: the same file actions, one wait for all."""
    env = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    began, cpu, running, started = time.perf_counter(), own_cpu_s(), 0, 0
    while started < count or running:
        while started < count and running < at_once:
            log = f"{folder}/{started}.log"
            actions = ((os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2))
            os.posix_spawn(program, [program], env, file_actions=actions, setpgroup=0)
            started += 1
            running += 1
        os.wait4(-1, 0)
        running -= 1
    return own_cpu_s() - cpu, time.perf_counter() - began


async def through(program: str, count: int, at_once: int, folder: str) -> tuple[float, float, float]:
    """Return the head's CPU, the reaper's CPU and wall seconds."""
    done = asyncio.Event()
    async with LocalExecutor({"maxsize": at_once}) as executor:
        await one(executor, folder, (program,), 0)  # the reaper's start is paid once per run, and is not measured here
        started, left = 0, count
        jobs = [job_of(number, folder, (program,)) for number in range(1, count + 1)]

        def launch() -> None:
            nonlocal started
            started += 1
            executor.launch(jobs[started - 1 : started], ended)

        def ended(_job: Job, report: JobReport, _more: bool) -> None:
            nonlocal left
            assert report.exit_code == 0, report
            left -= 1
            if started < count:
                launch()
            elif not left:
                done.set()

        reaper = next(iter(kin.own_children()))
        began, cpu, reaper_cpu = time.perf_counter(), own_cpu_s(), cpu_of(reaper)
        for _ in range(at_once):
            launch()
        await done.wait()
        return own_cpu_s() - cpu, cpu_of(reaper) - reaper_cpu, time.perf_counter() - began


def job_of(number: int, folder: str, argv: tuple[str, ...]) -> Job:
    """Make a job."""
    log = f"{folder}/{number}.log"
    return Job(number=number, run="bench-1", task="t", key="", attempt=1, argv=argv, cwd=folder, log=log)


async def one(executor: LocalExecutor, folder: str, argv: tuple[str, ...], number: int) -> float:
    """Run one job; return when its report came."""
    ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    executor.launch((job_of(number, folder, argv),), lambda _job, _report, _more: ended.set_result(time.time()))
    return await ended


async def delays(count: int, folder: str) -> list[tuple[float, str]]:
    """Return when reports came, and the files in which their jobs wrote when they were about to exit."""
    code = "import time, os; os.write(1, str(time.time()).encode()); os._exit(0)"
    logs = []
    async with LocalExecutor({}) as executor:
        for number in range(count):
            at = await one(executor, folder, (sys.executable, "-I", "-S", "-c", code), number)
            logs.append((at, f"{folder}/{number}.log"))
    return logs


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    program = shutil.which("true") or sys.exit("no program named true")
    jobs, extras, walls = options.jobs, [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            floor, floor_wall = bare(program, jobs, options.at_once, folder)
            head, reaper, wall = asyncio.run(through(program, jobs, options.at_once, folder))
        extras.append((head + reaper - floor) / jobs * 1e6)
        walls.append(wall / floor_wall)
        print(
            f"CPU per job: bare {floor / jobs * 1e6:5.0f} us, head {head / jobs * 1e6:5.0f} + reaper "
            f"{reaper / jobs * 1e6:5.0f} us = x{(head + reaper) / floor:.2f}; wall {floor_wall / jobs * 1e6:.0f} and "
            f"{wall / jobs * 1e6:.0f} us"
        )
    print(f"median: +{statistics.median(extras):.0f} us of CPU per job, wall x{statistics.median(walls):.2f}")
    with tempfile.TemporaryDirectory() as folder:
        found = sorted(at - float(pathlib.Path(log).read_text()) for at, log in asyncio.run(delays(200, folder)))
    print(f"exit to report: median {found[len(found) // 2] * 1e6:.0f} us, worst of 200 {found[-1] * 1e6:.0f} us")


if __name__ == "__main__":
    main()
