"""Jobs, small heads in processes of their own, and a way to see who is still alive."""

import asyncio
import os
import subprocess
import sys
import uuid

import pytest
from small_heads import HEAD, LIMIT_S

from scriptflow.core.job import Job
from scriptflow.executors import kin


class Kindred:
    """All processes that were started, however indirectly, with one word in their environment."""

    def __init__(self):
        self.env = {"KINDRED": uuid.uuid4().hex}

    def alive(self):
        return kin.pids_with(f"KINDRED={self.env['KINDRED']}".encode())


@pytest.fixture
def kindred():
    made = Kindred()
    yield made
    for pid in made.alive():
        kin.kill(pid)


@pytest.fixture
def start_head(tmp_path, kindred):
    """Start a head in a process of its own that runs shell texts."""
    heads = []

    def start(*texts, before="", after="", options="", changes="", **popen):
        code = HEAD.format(before=before or "pass", after=after or "pass", options=options, changes=changes)
        argv = [*popen.pop("prefix", ()), sys.executable, "-c", code, str(tmp_path), *texts]
        env = {**os.environ, **kindred.env}
        heads.append(subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True, **popen))
        return heads[-1]

    yield start
    for head in heads:
        head.kill()
        head.wait()
        head.stdout.close()


@pytest.fixture
def shell_job(tmp_path):
    numbers = iter(range(1, 10**9))

    def make(text, **changes):
        number = next(numbers)
        parts = {
            "number": number, "run": "r-1", "task": f"t{number}", "key": "", "attempt": 1, "cwd": str(tmp_path),
            "argv": ("/bin/sh", "-c", text), "log": str(tmp_path / f"{number}.log"), "grace_s": 0.5,
        }  # fmt: skip
        return Job(**(parts | changes))

    return make


@pytest.fixture
def run():
    """Run a coroutine function with an open executor, under a limit."""

    def run_with(executor, body):
        async def limited():
            async with asyncio.timeout(LIMIT_S), executor:
                return await body(executor)

        return asyncio.run(limited())

    return run_with
