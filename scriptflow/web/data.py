"""What the pages of a run and its tasks show, as documents: the same for a page and for its JSON.

Knows the store. Knows nothing of HTTP or of HTML.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.frozen import changed
from scriptflow.store.documents import job_row, run_row
from scriptflow.store.pages import STATES, PageReader
from scriptflow.store.standing import eta_s
from scriptflow.web.logs import last_lines
from scriptflow.web.views import is_plain

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.core.records import JobRecord, RunCounts, RunRecord
    from scriptflow.web.views import Asked

    Document = dict[str, Any]

_TAIL = 8
_CARDS = 5
_LOOKED_AT = 200
_GROUPS = 60
_RUNNING = 10


# --- one run --------------------------------------------------------------------------------------


def run(asked: Asked) -> Document:
    """Show how a run stands: counts, failures first with the ends of their logs, groups, what runs, time left."""
    reader, record = asked.reader, asked.reader.find_run(asked.path["run"])
    groups = groups_of(reader, record)
    counts = _counts(record, groups)
    failures, failed = reader.tasks_page(record.id, state="failed", limit=_LOOKED_AT)
    running, _ = (
        reader.tasks_page(record.id, state="running", sort="seconds", descending=True, limit=_RUNNING)
        if record.status == "running"
        else ([], 0)
    )
    return {
        **run_document(asked, record, counts),
        "eta_s": eta_s(reader, changed(record, counts=counts)) if record.status == "running" else None,
        "failures": _clusters(asked, failures),
        "failures_total": failed,
        "failures_looked_at": len(failures),
        "groups": groups[:_GROUPS],
        "groups_total": len(groups),
        "running_jobs": [_task_row(asked, record, job) for job in running],
        "params": dict(record.params),
        "argv": list(record.argv),
        "git": record.git,
        "pid": record.pid,
    }


def groups(asked: Asked) -> Document:
    """Show the groups of a run: how many tasks of each are where."""
    record = asked.reader.find_run(asked.path["run"])
    found = groups_of(asked.reader, record)
    return {"run": record.run, "groups": found, "total": len(found)}


def groups_of(reader: PageReader, record: RunRecord) -> list[Document]:
    """Count the tasks of each group by what became of them, the groups in the order they began."""
    found: dict[str, Document] = {}
    for name, state, number, mean in reader.groups(record.id):
        group = found.setdefault(
            name, {"group": name, "total": 0, **dict.fromkeys(STATES, 0), "unfinished": 0, "mean_s": None}
        )
        shown = shown_state(state, record)
        word = next((word for word, states in STATES.items() if shown in states), "unfinished")
        group[word] += number
        group["total"] += number
        if state == "succeeded":
            group["mean_s"] = mean
    for group in found.values():
        order = ("failed", "running", "unfinished", "cancelled", "queued")
        group["state"] = next((word for word in order if group[word]), "succeeded")
    return list(found.values())


def shown_state(state: str, record: RunRecord) -> str:
    """Return the state of a job as it is shown: what is open in a run that has ended was cut short."""
    return "interrupted" if state in ("started", "running", "queued") and record.status != "running" else str(state)


def _counts(record: RunRecord, groups: list[Document]) -> RunCounts:
    """Return the counts of a run; of a live one what rows of jobs say already, since they are written first.

    Of a run elsewhere there may be only counts, or rows only of what failed.
    """
    if record.status != "running":
        return record.counts
    return changed(
        record.counts,
        running=sum(group["running"] for group in groups) or record.counts.running,
        failed=max(record.counts.failed, sum(group["failed"] for group in groups)),
    )


def _clusters(asked: Asked, failures: list[JobRecord]) -> list[Document]:
    """Put failures of one cause together, the most frequent first, each with the end of one log."""
    from scriptflow.terminal.look import escape
    from scriptflow.terminal.words import shared_cause

    folder = asked.reader.folder
    clusters: dict[str, Document] = {}
    record = asked.reader.find_run(asked.path["run"])
    for job in failures:
        lines = last_lines(folder, job.log, _TAIL)
        cause = escape(shared_cause(how_it_ended(job), lines))
        cluster = clusters.get(cause)
        if cluster is None:
            clusters[cause] = {"cause": cause, "count": 1, "tail": lines, "task": _task_row(asked, record, job)}
        else:
            cluster["count"] += 1
    return sorted(clusters.values(), key=lambda cluster: -cluster["count"])[:_CARDS]


# --- its tasks ------------------------------------------------------------------------------------


def tasks(asked: Asked) -> Document:
    """Show the tasks of a run that had a job: filtered, sorted, a part at a time."""
    record = asked.reader.find_run(asked.path["run"])
    found, total = asked.reader.tasks_page(
        record.id,
        state=asked["state"],
        group=asked["group"],
        text=asked["q"],
        sort=asked["sort"],
        descending=asked["desc"],
        limit=asked["limit"],
        offset=asked["offset"],
    )
    all_groups = groups_of(asked.reader, record)
    return {
        **run_document(asked, record, _counts(record, all_groups)),
        "tasks": [_task_row(asked, record, job) for job in found],
        "matching": total,
        "with_jobs": sum(group["total"] for group in all_groups),
        "offset": asked["offset"],
        "limit": asked["limit"],
        "states": {word: sum(group[word] for group in all_groups) for word in STATES},
        "groups": [{"group": group["group"], "total": group["total"]} for group in all_groups[:200]],
    }


def how_it_ended(job: JobRecord) -> str:
    """Say how a job ended, or that it has not."""
    from scriptflow.core.job import JobReport
    from scriptflow.terminal import words

    if job.cause is None:
        return {"succeeded": "ok", "started": "running"}.get(job.state, str(job.state))
    return words.cause(JobReport(state=job.state, exit_code=job.exit_code, signal=job.signal, cause=job.cause))


def _task_row(asked: Asked, record: RunRecord, job: JobRecord) -> Document:
    return {
        **{key: value for key, value in job_row(job).items() if key != "log"},
        "state": shown_state(job.state, record),
        "said": how_it_ended(job),
        "since": job.began or job.started,
        "page": asked.link("r", record.run, "t", name_in_address(job)),
    }


def name_in_address(job: JobRecord) -> str:
    """Return what a task is called in an address: its name, or where that cannot stand there the number of a job."""
    return job.task if is_plain(job.task) else f"~{job.job}"


def run_document(asked: Asked, record: RunRecord, counts: RunCounts) -> Document:
    """Return what every page says of a run."""
    total = counts.ran + counts.skipped + counts.failed + counts.cancelled
    total += counts.queued + counts.running + counts.waiting
    return {
        **run_row(changed(record, counts=counts)),
        "cancelled": counts.cancelled,
        "queued": counts.queued,
        "waiting": counts.waiting,
        "running": counts.running,
        "total": total,
        "capacity": record.capacity,
        "seconds": _seconds(record),
        "since": record.started,
        "tags": list(record.tags),
        "host": record.host,
        "user": record.user,
        "message": record.message,
        "page": asked.link("r", record.run),
    }


def _seconds(record: RunRecord) -> float | None:
    """Return how long a run took, or has taken so far; None where nobody knows when it was cut short."""
    import time

    if record.ended is None and record.status != "running":
        return None
    return max(0.0, (record.ended or time.time()) - record.started)
