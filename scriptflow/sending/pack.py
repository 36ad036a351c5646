"""Turn a run's events into batches: the counts always, of single jobs as much as was asked for.

Knows events and what a batch looks like. Knows nothing of disks, servers or threads.
"""

from __future__ import annotations

import json
import os

from scriptflow.sending.options import DETAILS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from scriptflow.core.events import Event, JobRetried, JobStarted, Progress, RunEnded, TaskEnded, TasksSkipped
    from scriptflow.core.job import JobReport

MOST_ROWS = 4000
MOST_BYTES = 1024 * 1024
"""How large the rows of a batch may be, about, before it is closed: a request costs more than a thousand rows."""
LONGEST = 1536 * 1024
"""How long a batch may be as it is written; one that is longer is sent in parts."""
LOG_BYTES = 64 * 1024
"""How much of the end of each log is sent where logs are."""

_COMMAND = 4000
_TEXT = 1000


class Packer:
    """Keeps count of one run and makes batches of it.

    Args:
        head: what every batch says of its head and run.
        detail: a word of ``DETAILS``.
    """

    def __init__(self, head: dict[str, Any], detail: str) -> None:
        self._head = head
        self._level = DETAILS.index(detail)
        self._number = 0
        self._ran = self._skipped = self._failed = self._cancelled = 0
        self._queued: set[str] = set()
        self._running: dict[int, JobStarted] = {}
        self._declared: dict[str, int] = {}
        self._started: list[dict[str, Any]] = []
        self._ended: list[dict[str, Any]] = []
        self._bytes = 0
        self._end: dict[str, Any] = {"status": "running"}
        self._counts: dict[str, int] | None = None
        self._told: dict[str, Any] = {}
        self.lost = 0
        """Events that could not be kept; the counts know of them."""
        self._tells = {
            "TasksSkipped": self._tasks_skipped,
            "TaskQueued": self._task_queued,
            "JobStarted": self._job_started,
            "JobRetried": self._job_retried,
            "TaskEnded": self._task_ended,
            "Progress": self._progress,
            "RunEnded": self._run_ended,
        }

    def batches(self, events: Iterable[Event]) -> Iterator[tuple[int, bytes, bool]]:
        """Take events and give the batches that are due: number, JSON, whether it has rows of single jobs.

        The last one says how things stand after all of ``events``; none when nothing has changed.
        """
        for event in events:
            tell = self._tells.get(type(event).__name__)
            if tell is not None:
                tell(event)
                if self._bytes >= MOST_BYTES or len(self._started) + len(self._ended) >= MOST_ROWS:
                    yield from self._batches()
        state = self._state()
        if self._started or self._ended or state != self._told:
            self._told = state
            yield from self._batches()

    def heartbeat(self) -> bytes:
        """Return a sign of life: a batch without number and rows."""
        return json.dumps({**self._head, "batch": 0, **self._state()}).encode()

    def _batches(self) -> Iterator[tuple[int, bytes, bool]]:
        started, ended = self._started, self._ended
        self._started, self._ended, self._bytes = [], [], 0
        yield from self._sized(started, ended)

    def _sized(self, started: list[dict[str, Any]], ended: list[dict[str, Any]]) -> Iterator[tuple[int, bytes, bool]]:
        """Make one batch of rows, or several: text that is not plain grows sixfold when it is written."""
        number = self._number + 1
        document = {**self._head, "batch": number, **self._state(), "started": started, "ended": ended}
        content = json.dumps(document).encode()
        if len(content) <= LONGEST or len(started) + len(ended) < 2:
            self._number = number
            yield number, content, bool(started or ended)
        elif started and ended:  # a job begins before it ends
            yield from self._sized(started, [])
            yield from self._sized([], ended)
        else:
            for half in (slice(None, len(started or ended) // 2), slice(len(started or ended) // 2, None)):
                yield from self._sized(started[half], ended[half])

    def _state(self) -> dict[str, Any]:
        counts = self._counts
        if counts is None:
            known = self._ran + self._skipped + self._failed + self._cancelled
            known += len(self._queued) + len(self._running)
            counts = {
                "ran": self._ran, "skipped": self._skipped, "failed": self._failed, "cancelled": self._cancelled,
                "queued": len(self._queued), "running": len(self._running),
                "waiting": max(0, sum(self._declared.values()) - known), "capacity": 0,
            }  # fmt: skip
        return {**self._end, "counts": counts, "lost": self.lost}

    # --- events -------------------------------------------------------------------------------

    def _tasks_skipped(self, event: TasksSkipped) -> None:
        self._skipped += event.count

    def _task_queued(self, event: Any) -> None:  # noqa: ANN401 (a TaskQueued)
        self._queued.add(event.task)

    def _progress(self, event: Progress) -> None:
        self._declared[event.group] = event.declared

    def _job_started(self, event: JobStarted) -> None:
        self._queued.discard(event.task)
        self._running[event.job] = event
        if self._level >= 2:
            self._add(self._started, _start_row(event))

    def _job_retried(self, event: JobRetried) -> None:
        begun = self._running.pop(event.job, None)
        self._queued.add(event.task)
        if self._level and begun is not None:
            self._add_end(begun, "failed", event.report, "", ())

    def _task_ended(self, event: TaskEnded) -> None:
        self._queued.discard(event.task)
        begun = self._running.pop(event.job, None) if event.job is not None else None
        if event.state == "succeeded":
            self._ran += 1
        elif event.state == "failed":
            self._failed += 1
        else:
            self._cancelled += 1
        if begun is not None and (self._level >= 2 or (self._level and event.state == "failed")):
            self._add_end(begun, event.state, event.report, event.message, event.tail)

    def _run_ended(self, event: RunEnded) -> None:
        counts = event.counts
        self._counts = {
            name: getattr(counts, name)
            for name in ("ran", "skipped", "failed", "cancelled", "queued", "running", "waiting", "capacity")
        }
        self._end = {"status": str(event.status), "ended_at": event.at, "message": _cut(event.message)}

    # --- rows ---------------------------------------------------------------------------------

    def _add_end(
        self, begun: JobStarted, state: str, report: JobReport | None, message: str, tail: tuple[str, ...]
    ) -> None:
        if self._level == 1:  # only failures are told, so the start is too
            self._add(self._started, _start_row(begun))
        row: dict[str, Any] = {"job": begun.job, "state": state}
        if report is not None:
            for name in ("began", "ended", "exit_code", "signal", "max_rss_bytes", "cpu_s", "host"):
                value = getattr(report, name)
                if value is not None:
                    row[name] = value
            if report.cause is not None:
                row["cause"] = str(report.cause)
        if message:
            row["detail"] = _cut(message)
        if self._level == 3:
            row["log"] = _end_of(begun.log)
        elif tail:
            row["log"] = "\n".join(_cut(line) for line in tail) + "\n"
        self._add(self._ended, row)

    def _add(self, rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
        rows.append(row)
        self._bytes += 200 + len(row.get("log", "")) + len(row.get("command", ""))


def _start_row(event: JobStarted) -> dict[str, Any]:
    return {
        "job": event.job, "task": _cut(event.task), "group": _cut(event.group), "attempt": event.attempt,
        "executor": event.executor, "at": event.at, "command": _cut(event.command, _COMMAND),
        "reasons": [(code, _cut(detail)) for code, detail in event.reasons[:20]],
    }  # fmt: skip


def _cut(text: str, most: int = _TEXT) -> str:
    """Return text of bounded length and without stray bytes, which JSON does not have."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _end_of(log: str) -> str:
    try:
        with open(log, "rb") as file:  # noqa: PTH123 (plain strings all through)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            return file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
