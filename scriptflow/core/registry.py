"""Names to classes: a table of strings for what is built in, then entry points; imported on use.

Built-ins and guests come in through the same door.
"""

from __future__ import annotations

from scriptflow.core.nearest import nearest
from scriptflow.errors import PluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptflow.core.interfaces import RunningHead

EXECUTORS = {
    "local": "scriptflow.executors.local:LocalExecutor",
    "pbs": "scriptflow.hpc.pbs:PbsExecutor",
    "sge": "scriptflow.hpc.sge:SgeExecutor",
    "slurm": "scriptflow.hpc.slurm:SlurmExecutor",
}
OLD_NAMES = {"hpc": "pbs"}
_IMPLICIT_HEAD = "scriptflow.app:implicit_head"


def load(target: str) -> Any:  # noqa: ANN401
    """Import ``module:name``."""
    from importlib import import_module

    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def executor_class(kind: str) -> Any:  # noqa: ANN401
    """Return the class of executors of this ``type``.

    Raises:
        PluginError: there is none, there are two, or it cannot be imported.
    """
    kind = OLD_NAMES.get(kind, kind)
    if kind in EXECUTORS:
        return load(EXECUTORS[kind])
    from importlib.metadata import entry_points

    found = {point.value: point for point in entry_points(group="scriptflow.executors") if point.name == kind}
    if len(found) > 1:
        raise PluginError(
            f"two packages bring an executor {kind!r}: {', '.join(sorted(found))}", do="remove one of them"
        )
    if not found:
        known = sorted({*EXECUTORS, *(point.name for point in entry_points(group="scriptflow.executors"))})
        near = nearest(kind, known)
        raise PluginError(
            f"no executor of type {kind!r}",
            why=f"there are: {', '.join(known)}",
            do=f'executors.NAME = {{"type": "{near}"}}' if near else "install the package that brings it",
        )
    (point,) = found.values()
    try:
        return point.load()
    except Exception as error:
        raise PluginError(f"executor {kind!r} cannot be loaded: {error}", why=f"it is {point.value}") from error


def implicit_head() -> RunningHead:
    """Return the head of a plain ``asyncio.run(main())``, starting one on the first await of a task."""
    head: RunningHead = load(_IMPLICIT_HEAD)()
    return head
