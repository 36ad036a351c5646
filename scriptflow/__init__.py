"""Workflows as plain async Python: run anywhere, skip what is up to date, survive any crash.

The public names, nothing else. What few flows need is loaded when it is first used.
"""

from __future__ import annotations

from scriptflow.core.config import record_init as init
from scriptflow.core.paths import Directory as directory
from scriptflow.core.paths import Glob as glob
from scriptflow.core.task import Task
from scriptflow.engine.flow import bag, flow, group
from scriptflow.errors import (
    Cycle,
    DuplicateOutput,
    InputMissing,
    OutputMissing,
    ScriptflowError,
    TaskFailed,
    TaskFrozen,
    TasksFailed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptflow.app import Head, RunResult, run, run_async
    from scriptflow.engine.notes import notify
    from scriptflow.functions.decorator import task
    from scriptflow.submission import submit

    planning: bool

__version__ = "1.0.0.dev0"
__all__ = [
    "Cycle", "DuplicateOutput", "Head", "InputMissing", "OutputMissing", "RunResult", "ScriptflowError", "Task",
    "TaskFailed", "TaskFrozen", "TasksFailed", "bag", "directory", "flow", "glob", "group", "init", "notify",
    "planning", "run", "run_async", "submit", "task",
]  # fmt: skip
_ELSEWHERE = {
    "Head": "app", "RunResult": "app", "notify": "engine.notes", "run": "app", "run_async": "app",
    "submit": "submission", "task": "functions.decorator",
}  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _ELSEWHERE:
        from importlib import import_module

        return getattr(import_module(f"scriptflow.{_ELSEWHERE[name]}"), name)
    if name == "planning":
        from scriptflow.core.context import PLANNING

        return PLANNING.get() is not None
    raise AttributeError(f"module 'scriptflow' has no attribute {name!r}")
