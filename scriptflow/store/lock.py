"""One head per run store: the lock file that head and reaper hold, and the lease that names the head.

The lock file answers on one machine, the kernel frees it with its last holder. The lease answers across machines:
its beat is a counter that a live head moves on, and whoever waits judges it by his own clock.
"""

from __future__ import annotations

import os
import sqlite3
from time import monotonic, sleep, time

from scriptflow.core.machine import host_name
from scriptflow.database import atomic, connect_read_only
from scriptflow.errors import StoreBusy, StoreLost, StoreUnwritable
from scriptflow.store.filelock import lock, unlock
from scriptflow.store.text import to_microseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DYING_S = 5.0
"""How long a new head waits for the reaper of a dead one."""
POLL_S = 0.02
MISSED_BEATS = 3
"""A head elsewhere that missed so many beats is dead."""


class Owner:
    """The head that the lease names."""

    __slots__ = ("beat", "boot", "epoch", "host", "pid", "process_start", "run", "since")

    def __init__(
        self, *, epoch: int, beat: int, host: str, boot: str, pid: int, process_start: int, since: int, run: str
    ) -> None:
        self.epoch = epoch
        self.beat = beat
        self.host = host
        self.boot = boot
        self.pid = pid
        self.process_start = process_start
        self.since = since
        self.run = run

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine since its last start."""
        return self.boot == boot_id() and (bool(self.boot) or self.host == host_name())

    @property
    def is_alive_here(self) -> bool:
        """Whether it lives: a process of that number *and* start time. The number alone may be another's by now."""
        return self.is_here and process_start(self.pid) == self.process_start


def boot_id() -> str:
    """Name this start of this machine; empty where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123 (pathlib is slow to load)
            return file.read().strip().decode()
    except OSError:
        return ""


def process_start(pid: int) -> int | None:
    """Clock tick at which a process began (0 where the system does not say); None when there is none, or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (pathlib is slow to load)
            # The name, second, may hold spaces and brackets; the last bracket ends it.
            fields = file.read().rpartition(b")")[2].split()
        return None if fields[0] in b"ZX" else int(fields[19])
    except (OSError, IndexError, ValueError):
        if os.path.isdir("/proc/self"):  # noqa: PTH112 (as above)
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return 0


def read_owner(connection: sqlite3.Connection) -> Owner | None:
    """Return whom the lease names; None when the last head closed the store."""
    row = connection.execute("SELECT epoch, beat, host, boot, pid, process_start, since, run FROM lease").fetchone()
    if row is None or row[4] is None:
        return None
    epoch, beat, host, boot, pid, start, since, run = row
    return Owner(epoch=epoch, beat=beat, host=host, boot=boot, pid=pid, process_start=start, since=since, run=run or "")


def look_for_owner(path: str) -> Owner | None:
    """Return whom the lease in the file at ``path`` names; None also when it cannot be read."""
    try:
        connection = connect_read_only(path)
    except sqlite3.Error:
        return None
    try:
        return read_owner(connection)
    except (sqlite3.Error, TypeError):
        return None
    finally:
        connection.close()


def take_lease(connection: sqlite3.Connection, judged: Owner | None, *, network: bool) -> int:
    """Write our name over an absent or dead owner's; return the new epoch, by which we know our lease again.

    Args:
        connection: the writing one.
        judged: the owner that was found dead.
        network: the lock file may be no lock here.

    Raises:
        StoreBusy: of two heads that waited for the same dead one, the other was quicker.
    """
    with atomic(connection):
        now = read_owner(connection)
        if now is not None and (judged is None or now.epoch != judged.epoch):
            lives = now.is_alive_here and now.pid != os.getpid()
            if lives or (network and not now.is_here):
                raise busy(now)
        connection.execute(
            "UPDATE lease SET epoch = epoch + 1, host = ?, boot = ?, pid = ?, process_start = ?, since = ?, run = NULL",
            (host_name(), boot_id(), os.getpid(), process_start(os.getpid()), to_microseconds(time())),
        )
        epoch: int = connection.execute("SELECT epoch FROM lease").fetchone()[0]
    return epoch


def leave_lease(connection: sqlite3.Connection, epoch: int) -> None:
    """Take our name off, unless it is another's by now: the mark of a clean end."""
    with atomic(connection):
        connection.execute(
            "UPDATE lease SET host = NULL, boot = NULL, pid = NULL, process_start = NULL, since = NULL, run = NULL "
            "WHERE epoch = ?",
            (epoch,),
        )


class StoreLock:
    """The lock file of a run store, held until ``release`` or until its last holder is gone.

    Attributes:
        judged: the dead owner whose store this was, None when it was closed cleanly.
        fd: inheritable, since the reaper holds it too; whoever starts jobs must not hand it on to them.
    """

    __slots__ = ("_path", "fd", "judged")

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "lock")  # noqa: PTH118 (pathlib is slow to load)
        self.fd = -1
        self.judged: Owner | None = None

    def acquire(
        self,
        database: str,
        *,
        network: bool,
        heartbeat_s: float,
        notice: Callable[[str], object],
    ) -> None:
        """Take the lock, waiting for a dying owner.

        Args:
            database: path of the file with the lease.
            network: the store is on a network disk, where other machines may hold it.
            heartbeat_s: how often a live head moves the lease's beat.
            notice: is told when there is a wait worth a word.

        Raises:
            StoreBusy: a live head holds the store.
        """
        try:
            self.judged = self._acquire(lambda: look_for_owner(database), network, heartbeat_s, notice)
        except BaseException:
            self._close()
            raise

    def _acquire(
        self, owner: Callable[[], Owner | None], network: bool, heartbeat_s: float, notice: Callable[[str], object]
    ) -> Owner | None:
        deadline = monotonic() + DYING_S
        while not self._try():
            holder = owner()
            if holder is not None and network and not holder.is_here:
                wait_until_silent(owner, holder, heartbeat_s, notice)
                return holder  # its machine is gone and cannot give the lock back: the lease alone makes us owner
            # No name, or a dead one: its reaper is still at work, or another head is just coming up.
            if (holder is not None and holder.is_alive_here) or monotonic() > deadline:
                raise busy(holder)
            sleep(POLL_S)
        holder = owner()
        if holder is None or holder.pid == os.getpid():
            return holder
        if holder.is_alive_here:  # its lock file was removed under it
            raise busy(holder)
        if network and not holder.is_here:
            wait_until_silent(owner, holder, heartbeat_s, notice)
        return holder

    def _try(self) -> bool:
        if self.fd < 0:
            try:
                self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                raise StoreUnwritable(
                    f"cannot write {self._path}", why=error.strerror or str(error), do="check its permissions"
                ) from error
            os.set_inheritable(self.fd, True)
        try:
            lock(self.fd, shared=False)
        except BlockingIOError:
            return False
        except OSError:  # a disk that knows no locks: the lease and its beat must do
            return True
        try:
            same = os.path.samestat(os.fstat(self.fd), os.stat(self._path))  # noqa: PTH116 (as above)
        except FileNotFoundError:
            same = False
        if not same:  # somebody removed the file between our two calls: what we hold locks nobody out
            self._close()
        return same

    def release(self) -> None:
        """Give the lock free, for every process that shares it."""
        if self.fd >= 0:
            try:
                unlock(self.fd)
            except OSError:
                return  # a disk that knows no locks
            finally:
                self._close()

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def is_locked(folder: str) -> bool:
    """Whether some process holds the store's lock file; asks without keeping it."""
    try:
        fd = os.open(os.path.join(folder, "lock"), os.O_RDONLY)  # noqa: PTH118 (as above)
    except OSError:
        return False
    try:
        lock(fd, shared=True)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def wait_until_silent(
    owner: Callable[[], Owner | None], holder: Owner, heartbeat_s: float, notice: Callable[[str], object]
) -> None:
    """Watch a head on another machine until it has missed its beats, or raise StoreBusy when it has not."""
    patience_s = heartbeat_s * MISSED_BEATS
    notice(f"the run store was last held on {holder.host}; waiting {patience_s:.0f} s to see whether that head lives")
    deadline = monotonic() + patience_s
    while monotonic() < deadline:
        sleep(min(heartbeat_s / 10, 1.0))
        seen = owner()
        if seen is None:
            return
        if (seen.epoch, seen.beat) != (holder.epoch, holder.beat):
            raise busy(seen)


def busy(holder: Owner | None) -> StoreBusy:
    """Say who holds the store."""
    if holder is None:
        return StoreBusy(
            "the run store is held by another head that is just starting or ending",
            why="the lock file is taken, and no name is in the store",
            do="scriptflow status  # and run again when it is over",
        )
    from datetime import UTC, datetime

    since = datetime.fromtimestamp(holder.since / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return StoreBusy(
        f"the run store is held by {holder.run or 'another head'}",
        why=f"process {holder.pid} on {holder.host}, since {since}",
        do="scriptflow status  # wait for its end, or stop that process",
    )


def lost(path: str) -> StoreLost:
    """Say that another head took the store."""
    return StoreLost(
        f"another head took over {path}",
        why="this one was paused for so long that it was taken for dead; it wrote nothing since",
        do="scriptflow status",
    )
