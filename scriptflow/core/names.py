"""What tasks are called."""

from __future__ import annotations

from scriptflow.core.paths import Glob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.task import Task


class Uid(str):
    """A task's name: a plain ``str`` that, called, sets the name and returns the task."""

    __slots__ = ("_task",)
    _task: Task

    def __call__(self, name: str) -> Task:
        """Name the task; returns it."""
        return self._task._rename(name)


def default_name(task: Task) -> str:
    """Return what a task without a name is called: its first output, else its program."""
    if task._outputs:
        return task._outputs[0].pattern if isinstance(task._outputs[0], Glob) else str(task._outputs[0])
    words = task.cmd.split(None, 1) if isinstance(task.cmd, str) else task.cmd
    return words[0].rpartition("/")[2] if words else "task"
