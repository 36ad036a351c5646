"""Lock a whole file without waiting: flock where there is one, the first byte on Windows."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt

    def lock(fd: int, *, shared: bool) -> None:
        """Lock an open file, or raise ``BlockingIOError`` when another process holds it."""
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from error

    def unlock(fd: int) -> None:
        """Give the lock free."""
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def lock(fd: int, *, shared: bool) -> None:
        """Lock an open file, or raise ``BlockingIOError`` when another process holds it."""
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def unlock(fd: int) -> None:
        """Give the lock free."""
        fcntl.flock(fd, fcntl.LOCK_UN)
