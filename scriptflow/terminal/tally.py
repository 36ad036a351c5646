"""Count the tasks of a run from its events, each event at a constant cost, and guess what is left.

Knows no words and no screen.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scriptflow.core.events import (
        Event,
        JobRetried,
        JobStarted,
        Progress,
        RunEnded,
        RunStarted,
        RunStopping,
        TaskEnded,
        TaskQueued,
        TasksSkipped,
    )

_ENOUGH = 3  # ended tasks before a guess is worth showing
_SMOOTHING = 0.1  # the weight of the newest duration, once there are ten


class Group:
    """The tasks of one group: ``running`` maps each running one to its start, the oldest first."""

    __slots__ = ("cancelled", "failed", "mean_s", "name", "queued", "running", "seen", "skipped", "succeeded", "total")

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = self.seen = self.skipped = self.succeeded = self.failed = self.cancelled = self.queued = 0
        self.running: dict[str, JobStarted] = {}
        self.mean_s = 0.0

    @property
    def settled(self) -> int:
        """How many need no more attention."""
        return self.skipped + self.succeeded + self.failed + self.cancelled


class Tally:
    """All counts of one run.

    Attributes:
        final: whether no more tasks can come.
        settled, running, ran, failed: how many of them are there.
        queued: the tasks that must run and do not, oldest first.
        logged: whether a task that failed left a log.
        stopped, unstarted: cancelled tasks that had begun, and that never did.
    """

    def __init__(self, expected: Mapping[str, float] | None = None) -> None:
        self.run = self.flow = self.signal = ""
        self.began = self.last_at = 0.0
        self._known = self._seen = self._loose = 0
        self.settled = self.running = self.skipped = 0
        self.succeeded = self.failed = self.stopped = self.unstarted = self.retried = 0
        self.final = self.logged = False
        self.groups: dict[str, Group] = {}
        self.queued: dict[str, None] = {}
        self.ended: RunEnded | None = None
        self._expected = expected or {}
        self._busy = 0.0  # how many ran at once lately
        # By name and not by class: importing the classes is dear, and who hears an event has them already.
        self._counts: dict[str, Callable[..., None]] = {
            "RunStarted": self._run_started,
            "TasksSkipped": self._skipped,
            "TaskQueued": self._queued,
            "JobStarted": self._started,
            "JobRetried": self._retried,
            "TaskEnded": self._ended,
            "Progress": self._declared,
            "RunStopping": self._stopping,
            "RunEnded": self._run_ended,
        }

    def hear(self, name: str, event: Event) -> None:
        """Count one event; ``name`` is the name of its class."""
        self.last_at = event.at
        counts = self._counts.get(name)
        if counts is not None:
            counts(event)

    @property
    def total(self) -> int:
        """How many tasks are known so far; up-to-date ones of no named group are among those declared."""
        return max(self._known, self._seen + self._loose)

    def must_run(self) -> int:
        """How many tasks ran or must."""
        return self.succeeded + self.failed + self.stopped + self.running + len(self.queued)

    def left_s(self) -> tuple[float | None, bool]:
        """Guess the seconds left, and whether every group is in the guess; None when nothing can be said."""
        if self.succeeded < _ENOUGH and not self._expected:
            return None, False
        work, lefts, whole = 0.0, 0, True
        for group in self.groups.values():
            left = group.total - group.settled
            lefts += left
            each = group.mean_s if group.succeeded else self._expected.get(group.name)
            if left and each is None:
                whole = False
            elif left and each is not None:
                work += (left - len(group.running) / 2) * each  # on average a running one is half done
        if work <= 0:
            return None, whole
        work *= min(1.0, (self.total - self.settled) / lefts)
        return work / max(1.0, self._busy, self.running), whole

    def _group(self, name: str) -> Group:
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
        return group

    def _see(self, group: Group, number: int = 1) -> None:
        group.seen += number
        self._seen += number
        self._know(group, group.seen)

    def _know(self, group: Group, number: int) -> None:
        if number > group.total:
            self._known += number - group.total
            group.total = number

    def _run_started(self, event: RunStarted) -> None:
        self.run, self.flow, self.began = event.run, event.flow, event.at

    def _skipped(self, event: TasksSkipped) -> None:
        self.skipped += event.count
        self.settled += event.count
        self._loose += event.count
        for name, number in event.groups:
            group = self._group(name)
            self._see(group, number)
            group.skipped += number
            self._loose -= number

    def _queued(self, event: TaskQueued) -> None:
        group = self._group(event.group)
        if event.task not in self.queued:
            self._see(group)
            group.queued += 1
        self.queued[event.task] = None

    def _started(self, event: JobStarted) -> None:
        group = self._group(event.group)
        if event.task in self.queued:
            del self.queued[event.task]
            group.queued -= 1
        else:
            self._see(group)
        group.running[event.task] = event
        self.running += 1

    def _retried(self, event: JobRetried) -> None:
        group = self._group(event.group)
        self.retried += 1
        if group.running.pop(event.task, None) is not None:
            self.running -= 1
            group.queued += 1
            self.queued[event.task] = None

    def _ended(self, event: TaskEnded) -> None:
        group = self._group(event.group)
        if event.task in group.running:
            self._busy += 0.05 * (self.running - self._busy)
            del group.running[event.task]
            self.running -= 1
        elif event.task in self.queued:
            del self.queued[event.task]
            group.queued -= 1
        else:
            self._see(group)
        self.settled += 1
        if event.state == "succeeded":
            group.succeeded += 1
            self.succeeded += 1
            group.mean_s += max(_SMOOTHING, 1 / group.succeeded) * (event.seconds - group.mean_s)
        elif event.state == "failed":
            group.failed += 1
            self.failed += 1
            self.logged = self.logged or event.log is not None
        else:
            group.cancelled += 1
            if event.job is None:
                self.unstarted += 1
            else:
                self.stopped += 1

    def _declared(self, event: Progress) -> None:
        if event.declared:
            self._know(self._group(event.group), event.declared)
        self.final = self.final or event.final

    def _stopping(self, event: RunStopping) -> None:
        self.signal = event.signal

    def _run_ended(self, event: RunEnded) -> None:
        self.ended, self.final = event, True
        self.run, self.flow = event.run, event.flow
