"""Which files below ``values/`` no record needs any more: values, their large parts, kept code, requests.

Knows the tables and how those files are named and name each other. Removes nothing.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from scriptflow.store.text import from_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from scriptflow.store.keeping import Old
    from scriptflow.store.reader import StoreReader

_VALUE = re.compile(r".*-[0-9a-f]{16}\.json\Z")
_PART = re.compile(r".*\.[0-9]+\.part\Z")
_BLOB = re.compile(rb"[0-9a-f]{64}\.(?:pkl|parquet)")
_CODE = re.compile("\0code=([0-9a-f]+)(?:\0|\\Z)")


def spare_values(reader: StoreReader, old: Old) -> list[str]:
    """Return the paths of files that no record needs once ``old`` is dropped; only right while no head is at work.

    A value is needed while a decision asks for it: it is among the newest outputs. A large part is needed by the value
    that names it, code by any record of a job that ran it, a request by a job that is still open.
    """
    folder = f"{reader._folder}/values"
    newest = {
        from_column(path).rpartition("/")[2]
        for (path,) in reader._rows("SELECT path FROM files WHERE id IN (SELECT file FROM latest)", ())
    }
    is_open = bool(
        reader._rows("SELECT 1 FROM jobs WHERE state IN ('started', 'queued', 'running') AND state <> 'succeeded'", ())
    )
    values, requests = _names(folder), _names(f"{folder}/calls")
    kept = [name for name in values if name in newest or (is_open and name in requests) or not _VALUE.match(name)]
    spare = [name for name in values if name not in kept or _PART.match(name)]
    kept_requests = requests if is_open else []
    spare += [f"calls/{name}" for name in requests if not is_open]
    naming = [*kept, *[f"calls/{name}" for name in kept_requests]]
    blobs = set().union(*[_blobs(f"{folder}/{name}") for name in naming if name not in spare])
    spare += [f"blobs/{name}" for name in _names(f"{folder}/blobs") if name not in blobs]
    codes = _codes(reader, old)
    spare += [f"code/{name}" for name in _names(f"{folder}/code") if name.removesuffix(".py") not in codes]
    return [f"{folder}/{name}" for name in spare]


def _codes(reader: StoreReader, old: Old) -> set[str]:
    """Return the digests of code that records name which stay."""
    gone = set(old.jobs)
    tasks = {task for job, task in reader._rows("SELECT id, task FROM jobs", ()) if job not in gone}
    tasks.update(task for (task,) in reader._rows("SELECT task FROM latest", ()))
    rows = reader._rows("SELECT id, manifest FROM tasks", ())
    return {found for task, text in rows if task in tasks for found in _CODE.findall(from_column(text))}


def _names(folder: str) -> list[str]:
    """Return the names of the files right in a folder, markers and the like left out."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [
            entry.name for entry in entries if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".")
        ]
    return []


def _blobs(path: str) -> Iterable[str]:
    """Return the large parts that a value or a request names."""
    with suppress(OSError):
        return {name.decode() for name in _BLOB.findall(Path(path).read_bytes())}
    return set()
