"""How soon the reading commands answer beside a store of many tasks, and ``why`` and ``plan`` beside their flow.

Run by hand: ``python benchmarks/answers.py [TASKS]`` (100,000 by default). The store is filled through its own API, the
files are real. Times are CPU seconds of the whole command, the best of three; a neighbour at work moves wall time more.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from scriptflow.core.files import Files, mark_of
from scriptflow.core.fingerprint import digest, manifest_text
from scriptflow.core.logs import log_path
from scriptflow.core.records import JobEnd, JobStart, RunCounts, RunStart
from scriptflow.core.states import JobState
from scriptflow.store.sqlite import SqliteStore

FLOW = """
import scriptflow as sf

async def flow_bench(n: int = {count}):
    await sf.bag([sf.Task(["cp", "in.txt", f"out/{{i}}"], inputs="in.txt", outputs=f"out/{{i}}", name=f"copy-{{i}}")
                  for i in range(n)])
"""
ROUNDS = 3
_AT_ONCE = 2000


def fill(folder: Path, count: int) -> None:
    """Write the flow, its files, and a store in which all of it is up to date."""
    (folder / "sflow.py").write_text(FLOW.format(count=count))
    (folder / "in.txt").write_text("x\n")
    (folder / "out").mkdir()
    files = Files(str(folder))
    store = SqliteStore.open(folder / ".scriptflow", relative=True)
    run, name = store.begin_run(
        RunStart(
            flow="bench", name=None, tags=(), params={}, argv=("run",), started=time.time(), host="host", user="me",
            pid=os.getpid(), git="", python="3.11", version="1",
        )
    )  # fmt: skip
    long_ago = time.time() - 3600
    os.utime(folder / "in.txt", (long_ago, long_ago))
    source = files.seen("in.txt", "in")
    for first in range(0, count, _AT_ONCE):
        starts, ends = [], []
        for number in range(first, min(first + _AT_ONCE, count)):
            target, task = f"out/{number}", f"copy-{number}"
            (folder / target).touch()
            os.utime(folder / target, (long_ago + 60, long_ago + 60))
            made = files.seen(target, "out")
            manifest = manifest_text(("cp", "in.txt", target), False, ("in.txt",), (target,), None)
            job = store.next_job()
            log = log_path(str(store.folder), name, task, 1)
            starts.append(
                JobStart(
                    job=job, run=run, task=task, key=digest(manifest), manifest=manifest, attempt=1, executor="local",
                    started=long_ago, log=log, reasons=(("output-missing", target),), inputs=(source,),
                    outputs=(target,), group="copies",
                )
            )  # fmt: skip
            ends.append(
                JobEnd(
                    job=job, state=JobState.SUCCEEDED, began=long_ago, ended=long_ago + 1, exit_code=0, signal=None,
                    cause=None, max_rss_bytes=1_800_000, cpu_s=0.01, host="host", pid=1, detail="",
                    signature=hash((mark_of(source), mark_of(made))), outputs=(made,),
                )
            )  # fmt: skip
        done = threading.Event()
        store.started(starts, lambda _, done=done: done.set())
        done.wait()
        for end in ends:
            store.ended(end)
    store.end_run("succeeded", RunCounts(ran=count), "")
    store.close()
    logs = folder / ".scriptflow" / "logs" / name
    logs.mkdir(parents=True, exist_ok=True)
    (logs / f"copy-{count // 2}.1.log").write_text("said\n")


def seconds(folder: Path, *words: str, **environ: str) -> float:
    """Return the CPU time of a command, the best of three rounds."""
    times = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            words, cwd=folder, env=os.environ | environ, capture_output=True, text=True, check=False
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stderr}")
    return min(times)


def main(count: int) -> None:
    """Fill a store and print what each answer takes."""
    us = (sys.executable, "-m", "scriptflow")
    middle = f"copy-{count // 2}"
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        began = time.perf_counter()
        fill(folder, count)
        print(f"filled with {count:,} tasks in {time.perf_counter() - began:.1f} s")
        loading = seconds(folder, sys.executable, "-c", "import sflow")
        complete = {"_SCRIPTFLOW_COMPLETE": "bash_complete", "COMP_WORDS": "scriptflow show copy-4", "COMP_CWORD": "2"}
        rows = {
            "status": ((*us, "status"), {}),
            "status --json": ((*us, "status", "--json"), {}),
            "runs": ((*us, "runs"), {}),
            "show (a run)": ((*us, "show"), {}),
            "show TASK": ((*us, "show", middle), {}),
            "logs TASK": ((*us, "logs", middle), {}),
            "logs (failed)": ((*us, "logs"), {}),
            "completion": (us, complete),
            "suggest": ((*us, "suggest"), {}),
            "why TASK --run": ((*us, "why", middle, "--run", "last"), {}),
        }
        for label, (words, environ) in rows.items():
            print(f"{label:24} {seconds(folder, *words, **environ):6.2f} s")
        for label in (middle, f"out/{count - 1}"):
            took = seconds(folder, *us, "why", label)
            print(f"{'why ' + label:24} {took:6.2f} s, {took - loading:5.2f} s after the import of the flow file")
        print(f"{'why -a':24} {seconds(folder, *us, 'why', '-a'):6.2f} s")
        print(f"{'plan':24} {seconds(folder, *us, 'plan'):6.2f} s")
        print(f"{'run, nothing to do':24} {seconds(folder, *us, 'run', '-q'):6.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
