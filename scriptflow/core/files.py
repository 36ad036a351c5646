"""What lies on disk, looked at once per file and run.

Knows paths and stats. Knows nothing of tasks, records or decisions.
"""

from __future__ import annotations

import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from scriptflow.core.records import Seen

MISSING = 0
_DIRECTORY = stat.S_IFDIR
_KIND = 0o170000
# A file system that keeps fractions of a second ticks at most this coarsely (a kernel jiffy, with room).
_FINE_TICK_NS = 20_000_000
_COARSE_TICK_NS = 2_000_000_000
_HAS_DIR_FD = os.stat in os.supports_dir_fd


class Files:
    """The files of one run, below ``folder``.

    ``marks`` maps a path to one number made of its size, times and inode, 0 when there is no such file. It is
    filled on first look and kept until ``forget``: a run sees each file once, unless a job wrote it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.prefix = folder if folder.endswith("/") else folder + "/"
        self.marks: dict[str, int] = {}
        # A path below an open folder costs the kernel less than the whole path, and a flow may change its own folder.
        self._folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if _HAS_DIR_FD else None

    def absolute(self, path: str) -> str:
        """Return the full path of a declared one."""
        return path if path[0] == "/" or (os.name == "nt" and os.path.isabs(path)) else self.prefix + path

    def relative(self, path: str) -> str:
        """Return a path below the folder relative to it, any other as it is: one file has one name."""
        return path[len(self.prefix) :] if path.startswith(self.prefix) else path

    def mark(self, path: str) -> int:
        """Look at a file and remember its mark."""
        try:
            found = os.stat(path, dir_fd=self._folder_fd) if _HAS_DIR_FD else os.stat(self.absolute(path))
        except OSError:
            self.marks[path] = MISSING
            return MISSING
        if found.st_mode & _KIND == _DIRECTORY:
            entries, newest, _, digest = self._listing(path)
            mark = hash((entries, newest, digest)) or 1
        else:
            mark = hash((found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)) or 1
        self.marks[path] = mark
        return mark

    def close(self) -> None:
        """Give the folder free."""
        if self._folder_fd is not None:
            os.close(self._folder_fd)
            self._folder_fd = None

    def forget(self, paths: Iterable[str]) -> None:
        """Look again at these next time: a job may have written them."""
        for path in paths:
            self.marks.pop(path, None)
            while "/" in path:
                path = path.rpartition("/")[0]
                self.marks.pop(path, None)

    def seen(self, path: str, role: str) -> Seen:
        """Look at a file now, whatever was seen before; a missing one has size -1."""
        from scriptflow.core.records import Seen

        now = time.time_ns()
        try:
            found = os.stat(self.absolute(path))
        except OSError:
            self.marks[path] = MISSING
            return Seen(path=path, role=role, size=-1)
        if found.st_mode & _KIND == _DIRECTORY:
            entries, newest, names, digest = self._listing(path)
            seen = Seen(path=path, role=role, size=entries, mtime_ns=newest, ctime_ns=names, inode=digest)
            self.marks[path] = mark_of(seen)
            return seen
        changed, inode = found.st_ctime_ns, found.st_ino
        self.marks[path] = hash((found.st_size, found.st_mtime_ns, changed, inode)) or 1
        tick = _FINE_TICK_NS if found.st_mtime_ns % 1_000_000_000 else _COARSE_TICK_NS
        return Seen(
            path=path, role=role, size=found.st_size, mtime_ns=found.st_mtime_ns, ctime_ns=changed, inode=inode,
            racy=now - tick < found.st_mtime_ns <= now + tick,
        )  # fmt: skip

    def is_as_seen(self, seen: Seen) -> bool:
        """Whether a file still has the size and times it was seen with; changes no mark."""
        if seen.ctime_ns < 0:
            return self._listing(seen.path) == (seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode)
        try:
            now = os.stat(self.absolute(seen.path))
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (seen.size, seen.mtime_ns, seen.ctime_ns)

    def _listing(self, path: str) -> tuple[int, int, int, int]:
        """Return a folder's number of files, their newest time, and digests of its listing without and with times."""
        import hashlib

        top = self.absolute(path)
        plain: list[str] = []
        timed: list[str] = []
        newest = 0
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in names:
                full = os.path.join(folder, name)
                try:
                    found = os.lstat(full)
                except OSError:
                    continue
                if name.endswith(".sf-part"):
                    continue
                newest = max(newest, found.st_mtime_ns)
                plain.append(f"{full[len(top) :]}\0{found.st_size}")
                timed.append(f"{plain[-1]}\0{found.st_mtime_ns}")
        digests = [
            hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")) for lines in (plain, timed)
        ]
        without, with_times = (int.from_bytes(digest.digest()[:7], "big") for digest in digests)
        return len(plain), newest, -1 - without, with_times


def mark_of(seen: Seen) -> int:
    """Return the mark of a file that looks so."""
    if seen.size < 0:
        return MISSING
    if seen.ctime_ns < 0:
        return hash((seen.size, seen.mtime_ns, seen.inode)) or 1
    return hash((seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode)) or 1
