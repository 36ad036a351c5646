"""Batch systems for tests: which real ones are up, and executors at a pace that tests can wait for."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from scriptflow.core.job import Job
from scriptflow.hpc.options import Pace

BEDS = Path(__file__).parents[1] / "testbeds"
LIMIT_S = 100
QUICK = Pace(poll_s=0.5, longest_poll_s=2.0, look_s=0.1, settle_s=1.0, grace_s=20.0, lag_s=3.0, deadline_s=30.0)


def answers(*argv):
    try:
        return subprocess.run(argv, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def reason_without_slurm():
    if "TESTBED_SLURM" in os.environ and answers("sinfo"):
        return ""
    return f'no Slurm is up: eval "$({BEDS}/slurm-up)"'


def reason_without_sge():
    if "TESTBED_SGE" in os.environ and answers("qconf", "-sh"):
        return ""
    return f'no Grid Engine is up: eval "$({BEDS}/sge-up)"'


NO_SLURM, NO_SGE = reason_without_slurm(), reason_without_sge()
on_slurm = pytest.mark.skipif(bool(NO_SLURM), reason=NO_SLURM or "it is up")
on_sge = pytest.mark.skipif(bool(NO_SGE), reason=NO_SGE or "it is up")


class Place:
    """A folder with jobs of one real batch system."""

    def __init__(self, executor_class, folder):
        self.executor_class = executor_class
        self.folder = folder
        self.notes = []
        self._numbers = iter(range(1, 10**6))

    def executor(self, options=None, **changes):
        pace = changes.pop("pace", QUICK)
        return self.executor_class(
            options or {}, folder=str(self.folder / ".scriptflow"), note=self.notes.append, pace=pace, **changes
        )

    def job(self, text, **changes):
        number = changes.pop("number", None) or next(self._numbers)
        parts = {
            "number": number, "run": "demo-1", "task": f"task-{number}", "key": f"{number + 0xABCDEF00:08x}" * 8,
            "attempt": 1, "argv": ("/bin/sh", "-c", text), "cwd": str(self.folder),
            "log": str(self.folder / f"{number}.log"), "grace_s": 1.0,
        }  # fmt: skip
        return Job(**(parts | changes))

    def run(self, body, options=None, **changes):
        async def limited():
            async with asyncio.timeout(LIMIT_S), self.executor(options, **changes) as executor:
                return await body(executor)

        return asyncio.run(limited())

    def report(self, job, options=None, **changes):
        async def body(executor):
            return await executor.wait(await executor.submit(job))

        return self.run(body, options, **changes)


async def until(happened):
    """Wait for something that only looking can tell."""
    while not happened():
        await asyncio.sleep(0.02)
