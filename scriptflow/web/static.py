"""The few files that pages are made of, kept in memory: no request ever opens a file by its name."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from aiohttp import web

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@cache
def _files() -> tuple[str, dict[str, tuple[bytes, str]]]:
    """Return a version, and the content and kind of each file by its name; read once."""
    from scriptflow.pictures.look import PICTURE

    folder = Path(__file__).parent / "static"
    found = {path.name: (path.read_bytes(), _KINDS[path.suffix]) for path in sorted(folder.iterdir())}
    found["picture.css"] = (PICTURE.encode(), "text/css")
    version = hashlib.sha256(b"".join(content for content, _ in found.values())).hexdigest()[:12]
    return version, found


def asset(name: str) -> str:
    """Return the address of a file; it changes with any of them, so that browsers may keep it for ever."""
    return f"/static/{_files()[0]}/{name}"


def add_routes(app: web.Application) -> None:
    """Serve the files."""
    app.router.add_get("/static/{version}/{name}", _serve)
    app.router.add_get("/favicon.ico", _favicon)


async def _serve(request: web.Request) -> web.Response:
    version, files = _files()
    if request.match_info["name"] not in files:
        raise web.HTTPNotFound
    content, kind = files[request.match_info["name"]]
    keep = _FOR_EVER if request.match_info["version"] == version else "no-store"
    return web.Response(body=content, content_type=kind, charset="utf-8", headers={"Cache-Control": keep})


async def _favicon(_request: web.Request) -> web.Response:
    content, kind = _files()[1]["icon.svg"]
    return web.Response(body=content, content_type=kind, headers={"Cache-Control": "public, max-age=86400"})
