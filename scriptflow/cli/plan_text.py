"""Put a plan into lines: what would run and why, and where knowledge ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.cli.reading import echo_lines, stdout_look, stdout_width
from scriptflow.terminal.words import count, reason, short_reasons

if TYPE_CHECKING:
    from scriptflow.outcome import Plan
    from scriptflow.terminal.look import Look

TASK_LINES = 200


def print_plan(plan: Plan, *, verbose: bool = False) -> None:
    """Print a plan on stdout, at most 200 tasks of it and one reason each unless ``verbose``."""
    echo_lines(plan_lines(plan, stdout_look(), stdout_width(), verbose=verbose))


def plan_lines(plan: Plan, look: Look, width: int, *, verbose: bool) -> list[str]:
    """Return the lines of a plan."""
    due, total = len(plan.would_run), len(plan.would_run) + plan.up_to_date
    more = "" if plan.complete else "+"
    if not due and plan.complete:
        return [f"{look.paint(plan.flow, 'bold')}  nothing to do, {count(plan.up_to_date)} up to date"]
    lines = [f"{look.paint(plan.flow, 'bold')}  would run {count(due)} of {count(total)}{more}"]
    shown = plan.would_run if verbose else plan.would_run[:TASK_LINES]
    names = min(max((len(task.task) for task in shown), default=0), 40)
    mark = look.paint(look.running, "cyan")
    for at, task in enumerate(shown):
        if at and at == plan.certain and not plan.complete:
            lines.append(_limit(plan, look))
        name = look.safe(task.task)
        if verbose:
            lines.append(f"  {mark} {name}")
            lines += [f"      {look.safe(reason(code, detail))}" for code, detail in task.reasons]
        else:
            why = short_reasons(task.reasons, utf8=look.utf8)
            lines.append(f"  {mark} {name:<{names}}  {look.paint(look.fit(why, max(20, width - names - 6)), 'dim')}")
    if len(shown) < due:
        lines.append(f"  {look.dot} {count(due - len(shown))} more (-v lists them)")
    if not plan.complete and not 0 < plan.certain < len(shown):
        lines.append(_limit(plan, look))
    lines.append(f"  {look.same} {count(plan.up_to_date)} up to date")
    return lines


def _limit(plan: Plan, look: Look) -> str:
    """Say how far the plan is certain: what stands below may be otherwise, and more may come."""
    return f"  {look.more} certain up to {look.safe(plan.stopped_at)}"
