"""Turn what became of a local process into a report, in words that help.

Knows the reaper's messages and error numbers; knows nothing of processes that run.
"""

from __future__ import annotations

import errno
import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.core.job import JobReport
from scriptflow.core.nearest import nearest
from scriptflow.core.states import Cause, JobState
from scriptflow.executors import reaper

if TYPE_CHECKING:
    from scriptflow.core.job import Job
    from scriptflow.executors.reaper import Message

NOT_FOUND, NOT_RUNNABLE = 127, 126  # the exit codes a shell gives
_SIGKILL = 9
_SUCCEEDED, _FAILED, _CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


def ended(message: Message, host: str) -> JobReport:
    """Report a process that ran."""
    _, _, pid, began, ended_at, status, rss, cpu_s, flags = message
    exit_code, signal = (None, status & 0x7F) if status & 0x7F else (status >> 8, None)
    state, cause, detail = _FAILED, Cause.EXIT, ""
    if flags & reaper.STOPPED:
        state, cause = _CANCELLED, Cause.CANCELLED
    elif flags & reaper.TIMED_OUT:
        cause = Cause.TIMEOUT
        detail = "ended by its timeout" + (", and killed after its grace" if flags & reaper.KILLED else "")
    elif signal is not None:
        cause = Cause.SIGNAL
        if signal == _SIGKILL:
            detail = "killed by another program: out of memory is likely"
    return JobReport(
        state=_SUCCEEDED if status == 0 and flags == 0 else state,
        exit_code=exit_code,
        signal=signal,
        cause=None if status == 0 and flags == 0 else cause,
        began=began,
        ended=ended_at,
        max_rss_bytes=rss,
        cpu_s=cpu_s,
        host=host,
        pid=pid,
        detail=detail,
    )


def refused(message: Message, job: Job, path: str, host: str) -> JobReport:
    """Report a job whose command never began; ``path`` is the PATH it had."""
    _, _, code, what, detail = message
    if what == reaper.STOPPED_EARLY:
        return stopped_early(host)
    exit_code, why = NOT_RUNNABLE, os.strerror(code)
    if what == reaper.CWD:
        why = f"its folder {detail} cannot be entered: {why}"
    elif what == reaper.LOG:
        why = f"its log {detail} cannot be written: {why}"
    elif what == reaper.FORK:
        why = f"the system had no room for another process for {reaper.RETRY_ENDS_S:.0f} s: {why}"
    elif what == reaper.WORDS:
        why = f"the system does not take its command: {detail}"
    elif code == errno.E2BIG:
        length = sum(len(os.fsencode(word)) + 1 for word in job.argv)
        why = f"its command of {length} bytes is longer than the system takes: pass long lists in a file"
    elif code == errno.ENOEXEC:
        why = f"{detail} is no program: a script must begin with a line like #!/bin/sh"
    elif code != errno.ENOENT:
        why = f"{detail} cannot be run: {why}"
    else:
        exit_code, why = NOT_FOUND, _not_found(detail, job.cwd, path)
    return never_began(why, host, exit_code)


def never_began(detail: str, host: str, exit_code: int = NOT_RUNNABLE) -> JobReport:
    """Report a job that could not be started."""
    return JobReport(state=_FAILED, exit_code=exit_code, cause=Cause.EXIT, ended=time.time(), host=host, detail=detail)


def stopped_early(host: str) -> JobReport:
    """Report a job that was stopped before it began."""
    return JobReport(state=_CANCELLED, cause=Cause.CANCELLED, ended=time.time(), host=host)


def lost(detail: str, host: str) -> JobReport:
    """Report a job of which nobody knows how it ended."""
    return JobReport(state=JobState.LOST, cause=Cause.LOST, ended=time.time(), host=host, detail=detail)


def _not_found(program: str, cwd: str, path: str) -> str:
    if os.sep in program:
        if (Path(cwd) / program).exists():
            return f"{program} is there, but the interpreter that its first line names is not"
        return f"there is no program {program}" + ("" if Path(program).is_absolute() else f" in {cwd}")
    folders = path.split(os.pathsep)
    text = f"no program {program!r} in the {len(folders)} folders of PATH"
    near = nearest(program, _programs(path))
    return f"{text}; the nearest name is {near!r}" if near else text


@lru_cache(maxsize=4)
def _programs(path: str) -> frozenset[str]:
    names: set[str] = set()
    for folder in path.split(os.pathsep):
        try:
            names.update(os.listdir(folder or "."))  # noqa: PTH208 (names are wanted, thousands of them)
        except OSError:
            continue  # PATH may name what is not there
    return frozenset(names)
