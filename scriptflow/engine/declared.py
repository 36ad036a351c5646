"""The tasks of a run as their flow declares them: who makes which file, who is equal to whom, what comes first.

Knows tasks and paths. Knows nothing of records, of the disk, or of what became of anybody.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from scriptflow.core.command import manifest_of
from scriptflow.core.paths import Directory, Glob
from scriptflow.core.states import NEW
from scriptflow.errors import DuplicateOutput, DuplicateTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from scriptflow.core.task import Task


class Declared:
    """All tasks that a head knows.

    Attributes:
        producers: maps an output, as declared, to the task that makes it.
        has_globs: whether any task has a glob among its inputs.
    """

    def __init__(self) -> None:
        self.producers: dict[Any, Task] = {}
        self.has_globs = False
        self._named: dict[str, Task] = {}
        self._without_outputs: dict[str, Task] = {}
        self._folders: dict[str, Task] = {}

    def add(self, task: Task) -> None:
        """Note what a task makes and how it is called.

        Raises:
            DuplicateOutput: another task, not its equal, makes the same file.
            DuplicateTask: another task, not its equal, has the same name.
        """
        producers = self.producers
        for path in task._outputs:
            other = producers.get(path)
            if other is None:
                producers[path] = task
            elif other is not task:
                self._claim(path, other, task)
            if isinstance(path, Directory):
                self._folders[path] = task
        if not task._outputs:
            self._without_outputs.setdefault(manifest_of(task), task)
        if task._name is not None and task._state is NEW:
            other = self._named.setdefault(task._name, task)
            if other is not task:
                self._same_name(other, task)
        if not self.has_globs and any(type(item) is Glob for item in task._inputs):
            self.has_globs = True

    def forget(self, task: Task) -> None:
        """Let go of a task."""
        for path in task._outputs:
            if self.producers.get(path) is task:
                del self.producers[path]
        if task._name is not None:
            self._named.pop(task._name, None)
        if not task._outputs:
            self._without_outputs.pop(manifest_of(task), None)

    def unsent(self) -> list[Task]:
        """Return the tasks that were made and never sent; patterns for copies are none of them."""
        known = (*self.producers.values(), *self._without_outputs.values(), *self._named.values())
        made = {id(task): task for task in known}
        return [task for task in made.values() if task._state is NEW and not _is_template(task)]

    def owner(self, task: Task) -> Task:
        """Return the task that stands for this one and all its equals."""
        if task._outputs:
            return self.producers.get(task._outputs[0], task)
        return self._without_outputs.get(manifest_of(task), task)

    def maker(self, path: str) -> Task | None:
        """Return the task that makes a file, or the folder it lies in."""
        maker = self.producers.get(path)
        if maker is None and self._folders:
            at = path.rfind("/")
            while at > 0 and maker is None:
                maker = self._folders.get(path[:at])
                at = path.rfind("/", 0, at)
        return maker

    def upstream(self, task: Task) -> Iterator[Task]:
        """Yield the tasks that must end before this one."""
        for item in task._inputs:
            if isinstance(item, str):
                maker = self.maker(item)
                if maker is not None and maker is not task:
                    yield maker
            elif isinstance(item, Glob):
                for path, maker in list(self.producers.items()):
                    if isinstance(path, str) and maker is not task and fnmatchcase(path, item.pattern):
                        yield maker
            else:
                yield item
                owner = self.owner(item)
                if owner is not item:
                    yield owner

    def _claim(self, path: Any, other: Task, task: Task) -> None:  # noqa: ANN401
        if _is_template(other) and other._state is NEW:
            self.producers[path] = task
        elif not _is_template(task) and manifest_of(other) != manifest_of(task):
            raise DuplicateOutput(
                f"{path} is the output of {other.name} ({other.place}) and of {task.name} ({task.place})",
                do="give each its own file",
                place=task.place,
            )

    def _same_name(self, other: Task, task: Task) -> None:
        if _is_template(other) and other._state is NEW:
            self._named[str(task._name)] = task
        elif not _is_template(task) and manifest_of(other) != manifest_of(task):
            raise DuplicateTask(
                f"two different tasks are named {task.name} ({other.place}, {task.place})",
                do=f'rename one, e.g. name="{task.name}-2"',
                place=task.place,
            )


def _is_template(task: Task) -> bool:
    """Whether copies were made of a task, so that it need not run itself."""
    return "template" in task._options
