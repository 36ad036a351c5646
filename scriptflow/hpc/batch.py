"""Run jobs through a batch system: the executor that Slurm, Grid Engine and PBS share.

Knows how the parts work together (options, files, submission, watching); a subclass brings the system's words.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Self

from scriptflow.core.frozen import changed
from scriptflow.core.job import JobId
from scriptflow.errors import ExecutorError
from scriptflow.hpc.desk import Desk
from scriptflow.hpc.growth import Growth
from scriptflow.hpc.line import Line, first_words
from scriptflow.hpc.mirror import Mirror
from scriptflow.hpc.options import Options, Pace
from scriptflow.hpc.shelf import Shelf
from scriptflow.hpc.system import BatchSystem
from scriptflow.hpc.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import TracebackType

    from scriptflow.core.interfaces import Transport
    from scriptflow.core.job import Job, JobReport, Resources
    from scriptflow.core.states import JobState
    from scriptflow.hpc.options import Elsewhere
    from scriptflow.hpc.watch import Watched

log = logging.getLogger(__name__)

_TRANSPORTS = {
    "": "scriptflow.transports.local:LocalTransport",
    "ssh": "scriptflow.transports.ssh:SshTransport",
    "openssh": "scriptflow.transports.openssh:OpensshTransport",
}
# Beyond these no cluster has anything; below them only its scheduler can say.
_MOST_CPUS, _MOST_GPUS = 1_000_000, 100_000
_CANCELLED_AT_ONCE = 200
_SHORTEST_REST_S, _LONGEST_REST_S = 1.0, 30.0


class BatchExecutor(BatchSystem):
    """Jobs of a batch system. Subclasses say how its commands are called and what their answers mean.

    Args:
        options: see ``hpc.options``; a task's own options come before them.
        folder: absolute path of ``.scriptflow``.
        note: takes sentences for the user; by default they are logged.
        transport: the way to the commands, by default this machine.
        pace: how often and how long; tests are faster.

    Attributes:
        heard: is told, when it is set, a job's number, its id, its state in the queue and why it waits, at each change.
        keep_jobs: leaving the executor leaves its jobs running, for a later process to adopt. Leaving it by an
            exception always does.
    """

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        folder: str,
        note: Callable[[str], None] = log.warning,
        transport: Transport | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.options = Options(self.kind, options, self.extra_options)
        self.slots = self.options.slots
        self._growth = Growth(self.options.memory_growth, self.options.walltime_growth)
        self.keep_jobs = False
        self.heard: Callable[[int, JobId, JobState, str], None] | None = None
        self._note = note
        self._pace = pace or Pace()
        if self.options.poll_s is not None:
            longest = max(self._pace.longest_poll_s, self.options.poll_s)
            self._pace = changed(self._pace, poll_s=self.options.poll_s, longest_poll_s=longest)
        self._elsewhere = self.options.elsewhere
        is_copied = transport is not None or (self._elsewhere is not None and self._elsewhere.workdir)
        # On a disk that jobs see too, the flow's own Python comes first there, as here.
        self._path_first = "" if is_copied else str(Path(sys.executable).parent)
        self._transport: Transport = transport or _transport(self._elsewhere)
        self._folder = folder
        self._shelf = Shelf(folder, self.kind)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        far = self._elsewhere
        prologue = far.prologue if far is not None else ""
        self._line = Line(self._transport, self.foreign_names, self._pace.deadline_s, prologue)
        self._mirror = None
        if far is not None and far.workdir:
            self._mirror = Mirror(
                self._transport, self._line, self._shelf, folder=self._folder, host=far.host, workdir=far.workdir,
                note=self._note, lag_s=self._pace.lag_s,
            )  # fmt: skip
        self._learning = asyncio.Lock()
        self._to_cancel: dict[str, asyncio.Future[None]] = {}
        self._watch = Watch(
            self, self._line, self._shelf, self._pace, note=self._note, learn=self._learn, seen=self._heard,
            mirror=self._mirror,
        )  # fmt: skip
        self._desk = Desk(
            self, self.options, self._line, self._shelf, self._pace,
            growth=self._growth, path_first=self._path_first, note=self._note, start=self._start, learn=self._learn,
            mirror=self._mirror,
        )  # fmt: skip
        self._tasks: set[asyncio.Task[None]] = set()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._start(self._watch.keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self.keep_jobs and self._watch.open:
                await asyncio.gather(*(self.cancel(JobId(job_id)) for job_id in list(self._watch.open)))
        finally:
            for task in list(self._tasks):
                task.cancel()
            await self._group.__aexit__(None, None, None)
            close = getattr(self._transport, "close", None)
            if close is not None:
                await close()

    def fits(self, resources: Resources) -> bool:
        """Whether any cluster could hold such a job; what this one has, its scheduler says."""
        return resources.cpus <= _MOST_CPUS and resources.gpus <= _MOST_GPUS

    async def submit(self, job: Job) -> JobId:
        """Hand a job in exactly once, also when another process did or tried to.

        Raises:
            ExecutorError: the batch system refuses the job; the message has its words and the script's path.
        """
        job_id = await self._desk.submit(job)
        self._adopt(job_id)
        return JobId(job_id)

    async def find(self, job: Job) -> JobId | None:
        """Return the id of a job that an earlier process may have submitted; None when it never arrived."""
        job_id = await self._desk.find(job)
        return None if job_id is None else JobId(job_id)

    async def wait(self, job_id: JobId) -> JobReport:
        """Return how the job ended; in any process, since all that is needed lies in ``.scriptflow``."""
        job = self._adopt(job_id)
        report = await asyncio.shield(job.report)
        if self._mirror is not None:
            report = await self._mirror.bring(job.folder, report)
        if job.folder.name.isdecimal():
            self._growth.ended(int(job.folder.name), report)
        return report

    async def cancel(self, job_id: JobId) -> None:
        """Delete the job; returns once the batch system has taken the wish, however long it is silent."""
        job = self._adopt(job_id)
        if job.report.done():
            return
        job.cancelled = True
        wish = self._to_cancel.get(job_id)
        if wish is None:
            wish = self._to_cancel[job_id] = self._loop.create_future()
            if len(self._to_cancel) == 1:
                self._start(self._cancel_gathered())
        await asyncio.shield(wish)

    def stop(self, numbers: Sequence[int], grace_s: float) -> None:
        """Delete the jobs of these numbers, those too that are still being submitted; may be called on any thread."""
        del grace_s  # the batch system has its own
        for number in numbers:
            self._loop.call_soon_threadsafe(self._start_stopping, number)

    def seen(self, job_id: JobId) -> tuple[JobState, str] | None:
        """Return what the queue last said of a job, and why it waits; None when it said nothing yet."""
        job = self._watch.known(job_id)
        return None if job is None or job.sight is None else (job.sight.state, job.sight.reason)

    async def probe(self) -> dict[str, str]:
        """Return in words what is here: ``version``, ``accounting``, ``arrays``, or ``trouble`` and its ``mend``."""
        try:
            return await self._ask_about_it()
        except ExecutorError as error:
            return {"trouble": "; ".join([error.what, *error.why]), "mend": error.do}

    async def _ask_about_it(self) -> dict[str, str]:
        where = {"files": await self._mirror.open()} if self._mirror is not None else {}
        answers = {name: await self._line.ask(argv) for name, argv in self.probe_argvs().items()}
        version = answers["version"]
        if version.exit_code == 127:
            raise ExecutorError(first_words(version), do="load its module, or add its folder to PATH")
        return self.probed(answers) | where

    async def _learn(self) -> None:
        """Learn the dialect once; a silent daemon is asked again next time."""
        async with self._learning:
            if not self.is_known:
                found = await self._ask_about_it()
                log.info("%s: %s", self.kind, ", ".join(f"{name} {value}" for name, value in found.items()))

    def _adopt(self, job_id: str) -> Watched:
        watched = self._watch.known(job_id)
        if watched is not None:
            return watched
        found = self._shelf.find(*self.split(job_id))
        if found is None:
            raise ExecutorError(
                f"no {self.kind} job {job_id!r} was submitted from here",
                why=f"there is no record in {self._shelf.jobs}",
            )
        return self._watch.track(job_id, *found)

    def _heard(self, job: Watched, state: JobState, reason: str) -> None:
        if self.heard is not None and job.folder.name.isdecimal():
            self.heard(int(job.folder.name), JobId(job.id), state, reason)

    def _start_stopping(self, number: int) -> None:
        self._start(self._stop_one(number))

    async def _stop_one(self, number: int) -> None:
        accepted = self._desk.accepted(number)
        if accepted is None:
            return
        try:
            job_id = await asyncio.shield(accepted)
        except (ExecutorError, OSError, ValueError):
            return  # it was refused
        await self.cancel(JobId(job_id))

    async def _cancel_gathered(self) -> None:
        """Hand the wishes of a moment on in few commands: a storm of them brings a scheduler down."""
        await asyncio.sleep(self._pace.gather_s)
        wishes, self._to_cancel = self._to_cancel, {}
        ids, rest_s = list(wishes), _SHORTEST_REST_S
        while ids:
            chunk = ids[:_CANCELLED_AT_ONCE]
            try:
                completed = await self._line.query(self.cancel_argv(chunk))
                delivered = not self.is_transient(completed)
                trouble = first_words(completed)
            except ExecutorError as silence:
                delivered, trouble = False, silence.what
            if not delivered:
                log.info("%s did not take a cancel (%s): trying again", self.kind, trouble)
                await asyncio.sleep(rest_s)
                rest_s = min(rest_s * 2, _LONGEST_REST_S)
                continue
            for job_id in chunk:
                wishes[job_id].set_result(None)
            del ids[: len(chunk)]
        self._watch.hurry()

    def _start(self, coroutine: Coroutine[object, object, None]) -> None:
        task = self._group.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _transport(elsewhere: Elsewhere | None) -> Transport:
    module, _, name = _TRANSPORTS[elsewhere.transport if elsewhere else ""].partition(":")
    kind = getattr(import_module(module), name)
    if elsewhere is None:
        made: Transport = kind()
    else:
        made = kind(elsewhere.host, user=elsewhere.user, port=elsewhere.port, config=elsewhere.config)
    return made
