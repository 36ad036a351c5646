"""Measure the web view over a run of many tasks: a page in a browser, a change on the page, and many who listen.

Usage: python benchmarks/web.py [--tasks 50000] [--clients 200]

Makes a store as a head would, serves it in a process of its own, and looks at it with Debian's chromium. Prints one
line for each number that must hold, and exits with 1 when one does not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.core.fingerprint import digest, manifest_text
from scriptflow.core.logs import log_path
from scriptflow.core.records import JobEnd, JobStart, RunCounts, RunStart, Seen
from scriptflow.core.states import Cause, JobState
from scriptflow.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from playwright.sync_api import Page

    Row = tuple[str, float, float, str]  # what, measured, limit, unit

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
STAGES = ("clean", "simulate", "estimate", "bootstrap", "plot")
FAILS_ONE_IN = 3000


class Filler:
    """A head that runs nothing: it writes what a head of many tasks would have written so far."""

    def __init__(self, folder: Path, tasks: int) -> None:
        self.store = SqliteStore.open(folder / ".scriptflow")
        self.root, self.tasks, self.at = str(folder), tasks, time.time() - 4000
        self.run, self.name = self.store.begin_run(
            RunStart(
                flow="paper", name=None, tags=(), params={"n": tasks}, argv=("run", "paper"), started=self.at,
                host=socket.gethostname(), user="ada", pid=os.getpid(), git="3fa21c0", python="3.11", version="1.0",
            )
        )  # fmt: skip
        self.counts = {"ran": 0, "failed": 0}

    def begin(self, numbers: range) -> list[JobStart]:
        """Commit the starts of some tasks."""
        starts = [self._start(number) for number in numbers]
        told = threading.Event()
        self.store.started(starts, lambda _: told.set())
        told.wait()
        return starts

    def _start(self, number: int) -> JobStart:
        group = STAGES[number * len(STAGES) // self.tasks]
        task = f"{group}-{number}"
        before = max(0, number - self.tasks // len(STAGES))
        inputs = (f"{self.root}/data.csv",) if group == "clean" else (f"{self.root}/out/{before}.csv",)
        output = f"{self.root}/out/{number}.csv"
        manifest = manifest_text(("python", "fit.py", str(number)), False, inputs, (output,), None)
        return JobStart(
            job=self.store.next_job(), run=self.run, task=task, key=digest(manifest), manifest=manifest, attempt=1,
            executor="local", started=self.at + 3900 * number / self.tasks,
            log=log_path(str(self.store.folder), self.name, task, 1),
            reasons=(("output-missing", output),), inputs=tuple(Seen(path=path, role="in", size=9) for path in inputs),
            outputs=(output,), group=group,
        )  # fmt: skip

    def end(self, start: JobStart, number: int) -> None:
        """Write the end of a task; a few fail, and have a log."""
        fails = number % FAILS_ONE_IN == FAILS_ONE_IN - 1
        if fails:
            Path(start.log).parent.mkdir(parents=True, exist_ok=True)
            Path(start.log).write_text("iteration 4\nnumpy.linalg.LinAlgError: Singular matrix\n", encoding="utf-8")
        self.counts["failed" if fails else "ran"] += 1
        self.store.ended(
            JobEnd(
                job=start.job, state=JobState.FAILED if fails else JobState.SUCCEEDED, began=start.started,
                ended=start.started + 2 + number % 7, exit_code=int(fails), signal=None,
                cause=Cause.EXIT if fails else None,
                max_rss_bytes=50 << 20, cpu_s=1.5, host=socket.gethostname(), pid=4, detail="", signature=1,
                outputs=() if fails else (Seen(path=start.outputs[0], role="out", size=9),),
            )
        )  # fmt: skip

    def fill(self, count: int) -> None:
        """Let ``count`` tasks have ended."""
        for first in range(0, count, 1000):
            numbers = range(first, min(count, first + 1000))
            for start, number in zip(self.begin(numbers), numbers, strict=True):
                self.end(start, number)
        self.tell(0)

    def tell(self, running: int) -> None:
        """Write the run's counts."""
        waiting = self.tasks - sum(self.counts.values()) - running
        self.store.progress(RunCounts(**self.counts, running=running, waiting=waiting, capacity=64))
        self.store.flush()


class Serving:
    """The server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scriptflow", "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        found = re.search(r"http://127.0.0.1:(\d+)/\?token=(\S+)", self.process.stderr.readline())
        assert found is not None
        self.port, self.token = int(found[1]), found[2]

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Return the memory that it holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="utf-8").split()[1]) * 4096


def look(serving: Serving, filler: Filler, done: int) -> list[Row]:
    """Look at pages with a browser."""
    from playwright.sync_api import sync_playwright

    found: list[Row] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for path in ("/r/last", "/", "/r/last/tasks", "/r/last/graph", "/r/last/timeline", "/files"):
            context = browser.new_context(viewport={"width": 1200, "height": 900})
            page = context.new_page()
            found += visit(page, serving, path)
            if path == "/r/last":
                found.append(("a change is on the page after", change(page, filler, done), 1.0, "s"))
            context.close()
        browser.close()
    return found


def visit(page: Page, serving: Serving, path: str) -> list[Row]:
    """Open one page with nothing in the browser's cache."""
    base = f"http://127.0.0.1:{serving.port}"
    page.context.request.get(f"{base}/?token={serving.token}")
    wrong: list[str] = []
    sizes: list[float] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda sent: None if sent.url.startswith(base) else wrong.append(sent.url))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    began = time.perf_counter()
    page.goto(base + path, wait_until="load")
    page.wait_for_selector("footer")
    seconds = time.perf_counter() - began
    page.wait_for_timeout(300)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    return [
        (f"{path} complete in", seconds, 1.5, "s"),
        (f"{path} transferred", sum(sizes) / 1024, 100, "KB"),
        (f"{path} elements", nodes, 1500, ""),
        (f"{path} errors and foreign requests", len(wrong), 0, ""),
    ]


def change(page: Page, filler: Filler, done: int) -> float:
    """Return the worst of five: from a change in the store until the page shows it."""
    page.wait_for_selector("#live[data-state=on]")
    worst = 0.0
    for number in range(5):
        page.wait_for_timeout(1500)
        (start,) = filler.begin(range(done + number, done + number + 1))
        filler.end(start, 0)
        filler.tell(0)
        began = time.perf_counter()
        wanted = f"{filler.counts['ran'] + filler.counts['failed']:,} of"
        page.locator("#counts .under", has_text=wanted).wait_for(timeout=10_000)
        worst = max(worst, time.perf_counter() - began)
    return worst


async def listen(serving: Serving, filler: Filler, clients: int, seconds: float, done: int) -> tuple[float, float, int]:
    """Let many pages stay open while a head writes; return the server's share of a core, its growth and refreshes."""
    import aiohttp

    headers = {"Authorization": f"Bearer {serving.token}"}
    base = f"http://127.0.0.1:{serving.port}"
    refreshed = 0
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            nonlocal refreshed
            async with session.get(
                f"{base}/api/v1/runs/last/events", timeout=aiohttp.ClientTimeout(total=None)
            ) as stream:
                last = 0.0
                async for line in stream.content:
                    if line.startswith(b"event: change") and time.monotonic() - last > 0.5:
                        last = time.monotonic()
                        async with session.get(f"{base}/r/last") as page:
                            await page.read()
                        refreshed += 1

        tasks = [asyncio.create_task(one()) for _ in range(clients)]
        await asyncio.sleep(2)
        memory, cpu, began = serving.rss_bytes(), serving.cpu_s(), time.monotonic()
        number = done
        while time.monotonic() - began < seconds:
            await asyncio.to_thread(write, filler, number)
            number += 5
            await asyncio.sleep(0.1)
        share = (serving.cpu_s() - cpu) / (time.monotonic() - began)
        grown = serving.rss_bytes() - memory
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return share, grown / 2**20, refreshed


def write(filler: Filler, first: int) -> None:
    """Let five more tasks begin and end."""
    for start, number in zip(filler.begin(range(first, first + 5)), range(first, first + 5), strict=True):
        filler.end(start, number)
    filler.tell(5)


def main() -> int:
    """Make, serve, look, listen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, done = Path(name), int(given.tasks * 0.9)
        filler = Filler(folder, given.tasks)
        filler.fill(done)
        serving = Serving(folder)
        try:
            rows = look(serving, filler, done)
            share, grown, refreshed = asyncio.run(listen(serving, filler, given.clients, given.seconds, done + 10))
            rows.append((f"server's share of a core with {given.clients} open pages", share, 1.0, ""))
            rows.append(("its memory grew by", grown, 50, "MB"))
            rows.append(("pages brought up to date, a second", -refreshed / given.seconds, 0, ""))
        finally:
            serving.process.terminate()
            serving.process.communicate()
            filler.store.end_run("succeeded", RunCounts(**filler.counts), "")
            filler.store.close()
    if given.json:
        print(json.dumps([dict(zip(("what", "measured", "limit", "unit"), row, strict=True)) for row in rows]))
    else:
        for what, measured, limit, unit in rows:
            print(f"{'ok  ' if measured <= limit else 'OVER'}  {what:60} {abs(measured):8.2f} {unit:3} limit {limit:g}")
    return int(any(measured > limit for _, measured, limit, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
