"""A store file that is not as it should be: told apart, set aside, its readable rows saved.

Never overwrites what it finds: the damaged bytes stay beside the new file.
"""

from __future__ import annotations

import os
import sqlite3
from time import gmtime, monotonic, strftime

from scriptflow.database import atomic, connect_read_only, error_name, is_damage, refuse_newer, shape_of
from scriptflow.errors import StoreDamaged, StoreError

APPLICATION_ID = 0x53464C57
"""``SFLW`` in the file's header: how a run store is told from any other SQLite file."""
SCHEMA = os.path.join(os.path.dirname(__file__), "schema")  # noqa: PTH118, PTH120 (pathlib is slow to load)
NEWEST = 1
"""Number of the last file in ``schema/``."""

_SALVAGE_S = 20.0
# In an order in which a row comes after those it names.
_TABLES = ("runs", "tasks", "files", "jobs", "edges", "reasons", "labels", '"values"', "latest", "intents")
_OURS = {"runs", "tasks", "jobs", "files", "edges", "latest", "lease", "migrations"}


def look(path: str, *, still: bool = False) -> None:
    """Refuse a file that is not ours to write; changes nothing.

    Raises:
        StoreDamaged: a folder stands in its place, or another program's file.
        StoreNewer: a newer scriptflow wrote it.
        sqlite3.DatabaseError: it is damaged.
    """
    if os.path.isdir(path):  # noqa: PTH112 (as above)
        raise StoreDamaged(f"{path} is a folder", why="the run store's file belongs there", do=f"mv {path} {path}.old")
    if not os.path.exists(path):  # noqa: PTH110 (as above)
        return
    connection = connect_read_only(path, still=still)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if os.path.getsize(path) and not connection.execute("PRAGMA page_count").fetchone()[0]:  # noqa: PTH202 (as above)
            raise Unsound(
                "it was cut"
            )  # within its first page: SQLite takes it for an empty file, and would write over it
        if application == APPLICATION_ID:
            refuse_newer(path, version, NEWEST)
            return
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()
    if tables & _OURS == _OURS:  # our own, with a damaged header
        raise Unsound(f"its application id is {application}")
    if tables or application or version:
        raise StoreDamaged(
            f"{path} is an SQLite file of another program",
            why=f"its application id is {application}, a run store's is {APPLICATION_ID}",
            do=f"mv {path} {path}.other",
        )


class Unsound(sqlite3.DatabaseError):
    """Damage that SQLite itself does not see."""


def is_unsound(error: BaseException) -> bool:
    """Whether an error met while the store was opened means a damaged file.

    At that time every table must be there and every value of its kind, so more counts than when rows are written.
    """
    if not isinstance(error, sqlite3.Error):
        return False
    name = error_name(error)  # none: our own Unsound, or a text that is no text
    return not name or is_damage(error) or name == "SQLITE_ERROR" or name.startswith("SQLITE_CONSTRAINT")


def check_shape(connection: sqlite3.Connection) -> None:
    """Raise Unsound when the schema is not what the last migration left."""
    row = connection.execute("SELECT shape FROM migrations ORDER BY version DESC LIMIT 1").fetchone()
    if row is None or row[0] != shape_of(connection):
        raise Unsound("its schema is not what it was")


def check(connection: sqlite3.Connection) -> None:
    """Read the whole file and raise Unsound when its structure is broken."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Unsound(verdict)


def set_aside(path: str) -> str:
    """Rename a damaged file, and SQLite's files beside it; return its new name."""
    stamp = strftime("%Y%m%dT%H%M%SZ", gmtime())
    aside = f"{path}.damaged-{stamp}"
    number = 1
    while os.path.exists(aside):  # noqa: PTH110 (as above)
        number += 1
        aside = f"{path}.damaged-{stamp}-{number}"
    for suffix in ("-wal", "-shm", "-journal", ""):
        try:
            os.rename(path + suffix, aside + suffix)  # noqa: PTH104 (as above)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(
                f"cannot set the damaged {path} aside", why=error.strerror or str(error), do=f"mv {path} {aside}"
            ) from error
    return aside


def salvage(aside: str, connection: sqlite3.Connection) -> int:
    """Copy what can still be read of a damaged file into a fresh one; return how many jobs were saved."""
    deadline = monotonic() + _SALVAGE_S
    try:
        damaged = sqlite3.connect(aside, timeout=0.0, isolation_level=None)
    except sqlite3.Error:
        return 0
    try:
        damaged.execute("PRAGMA cell_size_check=ON")
        for table in _TABLES:
            _copy(damaged, connection, table, deadline)
    except sqlite3.Error:
        pass  # not even its header can be read
    finally:
        damaged.close()
    jobs: int = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
    return jobs


def _copy(damaged: sqlite3.Connection, fresh: sqlite3.Connection, table: str, deadline: float) -> None:
    """Copy the rows of one table that can be read: from its start to the damage, then from its end."""
    columns = [row[1:3] for row in fresh.execute(f"PRAGMA table_info({table})")]
    names = ", ".join(name for name, _ in columns)
    kinds = [_KINDS[kind] for _, kind in columns]
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 (our names)
    keys = ", ".join(row[1] for row in fresh.execute(f"PRAGMA table_info({table})") if row[5])
    for order in ("", f" ORDER BY {' DESC, '.join(keys.split(', '))} DESC"):
        with atomic(fresh):
            try:
                for row in damaged.execute(f"SELECT {names} FROM {table} NOT INDEXED{order}"):  # noqa: S608 (our names)
                    if monotonic() > deadline:
                        return
                    if all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
                        fresh.execute(insert, row)
            except (sqlite3.Error, ValueError, OverflowError):
                continue  # the other end may still be readable
            return


_KINDS: dict[str, tuple[type, ...]] = {
    "INTEGER": (int, bytes, type(None)),
    "TEXT": (str, bytes, type(None)),
    "BLOB": (bytes, str, type(None)),
}
