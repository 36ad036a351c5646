"""Rows written: what the head says of its jobs, many at once.

Runs on the store's write thread. Knows the tables. Knows nothing of queues, threads or when to write.
"""

from __future__ import annotations

import os
from itertools import chain

from scriptflow.core.logs import log_path
from scriptflow.database import atomic, in_chunks
from scriptflow.errors import StoreError
from scriptflow.store import intents
from scriptflow.store.lock import lost
from scriptflow.store.text import Root, to_column, to_digest, to_integer, to_microseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from scriptflow.core.records import JobEnd, JobStart, Seen

    _Row = tuple[object, ...]

# Kinds of items, each (kind, payload).
START = 0  # a sequence of JobStart, whose intent is committed already
END = 1  # a JobEnd
CALL = 2  # a function of the connection, called within the transaction, after the rows

_NOTES = 500
"""How many jobs may stand in notes only."""
_VARIABLES = 999
"""How many ``?`` an SQLite of some years ago takes in one statement."""
_KNOWN_FILES = 50_000
"""How many ids of files are kept in memory."""


class Writer:
    """Turns records into rows.

    Args:
        folder: the run store.
        epoch: the lease's epoch that we own; once it is another's, nothing is written.
        counts_beats: move the lease's beat on with each group, for those who watch from other machines.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: str, root: Root, *, epoch: int, counts_beats: bool
    ) -> None:
        self._connection = connection
        self._path = path
        self._folder = os.path.dirname(path)  # noqa: PTH120 (plain strings all through)
        self._inode = os.stat(path).st_ino  # noqa: PTH116 (the same)
        self._root = root
        self._epoch = epoch
        self._beat = "beat + 1" if counts_beats else "beat"
        self._runs: dict[int, tuple[str, str]] = {}
        self._files: dict[str | bytes, int] = {}
        self._next_file = 0
        self._next_task = 0
        self._noted = 0

    # --- at once ------------------------------------------------------------------------------

    def intend(self, starts: Sequence[JobStart]) -> bool:
        """Note that these jobs may exist from now on: one statement, few pages, one transaction.

        Returns:
            Whether it is time to write their rows, before the notes take much room.

        Raises:
            StoreLost: another head owns the store.
            StoreError: the file was moved or removed under us.
        """
        self._check_place()
        # Within one statement the interpreter lock changes hands once; the lease is looked at in the same breath.
        done = self._connection.execute(
            "INSERT INTO intents (starts) SELECT ? FROM lease WHERE epoch = ?",
            (intents.dump(starts), self._epoch),
        )
        if done.rowcount != 1:
            raise lost(self._path)
        self._noted += len(starts)
        return self._noted >= _NOTES

    def replay(self) -> None:
        """Write the rows of jobs that a killed head had only noted as intents."""
        noted = [text for (text,) in self._connection.execute("SELECT starts FROM intents ORDER BY id")]
        if noted:
            starts = {start.job: start for text in noted for start in intents.load(text)}
            for (job,) in self._rows_of("SELECT id FROM jobs WHERE id IN", list(starts)):
                del starts[job]  # a store pieced together after damage may have both
            self.write([(START, list(starts.values()))])

    # --- in groups ----------------------------------------------------------------------------

    def write(self, items: Sequence[tuple[int, Any]]) -> None:
        """Write everything in one transaction.

        Raises:
            StoreLost: another head owns the store.
            StoreError: the file was moved or removed under us.
        """
        try:
            with atomic(self._connection):
                self._check_lease()
                self._write(items)
            self._noted = 0
        except BaseException:
            self._files.clear()  # some of these ids were taken back with the transaction
            self._next_file = self._next_task = 0
            raise

    def _check_place(self) -> None:
        try:
            there = os.stat(self._path).st_ino == self._inode  # noqa: PTH116 (as above)
        except OSError:
            there = False
        if not there:
            raise StoreError(
                f"{self._path} was moved or removed while the run was on",
                why="what ended since could not be recorded",
                do="scriptflow run  # begins a new run store, unless you put this one back first",
            )

    def _check_lease(self) -> None:
        self._check_place()
        done = self._connection.execute(
            f"UPDATE lease SET beat = {self._beat} WHERE epoch = ?",  # noqa: S608 (one of two constants)
            (self._epoch,),
        )
        if done.rowcount != 1:
            raise lost(self._path)

    def _write(self, items: Sequence[tuple[int, Any]]) -> None:
        starts: list[JobStart] = []
        ends: dict[int, JobEnd] = {}
        calls: list[Callable[[sqlite3.Connection], object]] = []
        for kind, payload in items:
            if kind == END:
                ends[payload.job] = payload
            elif kind == START:
                starts.extend(payload)
            else:
                calls.append(payload)
        if starts:
            self._starts(starts, ends)
        self._connection.execute("DELETE FROM intents")  # their rows are in this transaction
        if ends:  # of jobs whose start was written with an earlier group
            self._ends(list(ends.values()))
        for call in calls:
            call(self._connection)

    def _starts(self, starts: Sequence[JobStart], ends: dict[int, JobEnd]) -> None:
        """Write jobs with all their rows; takes those out of ``ends`` that it has written too."""
        tasks = self._task_ids(starts)
        finished = [(start, ends.pop(start.job, None)) for start in starts]
        paths: list[str] = []
        for start, end in finished:
            paths += [seen.path for seen in start.inputs]
            paths += start.outputs
            if end:
                paths += [seen.path for seen in end.outputs]
        files = self._file_ids(paths)
        jobs: list[_Row] = []
        edges: list[_Row] = []
        reasons: list[_Row] = []
        labels: list[_Row] = []
        latest: list[_Row] = []
        for start, end in finished:
            job, task = start.job, tasks[start.key]
            jobs.append(self._job_row(start, end, task))
            found = (task, job, end.signature, end.state == "succeeded") if end else (task, job, 0, False)
            outputs: dict[str, Seen | None] = dict.fromkeys(start.outputs)
            if end:
                outputs.update((seen.path, seen) for seen in end.outputs)
            for path, seen in outputs.items():
                file = files[path]
                edges.append(_edge(job, file, seen) if seen else (job, 1, file, None, None, None, None, None, 0))
                latest.append((file, *found))
            if not start.outputs:
                latest.append((-task, *found))
            edges += [_edge(job, files[seen.path], seen) for seen in start.inputs]
            for position, (code, detail) in enumerate(start.reasons):
                reasons.append((job, position, to_column(code), to_column(detail) or None))
            for name, value in start.labels.items():
                labels.append((task, to_column(name), to_column(value)))
        self._insert("INSERT INTO jobs", jobs)
        self._insert("INSERT OR REPLACE INTO edges", edges)
        self._insert("INSERT OR REPLACE INTO reasons", reasons)
        self._insert("INSERT OR REPLACE INTO labels", labels)
        self._insert("INSERT OR REPLACE INTO latest", latest)

    def _job_row(self, start: JobStart, end: JobEnd | None, task: int) -> _Row:
        run, host = self._run(start.run)
        log = None
        if start.log != log_path(self._folder, run, start.task, start.attempt):
            log = to_column(start.log.removeprefix(self._folder + "/"))
        began = to_microseconds(start.started)
        return (
            start.job, start.run, task, start.attempt, to_column(start.executor), None,
            end.state.value if end else "started", began,
            *(self._end_columns(end, began, host) if end else (None, None, None, None, None, None, None, "", None)),
            log, (to_column(end.detail) or None) if end else None,
            start.cpus, start.memory_bytes, start.gpus,
        )  # fmt: skip

    def _end_columns(self, end: JobEnd, started: int, host: str) -> _Row:
        """Return began, ended, exit_code, signal, cause, max_rss_bytes, cpu_us, host and pid."""
        return (
            None if end.began is None else to_microseconds(end.began) - started,
            to_microseconds(end.ended) - started,
            end.exit_code,
            end.signal,
            end.cause.value if end.cause else None,
            end.max_rss_bytes,
            None if end.cpu_s is None else to_microseconds(end.cpu_s),
            None if end.host == host else to_column(end.host),
            end.pid,
        )

    def _ends(self, ends: Sequence[JobEnd]) -> None:
        begun = self._rows_of(
            "SELECT j.id, j.started, j.task, r.host FROM jobs j JOIN runs r ON r.id = j.run WHERE j.id IN",
            [end.job for end in ends],
        )
        known = {row[0]: row for row in begun}
        ends = [end for end in ends if end.job in known]
        files = self._file_ids(seen.path for end in ends for seen in end.outputs)
        self._connection.executemany(
            "UPDATE jobs SET state = ?, began = ?, ended = ?, exit_code = ?, signal = ?, cause = ?, max_rss_bytes = ?, "
            "cpu_us = ?, host = ?, pid = ?, detail = ? WHERE id = ?",
            [
                (
                    end.state.value,
                    *self._end_columns(end, known[end.job][1], known[end.job][3]),
                    to_column(end.detail) or None,
                    end.job,
                )
                for end in ends
            ],
        )
        self._insert(
            "INSERT OR REPLACE INTO edges",
            [_edge(end.job, files[seen.path], seen) for end in ends for seen in end.outputs],
        )
        # A later job of the same outputs may have begun by now: then its row stays.
        self._connection.executemany(
            "INSERT INTO latest VALUES (?, ?, ?, ?, ?) ON CONFLICT (file) DO UPDATE SET task = excluded.task, "
            "job = excluded.job, signature = excluded.signature, ok = excluded.ok WHERE latest.job <= excluded.job",
            [
                (files[seen.path], known[end.job][2], end.job, end.signature, end.state == "succeeded")
                for end in ends
                for seen in end.outputs
            ],
        )
        self._connection.executemany(
            "UPDATE latest SET signature = ?, ok = ? WHERE file = ? AND job = ?",
            [(end.signature, end.state == "succeeded", -known[end.job][2], end.job) for end in ends],
        )

    # --- single changes, as CALL items ----------------------------------------------------------

    def submitted(self, job: int, executor_id: str, state: str, reason: str, now: float) -> None:
        """Write the executor's own id of a job that has not ended, how it stands there, and when it was seen to run."""
        self._connection.execute(
            "UPDATE jobs SET executor_id = ?, state = coalesce(?, state), detail = ?, began = CASE WHEN ? = 'running' "
            "THEN coalesce(began, ? - started) ELSE began END WHERE id = ? AND ended IS NULL",
            (to_column(executor_id), state or None, to_column(reason) or None, state, to_microseconds(now), job),
        )

    def hashed(self, files: Sequence[tuple[int, str, str, str]]) -> None:
        """Write the hashes of files that jobs read or made: job, path, role and hash of each."""
        self._connection.executemany(
            "UPDATE edges SET sha256 = ? WHERE job = ? AND made = ? AND file = (SELECT id FROM files WHERE path = ?)",
            [(to_digest(sha256), job, role == "out", self._root.to_column(path)) for job, path, role, sha256 in files],
        )

    def looked(self, job: int, outputs: Sequence[str], signature: int) -> None:
        """Write the signature of files that were looked at one by one and found to be as the job left them."""
        self._connection.executemany(
            "UPDATE latest SET signature = ? WHERE job = ? AND file = (SELECT id FROM files WHERE path = ?)",
            [(signature, job, self._root.to_column(path)) for path in outputs],
        )

    # --- ids ------------------------------------------------------------------------------------

    def _task_ids(self, starts: Sequence[JobStart]) -> dict[str, int]:
        """Return the id of each key; new tasks are written, changed ones brought up to date."""
        if not self._next_task:
            self._next_task = self._next_id("tasks")
        wanted = {start.key: start for start in starts}  # a key twice: the newer start counts
        keys = {bytes.fromhex(key): key for key in wanted}
        ids: dict[str, int] = {}
        changed = []
        for row in self._rows_of("SELECT key, id, name, task_group, manifest FROM tasks WHERE key IN", list(keys)):
            start = wanted[keys[row[0]]]
            ids[start.key] = row[1]
            columns = (to_column(start.task), to_column(start.group) or None, to_column(start.manifest))
            if columns != row[2:]:
                changed.append((*columns, row[1]))
        self._connection.executemany(
            "UPDATE tasks SET last = ? WHERE id = ?", [(wanted[key].job, number) for key, number in ids.items()]
        )
        self._connection.executemany("UPDATE tasks SET name = ?, task_group = ?, manifest = ? WHERE id = ?", changed)
        fresh = []
        for digest, key in keys.items():
            if key not in ids:
                start = wanted[key]
                ids[key] = self._next_task
                fresh.append(
                    (
                        self._next_task,
                        digest,
                        to_column(start.task),
                        to_column(start.group) or None,
                        to_column(start.manifest),
                        start.job,
                    )
                )
                self._next_task += 1
        self._insert("INSERT INTO tasks", fresh)
        return ids

    def _file_ids(self, paths: Iterable[str]) -> dict[str, int]:
        """Return the id of each path; new files are written."""
        if not self._next_file:
            self._next_file = self._next_id("files")
        if len(self._files) > _KNOWN_FILES:
            self._files.clear()
        known = self._files
        to_stored = self._root.to_column
        stored = {path: to_stored(path) for path in dict.fromkeys(paths)}
        missing = [column for column in dict.fromkeys(stored.values()) if column not in known]
        known.update(self._rows_of("SELECT path, id FROM files WHERE path IN", missing))
        fresh = [column for column in missing if column not in known]
        first = self._next_file
        self._next_file += len(fresh)
        numbered = list(zip(range(first, self._next_file), fresh, strict=True))
        self._insert("INSERT INTO files", numbered)
        known.update((column, number) for number, column in numbered)
        return {path: known[column] for path, column in stored.items()}

    def _next_id(self, table: str) -> int:
        (highest,) = self._connection.execute(f"SELECT max(id) FROM {table}").fetchone()  # noqa: S608 (a constant)
        return (highest or 0) + 1

    def _run(self, run: int) -> tuple[str, str]:
        """Return a run's name and host."""
        if run not in self._runs:
            self._runs[run] = self._connection.execute(
                "SELECT flow || '-' || number, host FROM runs WHERE id = ?", (run,)
            ).fetchone() or ("", "")
        return self._runs[run]

    # --- many rows a statement --------------------------------------------------------------------
    # Each statement gives the interpreter lock up and must get it back; beside a busy loop that may take 5 ms.

    def _insert(self, insert: str, rows: Sequence[_Row]) -> None:
        if not rows:
            return
        width = len(rows[0])
        size = min(64, _VARIABLES // width)
        whole = len(rows) - len(rows) % size
        one = f"({', '.join('?' * width)})"
        if whole:
            many = f"{insert} VALUES {', '.join([one] * size)}"
            for start in range(0, whole, size):
                self._connection.execute(many, tuple(chain.from_iterable(rows[start : start + size])))
        self._connection.executemany(f"{insert} VALUES {one}", rows[whole:])

    def _rows_of(self, select: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Return the rows of ``SELECT … IN`` for many values."""
        found = []
        for some in in_chunks(values, 64):
            # The last piece is filled up with NULLs, which match nothing: one text, prepared once.
            text = f"{select} ({', '.join('?' * 64)})"
            found += self._connection.execute(text, (*some, *[None] * (64 - len(some)))).fetchall()
        return found


def _edge(job: int, file: int, seen: Seen) -> _Row:
    made = seen.role == "out"
    if seen.size < 0:
        return (job, made, file, None, None, None, None, to_digest(seen.sha256), seen.racy)
    return (
        job,
        made,
        file,
        seen.size,
        seen.mtime_ns,
        None if seen.ctime_ns == seen.mtime_ns else seen.ctime_ns,
        to_integer(seen.inode),
        to_digest(seen.sha256),
        seen.racy,
    )
