"""How a run stands: its counts, what runs, what failed, and a guess of the seconds left."""

from __future__ import annotations

from scriptflow.store.documents import job_row, run_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.records import JobRecord, RunRecord
    from scriptflow.store.reader import StoreReader

_SAMPLE = 200
_ENOUGH = 3


class Standing:
    """How a run stands: its record, its running jobs, its failures, and what is left of it in seconds."""

    def __init__(self, reader: StoreReader, run: RunRecord, group: str | None = None) -> None:
        failures, running = reader.failures(run.id), []
        if run.status == "running":
            from scriptflow.core.frozen import changed

            running = _open_jobs(reader, run)
            # A job's row is written before and the run's counts after: the rows know it first.
            failed = max(run.counts.failed, len(failures))
            run = changed(run, counts=changed(run.counts, running=len(running), failed=failed))
        self.run = run
        self.failures = _of_group(failures, group)
        self.running = _of_group(running, group)
        self.eta_s = eta_s(reader, run) if run.status == "running" else None

    def document(self) -> dict[str, object]:
        """Return it as ``status --json`` prints it."""
        counts = self.run.counts
        return {
            "schema": 1,
            **run_row(self.run),
            "cancelled": counts.cancelled,
            "queued": counts.queued,
            "waiting": counts.waiting,
            "running": counts.running,
            "capacity": self.run.capacity,
            "eta_s": self.eta_s,
            "message": self.run.message,
            "failures": [job_row(job) for job in self.failures],
            "running_jobs": [job_row(job) for job in self.running],
        }


def _open_jobs(reader: StoreReader, run: RunRecord) -> list[JobRecord]:
    """Return the jobs that were handed over and have not ended, the longest-running first."""
    jobs = [job for state in ("started", "queued", "running") for job in reader.jobs(run.id, state=state)]
    # It may have joined jobs that an earlier run of its flow left.
    jobs += [job for job in reader.elsewhere() if job.run != run.run and job.run.rpartition("-")[0] == run.flow]
    return sorted(jobs, key=lambda job: job.began or job.started)


def _of_group(jobs: list[JobRecord], group: str | None) -> list[JobRecord]:
    return jobs if group is None else [job for job in jobs if job.group == group]


def eta_s(reader: StoreReader, run: RunRecord) -> int | None:
    """Guess the seconds left from how long tasks took, in this run or the one before; None when nothing is known."""
    counts = run.counts
    left = counts.queued + counts.waiting + counts.running / 2  # on average a running one is half done
    ended = [
        job.ended - job.began
        for job in reader.jobs(run.id, state="succeeded", limit=_SAMPLE)
        if job.began is not None and job.ended is not None
    ]
    if len(ended) < _ENOUGH:
        ended = list(reader.durations(run.flow).values())
    if not ended or not left:
        return None
    return round(left * sum(ended) / len(ended) / max(1, counts.running))
