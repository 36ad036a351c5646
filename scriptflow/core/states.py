"""The states of tasks, jobs and runs, and the one table of allowed moves."""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """Where a task is in its life."""

    NEW = "new"  # made, editable, perhaps never sent
    WAITING = "waiting"  # sent, and another task must end first
    QUEUED = "queued"  # must run, and waits for room on an executor
    SUBMITTED = "submitted"  # handed to an executor; it may not have begun
    RUNNING = "running"  # its command runs
    SUCCEEDED = "succeeded"  # its command ended well and every output is there
    FAILED = "failed"  # its last job failed; no output of it is left
    CANCELLED = "cancelled"  # stopped, or never started because something it needs failed
    SKIPPED = "skipped"  # up to date


NEW = TaskState.NEW
WAITING = TaskState.WAITING
QUEUED = TaskState.QUEUED
SUBMITTED = TaskState.SUBMITTED
RUNNING = TaskState.RUNNING
SUCCEEDED = TaskState.SUCCEEDED
FAILED = TaskState.FAILED
CANCELLED = TaskState.CANCELLED
SKIPPED = TaskState.SKIPPED

# A retry goes back to the queue from wherever the job was; a task whose equal ran succeeds with it.
MOVES: dict[str, tuple[TaskState, ...]] = {
    NEW: (SKIPPED, WAITING, QUEUED, SUCCEEDED, FAILED, CANCELLED),
    WAITING: (SKIPPED, QUEUED, SUCCEEDED, FAILED, CANCELLED),
    QUEUED: (SUBMITTED, FAILED, CANCELLED),
    SUBMITTED: (RUNNING, SUCCEEDED, FAILED, CANCELLED, QUEUED),
    RUNNING: (SUCCEEDED, FAILED, CANCELLED, QUEUED),
    SUCCEEDED: (),
    FAILED: (),
    CANCELLED: (),
    SKIPPED: (),
}
SETTLED = (SKIPPED, SUCCEEDED, FAILED, CANCELLED)
GOOD = (SKIPPED, SUCCEEDED)


class JobState(StrEnum):
    """Where one attempt of a task is."""

    STARTED = "started"  # written before the job exists: "may be running"
    QUEUED = "queued"  # accepted by a batch system
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # its head died and nothing says how it ended
    UNKNOWN = "unknown"  # the batch system does not answer


class RunState(StrEnum):
    """How a run goes or went."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # stopped by a signal or a cancel request
    INTERRUPTED = "interrupted"  # its head died


class Cause(StrEnum):
    """Why a job did not end well."""

    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    WALLTIME = "walltime"
    OUT_OF_MEMORY = "out-of-memory"
    NODE_FAILURE = "node-failure"
    PREEMPTED = "preempted"
    OUTPUT_MISSING = "output-missing"
    CANCELLED = "cancelled"
    LOST = "lost"
