"""One SQLite file: how it is opened, moved up to a newer schema, written in groups by one thread.

Knows nothing of what is in it.
"""

from __future__ import annotations

import os
import sqlite3
from time import monotonic, time

from scriptflow.errors import StoreBusy, StoreDamaged, StoreError, StoreLost, StoreNewer, StoreUnwritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any

GROUP_S = 0.05
"""The longest that a row waits for its group commit."""
RETRY_S = 1.0
"""How long after a failed write the next try comes."""

# Everything that is not a disk of this machine: there, SQLite's shared memory does not work and locks are slow.
# Every fuse counts as one, since what is behind it cannot be seen.
_NETWORK = (
    "nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "pvfs", "orangefs", "panfs", "ceph", "gluster", "afs", "coda",
    "ncpfs", "9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "wekafs", "quobyte", "fuse",
)  # fmt: skip


def is_network(folder: str) -> bool:
    """Whether ``folder`` lies on a network disk; what cannot be told is taken for local."""
    try:
        device = os.stat(folder).st_dev  # noqa: PTH116 (pathlib is not loaded on this path)
        if os.major(device):  # a block device of this machine: nothing to look up
            return False
        wanted = f"{os.major(device)}:{os.minor(device)}"
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123 (the same)
            for line in mounts:
                fields = line.split(" ")
                if fields[2] == wanted:
                    return fields[fields.index("-") + 1].startswith(_NETWORK)
    except (OSError, ValueError, IndexError):
        return False
    return False


def connect(path: str, *, network: bool, busy_s: float) -> sqlite3.Connection:
    """Open the writing connection: WAL on a local disk, a rollback journal on a network one.

    Transactions are begun by ``atomic`` alone. May pass from thread to thread, one at a time.
    """
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=DELETE" if network else "PRAGMA journal_mode=WAL").fetchone()
        set_synchronous(connection, full=network)
        connection.execute("PRAGMA secure_delete=OFF").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: str, *, busy_s: float = 5.0, still: bool = False) -> sqlite3.Connection:
    """Open a reading connection, also in a folder that cannot be written.

    Args:
        path: the database.
        busy_s: how long to wait for a writer.
        still: nobody writes, so that SQLite's helper files need not be made where they are not.
    """
    if still and not os.path.exists(path + "-wal"):  # noqa: PTH110 (as above)
        return _reading(path, "immutable=1", busy_s)
    try:
        return _reading(path, "mode=ro", busy_s)
    except sqlite3.OperationalError as error:
        name = error_name(error)
        if name in _MUST_RECOVER:
            # A writer was killed in the middle of a transaction. Whoever comes first takes it back, and that is a
            # write; SQLite's locks see to it that it is no live writer's.
            return _reading(path, "mode=rw", busy_s)
        # A WAL file needs a small file of shared memory beside it. In a folder that we cannot write nobody of us
        # can make it. "immutable" does without, at a price: rows still in the -wal are not seen, and a writer at
        # work would confuse us. So only where no -shm shows a writer, and only for this kind of error.
        if name not in _CANNOT_OPEN or os.path.exists(path + "-shm") or not os.path.isfile(path):  # noqa: PTH110, PTH113 (as above)
            raise
        return _reading(path, "immutable=1", busy_s)


def _reading(path: str, how: str, busy_s: float) -> sqlite3.Connection:
    # sqlite3 wants an address when it is to open read-only; these three signs have a meaning there.
    address = "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(
        f"{address}?{how}", uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA schema_version").fetchone()
        connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


_MUST_RECOVER = ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY")
_CANNOT_OPEN = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_READONLY_DIRECTORY", "SQLITE_READONLY_CANTINIT")


def set_synchronous(connection: sqlite3.Connection, *, full: bool) -> None:
    """Make the next commits wait for the disk (``full``), or only reach the kernel."""
    connection.execute("PRAGMA synchronous=FULL" if full else "PRAGMA synchronous=NORMAL")


class atomic:  # noqa: N801 (used as a word: ``with atomic(connection):``)
    """One transaction: all of the block is written, or nothing."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def error_name(error: BaseException) -> str:
    """SQLite's own name of an error, ``SQLITE_FULL``; empty when it has none."""
    return getattr(error, "sqlite_errorname", None) or ""


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file's content is broken."""
    return error_name(error).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT"))


def is_busy(error: BaseException) -> bool:
    """Whether another program holds the file."""
    return error_name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def explain(error: sqlite3.Error, path: str) -> StoreError:
    """Say in our words what SQLite could not do with the file."""
    name = error_name(error)
    if is_busy(error):
        return StoreBusy(
            f"{path} is locked by another program",
            why="it was waited for, and is still locked",
            do="end the program that has the file open, then run again",
        )
    if is_damage(error):
        return StoreDamaged(f"{path} is damaged", why=str(error), do="scriptflow run sets it aside and begins anew")
    if name == "SQLITE_FULL":
        return StoreError(f"the disk of the run store is full: {path}", do="free some space, then run again")
    if name in _CANNOT_OPEN or name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return StoreUnwritable(f"cannot write {path}", why=str(error), do=f"check the permissions of {path}")
    return StoreError(f"cannot write {path}", why=str(error), do="check that disk, then run again")


def migrate(connection: sqlite3.Connection, path: str, folder: str, *, application_id: int) -> None:
    """Bring the file to the newest schema of ``folder`` (files ``NNNN_name.sql``).

    Each step and its record are one transaction; an older file is copied beside itself first.

    Raises:
        StoreNewer: the file has a newer schema than we know; it was not touched.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    steps = sorted(name for name in os.listdir(folder) if name.endswith(".sql"))  # noqa: PTH208 (as above)
    refuse_newer(path, version, int(steps[-1][:4]))
    steps = [name for name in steps if int(name[:4]) > version]
    if not steps:
        return
    if version:
        beside = f"{path}.schema-{version}-{int(time())}"
        os.close(os.open(beside, os.O_CREAT | os.O_RDWR, 0o600))
        copy = sqlite3.connect(beside)
        connection.backup(copy)
        copy.close()
    for name in steps:
        with open(os.path.join(folder, name), encoding="utf-8") as file:  # noqa: PTH118, PTH123 (as above)
            text = file.read()
        number = int(name[:4])
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{text}\n"
                f"INSERT INTO migrations (version, name, applied) VALUES ({number}, '{name}', {int(time() * 1e6)});"
                f"PRAGMA user_version={number}; PRAGMA application_id={application_id};"
            )
            connection.execute("UPDATE migrations SET shape = ? WHERE version = ?", (shape_of(connection), number))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def shape_of(connection: sqlite3.Connection) -> int:
    """Return a checksum of the schema as the file has it."""
    from zlib import crc32

    rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY name")
    return crc32("\n".join(f"{name} {text}" for name, text in rows).encode("utf-8", "surrogatepass"))


def refuse_newer(path: str, version: int, newest: int) -> None:
    """Raise StoreNewer when the file's schema ``version`` is beyond ``newest``."""
    if version > newest:
        raise StoreNewer(
            f"{path} was written by a newer scriptflow",
            why=f"its schema is version {version}, this scriptflow knows up to version {newest}",
            do="pip install --upgrade scriptflow",
        )


class WriteThread:
    """Writes what others put, on one thread, in order, many rows to a commit.

    Args:
        now: commits items at once; raises when it could not. Returns whether enough has piled up for a group.
        group: commits items for good (they are on the disk when it returns); raises when it could not.
            Every item given to ``now`` comes here too, a little later. An empty list is a sign of life.
        failed: hears of each failed write.
        idle_s: call ``group`` with nothing when nothing was written for so long; None: never.
    """

    def __init__(
        self,
        *,
        now: Callable[[list[Any]], bool],
        group: Callable[[list[Any]], None],
        failed: Callable[[BaseException], None],
        idle_s: float | None = None,
    ) -> None:
        import threading
        from collections import deque

        self._now = now
        self._group = group
        self._failed = failed
        self._idle_s = idle_s
        self._urgent: deque[tuple[Any, Callable[[BaseException | None], None]]] = deque()
        self._waiting: deque[tuple[Any, Callable[[], None] | None]] = deque()
        self._held: list[tuple[Any, Callable[[], None] | None]] = []
        self._barriers: deque[threading.Event] = deque()
        self._new_barrier = threading.Event
        self._wake = threading.Event()
        self._asleep = False
        self._stopping = False
        self.error: BaseException | None = None
        """Why the last group could not be written; None when all is well."""
        self._thread = threading.Thread(target=self._work, name="scriptflow-store", daemon=True)
        self._thread.start()

    def put(self, item: object, then: Callable[[], None] | None = None) -> None:
        """Write ``item`` with the next group; ``then`` is called once it is on the disk."""
        self._waiting.append((item, then))
        if self._asleep:  # only the first row of a group wakes the thread, which then waits for more
            self._asleep = False
            self._wake.set()

    def put_now(self, item: object, then: Callable[[BaseException | None], None]) -> None:
        """Commit ``item`` at once; ``then`` gets None, or why it was not written and never will be."""
        self._urgent.append((item, then))
        self._wake.set()

    def flush(self) -> None:
        """Return when all that was put so far is on the disk, or could not be written (see ``error``)."""
        barrier = self._new_barrier()
        self._barriers.append(barrier)
        self._wake.set()
        while not barrier.wait(1.0):
            if not self._thread.is_alive():
                return

    def stop(self) -> None:
        """Write what is left and end the thread; see ``error`` for what could not be written."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        due: float | None = None  # when the next group is to be committed; None: nothing waits
        while True:
            idle = self._sleep(due)
            stopping = self._stopping
            barriers = [self._barriers.popleft() for _ in range(len(self._barriers))]
            full = bool(self._urgent) and self._commit_now()
            if due is None and self._waiting:
                due = monotonic() + GROUP_S
            if stopping or barriers or idle or full or (due is not None and due <= monotonic()):
                due = self._commit_group(sign_of_life=idle)
            for barrier in barriers:
                barrier.set()
            if stopping:
                return

    def _sleep(self, due: float | None) -> bool:
        """Wait for work; return whether nothing came for ``idle_s``."""
        woken = True
        if due is not None:
            self._wake.wait(max(0.0, due - monotonic()))
        else:
            self._asleep = True
            if not self._waiting:  # a row put before _asleep was set woke nobody
                woken = self._wake.wait(self._idle_s)
            self._asleep = False
        self._wake.clear()
        return not woken

    def _commit_now(self) -> bool:
        taken = [self._urgent.popleft() for _ in range(len(self._urgent))]
        items = [item for item, _ in taken]
        error: BaseException | None = self.error if isinstance(self.error, StoreLost) else None
        full = False
        if error is None:
            try:
                full = self._now(items)
                self._waiting.extend((item, None) for item in items)
            except Exception as caught:  # noqa: BLE001 (whatever it is, those who wait must hear of it)
                error = self._note(caught)
        for _, then in taken:
            self._tell(then, error)
        return full

    def _commit_group(self, *, sign_of_life: bool) -> float | None:
        """Return when to try again, None when nothing is left."""
        taken = self._held + [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._held = []
        if isinstance(self.error, StoreLost) or not (taken or sign_of_life):
            return None
        try:
            self._group([item for item, _ in taken])
        except Exception as caught:  # noqa: BLE001 (the rows are kept, and somebody is told)
            error = self._note(caught)
            if isinstance(error, StoreLost):
                return None
            self._held = taken if isinstance(error, StoreError) else self._without_bad(taken)
            return monotonic() + RETRY_S
        self.error = None
        for _, then in taken:
            if then is not None:
                self._tell(then)
        return None

    def _without_bad(
        self, taken: list[tuple[Any, Callable[[], None] | None]]
    ) -> list[tuple[Any, Callable[[], None] | None]]:
        """Write one by one after a fault of ours; return what the disk refused. What cannot be written at all goes."""
        held = []
        for item, then in taken:
            try:
                self._group([item])
            except StoreError:
                held.append((item, then))
            except Exception as caught:  # noqa: BLE001 (one bad row must not keep all others from the disk)
                self._note(caught)
            else:
                if then is not None:
                    self._tell(then)
        return held

    def _note(self, error: BaseException) -> BaseException:
        self.error = error
        self._tell(self._failed, error)
        return error

    def _tell(self, then: Callable[..., None], *arguments: object) -> None:
        try:
            then(*arguments)
        except Exception:  # a listener's fault, a closed loop say, must not stop the writing
            import logging

            logging.getLogger(__name__).exception("a callback of the store's write thread failed")


def in_chunks(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut a sequence into pieces of ``size``."""
    return [values[start : start + size] for start in range(0, len(values), size)]
