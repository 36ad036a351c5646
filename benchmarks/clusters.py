"""Measure what batch jobs cost: beside a bare job array, of the head's CPU while many wait, and when they are joined.

``python benchmarks/clusters.py waiting`` needs nothing but Python: its batch system is scripted, and its jobs are held.
``python benchmarks/clusters.py slurm`` (or ``sge``) needs the real one: ``eval "$(tests/testbeds/slurm-up)"``.
Exits with 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scriptflow.testing.batchtools import ScriptedPbs

FLOW = """
import scriptflow as sf

async def flow_many(n: int = {count}):
    await sf.bag(*[sf.Task(["true", str(i)], name=f"t{{i}}") for i in range(n)])
"""
BARE = {
    "slurm": ["sbatch", "--wait", "--output=/dev/null", "--array=1-{count}", "{script}"],
    "sge": ["qsub", "-sync", "y", "-o", "/dev/null", "-j", "y", "-t", "1-{count}", "{script}"],
}
WATCHED_S = 30.0
LIMITS = {"ratio to a bare array": 1.3, "head's CPU, % of a core": 5.0, "joining all, s": 5.0}


def project(folder: Path, count: int, settings: str) -> Path:
    """Make a flow of so many tasks that do nothing."""
    folder.mkdir(parents=True)
    (folder / "sflow.py").write_text(FLOW.format(count=count))
    (folder / "scriptflow.toml").write_text(settings)
    return folder


def start(folder: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a head; its events go to ``events`` in its folder."""
    argv = [sys.executable, "-m", "scriptflow", "run", "--events", "events", "-q"]
    return subprocess.Popen(argv, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def beside_bare(kind: str, count: int, rounds: int, work: Path) -> dict[str, float]:
    """Return the wall time of jobs through scriptflow beside that of a bare array of as many."""
    script = work / "true.sh"
    script.write_text("#!/bin/sh\ntrue\n")
    ours, bare = [], []
    for number in range(rounds):
        folder = project(work / str(number), count, f"[executors.{kind}]\nmaxsize = {count}\n")
        began = time.perf_counter()
        if start(folder).wait() != 0:
            sys.exit(f"the run in {folder} failed")
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        words = [word.format(count=count, script=script) for word in BARE[kind]]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=work)
        bare.append(time.perf_counter() - began)
    return {
        "scriptflow, s": statistics.median(ours),
        "bare array, s": statistics.median(bare),
        "ratio to a bare array": statistics.median(a / b for a, b in zip(ours, bare, strict=True)),
    }


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used; not its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def submitted_after(folder: Path, count: int, began: float) -> float:
    """Wait until so many jobs have their number in the store; return the seconds since ``began``."""
    from scriptflow.errors import NotFound
    from scriptflow.store.reader import StoreReader

    while True:
        try:
            with StoreReader(folder / ".scriptflow") as reader:
                if sum(len(reader.jobs(run.id, state="queued")) for run in reader.runs()) >= count:
                    break
        except NotFound:
            pass
        time.sleep(0.1)
    return time.perf_counter() - began


def joined_after(folder: Path, count: int, began: float) -> float:
    """Wait until so many jobs are told to be under way; return the seconds since ``began``."""
    path = folder / "events"
    while True:
        lines = path.read_text().splitlines() if path.exists() else []
        if sum(json.loads(line)["event"] == "JobStarted" for line in lines if line.endswith("}")) >= count:
            return time.perf_counter() - began
        time.sleep(0.05)


def waiting(count: int, work: Path) -> dict[str, float]:
    """Return what many waiting jobs cost a head, and the next one."""
    tools = ScriptedPbs(work / "tools")
    environment = {**os.environ, "PATH": f"{tools.commands}:{os.environ['PATH']}"}
    folder = project(work / "flow", count, f'[executors.pbs]\nmaxsize = {count}\ndirectives = ["-h"]\n')
    try:
        first = start(folder, environment)
        sent_s = submitted_after(folder, count, time.perf_counter())
        before = cpu_s(first.pid)
        time.sleep(WATCHED_S)
        share = (cpu_s(first.pid) - before) / WATCHED_S * 100
        first.kill()
        first.wait()
        (folder / "events").unlink()
        began = time.perf_counter()
        second = start(folder, environment)
        joining_s = joined_after(folder, count, began)
        second.terminate()
        second.wait()
    finally:
        tools.close()
    return {"submitting all, s": sent_s, "head's CPU, % of a core": share, "joining all, s": joining_s}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["waiting", *BARE])
    parser.add_argument("--jobs", type=int, help="how many jobs [1000 waiting ones, 200 real ones]")
    parser.add_argument("--rounds", type=int, default=3, help="of the real ones")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scriptflow-clusters-", ignore_cleanup_errors=True) as name:
        if given.what == "waiting":
            figures = waiting(given.jobs or 1000, Path(name))
        else:
            figures = beside_bare(given.what, given.jobs or 200, given.rounds, Path(name))
    missed = False
    for label, value in figures.items():
        limit = LIMITS.get(label)
        missed |= limit is not None and value > limit
        print(f"{label:28} {value:8.2f}" + (f"   limit {limit}" if limit is not None else ""))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
