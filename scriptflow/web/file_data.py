"""What the pages of files show, as documents: which files there are, who made one, from what, and what used it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.fingerprint import Manifest
from scriptflow.errors import NotFound
from scriptflow.store.documents import job_row
from scriptflow.web.task_data import file_rows, steps_of

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.core.records import JobRecord
    from scriptflow.web.views import Asked

    Document = dict[str, Any]

_MAKERS = 10
_USERS = 50


def files(asked: Asked) -> Document:
    """Show the files that tasks read and made, by path."""
    made = {"made": True, "source": False}.get(asked["kind"])
    found, total = asked.reader.files_page(text=asked["q"], made=made, limit=asked["limit"], offset=asked["offset"])
    return {
        "files": [
            {"file": path, "made_by": task, "page": asked.link("files", *steps_of(path))} for path, task, _ in found
        ],
        "total": total,
        "offset": asked["offset"],
        "limit": asked["limit"],
    }


def file(asked: Asked) -> Document:
    """Show how a file was made, from what, and what it went into."""
    path = asked.path["path"]
    makers = asked.reader.jobs_of_file(path, made=True, limit=_MAKERS)
    users = asked.reader.jobs_of_file(path, made=False, limit=_USERS)
    if makers is None or users is None:
        raise NotFound(f"no task read or made {path}", do="scriptflow trace FILE  # also finds copies by their content")
    made = asked.reader.job(makers[0][0].job) if makers[0] else None
    inputs = [seen for seen in made.files if seen.role == "in"] if made else []
    self_seen = [seen for seen in made.files if seen.role == "out" and seen.path == path] if made else []
    return {
        "file": path,
        "seen": file_rows(asked, self_seen, with_makers=False)[0] if self_seen else None,
        "made_by": _maker(asked, made) if made else None,
        "inputs": file_rows(asked, inputs, with_makers=True),
        "inputs_total": len(inputs),
        "makers": [_job(asked, job) for job in makers[0]],
        "makers_total": makers[1],
        "used_by": [_job(asked, job) for job in users[0]],
        "used_by_total": users[1],
    }


def _job(asked: Asked, job: JobRecord) -> Document:
    row = job_row(job)
    kept = ("task", "run", "attempt", "state", "started", "seconds")
    return {**{key: row[key] for key in kept}, "page": asked.link("r", job.run, "t", job.task)}


def _maker(asked: Asked, job: JobRecord) -> Document:
    run = asked.reader.find_run(job.run)
    return {
        **_job(asked, job),
        "command": Manifest(job.manifest).command,
        "host": job.host,
        "user": run.user,
        "git": run.git,
        "ended": job_row(job)["ended"],
    }
