"""The run store of a head elsewhere, filled from what that head sends: each batch once, whatever is sent twice.

Knows the tables and what a batch means for them. Knows nothing of the network.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import suppress
from hashlib import sha256
from time import time

from scriptflow import database
from scriptflow.core.fingerprint import manifest_text
from scriptflow.core.logs import log_path
from scriptflow.core.records import JobEnd, JobStart, RunCounts, RunStart
from scriptflow.core.states import Cause, JobState
from scriptflow.store import runs
from scriptflow.store.sqlite import SqliteStore
from scriptflow.store.text import to_column
from scriptflow.store.writing import CALL, END, START

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_HEADS = "heads"
"""The kind of value in which the place in a head's batches is kept, at the job number that no job has."""


class CollectedStore(SqliteStore):
    """Written by the server alone, in one transaction for each batch, on the caller's thread."""

    def position(self, head: str) -> tuple[int, int]:
        """Return the last batch of a head that was written, and the number of its run; zeros when it is new."""
        row = self._connection.execute(
            'SELECT body FROM "values" WHERE job = 0 AND kind = ? AND name = ?', (_HEADS, head)
        ).fetchone()
        batch, run = json.loads(row[0]) if row else (0, 0)
        return batch, run

    def newest(self) -> tuple[int, bool]:
        """Return the number of the newest run, 0 when there is none, and whether it goes on."""
        row = self._connection.execute("SELECT number, status FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        return (row[0], row[1] == "running") if row else (0, False)

    def begin(self, head: str, start: RunStart, number: int) -> int:
        """Write the run of a new head under the number it has there; runs before it are over, whatever they said."""
        begun: list[int] = []

        def write(connection: sqlite3.Connection) -> None:
            run, _ = runs.begin(connection, self._folder, start)
            flow = to_column(start.flow)
            if not connection.execute("SELECT 1 FROM runs WHERE flow = ? AND number = ?", (flow, number)).fetchone():
                connection.execute("UPDATE runs SET number = ? WHERE id = ?", (number, run))
            runs.close_cut(connection, but=run)
            _keep(connection, head, 0, run)
            begun.append(run)

        self._commit([(CALL, write)])
        return begun[-1]

    def take(self, head: str, batch: int, run: int, content: Mapping[str, Any]) -> None:
        """Write a batch and that it was written, both or neither.

        Args:
            head: whose it is.
            batch: its number; 0 is a sign of life, which is not counted.
            run: the run it is about.
            content: ``counts``, ``status``, ``ended``, ``message``, ``started`` and ``ended_jobs``.
        """
        name = self._name_of(run)
        starts = [self._start(row, run, name) for row in content["started"]]
        known = {start.job: start for start in starts}
        ends = [self._end(row) for row in content["ended_jobs"]]
        for row in content["ended_jobs"]:
            if row.get("log"):
                self._write_log(row["job"], row["log"], known, name)

        def write(connection: sqlite3.Connection) -> None:
            runs.count(connection, run, RunCounts(**content["counts"]))
            if content["status"] == "running":
                connection.execute(
                    "UPDATE runs SET status = 'running', ended = NULL, message = ?, last_job = NULL WHERE id = ?",
                    (to_column(content["message"]), run),
                )
            else:
                ended = content["ended"] or time()
                runs.end(connection, run, status=content["status"], ended=ended, message=content["message"])
            if batch:
                _keep(connection, head, batch, run)

        self._commit([(START, starts), *((END, end) for end in ends), (CALL, write)])

    def lose(self, run: int, message: str) -> None:
        """Write that nothing is heard of a run any more; the next batch takes it back."""
        self._commit(
            [(CALL, lambda connection: connection.execute(
                "UPDATE runs SET status = 'interrupted', message = ? WHERE id = ? AND status = 'running'",
                (to_column(message), run),
            ))]
        )  # fmt: skip

    def _commit(self, items: Sequence[tuple[int, Any]]) -> None:
        """Commit for good: the head forgets what we said we have.

        Raises:
            StoreError: it cannot be written now; it may be later.
            sqlite3.IntegrityError: it contradicts what is known, and always will.
        """
        try:
            if not self._network:
                database.set_synchronous(self._connection, full=True)
            self._writer.write(items)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise database.explain(error, self._path) from error

    def _name_of(self, run: int) -> str:
        row = self._connection.execute("SELECT flow || '-' || number FROM runs WHERE id = ?", (run,)).fetchone()
        return str(row[0])

    def _start(self, row: Mapping[str, Any], run: int, name: str) -> JobStart:
        task = row["task"]
        manifest = manifest_text(row["command"].replace("\0", " "), True, (), (), None)
        return JobStart(
            job=row["job"], run=run, task=task, key=sha256(task.encode("utf-8", "surrogatepass")).hexdigest()[:32],
            manifest=manifest, attempt=row["attempt"], executor=row["executor"], started=row["at"],
            log=log_path(self._folder, name, task, row["attempt"]), group=row["group"], inputs=(), outputs=(),
            reasons=tuple((code, detail) for code, detail in row["reasons"]),
        )  # fmt: skip

    def _end(self, row: Mapping[str, Any]) -> JobEnd:
        cause = row["cause"]
        return JobEnd(
            job=row["job"], state=JobState(row["state"]), began=row["began"], ended=row["ended"] or time(),
            exit_code=row["exit_code"], signal=row["signal"], cause=Cause(cause) if cause else None,
            max_rss_bytes=row["max_rss_bytes"], cpu_s=row["cpu_s"], host=row["host"], pid=None, detail=row["detail"],
            signature=0, outputs=(),
        )  # fmt: skip

    def _write_log(self, job: int, text: str, known: Mapping[int, JobStart], name: str) -> None:
        """Keep what came of a job's log where its store would have it."""
        if job in known:
            path = known[job].log
        else:
            row = self._connection.execute(
                "SELECT t.name, j.attempt FROM jobs j JOIN tasks t ON t.id = j.task WHERE j.id = ?", (job,)
            ).fetchone()
            if row is None:
                return
            path = log_path(self._folder, name, str(row[0]), row[1])
        with suppress(OSError):  # the record is worth more than its log
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 (plain strings)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 (the same)
                file.write(text)


def _keep(connection: sqlite3.Connection, head: str, batch: int, run: int) -> None:
    connection.execute(
        'INSERT OR REPLACE INTO "values" (job, name, kind, body) VALUES (0, ?, ?, ?)',
        (head, _HEADS, json.dumps([batch, run])),
    )
