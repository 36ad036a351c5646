"""The bytes of a log, as a file to be saved: read in pieces, never kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from scriptflow.web import logs, task_data

if TYPE_CHECKING:
    from scriptflow.store.pages import PageReader
    from scriptflow.web.projects import Project
    from scriptflow.web.views import Asked

_PIECE = 256 * 1024


async def send(request: web.Request, project: Project, asked: Asked) -> web.StreamResponse:
    """Send the log of a task."""

    def look(reader: PageReader | None) -> bytes:
        assert reader is not None  # noqa: S101 (asked for with reads=True)
        asked.reader = reader
        _, _, job = task_data.chosen(asked)
        return job.log.encode("utf-8", "surrogateescape")

    path = (await project.answer(("path of log", str(request.rel_url)), look)).decode("utf-8", "surrogateescape")
    with logs.open_below(project.folder, path) as file:
        answer = web.StreamResponse(
            headers={
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Disposition": "attachment; filename=task.log",
            }
        )
        await answer.prepare(request)
        while piece := file.read(_PIECE):
            await answer.write(piece)
        await answer.write_eof()
    return answer
