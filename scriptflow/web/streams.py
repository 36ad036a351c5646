"""One event stream to one browser: written with a time limit, so that who does not read is dropped."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

_WRITE_S = 10.0
_BUFFER = 64 * 1024


class Stream:
    """A stream of server-sent events."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )

    async def begin(self) -> None:
        """Send the headers, and how soon to come back after a break."""
        await self.response.prepare(self._request)
        if self._request.transport is not None:
            self._request.transport.set_write_buffer_limits(high=_BUFFER)
        await self.write(b"retry: 2000\n\n")

    async def send(self, event: str, data: Mapping[str, object], *, id_: str | None) -> None:
        """Send one event."""
        number = "" if id_ is None else f"id: {id_}\n"
        await self.write(f"event: {event}\n{number}data: {json.dumps(data, default=str)}\n\n".encode())

    async def ping(self) -> None:
        """Say that we are still here."""
        await self.write(b": still here\n\n")

    async def write(self, line: bytes) -> None:
        """Write one event as it goes over the wire.

        Raises:
            ConnectionError: who listens has gone, or has not read for too long.
        """
        try:
            async with asyncio.timeout(_WRITE_S):
                await self.response.write(line)
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the listener does not read") from None
