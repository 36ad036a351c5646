"""Load a flow as it was run last, and look at what it declares; nothing is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scriptflow.cli import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scriptflow.core.records import RunRecord
    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life
    from scriptflow.flowfile.discover import Flow
    from scriptflow.outcome import Plan


def looked_through(request: launch.Request, then: Callable[[Head, Sequence[Life]], None]) -> tuple[Plan, launch.Ready]:
    """Plan what a request asks for, and show ``then`` the head and the lives of the tasks that would run."""
    what = launch.ready(request)
    from scriptflow.plans import plan_flow

    return plan_flow(what.flow_file, what.flow, what.params, what.settings, what.options, then=then), what


def as_run_last(flow: str, last: RunRecord | None, **more: Any) -> launch.Request:
    """Return a request for a flow with the parameters of its newest run, where there is one."""
    return launch.Request(words=(flow,), recorded=None if last is None else last.params, **more)


def needs_parameters(flow: Flow) -> bool:
    """Whether a flow cannot be called without being given something."""
    return any(parameter.is_required for parameter in flow.parameters if not parameter.any_name)
