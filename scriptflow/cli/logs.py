"""Print what tasks wrote; chooses the logs from the store, and reads any size of them in bounded memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scriptflow.cli import logtext, reading
from scriptflow.cli.options import Command, folder_option, option

if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Pattern
    from typing import BinaryIO

    from scriptflow.core.records import JobRecord
    from scriptflow.store.reader import StoreReader

_SEVERAL = 100
_LOOK_S = 0.2


@click.command("logs", cls=Command, short_help="Print the logs of tasks.")
@click.argument("task", required=False, metavar="[TASK|RUN]")
@option("Select", "--run", metavar="RUN", help="In this run; by default the newest that ran the task.")
@option("Select", "--attempt", metavar="N", type=click.IntRange(min=1), help="The Nth try; by default the last.")
@option("Select", "--failed", is_flag=True, help="Only tasks that failed.")
@option("Output", "-n", "--lines", metavar="N", type=click.IntRange(min=1), help="The last N lines.")
@option("Output", "-f", "--follow", is_flag=True, help="Go on as the task writes, until it ends.")
@option("Output", "--grep", metavar="RE", help="Only lines in which this regular expression is found.")
@option("Output", "--path", "only_path", is_flag=True, help="Print where the logs lie, not what is in them.")
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@folder_option
def command(
    task: str | None,
    run: str | None,
    attempt: int | None,
    failed: bool,
    lines: int | None,
    follow: bool,
    grep: str | None,
    only_path: bool,
    as_json: bool,
) -> None:
    """Print what tasks wrote: without TASK, the failed ones of the last run.

    TASK is a name, a quoted glob, an output's path, group:NAME or state:failed; a RUN means its failed tasks.

    \b
    Examples:
      scriptflow logs
      scriptflow logs solve-1 -n 50
      scriptflow logs 'fit-*' --grep Error
      scriptflow logs solve-1 -f
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.store.reader import StoreReader

    pattern = _pattern(grep)
    with StoreReader(reading.store_folder_or_fail()) as reader:
        jobs = _chosen(reader, task, run, attempt, failed, follow)
        if follow:
            _follow(reader, _only_one(jobs), lines, pattern)
        elif as_json:
            count = lines or _SEVERAL
            reading.print_document({"schema": 1, "logs": [_document(job, count, pattern) for job in jobs]})
        elif only_path:
            for job in jobs:
                click.echo(job.log)
        else:
            _print(jobs, lines, pattern)


# --- which logs -----------------------------------------------------------------------------------


def _chosen(
    reader: StoreReader, task: str | None, run: str | None, attempt: int | None, failed: bool, follow: bool
) -> list[JobRecord]:
    named = reading.run_named(reader, task) if task is not None and run is None else None
    if named is not None:
        task, run = None, named.run  # `scriptflow logs demo-7`
    if task is None:
        record = reader.find_run(run or "last")
        if follow:
            return [job for state in ("started", "running") for job in reader.jobs(record.id, state=state)]
        jobs = reader.failures(record.id)
        if not jobs:
            click.echo(f"no task failed in {record.run}; scriptflow logs TASK prints any task's log", err=True)
    else:
        jobs = reading.jobs_named(reader, task, run)
        if failed:
            jobs = [job for job in jobs if job.state in ("failed", "lost")]
    return jobs if attempt is None else [_attempt(reader, job, attempt) for job in jobs]


def _attempt(reader: StoreReader, job: JobRecord, attempt: int) -> JobRecord:
    attempts = reader.attempts(reader.find_run(job.run).id, job.task)
    for found in attempts:
        if found.attempt == attempt:
            return found
    from scriptflow.errors import NotFound

    raise NotFound(f"task {job.task} has no attempt {attempt} in {job.run}", why=f"it was tried {len(attempts)} times")


def _only_one(jobs: list[JobRecord]) -> JobRecord:
    if len(jobs) == 1:
        return jobs[0]
    from scriptflow.errors import UsageError

    if not jobs:
        raise UsageError("no task is running that could be followed", do="scriptflow logs TASK")
    names = ", ".join(job.task for job in jobs[:5]) + (" …" if len(jobs) > 5 else "")
    raise UsageError(
        "only one log can be followed", why=f"{len(jobs)} tasks match: {names}", do=f"scriptflow logs {jobs[0].task} -f"
    )


def _pattern(grep: str | None) -> Pattern[str] | None:
    if grep is None:
        return None
    import re

    try:
        return re.compile(grep)
    except re.error as error:
        from scriptflow.errors import UsageError

        raise UsageError(
            f"--grep {grep}: {error}", do="put a backslash before . * ? + ( ) [ ] that stand for themselves"
        ) from error


# --- what is in them ------------------------------------------------------------------------------


def _print(jobs: list[JobRecord], count: int | None, pattern: Pattern[str] | None) -> None:
    from scriptflow.terminal.look import escape

    out = _Out()
    lost: list[JobRecord] = []
    for job in jobs:
        several = len(jobs) > 1
        if several:
            _header(job)
        try:
            file = Path(job.log).open("rb")  # noqa: SIM115 (closed below; what writing raises is not about this file)
        except OSError as error:
            lost.append(job)
            click.echo(f"log of {escape(job.task)} cannot be read: {error.strerror}: {escape(job.log)}", err=True)
            continue
        with file:
            whole = count is None and pattern is None and several
            out.lines(_lines(file, _SEVERAL if whole else count, pattern))
            out.flush()
            if whole and (start := logtext.start_of_last_lines(file, _SEVERAL)):
                click.echo(f"(the last {_SEVERAL} lines; {start:,} bytes before them: -n LINES)", err=True)
    if lost and len(lost) == len(jobs):
        from scriptflow.errors import NotFound

        raise NotFound(
            f"the log of {lost[0].task} is not there" if len(lost) == 1 else f"{len(lost)} logs are not there",
            why=f"recorded as {lost[0].log}; a task that was never started writes none",
            do=f"scriptflow show {lost[0].task}",
        )


def _lines(file: BinaryIO, count: int | None, pattern: Pattern[str] | None) -> Iterable[bytes]:
    if pattern is not None:
        return logtext.last_matching(file, pattern, count)
    return logtext.lines_from(file, 0 if count is None else logtext.start_of_last_lines(file, count))


def _header(job: JobRecord) -> None:
    from scriptflow.terminal import words
    from scriptflow.terminal.look import escape

    ended = f"{reading.how_it_ended(job)}, attempt {job.attempt}, {words.shown_path(job.log)}"
    click.echo(f"==> {escape(job.task)}  {escape(job.run)}  {ended}", err=True)


def _document(job: JobRecord, count: int, pattern: Pattern[str] | None) -> dict[str, object]:
    row = reading.job_row(job)
    try:
        with Path(job.log).open("rb") as file:
            size = file.seek(0, 2)
            cut = pattern is None and logtext.start_of_last_lines(file, count) > 0
            lines = [line.decode("utf-8", "replace").rstrip("\r\n") for line in _lines(file, count, pattern)]
    except OSError:
        return {**row, "bytes": None, "truncated": False, "lines": []}
    return {**row, "bytes": size, "truncated": cut, "lines": lines}


def _follow(reader: StoreReader, job: JobRecord, count: int | None, pattern: Pattern[str] | None) -> None:
    import time

    def ended() -> bool:
        now = reader.job(job.job)
        return now is None or now.ended is not None or reader.find_run(job.run).status != "running"

    def wait() -> None:
        out.flush()
        time.sleep(_LOOK_S)

    out = _Out()
    while not (over := ended()) and not Path(job.log).exists():
        wait()
    if over and not Path(job.log).exists():
        _print([job], count, pattern)
        return
    with Path(job.log).open("rb") as file:
        file.seek(0 if count is None else logtext.start_of_last_lines(file, count))
        out.lines(line for line in logtext.follow(file, ended, wait) if logtext.matches(pattern, line))
    out.flush()
    last = reader.job(job.job) or job
    if last.ended is None:
        click.echo("the run's process is gone, so nothing more will come", err=True)
    else:
        click.echo(f"{job.task}: {reading.how_it_ended(last)}", err=True)


class _Out:
    """Stdout: a terminal is shown text that it cannot obey, anything else is given the bytes as they are."""

    def __init__(self) -> None:
        from scriptflow.terminal.look import is_terminal, takes_utf8

        self._terminal = is_terminal(sys.stdout)
        self._utf8 = takes_utf8(sys.stdout)

    def lines(self, lines: Iterable[bytes]) -> None:
        """Write lines; the last one of a terminal gets its line end if it has none."""
        if not self._terminal:
            sys.stdout.buffer.writelines(lines)
            return
        text = ""
        for line in lines:
            text = logtext.visible(line, utf8=self._utf8)
            sys.stdout.write(text)
        if text and not text.endswith("\n"):
            sys.stdout.write("\n")

    def flush(self) -> None:
        """Write out what was gathered, so that stderr and stdout keep their order."""
        sys.stdout.flush()
