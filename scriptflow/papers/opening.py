"""Unpack the archive of a run where it can be looked at: into a new folder, checked, whole or not at all.

Trusts nothing in the file: names, sizes, hashes and the store in it are checked before anything is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import stat
import zipfile
import zlib

from scriptflow.core.units import size_text
from scriptflow.errors import ArchiveError, UsageError
from scriptflow.papers.archive import MANIFEST, SCHEMA, STORE
from scriptflow.store.extract import refuse_unsafe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 10 * 1024**3
"""How many bytes an archive may unpack to, unless told otherwise."""
_LARGEST_MANIFEST = 64 * 1024**2
_MOST_FILES = 2_000_000
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, TypeError)
"""What reading a damaged or forged zip file raises."""


def open_archive(path: str, folder: str | None = None, *, largest: int = LARGEST) -> tuple[str, str]:
    """Unpack an archive into a new folder; return the folder and the run's name.

    Args:
        path: the archive.
        folder: what to make; by default it is called like the run, in the current folder.
        largest: refuse to unpack more bytes than this.

    Raises:
        ArchiveError: it is damaged, forged, or of a newer scriptflow; nothing was kept.
        UsageError: there is such a folder already, or it cannot be written.
    """
    try:
        with zipfile.ZipFile(path) as file:
            manifest = _manifest(file, path)
            run = str(manifest["run"])
            entries = _entries(file, manifest, path, largest)
            to = folder or _folder_name(run, path)
            if os.path.lexists(to):
                raise UsageError(f"{to} is there already", do=f"scriptflow open {path} -o NEW_FOLDER")
            _unpack(file, entries, to, path)
    except ArchiveError:
        raise
    except _BROKEN as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise UsageError(
            f"cannot open {path}", why=f"{where}: {error.strerror or error}", do="scriptflow open FILE"
        ) from error
    return to, run


def _damaged(path: str, why: str) -> ArchiveError:
    return ArchiveError(f"{path} is no sound archive of a run", why=why, do="scriptflow archive RUN  # makes one anew")


def _manifest(file: zipfile.ZipFile, path: str) -> dict[str, Any]:
    if MANIFEST not in file.namelist():
        raise _damaged(path, f"it has no {MANIFEST}")
    if file.getinfo(MANIFEST).file_size > _LARGEST_MANIFEST:
        raise _damaged(path, "its list of files is too large")
    with file.open(MANIFEST) as text:
        manifest = json.loads(text.read(_LARGEST_MANIFEST))
    if int(manifest["schema"]) > SCHEMA:
        raise ArchiveError(
            f"{path} was written by a newer scriptflow",
            why=f"its form is version {manifest['schema']}, this scriptflow knows up to version {SCHEMA}",
            do="pip install --upgrade scriptflow",
        )
    return manifest  # type: ignore[no-any-return]  # a dict: it has keys


def _entries(
    file: zipfile.ZipFile, manifest: dict[str, Any], path: str, largest: int
) -> list[tuple[zipfile.ZipInfo, int, str]]:
    """Return each entry with its size and hash out of the manifest.

    Raises:
        ArchiveError: a name leads elsewhere, the zip file and its manifest disagree, or it is too large.
    """
    listed = {str(row["path"]): (int(row["bytes"]), str(row["sha256"])) for row in manifest["files"]}
    infos = [info for info in file.infolist() if info.filename != MANIFEST]
    if len(infos) > _MOST_FILES or sorted(info.filename for info in infos) != sorted(listed):
        raise _damaged(path, f"its files are not those that {MANIFEST} lists")
    total = 0
    for info in infos:
        if not _is_safe(info):
            raise _damaged(path, f"a file of it would lie outside its folder: {info.filename!r}")
        size = listed[info.filename][0]
        if size < 0 or size != info.file_size:
            raise _damaged(path, f"{info.filename!r} is not as large as {MANIFEST} says")
        total += size
    if total > largest:
        raise ArchiveError(
            f"{path} would unpack to {size_text(total)}",
            why=f"more than {size_text(largest)} is not unpacked unasked",
            do=f"scriptflow open {path} --limit {size_text(total + 1024**3)}",
        )
    return [(info, *listed[info.filename]) for info in infos]


def _is_safe(info: zipfile.ZipInfo) -> bool:
    """Whether an entry is a plain file below the folder it is unpacked into, on any system."""
    name = info.filename
    mode = info.external_attr >> 16
    plain = not info.is_dir() and (not stat.S_IFMT(mode) or stat.S_ISREG(mode))
    parts = name.split("/")
    return plain and "\\" not in name and ":" not in parts[0] and "\0" not in name and not ({"", ".", ".."} & {*parts})


def _folder_name(run: str, path: str) -> str:
    """Return a run's name as that of a folder, or the archive's own where the run's would be none."""
    if run and run[0] != "." and all(sign.isalnum() or sign in "-_." for sign in run):
        return run
    return os.path.splitext(os.path.basename(path))[0] + "-opened"  # noqa: PTH119, PTH122 (plain strings all through)


def _unpack(file: zipfile.ZipFile, entries: list[tuple[zipfile.ZipInfo, int, str]], to: str, path: str) -> None:
    beside = f"{to}.{os.getpid()}.part"
    os.makedirs(beside, mode=0o700)  # noqa: PTH103 (as above)
    try:
        for info, size, sha256 in entries:
            _unpack_one(file, info, size, sha256, os.path.join(beside, *info.filename.split("/")), path)  # noqa: PTH118 (as above)
        store = os.path.join(beside, STORE, "runs.db")  # noqa: PTH118 (as above)
        if not os.path.isfile(store):  # noqa: PTH113 (as above)
            raise _damaged(path, "it has no store")
        try:
            problem = refuse_unsafe(store)
        except sqlite3.Error as error:
            raise _damaged(path, f"its store cannot be read: {error}") from error
        if problem:
            raise _damaged(path, problem)
        os.rename(beside, to)  # noqa: PTH104 (as above)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unpack_one(file: zipfile.ZipFile, info: zipfile.ZipInfo, size: int, sha256: str, to: str, path: str) -> None:
    """Write one file, no more of it than was announced, and compare its hash."""
    os.makedirs(os.path.dirname(to), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 (as above)
    digest, left = hashlib.sha256(), size
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with file.open(info) as source, os.fdopen(descriptor, "wb") as target:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise _damaged(path, f"{info.filename!r} is larger than it says")
            digest.update(chunk)
            target.write(chunk)
    if left or digest.hexdigest() != sha256:
        raise _damaged(path, f"{info.filename!r} is not what was put in")
