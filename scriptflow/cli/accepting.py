"""Accept tasks' outputs as they are: what speaks against it, and the record that says so.

Knows tasks of a plan, files and the store. Knows nothing of commands or of the screen.
"""

from __future__ import annotations

import os
import sys
from time import time
from typing import TYPE_CHECKING

from scriptflow.core.command import manifest_of, paths_in, paths_out
from scriptflow.core.fingerprint import digest
from scriptflow.core.frozen import changed
from scriptflow.core.logs import log_path
from scriptflow.core.machine import host_name
from scriptflow.core.records import JobEnd, JobStart, RunCounts, RunStart
from scriptflow.core.states import JobState, RunState
from scriptflow.engine.hashing import SMALL_BYTES
from scriptflow.engine.here import git_commit, user
from scriptflow.engine.outputs import clear_markers
from scriptflow.session import VERSION
from scriptflow.store.keeping import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.cli.launch import Ready
    from scriptflow.core.records import Seen
    from scriptflow.core.task import Task
    from scriptflow.engine.head import Head
    from scriptflow.store.sqlite import SqliteStore

WORD = "touch"
"""Where the record says an executor's name, and the tag of such a run."""


def objection(head: Head, task: Task) -> str:
    """Return why a task cannot be accepted as it is, empty when it can."""
    if not task._outputs:
        return "it declares no outputs, so it always runs"
    outputs = paths_out(task, head.folder)
    missing = [path for path in outputs if head.files.seen(path, "out").size < 0]
    if missing or not outputs:
        return f"{missing[0]} is missing" if missing else "nothing matches its outputs"
    missing = [path for path in paths_in(task, head.folder) if head.files.seen(path, "in").size < 0]
    return f"its input {missing[0]} is missing" if missing else ""


def accept(store: SqliteStore, what: Ready, head: Head, tasks: Sequence[Task]) -> list[str]:
    """Record these tasks as done, all in a run of their own; return their names."""
    if not tasks:
        return []
    folder = what.flow_file.folder
    number, run = store.begin_run(
        RunStart(
            flow=what.flow.name, name=None, tags=(WORD,), params=what.params, argv=(WORD,), started=time(),
            host=host_name(), user=user(), pid=os.getpid(), git=git_commit(folder), python=sys.version.split()[0],
            version=VERSION,
        )
    )  # fmt: skip
    hashes = what.settings.hash != "off"
    record(store, [_job(store, head, task, number, run, hashes=hashes) for task in tasks])
    store.end_run(RunState.SUCCEEDED, RunCounts(skipped=len(tasks)), "outputs accepted as they are")
    store.flush()
    for task in tasks:  # after the record: until then nothing is taken for done
        clear_markers([head.files.absolute(path) for path in paths_out(task, folder)])
    return [str(task.name) for task in tasks]


def _job(store: SqliteStore, head: Head, task: Task, number: int, run: str, *, hashes: bool) -> tuple[JobStart, JobEnd]:
    job, now, name = store.next_job(), time(), str(task.name)
    inputs = _seen(head, paths_in(task, head.folder), "in", hashes=hashes)
    outputs = _seen(head, paths_out(task, head.folder), "out", hashes=hashes)
    manifest = manifest_of(task, [seen.path for seen in inputs], head.folder)
    start = JobStart(
        job=job, run=number, task=name, key=digest(manifest), manifest=manifest, attempt=1, executor=WORD,
        started=now, log=log_path(str(store.folder), run, name, 1), reasons=(), inputs=inputs,
        outputs=tuple([seen.path for seen in outputs]), group=task._group,
    )  # fmt: skip
    end = JobEnd(
        job=job, state=JobState.SUCCEEDED, began=None, ended=now, exit_code=None, signal=None, cause=None,
        max_rss_bytes=None, cpu_s=None, host=host_name(), pid=os.getpid(),
        detail="its outputs were accepted as they are", signature=0, outputs=outputs,
    )  # fmt: skip
    return start, end


def _seen(head: Head, paths: Iterable[str], role: str, *, hashes: bool) -> tuple[Seen, ...]:
    found = [head.files.seen(path, role) for path in paths]
    if not hashes:
        return tuple(found)
    return tuple([changed(one, sha256=head.hashes.of(one)) if one.size <= SMALL_BYTES else one for one in found])
