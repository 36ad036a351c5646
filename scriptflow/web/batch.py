"""What a head may send, and nothing else: every field with its kind and its bounds.

Knows shapes. Knows nothing of where a batch goes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from scriptflow.core.states import Cause

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
PROJECT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
Name = Annotated[str, Field(pattern=f"^{PROJECT}$")]
Flow = Annotated[str, Field(pattern=r"^[\w-][\w .-]{0,99}$")]
Short = Annotated[str, Field(max_length=300)]
Long = Annotated[str, Field(max_length=4000)]
Count = Annotated[int, Field(ge=0, lt=1 << 40)]
Time = Annotated[float, Field(ge=0, lt=1e11, allow_inf_nan=False)]
Job = Annotated[int, Field(ge=1, lt=1 << 50)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Run(_Part):
    """The run that a batch is about."""

    flow: Flow
    number: Annotated[int, Field(ge=1, lt=1 << 40)]
    started: Time
    host: Short
    user: Short = ""
    pid: Annotated[int, Field(ge=0, lt=1 << 40)] = 0
    python: Short = ""
    version: Short = ""


class Counts(_Part):
    """How many tasks are where."""

    ran: Count = 0
    skipped: Count = 0
    failed: Count = 0
    cancelled: Count = 0
    queued: Count = 0
    running: Count = 0
    waiting: Count = 0
    capacity: Count = 0


class Started(_Part):
    """A job that began."""

    job: Job
    task: Annotated[str, Field(min_length=1, max_length=1000)]
    group: Annotated[str, Field(max_length=1000)] = ""
    attempt: Annotated[int, Field(ge=1, lt=1 << 31)] = 1
    executor: Short
    at: Time
    command: Long = ""
    reasons: Annotated[list[Annotated[list[Long], Field(min_length=2, max_length=2)]], Field(max_length=20)] = []


class Ended(_Part):
    """A job that ended."""

    job: Job
    state: Literal["succeeded", "failed", "cancelled", "lost"]
    began: Time | None = None
    ended: Time | None = None
    exit_code: Annotated[int, Field(ge=-(1 << 31), lt=1 << 32)] | None = None
    signal: Annotated[int, Field(ge=0, lt=1 << 16)] | None = None
    cause: Literal[tuple(str(cause) for cause in Cause)] | None = None  # type: ignore[valid-type]  # one list of causes is enough
    max_rss_bytes: Count | None = None
    cpu_s: Time | None = None
    host: Short = ""
    detail: Long = ""
    log: Annotated[str, Field(max_length=256 * 1024)] = ""


class Batch(_Part):
    """Everything that is posted at once. ``batch`` counts from 1; 0 is a sign of life."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    head: Id
    store: Id
    project: Name
    detail: Literal["counts", "failures", "tasks", "logs", "five"] = "counts"
    batch: Annotated[int, Field(ge=0, lt=1 << 53)]
    run: Run
    status: Literal["running", "succeeded", "failed", "cancelled", "interrupted"]
    ended_at: Time | None = None
    message: Long = ""
    counts: Counts
    lost: Count = 0
    started: Annotated[list[Started], Field(max_length=5000)] = []
    ended: Annotated[list[Ended], Field(max_length=5000)] = []

    def content(self) -> dict[str, object]:
        """Return what the store takes."""
        lost = f"{self.lost} events were not sent: too many at once" if self.lost else ""
        return {
            "counts": self.counts.model_dump(), "status": self.status, "ended": self.ended_at,
            "message": self.message or lost, "started": [row.model_dump() for row in self.started],
            "ended_jobs": [row.model_dump() for row in self.ended],
        }  # fmt: skip
