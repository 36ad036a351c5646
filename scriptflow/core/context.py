"""What is current: head, group, plan, and the tasks not yet taken in. Knows only that heads and tasks exist."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from scriptflow.core.interfaces import RunningHead
    from scriptflow.core.task import Task

HEAD: ContextVar[RunningHead | None] = ContextVar("scriptflow_head", default=None)
# Set while a plan is made: says whether a task would run.
PLANNING: ContextVar[Callable[[Task], bool] | None] = ContextVar("scriptflow_planning", default=None)
GROUP: ContextVar[str] = ContextVar("scriptflow_group", default="")
# Tasks made while no head is current (at import, before a head starts) wait in the default list.
DECLARED: ContextVar[list[Task]] = ContextVar("scriptflow_declared", default=[])  # noqa: B039 (shared on purpose)


def current_head() -> RunningHead:
    """Return the head in whose run the caller is, starting one where plain asyncio awaits a task."""
    if (head := HEAD.get()) is not None:
        return head
    from scriptflow.core.registry import implicit_head

    return implicit_head()
