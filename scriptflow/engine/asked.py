"""What a task asks for, and what it may not.

Knows tasks and paths. Knows nothing of what executors have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.job import Resources
from scriptflow.core.units import bytes_of, seconds_of
from scriptflow.errors import Cycle, TaskError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.task import Task

_STORE = ".scriptflow/"


def resources_of(task: Task) -> Resources:
    """Return what a task's jobs need."""
    memory, walltime = task.get("memory"), task.get("walltime")
    return Resources(
        cpus=task.get("cpus"),
        memory_bytes=None if memory is None else bytes_of(memory),
        gpus=task.get("gpus"),
        walltime_s=None if walltime is None else seconds_of(walltime),
    )


def refuse_outputs(task: Task, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Refuse outputs that cannot be a task's own.

    Raises:
        TaskError: one lies in the run store.
        Cycle: one is an input too, and the command does not change it in place.
    """
    own = next((path for path in outputs if path.startswith(_STORE)), None)
    if own is not None:
        raise TaskError(f"{own} is the run store's, not an output", do="write elsewhere", place=task.place)
    both = set(inputs) & set(outputs)
    if both and not task.get("update_in_place"):
        raise Cycle(
            f"{task.name} reads and makes {min(both)}",
            do="write to another file, or say update_in_place=True",
            place=task.place,
        )
