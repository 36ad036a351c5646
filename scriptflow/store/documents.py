"""A run and a job as every JSON answer has them: commands, reports and the web say the same words.

Knows records, nothing of tables, screens or pages.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.records import JobRecord, RunRecord


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
