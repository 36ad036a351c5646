"""What the pages of one task show, as documents: its command, reasons, attempts, files and log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.errors import NotFound
from scriptflow.store.documents import iso, job_row, seconds_of
from scriptflow.web import logs
from scriptflow.web.data import how_it_ended, name_in_address, shown_state

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.core.records import JobRecord, RunRecord, Seen
    from scriptflow.web.views import Asked

    Document = dict[str, Any]

_FILES = 200


def task(asked: Asked) -> Document:
    """Show one task of a run: command, every reason it ran, attempts, resources, files in and out, end of its log."""
    from scriptflow.core.fingerprint import Manifest

    record, attempts, job = chosen(asked)
    job = asked.reader.job(job.job) or job
    manifest = Manifest(job.manifest)
    return {
        **_row(job, record),
        "cores_used": job.cpu_s / seconds if job.cpu_s is not None and (seconds := seconds_of(job)) else None,
        "flow": record.flow,
        "run_status": record.status,
        "name_in_address": name_in_address(job),
        "key": job.key,
        "command": manifest.command,
        "shell": manifest.shell,
        "settings": dict(manifest.extra),
        "reasons": [_reason(code, detail) for code, detail in job.reasons],
        "asked": {"cpus": job.cpus, "memory_bytes": job.memory_bytes, "gpus": job.gpus},
        "inputs": file_rows(asked, [seen for seen in job.files if seen.role == "in"], with_makers=True),
        "inputs_total": sum(seen.role == "in" for seen in job.files),
        "outputs": file_rows(asked, [seen for seen in job.files if seen.role == "out"], with_makers=False),
        "outputs_total": sum(seen.role == "out" for seen in job.files),
        "attempts": [_row(attempt, record) for attempt in attempts],
        "log_tail": _window(asked, job, None),
    }


def log(asked: Asked) -> Document:
    """Show a part of a task's log, or the lines of it that have a text in them."""
    record, attempts, job = chosen(asked)
    document = {**_row(job, record), "attempts": len(attempts), "name_in_address": name_in_address(job)}
    if asked["q"]:
        with logs.open_below(asked.reader.folder, job.log) as file:
            return {**document, "q": asked["q"], **logs.found(file, asked["q"])}
    return {**document, **_window(asked, job, asked["at"])}


def chosen(asked: Asked) -> tuple[RunRecord, list[JobRecord], JobRecord]:
    """Return the run, all jobs of the task in it and the one that was asked for: the newest, or ``attempt``.

    Raises:
        NotFound: no such run, task or attempt.
    """
    reader, record, name = asked.reader, asked.reader.find_run(asked.path["run"]), asked.path["task"]
    attempts = reader.attempts(record.id, name)
    if not attempts and name.startswith("~") and name[1:].isdecimal():
        job = reader.job(min(int(name[1:]), 1 << 62))
        attempts = reader.attempts(record.id, job.task) if job is not None and job.run == record.run else []
    if not attempts:
        last = reader.last_job(name)
        raise NotFound(
            f"task {name} did not run in {record.run}",
            why=f"it was up to date, was not reached, or is not part of it; it last ran in {last.run}" if last else (),
            do=f"scriptflow show {last.task}" if last else f"scriptflow show {record.run}",
        )
    if asked["attempt"] is None:
        return record, attempts, attempts[-1]
    for job in attempts:
        if job.attempt == asked["attempt"]:
            return record, attempts, job
    raise NotFound(f"task {name} has no attempt {asked['attempt']} in {record.run}")


def _row(job: JobRecord, record: RunRecord) -> Document:
    return {
        **{key: value for key, value in job_row(job).items() if key != "log"},
        "log": job.log.rpartition("/.scriptflow/")[2],
        "state": shown_state(job.state, record),
        "said": how_it_ended(job),
        "since": job.began or job.started,
        "live": job.ended is None and record.status == "running",
    }


def _reason(code: str, detail: str) -> Document:
    """Take a reason apart: where its detail has an old and a new value, both."""
    from scriptflow.terminal.words import reason

    parts = detail.split(" -> ")
    old, new = parts if len(parts) == 2 else (None, None)
    return {"code": code, "detail": detail, "old": old, "new": new, "said": reason(code, "" if old else detail)}


def file_rows(asked: Asked, files: list[Seen], *, with_makers: bool) -> list[Document]:
    """Return files as documents, at most 200 of them; with the names of tasks that make them, if wanted."""
    shown = files[:_FILES]
    makers = asked.reader.makers([seen.path for seen in shown]) if with_makers and shown else {}
    return [
        {
            "file": seen.path,
            "exists": seen.size >= 0,
            "bytes": seen.size if seen.size >= 0 else None,
            "modified": iso(seen.mtime_ns / 1e9) if seen.size >= 0 and seen.ctime_ns else None,
            "sha256": seen.sha256,
            "made_by": makers[seen.path][0] if seen.path in makers else None,
            "page": asked.link("files", *steps_of(seen.path)),
        }
        for seen in shown
    ]


def steps_of(path: str) -> list[str]:
    """Cut a path into the parts of an address; of an absolute one the first part begins with its slash."""
    first, *rest = path.removeprefix("/").split("/")
    return ["/" + first if path.startswith("/") else first, *rest]


def _window(asked: Asked, job: JobRecord, at: int | None) -> Document:
    try:
        with logs.open_below(asked.reader.folder, job.log) as file:
            return {**logs.window(file, at), "missing": None}
    except NotFound as error:
        nothing: Document = {"size": 0, "from": 0, "to": 0, "earlier": None, "later": None, "lines": []}
        return {**nothing, "missing": error.what}
