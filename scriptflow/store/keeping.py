"""Keep a run store in order: what was made, old runs dropped, records forgotten or written by hand.

Knows the tables. Knows nothing of what lies on disk, of flows or of commands.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from scriptflow.core.frozen import frozen
from scriptflow.core.logs import log_path
from scriptflow.database import in_chunks
from scriptflow.store.reading import read_seen
from scriptflow.store.text import from_column, to_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.core.records import JobEnd, JobStart, Seen
    from scriptflow.store.reader import StoreReader
    from scriptflow.store.sqlite import SqliteStore

_CHUNK = 500


@frozen
class Made:
    """An output as the newest job that made it left it.

    Attributes:
        seen: path and how it looked.
        task, run: who made it, and when.
        submitted_by: the task whose job submitted that task, empty for a task of the flow itself.
        was_there: a task read it before any task made it, or made it out of itself: a file of the user's.
    """

    seen: Seen
    task: str
    run: str
    flow: str
    submitted_by: str
    was_there: bool


@frozen
class Old:
    """What belongs to runs that are old: what is dropped, and what stays since newest outputs are theirs."""

    runs: tuple[str, ...]
    stay: tuple[str, ...]
    jobs: tuple[int, ...]
    logs: tuple[str, ...]


def made(reader: StoreReader, flow: str | None = None) -> list[Made]:
    """Return all outputs that are recorded as made, of one flow or of all, sorted by path."""
    rows = reader._rows(
        "SELECT f.path, 1, e.size, e.mtime_ns, e.ctime_ns, e.inode, e.sha256, e.racy, t.name,"
        " r.flow || '-' || r.number, r.flow,"
        " (SELECT value FROM labels WHERE labels.task = t.id AND labels.name = 'submitted-by'),"
        " (SELECT min(job) FROM edges WHERE file = l.file AND made = 0)"
        " <= (SELECT min(job) FROM edges WHERE file = l.file AND made = 1) "
        "FROM latest l JOIN files f ON f.id = l.file JOIN jobs j ON j.id = l.job JOIN runs r ON r.id = j.run "
        "JOIN tasks t ON t.id = l.task JOIN edges e ON e.job = l.job AND e.made = 1 AND e.file = l.file "
        "WHERE l.ok = 1 AND e.size IS NOT NULL AND (? IS NULL OR r.flow = ?)",
        (flow and to_column(flow),) * 2,
    )
    found = [
        Made(
            seen=read_seen(row[:8], reader._root), task=from_column(row[8]), run=from_column(row[9]),
            flow=from_column(row[10]), submitted_by=from_column(row[11] or ""), was_there=bool(row[12]),
        )
        for row in rows
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.seen.path)


def old_runs(reader: StoreReader, keep: int, flow: str | None = None) -> Old:
    """Return what is older than the newest ``keep`` runs of each flow and is not needed by what is newest.

    A job that made the newest version of an output stays, with its run's row: decisions and lineage need both.
    """
    runs = reader._rows(
        "SELECT id, flow || '-' || number FROM runs r WHERE status <> 'running' AND (? IS NULL OR flow = ?) AND "
        "(SELECT count(*) FROM runs n WHERE n.flow = r.flow AND n.id > r.id) >= ? ORDER BY id",
        (flow and to_column(flow), flow and to_column(flow), keep),
    )
    gone: list[str] = []
    stay: list[str] = []
    jobs: list[int] = []
    logs: list[str] = []
    for run, name in runs:
        rows = reader._rows(
            "SELECT j.id, t.name, j.attempt, j.log, j.id IN (SELECT job FROM latest) FROM runs r "
            "JOIN jobs j ON j.id BETWEEN r.first_job AND coalesce(r.last_job, 9223372036854775807) AND j.run = r.id "
            "JOIN tasks t ON t.id = j.task WHERE r.id = ?",
            (run,),
        )
        called = from_column(name)
        (stay if any(row[4] for row in rows) else gone).append(called)
        for job, task, attempt, log, needed in rows:
            if not needed:
                jobs.append(job)
                logs.append(_log(reader._folder, called, task, attempt, log))
    logs = _in_store(reader, logs)
    return Old(runs=tuple(gone), stay=tuple(stay), jobs=tuple(jobs), logs=tuple(logs))


def logs_of(reader: StoreReader, keep: int, flow: str | None = None) -> list[str]:
    """Return the paths of all logs of runs older than the newest ``keep`` of each flow."""
    rows = reader._rows(
        "SELECT r.flow || '-' || r.number, t.name, j.attempt, j.log FROM runs r JOIN jobs j ON j.run = r.id "
        "JOIN tasks t ON t.id = j.task WHERE r.status <> 'running' AND (? IS NULL OR r.flow = ?) AND "
        "(SELECT count(*) FROM runs n WHERE n.flow = r.flow AND n.id > r.id) >= ?",
        (flow and to_column(flow), flow and to_column(flow), keep),
    )
    return _in_store(reader, [_log(reader._folder, from_column(run), *rest) for run, *rest in rows])


def _in_store(reader: StoreReader, logs: Iterable[str]) -> list[str]:
    """Return those that lie in the store's own folder of logs: no other is ours to remove."""
    lead = f"{reader._folder}/logs/"
    return [log for log in logs if os.path.normpath(log).startswith(lead)]


def _log(folder: str, run: str, task: str | bytes, attempt: int, log: str | bytes | None) -> str:
    if log is None:
        return log_path(folder, run, from_column(task), attempt)
    return os.path.join(folder, from_column(log))  # noqa: PTH118 (plain strings all through)


def drop(store: SqliteStore, old: Old) -> list[str]:
    """Drop runs and jobs from the store, and what nobody names any more; return the stored values to remove."""
    values: set[str] = set()

    def write(connection: sqlite3.Connection) -> None:
        values.update(_value_files(connection))
        for some in in_chunks(list(old.jobs), _CHUNK):
            holes = ", ".join("?" * len(some))
            for table, column in (("jobs", "id"), ("edges", "job"), ("reasons", "job"), ('"values"', "job")):
                connection.execute(f"DELETE FROM {table} WHERE {column} IN ({holes})", some)  # noqa: S608 (our names)
        connection.executemany(
            "DELETE FROM runs WHERE flow || '-' || number = ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE run = runs.id)",
            [(to_column(run),) for run in old.runs],
        )
        connection.execute("DELETE FROM tasks WHERE id NOT IN (SELECT task FROM jobs UNION SELECT task FROM latest)")
        newest = connection.execute("SELECT task, max(id) FROM jobs GROUP BY task").fetchall()
        connection.executemany("UPDATE tasks SET last = ? WHERE id = ?", [(job, task) for task, job in newest])
        connection.execute("DELETE FROM labels WHERE task NOT IN (SELECT id FROM tasks)")
        connection.execute("DELETE FROM files WHERE id NOT IN (SELECT file FROM edges UNION SELECT file FROM latest)")
        values.difference_update(_value_files(connection))

    store._call(write)
    if old.jobs and store._thread is None:
        with suppress(sqlite3.Error):  # it needs as much room again for a moment
            store._connection.execute("VACUUM")
    return sorted(f"{store._folder}/values/{path}" for path in values)


def _value_files(connection: sqlite3.Connection) -> set[str]:
    """Return where values lie that are files below ``values/``."""
    rows = connection.execute("SELECT DISTINCT body FROM \"values\" WHERE kind <> 'json' AND body IS NOT NULL")
    return {from_column(body).removeprefix("values/") for (body,) in rows}


def forget(store: SqliteStore, tasks: Iterable[str]) -> int:
    """Drop what decisions know of the tasks with these names; their past jobs stay. Returns how many tasks had any."""
    dropped: list[int] = []

    def write(connection: sqlite3.Connection) -> None:
        for name in tasks:
            ids = connection.execute(
                "SELECT DISTINCT task FROM latest WHERE task IN (SELECT id FROM tasks WHERE name = ?)",
                (to_column(name),),
            ).fetchall()
            connection.executemany("DELETE FROM latest WHERE task = ?", ids)
            dropped.extend(task for (task,) in ids)

    store._call(write)
    return len(dropped)


def record(store: SqliteStore, jobs: Sequence[tuple[JobStart, JobEnd]]) -> None:
    """Write jobs that were never run: their outputs were accepted as they are."""
    store.started([start for start, _ in jobs], lambda _: None)
    for _, end in jobs:
        store.ended(end)
    store.flush()
