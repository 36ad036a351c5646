"""The rows of runs: begun, counted, ended, and closed for a head that died."""

from __future__ import annotations

import os

from scriptflow.store.text import from_column, json_list, to_column, to_microseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from scriptflow.core.records import RunCounts, RunStart
    from scriptflow.store.text import Root


def begin(connection: sqlite3.Connection, folder: str, start: RunStart) -> tuple[int, str]:
    """Insert a run's row; return its id and its name."""
    params = "{}"
    if start.params:
        import json

        params = json.dumps(dict(start.params), default=str)
    flow = to_column(start.flow)
    (number,) = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM runs WHERE flow = ?", (flow,)).fetchone()
    while os.path.exists(f"{folder}/logs/{start.flow}-{number}"):  # noqa: PTH110 (logs of a store that was lost)
        number += 1
    run = connection.execute(
        "INSERT INTO runs (flow, number, name, status, started, host, user, pid, git, python, version, tags, params, "
        "argv, first_job) "
        "VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(id), 0) + 1 FROM jobs))",
        (
            flow, number, None if start.name is None else to_column(start.name), to_microseconds(start.started),
            to_column(start.host), to_column(start.user), start.pid, to_column(start.git),
            start.python, start.version,
            json_list(start.tags), params, json_list(start.argv),
        ),
    ).lastrowid  # fmt: skip
    assert run is not None  # noqa: S101 (SQLite gives every inserted row an id)
    name = f"{start.flow}-{number}"
    connection.execute("UPDATE lease SET run = ?", (to_column(name),))
    return run, name


def take_back(connection: sqlite3.Connection, run: int) -> None:
    """Remove the row of a run of which nothing was begun."""
    connection.execute("DELETE FROM runs WHERE id = ?", (run,))


def count(connection: sqlite3.Connection, run: int, counts: RunCounts) -> None:
    """Write how many tasks of a run are where."""
    connection.execute(
        "UPDATE runs SET ran = ?, skipped = ?, failed = ?, cancelled = ?, queued = ?, running = ?, waiting = ?, "
        "capacity = max(capacity, ?) WHERE id = ?",
        (
            counts.ran, counts.skipped, counts.failed, counts.cancelled, counts.queued, counts.running,
            counts.waiting, counts.capacity, run,
        ),
    )  # fmt: skip


def outputs_of_last_ends(connection: sqlite3.Connection, root: Root) -> list[str]:
    """Return the outputs of jobs that ended well in the last seconds of runs that were cut short, and of the last run.

    Their ends are recorded, perhaps that of the run with them, but the head died before it could clear what it had put
    beside the outputs.
    """
    return [
        root.from_column(path)
        for (path,) in connection.execute(
            "SELECT DISTINCT f.path FROM runs r JOIN jobs j ON j.run = r.id JOIN edges e ON e.job = j.id AND e.made "
            "JOIN files f ON f.id = e.file WHERE j.state = 'succeeded' "
            "AND (r.status = 'running' OR r.id = (SELECT max(id) FROM runs)) "
            "AND j.started + j.ended >= (SELECT max(started + ended) FROM jobs WHERE run = r.id) - 10000000"
        )
    ]


def end(connection: sqlite3.Connection, run: int, *, status: str, ended: float, message: str) -> None:
    """Close a run's row."""
    connection.execute(
        "UPDATE runs SET status = ?, ended = ?, message = ?, last_job = (SELECT coalesce(max(id), 0) FROM jobs) "
        "WHERE id = ?",
        (str(status), to_microseconds(ended), to_column(message), run),
    )


def close_cut(connection: sqlite3.Connection, *, but: int) -> str:
    """Close the runs whose head died, all that are open ``but`` one; return a sentence on the newest, or nothing.

    Jobs of the local executor died with it. Those of others may go on, and stay open to be joined.
    """
    said = ""
    open_jobs = "run = ? AND state <> 'succeeded' AND state IN ('started', 'queued', 'running')"
    for run, name, first in connection.execute(
        "SELECT id, flow || '-' || number, first_job FROM runs WHERE status = 'running' AND id <> ? ORDER BY id", (but,)
    ).fetchall():
        cut = connection.execute(
            f"UPDATE jobs SET state = 'lost', cause = 'lost' WHERE {open_jobs} AND executor = 'local'",  # noqa: S608 (our own words)
            (run,),
        ).rowcount
        (left,) = connection.execute(f"SELECT count(*) FROM jobs WHERE {open_jobs}", (run,)).fetchone()  # noqa: S608 (as above)
        (done,) = connection.execute(
            "SELECT count(DISTINCT task) FROM jobs WHERE id >= ? AND run = ? AND state = 'succeeded'", (first, run)
        ).fetchone()
        connection.execute(
            "UPDATE runs SET status = 'interrupted', queued = 0, running = 0, waiting = 0, ran = ?, "
            "last_job = (SELECT coalesce(max(id), 0) FROM jobs) WHERE id = ?",
            (done, run),
        )
        said = f"{from_column(name)} was cut short: {done} task{'' if done == 1 else 's'} done, {cut} interrupted"
        said += f", {left} left with other executors, to be joined" if left else ""
    return said


def write_values(connection: sqlite3.Connection, job: int, rows: Sequence[tuple[str, str, str]]) -> None:
    """Insert what a job gave besides files, as (name, kind, body)."""
    named = [(job, *map(to_column, row)) for row in rows]
    connection.executemany('INSERT OR REPLACE INTO "values" VALUES (?, ?, ?, ?)', named)
