"""One SQLite file: how it is opened, moved up to a newer schema, written in groups by one thread.

Knows nothing of what is in it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from time import time

from scriptflow.errors import StoreBusy, StoreDamaged, StoreError, StoreNewer, StoreUnwritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Any

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
        still: nobody writes, and no byte beside the database is to change: SQLite's helper files are not made where
            they are not, and where a killed writer left some, a copy is read.
    """
    if still:
        left = [end for end in ("-wal", "-journal") if _has_content(path + end)]
        return _copied(path, left) if left else _reading(path, "immutable=1", busy_s)
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


def _has_content(path: str) -> bool:
    try:
        return os.path.getsize(path) > 0  # noqa: PTH202 (pathlib is slow to load)
    except OSError:
        return False


def _copied(path: str, ends: Sequence[str]) -> sqlite3.Connection:
    """Read a database, with the helper files of these endings, into memory; by way of a temporary folder."""
    import shutil
    import tempfile

    try:
        with tempfile.TemporaryDirectory(prefix="scriptflow-") as folder:
            for end in ("", *ends):
                shutil.copyfile(path + end, f"{folder}/copy{end}")
            there = sqlite3.connect(f"{folder}/copy")
            try:
                copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                there.backup(copy)
            finally:
                there.close()
    except OSError as error:
        raise sqlite3.OperationalError(f"cannot copy {path}: {error.strerror}") from error
    copy.execute("PRAGMA query_only=ON")
    return copy


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


@contextmanager
def on_disk(connection: sqlite3.Connection, *, always: bool) -> Iterator[None]:
    """Let the commits of a block wait for the disk; with ``always`` all do so anyway."""
    if not always:
        set_synchronous(connection, full=True)
    try:
        yield
    finally:
        if not always:
            set_synchronous(connection, full=False)


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
    for beside in (path + "-wal", path + "-journal", path + "-shm"):
        if os.path.isdir(beside):  # noqa: PTH112 (as above)
            return StoreUnwritable(
                f"{beside} is a folder", why="SQLite's own file belongs there", do=f"mv {beside} {beside}.old"
            )
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


@contextmanager
def explaining(path: str) -> Iterator[None]:
    """Raise in our words what SQLite could not do with the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


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


def in_chunks(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut a sequence into pieces of ``size``."""
    return [values[start : start + size] for start in range(0, len(values), size)]
