"""Heads of a few lines in processes of their own, and what is needed to watch them."""

import time

LIMIT_S = 20

HEAD = """
import asyncio, os, sys
from scriptflow.core.job import Job
from scriptflow.executors.local import LocalExecutor

async def main(folder, *texts):
    {before}
    async with LocalExecutor({{}}, {options}) as executor:
        jobs = [
            Job(number=n, run="r-1", task=f"t{{n}}", key="", attempt=1, argv=("/bin/sh", "-c", text), cwd=folder,
                log=f"{{folder}}/{{n}}.log", {changes})
            for n, text in enumerate(texts)
        ]
        ids = [await executor.submit(job) for job in jobs]
        {after}
        for job_id in ids:
            print((await executor.wait(job_id)).state.value, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def wait_until(happened, limit_s=LIMIT_S):
    """Wait for something that only looking can tell; return how long it took."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < limit_s, "it did not happen"
        time.sleep(0.005)
    return time.monotonic() - began


def command_of(pid):
    """Return the command line of a process, nothing when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().replace("\0", " ")
    except OSError:
        return ""
