"""Hash files for the decision and, in the background, for the record; tell where looks alone will not do.

Knows files and where hashes go. Knows nothing of tasks and decisions; what changes meanwhile is not recorded.
"""

from __future__ import annotations

import hashlib
import os
import stat
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
CHEAP_BYTES = 64_000
"""A thread costs as much as hashing so many bytes does."""
_CHUNK = 1 << 20
_KEPT = 10_000
_GATHER_S = 0.2
_TELL_AFTER_S = 1.0
_OF_NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NEVER_EQUAL = "sha256:" + "0" * 64
"""The hash of no file: recorded for an input that was changed while its job ran."""


class Hashes:
    """Hashes of files, each made once for as long as its file looks the same; may be used on any thread.

    Attributes:
        closed: ends what is being hashed.

    Args:
        files: where they lie.
    """

    def __init__(self, files: Files) -> None:
        self.closed = False
        self._files = files
        self._known: dict[str, tuple[Seen, str]] = {}

    def is_cheap(self, seen: Seen) -> bool:
        """Whether the hash is known already, or soon made."""
        return (seen.ctime_ns > 0 and seen.size <= CHEAP_BYTES) or self._remembered(seen) is not None

    def of(self, seen: Seen) -> str | None:
        """Return ``sha256:…`` of a file's content, or of a folder's names and contents; None for what is neither."""
        digest = self._remembered(seen)
        if digest is None:
            path = self._files.absolute(seen.path)
            digest = self._of_folder(path) if seen.ctime_ns < 0 else self._of_file(path)
            if digest is not None and self._files.is_as_seen(seen):
                if len(self._known) > _KEPT:
                    self._known.clear()
                self._known[seen.path] = (seen, digest)
        return digest

    def is_known(self, seen: Seen) -> bool:
        """Whether the file was hashed while it looked like this."""
        return self._remembered(seen) is not None

    def _remembered(self, seen: Seen) -> str | None:
        known = self._known.get(seen.path)
        if known is None:
            return None
        was, digest = known
        same = (was.size, was.mtime_ns, was.ctime_ns, was.inode) == (
            seen.size,
            seen.mtime_ns,
            seen.ctime_ns,
            seen.inode,
        )
        return digest if same else None

    def _of_file(self, path: str) -> str | None:
        digest = hashlib.sha256()
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
                return None
            with open(path, "rb", buffering=0) as file:
                while not self.closed and (chunk := file.read(_CHUNK)):
                    digest.update(chunk)
        except OSError:
            return None
        return None if self.closed else "sha256:" + digest.hexdigest()

    def _of_folder(self, top: str) -> str | None:
        lines = [
            f"{path[len(top) :]}\0{self._of_file(path)}"
            for folder, _, names in os.walk(top)
            for path in (os.path.join(folder, name) for name in names if not name.endswith(".sf-part"))
        ]
        text = "\n".join(sorted(lines)).encode("utf-8", "surrogateescape")
        return None if self.closed else "sha256:" + hashlib.sha256(text).hexdigest()


class Hasher:
    """One thread that hashes one file after the other.

    Args:
        hashes: makes the hashes.
        store: takes them.
    """

    def __init__(self, hashes: Hashes, store: Store) -> None:
        self._hashes = hashes
        self._store = store
        self._waiting: deque[tuple[int, Seen]] = deque()
        self._wake = threading.Event()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, job: int, files: Iterable[Seen]) -> None:
        """Hash these files of a job, each as it was seen."""
        self._waiting.extend([(job, seen) for seen in files if seen.size >= 0 and seen.sha256 is None])
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
        if not seen.size and seen.role == "out" and seen.ctime_ns > 0:
            return _OF_NOTHING  # an input of no size may be one of the kernel's, with content
        digest = self._hashes.of(seen)
        return digest if self._hashes.is_known(seen) else None


def is_coarse(seen: Seen) -> bool:
    """Whether a file is as young as the tick of a disk with times of whole seconds: an edit may keep size and time."""
    return seen.racy and not seen.mtime_ns % 1_000_000_000


def signature_of(files: Sequence[Seen]) -> int:
    """Return one number for how all of a task's files look."""
    return hash(tuple([mark_of(seen) for seen in files]))
