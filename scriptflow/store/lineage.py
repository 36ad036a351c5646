"""How files were made and what they went into, out of the store's edges.

Knows the tables. Knows nothing of how an answer is shown. A file is made by the newest job that ended well; a job
read what the newest such job before it had made. Folders that tasks read or make stand for the files in them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import chain

from scriptflow.database import in_chunks
from scriptflow.store.reading import read_seen
from scriptflow.store.text import to_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from scriptflow.core.records import JobRecord, RunRecord, Seen
    from scriptflow.store.reader import StoreReader

    _Parts = dict[int, tuple[tuple["Part", ...], tuple["Part", ...]]]

MOST_JOBS = 5_000
"""How many jobs an answer holds unless told: nobody reads more, and it must come within a second."""
_FILES_PER_JOB = 6
"""How many files an answer holds for each job that it may hold; one job may read a million."""
_FOREVER = 1 << 62
_AT_ONCE = 500

_MADE_BEFORE = """
    (SELECT m.job FROM edges m CROSS JOIN jobs k ON k.id = m.job AND k.state = 'succeeded'
     WHERE m.file = {file} AND m.made = 1 AND m.job < {job} ORDER BY m.job DESC LIMIT 1)"""
_MADE_AFTER = """
    (SELECT m.job FROM edges m CROSS JOIN jobs k ON k.id = m.job AND k.state = 'succeeded'
     WHERE m.file = {file} AND m.made = 1 AND m.job > {job} ORDER BY m.job LIMIT 1)"""

_UP = f"""
WITH RECURSIVE way(job) AS (
    SELECT id FROM jobs WHERE id IN ({{roots}})
    UNION
    SELECT {_MADE_BEFORE.format(file="e.file", job="e.job")}
    FROM way CROSS JOIN edges e ON e.job = way.job AND e.made = 0
    LIMIT ?
) SELECT job FROM way WHERE job IS NOT NULL
"""  # noqa: S608 (our own words)
_DOWN = f"""
WITH RECURSIVE way(job) AS (
    SELECT id FROM jobs WHERE id IN ({{roots}})
    UNION
    SELECT c.job
    FROM way CROSS JOIN edges o ON o.job = way.job AND o.made = 1
    CROSS JOIN edges c ON c.file = o.file AND c.made = 0 AND c.job > o.job
        AND c.job <= coalesce({_MADE_AFTER.format(file="o.file", job="o.job")}, {_FOREVER})
    CROSS JOIN jobs k ON k.id = c.job AND k.state = 'succeeded'
    LIMIT ?
) SELECT job FROM way
"""  # noqa: S608 (our own words)
_EDGES = f"""
SELECT b.job, b.maker, b.path, b.made, b.size, b.mtime_ns, b.ctime_ns, b.inode, b.sha256, b.racy,
       l.size, l.mtime_ns, l.sha256 FROM (
    SELECT e.job, CASE WHEN e.made = 0 THEN {_MADE_BEFORE.format(file="e.file", job="e.job")} END AS maker,
           f.path, e.made, e.size, e.mtime_ns, e.ctime_ns, e.inode, e.sha256, e.racy, e.file
    FROM edges e CROSS JOIN files f ON f.id = e.file
    WHERE e.job IN ({{jobs}}) LIMIT ?
) b LEFT JOIN edges l ON l.job = b.maker AND l.made = 1 AND l.file = b.file
ORDER BY b.job, b.made, b.file
"""  # noqa: S608 (our own words)
_MADE_AT = f"SELECT {_MADE_BEFORE.format(file='f.id', job='?')} FROM files f WHERE f.path = ?"  # noqa: S608 (our own words)
_MADE_FOLDERS = """
SELECT path FROM files WHERE path IN ({paths}) AND EXISTS (SELECT 1 FROM edges WHERE file = id AND made = 1)
"""
_MADE_WITHIN = f"""
SELECT DISTINCT {_MADE_BEFORE.format(file="f.id", job="?")} FROM files f WHERE f.path > ? AND f.path < ? LIMIT ?
"""  # noqa: S608 (our own words)
_READ = """
SELECT DISTINCT c.job FROM files f CROSS JOIN edges c ON c.file = f.id AND c.made = 0
CROSS JOIN jobs k ON k.id = c.job AND k.state = 'succeeded' WHERE {path} AND c.job > ? ORDER BY c.job DESC LIMIT ?
"""
_READERS = _READ.format(path="f.path = ?")
_READERS_WITHIN = _READ.format(path="f.path > ? AND f.path < ?")


@dataclass(frozen=True, slots=True)
class Part:
    """One file that a job read or made.

    Attributes:
        seen: the file as the job saw it.
        makers: the jobs that had made it, none for a source; several for a folder.
        changed: whether it was no longer as its maker had left it.
    """

    seen: Seen
    makers: tuple[int, ...] = ()
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One job of a lineage, its run, and the files on both sides of it."""

    job: JobRecord
    run: RunRecord
    inputs: tuple[Part, ...]
    outputs: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Jobs that hang together by their files.

    Attributes:
        steps: maps a job's number to it, the nearest first.
        complete: whether that is all; else there were too many.
    """

    steps: dict[int, Step]
    complete: bool


@dataclass(frozen=True, slots=True)
class Made:
    """Where a file's content comes from.

    Attributes:
        file: the path by which the store knows it.
        job: the job that made it; None: it is known as an input only.
        seen: the file as that job left it, None for a file within a folder that was made.
    """

    file: str
    job: int | None
    seen: Seen | None


# --- where a file comes from ------------------------------------------------------------------------


def made(reader: StoreReader, path: str, *, before: int = _FOREVER) -> Made | None:
    """Return where the file at ``path`` comes from, None when no job made or read such a path.

    Args:
        reader: the store.
        path: absolute, or relative to the project's folder.
        before: only jobs with smaller numbers count.
    """
    stored = reader._root.to_column(path)
    shown = reader._root.from_column(stored)
    for at in (stored, *_above(stored)):
        job = _one(reader, _MADE_AT, before, at)
        if job is not None:
            return Made(shown, job, _output(reader, job, at) if at == stored else None)
    known = _one(reader, "SELECT e.job FROM files f JOIN edges e ON e.file = f.id WHERE f.path = ? LIMIT 1", stored)
    return None if known is None else Made(shown, None, None)


def made_as(reader: StoreReader, sha256: str, size: int) -> Made | None:
    """Return the newest file that a job made with this content, wherever it was put since."""
    rows = reader._rows(
        "SELECT e.job, f.path FROM edges e CROSS JOIN files f ON f.id = e.file "
        "WHERE e.made = 1 AND e.size = ? AND e.sha256 = ? ORDER BY e.job DESC LIMIT 1",
        (size, to_digest(sha256)),
    )
    return Made(reader._root.from_column(rows[0][1]), rows[0][0], _output(reader, *rows[0])) if rows else None


def has_hash_of_size(reader: StoreReader, size: int) -> bool:
    """Whether the hash of any made file of that size is recorded, so that hashing one may find it."""
    # The order is what keeps SQLite from going through an index, which takes six times as long.
    text = "SELECT 1 FROM edges WHERE made = 1 AND size = ? AND sha256 IS NOT NULL ORDER BY job DESC LIMIT 1"
    return bool(reader._rows(text, (size,)))


def made_below(reader: StoreReader, folder: str, limit: int) -> list[str]:
    """Return files that jobs made in a folder."""
    rows = reader._rows(
        "SELECT path FROM files f WHERE path >= ? AND path < ? AND EXISTS "
        "(SELECT 1 FROM edges WHERE file = f.id AND made = 1) ORDER BY path LIMIT ?",
        (*_within(reader._root.to_column(folder)), limit),
    )
    return [reader._root.from_column(path) for (path,) in rows]


def readers(reader: StoreReader, path: str, limit: int = MOST_JOBS) -> list[int]:
    """Return the jobs that read the file at ``path``, or a folder around it, newest first."""
    stored = reader._root.to_column(path)
    found = [_numbers(reader, _READERS, at, -1, limit) for at in (stored, *_above(stored))]
    return sorted({job for some in found for job in some}, reverse=True)


def _output(reader: StoreReader, job: int, stored: str | bytes) -> Seen | None:
    rows = reader._rows(
        "SELECT f.path, made, size, mtime_ns, ctime_ns, inode, sha256, racy FROM files f JOIN edges e ON e.file = f.id "
        "WHERE f.path = ? AND e.made = 1 AND e.job = ?",
        (stored, job),
    )
    return read_seen(rows[0], reader._root) if rows else None


# --- both ways --------------------------------------------------------------------------------------


def up(reader: StoreReader, jobs: Iterable[int], limit: int = MOST_JOBS) -> Lineage:
    """Return jobs and all that came before them, back to the sources."""

    def beside(found: _Parts) -> list[int]:
        return [maker for inputs, _ in found.values() for part in inputs for maker in part.makers]

    return _walk(reader, jobs, _UP, limit, beside)


def down(reader: StoreReader, jobs: Iterable[int], limit: int = MOST_JOBS) -> Lineage:
    """Return jobs and all that their outputs went into."""
    return _walk(reader, jobs, _DOWN, limit, lambda found: _readers_through_folders(reader, found))


def of_jobs(reader: StoreReader, jobs: Sequence[int]) -> Lineage:
    """Return just these jobs with their files, each file with the jobs that had made it."""
    most = max(len(jobs), MOST_JOBS) * _FILES_PER_JOB
    found = _parts(reader, jobs, most)
    return _lineage(reader, found, complete=sum(map(len, chain.from_iterable(found.values()))) < most)


def _walk(
    reader: StoreReader, jobs: Iterable[int], text: str, limit: int, beside: Callable[[_Parts], list[int]]
) -> Lineage:
    """Follow the edges from some jobs on, and where those end at a folder, go on from what ``beside`` finds."""
    found: _Parts = {}
    fresh = list(dict.fromkeys(jobs))
    complete, files, most = True, 0, limit * _FILES_PER_JOB
    while fresh and complete:
        some, rest = fresh[:_AT_ONCE], fresh[_AT_ONCE:]
        way = reader._rows(text.format(roots=_marks(some)), (*some, limit + _AT_ONCE))
        new = [job for (job,) in way if job not in found]
        complete = len(found) + len(new) <= limit
        here = _parts(reader, new[: limit - len(found)], most - files)
        found.update(here)
        files += sum(map(len, chain.from_iterable(here.values())))
        complete = complete and files < most
        fresh = [job for job in dict.fromkeys((*rest, *beside(here))) if job not in found]
    return _lineage(reader, found, complete=complete)


def _lineage(reader: StoreReader, parts: _Parts, *, complete: bool) -> Lineage:
    records = {}
    for some in in_chunks(list(parts), _AT_ONCE):
        records.update({job.job: job for job in reader._jobs(f"WHERE j.id IN ({_marks(some)})", some)})
    names = sorted({job.run for job in records.values()})
    runs: dict[str, RunRecord] = {}
    for some in in_chunks(names, _AT_ONCE):
        runs.update({run.run: run for run in reader._runs(f"WHERE flow || '-' || number IN ({_marks(some)})", some)})
    return Lineage(
        {job: Step(records[job], runs[records[job].run], *parts[job]) for job in parts if job in records}, complete
    )


# --- files and their makers -------------------------------------------------------------------------


def _parts(reader: StoreReader, jobs: Sequence[int], most: int) -> _Parts:
    """Map each job to what it read and what it made, ``most`` files in all."""
    rows: list[tuple[Any, ...]] = []
    for some in in_chunks(jobs, _AT_ONCE):
        if len(rows) < most:
            rows += reader._rows(_EDGES.format(jobs=_marks(some)), (*some, most - len(rows)))
    within = _makers_through_folders(reader, [row for row in rows if not row[3] and row[1] is None])
    found: dict[int, tuple[list[Part], list[Part]]] = {job: ([], []) for job in jobs}
    for row in rows:
        job, maker, path, is_made = row[:4]
        makers = within.get((job, path), ()) if maker is None else (maker,)
        found[job][is_made].append(
            Part(read_seen(row[2:10], reader._root), makers, maker is not None and _differs(row))
        )
    return {job: (tuple(inputs), tuple(outputs)) for job, (inputs, outputs) in found.items()}


def _differs(row: tuple[Any, ...]) -> bool:
    """Whether a file that was read is another than the one that its maker had left."""
    size, mtime_ns, sha256 = row[4], row[5], row[8]
    left_size, left_mtime_ns, left_sha256 = row[10:]
    if size != left_size:
        return True
    if sha256 is not None and left_sha256 is not None:
        return bool(sha256 != left_sha256)
    return bool(mtime_ns != left_mtime_ns)


def _makers_through_folders(
    reader: StoreReader, unmade: Sequence[tuple[Any, ...]]
) -> dict[tuple[int, str], tuple[int, ...]]:
    """Map inputs that no job made by their own name to who made the folder around them, or the files in them."""
    around: dict[str, list[tuple[int, str]]] = {}
    found: dict[tuple[int, str], tuple[int, ...]] = {}
    for job, _, path, _, _, _, ctime_ns, *_ in unmade:
        for above in _above(path):
            around.setdefault(above, []).append((job, path))
        if ctime_ns is not None and ctime_ns < 0:
            found[job, path] = tuple(_numbers(reader, _MADE_WITHIN, job, *_within(path), MOST_JOBS))
    for some in in_chunks(list(around), _AT_ONCE):
        for (folder,) in reader._rows(_MADE_FOLDERS.format(paths=_marks(some)), some):
            for job, path in around[folder]:
                maker = _one(reader, _MADE_AT, job, folder)
                if maker is not None:
                    found[job, path] = (maker,)
    return found


def _readers_through_folders(reader: StoreReader, parts: _Parts) -> list[int]:
    """Return who read a folder around what jobs made, or files in a folder that they made."""
    found: list[int] = []
    for job, (_, outputs) in parts.items():
        for folder in {above for part in outputs for above in _above(reader._root.to_column(part.seen.path))}:
            found += _numbers(reader, _READERS, folder, job, MOST_JOBS)
        for part in outputs:
            if part.seen.ctime_ns < 0:
                found += _numbers(
                    reader, _READERS_WITHIN, *_within(reader._root.to_column(part.seen.path)), job, MOST_JOBS
                )
    return found


def _numbers(reader: StoreReader, text: str, *values: object) -> list[int]:
    return [number for (number,) in reader._rows(text, values) if number is not None]


def _one(reader: StoreReader, text: str, *values: object) -> int | None:
    return next(iter(_numbers(reader, text, *values)), None)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _within(stored: str | bytes) -> tuple[str, str]:
    """Return between which paths those in a folder lie."""
    # A name of stray bytes stands in the store as bytes, which are greater than any text: nothing is found in it.
    folder = "\U0010ffff" if isinstance(stored, bytes) else stored
    return folder + "/", folder + "0"


def _above(stored: str | bytes) -> list[str]:
    """Return the folders around a path, the nearest first, but for the project's own."""
    found = []
    while isinstance(stored, str) and (stored := os.path.dirname(stored)) not in ("", "/"):  # noqa: PTH120 (plain strings all through)
        found.append(stored)
    return found
