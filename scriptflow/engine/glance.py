"""The first look at a task: whether its record matches what is on disk, told without suspending and in microseconds.

Most tasks of most runs end here, so everything is in plain strings and integers: one stat for each file and run, one
number for all of a task's stats. Says yes or "look closer", never why. Decides nothing that ``freshness`` would not.
"""

from __future__ import annotations

from scriptflow.core.command import manifest_of, paths_in
from scriptflow.core.paths import Glob
from scriptflow.core.states import SKIPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.files import Files
    from scriptflow.core.records import Latest
    from scriptflow.core.task import Task
    from scriptflow.engine.declared import Declared


class Glance:
    """Looks at tasks of one run.

    Args:
        declared: who makes what.
        files: what lies on disk.
        latest: what the store knows of each output.
    """

    def __init__(self, declared: Declared, files: Files, latest: dict[str, Latest]) -> None:
        self._declared = declared
        self._producers = declared.producers
        self._names = declared.names
        self._marks = files.marks
        self._mark = files.mark
        self._folder = files.folder
        self._latest = latest

    def is_fresh(self, task: Task) -> bool:
        """Whether a task is up to date beyond doubt; False when more must be looked at."""
        outputs = task._outputs
        last = self._latest.get(outputs[0]) if outputs else None
        if last is None or not last.signature or not last.ok:
            return False
        if task._name is not None and self._names.get(task._name) is not task:
            return False
        producers, marks = self._producers, self._marks
        found: list[int] = []
        inputs: Sequence[str] = task._inputs
        for path in inputs:
            if type(path) is not str or path[0] == "/":
                return self._is_fresh_with_tasks(task, last)
            maker = producers.get(path)
            if maker is not None and maker._state is not SKIPPED:
                return False
            found.append(marks.get(path) or self._mark(path))
        for path in outputs:
            if producers.get(path) is not task:
                return False
            found.append(marks.get(path) or self._mark(path))
        # A missing file has the mark 0, and no signature was ever made of one.
        return hash(tuple(found)) == last.signature and manifest_of(task, inputs) == last.manifest

    def _is_fresh_with_tasks(self, task: Task, last: Latest) -> bool:
        """The same for inputs that are tasks, folders or globs."""
        for item in task._inputs:
            if not isinstance(item, (str, Glob)) and item._state is not SKIPPED:
                return False
        if any(isinstance(item, Glob) for item in task._outputs):
            return False
        inputs = paths_in(task, self._folder)
        found = []
        for path in inputs:
            maker = self._declared.maker(path)
            if maker is not None and maker._state is not SKIPPED:
                return False
            found.append(self._marks.get(path) or self._mark(path))
        if self._declared.has_globs and any(up._state is not SKIPPED for up in self._declared.upstream(task)):
            return False
        for path in task._outputs:
            if self._producers.get(path) is not task:
                return False
            found.append(self._marks.get(path) or self._mark(path))
        return hash(tuple(found)) == last.signature and manifest_of(task, inputs) == last.manifest
