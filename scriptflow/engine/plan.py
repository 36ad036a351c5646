"""The part of a head that runs nothing: what would run counts as done, and nothing is started or written."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from scriptflow.core.freshness import Reason
from scriptflow.core.states import SUBMITTED, SUCCEEDED
from scriptflow.engine.asked import refuse_impossible
from scriptflow.engine.dispatch import Dispatcher
from scriptflow.errors import ResourcesImpossible

if TYPE_CHECKING:
    from collections.abc import Callable

    from scriptflow.core.interfaces import Executor
    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life
    from scriptflow.engine.pools import Pools


class Planner(Dispatcher):
    """Answers from the store alone.

    Attributes:
        would_run: the lives of the tasks that a run would start, in order.
    """

    def __init__(self, head: Head, pools: Pools[Life], open_executor: Callable[[str], Executor]) -> None:
        super().__init__(head, pools, open_executor, run="", run_id=0)
        self.would_run: list[Life] = []
        self._made: dict[str, str] = {}

    def will_exist(self, path: str) -> bool:
        """Whether a task that would run makes the file, or the folder it lies in."""
        while path not in self._made:
            path, slash, _ = path.rpartition("/")
            if not slash:
                return False
        return True

    def planned_files(self, pattern: str) -> tuple[str, ...]:
        """Return the files that tasks that would run make and that match."""
        return tuple([path for path in self._made if fnmatchcase(path, pattern)])

    def extra_reasons(self, life: Life) -> tuple[Reason, ...]:
        """Return a reason for each input that a task that would run makes."""
        makers = {self._made[path]: path for path in (seen.path for seen in life.inputs) if path in self._made}
        return tuple([Reason("upstream", f"{maker} would make {path}") for maker, path in makers.items()])

    def looked(self, job: int, outputs: tuple[str, ...], signature: int) -> None:
        """Keep nothing: a plan writes nothing."""

    def queue(self, life: Life) -> None:
        """Take the task as done, if it could be done at all."""
        try:
            refuse_impossible(life.task, life.asked, self.pools, self.executor)
        except ResourcesImpossible as error:
            life.fail(error)
            return
        self.would_run.append(life)
        for path in life.outputs:
            self._made[path] = life.name
        self.head.move(life.task, SUBMITTED)
        self.ran += 1
        self.head.settle(life.task, SUCCEEDED)
