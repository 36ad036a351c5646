"""Batches that wait to be sent, as files beside the store, so that they outlive the head and the server's absence.

Knows files and their order. Knows nothing of what is in them, nor of the network.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from threading import Lock

MOST_BYTES = 64 * 1024 * 1024
"""How much may wait; beyond it the oldest goes. Every batch has the counts, so only detail is lost."""
MOST_MEMORY = 8 * 1024 * 1024
"""How much of that may wait in memory, where the disk takes nothing."""

_ENDING = ".json"


class Entry:
    """One batch: ``data`` is None when it lies on the disk."""

    __slots__ = ("data", "head", "number", "rows", "size")

    def __init__(self, head: str, number: int, size: int, data: bytes | None, *, rows: bool) -> None:
        self.head = head
        self.number = number
        self.size = size
        self.data = data
        self.rows = rows


class Spool:
    """The batches of one store, of this head and of those before it.

    Args:
        folder: ``.scriptflow/spool``; made when it is first needed.
        head: this head's id.
    """

    def __init__(self, folder: str, head: str) -> None:
        self._folder = folder
        self._head = head
        self._lock = Lock()
        self._taken: Entry | None = None
        self.lost = 0
        """Batches that had to go unsent."""
        self.disk_error = ""
        """Why the disk takes nothing, if so."""
        self._entries: deque[Entry] = deque(self._left())
        self._bytes = sum(entry.size for entry in self._entries)
        self._memory = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, number: int, content: bytes, *, rows: bool) -> None:
        """Keep a batch. Where the one before has only counts and was not sent yet, this one takes its place."""
        data = None if self._write(number, content) else content
        with self._lock:
            last = self._entries[-1] if self._entries else None
            if last is not None and last.head == self._head and not last.rows and last is not self._taken:
                self._drop(last)
            self._entries.append(Entry(self._head, number, len(content), data, rows=rows))
            self._bytes += len(content)
            self._memory += len(content) if data is not None else 0
            while self._bytes > MOST_BYTES or self._memory > MOST_MEMORY:
                oldest = next((entry for entry in self._entries if self._may_go(entry)), None)
                if oldest is None:
                    break
                self._drop(oldest)
                self.lost += 1

    def first(self) -> tuple[Entry, bytes] | None:
        """Return the oldest batch and its content; it stays until ``sent``."""
        while True:
            with self._lock:
                if not self._entries:
                    return None
                entry = self._taken = self._entries[0]
            if entry.data is not None:
                return entry, entry.data
            try:
                with open(self._path(entry), "rb") as file:  # noqa: PTH123 (plain strings all through)
                    return entry, file.read()
            except OSError:  # somebody removed it
                self.sent(entry)

    def sent(self, entry: Entry) -> None:
        """Forget a batch."""
        with self._lock:
            self._taken = None
            if entry in self._entries:
                self._drop(entry)

    def _may_go(self, entry: Entry) -> bool:
        """Whether a later batch of the same head knows the counts too; in memory only what is there may go."""
        if entry is self._taken or (self._bytes <= MOST_BYTES and entry.data is None):
            return False
        return any(other.head == entry.head and other.number > entry.number for other in self._entries)

    def _drop(self, entry: Entry) -> None:
        self._entries.remove(entry)
        self._bytes -= entry.size
        if entry.data is not None:
            self._memory -= entry.size
        else:
            with suppress(OSError):
                os.unlink(self._path(entry))  # noqa: PTH108 (plain strings all through)
        if not any(other.head == entry.head for other in self._entries):
            with suppress(OSError):
                os.rmdir(f"{self._folder}/{entry.head}")  # noqa: PTH106 (the same)

    def _path(self, entry: Entry) -> str:
        return f"{self._folder}/{entry.head}/{entry.number:010}{_ENDING}"

    def _write(self, number: int, content: bytes) -> bool:
        """Write a file, whole or not at all; False where the disk does not take it."""
        folder = f"{self._folder}/{self._head}"
        path = f"{folder}/{number:010}{_ENDING}"
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 (the same)
            with open(os.open(path + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 (the same)
                file.write(content)
            os.replace(path + ".part", path)  # noqa: PTH105 (the same)
        except OSError as error:
            self.disk_error = error.strerror or str(error)
            with suppress(OSError):
                os.unlink(path + ".part")  # noqa: PTH108 (the same)
            return False
        return True

    def _left(self) -> list[Entry]:
        """Return what earlier heads left, the oldest head first."""
        found: list[tuple[float, str]] = []
        with suppress(OSError), os.scandir(self._folder) as folders:
            found = [(folder.stat().st_mtime, folder.name) for folder in folders if folder.is_dir()]
        entries = []
        for _, head in sorted(found):
            with suppress(OSError), os.scandir(f"{self._folder}/{head}") as files:
                batches = sorted((file.name, file.stat().st_size) for file in files if file.name.endswith(_ENDING))
                for name, size in batches:
                    if name.removesuffix(_ENDING).isdecimal():
                        entries.append(Entry(head, int(name.removesuffix(_ENDING)), size, None, rows=True))
        return entries
