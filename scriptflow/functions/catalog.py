"""Which functions packages bring as tasks, and the code of those that have run.

Packages list them under the entry point group ``scriptflow.tasks``: a task function, or a module whose task functions
are all meant. Knows nothing of flows and runs.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from scriptflow.errors import PluginError
from scriptflow.functions.decorator import TaskFunction

if TYPE_CHECKING:
    from typing import Any

GROUP = "scriptflow.tasks"


def tasks() -> dict[str, TaskFunction[..., Any]]:
    """Map the name of each registered task to its function, sorted.

    An entry point of a function gives its own name; one of a module gives ``POINT.FUNCTION`` for each.

    Raises:
        PluginError: two have one name, or one cannot be loaded or is no task function.
    """
    found: dict[str, TaskFunction[..., Any]] = {}
    origins: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        try:
            loaded = point.load()
        except Exception as error:
            raise PluginError(f"task {point.name!r} cannot be loaded: {error}", why=f"it is {point.value}") from error
        for name, function in _functions(point.name, loaded):
            if not isinstance(function, TaskFunction):
                raise PluginError(
                    f"{point.value} is no task function", why=f"it is listed as {name!r}", do="mark it with @sf.task"
                )
            if origins.setdefault(name, point.value) != point.value:
                raise PluginError(
                    f"two packages bring a task {name!r}: {origins[name]} and {point.value}", do="remove one of them"
                )
            found[name] = function
    return dict(sorted(found.items()))


def _functions(name: str, loaded: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
    if not isinstance(loaded, type(os)):
        return [(name, loaded)]
    return [(f"{name}.{key}", value) for key, value in vars(loaded).items() if isinstance(value, TaskFunction)]


def signature_of(function: TaskFunction[..., Any]) -> str:
    """Return how a task is called, as ``NAME(a: int, b: int = 0) -> int``."""
    return f"{function.qualname}{function.signature}"


def code_of(store_folder: str, digest: str) -> str | None:
    """Return the code of that digest as it was when a job with it began, None when it is not kept.

    Args:
        store_folder: the run store's, ``.scriptflow``.
        digest: what a manifest has as ``code``.
    """
    if not digest.isalnum():
        return None
    try:
        with open(f"{store_folder}/values/code/{digest}.py", encoding="utf-8", errors="surrogatepass") as file:
            return file.read()
    except OSError:
        return None
