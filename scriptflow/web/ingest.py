"""The addresses to which heads elsewhere send what happens: who may, how much, and what they are answered.

Knows HTTP. Knows nothing of what becomes of a batch: that is the collector's.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import ValidationError

from scriptflow.errors import ScriptflowError, UsageError
from scriptflow.sending.sender import WISHED
from scriptflow.web.batch import PROJECT, Batch
from scriptflow.web.collect import Collector
from scriptflow.web.five import STORE_ID, Reporters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from scriptflow.web.collect import Inbox

INGEST = "/api/v1/ingest"
MOST_BYTES = 2 * 1024 * 1024
"""How long a batch may be."""
PER_SECOND = 50.0
BURST = 200.0
"""How many requests of one address are taken a second, and at once."""
COLLECTOR = web.AppKey("collector", Collector)

_LOOK_S = 5.0
_MOST_WAITING = 64
_MOST_ADDRESSES = 10_000

log = logging.getLogger(__name__)


def add_ingest(
    app: web.Application, data_folder: str, tokens: Iterable[str], inbox: Callable[[str], Inbox] | None = None
) -> Collector:
    """Let an application take in runs of heads elsewhere.

    Args:
        app: gets ``POST /api/v1/ingest`` and ``POST /api/v1/ingest/PROJECT``.
        data_folder: where their stores are kept.
        tokens: each lets a head send; none lets anybody look.
        inbox: opens a store's inbox, when pages may ask heads to cancel and retry.

    Returns:
        What keeps the stores; ``stores()`` names them for the pages.
    """
    desk = _Desk(Collector(data_folder, inbox), tokens)
    app[COLLECTOR] = desk.collector
    app.router.add_post(INGEST, desk.take_batch, name="ingest")
    app.router.add_post(INGEST + "/{project}", desk.take_five, name="ingest-five")
    app.cleanup_ctx.append(desk.watch)
    return desk.collector


class _Desk:
    """Takes requests in, one thread writes what they bring."""

    def __init__(self, collector: Collector, tokens: Iterable[str]) -> None:
        self.collector = collector
        self._digests = [_digest(token) for token in tokens if token]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._waiting = 0
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._reporters = Reporters()

    async def watch(self, _app: web.Application) -> AsyncGenerator[None, None]:
        """Look after lost heads while the application lives; close the stores at its end."""
        loop = asyncio.get_running_loop()

        async def look() -> None:
            while True:
                await asyncio.sleep(_LOOK_S)
                try:
                    await loop.run_in_executor(self._thread, self.collector.look)
                except Exception:
                    log.exception("the collected stores could not be looked after")

        async with asyncio.TaskGroup() as group:
            task = group.create_task(look(), name="lost heads")
            yield
            task.cancel()
        await loop.run_in_executor(self._thread, self.collector.close)
        self._thread.shutdown()

    async def take_batch(self, request: web.Request) -> web.Response:
        """Answer ``POST /api/v1/ingest``."""
        self._admit(request)
        body = await _body(request)
        done = [word for word in request.headers.get(WISHED, "").split(",") if word][:100]
        return await self._written(lambda: self._batch(body, done))

    async def take_five(self, request: web.Request) -> web.Response:
        """Answer ``POST /api/v1/ingest/PROJECT``: five counts as a form, in the address or as JSON."""
        self._admit(request)
        body = await _body(request)
        project = request.match_info["project"]
        form = dict(request.query)
        form.update(_form(body, request.content_type))
        host = request.remote or ""
        return await self._written(lambda: self._five(project, form, host))

    def _batch(self, body: bytes, done: list[str]) -> dict[str, object]:
        batch = Batch.model_validate_json(body)
        new = self.collector.take(batch)
        answer: dict[str, object] = {"schema": 1, "batch": batch.batch, "new": new}
        wishes = self.collector.wishes(batch, done)
        return {**answer, "wishes": wishes} if wishes else answer

    def _five(self, project: str, form: dict[str, str], host: str) -> dict[str, object]:
        if not re.fullmatch(PROJECT, project):
            raise UsageError("that is no project's name", do="letters, digits, . _ -")
        newest = self.collector.newest(STORE_ID, project)
        batch = self._reporters.batch(project, form, host, newest)
        self.collector.take(batch)
        return {"schema": 1, "run": f"{batch.run.flow}-{batch.run.number}", "status": batch.status}

    async def _written(self, write: Callable[[], dict[str, object]]) -> web.Response:
        """Let the writing thread do its part; what is refused is said in one sentence, without what was sent."""
        if self._waiting >= _MOST_WAITING:
            return _refused(503, "too much is waiting to be written", after_s=1)
        self._waiting += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, write)
        except ValidationError as error:
            fields = [".".join(str(part) for part in one["loc"]) for one in error.errors(include_url=False)[:3]]
            return _refused(422, f"not a batch as we know it: {', '.join(fields) or 'no JSON'}"[:300])
        except UsageError as error:
            return _refused(422, f"{error.what}: {error.do}" if error.do else error.what)
        except ScriptflowError as error:
            log.warning("a batch could not be written: %s", error)
            return _refused(503, "the store cannot be written now", after_s=5)
        except Exception:
            # What we cannot write now we could not write later either: the head must not send it for ever.
            log.exception("a batch could not be taken")
            return _refused(409, "the batch does not fit what is known of this head")
        finally:
            self._waiting -= 1
        return web.json_response(answer)

    def _admit(self, request: web.Request) -> None:
        """Look at token and rate.

        Raises:
            web.HTTPException: the request is not taken.
        """
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        digest, known = _digest(given), False
        for mine in self._digests:
            known |= hmac.compare_digest(digest, mine)
        if not self._has_room(request.remote or ""):
            raise web.HTTPTooManyRequests(headers={"Retry-After": "1"})
        if not known:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        if (request.content_length or 0) > MOST_BYTES:
            raise web.HTTPRequestEntityTooLarge(MOST_BYTES, request.content_length or 0)

    def _has_room(self, address: str) -> bool:
        now = monotonic()
        room, since = self._rates.pop(address, (BURST, now))
        room = min(BURST, room + (now - since) * PER_SECOND)
        self._rates[address] = (max(0.0, room - 1), now)
        if len(self._rates) > _MOST_ADDRESSES:
            self._rates.popitem(last=False)
        return room >= 1


async def _body(request: web.Request) -> bytes:
    """Read a body of bounded length, whatever its header says."""
    parts, size = [], 0
    async for part in request.content.iter_chunked(1 << 16):
        size += len(part)
        if size > MOST_BYTES:
            raise web.HTTPRequestEntityTooLarge(MOST_BYTES, size)
        parts.append(part)
    return b"".join(parts)


def _form(body: bytes, kind: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    try:
        text = body.decode()
        if kind == "application/json":
            found = json.loads(text)
            return {str(key): str(value) for key, value in found.items()}
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20))
    except (ValueError, AttributeError, RecursionError) as error:
        raise web.HTTPUnprocessableEntity from error


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _refused(status: int, what: str, *, after_s: int = 0) -> web.Response:
    headers = {"Retry-After": str(after_s)} if after_s else {}
    return web.json_response({"schema": 1, "error": what}, status=status, headers=headers)
