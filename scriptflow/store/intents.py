"""Starts of jobs as one text, for the row that is committed before the jobs exist; and back.

The text is JSON: it takes any string, and damage to it is found when it is read.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from scriptflow.core.records import JobStart, Seen

_encode: Callable[[object], str] | None = None
_START = (
    "job", "run", "task", "key", "manifest", "attempt", "executor", "started", "log", "reasons", "group", "cpus",
    "memory_bytes", "gpus", "outputs",
)  # fmt: skip
_SEEN = ("path", "role", "size", "mtime_ns", "ctime_ns", "inode", "sha256", "racy")


def dump(starts: Sequence[JobStart]) -> str:
    """Write starts as one text."""
    global _encode
    if _encode is None:
        import json  # not at the top: a run without work does without

        _encode = json.JSONEncoder(check_circular=False).encode
    return _encode([_plain(start) for start in starts])


def load(text: str) -> list[JobStart]:
    """Read ``dump``'s text.

    Raises:
        ValueError, TypeError: it is damaged.
    """
    import json

    return [_start(fields) for fields in json.loads(text)]


def _plain(start: JobStart) -> tuple[object, ...]:
    return (
        start.job, start.run, start.task, start.key, start.manifest, start.attempt, start.executor, start.started,
        start.log, start.reasons, start.group, start.cpus, start.memory_bytes, start.gpus, start.outputs,
        [_file(seen) for seen in start.inputs], dict(start.labels),
    )  # fmt: skip


def _file(seen: Seen) -> tuple[object, ...]:
    return (
        seen.path, seen.role, seen.size, seen.mtime_ns, seen.ctime_ns, seen.inode, seen.sha256, seen.racy,
    )  # fmt: skip


def _start(fields: list[Any]) -> JobStart:
    from scriptflow.core.records import JobStart, Seen

    *plain, inputs, labels = fields
    values = dict(zip(_START, plain, strict=True))
    values["reasons"] = tuple((code, detail) for code, detail in values["reasons"])
    values["outputs"] = tuple(values["outputs"])
    seen = tuple(Seen(**dict(zip(_SEEN, file, strict=True))) for file in inputs)
    return JobStart(inputs=seen, labels=labels, **values)
