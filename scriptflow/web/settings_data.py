"""What the page of settings shows, as a document: the project's settings without its secrets, and this server's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from scriptflow.web.views import Asked

_SECRET = ("token", "secret", "password", "passwd", "key", "notify", "server", "url", "webhook", "credential", "auth")


def settings(asked: Asked) -> dict[str, Any]:
    """Show every setting of the project's files and environment, and where each came from; secrets are left out."""
    from importlib.metadata import version

    from scriptflow.core.config import DEFAULT
    from scriptflow.errors import ScriptflowError
    from scriptflow.settings_files import load_settings

    folder = os.path.dirname(asked.reader.folder)  # noqa: PTH120 (a path as text)
    problem = None
    rows: list[dict[str, Any]] = []
    try:
        found = load_settings(folder)
    except ScriptflowError as error:
        problem = error.what
    else:
        rows = [
            {"key": key, "value": "(not shown)" if value and _is_secret(key) else value,
             "from": str(found.origins.get(key, DEFAULT))}
            for key, value in _leaves(found.as_dict())
        ]  # fmt: skip
    return {
        "project": asked.project,
        "folder": folder,
        "version": version("scriptflow"),
        "actions": asked.may_act,
        "settings": rows,
        "problem": problem,
    }


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET)


def _leaves(table: Mapping[str, Any], lead: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{lead}{key}.")
        else:
            yield f"{lead}{key}", value
