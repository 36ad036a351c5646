"""Run jobs on this machine through asyncio's own subprocesses: the local executor where there is no reaper.

Keeps the same promises but one: when the head is killed, what it started goes on. Peak memory and CPU time are
not known.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Self

from scriptflow.executors import kin, reports
from scriptflow.executors import reaper as words
from scriptflow.executors.local import LocalExecutor
from scriptflow.executors.process import path_with_interpreter

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence
    from types import TracebackType

    from scriptflow.core.job import Job, JobReport
    from scriptflow.executors.local import Ended


class _Wish:
    """That a job ends; the last one's grace counts, and the first one's reason."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.flag = 0
        self.grace_s = 0.0

    def tell(self, flag: int, grace_s: float) -> None:
        self.flag = self.flag or flag
        self.grace_s = grace_s
        self.told.set()


class PortableExecutor(LocalExecutor):
    """As LocalExecutor, with an asyncio task for each job and no resident workers."""

    warm = False

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._wishes: dict[int, _Wish] = {}
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            await self._group.__aexit__(None, None, None)

    def launch(self, jobs: Sequence[Job], ended: Ended) -> None:
        """Start all ``jobs`` now, on any thread; ``ended`` is called once for each, on the loop's."""
        for job in jobs:
            self._running[job.number] = (job, ended)
            self._wishes[job.number] = _Wish()
        self._soon(self._begin, tuple(jobs))

    def stop(self, numbers: Sequence[int], grace_s: float) -> None:
        """TERM to these jobs, KILL after ``grace_s`` (0: at once); may be called on any thread."""
        for number in numbers:
            if (wish := self._wishes.get(number)) is not None:
                self._loop.call_soon_threadsafe(wish.tell, words.STOPPED, grace_s)

    def _begin(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._group.create_task(self._run(job, self._wishes[job.number]), name=f"job {job.number}")

    async def _run(self, job: Job, wish: _Wish) -> None:
        report = await self._report_of(job, wish)
        del self._wishes[job.number]
        self._report(job.number, report)

    async def _report_of(self, job: Job, wish: _Wish) -> JobReport:
        env = {**(os.environ if self._base_env is None else self._base_env), **job.env}
        env["PATH"] = path_with_interpreter(env.get("PATH", os.defpath)) if "PATH" not in job.env else env["PATH"]
        env[os.fsdecode(kin.MARK)] = f"{job.run}:{job.number}"
        what, detail = words.LOG, job.log
        try:
            with _open_log(job.log) as log:
                what, detail = words.CWD, job.cwd
                os.stat(job.cwd + os.sep)  # noqa: PTH116 (an error of its own, and as quick as the start itself)
                what, detail = words.PROGRAM, job.argv[0]
                began = time.time()
                process = await _start(job, env, log)
        except OSError as error:
            refusal = (words.REFUSED, job.number, error.errno or errno.EINVAL, what, detail)
            return reports.refused(refusal, job, env["PATH"], self._host)
        except (ValueError, IndexError) as error:  # a NUL, a lone surrogate; no word at all
            return reports.never_began(f"its command cannot be handed to a program: {error}", self._host)
        flags = await _end_of(process, job, wish)
        code = process.returncode or 0
        status = -code if code < 0 else code << 8
        ended = (words.ENDED, job.number, process.pid, began, time.time(), status, None, None, flags)
        return reports.ended(ended, self._host)


def _open_log(path: str) -> IO[bytes]:
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_APPEND, 0o600))


async def _start(job: Job, env: dict[str, str], log: IO[bytes]) -> Process:
    return await asyncio.create_subprocess_exec(
        *job.argv,
        cwd=job.cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=sys.platform != "win32",
    )


async def _end_of(process: Process, job: Job, wish: _Wish) -> int:
    """Wait until the job has ended, by itself, by its timeout or by a wish; return what was done to it."""
    dead = asyncio.create_task(process.wait())
    told = asyncio.create_task(wish.told.wait())
    try:
        await asyncio.wait((dead, told), timeout=job.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if dead.done():
            return 0
        if not told.done():
            wish.tell(words.TIMED_OUT, job.grace_s)
        killed = 0
        while not dead.done() and not killed:
            wish.told.clear()
            if wish.grace_s > 0:
                _strike(process.pid, kill=False)
                told.cancel()
                told = asyncio.create_task(wish.told.wait())
                await asyncio.wait((dead, told), timeout=wish.grace_s, return_when=asyncio.FIRST_COMPLETED)
            if not dead.done() and (wish.grace_s <= 0 or not told.done()):
                killed = words.KILLED
                _strike(process.pid, kill=True)
        await dead
        return wish.flag | killed
    finally:
        told.cancel()
        _strike(process.pid, kill=True)  # what is left of its group


def _strike(pid: int, *, kill: bool) -> None:
    """Ask or force a job's processes to end."""
    if sys.platform == "win32":
        # Windows has no TERM for a process without a window, and its trees are known to taskkill alone.
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    try:
        os.killpg(pid, signal.SIGKILL if kill else signal.SIGTERM)
        if not kill:
            os.killpg(pid, signal.SIGCONT)
    except OSError:
        pass  # all of it has ended
