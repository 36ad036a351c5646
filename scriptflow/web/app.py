"""Put the web view together: which views there are, at which addresses, behind which gate.

Knows every part of the web by name. Knows nothing of sockets or of the command line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from scriptflow.store.inbox import Inbox
from scriptflow.web import actions, answers, openapi, overview, rawlog, static
from scriptflow.web.catalogue import LOG_STREAM, PROJECTS_VIEW, RAW_LOG, VIEWS
from scriptflow.web.feed import Feed
from scriptflow.web.guard import SCOPE, Guard, NotAllowed, Tokens, add_headers
from scriptflow.web.ingest import INGEST, add_ingest
from scriptflow.web.projects import Projects
from scriptflow.web.views import Asked, nothing_such, read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scriptflow.store.pages import PageReader
    from scriptflow.web.collect import Collector
    from scriptflow.web.guard import Handler
    from scriptflow.web.projects import Project
    from scriptflow.web.views import View

    Folders = Callable[[], Mapping[str, str]]

BODY_LIMIT = 2 << 20
"""How many bytes a request may have."""
PROJECTS = web.AppKey("projects", Projects)
ALLOW_ACTIONS = web.AppKey("allow_actions", bool)
COLLECTS = web.AppKey("collects", bool)
"""Whether runs of heads elsewhere are taken in."""

_BASES = ("", "/p/{project}")
"""What may stand before a path: with one project nothing need to."""


def make_app(
    projects: Mapping[str, str] | Callable[[], Mapping[str, str]],
    *,
    tokens: Mapping[str, str],
    allow_actions: bool = False,
    hosts: Iterable[str] = (),
    ingest: str | None = None,
) -> web.Application:
    """Return the web view as an application.

    Args:
        projects: maps the name of each project, as it stands in addresses, to the folder of its run store; or what
            gives such a map, when there may be more of them later.
        tokens: maps what a token allows (``view``, ``action``, ``ingest``) to the token; who may send may not look.
        allow_actions: whether runs may be cancelled and retried at all.
        hosts: names by which the server may be called, besides ``localhost`` and plain addresses.
        ingest: the folder in which runs that heads elsewhere send are kept, when they are taken in; their projects
            are shown beside ``projects``.
    """
    folders = projects if callable(projects) else lambda: projects
    scopes = ("view", "action") if allow_actions else ("view",)
    allowed = {scope: token for scope, token in tokens.items() if scope in scopes}
    guard = Guard(Tokens(allowed), hosts, own_gates=() if ingest is None else (INGEST,))
    app = web.Application(middlewares=[guard.middleware], client_max_size=BODY_LIMIT)
    if ingest is not None:
        folders = _with_collected(
            folders, add_ingest(app, ingest, [tokens["ingest"]], Inbox if allow_actions else None)
        )
    app[PROJECTS] = Projects(folders)
    app[ALLOW_ACTIONS] = allow_actions
    app[COLLECTS] = ingest is not None
    app.on_response_prepare.append(add_headers)
    app.on_cleanup.append(_close)
    for add in ROUTE_GROUPS:
        add(app)
    return app


def _with_collected(folders: Folders, collector: Collector) -> Folders:
    def both() -> Mapping[str, str]:
        mine = folders()
        return {**mine, **collector.stores(mine)}

    return both


async def _close(app: web.Application) -> None:
    app[PROJECTS].close()


def _add_views(app: web.Application) -> None:
    app.router.add_get("/", _start)
    for base in _BASES:
        for view in VIEWS:
            if view.page and (base or view.page != "/"):
                app.router.add_get(base + view.page, _handler(view, as_page=True))
            app.router.add_get(f"/api/v1{base}{view.path}", _handler(view, as_page=False))


async def _start(request: web.Request) -> web.StreamResponse:
    """Show the runs of the only project, or where there are or may be several, all projects."""
    projects = request.app[PROJECTS]
    if not request.app[COLLECTS] and len(await projects.in_thread(projects.all)) == 1:
        return await _handler(VIEWS[0], as_page=True)(request)
    return await _overview(request, as_page=True)


async def _overview(request: web.Request, *, as_page: bool) -> web.Response:
    asked = Asked(
        PROJECTS_VIEW, base="", project="", path={}, may_act=False,
        given=read_query(PROJECTS_VIEW, [pair for pair in request.query.items() if pair[0] != "token"]),
    )  # fmt: skip
    document = await overview.projects(request.app[PROJECTS])
    body = answers.page(asked, document, _shell(asked)) if as_page else answers.json_bytes(document)
    return web.Response(body=body, content_type="text/html" if as_page else "application/json", charset="utf-8")


def _add_streams(app: web.Application) -> None:
    feed = Feed(app[PROJECTS])

    async def changes(request: web.Request) -> web.StreamResponse:
        run = request.match_info.get("run")
        if run is not None:
            run = await _name_of(request, run)
        return await feed.changes(request, project_of(request), run)

    async def log(request: web.Request) -> web.StreamResponse:
        return await feed.log(request, project_of(request), asked_by(request, LOG_STREAM))

    for base in _BASES:
        app.router.add_get(f"/api/v1{base}/events", changes)
        app.router.add_get(f"/api/v1{base}/runs/{{run}}/events", changes)
        app.router.add_get(f"/api/v1{base}{LOG_STREAM.path}", log)


async def _name_of(request: web.Request, selector: str) -> str:
    """Return the name of the run that a selector such as ``last`` means; checks that there is one."""

    def look(reader: PageReader | None) -> bytes:
        assert reader is not None  # noqa: S101 (asked for with reads=True)
        return json.dumps(reader.find_run(selector).run).encode()

    name: str = json.loads(await project_of(request).answer(("name", selector), look))
    return name


def _add_actions(app: web.Application) -> None:
    if not app[ALLOW_ACTIONS]:
        return

    def handler(kind: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request[SCOPE] != "action":
                raise NotAllowed("this token may look, not act", do="use the action token that serve printed")
            return await actions.act(request, project_of(request), kind)

        return handle

    for base in _BASES:
        for kind in actions.KINDS:
            app.router.add_post(f"/api/v1{base}/runs/{{run}}/{kind}", handler(kind))


def _add_single(app: web.Application) -> None:
    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"schema": 1, "status": "ok"})

    async def description(request: web.Request) -> web.Response:
        return web.json_response(openapi.document(actions=request.app[ALLOW_ACTIONS]))

    async def projects(request: web.Request) -> web.Response:
        return await _overview(request, as_page=False)

    async def raw(request: web.Request) -> web.StreamResponse:
        return await rawlog.send(request, project_of(request), asked_by(request, RAW_LOG))

    app.router.add_get("/api/v1/health", health)
    app.router.add_get("/api/v1/openapi.json", description)
    app.router.add_get("/api/v1/projects", projects)
    for base in _BASES:
        app.router.add_get(f"/api/v1{base}{RAW_LOG.path}", raw)


ROUTE_GROUPS: tuple[Callable[[web.Application], None], ...] = (
    static.add_routes,
    _add_single,
    _add_streams,
    _add_views,
    _add_actions,
)
"""What adds its routes to the application, in order; an address belongs to the first that matches it."""


def asked_by(request: web.Request, view: View) -> Asked:
    """Return what a request asks for, its parameters checked.

    Raises:
        BadParameter: a parameter is unknown or has a value that it cannot have.
        NotFound: there is no such project.
    """
    project = project_of(request)
    return Asked(
        view,
        base=f"/p/{quote(project.name)}" if "project" in request.match_info else "",
        project=project.title,
        path={name: value for name, value in request.match_info.items() if name != "project"},
        given=read_query(view, [pair for pair in request.query.items() if pair[0] != "token"]),
        may_act=request.app[ALLOW_ACTIONS] and request[SCOPE] == "action",
    )


def _handler(view: View, *, as_page: bool) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        project, asked = project_of(request), asked_by(request, view)

        def make(reader: PageReader | None) -> bytes:
            if reader is not None:
                asked.reader = reader
            document = view.answer(asked)
            return answers.page(asked, document, _shell(asked)) if as_page else answers.json_bytes(document)

        key = (view.name, as_page, str(request.rel_url), asked.may_act)
        body = await project.answer(key, make, reads=view.reads)
        kind = "text/html" if as_page else "application/json"
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return handle


def project_of(request: web.Request) -> Project:
    """Return the project that a request is about.

    Raises:
        NotFound: there is none of that name, or several and none was named.
    """
    name = request.match_info.get("project")
    project = request.app[PROJECTS].named(name)
    if project is None:
        if name is None and not request.app[PROJECTS].all():
            raise nothing_such("nothing has been sent here yet", do="set `server` in a project, and run it")
        raise nothing_such(f"no project {name}" if name else "several projects are shown here", do="choose one of them")
    return project


def _shell(asked: Asked) -> dict[str, object]:
    """Return what every page needs besides its document."""
    return {
        "base": asked.base,
        "project": asked.project,
        "view": asked.view.name,
    }
