"""Listen to a run and send it to a server, from threads of its own, through files that outlive both.

One thread packs events into batches and puts them into the spool, one takes them out and posts them. Knows events
and the server's three answers: taken, not now, never. Knows nothing of heads and stores.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import deque
from contextlib import suppress
from time import monotonic

from scriptflow.core.machine import host_name
from scriptflow.posting import PostFailed, post
from scriptflow.sending.options import TOKEN, Server
from scriptflow.sending.pack import Packer
from scriptflow.sending.rest import leave_the_rest
from scriptflow.sending.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scriptflow.core.events import Event, RunStarted

PACK_S = 1.0
"""How often what happened is packed into a batch."""
HEARTBEAT_S = 3.0
"""How often a sign of life is sent while nothing happens; so soon is heard what is wished there, too."""
WISHES = ("cancel", "retry")
"""What a server may ask of a head."""
EXIT_WAIT_S = 0.2
"""The longest that the end of a run waits for the server; what it has not taken by then is sent by a process of its
own, and if that gets no answer either, with the next run."""
WISHED = "X-Scriptflow-Wished"
"""The header that says which wishes were handed on."""
MOST_EVENTS = 200_000
"""How many events wait for packing; more are only counted as lost."""

_LIMIT_S = 10.0
_LONGEST_PAUSE_S = 60.0
_UNAUTHORIZED = (401, 403)
_NEVER = (400, 409, 413, 422)

log = logging.getLogger(__name__)


class Sender:
    """Sends one run.

    Args:
        server: where to.
        token: what the server knows us by.
        store: the run store's folder; the spool is made in it.
        about: what is known of the run: ``user``, ``pid``, ``python``, ``version``.
        say: warns the user: ``say(level, slug, text)``.
        wish: hands on what somebody asked for at the server: ``wish(kind, body)``; None: nobody may.
    """

    def __init__(
        self,
        server: Server,
        token: str,
        store: str,
        about: dict[str, object],
        say: Callable[[str, str, str], None],
        wish: Callable[[str, dict[str, Any]], object] | None = None,
    ) -> None:
        self._server = server
        self.wants_names = server.detail != "counts"  # with them the command, which is sent of what fails
        self._url = f"{server.url}/api/v1/ingest"
        self._headers = {"Content-Type": "application/json", "User-Agent": "scriptflow"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._store = store
        self._about = about
        self._say = say
        self._wish = wish if server.actions else None
        self._wished: deque[str] = deque(maxlen=1000)
        self._events: deque[Event] = deque()
        self._lost = 0
        self._warnings: deque[str] = deque()
        self._away = ""
        self._closing = threading.Event()
        self._packed = threading.Event()
        self._done = threading.Event()
        self._more = threading.Event()
        self._packer: Packer | None = None
        self._spool: Spool | None = None

    def hear(self, event: Event) -> None:
        """Keep an event for the packing thread."""
        if len(self._events) < MOST_EVENTS:
            self._events.append(event)
        else:
            self._lost += 1
        if self._packer is None and type(event).__name__ == "RunStarted":
            self._begin(event)  # type: ignore[arg-type]  # by its name

    def tick(self) -> None:
        """Warn of what the threads met."""
        while self._warnings:
            self._say("warning", "server", self._warnings.popleft())

    def close(self) -> None:
        """Pack the rest, and wait a moment for the server if it is there."""
        if self._packer is not None:
            self._closing.set()
            deadline = monotonic() + EXIT_WAIT_S
            self._packed.wait(EXIT_WAIT_S)
            self._more.set()
            left_s = 0.0 if self._away else max(0.0, deadline - monotonic())
            if not self._done.wait(left_s):  # also where it was away: it may be back before our next try was due
                leave_the_rest(self._url, self._headers, self._store)
        self.tick()

    def _begin(self, event: RunStarted) -> None:
        from secrets import token_hex

        head = token_hex(16)
        flow, _, number = event.run.rpartition("-")
        flow = "".join(c if c.isalnum() or c in "_-. " else "_" for c in flow).lstrip(". ")[:100] or "flow"
        run = {"flow": flow, "number": int(number), "started": event.at, "host": host_name(), **self._about}
        self._packer = Packer(
            {
                "schema": 1, "head": head, "store": _store_id(self._store), "project": self._server.project,
                "detail": self._server.detail, "run": run,
            },
            self._server.detail,
        )  # fmt: skip
        self._spool = Spool(f"{self._store}/spool", head)
        for work in (self._pack, self._post):
            threading.Thread(
                target=work, args=(self._packer, self._spool), name="scriptflow-sender", daemon=True
            ).start()

    # --- packing ------------------------------------------------------------------------------

    def _pack(self, packer: Packer, spool: Spool) -> None:
        last = False
        while not last:
            last = self._closing.wait(PACK_S)
            try:
                events = [self._events.popleft() for _ in range(len(self._events))]
                packer.lost = self._lost
                for number, content, rows in packer.batches(events):
                    spool.put(number, content, rows=rows)
                    self._more.set()
            except Exception:
                log.exception("a batch for the server could not be made")
            if spool.disk_error:
                log.warning(
                    "the spool takes nothing: %s; what waits for the server is kept in memory", spool.disk_error
                )
                spool.disk_error = ""
        self._packed.set()

    # --- posting ------------------------------------------------------------------------------

    def _post(self, packer: Packer, spool: Spool) -> None:
        pause_s = 0.0
        while True:
            if self._closing.is_set() and self._packed.is_set() and not len(spool):
                self._done.set()
                return
            if pause_s:
                self._closing.wait(pause_s * random.uniform(0.7, 1.3))  # noqa: S311 (no secret: heads must not march in step)
                if self._closing.is_set() and self._away:
                    return
            elif not len(spool):
                self._more.wait(HEARTBEAT_S)
                self._more.clear()
            found = spool.first()
            try:
                self._send(packer.heartbeat() if found is None else found[1])
            except PostFailed as error:
                pause_s = self._failed(error, pause_s)
                if error.status not in _NEVER or found is None:
                    continue
                log.warning("the server refuses batch %d for good: %s", found[0].number, error)
            except Exception:
                log.exception("a batch could not be sent")
                pause_s = _LONGEST_PAUSE_S
                continue
            else:
                self._recovered()
                pause_s = 0.0
            if found is not None:
                spool.sent(found[0])

    def _send(self, content: bytes) -> None:
        """Post a batch and hand on what the answer wishes."""
        import json

        headers = self._headers
        if self._wished:
            headers = {**headers, WISHED: ",".join([word for word in list(self._wished)[-20:] if word.isascii()])}
        answer = post(self._url, content, headers, _LIMIT_S)
        if self._wish is None:
            return
        with suppress(ValueError, TypeError, AttributeError):
            for wish in json.loads(answer).get("wishes", [])[:100]:
                number, kind, body = str(wish["id"])[:100], wish["kind"], wish["body"]
                if number not in self._wished and kind in WISHES and isinstance(body, dict):
                    self._wished.append(number)
                    self._wish(kind, body)
                    self._more.set()  # the server hears at once that it was handed on

    def _failed(self, error: PostFailed, pause_s: float) -> float:
        """Say it once, and return how long to wait."""
        if not self._away:
            log.warning("server: %s", error)
            if error.status in _UNAUTHORIZED:
                self._warnings.append(f"{error}: it does not know this token ({TOKEN}); the run is not affected")
            else:
                self._warnings.append(f"{error}; what is to be sent is kept on disk, the run is not affected")
        self._away = str(error)
        return min(_LONGEST_PAUSE_S, max(1.0, pause_s * 2))

    def _recovered(self) -> None:
        if self._away:
            log.info("server: it is back")
        self._away = ""


def _store_id(store: str) -> str:
    """Return what tells this run store from all others, also from a copy of it elsewhere."""
    from hashlib import sha256
    from secrets import token_hex

    path = f"{store}/server-id"
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 (plain strings all through)
            own = file.read(64)
    except (OSError, ValueError):
        own = token_hex(16)
        with suppress(OSError), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 (the same)
            file.write(own)
    return sha256(f"{own}\0{host_name()}\0{store}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
