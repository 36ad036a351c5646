"""Rows read back: what the decision needs, jobs and runs.

Knows the tables. Knows nothing of locks, threads or how rows come to be there.
"""

from __future__ import annotations

from scriptflow.store.text import Root, from_column, from_digest, from_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from typing import Any

    from scriptflow.core.records import JobRecord, Latest, RunRecord, Seen


def read_latest(connection: sqlite3.Connection, root: Root) -> dict[str, Latest]:
    """Map each output's absolute path to what its last job left; a task without outputs is at NUL + its key."""
    from scriptflow.core.records import Latest

    cursor = connection.execute(
        "SELECT path, manifest, signature, job, ok FROM latest JOIN files ON files.id = file "
        "JOIN tasks ON tasks.id = task"
    )
    found: dict[str, Latest] = {}
    # Column-wise, since this is most of what a run without work costs: no line of Python per row.
    while rows := cursor.fetchmany(4096):
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        paths, manifests, signatures, jobs, oks = columns
        if root.lead or bytes in set(map(type, paths)):
            paths = map(root.from_column, paths)
        if bytes in set(map(type, manifests)):
            manifests = map(from_column, manifests)
        found.update(zip(paths, map(Latest, manifests, signatures, jobs, map(bool, oks)), strict=True))
    for key, manifest, signature, job, ok in connection.execute(
        "SELECT key, manifest, signature, job, ok FROM latest JOIN tasks ON tasks.id = -file WHERE file < 0"
    ):
        found["\0" + key.hex()] = Latest(from_column(manifest), signature, job, bool(ok))
    return found


def read_latest_of(connection: sqlite3.Connection, root: Root, path: str) -> Latest | None:
    """Return one entry of what ``read_latest`` maps."""
    from scriptflow.core.records import Latest

    select = "SELECT manifest, signature, job, ok FROM latest JOIN tasks ON tasks.id = "
    if path.startswith("\0"):
        row = connection.execute(f"{select}-file WHERE key = ?", (bytes.fromhex(path[1:]),)).fetchone()
    else:
        where = "task WHERE file = (SELECT id FROM files WHERE path = ?)"
        row = connection.execute(select + where, (root.to_column(path),)).fetchone()
    return None if row is None else Latest(from_column(row[0]), row[1], row[2], bool(row[3]))


_JOB = """
SELECT j.id, r.flow || '-' || r.number, t.name, t.key, t.manifest, j.attempt, j.executor, j.executor_id, j.state,
       j.started, j.began, j.ended, j.exit_code, j.signal, j.cause, j.max_rss_bytes, j.cpu_us,
       coalesce(j.host, r.host), j.pid, j.log, j.detail, t.task_group, j.cpus, j.memory_bytes, j.gpus
FROM jobs j JOIN runs r ON r.id = j.run JOIN tasks t ON t.id = j.task
"""

# The second condition lets the small index of jobs that did not end well do.
OPEN_ELSEWHERE = (
    "WHERE j.state IN ('started', 'queued', 'running') AND j.state <> 'succeeded' AND j.executor <> 'local' "
    "ORDER BY j.started, j.id"
)


def read_jobs(connection: sqlite3.Connection, folder: str, where: str, parameters: Iterable[object]) -> list[JobRecord]:
    """Return jobs (``where`` may name j, r and t: job, run, task) without reasons and files."""
    return [_job(row, folder) for row in connection.execute(_JOB + where, tuple(parameters))]


def read_job(connection: sqlite3.Connection, folder: str, root: Root, number: int) -> JobRecord | None:
    """Return one job with its reasons and files."""
    row = connection.execute(_JOB + "WHERE j.id = ?", (number,)).fetchone()
    if row is None:
        return None
    reasons = connection.execute("SELECT code, detail FROM reasons WHERE job = ? ORDER BY position", (number,))
    files = connection.execute(
        "SELECT path, made, size, mtime_ns, ctime_ns, inode, sha256, racy FROM edges JOIN files ON files.id = file "
        "WHERE job = ? ORDER BY made, file",
        (number,),
    )
    values = connection.execute('SELECT name, kind, body FROM "values" WHERE job = ? ORDER BY name', (number,))
    return _job(
        row,
        folder,
        reasons=tuple((from_column(code), from_column(detail or "")) for code, detail in reasons),
        files=tuple(read_seen(file, root) for file in files),
        values=tuple(tuple(map(from_column, value)) for value in values),
    )


def _job(row: tuple[Any, ...], folder: str, **more: Any) -> JobRecord:
    from scriptflow.core.logs import log_path
    from scriptflow.core.records import JobRecord
    from scriptflow.core.states import Cause, JobState

    (number, run, task, key, manifest, attempt, executor, executor_id, state, started, began, ended) = row[:12]
    (exit_code, signal, cause, max_rss_bytes, cpu_us, host, pid, log, detail, group) = row[12:22]
    cpus, memory_bytes, gpus = row[22:]
    run, task = from_column(run), from_column(task)
    return JobRecord(
        job=number,
        run=run,
        task=task,
        key=key.hex(),
        manifest=from_column(manifest),
        attempt=attempt,
        executor=from_column(executor),
        executor_id=None if executor_id is None else from_column(executor_id),
        state=JobState(state),
        started=started / 1e6,
        began=None if began is None else (started + began) / 1e6,
        ended=None if ended is None else (started + ended) / 1e6,
        exit_code=exit_code,
        signal=signal,
        cause=None if cause is None else Cause(cause),
        max_rss_bytes=max_rss_bytes,
        cpu_s=None if cpu_us is None else cpu_us / 1e6,
        host=from_column(host),
        pid=pid,
        log=log_path(folder, run, task, attempt) if log is None else _absolute(folder, from_column(log)),
        detail=from_column(detail or ""),
        group=from_column(group or ""),
        cpus=cpus,
        memory_bytes=memory_bytes,
        gpus=gpus,
        **more,
    )


def _absolute(folder: str, log: str) -> str:
    return log if log.startswith("/") or not log else f"{folder}/{log}"


def read_seen(row: tuple[Any, ...], root: Root) -> Seen:
    """Return a file out of path, made, size, mtime_ns, ctime_ns, inode, sha256 and racy."""
    from scriptflow.core.records import Seen

    path, made, size, mtime_ns, ctime_ns, inode, sha256, racy = row
    return Seen(
        path=root.from_column(path),
        role="out" if made else "in",
        size=-1 if size is None else size,
        mtime_ns=mtime_ns or 0,
        ctime_ns=(mtime_ns or 0) if ctime_ns is None else ctime_ns,
        inode=from_integer(inode or 0),
        sha256=from_digest(sha256),
        racy=racy == 1,
    )


_RUN = """
SELECT id, flow || '-' || number, name, flow, tags, status, started, ended,
       ran, skipped, failed, cancelled, queued, running, waiting, capacity, host, user, pid, git, params, argv, message
FROM runs
"""


def read_runs(
    connection: sqlite3.Connection, where: str, parameters: Iterable[object], *, dead: bool
) -> list[RunRecord]:
    """Return runs; where ``dead`` says that no head lives, a run that has no end counts as interrupted."""
    import json

    from scriptflow.core.records import RunCounts, RunRecord
    from scriptflow.core.states import RunState

    records = []
    for row in connection.execute(_RUN + where, tuple(parameters)):
        (number, run, name, flow, tags, status, started, ended) = row[:8]
        (capacity, host, user, pid, git, params, argv, message) = row[15:]
        state = RunState(status)
        records.append(
            RunRecord(
                id=number,
                run=from_column(run),
                name=None if name is None else from_column(name),
                flow=from_column(flow),
                tags=tuple(json.loads(tags)),
                status=RunState.INTERRUPTED if dead and state is RunState.RUNNING else state,
                started=started / 1e6,
                ended=None if ended is None else ended / 1e6,
                counts=RunCounts(
                    **dict(
                        zip(
                            ("ran", "skipped", "failed", "cancelled", "queued", "running", "waiting"),
                            row[8:15],
                            strict=True,
                        )
                    )
                ),
                capacity=capacity,
                host=from_column(host),
                user=from_column(user),
                pid=pid,
                git=from_column(git),
                params=json.loads(params),
                argv=tuple(json.loads(argv)),
                message=from_column(message),
            )
        )
    return records
