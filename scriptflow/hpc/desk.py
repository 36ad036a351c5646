"""Submit jobs exactly once: together when they come together, and found again when an answer was lost.

Knows the order of things (intent, submission, id) and how to settle what is unclear; knows no batch system by name.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING

from scriptflow.errors import ExecutorError, ScriptflowError
from scriptflow.hpc import script
from scriptflow.hpc.line import SchedulerSilent, first_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from pathlib import Path

    from scriptflow.core.interfaces import Completed
    from scriptflow.core.job import Job
    from scriptflow.hpc.growth import Growth
    from scriptflow.hpc.line import Line
    from scriptflow.hpc.mirror import Mirror
    from scriptflow.hpc.options import Ask, Options, Pace, Surroundings
    from scriptflow.hpc.shelf import Shelf
    from scriptflow.hpc.system import BatchSystem

    Accepted = asyncio.Future[str]
    Waiting = tuple[Job, Surroundings, Accepted]

log = logging.getLogger(__name__)

_SHORTEST_REST_S, _LONGEST_REST_S = 2.0, 60.0


class Desk:
    """Where jobs are handed in.

    Args:
        system: the batch system's words.
        growth: what earlier jobs of a task met.
        path_first: put in front of the jobs' PATH, unless empty.
        start: gives a coroutine an owner.
        learn: makes sure that the system's dialect is known.
        mirror: keeps the files elsewhere, None where all see one disk.
    """

    def __init__(
        self,
        system: BatchSystem,
        options: Options,
        line: Line,
        shelf: Shelf,
        pace: Pace,
        *,
        growth: Growth,
        path_first: str,
        note: Callable[[str], None],
        start: Callable[[Coroutine[object, object, None]], object],
        learn: Callable[[], Coroutine[object, object, None]],
        mirror: Mirror | None = None,
    ) -> None:
        self._system, self._options, self._line, self._shelf, self._pace = system, options, line, shelf, pace
        self._path_first, self._growth, self._mirror = path_first, growth, mirror
        self._note, self._start, self._learn = note, start, learn
        self._accepted: dict[int, Accepted] = {}
        self._gathering: dict[tuple[str, Ask, int], list[Waiting]] = {}
        self._settling: dict[Path, asyncio.Future[str | None]] = {}
        self._arrays = options.array_max > 1
        self._complained = False

    async def submit(self, job: Job) -> str:
        """Return the job's id once the batch system has it.

        Raises:
            ExecutorError: it refuses the job.
            SettingsError: an option of the job is wrong.
        """
        accepted = self._accepted.get(job.number)
        if accepted is None:
            ask, surroundings = self._options.of(job.options, job)
            ask = self._growth.asked(job, ask)
            accepted = self._accepted[job.number] = asyncio.get_running_loop().create_future()
            waiting = (job, surroundings, accepted)
            if self._shelf.place_of(self._shelf.folder_of(job.run, job.number)) is None:
                self._gather(ask, waiting)
            else:
                self._start(self._resume(ask, waiting))
        return await asyncio.shield(accepted)

    def accepted(self, number: int) -> Accepted | None:
        """Return the future of a job's id, when the job was handed in."""
        return self._accepted.get(number)

    async def find(self, job: Job) -> str | None:
        """Return the id of a job that an earlier process may have submitted, None when it never arrived.

        Waits as long as the batch system does not answer.
        """
        folder = self._shelf.folder_of(job.run, job.number)
        placed = self._shelf.place_of(folder)
        if placed is None:
            return None
        place, index = placed
        job_id = self._shelf.id_of(place) or await self._settle_once(place)
        if job_id is None:
            self._shelf.forget(folder)
            return None
        return self._system.element(job_id, index) if index else job_id

    async def _resume(self, ask: Ask, waiting: Waiting) -> None:
        job, _, accepted = waiting
        try:
            job_id = await self.find(job)
        except (ScriptflowError, OSError) as error:
            _refuse([waiting], error)
            return
        if job_id is None:
            self._gather(ask, waiting)
        else:
            accepted.set_result(job_id)

    def _gather(self, ask: Ask, waiting: Waiting) -> None:
        """Keep a job for a moment: others that ask for the same go with it. A retry goes alone."""
        job = waiting[0]
        alone = job.number if job.attempt > 1 or not self._arrays else 0
        together = self._gathering.setdefault((job.run, ask, alone), [])
        together.append(waiting)
        if len(together) == 1:
            self._start(self._send_gathered((job.run, ask, alone)))

    async def _send_gathered(self, shape: tuple[str, Ask, int]) -> None:
        await asyncio.sleep(self._pace.gather_s)
        together = self._gathering.pop(shape)
        ask = shape[1]
        try:
            await self._learned()
        except ScriptflowError as error:
            _refuse(together, error)
            return
        most = min(self._options.array_max, self._system.longest_array)
        for first in range(0, len(together), max(most, 1)):
            self._start(self._send(ask, together[first : first + max(most, 1)]))

    async def _learned(self) -> None:
        """Wait until the system's dialect is known: scripts depend on it."""
        rest_s = _SHORTEST_REST_S
        while True:
            try:
                await self._learn()
            except SchedulerSilent as silence:
                self._complain(f"{self._system.kind} does not answer ({silence.what}): asking again")
                await asyncio.sleep(rest_s)
                rest_s = min(rest_s * 2, _LONGEST_REST_S)
            else:
                return

    async def _send(self, ask: Ask, together: Sequence[Waiting]) -> None:
        try:
            if len(together) == 1:
                ids = [await self._send_one(ask, together[0])]
            else:
                ids = await self._send_array(ask, together)
        except ArrayRefused as error:
            self._note(f"{self._system.kind} takes no such array, so its jobs go one by one: {error.what}")
            for waiting in together:
                self._shelf.forget(self._shelf.folder_of(waiting[0].run, waiting[0].number))
                self._start(self._send(ask, [waiting]))
        except (ScriptflowError, OSError, ValueError) as error:
            _refuse(together, error)
        else:
            for (_, _, accepted), job_id in zip(together, ids, strict=True):
                accepted.set_result(job_id)

    async def _send_one(self, ask: Ask, waiting: Waiting) -> str:
        job, surroundings, _ = waiting
        header, system = self._system.header(ask), self._system

        def lay() -> tuple[Path, Path]:
            folder = self._shelf.lay(job, surroundings, self._path_first)
            there = self._shelf.there
            text = script.submission(header, there(str(self._shelf.wrapper)), there(str(folder)), system.id_text)
            return folder, self._shelf.lay_script(folder, text)

        await self._over_there()
        folder, path = await asyncio.to_thread(lay)
        await self._stage([job], [folder])
        return await self._deliver(folder, path, job, 0)

    async def _send_array(self, ask: Ask, together: Sequence[Waiting]) -> list[str]:
        first, header, system = together[0][0], self._system.header(ask), self._system
        place = self._shelf.new_array(first.run, first.number, _tag())

        def lay() -> tuple[Path, list[Path]]:
            folders = [self._shelf.lay(job, surroundings, self._path_first) for job, surroundings, _ in together]
            self._shelf.lay_array(place, folders)
            there = self._shelf.there
            text = script.array_submission(
                header, there(str(self._shelf.wrapper)), there(str(place.parent)), there(str(place / "members")),
                system.index_text, system.array_id_text,
            )  # fmt: skip
            return self._shelf.lay_script(place, text), folders

        await self._over_there()
        path, folders = await asyncio.to_thread(lay)
        await self._stage([job for job, _, _ in together], [place, *folders])
        job_id = await self._deliver(place, path, first, len(together))
        return [system.element(job_id, index) for index in range(1, len(together) + 1)]

    async def _over_there(self) -> None:
        if self._mirror is not None:
            await self._patiently(self._mirror.open)

    async def _stage(self, jobs: Sequence[Job], places: Sequence[Path]) -> None:
        """Bring all that jobs need to where they run; a link that is down is waited for."""
        mirror = self._mirror
        if mirror is not None:
            for job in jobs:
                await asyncio.to_thread(self._shelf.plan, job)
            await self._patiently(lambda: mirror.stage(jobs, places))

    async def _patiently(self, action: Callable[[], Awaitable[object]]) -> None:
        """Do something over a link, again and again while that is down."""
        rest_s = _SHORTEST_REST_S
        while True:
            try:
                await action()
            except (ConnectionError, SchedulerSilent) as drop:
                self._complain(f"the link is down ({drop}): trying again")
                await asyncio.sleep(rest_s)
                rest_s = min(rest_s * 2, _LONGEST_REST_S)
            else:
                return

    async def _deliver(self, place: Path, path: Path, job: Job, size: int) -> str:
        """Hand a script in until the batch system has it for certain, or says no."""
        rest_s = _SHORTEST_REST_S
        while True:
            name = script.job_name(job.run, job.number, job.key, _tag(), self._system.name_limit)
            await asyncio.to_thread(self._shelf.intend, place, name)
            argv = self._system.submit_argv(self._shelf.there(str(path)), name, size)
            try:
                completed = await self._line.ask(argv, folder=self._shelf.there(str(place)), plain=False)
                job_id = self._read_id(completed)
                if job_id is None and not self._system.is_transient(completed):
                    # Some say no and have taken the job all the same.
                    job_id = None if self._system.is_hopeless(completed) else await self._glance(name)
                    if job_id is None:
                        self._shelf.forget(place)
                        raise self._refusal(completed, argv, size)
                trouble = first_words(completed)
                self._line.answered |= job_id is not None
            except SchedulerSilent as silence:
                job_id, trouble = None, silence.what
            if job_id is None:
                self._complain(f"{self._system.kind} did not answer a submission ({trouble}): looking for the job")
                job_id = await self._settle(place, name)
            if job_id is not None:
                self._complained = False
                await asyncio.to_thread(self._shelf.submitted, place, job_id)
                return job_id
            await asyncio.sleep(rest_s)
            rest_s = min(rest_s * 2, _LONGEST_REST_S)

    def _read_id(self, completed: Completed) -> str | None:
        if completed.exit_code != 0:
            return None
        try:
            return self._system.read_job_id(completed.out)
        except ValueError as error:
            raise SchedulerSilent(f"its answer cannot be read: {error}") from error

    def _refusal(self, completed: Completed, argv: Sequence[str], size: int) -> ExecutorError:
        said = first_words(completed)
        kind = ArrayRefused if size and "array" in said.casefold() else ExecutorError
        return kind(
            f"{self._system.kind} refused the job: {said} (script {argv[-1]})",
            why=[
                f"command: {' '.join(argv)}",
                *(line for line in completed.err.splitlines() if line.strip() not in said),
            ],
            do="scriptflow doctor"
            if self._system.is_hopeless(completed)
            else "correct the options of the executor or the task",
        )

    async def _settle_once(self, place: Path) -> str | None:
        """As ``_settle``, once for all elements of an array."""
        if place not in self._settling:
            self._settling[place] = asyncio.ensure_future(self._settle(place, self._shelf.intent(place) or ""))
        job_id = await asyncio.shield(self._settling[place])
        if job_id is not None and self._shelf.id_of(place) is None:
            self._shelf.submitted(place, job_id)
        return job_id

    async def _settle(self, place: Path, name: str) -> str | None:
        """Find a job that may have arrived. It is not there when two answers, some time apart, do not know it."""
        rest_s = _SHORTEST_REST_S
        looks_left = 2
        while True:
            try:
                if self._mirror is not None:
                    await self._mirror.refresh(self._shelf.members(place))
                held = self._shelf.holder_of_place(place)
                if held is not None:
                    return self._system.split(held)[0]
                await self._learn()
                job_id = await self._named(name)
            except SchedulerSilent as silence:
                self._complain(f"{self._system.kind} does not answer ({silence.what}): asking again")
                await asyncio.sleep(rest_s)
                rest_s = min(rest_s * 2, _LONGEST_REST_S)
                continue
            looks_left -= 1
            if job_id is not None or not looks_left:
                return job_id
            await asyncio.sleep(self._pace.settle_s)

    async def _glance(self, name: str) -> str | None:
        """Look once in the queue alone: accounting may keep what was refused."""
        try:
            return await self._named(name, deep=False)
        except SchedulerSilent:
            return None

    async def _named(self, name: str, *, deep: bool = True) -> str | None:
        """Ask queue, then accounting, for a job by its name. The queue must answer; accounting may be off."""
        for number, argv in enumerate(self._system.name_argvs(name)[: None if deep else 1]):
            completed = await self._line.query(argv)
            if not self._system.is_answer(completed):
                if self._system.is_hopeless(completed):
                    raise ExecutorError(f"{argv[0]} cannot work here: {first_words(completed)}", do="scriptflow doctor")
                if number == 0:
                    raise SchedulerSilent(first_words(completed))
                log.info("%s: %s", argv[0], first_words(completed))
                continue
            self._line.answered = True
            try:
                job_id = self._system.read_named(completed.out, name)
            except ValueError as error:
                raise SchedulerSilent(str(error)) from error
            if job_id is not None:
                return job_id
        return None

    def _complain(self, text: str) -> None:
        """Tell the user of a trouble once, the log each time.

        Raises:
            ExecutorError: the batch system has not answered a single time, for so long that it never will.
        """
        log.info(text)
        if self._line.silent_s > self._pace.patience_s:
            minutes = round(self._line.silent_s / 60)
            raise ExecutorError(
                f"{self._system.kind} has not answered once in {minutes} minutes", why=text, do="scriptflow doctor"
            )
        if not self._complained:
            self._complained = True
            self._note(text)


class ArrayRefused(ExecutorError):
    """The batch system takes no array, or none so long."""


def _tag() -> str:
    return uuid.uuid4().hex[:6]


def _refuse(together: Sequence[Waiting], error: Exception) -> None:
    for _, _, accepted in together:
        accepted.set_exception(error)
        accepted.exception()  # whoever handed it in may have gone
