"""Which tasks of a flow a run is about: ``--force``, ``--only``, ``--until``, and what a retry leaves out.

Knows tasks by name, and what needs what by a function that it is given.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scriptflow.core.task import Task


class Enough(BaseException):
    """Ends a flow whose ``--until`` task is settled; not to be caught by the flow's own ``except Exception``."""


class Selection:
    """What was asked for.

    Args:
        force: name patterns of tasks that run even when up to date.
        only: name patterns of the only tasks that may run.
        until: names, patterns or outputs of the tasks to stop after; what they do not need does not run.
        done: names of tasks that are left out unless a task that is not among them needs them.
    """

    def __init__(
        self,
        force: Sequence[str] = (),
        only: Sequence[str] = (),
        until: Sequence[str] = (),
        done: frozenset[str] = frozenset(),
    ) -> None:
        self.force = tuple(force)
        self.only = tuple(only)
        self.until = tuple(until)
        self.done = done
        self.all = not (self.force or self.only or self.until or self.done)
        self.looks_ahead = bool(self.until or self.done)
        self._targets: dict[int, Task] = {}
        self._needed: set[int] = set()
        self._needed_again: set[int] = set()
        self._reached: set[str] = set()
        self._matched: set[str] = set()

    def forced_by(self, task: Task) -> str:
        """Return the pattern that forces a task, "" when none does."""
        found = next((pattern for pattern in self.force if fnmatchcase(task.name, pattern)), "")
        self._matched.add(found)
        return found

    def unmatched(self) -> list[str]:
        """Return the options whose patterns matched no task."""
        asked = [("--force", pattern) for pattern in self.force] + [("--only", pattern) for pattern in self.only]
        asked += [("--until", pattern) for pattern in self.until]
        return [f"{option} {pattern}" for option, pattern in asked if pattern not in self._matched]

    def declare(self, tasks: Iterable[Task], upstream: Callable[[Task], Iterable[Task]]) -> None:
        """Note new tasks: when one is to stop after, or to run again, what it needs is known from now on."""
        for task in tasks:
            if self.done and task.name not in self.done:
                _add_with_needs(self._needed_again, task, upstream)
            if any(self._is_target(task, pattern) for pattern in self.until):
                self._targets[id(task)] = task
                self._matched.update(pattern for pattern in self.until if self._is_target(task, pattern))
                _add_with_needs(self._needed, task, upstream)

    def leaves_out(self, task: Task) -> bool:
        """Whether a task does not run, whatever its state."""
        wanted = [pattern for pattern in self.only if fnmatchcase(task.name, pattern)]
        self._matched.update(wanted)
        if self.only and not wanted:
            return True
        if task.name in self.done and id(task) not in self._needed_again:
            return True
        return bool(self._targets) and id(task) not in self._needed

    def settled(self, task: Task) -> None:
        """Note that a task ended well."""
        if id(task) in self._targets:
            self._reached.update(pattern for pattern in self.until if self._is_target(task, pattern))

    def raise_if_enough(self) -> None:
        """End the flow when everything to stop after is there.

        Raises:
            Enough: it is.
        """
        if self.until and len(self._reached) == len(self.until):
            raise Enough

    def _is_target(self, task: Task, pattern: str) -> bool:
        return fnmatchcase(task.name, pattern) or pattern in task._outputs


def _add_with_needs(needed: set[int], task: Task, upstream: Callable[[Task], Iterable[Task]]) -> None:
    left = [task]
    while left:
        one = left.pop()
        if id(one) not in needed:
            needed.add(id(one))
            left.extend(upstream(one))
