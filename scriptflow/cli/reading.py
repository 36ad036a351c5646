"""What the reading commands share: the store from where one stands, rows for JSON, tables for people.

Never loads a flow file, never writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.core.records import JobRecord, RunRecord
    from scriptflow.store.reader import StoreReader
    from scriptflow.terminal.look import Look

    Cell = str | tuple[str, str]  # the text, or the text and its style

STORE = ".scriptflow"
_SOFT_CELLS = 12
_NAMES = 10_000
NOTHING_YET = "nothing has been run here yet"


def here() -> Path:
    """Return the folder one stands in.

    Raises:
        UsageError: it was deleted.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        from scriptflow.errors import UsageError

        raise UsageError("the current folder was deleted", do="cd to a folder that is there") from error


def store_folder() -> Path | None:
    """Return the ``.scriptflow`` of this folder or of the nearest one above it, None where nothing was run."""
    start = here()
    for folder in (start, *start.parents):
        if (folder / STORE / "runs.db").is_file():
            return folder / STORE
    return None


def store_folder_or_fail() -> Path:
    """Return the nearest store's folder.

    Raises:
        NotFound: nothing has been run here.
    """
    folder = store_folder()
    if folder is None:
        from scriptflow.errors import NotFound

        raise NotFound(
            NOTHING_YET,
            why=f"no {STORE} with runs in {here()} or above it",
            do="scriptflow run, or `scriptflow init` for a first flow",
        )
    return folder


def print_document(document: object) -> None:
    """Print one JSON document on stdout."""
    import json

    click.echo(json.dumps(document, default=str))


def iso(seconds: float | None) -> str | None:
    """Write seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    if seconds is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_row(run: RunRecord) -> dict[str, object]:
    """Return a run as ``runs --json`` lists it."""
    return {
        "run": run.run,
        "name": run.name,
        "flow": run.flow,
        "status": run.status,
        "started": iso(run.started),
        "ended": iso(run.ended),
        "ran": run.counts.ran,
        "skipped": run.counts.skipped,
        "failed": run.counts.failed,
    }


def job_row(job: JobRecord) -> dict[str, object]:
    """Return one attempt of a task for JSON."""
    return {
        "task": job.task,
        "group": job.group,
        "run": job.run,
        "job": job.job,
        "attempt": job.attempt,
        "state": job.state,
        "exit_code": job.exit_code,
        "signal": job.signal,
        "cause": job.cause,
        "detail": job.detail,
        "executor": job.executor,
        "executor_id": job.executor_id,
        "host": job.host,
        "pid": job.pid,
        "submitted": iso(job.started),
        "started": iso(job.began or job.started),
        "ended": iso(job.ended),
        "seconds": seconds_of(job),
        "cpu_s": job.cpu_s,
        "max_rss_bytes": job.max_rss_bytes,
        "log": job.log,
    }


def seconds_of(job: JobRecord) -> float | None:
    """Return how long a job took, or has taken until now; None when it ended without having begun."""
    import time

    if job.ended is None:
        return max(0.0, time.time() - (job.began or job.started))
    return None if job.began is None else max(0.0, job.ended - job.began)


def how_it_ended(job: JobRecord) -> str:
    """Say how a job ended, or that it has not."""
    from scriptflow.core.job import JobReport
    from scriptflow.terminal import words

    if job.cause is None:
        return {"succeeded": "ok", "started": "running"}.get(job.state, str(job.state))
    return words.cause(JobReport(state=job.state, exit_code=job.exit_code, signal=job.signal, cause=job.cause))


def when(seconds: float, *, short: bool = False) -> str:
    """Write a moment in local time: ``2026-11-20 23:08:19``, or short ``11-20 23:08``."""
    from time import localtime, strftime

    return strftime("%m-%d %H:%M" if short else "%Y-%m-%d %H:%M:%S", localtime(seconds))


def run_seconds(run: RunRecord) -> float:
    """Return how long a run took, or has taken until now."""
    import time

    return max(0.0, (run.ended or time.time()) - run.started)


def glyph(state: str, look: Look) -> tuple[str, str]:
    """Return the sign of a state of a run, job or task, padded to the width of all signs, and its style."""
    sign, style = {
        "succeeded": (look.ok, "green"),
        "failed": (look.failed, "bold red"),
        "lost": (look.failed, "bold red"),
        "cancelled": (look.skipped, "yellow"),
        "interrupted": (look.skipped, "yellow"),
        "running": (look.running, "cyan"),
        "started": (look.running, "cyan"),
    }.get(state, (look.waiting, "dim"))
    return f"{sign:{look.glyph_cells}}", style


def counts_line(run: RunRecord) -> str:
    """Say how many tasks of a run are where; what is zero is left out, but for those that ran or need not."""
    from scriptflow.core.states import RunState
    from scriptflow.terminal import words

    counts = run.counts
    found = [(counts.ran, "ran"), (counts.skipped, "up to date")]
    more = [(counts.failed, "failed"), (counts.cancelled, "cancelled")]
    if run.status == RunState.RUNNING:
        more += [(counts.running, "running"), (counts.queued, "queued"), (counts.waiting, "waiting")]
    else:
        more.append((counts.running + counts.queued + counts.waiting, "unfinished"))
    found += [(number, word) for number, word in more if number]
    return "  ".join(f"{words.count(number)} {word}" for number, word in found)


# --- choosing what to read ------------------------------------------------------------------------


def run_named(reader: StoreReader, selector: str) -> RunRecord | None:
    """Return the run that ``selector`` names, None when there is no such run."""
    from scriptflow.errors import NotFound

    try:
        return reader.find_run(selector)
    except NotFound:
        return None


def jobs_named(reader: StoreReader, task: str, run: str | None) -> list[JobRecord]:
    """Return the last job of each task that ``task`` (a name, glob, output, ``group:``, ``state:``) names.

    Raises:
        NotFound: no task, or no run, is named so.
    """
    from scriptflow.errors import NotFound

    record = None if run is None else reader.find_run(run)
    names = reader.find_tasks(task, None if record is None else record.id)
    jobs = []
    for name in names:
        if record is None:
            last = reader.last_job(name)
            jobs += [] if last is None else [last]
        else:
            jobs += reader.attempts(record.id, name)[-1:]
    if not jobs:
        from scriptflow.core.nearest import nearest

        near = nearest(task, reader.task_names(limit=_NAMES))
        raise NotFound(
            f"no task is called {task!r}" + ("" if record is None else f" in {record.run}"),
            why=f"near it: {near}" if near else (),
            do=f"scriptflow show {'last' if record is None else record.run}  # lists tasks",
        )
    return jobs


# --- the screen -----------------------------------------------------------------------------------


def stdout_look() -> Look:
    """Return what stdout can show."""
    import os
    import sys

    from scriptflow.terminal.look import Look, takes_color, takes_utf8

    return Look(utf8=takes_utf8(sys.stdout), color=takes_color(sys.stdout, os.environ))


def stdout_width() -> int:
    """Return the columns to fill: those of the terminal, from 60 to 200; a pipe is given as much as there is."""
    import os
    import sys

    from scriptflow.terminal.look import is_terminal, width_of

    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal():
        return min(200, max(60, int(columns)))
    return min(200, max(60, width_of(sys.stdout))) if is_terminal(sys.stdout) else 100_000


def echo_lines(lines: Iterable[str]) -> None:
    """Print lines on stdout; colours in them were chosen by ``stdout_look``."""
    for line in lines:
        click.echo(line, color=True)


def wrapped(text: str, width: int) -> list[str]:
    """Break a harmless text into lines of at most ``width`` columns, between words where that can be."""
    from scriptflow.terminal.look import cells

    lines, line = [], ""
    for word in text.split(" "):
        rest = f"{line} {word}" if line else word
        if cells(rest) > width and line:
            lines.append(line)
            rest = word
        while cells(rest) > width:
            at = next(at for at in range(min(width, len(rest)), 0, -1) if cells(rest[:at]) <= width)
            lines.append(rest[:at])
            rest = rest[at:]
        line = rest
    return [*lines, line]


def table(
    look: Look, titles: Sequence[str], rows: Sequence[Sequence[Cell]], *, width: int, soft: Sequence[int] = ()
) -> list[str]:
    """Lay a table out in lines of at most ``width`` columns; a column with nothing in it is left out.

    A column whose title begins with ``>`` is set to the right. When there is no room, the columns of ``soft``
    give way, one after the other, then the last columns are left out. Texts are made harmless here.
    """
    from scriptflow.terminal.look import cells

    heads: list[Cell] = [(title.removeprefix(">"), "dim") for title in titles]
    harmless = [
        [(look.safe(cell), "") if isinstance(cell, str) else (look.safe(cell[0]), cell[1]) for cell in row]
        for row in ([heads, *rows] if any(titles) else rows)
    ]
    widths = {
        at: max(cells(row[at][0]) for row in harmless)
        for at in range(len(titles))
        if any(row[at][0] for row in harmless[-len(rows) :])
    }

    def over() -> int:
        return max(0, sum(widths.values()) + 2 * (len(widths) - 1) - width)

    for at in soft:
        if at in widths:
            widths[at] = max(min(_SOFT_CELLS, widths[at]), widths[at] - over())
    while len(widths) > 1 and over():
        widths.popitem()
    lines = []
    for row in harmless:
        parts = []
        for at, size in widths.items():
            text, style = row[at]
            shown = look.fit(text, min(size, width))
            gap = " " * (size - cells(shown))
            parts.append(gap + look.paint(shown, style) if titles[at][:1] == ">" else look.paint(shown, style) + gap)
        lines.append("  ".join(parts).rstrip())
    return lines
