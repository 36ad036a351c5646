"""Show one run or one task in full; reads the store alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option

if TYPE_CHECKING:
    from scriptflow.core.records import JobRecord, RunRecord
    from scriptflow.store.reader import StoreReader

_FOLD = 50
_SHOWN = 10


@click.command("show", cls=Command, short_help="Show one run or task in full.")
@click.argument("what", metavar="[RUN|TASK]", default="last")
@option("Select", "--run", metavar="RUN", help="The task as it was in this run; by default in the newest that ran it.")
@option("Output", "--all", "unfolded", is_flag=True, help="Every task of a run, not folded by group.")
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@folder_option
def command(what: str, run: str | None, unfolded: bool, as_json: bool) -> None:
    """Show a run (parameters, who, where, its tasks) or a task (command, attempts, reasons, files) in full.

    \b
    Examples:
      scriptflow show
      scriptflow show solve-1
      scriptflow show 'fit-*' --run paper-7
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.store.reader import StoreReader

    with StoreReader(reading.store_folder_or_fail(), relative=True) as reader:
        record = None if run is not None else reading.run_named(reader, what)
        if record is not None:
            _show_run(reader, record, unfolded, as_json)
            return
        jobs = reading.jobs_named(reader, what, run)
        exact = len(jobs) == 1 and jobs[0].task == what
        if as_json:
            documents = [_task_document(reader, job) for job in jobs]
            reading.print_document({"schema": 1, **documents[0]} if exact else {"schema": 1, "tasks": documents})
            return
        _show_tasks(reader, jobs)


# --- a run ----------------------------------------------------------------------------------------


def _show_run(reader: StoreReader, run: RunRecord, unfolded: bool, as_json: bool) -> None:
    if as_json:
        jobs = _last_jobs(reader, run)
        counts = run.counts
        reading.print_document(
            {
                "schema": 1,
                **reading.run_row(run),
                "cancelled": counts.cancelled,
                "tags": list(run.tags),
                "params": dict(run.params),
                "argv": list(run.argv),
                "host": run.host,
                "user": run.user,
                "pid": run.pid,
                "git": run.git,
                "message": run.message,
                "tasks": [reading.job_row(job) for job in jobs],
            }
        )
        return
    from scriptflow.cli.show_lines import group_lines, run_lines, task_lines
    from scriptflow.store.groups import groups_of

    look, width = reading.stdout_look(), reading.stdout_width()
    lines = run_lines(look, run, width)
    groups = groups_of(reader, run.id)
    tasks = sum(group.tasks for group in groups)
    if tasks > _FOLD and not unfolded:
        lines += ["", *group_lines(look, groups, width)]
        lines.append(look.paint(f"folded by group; scriptflow show {look.safe(run.run)} --all lists all", "dim"))
    elif tasks:
        jobs = _last_jobs(reader, run)
        if tasks <= _FOLD:  # with their reasons, which are a query each
            jobs = [reader.job(job.job) or job for job in jobs]
        lines += ["", *task_lines(look, jobs, width)]
    reading.echo_lines(lines)


def _last_jobs(reader: StoreReader, run: RunRecord) -> list[JobRecord]:
    """Return the last job of each task of a run, in the order they were first started."""
    last: dict[str, JobRecord] = {}
    for job in sorted(reader.jobs(run.id), key=lambda job: job.job):
        last[job.task] = job
    return list(last.values())


# --- tasks ----------------------------------------------------------------------------------------


def _task_document(reader: StoreReader, job: JobRecord) -> dict[str, object]:
    import json

    from scriptflow.core.fingerprint import Manifest

    job = reader.job(job.job) or job
    manifest = Manifest(job.manifest)
    return {
        **reading.job_row(job),
        "key": job.key,
        "command": manifest.command,
        "shell": manifest.shell,
        "settings": dict(manifest.extra),
        "reasons": [{"code": code, "detail": detail} for code, detail in job.reasons],
        "asked": {"cpus": job.cpus, "memory_bytes": job.memory_bytes, "gpus": job.gpus},
        "results": {name: json.loads(body) for name, _, body in job.values},
        "inputs": [_file_row(job, at) for at, seen in enumerate(job.files) if seen.role == "in"],
        "outputs": [_file_row(job, at) for at, seen in enumerate(job.files) if seen.role == "out"],
        "attempts": [reading.job_row(attempt) for attempt in _attempts(reader, job)],
    }


def _file_row(job: JobRecord, at: int) -> dict[str, object]:
    seen = job.files[at]
    there = seen.size >= 0
    return {
        "file": seen.path,
        "exists": there,
        "bytes": seen.size if there else None,
        "modified": reading.iso(seen.mtime_ns / 1e9) if there and seen.ctime_ns else None,
        "sha256": seen.sha256,
    }


def _attempts(reader: StoreReader, job: JobRecord) -> list[JobRecord]:
    return reader.attempts(reader.find_run(job.run).id, job.task)


def _show_tasks(reader: StoreReader, jobs: list[JobRecord]) -> None:
    from scriptflow.cli.show_lines import job_lines

    look, width = reading.stdout_look(), reading.stdout_width()
    for at, job in enumerate(jobs[:_SHOWN]):
        whole = reader.job(job.job) or job
        run = reader.find_run(job.run)
        reading.echo_lines([*([""] if at else []), *job_lines(look, whole, run, _attempts(reader, job), width)])
    if len(jobs) > _SHOWN:
        click.echo(f"showing {_SHOWN} of {len(jobs)} tasks; a narrower pattern shows the others", err=True)
