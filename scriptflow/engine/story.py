"""What to tell of a job that failed: one sentence, the facts, and the next step.

Knows reports and names. Knows nothing of screens: the words here are the error's own.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from scriptflow.core.command import argv_of, command_line
from scriptflow.core.logs import tail
from scriptflow.core.states import Cause
from scriptflow.errors import CommandNotFound, OutputMissing, ScriptflowError, TaskFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scriptflow.core.job import JobReport
    from scriptflow.core.task import Task
    from scriptflow.engine.life import Life

_NOT_FOUND = 127
_SHELL_WORDS = frozenset({">", ">>", "<", "|", "||", "&&", "2>", "2>&1", "&>", ";"})


_TAIL_LINES = 20


def failure_of(life: Life, report: JobReport) -> TaskFailed:
    """Return the error for a job that failed, with what is known of the cause."""
    kind, what, why, do = story_of(life.name, report, life.task, life.outputs, life.head.files.absolute)
    kinds = {"output-missing": OutputMissing, "command-not-found": CommandNotFound}
    if life.aside:
        why = (*why, f"the older version is kept as {', '.join(life.aside[:3])}, so that nothing reads it")
    return error_of(life, kinds.get(kind, TaskFailed), what, why=why, do=do)


def error_of(
    life: Life, kind: type[TaskFailed], what: str, *, why: str | Sequence[str] = (), do: str = ""
) -> TaskFailed:
    """Return an error with all that is known of a task and its last job."""
    report, log = life.report, life.job.log if life.job is not None else None
    try:
        command = command_line(life.task, life.head.folder)
    except ScriptflowError:  # its placeholders cannot be filled, which may be what this is about
        command = str(life.task.cmd)
    return kind(
        what,
        task=life.name,
        command=command,
        exit_code=report.exit_code if report else None,
        signal=report.signal if report else None,
        cause=str(report.cause) if report and report.cause else None,
        log=log,
        tail=tail(log, _TAIL_LINES) if log else (),
        why=why,
        do=do,
        place=life.task.place,
    )


def in_short(report: JobReport) -> str:
    """Return all that a report says besides numbers in one line, for the record."""
    return "; ".join(part for part in (report.detail, *report.facts) if part)


def story_of(
    name: str, report: JobReport, task: Task, outputs: Sequence[str], absolute: Callable[[str], str]
) -> tuple[str, str, tuple[str, ...], str]:
    """Return the kind of failure (an error's slug), what happened, why, and what to do."""
    detail = (report.detail, *report.facts) if report.detail else report.facts
    if report.cause is Cause.OUTPUT_MISSING:
        return _left_out(name, report, task, outputs, absolute)
    if report.cause is Cause.TIMEOUT:
        limit = task.get("timeout")
        return (
            "task-failed",
            f"{name} was stopped after its time limit of {limit}",
            detail,
            "raise timeout= on the task",
        )
    if report.cause is Cause.SIGNAL and report.signal is not None:
        try:
            number = signal.Signals(report.signal).name
        except ValueError:
            number = f"signal {report.signal}"
        return "task-failed", f"{name} was killed by {number}", detail, f"scriptflow logs {name}"
    if report.exit_code == _NOT_FOUND and report.began is None:
        program = task.cmd if isinstance(task.cmd, str) else task.cmd[0]
        do = "install it, load its module, or give its folder in env={'PATH': ...}"
        return "command-not-found", f"{name} not started: {report.detail or program + ' is not on PATH'}", (), do
    if report.began is None:
        return (
            "task-failed",
            f"{name} not started: {report.detail}",
            report.facts,
            "correct the task or its executor's options, then scriptflow run",
        )
    if report.cause is Cause.EXIT:
        return "task-failed", f"{name} failed with exit code {report.exit_code}", detail, f"scriptflow logs {name}"
    return "task-failed", f"{name} failed: {report.cause}", detail, f"scriptflow logs {name}"


def _left_out(
    name: str, report: JobReport, task: Task, outputs: Sequence[str], absolute: Callable[[str], str]
) -> tuple[str, str, tuple[str, ...], str]:
    missing = [path for path in outputs if not os.path.lexists(absolute(path))]
    facts: list[str] = []
    for path in missing[:3]:
        near = near_files(absolute(path))
        if os.path.basename(path) in near:
            facts.append(f"its folder lists {path}, and yet it cannot be looked at: the shared disk shows two views")
        elif near:
            facts.append(f"beside {path} there is {', '.join(near)}")
    do = "correct outputs=, or what the command writes"
    words = () if task.get("shell") else argv_of(task, os.curdir)
    shell = next((word for word in words[1:] if word in _SHELL_WORDS), None)
    if shell is not None:
        facts.append(f"{shell} was passed to {words[0]} as an argument: no shell read it")
        do = "give the command as one string with shell=True"
    return "output-missing", f"{name} ended well (exit 0) but {report.detail}", tuple(facts), do


def near_files(path: str) -> tuple[str, ...]:
    """Return names in a missing file's folder that look like it, the likest first."""
    import os
    from difflib import get_close_matches

    folder, name = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return ()
    by_folded = {known.casefold(): known for known in names if not known.startswith(".")}
    close = get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
    return tuple([by_folded[folded] for folded in close])
