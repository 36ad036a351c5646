"""Hash inputs and outputs for the record, in the background; tell where their looks alone will not do.

Knows files and where hashes go. Knows nothing of tasks and decisions; what changes meanwhile is not hashed.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from scriptflow.core.files import mark_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.core.files import Files
    from scriptflow.core.interfaces import Store
    from scriptflow.core.records import Seen

SMALL_BYTES = 64_000_000
_GATHER_S = 0.2
_TELL_AFTER_S = 1.0
_OF_NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NEVER_EQUAL = "sha256:" + "0" * 64
"""The hash of no file: recorded for an input that was changed while its job ran."""


class Hasher:
    """One thread that hashes one file after the other.

    Args:
        files: where they lie.
        store: takes the hashes.
        limit_bytes: larger files are left out, None = none is.
    """

    def __init__(self, files: Files, store: Store, limit_bytes: int | None) -> None:
        self._files = files
        self._store = store
        self._limit = limit_bytes
        self._waiting: deque[tuple[int, Seen]] = deque()
        self._known: dict[str, tuple[int, int, str]] = {}
        self._wake = threading.Event()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, job: int, files: Iterable[Seen]) -> None:
        """Hash these files of a job, each as it was seen."""
        for seen in files:
            small = self._limit is None or seen.size <= self._limit
            if small and seen.size >= 0 and seen.ctime_ns > 0 and seen.sha256 is None:
                self._waiting.append((job, seen))
        if self._waiting and self._thread is None:
            thread = threading.Thread(target=self._work, name="scriptflow hashes", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no room for a thread: the record does without hashes
                self._waiting.clear()
                return
            self._thread = thread
        if not self._wake.is_set():
            self._wake.set()

    def close(self, *, finish: bool) -> None:
        """Hash what is left, or let it be, and end the thread."""
        if not finish:
            self._waiting.clear()
        self._end.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._end.wait(_GATHER_S)  # one waking for many files: each costs more than a small file's hash
            self._wake.clear()
            while self._waiting:
                self._hash_some()
            if self._end.is_set():
                return

    def _hash_some(self) -> None:
        """Hash what waits and hand the hashes over together, though no later than a second after the first."""
        found: list[tuple[int, str, str, str]] = []
        until = monotonic() + _TELL_AFTER_S
        while self._waiting and monotonic() < until:
            job, seen = self._waiting.popleft()
            digest = self._digest(seen)
            if digest is not None:
                found.append((job, seen.path, seen.role, digest))
        if found:
            self._store.hashed(found)

    def _digest(self, seen: Seen) -> str | None:
        """Return the hash, None when the file is not as it was seen any more."""
        if not seen.size and seen.role == "out":  # an input of no size may be one of the kernel's, with content
            return _OF_NOTHING
        stamp = (seen.mtime_ns, seen.ctime_ns)
        known = self._known.get(seen.path)
        if known is not None and known[:2] == stamp:
            return known[2]
        digest = self._files.sha256(seen.path)
        if digest is None or not self._files.is_as_seen(seen):
            return None
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[seen.path] = (*stamp, digest)
        return digest


def is_coarse(seen: Seen) -> bool:
    """Whether a file is as young as the tick of a disk with times of whole seconds: an edit may keep size and time."""
    return seen.racy and not seen.mtime_ns % 1_000_000_000


def signature_of(files: Sequence[Seen]) -> int:
    """Return one number for how all of a task's files look."""
    return hash(tuple([mark_of(seen) for seen in files]))
