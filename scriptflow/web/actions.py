"""Cancel and retry: what a page may ask of a live head, put into its inbox.

Knows the inbox and HTTP. Knows nothing of heads.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

from scriptflow.errors import ScriptflowError, UsageError
from scriptflow.store import inbox
from scriptflow.web.answers import json_bytes

if TYPE_CHECKING:
    from scriptflow.store.pages import PageReader
    from scriptflow.web.projects import Project

KINDS = ("cancel", "retry")
_WAIT_S = 5.0
_MOST_TASKS = 1000
_LONGEST_NAME = 4000


class NoHead(ScriptflowError):
    """The run that should be stopped or retried has no live head."""

    slug = "no-head"


async def act(request: web.Request, project: Project, kind: str) -> web.Response:
    """Pass a wish on to the head of a run, and answer with what it said."""
    body = _wish(await _read(request))
    run = request.match_info["run"]

    def look(reader: PageReader | None) -> bytes:
        assert reader is not None  # noqa: S101 (asked for with reads=True)
        record = reader.find_run(run)
        if record.status != "running":
            raise NoHead(
                f"{record.run} is not running", why=f"it is {record.status}", do=f"scriptflow retry {record.run}"
            )
        return b""

    def ask() -> dict[str, object] | None:
        request_id = inbox.post(project.folder, kind, body)
        answer = inbox.wait_answer(project.folder, request_id, _WAIT_S)
        if answer is None and not inbox.withdraw(project.folder, request_id):
            return {"ok": True, "late": True}  # it is on its way, and cannot be taken back any more
        return answer

    await project.answer(("is live", run), look)
    answer = await asyncio.to_thread(ask)  # not on the threads that read: it may wait for seconds
    if answer is None:
        raise NoHead("the run's process did not answer", why=f"waited {_WAIT_S:.0f} s; the wish was taken back")
    if not answer.get("ok"):
        why = answer.get("why")
        raise NoHead(
            str(answer.get("error") or "the run refused"),
            why=[str(fact) for fact in why] if isinstance(why, list) else (),
            do=str(answer.get("do") or ""),
        )
    said = {"cancel": "told to stop", "retry": "tried again now"}[kind]
    if answer.get("late"):
        said = "on its way; no answer yet"
    elif "said" in answer:  # the head is elsewhere: it was handed on, what became of it is seen on the page
        said = str(answer["said"])
    return web.Response(
        status=202, body=json_bytes({"said": said, "answer": answer}), content_type="application/json", charset="utf-8"
    )


async def _read(request: web.Request) -> object:
    if request.content_type != "application/json":
        raise UsageError("a wish is JSON", do="send Content-Type: application/json")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise UsageError("this is not JSON") from error


def _wish(body: object) -> dict[str, object]:
    """Return what was wished for, when it is one of the two forms there are."""
    if isinstance(body, dict) and list(body) == ["run"] and body["run"] is True:
        return {"run": True}
    tasks = body.get("tasks") if isinstance(body, dict) and list(body) == ["tasks"] else None
    if (
        isinstance(tasks, list)
        and 0 < len(tasks) <= _MOST_TASKS
        and all(isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME for name in tasks)
    ):
        return {"tasks": tasks}
    raise UsageError('a wish is {"run": true} or {"tasks": ["name", …]}', why=f"at most {_MOST_TASKS} tasks")
