"""The stores behind the pages: each read by one thread at a time, each answer made once for all who ask for it.

Knows stores and answers. Knows nothing of addresses, of HTTP or of what an answer says.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from scriptflow.errors import StoreBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import TypeVar

    from scriptflow.store.pages import PageReader

    Token = tuple[int, ...]
    Answer = TypeVar("Answer")

_THREADS = 4
_FRESH_S = 1.0
_KEPT_BYTES = 16 * 2**20
_MOST_WAITING = 512


class Project:
    """One store: a name for addresses and its folder."""

    def __init__(self, name: str, folder: str, pool: ThreadPoolExecutor) -> None:
        self.name = name
        self.folder = folder
        self._pool = pool
        self._lock = threading.Lock()
        self._reader: PageReader | None = None
        self._opened: Token = ()
        self._running: dict[Hashable, asyncio.Future[bytes]] = {}
        self._kept: OrderedDict[Hashable, tuple[Token, float, bytes]] = OrderedDict()
        self._kept_bytes = 0

    @property
    def title(self) -> str:
        """What people call it: the name of the folder that the store is in."""
        return Path(self.folder).resolve().parent.name or self.name

    async def answer(self, key: Hashable, make: Callable[[PageReader | None], bytes], *, reads: bool = True) -> bytes:
        """Return the answer that ``make`` gives, or gave at most a second ago while the store is unchanged.

        Who asks for what is being made waits for it, and who goes away stops nobody.

        Raises:
            StoreBusy: too many wait already.
        """
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= _MOST_WAITING:
                raise StoreBusy("too many questions at once", do="ask again in a moment")
            loop = asyncio.get_running_loop()
            task = loop.run_in_executor(self._pool, self._made, key, make, reads)
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    def _made(self, key: Hashable, make: Callable[[PageReader | None], bytes], reads: bool) -> bytes:
        with self._lock:
            token = state_of(self.folder)
            found = self._kept.get(key)
            if found is not None and found[0] == token and monotonic() - found[1] < _FRESH_S:
                return found[2]
            body = make(self._open(token) if reads else None)
            self._keep(key, token, body)
            return body

    def _open(self, token: Token) -> PageReader:
        """Return a reader that sees the store as it is: a new one whenever something was written."""
        from scriptflow.store.pages import PageReader

        if self._reader is None or self._opened != token:
            self._close()
            self._reader = PageReader(self.folder, relative=True)
            self._opened = token
        return self._reader

    def _keep(self, key: Hashable, token: Token, body: bytes) -> None:
        old = self._kept.pop(key, None)
        self._kept[key] = (token, monotonic(), body)
        self._kept_bytes += len(body) - (len(old[2]) if old else 0)
        while self._kept_bytes > _KEPT_BYTES:
            _, (_, _, dropped) = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def close(self) -> None:
        """Close the store's file."""
        with self._lock:
            self._close()


class Projects:
    """All stores that are shown.

    Args:
        folders: gives the name and folder of each; asked again when none is named, or one that is not known.
    """

    def __init__(self, folders: Callable[[], Mapping[str, str]]) -> None:
        self._folders = folders
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._known: dict[str, Project] = {}
        self._turn = threading.Lock()

    def rescan(self) -> None:
        """Take in stores that came and drop those that went; may be called from several threads."""
        with self._turn:
            folders = self._folders()
            gone = [name for name, known in self._known.items() if folders.get(name) != known.folder]
            for name in gone:
                self._known.pop(name).close()
            for name, folder in folders.items():
                if name not in self._known:
                    self._known[name] = Project(name, folder, self._pool)

    def named(self, name: str | None) -> Project | None:
        """Return one by name; without a name the only one there is."""
        if name is None:
            self.rescan()  # a second one may have come: which is meant is not clear any more
            known = list(self._known.values())
            return known[0] if len(known) == 1 else None
        if name not in self._known:
            self.rescan()
        return self._known.get(name)

    def all(self) -> list[Project]:
        """Return all of them, by name."""
        self.rescan()
        with self._turn:
            return [self._known[name] for name in sorted(self._known)]

    async def in_thread(self, ask: Callable[[], Answer]) -> Answer:
        """Call what may wait for a disk, on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, ask)

    def close(self) -> None:
        """Close all files and end the threads."""
        for project in self._known.values():
            project.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def state_of(folder: str) -> Token:
    """Return numbers that change whenever something is written to the store in ``folder``."""
    found: list[int] = []
    for name in ("runs.db", "runs.db-wal"):
        try:
            seen = os.stat(f"{folder}/{name}")  # noqa: PTH116 (several times a second)
        except OSError:
            found.append(0)
        else:
            found += (seen.st_ino, seen.st_size, seen.st_mtime_ns)
    return tuple(found)
