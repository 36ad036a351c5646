"""Decide how a job ended, from what its wrapper wrote and what its batch system says.

Pure functions; knows no batch system by name and asks nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.frozen import frozen
from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState

if TYPE_CHECKING:
    from scriptflow.hpc.script import Ending

_KILL = 9
# What a batch system does to jobs; a wrapper sees no more of it than a signal.
_DONE_TO_IT = (Cause.WALLTIME, Cause.OUT_OF_MEMORY, Cause.NODE_FAILURE, Cause.PREEMPTED, Cause.CANCELLED)
LIVE = (JobState.QUEUED, JobState.RUNNING, JobState.UNKNOWN)


@frozen
class Sight:
    """A job as its batch system shows it.

    Attributes:
        id: the batch system's id, an array's element by itself.
        state: ``queued``, ``running``, ``unknown`` (a word we do not know), or how it ended.
        name: the whole job name, empty when the system cuts it or does not show it.
        reason: why it waits, in words for the user.
        stuck: it is in an error state, and will never run by itself.
        doubtful: it waits, and may wait for ever as things are.
        cause: why it did not end well, None when the system does not say.
    """

    id: str
    state: JobState
    name: str = ""
    reason: str = ""
    stuck: bool = False
    doubtful: bool = False
    cause: Cause | None = None
    exit_code: int | None = None
    signal: int | None = None
    host: str = ""
    max_rss_bytes: int | None = None
    detail: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it has not ended, as far as the system knows."""
        return self.state in LIVE


def is_clear(ending: Ending, *, system_sees_more: bool) -> bool:
    """Whether the wrapper's record says all: no signal came that the system may have a reason for.

    ``system_sees_more``: the system may know of memory what the wrapper could not see.
    """
    told = [word for word in ending.told if word != "timeout"]
    if "timeout" in ending.told and not told:
        return True
    if ending.kills:
        return True
    return not told and ending.signal != _KILL and not (ending.kills is None and system_sees_more)


def verdict(ending: Ending | None, sight: Sight | None, *, cancelled: bool) -> JobReport:
    """Report an end. The record has the exit code, the system the reason.

    Args:
        ending: the wrapper's record, None when there is none.
        sight: what the system says of the ended job, None when it knows nothing.
        cancelled: we asked for its end.
    """
    if ending is None:
        return _by_sight(sight, cancelled=cancelled)
    state, cause, detail = _by_record(ending, cancelled=cancelled)
    if sight is not None and sight.cause in _DONE_TO_IT:
        disturbed = bool(ending.told) or ending.signal is not None
        if sight.cause is Cause.OUT_OF_MEMORY or (disturbed and cause is not Cause.TIMEOUT):
            cause, detail = sight.cause, sight.detail or detail
            state = JobState.CANCELLED if cause is Cause.CANCELLED else JobState.FAILED
    return JobReport(
        state=state,
        exit_code=None if ending.signal is not None else ending.code,
        signal=ending.signal,
        cause=cause,
        began=ending.began,
        ended=ending.ended,
        max_rss_bytes=_most(ending.max_rss_bytes, sight.max_rss_bytes if sight else None),
        cpu_s=ending.cpu_s,
        host=ending.host,
        pid=ending.pid,
        detail=detail,
    )


def _by_record(ending: Ending, *, cancelled: bool) -> tuple[JobState, Cause | None, str]:
    if "timeout" in ending.told:
        late = ", and killed after its grace" if ending.signal == _KILL else ""
        return JobState.FAILED, Cause.TIMEOUT, f"ended by its timeout{late}"
    if ending.kills:
        return JobState.FAILED, Cause.OUT_OF_MEMORY, "the kernel killed a process of it for want of memory"
    if cancelled and (ending.told or ending.signal is not None):
        return JobState.CANCELLED, Cause.CANCELLED, ""
    if ending.signal is not None:
        detail = "killed by another program: out of memory is likely" if ending.signal == _KILL else ""
        return JobState.FAILED, Cause.SIGNAL, ending.detail or detail
    if ending.code != 0:
        return JobState.FAILED, Cause.EXIT, ending.detail
    return JobState.SUCCEEDED, None, ending.detail


def _by_sight(sight: Sight | None, *, cancelled: bool) -> JobReport:
    if sight is None:
        if cancelled:
            return JobReport(state=JobState.CANCELLED, cause=Cause.CANCELLED)
        return JobReport(
            state=JobState.LOST,
            cause=Cause.LOST,
            detail="it vanished: neither the queue nor the accounting knows it, and it left no record",
        )
    state, cause = sight.state, sight.cause
    if cancelled and state is JobState.FAILED and cause in (Cause.SIGNAL, None):
        state, cause = JobState.CANCELLED, Cause.CANCELLED
    if state is JobState.FAILED and cause is None:
        cause = Cause.EXIT if sight.signal is None else Cause.SIGNAL
    return JobReport(
        state=state,
        exit_code=0 if state is JobState.SUCCEEDED else sight.exit_code,
        signal=sight.signal,
        cause=cause,
        max_rss_bytes=sight.max_rss_bytes,
        host=sight.host,
        detail=sight.detail or "its wrapper left no record; this is what the batch system says",
    )


def _most(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)
