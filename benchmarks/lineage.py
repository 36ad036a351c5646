"""Measure how long `scriptflow trace` takes in a store of many tasks.

Builds a store of a flow with --tasks tasks (samples cleaned and fitted, a hundred merged, merges summed up, one shared
input) and asks it both ways, by path, by content and from the command line.

    python benchmarks/lineage.py --tasks 1000000
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from scriptflow.core.fingerprint import digest, manifest_text
from scriptflow.core.records import RunCounts, RunStart
from scriptflow.core.states import RunState
from scriptflow.store import lineage
from scriptflow.store.reader import StoreReader
from scriptflow.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MERGED = 100
ROUNDS = 5


def tasks(count: int) -> Iterator[tuple[str, list[str], str]]:
    """Yield name, inputs and output of each task, makers before readers."""
    merges: list[str] = []
    fits: list[str] = []
    for number in range(max(1, count // 2)):
        clean, fit = f"work/clean-{number}.csv", f"work/fit-{number}.json"
        yield f"clean-{number}", [f"data/raw-{number}.csv", "settings.toml"], clean
        yield f"fit-{number}", [clean, "settings.toml"], fit
        fits.append(fit)
        if len(fits) == MERGED:
            merge = f"work/merge-{number // MERGED}.json"
            before = merges[-1:]  # each takes the one before too: one long chain
            yield f"merge-{number // MERGED}", [*fits, *before], merge
            merges.append(merge)
            fits = []
    yield "total", merges[:500], "total.json"


def build(folder: str, count: int) -> None:
    """Fill a store as a head would, but in one transaction."""
    store = SqliteStore.open(f"{folder}/.scriptflow")
    run, _ = store.begin_run(
        RunStart(
            flow="big", name=None, tags=(), params={}, argv=("run",), started=1.7e9, host="here", user="me", pid=1,
            git="", python="3.11", version="1",
        )
    )  # fmt: skip
    store.end_run(RunState.SUCCEEDED, RunCounts(ran=count), "")
    store.close()
    connection = sqlite3.connect(f"{folder}/.scriptflow/runs.db")
    known: dict[str, int] = {}
    rows: dict[str, list[Any]] = {"tasks": [], "jobs": [], "edges": [], "files": [], "latest": []}

    def file(path: str) -> int:
        if path not in known:
            known[path] = len(known) + 1
            rows["files"].append((known[path], path))
        return known[path]

    def write() -> None:
        for table, some in rows.items():
            if some:
                marks = ", ".join("?" * len(some[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", some)
                some.clear()

    for job, (name, inputs, output) in enumerate(tasks(count), start=1):
        manifest = manifest_text(("python", "work.py", name), False, inputs, [output], None)
        rows["tasks"].append((job, bytes.fromhex(digest(manifest)), name, name.split("-")[0], manifest, job))
        rows["jobs"].append(
            (job, run, job, 1, "local", None, "succeeded", 1_700_000_000_000_000 + job, 0, 1000, 0, None, None, 1000,
             1000, None, 1, None, None, 1, None, 0)
        )  # fmt: skip
        for made, path in [*((0, path) for path in inputs), (1, output)]:
            rows["edges"].append((job, made, file(path), 10, 1, None, 1, hashlib.sha256(path.encode()).digest(), 0))
        rows["latest"].append((file(output), job, job, 1, 1))
        if not job % 20_000:
            write()
    write()
    connection.execute("UPDATE runs SET last_job = (SELECT max(id) FROM jobs)")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def shown(what: str, ask: Callable[[], object]) -> None:
    """Print the median and the worst of some rounds."""
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = ask()
        seconds.append(time.perf_counter() - begun)
    print(f"{what:44} {statistics.median(seconds):7.3f} s   worst {max(seconds):7.3f} s   {found}")


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--folder", help="keep the store here, and use the one that is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or temporary
        if not os.path.exists(f"{folder}/.scriptflow/runs.db"):
            os.makedirs(folder, exist_ok=True)
            begun = time.perf_counter()
            build(folder, given.tasks)
            size = os.path.getsize(f"{folder}/.scriptflow/runs.db")
            print(f"built in {time.perf_counter() - begun:.0f} s, {size / 1e6:.0f} MB")
        ask_all(folder, given.tasks)


def ask_all(folder: str, count: int) -> None:
    """Ask the store every kind of question."""
    middle = count // 4
    with StoreReader(f"{folder}/.scriptflow") as reader:

        def steps(way: Callable[..., lineage.Lineage], path: str) -> str:
            made = lineage.made(reader, f"{folder}/{path}")
            assert made is not None
            jobs = lineage.readers(reader, made.file) if made.job is None else [made.job]
            found = way(reader, jobs)
            return f"{len(found.steps)} jobs{'' if found.complete else ', and more'}"

        shown("how was one fit made", lambda: steps(lineage.up, f"work/fit-{middle}.json"))
        shown("how was one merge made", lambda: steps(lineage.up, f"work/merge-{middle // MERGED}.json"))
        shown("how was the total made", lambda: steps(lineage.up, "total.json"))
        shown("what did one fit go into", lambda: steps(lineage.down, f"work/fit-{middle}.json"))
        shown("what did the shared input go into", lambda: steps(lineage.down, "settings.toml"))
        known = hashlib.sha256(f"work/fit-{middle}.json".encode()).hexdigest()
        shown("who made this content", lambda: lineage.made_as(reader, f"sha256:{known}", 10))
        shown("who made this unknown content", lambda: lineage.made_as(reader, "sha256:" + "1" * 64, 10))
        shown("is there a hash for this size", lambda: lineage.has_hash_of_size(reader, 12345))
    command = [sys.executable, "-m", "scriptflow", "trace", f"work/fit-{middle}.json"]
    #    shown("scriptflow trace FILE", lambda: len(subprocess.check_output(command, cwd=folder, stderr=subprocess.STDOUT)))


if __name__ == "__main__":
    main()
