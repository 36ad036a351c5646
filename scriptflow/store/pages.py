"""Questions of pages: counts, filtered and sorted parts of long lists, each with how many there are in all.

Every answer is bounded: what is limited is filtered before. Knows nothing of pages or of HTTP.
"""

from __future__ import annotations

from scriptflow.store.reader import _OF_RUN, StoreReader
from scriptflow.store.reading import read_runs
from scriptflow.store.text import from_column, to_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from scriptflow.core.records import JobRecord, RunRecord

STATES: dict[str, tuple[str, ...]] = {
    "failed": ("failed", "lost"),
    "running": ("started", "running", "unknown"),
    "queued": ("queued",),
    "succeeded": ("succeeded",),
    "cancelled": ("cancelled",),
}
"""What a page calls the state of a task, and the states of its newest job that it stands for."""

SORTS = {
    "started": "j.id",
    "name": "t.name",
    "seconds": "CASE WHEN j.began IS NULL THEN -1 ELSE coalesce(j.ended - j.began, 9e18 - j.started) END",
    "memory": "coalesce(j.max_rss_bytes, -1)",
}
"""By what tasks can be sorted; what still runs took longest."""

_LAST = "NOT EXISTS (SELECT 1 FROM jobs k WHERE k.run = j.run AND k.task = j.task AND k.id > j.id AND k.attempt > 1)"
"""Of the jobs of a task in one run only the newest."""
_TASKS = f"runs r JOIN jobs j ON {_OF_RUN} AND j.run = r.id JOIN tasks t ON t.id = j.task"
_FAMILY = "coalesce(nullif(t.task_group, ''), rtrim(rtrim(t.name, '0123456789'), '-_. '), '')"
"""The group of a task, or what names like fit-1, fit-2 have in common."""


class PageReader(StoreReader):
    """A reader that also answers what pages ask."""

    @property
    def folder(self) -> str:
        """The store's folder."""
        return self._folder

    # --- runs -----------------------------------------------------------------------------------

    def runs_page(
        self, *, flow: str | None, state: str | None, text: str | None, limit: int, offset: int
    ) -> tuple[list[RunRecord], int]:
        """Return the newest runs that match, and how many match in all."""
        where: list[str] = ["1"]
        values: list[object] = []
        if flow is not None:
            where.append("flow = ?")
            values.append(to_column(flow))
        if state is not None:
            # A run whose head died still reads "running" in its row.
            dead = self._is_head_dead()
            if state == "interrupted" and dead:
                where.append("status IN ('running', 'interrupted')")
            elif state == "running" and dead:
                where.append("0")
            else:
                where.append("status = ?")
                values.append(state)
        if text:
            where.append("instr(lower(flow || '-' || number || ' ' || coalesce(name, '') || ' ' || tags), lower(?))")
            values.append(to_column(text))
        said = "WHERE " + " AND ".join(where)
        (total,) = self._rows(f"SELECT count(*) FROM runs {said}", values)[0]  # noqa: S608 (our own words)
        return self._runs(f"{said} ORDER BY id DESC LIMIT ? OFFSET ?", (*values, limit, offset)), total

    def flow_names(self, limit: int = 200) -> list[str]:
        """Return the flows that ever ran, the one that ran last first."""
        rows = self._rows("SELECT flow FROM runs GROUP BY flow ORDER BY max(id) DESC LIMIT ?", (limit,))
        return [from_column(flow) for (flow,) in rows]

    def flow_ends(self, flow: str) -> dict[str, int]:
        """Return how many runs of a flow ended how; one whose head has died counts as interrupted."""
        rows = self._rows("SELECT status, count(*) FROM runs WHERE flow = ? GROUP BY 1", (to_column(flow),))
        ends: dict[str, int] = {}
        for status, number in rows:
            word = "interrupted" if status == "running" and self._is_head_dead() else status
            ends[word] = ends.get(word, 0) + number
        return ends

    def span_of_jobs(self, run_id: int) -> int:
        """Return about how many jobs a run has, without counting them."""
        rows = self._rows(
            "SELECT coalesce(last_job, (SELECT max(id) FROM jobs), 0) - first_job + 1 FROM runs WHERE id = ?", (run_id,)
        )
        return max(0, rows[0][0]) if rows else 0

    # --- the tasks of a run -------------------------------------------------------------------------

    def groups(self, run_id: int) -> list[tuple[str, str, int, float | None]]:
        """Return (group, state of the newest job, how many tasks, mean seconds), groups in the order they began."""
        rows = self._rows(
            "SELECT t.task_group, j.state, count(*), avg(j.ended - j.began), min(j.id) "  # noqa: S608 (our own words)
            f"FROM {_TASKS} WHERE r.id = ? AND {_LAST} GROUP BY 1, 2 ORDER BY 5",
            (run_id,),
        )
        return [(from_column(group or ""), state, number, _seconds(mean)) for group, state, number, mean, _ in rows]

    def tasks_page(
        self,
        run_id: int,
        *,
        state: str | None = None,
        group: str | None = None,
        text: str | None = None,
        sort: str = "started",
        descending: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[JobRecord], int]:
        """Return the newest jobs of the run's tasks that match, and how many match in all."""
        where: list[str] = [f"r.id = ? AND {_LAST}"]
        values: list[object] = [run_id]
        if state is not None:
            words = STATES[state]
            where.append(f"j.state IN ({', '.join('?' * len(words))})")
            values += words
            if state != "succeeded":
                where.append("j.state <> 'succeeded'")  # tells SQLite that the small index of such jobs will do
        if group is not None:
            where.append("coalesce(t.task_group, '') = ?")
            values.append(to_column(group))
        if text:
            if any(sign in text for sign in "*?["):
                where.append("t.name GLOB ?")
            else:
                where.append("instr(lower(t.name), lower(?))")
            values.append(to_column(text))
        said = f"WHERE {_OF_RUN} AND {' AND '.join(where)}"
        (total,) = self._rows(
            f"SELECT count(*) FROM jobs j JOIN runs r ON r.id = j.run JOIN tasks t ON t.id = j.task {said}",  # noqa: S608 (our own words)
            values,
        )[0]
        way = "DESC" if descending else "ASC"
        order = f"ORDER BY {SORTS[sort]} {way}, j.id {way} LIMIT ? OFFSET ?"
        return self._jobs(f"{said} {order}", (*values, limit, offset)), total

    def spans(self, run_id: int) -> list[tuple[str, str, int, int | None, int | None]]:
        """Return (group, state, started, began, ended) of every job of a run: µs, the last two after ``started``."""
        rows = self._rows(
            f"SELECT t.task_group, j.state, j.started, j.began, j.ended FROM {_TASKS} WHERE r.id = ? ORDER BY j.id",  # noqa: S608 (ours)
            (run_id,),
        )
        return [(from_column(group or ""), *rest) for group, *rest in rows]

    # --- the graph ------------------------------------------------------------------------------------

    def graph_of_tasks(self, run_id: int) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
        """Return (name, group, state) of each task of a run, and (maker, user) for each pair joined by a file.

        A maker that did not run this time is an edge's end without a row of its own.
        """
        tasks = self._rows(
            f"SELECT t.name, t.task_group, j.state FROM {_TASKS} WHERE r.id = ? AND {_LAST} ORDER BY j.id",  # noqa: S608 (ours)
            (run_id,),
        )
        edges = self._rows(f"SELECT DISTINCT m.name, t.name FROM {_MADE}", (run_id,))  # noqa: S608 (our own words)
        return (
            [(from_column(name), from_column(group or ""), state) for name, group, state in tasks],
            [(from_column(maker), from_column(user)) for maker, user in edges],
        )

    def graph_of_groups(self, run_id: int) -> tuple[list[tuple[str, str, int]], list[tuple[str, str, int]]]:
        """Return (group, state, tasks) and (maker's group, user's group, files between them).

        Tasks without a group are taken together by what their names begin with.
        """
        tasks = self._rows(
            f"SELECT {_FAMILY}, j.state, count(*) FROM {_TASKS} WHERE r.id = ? AND {_LAST} "  # noqa: S608 (our own words)
            "GROUP BY 1, 2 ORDER BY min(j.id)",
            (run_id,),
        )
        makers = _FAMILY.replace("t.", "m.")
        edges = self._rows(
            f"SELECT {makers}, {_FAMILY}, count(*) FROM {_MADE} GROUP BY 1, 2",  # noqa: S608 (our own words)
            (run_id,),
        )
        return (
            [(from_column(group), state, number) for group, state, number in tasks],
            [(from_column(maker), from_column(user), number) for maker, user, number in edges],
        )

    # --- files ------------------------------------------------------------------------------------------

    def files_page(self, *, text: str | None, made: bool | None, limit: int, offset: int) -> tuple[list[Any], int]:
        """Return (path, name of the task that makes it or None, its newest job), by path, and how many match."""
        where: list[str] = ["1"]
        values: list[object] = []
        if text:
            if any(sign in text for sign in "*?["):
                where.append("f.path GLOB ?")
            else:
                where.append("instr(lower(f.path), lower(?))")
            values.append(to_column(text))
        if made is not None:
            where.append("l.file IS NOT NULL" if made else "l.file IS NULL")
        said = "FROM files f LEFT JOIN latest l ON l.file = f.id WHERE " + " AND ".join(where)
        (total,) = self._rows(f"SELECT count(*) {said}", values)[0]
        rows = self._rows(
            f"SELECT f.path, (SELECT name FROM tasks WHERE id = l.task), l.job {said} "  # noqa: S608 (our own words)
            "ORDER BY f.path LIMIT ? OFFSET ?",
            (*values, limit, offset),
        )
        return [
            (self._root.from_column(path), None if task is None else from_column(task), job) for path, task, job in rows
        ], total

    def jobs_of_file(self, path: str, *, made: bool, limit: int) -> tuple[list[JobRecord], int] | None:
        """Return the newest jobs that made (or read) a file, and how many there are; None for an unknown file."""
        found = self._rows("SELECT id FROM files WHERE path = ?", (self._root.to_column(path),))
        if not found:
            return None
        (total,) = self._rows("SELECT count(*) FROM edges WHERE file = ? AND made = ?", (found[0][0], made))[0]
        jobs = self._jobs(
            "WHERE j.id IN (SELECT job FROM edges WHERE file = ? AND made = ?) ORDER BY j.id DESC LIMIT ?",
            (found[0][0], made, limit),
        )
        return jobs, total

    def makers(self, paths: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Map each of few paths that a task makes to that task's name and its newest job."""
        stored = [self._root.to_column(path) for path in paths]
        rows = self._rows(
            "SELECT f.path, t.name, l.job FROM files f JOIN latest l ON l.file = f.id JOIN tasks t ON t.id = l.task "  # noqa: S608 (our own words)
            f"WHERE f.path IN ({', '.join('?' * len(stored))})",
            stored,
        )
        return {self._root.from_column(path): (from_column(task), job) for path, task, job in rows}

    def run_of_job(self, number: int) -> RunRecord | None:
        """Return the run that a job belongs to."""
        runs = self._read(
            lambda connection: read_runs(
                connection, "WHERE id = (SELECT run FROM jobs WHERE id = ?)", (number,), dead=self._is_head_dead()
            )
        )
        return runs[0] if runs else None


_MADE = (
    f"{_TASKS} JOIN edges e ON e.job = j.id AND e.made = 0 JOIN latest l ON l.file = e.file "
    "JOIN tasks m ON m.id = l.task WHERE r.id = ? AND l.task <> j.task"
)


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
