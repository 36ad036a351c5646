"""What the pages of a run's graph and timeline show, as documents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scriptflow.errors import NotFound
from scriptflow.pictures.graph import Node, fold
from scriptflow.pictures.layout import layout
from scriptflow.pictures.svg import svg
from scriptflow.store.pages import STATES
from scriptflow.web.data import shown_state
from scriptflow.web.views import address, is_plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scriptflow.core.records import RunRecord
    from scriptflow.web.views import Asked

    Document = dict[str, Any]

FOLD_ABOVE = 150
"""How many nodes a drawing may have before it is folded by group."""
_TIMELINE_ROWS = 12
_MOST_EDGES = 2000


def graph(asked: Asked) -> Document:
    """Show which tasks of a run use what others made: by group where there are many, or around one task."""
    reader, record = asked.reader, asked.reader.find_run(asked.path["run"])
    many = reader.span_of_jobs(record.id) > FOLD_ABOVE
    level = asked["level"] or ("group" if many and not asked["focus"] else "task")
    if level == "group":
        nodes, edges = _of_groups(asked, record)
    else:
        nodes, edges = _of_tasks(asked, record)
    whole = len(nodes)
    if asked["focus"]:
        nodes, edges = _around(nodes, edges, asked["focus"], asked["depth"])
    nodes, edges = fold(nodes, edges, FOLD_ABOVE)
    return {
        "run": record.run,
        "flow": record.flow,
        "status": record.status,
        "level": level,
        "focus": asked["focus"],
        "depth": asked["depth"],
        "many": many,
        "tasks_total": whole if level == "task" else None,
        "nodes": [
            {"id": n.id, "label": n.label, "state": n.state, "detail": n.detail, "count": n.count, "page": n.href}
            for n in nodes
        ],
        "edges": [{"from": source, "to": target} for source, target in edges[:_MOST_EDGES]],
        "edges_total": len(edges),
        "svg": svg(layout(nodes, edges), standalone=False, title=f"Tasks of {record.run}") if nodes else "",
    }


def _of_tasks(asked: Asked, record: RunRecord) -> tuple[list[Node], list[tuple[str, str]]]:
    tasks, edges = asked.reader.graph_of_tasks(record.id)
    nodes = {
        name: Node(
            id=name, label=name, group=group, state=shown_state(state, record),
            href=asked.link("r", record.run, "t", name) if is_plain(name) else "",
        )
        for name, group, state in tasks
    }  # fmt: skip
    for maker, _ in edges:
        nodes.setdefault(maker, Node(id=maker, label=maker, state="up to date"))
    return list(nodes.values()), edges


def _of_groups(asked: Asked, record: RunRecord) -> tuple[list[Node], list[tuple[str, str]]]:
    tasks, edges = asked.reader.graph_of_groups(record.id)
    counts: dict[str, dict[str, int]] = {}
    for group, state, number in tasks:
        of_group = counts.setdefault(group, {})
        shown = shown_state(state, record)
        of_group[shown] = of_group.get(shown, 0) + number
    for maker, _, _ in edges:
        counts.setdefault(maker, {"up to date": 0})
    nodes = []
    order = [state for word in ("failed", "running", "queued", "cancelled") for state in STATES[word]]
    for name, states in counts.items():
        total = sum(states.values())
        gravest = next((state for state in [*order, "interrupted"] if state in states), next(iter(states)))
        nodes.append(
            Node(
                id=name,
                label=f"{name or 'tasks'} ({total})" if total else name,
                state=gravest,
                detail=", ".join(f"{number} {state}" for state, number in states.items()) if len(states) > 1 else "",
                count=max(1, total),
                href=asked.base + address("r", record.run, "tasks", q=f"{name}*") if total else "",
            )
        )
    return nodes, [(maker, user) for maker, user, _ in edges if maker != user]


def _around(
    nodes: list[Node], edges: list[tuple[str, str]], focus: str, depth: int
) -> tuple[list[Node], list[tuple[str, str]]]:
    """Keep what is at most ``depth`` steps up or down from one node."""
    if all(node.id != focus for node in nodes):
        raise NotFound(f"no task {focus} in this graph")
    kept = _reached(focus, depth, edges) | _reached(focus, depth, [(target, source) for source, target in edges])
    return [node for node in nodes if node.id in kept], [edge for edge in edges if edge[0] in kept and edge[1] in kept]


def _reached(start: str, depth: int, edges: Iterable[tuple[str, str]]) -> set[str]:
    following: dict[str, list[str]] = {}
    for source, target in edges:
        following.setdefault(source, []).append(target)
    kept = front = {start}
    for _ in range(depth):
        front = {target for name in front for target in following.get(name, ())} - kept
        kept = kept | front
    return kept


# --- time -----------------------------------------------------------------------------------------


def timeline(asked: Asked) -> Document:
    """Show how many tasks of each group ran when: the run's time cut into equal parts."""
    record = asked.reader.find_run(asked.path["run"])
    spans = asked.reader.spans(record.id)
    begin = round(record.started * 1e6)
    last = max(
        (started + (ended if ended is not None else began or 0) for _, _, started, began, ended in spans), default=0
    )
    end = round((record.ended or (time.time() if record.status == "running" else 0)) * 1e6)
    end = max(begin + 1, last, end)
    bins = asked["bins"]
    width = (end - begin) / bins
    rows: dict[str, list[float]] = {}
    failed: dict[str, list[int]] = {}
    for group, state, started, began, ended in spans:
        if began is None:
            continue
        until = (started + ended if ended is not None else end) - begin
        row = rows.setdefault(group, [0.0] * (bins + 1))
        _add(row, max(0, started + began - begin) / width, max(0, until) / width)
        if state in STATES["failed"]:
            at = min(bins - 1, int(until / width))
            failed.setdefault(group, [0] * bins)[at] += 1
    groups = [_row(name, row, failed.get(name)) for name, row in rows.items()]
    return {
        "run": record.run,
        "flow": record.flow,
        "status": record.status,
        "begin": begin / 1e6,
        "end": end / 1e6,
        "bins": bins,
        "bin_s": width / 1e6,
        "capacity": record.capacity,
        "jobs": len(spans),
        "groups": groups[:_TIMELINE_ROWS],
        "groups_total": len(groups),
    }


def _add(row: list[float], low: float, high: float) -> None:
    """Note a span in a row of differences, to be summed up: its parts of a bin at both ends, 1 between."""
    last = len(row) - 1
    low, high = min(low, last - 1e-9), min(high, last - 1e-9)
    first, final = int(low), int(high)
    if first == final:
        row[first] += high - low
        row[first + 1] -= high - low
        return
    row[first] += first + 1 - low
    row[first + 1] += low - first
    row[final] += high - final - 1
    row[final + 1] -= high - final


def _row(name: str, row: list[float], failed: list[int] | None) -> Document:
    running, at = [], 0.0
    for step in row[:-1]:
        at += step
        running.append(round(max(0.0, at), 2))
    return {"group": name, "running": running, "most": max(running, default=0), "failed": failed}
