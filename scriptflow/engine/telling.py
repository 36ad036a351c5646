"""Turn what happens to tasks into events, when anybody listens; an end is told when its record is on the disk.

Knows the bus and what events hold. Decides nothing.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scriptflow.core.events import Event
    from scriptflow.core.job import JobReport
    from scriptflow.core.task import Task
    from scriptflow.engine.bus import Bus
    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life


class _Record:
    """The end of one job on its way to the disk."""

    __slots__ = ("on_disk",)

    def __init__(self) -> None:
        self.on_disk = False


class Teller:
    """The voice of one head. Events are loaded with the first one told."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._listened = bool(bus)
        self._skipped: list[Task] = []
        self._groups: dict[str, int] = {}
        self._record: _Record | None = None
        self._held: deque[tuple[_Record, Event]] = deque()
        self._release_planned = False

    # --- in order, after the record ---------------------------------------------------------------

    def hold(self, head: Head) -> Callable[[], None] | None:
        """Hold back what is told from now on, until the returned is called: the record just handed over is written.

        It may be called on any thread. None when nobody listens.
        """
        if not self._listened:
            return None
        record = self._record = _Record()

        def written() -> None:
            record.on_disk = True
            if not self._release_planned:
                self._release_planned = True
                with suppress(RuntimeError):  # the loop is closed: ``release_all`` follows
                    head.event_loop().call_soon_threadsafe(self._release)

        return written

    def _tell(self, event: Event) -> None:
        record = self._record
        if record is None or (record.on_disk and not self._held):
            self.bus.publish(event)
        else:
            self._held.append((record, event))

    def _release(self) -> None:
        """Tell all whose record is written by now; records are written in order."""
        self._release_planned = False
        while self._held and self._held[0][0].on_disk:
            self.bus.publish(self._held.popleft()[1])

    def release_all(self) -> list[str]:
        """Tell what is left once the store is closed; return the tasks whose end could not be recorded, untold."""
        lost: list[str] = []
        self._record = None
        while self._held:
            record, event = self._held.popleft()
            if record.on_disk or getattr(event, "report", None) is None:
                self.bus.publish(event)
            else:
                lost.append(getattr(event, "task", ""))
        return lost

    # --- what happened ----------------------------------------------------------------------------

    def declared(self, tasks: Sequence[Task]) -> None:
        """Tell how many tasks each group has by now."""
        if not self._listened:
            return
        from collections import Counter

        from scriptflow.core.events import Progress

        new = {id(task): task._group for task in tasks}
        for group, count in Counter(new.values()).items():
            self._groups[group] = self._groups.get(group, 0) + count
            self._tell(Progress(at=time(), group=group, declared=self._groups[group]))

    def skipped(self, task: Task) -> None:
        """Note a task that is up to date; told many at once by ``flush``."""
        if self._listened:
            self._skipped.append(task)

    def flush(self) -> None:
        """Tell how many more tasks are up to date."""
        if not self._skipped:
            return
        from collections import Counter

        from scriptflow.core.events import TasksSkipped

        tasks, self._skipped = self._skipped, []
        names = tuple([str(task.name) for task in tasks]) if self.bus.wants_names else ()
        groups = tuple(Counter([task._group for task in tasks]).items())
        self._tell(TasksSkipped(at=time(), count=len(tasks), names=names, groups=groups))

    def queued(self, life: Life) -> None:
        """Tell that a task must run and waits for room."""
        if self._listened:
            from scriptflow.core.events import TaskQueued

            self._tell(TaskQueued(at=time(), task=life.name, group=life.group, reasons=life.reason_pairs()))

    def started(self, life: Life) -> None:
        """Tell that a job is on its way."""
        job, pool = life.job, life.pool
        if not self._listened or job is None or pool is None:
            return
        from scriptflow.core.command import command_line
        from scriptflow.core.events import JobStarted

        self._tell(
            JobStarted(
                at=time(), task=life.name, group=life.group, job=job.number, attempt=life.attempt, executor=pool.name,
                command=command_line(life.task, life.head.folder) if self.bus.wants_names else "", log=job.log,
                reasons=life.reason_pairs(),
            )
        )  # fmt: skip

    def retried(self, life: Life, delay_s: float, report: JobReport) -> None:
        """Tell that a failed job will be tried again."""
        if self._listened and life.job is not None:
            from scriptflow.core.events import JobRetried

            self._tell(
                JobRetried(
                    at=time(), task=life.name, group=life.group, job=life.job.number, attempt=life.attempt,
                    attempts=1 + life.retries, delay_s=delay_s, report=report,
                )
            )  # fmt: skip

    def ended(self, life: Life, state: str) -> None:
        """Tell that a task that had to run, or could not, is settled."""
        if not self._listened:
            return
        from scriptflow.core.events import TaskEnded

        job, report, error = life.job, life.report, life.failure
        began = report.began if report else None
        self._tell(
            TaskEnded(
                at=time(), task=life.name, group=life.group, state=state, job=job.number if job else None,
                attempt=life.attempt, attempts=1 + life.retries,
                seconds=max(0.0, (report.ended or 0) - began) if report and began else 0.0,
                report=report, log=job.log if job else None, reasons=life.reason_pairs(),
                message=error.what if error else "", slug=error.slug if error else "",
                tail=getattr(error, "tail", ()), notes=error.why if error else (), help=error.do if error else "",
                place=error.place if error else None,
            )
        )  # fmt: skip

    def warn(self, slug: str, text: str, *, do: str = "") -> None:
        """Tell the user something he should know."""
        if self._listened:
            from scriptflow.core.events import Message

            self.bus.publish(Message(at=time(), level="warning", slug=slug, text=text, help=do))

    def stopping(self, word: str, running: int) -> None:
        """Tell that the run was asked to stop."""
        if self._listened:
            from scriptflow.core.events import RunStopping

            self.bus.publish(RunStopping(at=time(), signal=word, running=running))
