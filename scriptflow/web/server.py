"""Listen on a port and serve an application until a signal ends it, at once.

Knows sockets and signals. Knows nothing of what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from scriptflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER_S = 20.0
"""How long a request may take to arrive, and a connection may be idle."""
_LINGER_S = 0.3
_LINE = 32 * 1024
"""How long a request's first line may be: a few parameters, each sign of them in twelve bytes."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 finds a free one.

    Raises:
        UsageError: the port is taken, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"no address {host}", why=error.strerror or str(error), do="--host 127.0.0.1") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1024)
    except (OSError, OverflowError) as error:
        sock.close()
        raise UsageError(
            f"cannot listen on {host}:{port}", why=getattr(error, "strerror", None) or str(error),
            do="--port 0 finds a free one",
        ) from error  # fmt: skip
    sock.setblocking(False)
    return sock


def serve(app: web.Application, sock: socket.socket, ready: Callable[[], object]) -> int:
    """Serve until a signal comes; return the exit code it means. ``ready`` is called when requests are answered."""
    quiet = logging.getLogger("aiohttp")
    # What it logs quotes malformed requests: a log that strangers could fill and forge.
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return asyncio.run(_serve(app, sock, ready))


async def _serve(app: web.Application, sock: socket.socket, ready: Callable[[], object]) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, end, 130 if number == signal.SIGINT else 143)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LINGER_S)
    await runner.setup()
    made = runner.server
    assert made is not None  # noqa: S101 (setup has made it)
    server = await loop.create_server(
        lambda: _Handler(made, loop=loop, keepalive_timeout=HEADER_S, auto_decompress=False, max_line_size=_LINE),
        sock=sock,
    )
    ready()
    try:
        return await ended
    finally:
        server.close()
        await runner.cleanup()


class _Handler(web.RequestHandler):
    """One connection. What is no HTTP is answered without a word of what was sent or of what we are made of."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer a request that could not be read."""
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer is sent already")
        answer = web.Response(status=status, text="this is no request that can be answered\n")
        answer.headers["Server"] = "scriptflow"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.force_close()
        return answer
