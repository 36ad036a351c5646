"""Copy chosen jobs of a run store into a small store of their own.

Knows the tables. Knows nothing of logs, archives or why these jobs were chosen.
"""

from __future__ import annotations

import sqlite3

from scriptflow import database
from scriptflow.store.damage import APPLICATION_ID, SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.store.reader import StoreReader

_AT_ONCE = 500
PLAIN_KINDS = ("json", "parquet")
"""The kinds of values that may leave the store: what is read back from them can run nothing."""


def extract(reader: StoreReader, jobs: Sequence[int], path: str, *, at: float) -> None:
    """Write a new store file with these jobs, their runs, tasks, files, reasons and plain values; ids stay.

    Args:
        reader: the store.
        jobs: numbers of jobs.
        path: the new file.
        at: what to write as the time of its making, in seconds since the epoch, so that one choice gives one file.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        database.migrate(connection, path, SCHEMA, application_id=APPLICATION_ID)
        connection.execute("BEGIN")
        connection.execute("UPDATE migrations SET applied = ?", (int(at * 1e6),))
        _copy(reader, connection, sorted(jobs))
        connection.execute("COMMIT")
        connection.execute("VACUUM")
    finally:
        connection.close()


def _copy(reader: StoreReader, to: sqlite3.Connection, jobs: Sequence[int]) -> None:
    def take(table: str, column: str, values: Iterable[object]) -> list[tuple[object, ...]]:
        found = []
        for some in database.in_chunks(list(values), _AT_ONCE):
            marks = ", ".join("?" * len(some))
            found += reader._rows(f'SELECT * FROM "{table}" WHERE {column} IN ({marks})', some)  # noqa: S608 (our own words)
        return found

    def put(table: str, rows: list[tuple[object, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            to.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)  # noqa: S608 (our own words)

    job_rows = take("jobs", "id", jobs)
    edges = take("edges", "job", jobs)
    tasks = sorted({row[2] for row in job_rows})  # type: ignore[type-var]  # numbers
    put("jobs", job_rows)
    put("runs", take("runs", "id", sorted({row[1] for row in job_rows})))  # type: ignore[type-var]  # numbers
    put("tasks", take("tasks", "id", tasks))
    put("files", take("files", "id", sorted({row[2] for row in edges})))  # type: ignore[type-var]  # numbers
    put("edges", edges)
    put("reasons", take("reasons", "job", jobs))
    put("labels", take("labels", "task", tasks))
    put("values", [row for row in take("values", "job", jobs) if row[2] in PLAIN_KINDS])
    put("latest", take("latest", "job", jobs))
    # Newer jobs of these tasks were left behind.
    to.execute("UPDATE tasks SET last = (SELECT max(id) FROM jobs WHERE task = tasks.id)")


def value_files(reader: StoreReader, jobs: Sequence[int]) -> list[str]:
    """Return the files below ``values/`` that hold plain values of jobs."""
    found: list[str] = []
    for some in database.in_chunks(jobs, _AT_ONCE):
        marks = ", ".join("?" * len(some))
        rows = reader._rows(f'SELECT kind, body FROM "values" WHERE job IN ({marks})', some)  # noqa: S608 (our own words)
        found += [body for kind, body in rows if kind in PLAIN_KINDS and kind != "json"]
    return found


def refuse_unsafe(path: str) -> str:
    """Return what makes a store that came from elsewhere unsafe to read, "" when nothing does.

    A store is data: one with code in it (views, triggers), or with paths that lead out of its folder, is not ours.
    """
    connection = database.connect_read_only(path, still=True)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        for kind, name, text in connection.execute("SELECT type, name, sql FROM sqlite_master"):
            if kind not in ("table", "index") or (text or "").upper().startswith("CREATE VIRTUAL"):
                return f"its store has a {kind} {name}, and a run store has none"
        for question, problem in _UNSAFE:
            if connection.execute(question).fetchone() is not None:
                return problem
    finally:
        connection.close()
    return ""


_UNSAFE = (
    (
        "SELECT 1 FROM jobs WHERE log LIKE '/%' OR log LIKE '%..%' OR log LIKE '%\\%' OR typeof(log) = 'blob' LIMIT 1",
        "a log of it lies outside its folder",
    ),
    (
        "SELECT 1 FROM runs WHERE flow LIKE '%/%' OR flow LIKE '%\\%' OR flow LIKE '.%' OR typeof(flow) <> 'text'",
        "a flow of it is called like a path",
    ),
    (
        "SELECT 1 FROM \"values\" WHERE kind NOT IN ('json', 'parquet') OR (kind = 'parquet' AND "
        "(body LIKE '/%' OR body LIKE '%..%' OR body LIKE '%\\%')) LIMIT 1",
        "it holds values of a kind that could run code",
    ),
)
