"""Wait for batch jobs: one query for all of them, growing rarer; silence of the batch system decides nothing.

Knows the order of truth (exit record, accounting, queue, absence); knows no batch system by name.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING

from scriptflow.core.frozen import changed
from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import ExecutorError
from scriptflow.hpc.line import SchedulerSilent, first_words
from scriptflow.hpc.truth import is_clear, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
    from pathlib import Path

    from scriptflow.hpc.line import Line
    from scriptflow.hpc.mirror import Mirror
    from scriptflow.hpc.options import Pace
    from scriptflow.hpc.script import Ending
    from scriptflow.hpc.shelf import Shelf
    from scriptflow.hpc.system import BatchSystem
    from scriptflow.hpc.truth import Sight

log = logging.getLogger(__name__)

_GROWTH = 1.5
_IDS_AT_ONCE = 200
_LOOKS_NEARBY, _SELDOM = 4, 10  # a look at another machine costs so many at this one, and may grow rarer
_FEW = 500  # jobs that are looked at often even while the queue calls them waiting: they may be short
_KILLED_LAG_S = 2.0  # who was killed seldom writes a record
_WITHOUT_HISTORY = 10  # times the grace, while accounting does not answer
_TOLD_BY_SYSTEM = (Cause.WALLTIME, Cause.OUT_OF_MEMORY, Cause.NODE_FAILURE, Cause.PREEMPTED, Cause.CANCELLED)


class Watched:
    """A job that is waited for.

    Attributes:
        sight: what the queue last said of it; None when it is not there, or was not asked yet.
        ending: the wrapper's record, kept while the batch system may know more.
        absent_since, ended_since: on the monotonic clock, None when it is neither.
        told: the state and the reason that were told of it last.
    """

    __slots__ = (
        "absent_since",
        "cancelled",
        "ended_since",
        "ending",
        "folder",
        "id",
        "name",
        "report",
        "sight",
        "told",
    )

    def __init__(self, job_id: str, folder: Path, name: str, report: asyncio.Future[JobReport]) -> None:
        self.id = job_id
        self.folder = folder
        self.name = name
        self.report = report
        self.sight: Sight | None = None
        self.ending: Ending | None = None
        self.absent_since: float | None = None
        self.ended_since: float | None = None
        self.cancelled = False
        self.told: tuple[JobState, str] | None = None


class Watch:
    """All jobs of one executor that have not ended."""

    def __init__(
        self,
        system: BatchSystem,
        line: Line,
        shelf: Shelf,
        pace: Pace,
        *,
        note: Callable[[str], None],
        learn: Callable[[], Coroutine[object, object, None]],
        seen: Callable[[Watched, JobState, str], None],
        mirror: Mirror | None = None,
    ) -> None:
        self._mirror = mirror
        self._look_rest_s = self._next_look = 0.0
        self._seen = seen
        self._doubts: set[str] = set()
        self._next_doubt = time.monotonic() + pace.doubt_s
        self._system, self._line, self._shelf, self._pace = system, line, shelf, pace
        self._note, self._learn = note, learn
        self.open: dict[str, Watched] = {}
        self._known: dict[str, Watched] = {}
        self._wake = asyncio.Event()
        self._interval_s = pace.poll_s
        self._next_query = 0.0
        self._silent = False

    def track(self, job_id: str, folder: Path, name: str) -> Watched:
        """Wait for a job from now on; once for each id."""
        watched = self._known.get(job_id)
        if watched is None:
            future: asyncio.Future[JobReport] = asyncio.get_running_loop().create_future()
            watched = self._known[job_id] = self.open[job_id] = Watched(job_id, folder, name, future)
            self.hurry()
        return watched

    def known(self, job_id: str) -> Watched | None:
        """Return a job that is or was waited for."""
        return self._known.get(job_id)

    def hurry(self) -> None:
        """Ask soon: something happened."""
        self._interval_s, self._look_rest_s = self._pace.poll_s, 0.0
        self._next_query = min(self._next_query, time.monotonic() + self._interval_s)
        self._wake.set()

    async def keep(self) -> None:
        """Look and ask for ever."""
        while True:
            if not self.open:
                self._wake.clear()
                await self._wake.wait()
                self._next_query = time.monotonic() + self._interval_s
            await self._look_there()
            ended = self._look()
            if ended:
                self.hurry()
            if self.open and time.monotonic() >= self._next_query:
                await self._ask()
            await asyncio.sleep(self._pace.look_s * max(1.0, len(self.open) / _FEW))

    async def _ask(self) -> None:
        """Ask once for all jobs, and set when to ask again."""
        try:
            ended = await self._round()
        except ExecutorError as silence:
            self._tell_silence(silence)
            ended = 0
        else:
            self._silent = False
        grown = min(self._interval_s * _GROWTH, self._pace.longest_poll_s)
        self._interval_s = self._pace.poll_s if ended else grown
        self._next_query = time.monotonic() + self._interval_s * random.uniform(0.9, 1.1)  # noqa: S311 (no secret)

    def _tell_silence(self, silence: ExecutorError) -> None:
        text = f"{self._system.kind} does not answer ({silence.what}): its jobs are unknown, and go on"
        log.info(text)
        if not self._silent:
            self._note(text)
        self._silent = True

    async def _look_there(self) -> None:
        """Bring records and logs from another machine, ever more seldom while nothing ends."""
        if self._mirror is None or not self.open or time.monotonic() < self._next_look:
            return
        shortest_s = self._pace.look_s * _LOOKS_NEARBY
        self._look_rest_s = min(max(self._look_rest_s * _GROWTH, shortest_s), shortest_s * _SELDOM)
        try:
            await self._mirror.refresh([job.folder for job in self.open.values()])
            running = [job.folder for job in self.open.values() if job.sight and job.sight.state is JobState.RUNNING]
            await self._mirror.follow(running)
        except ExecutorError as silence:
            self._tell_silence(silence)
        self._next_look = time.monotonic() + self._look_rest_s

    def _look(self) -> int:
        """Look for exit records where there may be some; return how many jobs that ended."""
        jobs = list(self.open.values())
        if len(jobs) > _FEW:
            jobs = [job for job in jobs if job.sight is None or job.sight.state is not JobState.QUEUED]
        before = len(self.open)
        for job in jobs:
            self._read(job)
        return before - len(self.open)

    def _read(self, job: Watched, *, thorough: bool = False) -> None:
        job.ending = self._shelf.ending(job.folder, thorough=thorough)
        if job.ending is not None and is_clear(job.ending, system_sees_more=self._system.sees_memory):
            self._settle(job, verdict(job.ending, None, cancelled=job.cancelled))

    async def _round(self) -> int:
        """Ask the batch system for all jobs; return how many ended.

        Raises:
            SchedulerSilent: it did not answer.
        """
        try:
            await self._learn()
        except ExecutorError as error:  # wrong commands are no reason to give jobs up that were taken
            raise SchedulerSilent(error.what) from error
        jobs, before = list(self.open.values()), len(self.open)
        queue = await self._queue(jobs)
        if self._mirror is not None:
            gone = [job.folder for job in jobs if not _is_live(queue.get(self._system.short(job.id)))]
            if gone:
                await self._mirror.refresh(gone)
        now = time.monotonic()
        unclear: list[Watched] = []
        for job in jobs:
            sight = queue.get(self._system.short(job.id))
            if sight is not None and sight.name and job.name and sight.name != job.name:
                sight = None  # a restarted daemon gave the number to another job
            job.sight = sight
            if sight is not None and sight.is_live:
                job.absent_since = job.ended_since = None
                self._tell(job, sight)
                continue
            if sight is None and job.absent_since is None:
                job.absent_since = now
            if job.ended_since is None:
                job.ended_since = now
            self._read(job, thorough=True)
            if job.id in self.open and (sight is None or sight.cause is None):
                unclear.append(job)
        await self._doubt(jobs, now)
        told = await self._history(unclear) if unclear else {}
        for job in jobs:
            if job.id not in self.open:
                continue
            if job.sight is not None and job.sight.stuck:
                await self._give_up(job)
            elif job.sight is None or not job.sight.is_live:
                self._judge(job, None if told is None else told.get(self._system.short(job.id)), now, told is not None)
        return before - len(self.open)

    def _tell(self, job: Watched, sight: Sight) -> None:
        """Say how a job stands, when that has changed."""
        now = (sight.state, sight.reason)
        if job.told != now and sight.state is not JobState.UNKNOWN:
            job.told = now
            self._seen(job, *now)
        if sight.doubtful:
            self._warn(job, sight.reason)

    async def _doubt(self, jobs: Sequence[Watched], now: float) -> None:
        """Ask now and then of one waiting job whether it can run at all, where the queue does not tell."""
        waiting = [job for job in jobs if job.sight is not None and job.sight.state is JobState.QUEUED]
        if not waiting or now < self._next_doubt:
            return
        self._next_doubt = now + self._pace.doubt_s
        job = random.choice(waiting)  # noqa: S311 (no secret)
        argv = self._system.doubt_argv(job.id)
        reason = self._system.read_doubt((await self._line.query(argv)).out) if argv is not None else ""
        if reason:
            self._warn(job, reason)
            self._seen(job, JobState.QUEUED, reason)

    def _warn(self, job: Watched, reason: str) -> None:
        """Tell the user once of each reason for which jobs may wait for ever."""
        if reason not in self._doubts:
            self._doubts.add(reason)
            self._note(f"{self._system.kind} job {job.id} may wait for ever: {reason}")

    def _judge(self, job: Watched, past: Sight | None, now: float, past_is_known: bool) -> None:
        """Decide on a job that is not alive in the queue."""
        sight = past if past is not None and not past.is_live else job.sight
        if sight is not None:
            lag_s = self._pace.lag_s if sight.cause not in _TOLD_BY_SYSTEM else min(_KILLED_LAG_S, self._pace.lag_s)
            due = job.ending is not None or now - (job.ended_since or now) >= lag_s
        else:
            grace_s = self._pace.grace_s * (1 if past_is_known else _WITHOUT_HISTORY)
            if job.cancelled:  # a job that is deleted before it ran is in no accounting
                grace_s = min(_KILLED_LAG_S, grace_s)
            due = now - (job.absent_since or now) >= grace_s
        if not due:
            return
        began = self._shelf.holder(job.folder)
        if job.ending is None and began is not None and began != job.id:
            self._follow(job, began)
        elif job.ending is None and began is None and sight is not None and sight.state is JobState.SUCCEEDED:
            detail = f"{self._system.kind} says that it ended well, but its command never began"
            self._settle(job, JobReport(state=JobState.LOST, cause=Cause.LOST, host=sight.host, detail=detail))
        else:
            self._settle(job, verdict(job.ending, sight, cancelled=job.cancelled))

    def _follow(self, job: Watched, twin: str) -> None:
        """Wait for another submission of the same job, which was there first; this one did nothing."""
        self._note(f"{self._system.kind} had job {job.id} twice: following {twin}, which began first")
        del self.open[job.id]
        job.id, job.name, job.absent_since, job.ended_since = twin, "", None, None
        self.open[twin] = self._known[twin] = job

    async def _give_up(self, job: Watched) -> None:
        """End a job that would wait for ever in an error state, and say why."""
        reason = job.sight.reason if job.sight is not None else ""
        argv = self._system.why_argv(job.id)
        if argv is not None:
            completed = await self._line.query(argv)
            reason = self._system.read_why(completed.out) or reason
        await self._line.query(self._system.cancel_argv([job.id]))
        self._settle(job, JobReport(state=JobState.FAILED, cause=Cause.EXIT, ended=time.time(), detail=reason))

    async def _queue(self, jobs: Sequence[Watched]) -> dict[str, Sight]:
        ids = [job.id for job in jobs]
        sights: dict[str, Sight] = {}
        for chunk in _chunks(ids) if self._system.asks_by_id else [ids]:
            sights.update(await self._answer(self._system.status_argv(chunk), self._system.read_states))
        return sights

    async def _history(self, jobs: Iterable[Watched]) -> dict[str, Sight] | None:
        """Ask accounting; None when it does not answer."""
        sights: dict[str, Sight] = {}
        try:
            for chunk in _chunks([job.id for job in jobs]):
                argv = self._system.history_argv(chunk)
                if argv is not None:
                    sights.update(await self._answer(argv, self._system.read_history))
        except SchedulerSilent as silence:
            log.info("%s accounting does not answer: %s", self._system.kind, silence.what)
            return None
        return sights

    async def _answer(self, argv: Sequence[str], read: Callable[[str], dict[str, Sight]]) -> dict[str, Sight]:
        completed = await self._line.query(argv)
        if not self._system.is_answer(completed):
            raise SchedulerSilent(first_words(completed))
        self._line.answered = True
        try:
            return read(completed.out)
        except (ValueError, KeyError) as error:
            raise SchedulerSilent(f"its answer cannot be read: {error}") from error

    def _settle(self, job: Watched, report: JobReport) -> None:
        del self.open[job.id]
        if report.ended is None:  # who left no record is known to have ended by now
            report = changed(report, ended=time.time())
        if not job.report.done():
            job.report.set_result(report)
        log.debug("job %s ended: %s", job.id, report.state)


def _is_live(sight: Sight | None) -> bool:
    return sight is not None and sight.is_live


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a list that may be too long for one command."""
    for first in range(0, len(ids), _IDS_AT_ONCE):
        yield ids[first : first + _IDS_AT_ONCE]
