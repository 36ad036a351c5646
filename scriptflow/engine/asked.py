"""What a task asks for, and what it may not.

Knows tasks, paths and the room there is. Knows nothing of who has it now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.job import PLAIN, Resources
from scriptflow.core.units import bytes_of, seconds_of
from scriptflow.errors import Cycle, ResourcesImpossible, TaskError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from scriptflow.core.task import Task
    from scriptflow.engine.pools import Pools

_STORE = ".scriptflow/"


def resources_of(task: Task) -> Resources:
    """Return what a task's jobs need."""
    if not task._options:
        return PLAIN
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
    value_file = getattr(task.get("call"), "value_file", "")
    own = next((path for path in outputs if path.startswith(_STORE) and path != value_file), None)
    if own is not None:
        raise TaskError(f"{own} is the run store's, not an output", do="write elsewhere", place=task.place)
    both = set(inputs) & set(outputs)
    if both and not task.get("update_in_place"):
        raise Cycle(
            f"{task.name} reads and makes {min(both)}",
            do="write to another file, or say update_in_place=True",
            place=task.place,
        )


def refuse_impossible(task: Task, asked: Resources, pools: Pools[Any], default: str | None) -> None:
    """Refuse a task that no executor could ever hold; ``default`` is where tasks go that name none.

    Raises:
        ResourcesImpossible: with what it asks for and what is set up.
    """
    wanted = task.get("executor") or default
    if wanted is not None and wanted not in pools.pools:
        what, do = f"executor {wanted}, which is not set up", f"executors.{wanted} in the settings"
        raise _impossible(task, what, do, f"set up are: {', '.join(pools.pools)}")
    if not pools.candidates(asked, wanted):
        sizes = f"{asked.cpus} cpus" + (f", {asked.memory_bytes / 1e9:g} GB" if asked.memory_bytes else "")
        sizes += f", {asked.gpus} gpus" if asked.gpus else ""
        what, do = f"more than any executor has: {sizes}", "ask for less, or set up a larger executor"
        raise _impossible(task, what, do)


def _impossible(task: Task, what: str, do: str, why: str = "") -> ResourcesImpossible:
    return ResourcesImpossible(f"{task.name} asks for {what}", why=why or (), do=do, place=task.place)
