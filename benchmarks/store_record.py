"""What a record costs: time and bytes per task in the run store, beside a bare ``executemany`` of like rows.

Run by hand: ``python benchmarks/store_record.py [TASKS] [-t]`` (``-t``: bytes by table).
Only the ratios mean something on another machine.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time

from scriptflow.core.logs import log_path
from scriptflow.core.records import JobEnd, JobStart, RunCounts, RunStart, Seen
from scriptflow.core.states import JobState
from scriptflow.store.sqlite import SqliteStore

NOW = 1_700_000_000.25


def begin(run: str) -> RunStart:
    """Return the start of a run."""
    return RunStart(
        flow=run, name=None, tags=(), params={}, argv=("scriptflow", "run"), started=NOW, host="host", user="me",
        pid=1, git="", python="3.11", version="1",
    )  # fmt: skip


def seen(path: str, role: str, number: int) -> Seen:
    """Return a file as it was looked at."""
    return Seen(
        path=path,
        role=role,
        size=1000 + number,
        mtime_ns=int(NOW * 1e9) + number,
        ctime_ns=int(NOW * 1e9) + number,
        inode=400_000 + number,
    )


def records(folder: str, count: int, run: int, name: str, first: int) -> list[tuple[JobStart, JobEnd]]:
    """Return the records of ``count`` tasks with one input and one output each."""
    made = []
    for number in range(count):
        source, target = f"in/{number:06}.txt", f"out/{number:06}.txt"
        task = f"task-{number}"
        start = JobStart(
            job=first + number, run=run, task=task, key=f"{number * 0x9E3779B97F4A7C15 + 1:032x}",
            manifest=f"cp {source} {target}\n{source}\n{target}", attempt=1, executor="local",
            started=NOW + number / 1e3, log=log_path(folder, name, task, 1), reasons=(("output-missing", target),),
            inputs=(seen(source, "in", number),), outputs=(target,), group="copy",
        )  # fmt: skip
        end = JobEnd(
            job=start.job, state=JobState.SUCCEEDED, began=start.started + 0.001, ended=start.started + 0.0123,
            exit_code=0, signal=None, cause=None, max_rss_bytes=1_800_000, cpu_s=0.0012, host="host",
            pid=12_000 + number, detail="", signature=(number * 0x9E3779B97F4A7C15) % (1 << 61),
            outputs=(seen(target, "out", number),),
        )  # fmt: skip
        made.append((start, end))
    return made


def size(path: str) -> int:
    """Return the bytes of a database, its log folded in."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    return os.path.getsize(path)


def store(folder: str, count: int, at_once: int) -> dict[str, float]:
    """Record ``count`` tasks through the store, ``at_once`` in flight."""
    opened = SqliteStore.open(f"{folder}/.scriptflow", relative=True)
    run, name = opened.begin_run(begin("bench"))
    work = records(str(opened.folder), count, run, name, opened.next_job())
    opened.flush()
    empty = size(f"{folder}/.scriptflow/runs.db")
    wall, cpu, caller = time.perf_counter(), time.process_time(), 0.0
    import threading

    for at in range(0, count, at_once):
        some = work[at : at + at_once]
        there = threading.Event()
        opened.started([start for start, _ in some], lambda error, there=there: there.set())
        there.wait()
        mine = time.perf_counter()
        for _, end in some:
            opened.ended(end)
        caller += time.perf_counter() - mine
    opened.end_run("succeeded", RunCounts(ran=count), "")
    opened.flush()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    opened.close()
    return {
        "wall us": wall / count * 1e6, "cpu us": cpu / count * 1e6, "caller us": caller / count * 1e6,
        "bytes": (os.path.getsize(f"{folder}/.scriptflow/runs.db") - empty) / count,
    }  # fmt: skip


def bare(folder: str, count: int) -> dict[str, float]:
    """The same facts, no history of changes, no indices but the keys, 500 tasks to a commit."""
    path = f"{folder}/bare.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(
        "CREATE TABLE job "
        "(id INTEGER PRIMARY KEY, key BLOB, name TEXT, manifest TEXT, started, began, ended, rss, cpu, pid);"
        "CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT UNIQUE);"
        "CREATE TABLE io (job, made, file, size, mtime, ctime, inode, PRIMARY KEY (job, made, file)) WITHOUT ROWID;"
        "CREATE TABLE last (file INTEGER PRIMARY KEY, job, signature);"
    )
    work = records(folder, count, 1, "bench-1", 1)
    wall, cpu = time.perf_counter(), time.process_time()
    for at in range(0, count, 500):
        some = work[at : at + 500]
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO job VALUES (?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    s.job,
                    bytes.fromhex(s.key),
                    s.task,
                    s.manifest,
                    s.started,
                    e.began,
                    e.ended,
                    e.max_rss_bytes,
                    e.cpu_s,
                    e.pid,
                )
                for s, e in some
            ],
        )
        files = [seen for s, e in some for seen in (*s.inputs, *e.outputs)]
        numbered = {seen.path: at * 2 + i for i, seen in enumerate(files)}
        connection.executemany("INSERT INTO file VALUES (?,?)", [(i, path) for path, i in numbered.items()])
        connection.executemany(
            "INSERT INTO io VALUES (?,?,?,?,?,?,?)",
            [
                (s.job, f.role == "out", numbered[f.path], f.size, f.mtime_ns, f.ctime_ns, f.inode)
                for s, e in some
                for f in (*s.inputs, *e.outputs)
            ],
        )
        connection.executemany(
            "INSERT INTO last VALUES (?,?,?)", [(numbered[e.outputs[0].path], e.job, e.signature) for _, e in some]
        )
        connection.execute("COMMIT")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    connection.close()
    return {"wall us": wall / count * 1e6, "cpu us": cpu / count * 1e6, "bytes": os.path.getsize(path) / count}


def no_op(folder: str) -> dict[str, float]:
    """Open a full store for a run that has nothing to do."""
    cpu, wall = time.process_time(), time.perf_counter()
    opened = SqliteStore.open(f"{folder}/.scriptflow", relative=True)
    found = opened.latest()
    opened.begin_run(begin("bench"))
    opened.end_run("succeeded", RunCounts(skipped=len(found)), "")
    opened.close(fast=True)
    return {"cpu ms": (time.process_time() - cpu) * 1e3, "wall ms": (time.perf_counter() - wall) * 1e3}


def main() -> None:
    """Print all figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        base = bare(folder, count)
        print("bare", {key: round(value, 1) for key, value in base.items()})
        for at_once in (1, 16, 256):
            with tempfile.TemporaryDirectory() as other:
                found = store(other, count, at_once)
                print(f"store, {at_once} at once", {key: round(value, 1) for key, value in found.items()})
                print("   x bare", {key: round(found[key] / base[key], 2) for key in base})
                if at_once == 256:
                    for _ in range(3):
                        print("no-op of so many", {key: round(value, 1) for key, value in no_op(other).items()})
                    if "-t" in sys.argv:
                        connection = sqlite3.connect(f"{other}/.scriptflow/runs.db")
                        for name, total in connection.execute(
                            "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
                        ):
                            print(f"   {name:30} {total / count:6.1f}")


if __name__ == "__main__":
    main()
