"""What follows a job besides its files: a result that is read, results picked out of its log, hooks that are called.

Knows tasks, logs and the store's values. Knows nothing of how jobs run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scriptflow.core.context import HEAD
from scriptflow.core.states import GOOD
from scriptflow.errors import TaskError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scriptflow.core.task import Task
    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life
    from scriptflow.errors import Place

_READ_BYTES = 1 << 20
"""So much of a log's end is searched: a log may be of any size."""


def read_result(task: Task) -> Any:  # noqa: ANN401
    """Read the file named by ``.result(file)``: ``.json`` as data, anything else as text."""
    path = task.get("result")
    if path is None:
        raise TaskError(f"task {task.name} names no result", do="name its file with .result(file)", place=task.place)
    if task.state not in GOOD:
        raise TaskError(f"task {task.name} has no result yet", why=f"it is {task.state}", do="await it first")
    head = HEAD.get()
    full = head.files.absolute(path) if head is not None else path
    with open(full, encoding="utf-8") as file:
        text = file.read()
    if path.endswith(".json"):
        import json

        return json.loads(text)
    return text


def check_patterns(patterns: Mapping[Any, Any], place: Place) -> None:
    """Raise what is wrong with ``parse_log``."""
    import re

    for name, pattern in patterns.items():
        if not isinstance(name, str) or not isinstance(pattern, str):
            raise TaskError(
                f"parse_log has {name!r}: {pattern!r}, and both must be text",
                do='parse_log={"loss": r"loss=([0-9.]+)"}',
                place=place,
            )
        try:
            re.compile(pattern)
        except re.error as error:
            raise TaskError(
                f"parse_log has a pattern for {name} that cannot be read: {error}",
                why=f"it is {pattern!r}",
                place=place,
            ) from error


def picked(log: str, patterns: Mapping[str, str]) -> dict[str, Any]:
    """Return, for each pattern, its last match in the end of a log: its first group, else the whole match."""
    import re

    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BYTES))
            text = file.read(_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return {}
    found: dict[str, Any] = {}
    for name, pattern in patterns.items():
        for match in re.finditer(pattern, text, re.MULTILINE):
            found[name] = match[1] if match.re.groups else match[0]
    return {name: _number(text) for name, text in found.items()}


def _number(text: str | None) -> Any:  # noqa: ANN401
    """Return the number that a text is, else the text."""
    for kind in (int, float):
        try:
            return kind(text)  # type: ignore[arg-type]  # a group that took no part is None, and no number
        except (TypeError, ValueError):
            continue
    return text


def pick(head: Head, task: Task, job: int, log: str) -> None:
    """Pick a task's results out of the log of its job, for the task and for the record."""
    patterns = task.get("parse_log")
    if not patterns:
        return
    results = picked(log, patterns)
    task._set("results", results)
    if results and head.store is not None:
        import json

        head.store.values(job, [(name, "log", json.dumps(value)) for name, value in results.items()])


def results_of(task: Task) -> dict[str, Any]:
    """Return what was picked in this run, else what the record of the job that made the outputs has."""
    known: dict[str, Any] | None = task.get("results")
    if known is not None:
        return known
    if task.state not in GOOD:
        raise TaskError(f"task {task.name} has no results yet", why=f"it is {task.state}", do="await it first")
    head: Any = HEAD.get()
    latest = head.latest.get(task._outputs[0]) if head is not None and task._outputs else None
    if latest is None or head.store is None:
        return {}
    import json

    record = head.store.job(latest.job)
    return {name: json.loads(body) for name, kind, body in record.values if kind == "log"} if record else {}


def call_hook(life: Life, name: str, *facts: object) -> None:
    """Call what a task was given to be called now; an error in it is a warning, never the task's."""
    hooks = life.task.get("hooks")
    if hooks is None or name not in hooks:
        return
    try:
        hooks[name](life.task, *((life.task.value,) if name == "on_success" else facts))
    except Exception as error:  # noqa: BLE001 (the user's own code)
        life.head.tell.warn(
            "hook-failed", f"{name} of {life.name} raised {type(error).__name__}: {error}", do="correct the hook"
        )
