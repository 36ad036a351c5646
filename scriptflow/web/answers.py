"""Documents as answers: HTML through templates, or JSON; errors as either, whichever was asked for.

Knows templates and HTTP. Knows nothing of stores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scriptflow.terminal import words
from scriptflow.terminal.look import escape
from scriptflow.web.static import asset

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.errors import ScriptflowError
    from scriptflow.web.views import Asked

STATES = {
    "succeeded": ("✓", "ok", "ok"),
    "failed": ("✗", "failed", "failed"),
    "lost": ("✗", "failed", "lost"),
    "running": ("▶", "running", "running"),
    "started": ("▶", "running", "running"),
    "queued": ("·", "waiting", "queued"),
    "waiting": ("·", "waiting", "waiting"),
    "unknown": ("·", "waiting", "unknown"),
    "cancelled": ("⊘", "stopped", "cancelled"),
    "interrupted": ("⊘", "stopped", "interrupted"),
    "unfinished": ("⊘", "stopped", "cut short"),
    "skipped": ("=", "same", "up to date"),
}
"""Maps a state to its sign, the class of its colour and its word: it is never told by colour alone."""


def _harmless(value: object) -> object:
    """Make every text of a page harmless: control characters and turned reading directions become signs."""
    return escape(value) if type(value) is str else value


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=words.count, compact=compact, duration=_duration, about=words.about, size=_size, moment=_moment,
        logline=_logline, segments=_run_segments, group_segments=_group_segments, span=_span, safe_svg=Markup,
        json=lambda value: json.dumps(value, default=str, ensure_ascii=False),
    )  # fmt: skip
    environment.globals.update(STATES=STATES, asset=asset)
    return environment


def compact(number: int) -> str:
    """Write a count in at most five signs: ``987``, ``42.0k``, ``1.2M``."""
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1e3:.1f}k" if number < 999_950 else f"{number / 1e6:.1f}M"


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else words.duration(seconds)


def _size(number: int | None) -> str:
    from scriptflow.core.units import size_text

    return "" if number is None else size_text(number)


def _moment(text: str | None) -> Markup:
    """Write a time as an element that the browser may show in its own zone."""
    if text is None:
        return Markup("")
    shown = f"{text[:10]} {text[11:19]} UTC"
    return Markup('<time datetime="{}">{}</time>').format(text, shown)


def _logline(line: str) -> Markup:
    """Write one line of a log, which was made harmless where it was read: its tabs stay tabs."""
    return Markup.escape(line)


def _run_segments(doc: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Return the parts of a run's bar: what failed first, since few of many would not be seen at the end."""
    parts = (("failed", "failed"), ("ok", "ran"), ("same", "skipped"), ("stopped", "cancelled"))
    running = "running" if doc["status"] == "running" else "stopped"
    return _segments([*[(kind, doc[word]) for kind, word in parts], (running, doc["running"])], doc["total"])


def _group_segments(group: dict[str, Any]) -> list[tuple[str, float, float]]:
    parts = [("failed", group["failed"]), ("ok", group["succeeded"])]
    parts += [("stopped", group["cancelled"] + group["unfinished"]), ("running", group["running"])]
    return _segments(parts, group["total"])


def _segments(parts: list[tuple[str, int]], total: int) -> list[tuple[str, float, float]]:
    """Lay parts side by side on a bar of 1,000 units; what is there at all can be seen."""
    found, at = [], 0.0
    for kind, number in parts:
        if number:
            width = min(1000 - at, max(4.0, 1000 * number / max(1, total)))
            found.append((kind, round(at, 1), round(width, 1)))
            at += width
    return found


def _span(group: dict[str, Any], bin_s: float) -> tuple[float, float]:
    """Return after how many seconds the first task of a group ran, and until when the last."""
    used = [at for at, number in enumerate(group["running"]) if number] or [0]
    return used[0] * bin_s, (used[-1] + 1) * bin_s


_templates = _environment()


def page(asked: Asked, document: dict[str, Any], shell: dict[str, Any]) -> bytes:
    """Return a document as a page."""
    template = _templates.get_template(f"{asked.view.name}.html")
    text = template.render(doc=document, asked=asked, link=asked.link, **shell)
    return text.encode("utf-8", "replace")


def json_bytes(document: dict[str, Any]) -> bytes:
    """Return a document as JSON."""
    return json.dumps({"schema": 1, **document}, default=str).encode()


def wants_json(request: web.Request) -> bool:
    """Whether an answer should be JSON: below ``/api/`` it always is."""
    return request.path.startswith("/api/")


def error_answer(request: web.Request, status: int, error: ScriptflowError) -> web.Response:
    """Return an error as the kind of answer that was asked for."""
    if wants_json(request):
        body = {"error": {"slug": error.slug, "what": error.what, "why": list(error.why), "do": error.do}}
        return web.Response(status=status, body=json_bytes(body), content_type="application/json", charset="utf-8")
    template = _templates.get_template("error.html")
    text = template.render(error=error, status=status, base="", title=f"{status}")
    return web.Response(status=status, body=text.encode("utf-8", "replace"), content_type="text/html", charset="utf-8")
