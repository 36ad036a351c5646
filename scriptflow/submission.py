"""Add a task to the run that this process is a job of, and await it: ``sf.submit``, and what the command does.

Knows tasks, and how a live head is asked. Knows nothing of how it runs them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from scriptflow.asking import Question, live_run
from scriptflow.core.context import DECLARED, HEAD
from scriptflow.core.paths import Directory, Glob
from scriptflow.core.task import Task
from scriptflow.errors import NoLiveRun, Place, TaskError, TaskFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

STORE = "SCRIPTFLOW_STORE"
"""Tells a job where the store of its run is; ``SCRIPTFLOW_RUN`` has the run's name, ``SCRIPTFLOW_JOB`` its own."""
_RUN, _JOB = "SCRIPTFLOW_RUN", "SCRIPTFLOW_JOB"
_ASYNC_LOOK_S = 0.1
_NOT_SENT = ("template", "groups_in", "groups_out", "props", "quiet", "result")


class Submitted:
    """A task that was added to the live run.

    Attributes:
        task: its name.
        state: as it was last heard: ``queued``, ``skipped`` (up to date) …
    """

    def __init__(self, folder: str, request: str, answer: dict[str, Any], by: str) -> None:
        self.task = str(answer.get("task"))
        self.state = str(answer.get("state"))
        self._folder = folder
        self._body = {"submitted": request, "by": by}

    def wait(self, timeout_s: float | None = None) -> str:
        """Wait for the task's end and return its state, ``succeeded`` or ``skipped``.

        While it waits, this job's own slot and cpus are lent to others.

        Raises:
            TaskFailed: it failed, or was stopped.
            NoAnswer: it has not ended within ``timeout_s`` seconds.
            NoLiveRun: the run ended before it.
        """
        return self._ended(Question(self._folder, "wait", self._body, timeout_s=timeout_s).wait())

    def __await__(self) -> Generator[Any, None, str]:
        return self._wait().__await__()

    async def _wait(self) -> str:
        import asyncio

        question = Question(self._folder, "wait", self._body, timeout_s=None)
        try:
            while (answer := question.poll()) is None:  # noqa: ASYNC110 (the event is a file of another process)
                await asyncio.sleep(_ASYNC_LOOK_S)
        except BaseException:
            question.withdraw()
            raise
        return self._ended(answer)

    def _ended(self, answer: dict[str, Any]) -> str:
        self.state = str(answer.get("state"))
        failed = answer.get("failed")
        if failed is not None:
            raise TaskFailed(
                str(failed.get("error")), task=self.task, exit_code=failed.get("exit_code"), cause=failed.get("cause"),
                log=failed.get("log"), why=failed.get("why") or (), do=failed.get("do") or "",
            )  # fmt: skip
        return self.state


def submit(cmd: Any, **options: Any) -> Submitted:  # noqa: ANN401
    """Add a task to the run that this process is a job of; returns as soon as the run has taken it.

    Args:
        cmd: a ``Task``, or a command as ``Task`` takes it; paths are relative to the flow file's folder.
        options: what else ``Task`` takes: ``outputs=``, ``inputs=``, ``name=`` …

    Raises:
        NoLiveRun: this process is no job of a live run.
        RequestRefused: the run does not take it, for instance since another task makes the same file.
        TaskError: the command or an option is of no use.
    """
    head = HEAD.get()
    if head is not None and not getattr(head, "is_absent", False):
        raise UsageError("sf.submit is for the jobs of a flow, not for the flow itself", do="await sf.Task(...)")
    frame = sys._getframe(1)
    try:
        task = cmd if isinstance(cmd, Task) else Task(cmd, **options)
        if task is cmd and options:
            task = task.copy(**options)
    except TaskError as error:
        error.place = Place(frame.f_code.co_filename, frame.f_lineno)
        raise
    return send(_of_task(task))


def send(body: dict[str, Any]) -> Submitted:
    """Post a submission as it stands; ``engine.wishes`` reads it."""
    folder, by = store_of_this_job()
    question = Question(folder, "submit", {**body, "by": by})
    return Submitted(folder, question.id, question.wait(), by)


def store_of_this_job() -> tuple[str, str]:
    """Return the store of the run that this process is a job of, and the job as ``run:number``.

    Raises:
        NoLiveRun: it is no job, or of a run that is over.
    """
    folder = os.environ.get(STORE)
    if not folder:
        raise NoLiveRun(
            "this process is no job of a live run",
            why=f"{STORE} is not set: it is set for the commands that a flow runs",
            do="call it from a task's command",
        )
    run = os.environ.get(_RUN, "")
    job = os.environ.get(_JOB, "").rpartition("/")[2]  # of a run within a job the inner one
    live = live_run(folder)
    if live is None or (run and live.run != run):
        raise NoLiveRun(f"{run or 'the run of this job'} is over", do=f"scriptflow status {run}".strip())
    return folder, job if job.startswith(f"{live.run}:") else ""


def _of_task(task: Task) -> dict[str, Any]:
    if task.get("call") is not None:
        raise TaskError(
            f"task {task.name} calls a function, and only commands can be submitted",
            why="the live run could not tell when the function's code has changed",
            do="call the function plainly, or return to the flow what it is to be called with",
            place=task.place,
        )
    declared = DECLARED.get()
    if task in declared:
        declared.remove(task)  # it is the live run's now, not one that this process forgot to await
    body: dict[str, Any] = {"cmd": task.cmd}
    body.update((key, value) for key, value in task._options.items() if key not in _NOT_SENT)
    for side, items, groups in (("inputs", task.inputs, "groups_in"), ("outputs", task._outputs, "groups_out")):
        named = task._options.get(groups)
        body[side] = {"groups": {key: _form(list(value)) for key, value in named.items()}} if named else _form(items)
    if task._name is not None:
        body["name"] = task._name
    return body


def _form(value: Any) -> Any:  # noqa: ANN401
    """Write paths as a request carries them."""
    if isinstance(value, Glob):
        return {"glob": value.pattern}
    if isinstance(value, Directory):
        return {"directory": str(value)}
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(value, Task):
        return _form(value.get_outputs())
    if isinstance(value, dict):
        return {"groups": {key: _form(item) for key, item in value.items()}}
    return [_form(item) for item in value]
