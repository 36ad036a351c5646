"""Run jobs on this machine, through the reaper.

Knows jobs and reports; knows nothing of the head, its flows or the store, and not which job should go first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self

from scriptflow.core.interfaces import Capabilities
from scriptflow.core.job import JobId, Resources
from scriptflow.core.nearest import nearest
from scriptflow.core.units import bytes_of
from scriptflow.errors import ExecutorError, SettingsError
from scriptflow.executors import reaper as words
from scriptflow.executors import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from scriptflow.core.job import Job, JobReport
    from scriptflow.executors.process import Reaper
    from scriptflow.executors.reaper import Message
    from scriptflow.executors.warm import Warm

    Ended = Callable[[Job, JobReport, bool], None]

log = logging.getLogger(__name__)

_OPTIONS = ("maxsize", "cpus", "memory", "gpus")
_DIES_WITHIN_S = 5.0
_RETRY_S = 0.5


class LocalExecutor:
    """Jobs of this machine; their number is limited by ``slots``, their sum by ``totals``.

    Args:
        options: ``maxsize``, ``cpus``, ``memory``, ``gpus``: what it may use, by default all there is (no GPUs
            but those of ``CUDA_VISIBLE_DEVICES``). A ``maxsize`` beyond the CPUs, without ``cpus``, is room for
            so many jobs of one CPU each.
        inherit_fds: stay open until the last command has ended, however this process ends.
        base_env: the jobs' environment, by default ours as it is when the first of them starts.
        note: takes sentences for the user; by default they are logged.

    Attributes:
        slots: how many jobs may run at once.
        totals: what the jobs that run at once may ask for together.
        gpu_ids: to be handed out by ``CUDA_VISIBLE_DEVICES``.
    """

    capabilities = Capabilities(memory=True, gpus=True)
    warm = True  # resident workers take the jobs that can be taken so

    def __new__(cls, *_: object, **__: object) -> Self:
        """Choose the portable variant where there is no ``posix_spawn``."""
        if sys.platform == "win32" and cls is LocalExecutor:
            from scriptflow.executors.portable import PortableExecutor

            return super().__new__(PortableExecutor)  # type: ignore[return-value]  # it is a subclass
        return super().__new__(cls)

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        inherit_fds: Sequence[int] = (),
        base_env: Mapping[str, str] | None = None,
        note: Callable[[str], None] = log.warning,
    ) -> None:
        for name in options:
            if name not in (*_OPTIONS, "type"):
                near = nearest(name, _OPTIONS)
                raise SettingsError(
                    f"the local executor has no option {name!r}",
                    why=f"its options are {', '.join(_OPTIONS)}",
                    do=f"write {near!r}" if near else "",
                )
        self.slots = _whole(options, "maxsize", _whole(options, "cpus", _cpus_here()))
        cpus = _whole(options, "cpus", max(self.slots, _cpus_here()))
        self.gpu_ids = _gpu_ids(_whole(options, "gpus", 0, least=0) if "gpus" in options else None)
        self.totals = Resources(cpus=cpus, memory_bytes=_memory(options.get("memory")), gpus=len(self.gpu_ids))
        self._inherit = tuple(inherit_fds)
        self._base_env = base_env
        self._note = note
        self._host = socket.gethostname()
        self._running: dict[int, tuple[Job, Ended]] = {}
        self._ends: dict[int, asyncio.Future[JobReport]] = {}
        self._reaper: Reaper | None = None
        self._short_since = 0.0
        self._warm: Warm | None = None
        self._door = threading.Lock()  # held while jobs are handed to a reaper, and while a dead one's are counted

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._home = threading.get_ident()
        self._context = copy_context()
        self._idle = asyncio.Event()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._end_running()
        finally:
            reaper, self._reaper = self._reaper, None
            if self._warm is not None:
                self._warm.close()
            if reaper is not None:
                self._let_go(reaper)

    async def _end_running(self) -> None:
        """Kill what runs and wait for the reports, but not for ever: a process in the kernel's hands does not die."""
        self.stop(tuple(self._running), 0)
        try:
            async with asyncio.timeout(_DIES_WITHIN_S):
                while self._running:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self._give_up(tuple(self._running), f"it did not die within {_DIES_WITHIN_S:.0f} s of being killed")

    def fits(self, resources: Resources) -> bool:
        """Whether this machine could ever hold such a job."""
        asked, have = resources, self.totals
        return (
            asked.cpus <= have.cpus
            and asked.gpus <= have.gpus
            and (asked.memory_bytes is None or have.memory_bytes is None or asked.memory_bytes <= have.memory_bytes)
        )

    async def submit(self, job: Job) -> JobId:
        """Start ``job``; its report can be had until the executor is closed. A number given before is that job."""
        if job.number not in self._ends:
            self._ends[job.number] = self._loop.create_future()
            self.launch((job,), self._settle)
        return JobId(str(job.number))

    async def wait(self, job_id: JobId) -> JobReport:
        """Return how the job ended; may be cancelled, called again, and called by many."""
        return await asyncio.shield(self._end_of(job_id))

    async def cancel(self, job_id: JobId) -> None:
        """TERM to the job, KILL after its grace; nothing when it has ended."""
        if not self._end_of(job_id).done():
            job, _ = self._running[int(job_id)]
            self.stop((job.number,), job.grace_s)

    def _end_of(self, job_id: JobId) -> asyncio.Future[JobReport]:
        try:
            return self._ends[int(job_id)]
        except (KeyError, ValueError):
            raise ExecutorError(
                f"no local job {job_id!r} was submitted", why="local jobs end with the head that started them"
            ) from None

    def _settle(self, job: Job, report: JobReport, _more: bool) -> None:
        self._ends[job.number].set_result(report)

    def launch(self, jobs: Sequence[Job], ended: Ended) -> None:
        """Start all ``jobs`` now, on any thread; ``ended`` is called once for each, on the loop's."""
        requests: list[Message] = []
        with self._door:
            for job in jobs:
                self._running[job.number] = (job, ended)
            try:
                reaper = self._reaper or self._start_reaper()
            except OSError as error:
                self._no_reaper(jobs, ended, error)
                return
            warm = [job for job in jobs if job.warm is not None]
            if warm:
                self._soon(self._take_warm, warm)
            for job in jobs if not warm else [job for job in jobs if job.warm is None]:
                try:
                    requests.append(_request(job, reaper.outer))
                except (UnicodeEncodeError, IndexError) as error:  # a lone surrogate; no word at all
                    self._refuse((job,), f"its command cannot be handed to a program: {error}")
            if requests:
                self._send(reaper, requests)

    def _soon(self, do: Callable[..., object], *arguments: Any) -> None:
        """Do it on the loop's thread, in its next turn, and in the context in which the executor was opened.

        A thread that starts jobs has no context of its own, and what hears of an end (a hook, for one) may ask for it.
        """
        here = threading.get_ident() == self._home  # then there is no need to wake it
        (self._loop.call_soon if here else self._loop.call_soon_threadsafe)(do, *arguments, context=self._context)

    def _take_warm(self, jobs: Sequence[Job]) -> None:
        if self._warm is None:
            from scriptflow.executors.warm import Warm

            self._warm = Warm(self._loop, self._tell, self._report, self._host)
        self._warm.take([job for job in jobs if job.number in self._running])

    def _tell(self, messages: Sequence[Message]) -> None:
        """Send messages to the reaper there is; when there is none, its workers are gone too."""
        if (reaper := self._reaper) is not None:
            self._send(reaper, messages)

    def stop(self, numbers: Sequence[int], grace_s: float) -> None:
        """TERM to these jobs, KILL after ``grace_s`` (0: at once); may be called on any thread."""
        reaper = self._reaper
        warm = [number for number in numbers if (found := self._running.get(number)) and found[0].warm is not None]
        if warm and reaper is not None:
            self._soon(self._stop_warm, warm, grace_s)
            numbers = [number for number in numbers if number not in warm]
        if reaper is not None and numbers:
            self._send(reaper, [(words.STOP, tuple(numbers), grace_s)])
        elif reaper is None:  # they wait for one
            for number in numbers:
                self._soon(self._report, number, reports.stopped_early(self._host))

    def _stop_warm(self, numbers: Sequence[int], grace_s: float) -> None:
        for number in numbers:
            if self._warm is not None:
                self._warm.stop(number, grace_s)

    def _start_reaper(self) -> Reaper:
        from scriptflow.executors.process import Reaper

        self._reaper = Reaper(os.environ if self._base_env is None else self._base_env, self._inherit)
        self._soon(self._loop.add_reader, self._reaper, self._hear, self._reaper)
        self._short_since = 0.0
        return self._reaper

    def _no_reaper(self, jobs: Sequence[Job], ended: Ended, error: OSError) -> None:
        """Try again while the machine may have room soon, as the reaper does for jobs."""
        now = time.monotonic()
        self._short_since = self._short_since or now
        if error.errno in words.SHORTAGES and now - self._short_since < words.RETRY_ENDS_S:
            self._soon(self._loop.call_later, _RETRY_S, self._launch_later, jobs, ended)
        else:
            self._refuse(jobs, f"no process can be started: {error.strerror}")

    def _launch_later(self, jobs: Sequence[Job], ended: Ended) -> None:
        self.launch([job for job in jobs if job.number in self._running], ended)

    def _send(self, reaper: Reaper, messages: Sequence[Message]) -> None:
        reaper.send(messages)
        if reaper.backlog:
            self._soon(self._flush, reaper)

    def _flush(self, reaper: Reaper) -> None:
        if reaper is not self._reaper:
            return  # it has died or was let go since
        reaper.flush()
        if reaper.backlog:
            self._loop.add_writer(reaper, self._flush, reaper)
        else:
            self._loop.remove_writer(reaper)

    def _hear(self, reaper: Reaper) -> None:
        """Take what the reaper tells; on the loop's thread."""
        messages = reaper.read()
        left = len(messages)
        for message in messages:
            left -= 1
            if message[0] in (words.ENDED, words.REFUSED) and message[1] < 0 and self._warm is not None:
                self._warm.heard(message)
            elif message[0] == words.ENDED:
                self._report(message[1], reports.ended(message, self._host), more=left > 0)
            elif message[0] == words.REFUSED:
                job, _ = self._running[message[1]]
                path = job.env.get("PATH", reaper.search)
                self._report(message[1], reports.refused(message, job, path, self._host), more=left > 0)
            else:
                self._note(message[1])
        if reaper.dead:
            with self._door:
                lost = tuple(self._running)
                self._reaper = None  # the next job starts another
            if self._warm is not None:
                self._warm.lose()
            reaper.end_lost()
            self._let_go(reaper)
            self._give_up(lost, reaper.why)

    def _let_go(self, reaper: Reaper) -> None:
        self._loop.remove_reader(reaper)
        self._loop.remove_writer(reaper)
        reaper.close()

    def _report(self, number: int, report: JobReport, *, more: bool = True) -> None:
        """Tell of one job's end, once; ``more`` when others may follow in this turn."""
        job, ended = self._running.pop(number, (None, None))
        if not self._running:
            self._idle.set()
        if job is None or ended is None:
            return  # it was given up before
        try:
            ended(job, report, more)
        except Exception as error:  # noqa: BLE001 (one callback's bug must not swallow the reports behind it)
            self._loop.call_exception_handler({"message": f"the report of job {number}", "exception": error})

    def _give_up(self, numbers: Iterable[int], detail: str) -> None:
        for number in numbers:
            self._report(number, reports.lost(detail, self._host))

    def _refuse(self, jobs: Iterable[Job], detail: str) -> None:
        for job in jobs:
            report = reports.never_began(detail, self._host)
            self._soon(self._report, job.number, report)


def _request(job: Job, outer: bytes) -> Message:
    """Pack a job for the reaper, all text as the bytes that the system will see."""
    extra = {os.fsencode(name): os.fsencode(value) for name, value in job.env.items()} if job.env else None
    argv = [os.fsencode(word) for word in job.argv]
    if not argv:
        raise IndexError("it has no word")
    mark = outer + os.fsencode(f"{job.run}:{job.number}")
    cwd, log_path = os.fsencode(job.cwd), os.fsencode(job.log)
    return (words.START, job.number, argv, extra, cwd, log_path, job.timeout_s, job.grace_s, mark)


def _whole(options: Mapping[str, object], name: str, default: int, *, least: int = 1) -> int:
    value = options.get(name, default)
    if value is not default and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise SettingsError(f"{name} = {value!r} is not a whole number from {least} up", do=f"write {name} = {least}")
    return int(value)


def _cpus_here() -> int:
    if hasattr(os, "sched_getaffinity"):  # a batch system may have left us fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory(option: object) -> int | None:
    """Return the bytes that jobs may ask for together, None when the system does not say."""
    if isinstance(option, (str, int, float)):
        return bytes_of(option)
    if option is not None:
        raise SettingsError(f"memory = {option!r} is not a size", do='write memory = "16GB"')
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _gpu_ids(asked: int | None) -> tuple[str, ...]:
    """Return the GPUs to hand out: as many as asked for, but of those that this process was given."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return tuple(str(number) for number in range(asked or 0))
    return tuple(name.strip() for name in given.split(",") if name.strip() and name.strip() != "-1")[:asked]
