"""The run store as every reading command sees it: read-only, without the lock, while a head may be writing."""

from __future__ import annotations

import os
import sqlite3

from scriptflow import database
from scriptflow.core.frozen import frozen
from scriptflow.errors import NotFound, StoreDamaged, StoreError
from scriptflow.store import damage
from scriptflow.store.lock import is_locked, read_owner
from scriptflow.store.reading import (
    OPEN_ELSEWHERE,
    read_job,
    read_jobs,
    read_latest,
    read_latest_of,
    read_runs,
)
from scriptflow.store.text import DATABASE, Root, from_column, to_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from scriptflow.core.records import JobRecord, Latest, RunRecord

    _Answer = TypeVar("_Answer")

_SAMPLE = 10_000
"""How many jobs of a run tell how long its tasks take."""
_MEASURED = 100_000
"""How many jobs tell what tasks take."""
_OF_RUN = "j.id BETWEEN r.first_job AND coalesce(r.last_job, 9223372036854775807)"
"""Where a run's jobs stand in their table: said beside ``j.run``, it saves a scan of all other runs."""


@frozen
class Measured:
    """What one job took, what it had asked for, and why it was stopped, if it was."""

    task: str
    seconds: float
    max_rss_bytes: int | None
    cpu_s: float | None
    cpus: int
    memory_bytes: int | None
    cause: str | None


class StoreReader:
    """Reads one run store; a context manager.

    Args:
        folder: ``.scriptflow`` of the project.
        relative: give paths below the project's folder back relative to it.
        still: where no head is at work, read without leaving a trace in the folder; what a head writes later is
            not seen.

    Raises:
        NotFound: there is no run store yet.
        StoreNewer, StoreDamaged, StoreError: it cannot be read; any method may find damage too.
    """

    def __init__(self, folder: str | Path, *, relative: bool = False, still: bool = False) -> None:
        self._folder = os.path.abspath(folder)  # noqa: PTH100 (plain strings all through)
        self._path = f"{self._folder}/{DATABASE}"
        self._root = Root(self._folder, relative=relative)
        if not os.path.exists(self._path):  # noqa: PTH110 (as above)
            raise _nothing_yet(self._folder)
        try:
            at_rest = not is_locked(self._folder)
            still = still and at_rest
            damage.look(self._path, still=still)
            self._connection = database.connect_read_only(self._path, still=still)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise self._explain(error) from error
        if version != damage.NEWEST:
            self._connection.close()
            if version == 0:
                raise _nothing_yet(self._folder)
            raise StoreError(f"{self._path} is of an older scriptflow", do="scriptflow run  # it moves the store up")

        if at_rest:
            self._read_intents()

    def _read_intents(self) -> None:
        """Take in what a killed head had only noted as begun: in a copy, since reading changes nothing."""
        if self._connection.execute("SELECT 1 FROM intents LIMIT 1").fetchone() is None:
            return
        from scriptflow.store.writing import Writer

        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.backup(copy)
        self._connection.close()
        self._connection = copy
        (epoch,) = copy.execute("SELECT epoch FROM lease").fetchone()
        Writer(copy, self._path, self._root, epoch=epoch, counts_beats=False).replay()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # --- runs -----------------------------------------------------------------------------------

    def runs(self, limit: int = 20, flow: str | None = None, offset: int = 0) -> list[RunRecord]:
        """Return runs, the newest first."""
        if flow is None:
            return self._runs("ORDER BY id DESC LIMIT ? OFFSET ?", (limit, offset))
        return self._runs("WHERE flow = ? ORDER BY id DESC LIMIT ? OFFSET ?", (to_column(flow), limit, offset))

    def find_run(self, selector: str | None = None) -> RunRecord:
        """Return the run called ``demo-7``, its own name, a number (of the newest such run), ``last`` or ``last~1``.

        Raises:
            NotFound: there is none; the message names near ones.
        """
        selector = selector or "last"
        found: list[RunRecord] = []
        back = selector.removeprefix("last~") if selector.startswith("last~") else "0" if selector == "last" else ""
        if back.isdecimal():
            found = self._runs("ORDER BY id DESC LIMIT 1 OFFSET ?", (min(int(back), 1 << 31),))
        flow, _, number = selector.rpartition("-")
        if not found and flow and number.isdecimal():
            found = self._runs("WHERE flow = ? AND number = ?", (to_column(flow), min(int(number), 1 << 62)))
        if not found:
            found = self._runs("WHERE name = ? ORDER BY id DESC LIMIT 1", (to_column(selector),))
        if not found and selector.isdecimal():
            found = self._runs("WHERE number = ? ORDER BY id DESC LIMIT 1", (min(int(selector), 1 << 62),))
        if not found:
            raise self._no_run(selector)
        return found[0]

    def _no_run(self, selector: str) -> NotFound:
        from scriptflow.core.nearest import nearest

        newest = self.runs(limit=200)
        if not newest:
            return NotFound("no run is recorded yet", do="scriptflow run")
        near = nearest(selector, [name for run in newest for name in (run.run, run.name) if name])
        return NotFound(
            f"no run {selector}",
            why=[*([f"near it: {near}"] if near else []), f"the newest is {newest[0].run}"],
            do=f"scriptflow show {near or newest[0].run}",
        )

    def flows(self) -> dict[str, RunRecord]:
        """Map each flow that ever ran to its newest run."""
        newest = self._runs("WHERE id IN (SELECT max(id) FROM runs GROUP BY flow) ORDER BY id DESC", ())
        return {run.flow: run for run in newest}

    def software(self, run_id: int) -> tuple[str, str]:
        """Return the versions of Python and of scriptflow that a run was made with."""
        python, version = self._rows("SELECT python, version FROM runs WHERE id = ?", (run_id,))[0]
        return python, version

    def durations(self, flow: str) -> dict[str, float]:
        """Map each group to the mean seconds of its tasks in the flow's last run that succeeded and ran some."""
        rows = self._rows(
            "SELECT task_group, avg(ended - began) FROM ("  # noqa: S608 (our own words)
            "  SELECT t.task_group, j.began, j.ended FROM jobs j JOIN tasks t ON t.id = j.task"
            "  JOIN runs r ON r.id = (SELECT max(id) FROM runs WHERE flow = ? AND status = 'succeeded' AND ran > 0)"
            f"  WHERE {_OF_RUN} AND j.run = r.id AND j.state = 'succeeded' AND j.began IS NOT NULL LIMIT ?) "
            "GROUP BY task_group",
            (to_column(flow), _SAMPLE),
        )
        return {from_column(group or ""): mean / 1e6 for group, mean in rows if mean is not None}

    def measured(self, flow: str) -> list[Measured]:
        """Return what a flow's jobs took, the newest first: those that ended well, or were stopped for taking more."""
        rows = self._rows(
            "SELECT t.name, j.ended - j.began, j.max_rss_bytes, j.cpu_us, j.cpus, j.memory_bytes, j.cause "  # noqa: S608 (ours)
            f"FROM runs r JOIN jobs j ON {_OF_RUN} AND j.run = r.id JOIN tasks t ON t.id = j.task "
            "WHERE r.flow = ? AND j.began IS NOT NULL AND j.ended IS NOT NULL "
            "AND (j.state = 'succeeded' OR j.cause IN ('out-of-memory', 'walltime', 'timeout')) "
            "ORDER BY r.id DESC, j.id DESC LIMIT ?",
            (to_column(flow), _MEASURED),
        )
        return [
            Measured(
                task=from_column(name), seconds=us / 1e6, max_rss_bytes=rss, cpu_s=None if cpu is None else cpu / 1e6,
                cpus=cpus, memory_bytes=memory, cause=cause,
            )
            for name, us, rss, cpu, cpus, memory, cause in rows
        ]  # fmt: skip

    def _runs(self, where: str, parameters: Iterable[object]) -> list[RunRecord]:
        records = self._read(lambda connection: read_runs(connection, where, parameters, dead=False))
        if any(record.status == "running" for record in records) and self._is_head_dead():
            return self._read(lambda connection: read_runs(connection, where, parameters, dead=True))
        return records

    def _is_head_dead(self) -> bool:
        """Whether nobody is at work in this store, as far as can be told from here."""
        owner = self._read(read_owner)
        if owner is None:
            return not is_locked(self._folder)
        # The lock file is asked as well: a head in another container has a number that means nothing here.
        return owner.is_here and not owner.is_alive_here and not is_locked(self._folder)

    # --- jobs -------------------------------------------------------------------------------------

    def jobs(
        self, run_id: int, state: str | None = None, name_glob: str | None = None, limit: int | None = None
    ) -> list[JobRecord]:
        """Return a run's jobs in the order of their starts, without reasons and files."""
        where = f"WHERE {_OF_RUN} AND j.run = ?" if state in (None, "succeeded") else "WHERE j.run = ?"
        values: list[object] = [run_id]
        if state is not None:
            where += " AND j.state = ?"
            if state != "succeeded":
                where += " AND j.state <> 'succeeded'"  # tells SQLite that the small index of such jobs will do
            values.append(str(state))
        if name_glob is not None:
            where += " AND t.name GLOB ?"
            values.append(to_column(name_glob))
        where += " ORDER BY j.id"
        if limit is not None:
            where += " LIMIT ?"
            values.append(limit)
        return self._jobs(where, values)

    def job(self, number: int) -> JobRecord | None:
        """Return one job with its reasons and files."""
        return self._read(lambda connection: read_job(connection, self._folder, self._root, number))

    def elsewhere(self) -> list[JobRecord]:
        """Return the open jobs of executors with a queue of their own, whichever run submitted them, the oldest first.

        Of a queued one, ``detail`` says in words why it waits.
        """
        return self._jobs(OPEN_ELSEWHERE, ())

    def attempts(self, run_id: int, task: str) -> list[JobRecord]:
        """Return all jobs of one task in one run, the first try first."""
        return self._jobs(
            f"WHERE {_OF_RUN} AND j.run = ? AND j.task IN (SELECT id FROM tasks WHERE name = ?) ORDER BY j.id",  # noqa: S608 (our own words)
            (run_id, to_column(task)),
        )

    def failures(self, run_id: int) -> list[JobRecord]:
        """Return the last job of each task that failed in a run."""
        return self._jobs(
            "WHERE j.run = ? AND j.state = 'failed' AND j.state <> 'succeeded' "
            "AND NOT EXISTS (SELECT 1 FROM jobs k "
            "WHERE k.run = j.run AND k.task = j.task AND k.id > j.id AND k.attempt > 1) "
            "ORDER BY j.id",
            (run_id,),
        )

    def done_tasks(self, run_id: int) -> set[str]:
        """Return the names of tasks that ended well in a run, each by its last job; of a shared name all must have."""
        rows = self._rows(
            f"SELECT j.task, t.name, j.state FROM runs r JOIN jobs j ON {_OF_RUN} AND j.run = r.id "  # noqa: S608 (ours)
            "JOIN tasks t ON t.id = j.task WHERE r.id = ? ORDER BY j.id",
            (run_id,),
        )
        last = {task: (from_column(name), state) for task, name, state in rows}.values()
        return {name for name, _ in last} - {name for name, state in last if state != "succeeded"}

    def last_job(self, task: str) -> JobRecord | None:
        """Return the newest job of the task of that name, with its reasons and files."""
        rows = self._rows("SELECT max(last) FROM tasks WHERE name = ?", (to_column(task),))
        return None if rows[0][0] is None else self.job(rows[0][0])

    def job_before(self, task: str, number: int) -> JobRecord | None:
        """Return the newest job of the task of that name before a job, with its reasons and files."""
        rows = self._rows(
            "SELECT id FROM jobs WHERE id < ? AND task IN (SELECT id FROM tasks WHERE name = ?) "
            "ORDER BY id DESC LIMIT 1",
            (number, to_column(task)),
        )
        return self.job(rows[0][0]) if rows else None

    def reasons(self, run_id: int) -> dict[int, tuple[tuple[str, str], ...]]:
        """Map each job of a run to its reasons."""
        found: dict[int, list[tuple[str, str]]] = {}
        for job, code, detail in self._rows(
            "SELECT s.job, s.code, s.detail FROM runs r JOIN reasons s "
            "ON s.job BETWEEN r.first_job AND coalesce(r.last_job, 9223372036854775807) WHERE r.id = ? "
            "ORDER BY s.job, s.position",
            (run_id,),
        ):
            found.setdefault(job, []).append((from_column(code), from_column(detail or "")))
        return {job: tuple(pairs) for job, pairs in found.items()}

    def latest(self) -> dict[str, Latest]:
        """Map each recorded output to what its last job left: what a plan needs."""
        return self._read(lambda connection: read_latest(connection, self._root))

    def latest_of(self, path: str) -> Latest | None:
        """Return what the last job of one output left, None when none is recorded."""
        return self._read(lambda connection: read_latest_of(connection, self._root, path))

    # --- names ------------------------------------------------------------------------------------

    def find_tasks(self, pattern: str, run_id: int | None = None) -> list[str]:
        """Return the names that ``pattern`` means, of one run or of all.

        A name, a glob over names, a path (or a glob over paths) of outputs, ``group:NAME`` or ``state:failed``. The
        state is that of the task's newest job, in that run or at all.
        """
        kind, colon, rest = pattern.partition(":")
        if colon and kind == "group":
            return self._names("t.task_group = ?", (to_column(rest),), run_id)
        if colon and kind == "state":
            if run_id is None:
                return self._names("(SELECT state FROM jobs WHERE id = t.last) = ?", (rest,), None)
            rows = self._rows(
                f"SELECT t.name, j.state FROM runs r JOIN jobs j ON {_OF_RUN} AND j.run = r.id "  # noqa: S608 (ours)
                "JOIN tasks t ON t.id = j.task WHERE r.id = ? ORDER BY j.id",
                (run_id,),
            )
            return [from_column(name) for name, state in dict(rows).items() if state == rest]
        stored = to_column(pattern)
        path = self._root.to_column(os.path.abspath(pattern))  # noqa: PTH100 (as above)
        made = (
            "t.id IN (SELECT j.task FROM files f JOIN edges e ON e.file = f.id AND e.made = 1 "
            "JOIN jobs j ON j.id = e.job WHERE {})"
        )
        found = self._names("t.name = ?", (stored,), run_id) or self._names(
            made.format("f.path IN (?, ?)"), (stored, path), run_id
        )
        if not found and any(sign in pattern for sign in "*?["):
            found = self._names("t.name GLOB ?", (stored,), run_id) or self._names(
                made.format("f.path GLOB ?"), (stored,), run_id
            )
        return found

    def _names(self, where: str, parameters: Iterable[object], run_id: int | None) -> list[str]:
        values = [*parameters]
        if run_id is not None:
            where += (
                f" AND t.id IN (SELECT j.task FROM jobs j JOIN runs r ON r.id = j.run WHERE {_OF_RUN} AND r.id = ?)"  # noqa: S608 (our own words)
            )
            values.append(run_id)
        rows = self._rows(f"SELECT DISTINCT t.name FROM tasks t WHERE {where} ORDER BY t.id", values)  # noqa: S608 (ours)
        return [from_column(name) for (name,) in rows]

    def task_names(self, prefix: str = "", limit: int | None = None, flow: str | None = None) -> list[str]:
        """Return names that begin with ``prefix``, sorted, of one flow or of all."""
        low = to_column(prefix)
        if isinstance(low, bytes):  # nobody types that
            return []
        text, values = "SELECT DISTINCT name FROM tasks WHERE name >= ? AND name < ?", [low, low + "\U0010ffff"]
        if flow is not None:
            text += f" AND id IN (SELECT j.task FROM runs r JOIN jobs j ON {_OF_RUN} AND j.run = r.id WHERE r.flow = ?)"  # noqa: S608 (our own words)
            values.append(flow)
        rows = self._rows(f"{text} ORDER BY name LIMIT ?", (*values, -1 if limit is None else limit))
        return [from_column(name) for (name,) in rows]

    # --- the file ---------------------------------------------------------------------------------

    def _jobs(self, where: str, parameters: Iterable[object]) -> list[JobRecord]:
        return self._read(lambda connection: read_jobs(connection, self._folder, where, parameters))

    def _rows(self, text: str, parameters: Iterable[object]) -> list[tuple[Any, ...]]:
        return self._read(lambda connection: connection.execute(text, tuple(parameters)).fetchall())

    def _read(self, read: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        try:
            return read(self._connection)
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise self._damaged(error) from error

    def _explain(self, error: sqlite3.Error) -> StoreError:
        return self._damaged(error) if damage.is_unsound(error) else database.explain(error, self._path)

    def _damaged(self, error: Exception) -> StoreDamaged:
        return StoreDamaged(
            f"{self._path} is damaged", why=str(error), do="scriptflow run  # sets it aside and saves what can be read"
        )


def _nothing_yet(folder: str) -> NotFound:
    return NotFound(f"no run is recorded in {folder}", do="scriptflow run")
