"""Records and child programs for the tests of the run store."""

import os
import select
import subprocess
import sys
import threading
from pathlib import Path

from scriptflow.core.frozen import changed
from scriptflow.core.logs import log_path
from scriptflow.core.records import JobEnd, JobStart, RunStart, Seen
from scriptflow.core.states import JobState

NOW = 1_700_000_000.5


def run_start(flow="demo", **changes):
    plain = RunStart(
        flow=flow, name=None, tags=(), params={}, argv=("scriptflow", "run"), started=NOW, host="here", user="me",
        pid=os.getpid(), git="", python="3.11", version="1",
    )  # fmt: skip
    return changed(plain, **changes)


def start_of(store, run, number, *, task=None, outputs=None, **changes):
    task = task or f"task-{number}"
    name = changes.pop("run_name", "demo-1")
    root = str(store.folder.parent)
    plain = JobStart(
        job=number, run=run, task=task, key=f"{number:032x}", manifest=f"touch {task}", attempt=1, executor="local",
        started=NOW + number, log=log_path(str(store.folder), name, task, 1), reasons=(("output-missing", task),),
        inputs=(Seen(path=f"{root}/in.txt", role="in", size=4, mtime_ns=5, ctime_ns=6, inode=7),),
        outputs=(f"{root}/{task}.txt",) if outputs is None else outputs,
    )  # fmt: skip
    return changed(plain, **changes)


def end_of(start, *, state=JobState.SUCCEEDED, **changes):
    outputs = tuple(Seen(path=path, role="out", size=3, mtime_ns=8, ctime_ns=8, inode=9) for path in start.outputs)
    plain = JobEnd(
        job=start.job, state=state, began=start.started + 1, ended=start.started + 2.5, exit_code=0, signal=None,
        cause=None, max_rss_bytes=1000, cpu_s=0.25, host="here", pid=42, detail="", signature=12345, outputs=outputs,
    )  # fmt: skip
    return changed(plain, **changes)


def begun(store, starts):
    """Commit starts; return what ``then`` was given."""
    told, given = threading.Event(), []

    def then(error):
        given.append(error)
        told.set()

    store.started(starts, then)
    assert told.wait(30)
    return given[0]


def ended(store, end):
    """Write an end and return once it is on the disk."""
    told = threading.Event()
    store.ended(end, told.set)
    assert told.wait(30)


def do_jobs(store, run, count, first=None):
    starts = [start_of(store, run, store.next_job()) for _ in range(count)]
    assert begun(store, starts) is None
    for start in starts:
        store.ended(end_of(start))
    store.flush()
    return starts


HEAD = """
import sys, threading
sys.path.insert(0, {tests!r})
from making import *
from scriptflow.store.sqlite import SqliteStore
store = SqliteStore.open(sys.argv[1], **{options!r})
run, name = store.begin_run(run_start())
"""


def child(folder, body, *, options=None, **more):
    """Start a program that opens the store, begins a run and goes on with ``body``."""
    text = HEAD.format(tests=str(Path(__file__).parent), options=options or {}) + body
    return subprocess.Popen(
        [sys.executable, "-c", text, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more
    )


def line_of(process, limit_s=30):
    """Return the child's next line, under a limit."""
    assert select.select([process.stdout], [], [], limit_s)[0], "the child said nothing"
    return process.stdout.readline().strip()


def end_child(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
