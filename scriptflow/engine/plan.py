"""The part of a head that runs nothing: what would run counts as done, and nothing is started or written."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from scriptflow.core.freshness import Reason
from scriptflow.core.states import NEW, SKIPPED, SUBMITTED, SUCCEEDED
from scriptflow.engine.asked import refuse_impossible
from scriptflow.engine.dispatch import Dispatcher
from scriptflow.engine.head import Head
from scriptflow.engine.reads import Reads
from scriptflow.errors import ResourcesImpossible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from scriptflow.core.interfaces import Executor
    from scriptflow.core.records import Seen
    from scriptflow.core.states import TaskState
    from scriptflow.core.task import Task
    from scriptflow.engine.life import Life
    from scriptflow.engine.pools import Pools


class Planner(Dispatcher):
    """Answers from the store alone.

    Attributes:
        would_run: the lives of the tasks that a run would start, in order.
        reads: where the flow's code reads what one of them would make; watched from the first of them on.
        certain: how many of them came before that.
    """

    def __init__(self, head: Head, pools: Pools[Life], open_executor: Callable[[str], Executor]) -> None:
        super().__init__(head, pools, open_executor, run="", run_id=0)
        self.would_run: list[Life] = []
        self.reads = Reads(head.folder, self.maker, lambda task: task._state is SUCCEEDED)
        self.certain = 0
        self._made: dict[str, str] = {}

    def maker(self, path: str) -> str:
        """Return the task that would run and make the file, or the folder it lies in; "" when there is none."""
        while path not in self._made:
            path, slash, _ = path.rpartition("/")
            if not slash:
                return ""
        return self._made[path]

    def will_exist(self, path: str) -> bool:
        """Whether a task that would run makes the file, or the folder it lies in."""
        return bool(self.maker(path))

    def planned_files(self, pattern: str) -> tuple[str, ...]:
        """Return the files that tasks that would run make and that match."""
        return tuple([path for path in self._made if fnmatchcase(path, pattern)])

    def extra_reasons(self, life: Life) -> tuple[Reason, ...]:
        """Return a reason for each input that a task that would run makes."""
        makers = {self._made[path]: path for path in (seen.path for seen in life.inputs) if path in self._made}
        unless = ", unless its content stays the same" if life.by_content else ""
        return tuple([Reason("upstream", f"{maker} would make {path}{unless}") for maker, path in makers.items()])

    def looked(self, job: int, outputs: tuple[str, ...], signature: int) -> None:
        """Keep nothing: a plan writes nothing."""

    def hash_first(self, life: Life, files: Sequence[Seen]) -> None:
        """Decide at once: no job of a plan waits meanwhile."""
        life.decide()

    def queue(self, life: Life) -> None:
        """Take the task as done, if it could be done at all."""
        try:
            refuse_impossible(life.task, life.asked, self.pools, self.executor)
        except ResourcesImpossible as error:
            life.fail(error)
            return
        if not self.would_run:
            self.reads.watch()
        self.would_run.append(life)
        self.certain += not self.reads.first
        for path in life.outputs:
            self._made[path] = life.name
        self.head.move(life.task, SUBMITTED)
        self.ran += 1
        self.head.settle(life.task, SUCCEEDED)


class LateHead(Head):
    """A head that takes tasks in, and decides one only when it is asked about: what stands before it, and no other.

    A flow of very many tasks is soon gone through, and the few that matter for one of them are looked at.

    Attributes:
        taken: every task that was sent, in that order.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.taken: list[Task] = []
        self._late: dict[int, Task] = {}

    def send(self, task: Task) -> bool:
        """Take a task in."""
        self.admit((task,))
        return True

    def admit(self, tasks: Iterable[Task]) -> list[Task]:
        """Take tasks in; to the flow they look up to date."""
        self._take_in()
        for task in tasks:
            if task._state is NEW:
                task._state = SKIPPED
                self._late[id(task)] = task
                self.taken.append(task)
        return []

    def forget(self, task: Task) -> None:
        """Keep it: it may be asked about."""

    def decide(self, task: Task) -> TaskState:
        """Decide a task, after all that stands before it."""
        self._take_in()
        left, seen = [task], {id(task)}
        while left:
            one = left.pop()
            if self._late.pop(id(one), None) is not None:
                one._state = NEW
            for up in self.declared.upstream(one):
                if id(up) not in seen:
                    seen.add(id(up))
                    left.append(up)
        super().send(task)
        return task._state
