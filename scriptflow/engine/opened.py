"""Executors in use: opened when their first job comes, called the direct way or as coroutines, closed at the end.

Knows executors by their interface, and jobs. Knows nothing of lives, pools or the store.
"""

from __future__ import annotations

import os
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING

from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import ExecutorError, ScriptflowError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from scriptflow.core.interfaces import Executor
    from scriptflow.core.job import Job, JobId

    _Then = Callable[[str, ScriptflowError | None], None]

_FIRST_LOOK_S, _LAST_LOOK_S = 0.05, 2.0


class Opened:
    """The executors of one head.

    Args:
        loop: where their coroutines run.
        make: makes an executor by its name.
        ended: hears of each job's end, on the loop's thread.
        submitted: hears the executor's own id of a job, and how it stands there.
        bug: hears of an exception that should not have been.
        latency_s: how long outputs of a job elsewhere may take to be seen on this machine.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make: Callable[[str], Executor],
        *,
        ended: Callable[[Job, JobReport, bool], None],
        submitted: Callable[[int, JobId, str, str], None],
        bug: Callable[[BaseException], object],
        latency_s: float = 0.0,
    ) -> None:
        from asyncio import Event

        self._loop = loop
        self._make = make
        self._ended = ended
        self._submitted = submitted
        self._bug = bug
        self._latency_s = latency_s
        self._stopping = False
        self._executors: dict[str, Executor] = {}
        self._opening: dict[str, list[_Then]] = {}
        self._ids: dict[int, JobId] = {}
        self._submitting: set[int] = set()
        self._unwanted: set[int] = set()  # to be cancelled as soon as they have been submitted
        self._over = Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._executors

    def open(self, name: str, then: _Then) -> None:
        """Make an executor ready, once; ``then`` hears when it is, or why it cannot be."""
        if name in self._opening:
            if then not in self._opening[name]:
                self._opening[name].append(then)
            return
        self._opening[name] = [then]
        try:
            executor = self._make(name)
            if hasattr(executor, "launch"):
                # One that is called the direct way is ready at once, and needs no task that plain asyncio would cancel.
                executor.__aenter__().send(None)
            else:
                self._keepers.append(self.own(self._keep(name, executor)))
        except StopIteration:
            self._executors[name] = executor
            self._loop.call_soon(self._ready, name, None)
        except ScriptflowError as error:
            self._loop.call_soon(self._ready, name, error)

    async def ready(self, name: str) -> Executor:
        """Return an executor once it is open.

        Raises:
            ScriptflowError: it cannot be opened.
        """
        if name not in self._executors:
            opened: asyncio.Future[None] = self._loop.create_future()

            def then(_: str, error: ScriptflowError | None) -> None:
                if not opened.done():
                    opened.set_result(None) if error is None else opened.set_exception(error)

            self.open(name, then)
            await opened
        return self._executors[name]

    def keep_jobs(self, name: str) -> bool:
        """Let an executor's jobs go on when it is closed; False where they cannot be joined later."""
        executor = self._executors.get(name)
        if executor is None:  # still being opened, for jobs that are there already
            return name in self._opening
        if executor.capabilities.reattaches:
            executor.keep_jobs = True  # type: ignore[attr-defined]  # those that reattach have it
        return executor.capabilities.reattaches

    def _ready(self, name: str, error: ScriptflowError | None) -> None:
        for then in self._opening.pop(name, ()):
            then(name, error)

    async def _keep(self, name: str, executor: Executor) -> None:
        """Hold an executor open; what it owns is begun and ended in one task."""
        try:
            async with executor:
                if hasattr(executor, "heard"):
                    executor.heard = self._submitted
                self._executors[name] = executor
                self._ready(name, None)
                await self._over.wait()
        except ScriptflowError as error:
            self._ready(name, error)
        finally:
            if name in self._opening:  # a bug, or the loop's end
                self._ready(name, ExecutorError(f"executor {name} was not opened"))

    def start(self, name: str, jobs: Sequence[Job]) -> None:
        """Start jobs; may be called on any thread, and raises nothing."""
        executor = self._executors[name]
        launch = getattr(executor, "launch", None)
        if launch is None:
            self._loop.call_soon_threadsafe(self._drive_all, executor, jobs)
            return
        try:
            launch(jobs, self._ended)
        except Exception as bug:  # noqa: BLE001 (nobody waits on this thread: it must be told on the loop's)
            self._loop.call_soon_threadsafe(self._not_launched, jobs, bug)

    def stop(self, numbers: Mapping[str, Sequence[int]], grace_s: float) -> None:
        """Tell jobs to end, by executor; KILL after the grace where that is ours to do."""
        self._stopping = True
        for name, running in numbers.items():
            executor = self._executors.get(name)
            stop = getattr(executor, "stop", None)
            if stop is not None:
                stop(running, grace_s)
            elif executor is not None:
                self.own(self._cancel(executor, running))

    async def close(self) -> None:
        """Close them all."""
        from asyncio import wait

        self._over.set()
        for keeper in self._keepers:
            await wait((keeper,))
        for executor in self._executors.values():
            if hasattr(executor, "launch"):
                await executor.__aexit__(None, None, None)
        self._executors.clear()
        for task in list(self._tasks):
            task.cancel()

    # --- executors that are coroutines ----------------------------------------------------------

    def _drive_all(self, executor: Executor, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.own(self._drive(executor, job))

    async def _drive(self, executor: Executor, job: Job) -> None:
        report = JobReport(state=JobState.LOST, cause=Cause.LOST, ended=time(), detail="nobody waits for it any more")
        try:
            self._submitting.add(job.number)
            job_id = self._ids[job.number] = await executor.submit(job)
            self._submitted(job.number, job_id, "queued" if hasattr(executor, "heard") else "", "")
            if job.number in self._unwanted:
                await executor.cancel(job_id)
            report = await executor.wait(job_id)
            if report.state == JobState.SUCCEEDED:
                await self._wait_for_files(job.outputs)
        except ScriptflowError as error:
            report = JobReport(
                state=JobState.FAILED, cause=Cause.EXIT, ended=time(), detail=error.what, facts=tuple(error.why)
            )
        finally:
            self._ids.pop(job.number, None)
            self._submitting.discard(job.number)
            self._unwanted.discard(job.number)
            self._ended(job, report, True)

    async def _wait_for_files(self, paths: Sequence[str]) -> None:
        """Wait out the lag of a shared disk: the job ended well elsewhere, its files may not be seen here yet."""
        from asyncio import sleep, to_thread

        deadline, delay_s = self._loop.time() + self._latency_s, _FIRST_LOOK_S
        while self._loop.time() < deadline and not self._stopping:
            if all(map(os.path.exists, paths)) or await to_thread(_are_there, paths):
                return
            await sleep(min(delay_s, max(0.0, deadline - self._loop.time())))
            delay_s = min(delay_s * 1.5, _LAST_LOOK_S)

    async def _cancel(self, executor: Executor, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number in self._ids:
                await executor.cancel(self._ids[number])
            elif number in self._submitting:
                self._unwanted.add(number)

    def _not_launched(self, jobs: Sequence[Job], bug: BaseException) -> None:
        """An executor broke its promise to report instead of raising."""
        self._bug(bug)
        for job in jobs:
            self._ended(job, JobReport(state=JobState.FAILED, cause=Cause.EXIT, ended=time(), detail=repr(bug)), True)

    def own(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Let a coroutine run until the executors are closed."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._disown)
        return task

    def _disown(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bug(error)


def _are_there(paths: Sequence[str]) -> bool:
    """Whether all these files are there, once their folders are read anew: NFS then forgets what it knew of them."""
    for folder in {os.path.dirname(path) for path in paths}:
        with suppress(OSError):
            os.listdir(folder)
    return all(map(os.path.exists, paths))
