"""Find what somebody wants traced: a path, a copy of a recorded file under another name, or a task.

Knows the store and looks at the disk. Knows nothing of how a lineage is shown.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from hashlib import file_digest

from scriptflow.errors import NotFound, UsageError
from scriptflow.store import lineage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.records import JobRecord, Seen
    from scriptflow.store.reader import StoreReader

_NAMED = 5
_HASHED_AT_ONCE = 64_000_000
"""Files up to this size are hashed without asking first whether that can lead to anything."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is traced.

    Attributes:
        file: its path, "" for a task without outputs.
        job: the job that made it, None for a source.
        sha256: of its content, None where it is not known.
        copy_of: the path by which the store knows the content, "" where that is ``file`` itself.
        changed: whether the file on the disk is not what the job had left.
    """

    file: str
    job: int | None
    sha256: str | None = None
    copy_of: str = ""
    changed: bool = False


def find(reader: StoreReader, what: str) -> Target:
    """Return what ``what`` names: the path of a file, or a task.

    Raises:
        NotFound: the store knows nothing of it; the message says what it might be.
        UsageError: it names several tasks.
    """
    path = os.path.abspath(what)  # noqa: PTH100 (plain strings all through)
    on_disk = _look(path)
    known = lineage.made(reader, path)
    if known is not None and known.job is not None:
        return _as_recorded(reader, known, path, on_disk)
    if on_disk is not None and stat.S_ISREG(on_disk.st_mode):
        copy = _copy(reader, path, on_disk.st_size, what if known is None else known.file)
        if copy is not None:
            return copy
    if known is not None:
        return Target(known.file, None, _hash(path) if on_disk is not None else None)
    if on_disk is not None and stat.S_ISDIR(on_disk.st_mode):
        raise _folder(reader, what, path)
    return _task(reader, what, exists=on_disk is not None)


def of_run(reader: StoreReader, target: Target, run: str) -> Target:
    """Return the same file as it was after an earlier run.

    Raises:
        NotFound: there is no such run, or nothing had made the file by then.
    """
    record = reader.find_run(run)
    path = target.copy_of or target.file
    known = lineage.made(reader, path, before=lineage.last_job_of(reader, record.id) + 1) if path else None
    if known is None or known.job is None:
        raise NotFound(
            f"no task had made {path or 'this'} by the end of {record.run}", do=f"scriptflow show {record.run}"
        )
    return Target(known.file, known.job, known.seen.sha256 if known.seen else None)


def is_as_left(path: str, seen: Seen) -> bool:
    """Whether a file on the disk is still what a job left: the same size and time, or the same content."""
    found = _look(path)
    if found is None or not stat.S_ISREG(found.st_mode) or found.st_size != seen.size:
        return False
    return found.st_mtime_ns == seen.mtime_ns or (seen.sha256 is not None and _hash(path) == seen.sha256)


def _look(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 (as above)
    except (OSError, ValueError):
        return None


def _hash(path: str) -> str | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (as above)
            return "sha256:" + file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def _as_recorded(reader: StoreReader, known: lineage.Made, path: str, on_disk: os.stat_result | None) -> Target:
    """Return a file that was made under this name, or, where it is another by now, what it was copied from."""
    seen = known.seen
    recorded = seen.sha256 if seen else None
    if on_disk is None or seen is None or seen.ctime_ns < 0 or _is_as_left(on_disk, seen):
        return Target(known.file, known.job, recorded)
    same_size = on_disk.st_size == seen.size
    now = _hash(path) if recorded is not None or on_disk.st_size <= _HASHED_AT_ONCE else None
    if same_size and (recorded is None or now == recorded):
        return Target(known.file, known.job, recorded or now, changed=recorded is None)
    copied = lineage.made_as(reader, now, on_disk.st_size) if now else None
    if copied is not None and copied.job is not None:
        if copied.file == known.file:  # an older version of the same file was put back
            return Target(known.file, copied.job, now)
        return Target(known.file, copied.job, now, copy_of=copied.file)
    return Target(known.file, known.job, now, changed=True)


def _is_as_left(on_disk: os.stat_result, seen: Seen) -> bool:
    return (on_disk.st_size, on_disk.st_mtime_ns) == (seen.size, seen.mtime_ns)


def _copy(reader: StoreReader, path: str, size: int, shown: str) -> Target | None:
    """Return the recorded file that has the content of this one, if any."""
    if size > _HASHED_AT_ONCE and not lineage.has_hash_of_size(reader, size):
        return None
    sha256 = _hash(path)
    found = lineage.made_as(reader, sha256, size) if sha256 and size else None
    return None if found is None else Target(shown, found.job, sha256, copy_of=found.file)


def _task(reader: StoreReader, what: str, *, exists: bool) -> Target:
    names = reader.find_tasks(what)
    if len(names) > 1:
        some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        raise UsageError(f"{what!r} names {len(names)} tasks", why=some, do=f"scriptflow trace {names[0]}")
    job = _newest_good(reader, names[0]) if names else None
    if job is None:
        raise _unknown(reader, what, exists=exists)
    output = next((seen for seen in job.files if seen.role == "out"), None)
    return Target(output.path if output else "", job.job, output.sha256 if output else None)


def _newest_good(reader: StoreReader, name: str) -> JobRecord | None:
    """Return the newest job of a task that ended well, or the newest at all, with its files."""
    good = lineage.last_good_job(reader, name)
    return reader.last_job(name) if good is None else reader.job(good)


def _unknown(reader: StoreReader, what: str, *, exists: bool) -> NotFound:
    if exists:
        return NotFound(
            f"no recorded task made or read {what}",
            why="its content is not that of any output with a recorded hash either",
            do="scriptflow show last  # lists tasks",
        )
    from scriptflow.core.nearest import nearest

    near = nearest(what, reader.task_names(limit=10_000))
    return NotFound(
        f"no recorded file or task is called {what!r}",
        why=f"near it: {near}" if near else (),
        do=f"scriptflow trace {near}" if near else "scriptflow show last  # lists tasks",
    )


def _folder(reader: StoreReader, what: str, path: str) -> NotFound:
    inside = lineage.made_below(reader, path, _NAMED + 1)
    some = ", ".join(inside[:_NAMED]) + (" and more" if len(inside) > _NAMED else "")
    return NotFound(
        f"{what} is a folder, and no recorded task made it",
        why=f"files in it that tasks made: {some}" if inside else "no recorded task made a file in it",
        do=f"scriptflow trace {inside[0]}" if inside else "scriptflow trace FILE",
    )
