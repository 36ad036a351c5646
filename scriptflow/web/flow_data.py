"""What the pages of many runs show, as documents: all runs, the runs of one flow, and its groups by its runs.

Knows the store. Knows nothing of HTTP or of HTML.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.web.data import groups_of, run_document
from scriptflow.web.views import nothing_such

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.web.views import Asked

    Document = dict[str, Any]

_COLUMNS = 25
_ROWS = 30
_FIRST_ROWS = 8
"""How many groups the grid has where a list of runs follows it."""
_GRID_JOBS = 120_000
"""How many jobs the grid of runs may have to count."""


def runs(asked: Asked) -> Document:
    """Show the runs that match, the newest first, and the grid of one flow: groups by runs."""
    reader = asked.reader
    found, total = reader.runs_page(
        flow=asked["flow"], state=asked["state"], text=asked["q"], limit=asked["limit"], offset=asked["offset"]
    )
    return {
        "runs": [run_document(asked, run, run.counts) for run in found],
        "total": total,
        "offset": asked["offset"],
        "limit": asked["limit"],
        "flows": reader.flow_names(),
        "grid": _grid(asked, asked["flow"] or (found[0].flow if found else None), _FIRST_ROWS),
    }


def flow(asked: Asked) -> Document:
    """Show the runs of one flow: how long each took, how often they ended how, and how the newest was started."""
    reader, name = asked.reader, asked.path["flow"]
    found, total = reader.runs_page(flow=name, state=None, text=None, limit=asked["limit"], offset=asked["offset"])
    if not total:
        raise nothing_such(f"no flow {name} has run here", do="look at all runs")
    rows = [run_document(asked, run, run.counts) for run in found]
    longest = _share(rows)
    newest = reader.runs(limit=1, flow=name)[0]
    return {
        "flow": name,
        "runs": rows,
        "total": total,
        "offset": asked["offset"],
        "limit": asked["limit"],
        "longest_s": longest,
        "ended": reader.flow_ends(name),
        "argv": list(newest.argv),
        "params": dict(newest.params),
        "grid": _grid(asked, name, _ROWS),
    }


def _grid(asked: Asked, flow: str | None, most: int) -> Document | None:
    """Lay the groups of a flow against its newest runs: as many as can be counted quickly."""
    if flow is None:
        return None
    reader, counted = asked.reader, 0
    columns: list[Document] = []
    rows: dict[str, dict[str, Document]] = {}
    wanted = reader.runs(limit=_COLUMNS, flow=flow)
    for run in wanted:
        counted += reader.span_of_jobs(run.id)
        if columns and counted > _GRID_JOBS:
            break
        for group in groups_of(reader, run):
            rows.setdefault(group["group"], {})[run.run] = {
                "state": group["state"], "failed": group["failed"], "total": group["total"],
            }  # fmt: skip
        columns.append(run_document(asked, run, run.counts))
    names = list(rows)
    _share(columns)
    return {
        "flow": flow,
        "runs": columns,
        "left_out": len(wanted) - len(columns),
        "groups": [
            {"group": name, "cells": [rows[name].get(column["run"]) for column in columns]} for name in names[:most]
        ],
        "total": len(names),
    }


def _share(rows: list[Document]) -> float:
    """Give each run its share of the longest one's time; return that time."""
    longest: float = max((row["seconds"] or 0 for row in rows), default=0) or 1
    for row in rows:
        row["share"] = (row["seconds"] or 0) / longest
    return longest
