"""Who may ask what: tokens, cookies, hosts, origins, and the headers of every answer.

Knows HTTP. Knows nothing of stores or of what is asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING

from aiohttp import web

from scriptflow.errors import ScriptflowError
from scriptflow.web.answers import error_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

SCOPE = "scope"
"""Where a request keeps what it may do: ``view``, ``action`` or another name of a token."""
OPEN = ("/static/", "/favicon.ico", "/api/v1/health")
"""What needs no token: it says nothing of any run."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "scriptflow",
}
_TRIES = 20
_TRIES_S = 60.0
_MOST_ADDRESSES = 10_000


class Tokens:
    """The tokens of a server, kept as digests, each under the name of what it allows."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._digests = {scope: _digest(token) for scope, token in tokens.items() if token}
        seed = hashlib.sha256(b"".join(sorted(self._digests.values()))).hexdigest()
        self.cookie = f"scriptflow_{seed[:12]}"
        """The cookie's name: two servers on one machine do not log each other out."""

    def scope_of(self, given: str) -> str | None:
        """Return what a token allows, None when it is none of ours; takes the same time for every wrong one."""
        digest = _digest(given)
        found = None
        for scope, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = scope
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Guard:
    """The one gate that every request passes.

    Args:
        tokens: what opens it.
        hosts: names by which the server may be called, besides loopback and plain addresses.
        own_gates: paths below which requests are let through to a gate of their own.
    """

    def __init__(self, tokens: Tokens, hosts: Iterable[str] = (), *, own_gates: Iterable[str] = ()) -> None:
        self._tokens = tokens
        self._own_gates = tuple(own_gates)
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self._wrong: dict[str, tuple[float, int]] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request in, or answer for it; nothing of ours but a sentence ever leaves with an error."""
        try:
            self._check_host(request)
            self._check_origin(request)
            if not request.path.startswith(OPEN) and not self._has_own_gate(request.path):
                answer = self._log_in(request)
                if answer is not None:
                    return answer
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return error_answer(request, error.status, ScriptflowError(error.reason.lower()))
        except ScriptflowError as error:
            return error_answer(request, _status_of(error), error)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            # The traceback goes to our log, with nothing in it that was sent to us.
            log.exception("a bug in the web view, at %s", request.match_info.route.name or "an unknown route")
            return error_answer(
                request, 500, ScriptflowError("something went wrong here", do="look at the server's log")
            )

    def _has_own_gate(self, path: str) -> bool:
        return any(path == gate or path.startswith(f"{gate}/") for gate in self._own_gates)

    def _check_host(self, request: web.Request) -> None:
        """Refuse other names than ours: a page from elsewhere may have its name point at this machine."""
        name = host_name(request.headers.get("Host", ""))
        if name is None or not (name in self._hosts or _is_address(name)):
            raise _Refused(421, "this server is not known by that name", do="scriptflow serve --name NAME allows one")

    def _check_origin(self, request: web.Request) -> None:
        if request.method in ("GET", "HEAD"):
            return
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if site not in ("same-origin", "none") or (origin is not None and not _is_same(origin, request)):
            raise _Refused(403, "this was sent by a page of another site")

    def _log_in(self, request: web.Request) -> web.StreamResponse | None:
        """Find out what the request may do; an answer is given instead of the page where it may do nothing yet."""
        asked = request.query.get("token")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        given = asked or bearer or request.cookies.get(self._tokens.cookie, "")
        scope = self._tokens.scope_of(given) if given else None
        if scope is None:
            if given:
                self._count_wrong(request.remote or "")
            raise _Refused(401, "this page needs a token", do="open the address that scriptflow serve printed")
        if asked and request.method == "GET" and not request.path.startswith("/api/"):
            return self._enter(request, asked)
        request[SCOPE] = scope
        request["by_cookie"] = not asked and not bearer
        return None

    def _enter(self, request: web.Request, token: str) -> web.StreamResponse:
        """Keep the token in a cookie and take it out of the address, history and any Referer."""
        clean = str(request.rel_url.without_query_params("token"))
        if request.headers.get("Sec-Fetch-Site", "none") == "cross-site":
            # A browser gives a strict cookie to no page it is sent to from elsewhere, but to one we send it to.
            answer = web.Response(
                text=f'<!doctype html><meta http-equiv="refresh" content="0;url={_quoted(clean)}"><title>…</title>',
                content_type="text/html",
            )
        else:
            answer = web.Response(status=303, headers={"Location": clean})
        answer.set_cookie(
            self._tokens.cookie, token, httponly=True, samesite="Strict", path="/", secure=request.secure,
            max_age=90 * 86400,
        )  # fmt: skip
        return answer

    def _count_wrong(self, address: str) -> None:
        """Count a wrong token; a good one is let in however many wrong ones came from the same address."""
        now = monotonic()
        since, count = self._wrong.get(address, (now, 0))
        if now - since > _TRIES_S:
            since, count = now, 0
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.clear()
        self._wrong[address] = (since, count + 1)
        if count >= _TRIES:
            raise _Refused(429, "too many wrong tokens", do="wait a minute")


class NotAllowed(ScriptflowError):
    """The token does not allow this."""

    slug = "not-allowed"


class _Refused(ScriptflowError):
    slug = "refused"

    def __init__(self, status: int, what: str, *, do: str = "") -> None:
        super().__init__(what, do=do)
        self.status = status


async def add_headers(_request: web.Request, answer: web.StreamResponse) -> None:
    """Give an answer the headers that every answer has."""
    for name, value in _HEADERS.items():
        answer.headers[name] = value
    answer.headers.setdefault("Cache-Control", "no-store")


def host_name(host: str) -> str | None:
    """Return the name in a Host header without its port, lower case; None when there is none to be read."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        return name if bracket and (not port or _is_port(port)) else None
    name, colon, port = host.partition(":")
    return name.lower().removesuffix(".") if name and (not colon or _is_port(":" + port)) else None


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdecimal() and len(text) < 7


def _is_address(name: str) -> bool:
    """Whether a host is a number: nobody can make one point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_same(origin: str, request: web.Request) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == request.headers.get("Host", "").lower()


def _quoted(text: str) -> str:
    from html import escape

    return escape(text, quote=True)


def _status_of(error: ScriptflowError) -> int:
    if isinstance(error, _Refused):
        return error.status
    return {
        "not-found": 404,
        "parameter": 400,
        "usage": 400,
        "store-locked": 503,
        "no-head": 409,
        "not-allowed": 403,
    }.get(error.slug, 500)
