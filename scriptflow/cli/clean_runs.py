"""``scriptflow clean --runs`` and ``--logs``: what is old in the store itself, listed or dropped."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scriptflow.store.reader import StoreReader
    from scriptflow.store.sqlite import SqliteStore


def clean_runs(reader: StoreReader, held: SqliteStore | None, keep: int, flow: str | None, *, as_json: bool) -> int:
    """List the runs that are old, with what belongs to them; drop them from the store that is held."""
    from scriptflow.core.units import size_text
    from scriptflow.store.keeping import drop, old_runs
    from scriptflow.store.spare import spare_values
    from scriptflow.terminal import words

    old = old_runs(reader, keep, flow)
    spare = spare_values(reader, old)
    size = _bytes_of([*old.logs, *spare])
    if held is not None:
        values = drop(held, old)
        size += _bytes_of(values)
        _remove([*old.logs, *values, *spare])  # after their rows: a log without a row harms nobody
    if as_json:
        document = {"schema": 1, "removed": held is not None, "runs": old.runs, "stay": old.stay}
        reading.print_document({**document, "jobs": len(old.jobs), "values": len(spare), "bytes": size})
        return 0
    head = "dropped" if held is not None else "would drop"
    runs = f"{words.count(len(old.runs))} run{'' if len(old.runs) == 1 else 's'}"
    jobs = f"{words.count(len(old.jobs))} job{'' if len(old.jobs) == 1 else 's'}"
    files = f"{words.count(len(spare))} file{'' if len(spare) == 1 else 's'} of values and code"
    reading.echo_lines([f"{head} {runs}, {jobs}, {files}, {size_text(size)}"])
    reading.echo_lines([f"  {name}" for name in old.runs])
    if old.stay:
        reading.echo_lines(["newest outputs are theirs, so these stay, without their other jobs"])
        reading.echo_lines([f"  {name}" for name in old.stay])
    if old.runs or old.jobs or spare:
        _say_how(held is not None)
    return 0


def clean_logs(reader: StoreReader, keep: int, flow: str | None, *, yes: bool, as_json: bool) -> int:
    """List, or remove, the logs of old runs; their records stay."""
    from scriptflow.core.units import size_text
    from scriptflow.store.keeping import logs_of
    from scriptflow.terminal import words

    logs = [log for log in logs_of(reader, keep, flow) if Path(log).is_file()]
    size = _bytes_of(logs)
    if yes:
        _remove(logs)
    if as_json:
        reading.print_document({"schema": 1, "removed": yes, "files": logs, "bytes": size})
        return 0
    head = "removed" if yes else "would remove"
    reading.echo_lines([f"{head} {words.count(len(logs))} log{'' if len(logs) == 1 else 's'}, {size_text(size)}"])
    if logs:
        _say_how(yes)
    return 0


def _say_how(done: bool) -> None:
    if not done:
        click.echo("the same with --yes does it", err=True)


def _bytes_of(paths: Iterable[str]) -> int:
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            total += Path(path).lstat().st_size
    return total


def _remove(paths: Iterable[str]) -> None:
    """Remove files of the store, and folders of runs that are empty then."""
    folders = set()
    for path in map(Path, paths):
        with contextlib.suppress(OSError):
            path.unlink()
            folders.add(path.parent)
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
