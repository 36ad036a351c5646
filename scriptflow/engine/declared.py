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
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from scriptflow.core.task import Task


class Declared:
    """All tasks that a head knows.

    Args:
        relative: gives a full path below the flow's folder its one name.

    Attributes:
        producers: maps an output to the task that makes it.
        names: maps a given name to its task.
        has_globs: whether any task has a glob or a folder among its inputs.
    """

    def __init__(self, relative: Callable[[str], str]) -> None:
        self._relative = relative
        self.producers: dict[Any, Task] = {}
        self.names: dict[str, Task] = {}
        self.has_globs = False
        self._sent_without_outputs: dict[str, Task] = {}
        self._made: list[Task] = []
        self._folders: dict[str, Task] = {}

    def add(self, task: Task) -> None:
        """Note what a task makes and how it is called, as it is now; it may be edited and added again."""
        producers = self.producers
        for path in self._outputs(task):
            other = producers.setdefault(path, task)
            if other is not task and self._gave_up(other, path):
                producers[path] = task
            if isinstance(path, Directory):
                self._folders[path] = task
        if not task._outputs:
            self._made.append(task)
        if task._name is not None:
            other = self.names.setdefault(task._name, task)
            if other is not task and _may_replace(other, other._name == task._name):
                self.names[task._name] = task
        if not self.has_globs and any(type(item) in (Glob, Directory) for item in task._inputs):
            self.has_globs = True

    def forget(self, task: Task) -> None:
        """Let go of a task."""
        for path in self._outputs(task):
            if self.producers.get(path) is task:
                del self.producers[path]
        if task._name is not None and self.names.get(task._name) is task:
            del self.names[task._name]
        if not task._outputs:
            self._sent_without_outputs.pop(manifest_of(task), None)
            self._made = [other for other in self._made if other._state is NEW]

    def tasks(self) -> list[Task]:
        """Return all tasks; patterns for copies are none of them."""
        known = (*self.producers.values(), *self._made, *self.names.values(), *self._sent_without_outputs.values())
        made = {id(task): task for task in known}
        return [task for task in made.values() if task._state is not NEW or not _is_template(task)]

    def owner(self, task: Task) -> Task:
        """Return the task that stands for this one and all its equals; from now on it cannot be edited.

        Raises:
            DuplicateOutput: another task, not its equal, makes the same file.
            DuplicateTask: another task, not its equal, has the same name.
        """
        owner = task
        for path in self._outputs(task):
            other = self.producers.setdefault(path, task)
            if other is task:
                continue
            if self._gave_up(other, path):
                self.producers[path] = task
            elif manifest_of(other) == manifest_of(task):
                owner = other
            else:
                raise DuplicateOutput(
                    f"{path} is the output of {other.name} ({other.place}) and of {task.name} ({task.place})",
                    do="give each its own file",
                    place=task.place,
                )
        if not task._outputs:
            owner = self._sent_without_outputs.setdefault(manifest_of(task), task)
        if owner is task and task._name is not None:
            self._check_name(task, task._name)
        return owner

    def _check_name(self, task: Task, name: str) -> None:
        other = self.names.setdefault(name, task)
        if other is task:
            return
        if _may_replace(other, other._name == name):
            self.names[name] = task
        elif manifest_of(other) != manifest_of(task):
            raise DuplicateTask(
                f"two different tasks are named {name} ({other.place}, {task.place})",
                do=f'rename one, e.g. name="{name}-2"',
                place=task.place,
            )

    def maker(self, path: str) -> Task | None:
        """Return the task that makes a file, or the folder it lies in."""
        path = self._relative(path)
        maker = self.producers.get(path)
        if maker is not None and self._gave_up(maker, path):
            maker = None
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
                if isinstance(item, Directory):
                    yield from self._makers_below(task, item + "/*")
            elif isinstance(item, Glob):
                yield from self._makers_below(task, item.pattern)
            else:
                yield item
                owner = self.owner(item)
                if owner is not item:
                    yield owner

    def _outputs(self, task: Task) -> Sequence[Any]:
        """Return a task's outputs, each under its one name."""
        outputs = task._outputs
        for path in outputs:
            if isinstance(path, str) and path[0] == "/":
                return [self._relative(path) if isinstance(path, str) else path for path in outputs]
        return outputs

    def _gave_up(self, task: Task, path: Any) -> bool:  # noqa: ANN401
        """Whether a task that claimed an output once claims it no more, or only lent it to its copies."""
        return _may_replace(task, path in self._outputs(task))

    def _makers_below(self, task: Task, pattern: str) -> Iterator[Task]:
        for path, maker in list(self.producers.items()):
            if isinstance(path, str) and maker is not task and fnmatchcase(path, pattern):
                yield maker


def _is_template(task: Task) -> bool:
    """Whether copies were made of a task, so that it need not run itself."""
    return "template" in task._options


def _may_replace(task: Task, still_claims: bool) -> bool:
    return not still_claims or (task._state is NEW and _is_template(task))
