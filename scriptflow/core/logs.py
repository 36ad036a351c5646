"""Where a job's log lies, and how its end is read without reading it all."""

from __future__ import annotations

import os

_NAME_LIMIT = 100
_TAIL_BYTES = 16 * 1024
_KEPT = bytes([code if (chr(code).isalnum() and code < 128) or chr(code) in "-_=+,." else 95 for code in range(256)])


def log_path(folder: str, run: str, task: str, attempt: int) -> str:
    """Return ``FOLDER/logs/RUN/TASK.ATTEMPT.log``; a name that is no good file name is made one.

    Letters, digits, ``.``, ``-``, ``_``, ``=``, ``+`` and ``,`` stay; two names never meet in one file.
    """
    if (
        len(task) <= _NAME_LIMIT
        and task.replace("-", "").replace("_", "").replace(".", "").isalnum()
        and task[0] != "."
    ):
        name = task if task.isascii() else _safe(task)
    else:
        name = _safe(task)
    return f"{folder}/logs/{run}/{name}.{attempt}.log"


def _safe(task: str) -> str:
    import hashlib

    kept = task.encode("ascii", "replace").translate(_KEPT).decode().lstrip(".")
    digest = hashlib.sha256(task.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept[:_NAME_LIMIT]}-{digest}"


def tail(path: str, lines: int) -> tuple[str, ...]:
    """Return the last non-blank lines of a log, decoded with replacement; nothing when there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            data = file.read(_TAIL_BYTES)
    except OSError:
        return ()
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    # A progress bar rewrites its line: only what follows the last carriage return was left on the screen.
    kept = [line.rstrip().rpartition("\r")[2] for line in text.split("\n")]
    return tuple([line for line in kept if line.strip()][-lines:])
