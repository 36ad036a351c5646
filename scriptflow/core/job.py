"""Job, one attempt of a task as an executor sees it, and JobReport, how that attempt ended."""

from __future__ import annotations

from scriptflow.core.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NewType

    from scriptflow.core.states import Cause, JobState

    JobId = NewType("JobId", str)
else:
    JobId = str  # the executor's own name for a job: a process id, a scheduler's number
NOTHING: Mapping[str, Any] = {}


@frozen
class Resources:
    """What a job asks for; memory in bytes, walltime in seconds, None = not said."""

    cpus: int = 1
    memory_bytes: int | None = None
    gpus: int = 0
    walltime_s: float | None = None


PLAIN = Resources()


@frozen
class Job:
    """One attempt of a task.

    Attributes:
        number: the store's number of this job, unique in one run store for ever.
        run: the run's name, ``demo-7``.
        task: the task's name.
        key: the task's key, hex; run and key together find a job again.
        attempt: 1 for the first try.
        argv: the program and its arguments; a shell command is ``/bin/sh -c TEXT``.
        cwd: absolute folder to run in.
        env: what is added to the executor's environment.
        log: absolute path that takes stdout and stderr; its folder exists.
        inputs: paths, as the flow has them relative to its folder; outputs: absolute paths.
        timeout_s: TERM after so many seconds, None = never; grace_s: KILL so long after TERM.
        options: executor options of this task alone.
        warm: what a resident worker of the same head takes instead of ``argv``: ``server``, the worker's own program
            and arguments, and ``request``, a text for it; an executor without such workers runs ``argv``.
    """

    number: int
    run: str
    task: str
    key: str
    attempt: int
    argv: tuple[str, ...]
    cwd: str
    log: str
    env: Mapping[str, str] = NOTHING
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    resources: Resources = PLAIN
    timeout_s: float | None = None
    grace_s: float = 5.0
    container: str | None = None
    options: Mapping[str, object] = NOTHING
    warm: Mapping[str, Any] | None = None


@frozen
class JobReport:
    """How a job ended, as its executor knows it; times are seconds since the epoch (UTC).

    Attributes:
        state: ``succeeded`` (exit code 0), ``failed``, ``cancelled`` or ``lost``.
        exit_code: None when a signal ended it or it never began; 127 when the program was not found.
        cause: None exactly when state is ``succeeded``.
        max_rss_bytes: peak memory of the largest process, None when unknown.
        cpu_s: user and system time, None when unknown.
        detail: one sentence for the user, when there is more to say; facts: what else is known, a sentence each.
    """

    state: JobState
    exit_code: int | None = None
    signal: int | None = None
    cause: Cause | None = None
    began: float | None = None
    ended: float | None = None
    max_rss_bytes: int | None = None
    cpu_s: float | None = None
    host: str = ""
    pid: int | None = None
    detail: str = ""
    facts: tuple[str, ...] = ()
