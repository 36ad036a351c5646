"""All projects that are shown, each with its newest run.

Knows projects and their stores. Knows nothing of HTTP or of HTML.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from scriptflow.errors import ScriptflowError
from scriptflow.store.documents import run_row
from scriptflow.web.views import address

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.store.pages import PageReader
    from scriptflow.web.projects import Project, Projects


async def projects(shown: Projects) -> dict[str, Any]:
    """Show which projects there are, the one that ran last first."""
    found = await shown.in_thread(shown.all)
    rows = await asyncio.gather(*[_row(project) for project in found])
    rows.sort(key=lambda row: (row["run"] or {}).get("started") or "", reverse=True)
    return {"projects": rows, "total": len(rows)}


async def _row(project: Project) -> dict[str, Any]:
    base = f"/p/{quote(project.name)}"
    row: dict[str, Any] = {
        "project": project.name, "title": project.title, "page": f"{base}/", "run": None, "problem": ""
    }  # fmt: skip
    try:
        row["run"] = json.loads(await project.answer(("newest run",), _newest))
    except ScriptflowError as error:
        row["problem"] = error.what
    if row["run"]:
        row["run"]["page"] = base + address("r", row["run"]["run"])
    return row


def _newest(reader: PageReader | None) -> bytes:
    assert reader is not None  # noqa: S101 (asked for with reads=True)
    for run in reader.runs(limit=1):
        return json.dumps({**run_row(run), "running": run.counts.running, "host": run.host}, default=str).encode()
    return b"null"
