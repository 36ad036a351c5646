"""The inbox of a run store: the one way by which another process asks a live head for something.

A request is one JSON file in ``.scriptflow/inbox/``, put there whole by rename, and so is its answer. Knows files;
knows nothing of what can be asked for, of heads or of the database. Works for every process that sees the disk.
"""

from __future__ import annotations

import os
import stat
from time import monotonic, sleep, time

from scriptflow.core.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

INBOX = "inbox"
MOST_BYTES = 256 * 1024
"""How long a request or an answer may be."""
MOST_WAITING = 10_000
"""How many requests may lie in an inbox at once."""

_REQUEST = ".request"
_ANSWER = ".answer"
_NO_HEAD = "no run was live when this was asked"
_YOUNG_S = 2.0  # within its disk's tick a folder may change and keep its time
_LOOK_ANYWAY_S = 5.0  # a network disk may show an old time for a while
_KEPT_S = 3600.0
_POLL_S = 0.05


@frozen
class Request:
    """What was asked: ``kind`` names it, ``body`` says the rest, the answer goes to ``id``."""

    id: str
    kind: str
    body: Mapping[str, Any]


# --- who asks -------------------------------------------------------------------------------------


def post(folder: str, kind: str, body: Mapping[str, object]) -> str:
    """Ask the head that works in the store ``folder`` for something; return the request's id.

    Raises:
        StoreUnwritable: the request cannot be written there.
        UsageError: it is too long.
    """
    import json
    from secrets import token_hex

    from scriptflow.errors import StoreUnwritable, UsageError

    content = json.dumps({"schema": 1, "kind": kind, "body": dict(body)}).encode()
    if len(content) > MOST_BYTES:
        raise UsageError(f"a request of {len(content)} bytes is too long", why=f"the limit is {MOST_BYTES}")
    # By name they lie in the order in which they were asked.
    request_id = f"{int(time() * 1e6):016x}-{token_hex(6)}"
    inbox = f"{folder}/{INBOX}"
    try:
        os.makedirs(inbox, mode=0o700, exist_ok=True)  # noqa: PTH103 (plain strings all through)
        _write(f"{inbox}/{request_id}", _REQUEST, content)
    except OSError as error:
        raise StoreUnwritable(f"cannot write to {inbox}", why=error.strerror or str(error)) from error
    return request_id


def wait_answer(folder: str, request_id: str, timeout_s: float) -> dict[str, Any] | None:
    """Return the answer to a request, taken out of the inbox; None when none came in time.

    Every answer has ``ok``; one that is not ok has ``error``, and perhaps ``why`` (a list) and ``do``.
    """
    path = f"{folder}/{INBOX}/{request_id}{_ANSWER}"
    deadline = monotonic() + timeout_s
    while True:
        content = _read(path)
        if content is not None:
            _remove(path)
            return _parsed(content) or {"ok": False, "error": "the answer is damaged"}
        left = deadline - monotonic()
        if left <= 0:
            return None
        sleep(min(_POLL_S, left))


def withdraw(folder: str, request_id: str) -> bool:
    """Take a request back; False when the head has taken it already."""
    return _remove(f"{folder}/{INBOX}/{request_id}{_REQUEST}")


# --- who is asked ---------------------------------------------------------------------------------


class Inbox:
    """The head's side.

    Args:
        folder: the run store, ours alone: what lies in it was put there by its owner.
    """

    def __init__(self, folder: str) -> None:
        self._folder = f"{folder}/{INBOX}"
        self._seen = 0
        self._looked = 0.0

    def take(self) -> list[Request]:
        """Return what was asked since the last call, in order, each once; what cannot be read is answered here.

        Costs one ``stat`` while nothing is asked.
        """
        try:
            changed = os.stat(self._folder).st_mtime_ns  # noqa: PTH116 (as above)
        except OSError:
            return []
        now = monotonic()
        if changed == self._seen and now - self._looked < _LOOK_ANYWAY_S:
            return []
        self._looked = now
        self._seen = changed if abs(time() - changed / 1e9) > _YOUNG_S else 0
        return [request for name in self._names() if (request := self._open(name)) is not None]

    def answer(self, request_id: str, body: Mapping[str, object]) -> None:
        """Answer a request. An answer that cannot be written is lost: whoever asked sees that none came."""
        import json

        content = json.dumps(dict(body), default=str).encode()
        if len(content) > MOST_BYTES:
            content = json.dumps({"ok": body.get("ok", False), "error": "the answer is too long to be told"}).encode()
        try:
            _write(f"{self._folder}/{request_id}", _ANSWER, content)
        except OSError as error:
            import logging

            logging.getLogger(__name__).warning("cannot answer the request %s: %s", request_id, error)

    def sweep(self) -> None:
        """Answer what was asked while no head lived, and remove answers that nobody came for."""
        try:
            with os.scandir(self._folder) as entries:
                found = [(entry.name, entry.stat(follow_symlinks=False).st_mtime) for entry in entries]
        except OSError:
            return
        for name, changed in found:
            if name.endswith(_REQUEST):
                _remove(f"{self._folder}/{name}")
                self.answer(name.removesuffix(_REQUEST), {"ok": False, "error": _NO_HEAD, "do": "scriptflow run"})
            elif time() - changed > _KEPT_S:
                _remove(f"{self._folder}/{name}")

    def _names(self) -> list[str]:
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(_REQUEST)]
        except OSError:
            return []
        return sorted(names)[:MOST_WAITING]

    def _open(self, name: str) -> Request | None:
        """Take one request out; before it is done, so that none is done twice."""
        path, request_id = f"{self._folder}/{name}", name.removesuffix(_REQUEST)
        content = _read(path)
        if not _remove(path):
            return None  # taken back meanwhile, or no file that can be removed: it is not looked at again and again
        found = _parsed(content or b"")
        kind, body = (found.get("kind"), found.get("body")) if found else (None, None)
        if not isinstance(kind, str) or not isinstance(body, dict):
            self.answer(request_id, {"ok": False, "error": "the request is damaged"})
            return None
        return Request(id=request_id, kind=kind, body=body)


# --- files ----------------------------------------------------------------------------------------


def _write(path: str, ending: str, content: bytes) -> None:
    """Let a file appear whole, for its owner alone."""
    fd = os.open(path + ".part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.replace(path + ".part", path + ending)  # noqa: PTH105 (as above)
    except OSError:
        _remove(path + ".part")
        raise


def _read(path: str) -> bytes | None:
    """Return a file's content; None when there is none, empty when it is not one that ``_write`` could have left."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no link, no pipe to wait on
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError:
        return b""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            return b""
        return os.read(fd, MOST_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _remove(path: str) -> bool:
    try:
        os.unlink(path)  # noqa: PTH108 (as above)
    except OSError:
        return False
    return True


def _parsed(content: bytes) -> dict[str, Any] | None:
    import json

    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
