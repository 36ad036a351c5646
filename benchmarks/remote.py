"""What sending a run to a server costs its head, and how fast a server takes heads in while it is killed.

    python benchmarks/remote.py            (about a minute)

``sending``: 2,000 events a second for ten seconds go to a sender, whose server is a process of its own; what the
sender's process spends beyond making the same events for nobody, in per cent of a core.
``ingest``: 100,000 events from 20 heads; the server is killed (-9) five times meanwhile, and in the end every job must
be in its store once.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from hashlib import sha256

from scriptflow.core.events import JobStarted, RunEnded, RunStarted, TaskEnded
from scriptflow.core.job import JobReport
from scriptflow.core.records import RunCounts
from scriptflow.core.states import JobState
from scriptflow.posting import PostFailed, post
from scriptflow.sending.options import read_server
from scriptflow.sending.sender import Sender
from scriptflow.store.reader import StoreReader
from scriptflow.web.collect import Collector

TOKEN = "benchmark"
EVENTS_A_SECOND = 2000
SECONDS = 10
HEADS = 20
JOBS_A_HEAD = 2500
JOBS_A_BATCH = 250
KILLS = 5

SERVER = """
import sys
from aiohttp import web
from scriptflow.web.ingest import add_ingest
application = web.Application()
add_ingest(application, sys.argv[2], [sys.argv[3]])
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


class Server:
    """A server process that can be killed and started again."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.child = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self.port), self.folder, TOKEN], stderr=subprocess.DEVNULL
        )
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it as a crash would."""
        if self.child is not None:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()


# --- sending --------------------------------------------------------------------------------------


def pairs(first: int, count: int, folder: str) -> list[JobStarted | TaskEnded]:
    """Return the events of ``count / 2`` jobs that begin and end."""
    now = time.time()
    events: list[JobStarted | TaskEnded] = []
    for job in range(first, first + count // 2):
        name = f"simulate-{job}"
        reasons = (("output-missing", f"out/{job}.csv is not there"),)
        log = f"{folder}/logs/run/{name}.1.log"
        events.append(
            JobStarted(
                at=now, task=name, group="simulate", job=job, attempt=1, executor="local",
                command=f"python simulate.py --site {job} --out out/{job}.csv", log=log, reasons=reasons,
            )
        )  # fmt: skip
        report = JobReport(state=JobState.SUCCEEDED, exit_code=0, began=now, ended=now + 0.5, cpu_s=0.4, host="node17")
        events.append(
            TaskEnded(
                at=now, task=name, group="simulate", state="succeeded", job=job, attempt=1, attempts=1, seconds=0.5,
                report=report, log=log, reasons=reasons,
            )
        )  # fmt: skip
    return events


def spent(sender: Sender | None, folder: str) -> float:
    """Return the CPU seconds of this process while events are made, and heard if somebody listens."""
    if sender is not None:
        sender.hear(RunStarted(at=time.time(), run="bench-1", flow="bench", store=folder))
        time.sleep(1.5)  # threads and modules are loaded once
    begun = time.process_time()
    ticks = SECONDS * 20
    every = EVENTS_A_SECOND // 20
    due = time.monotonic()
    for tick in range(ticks):
        for event in pairs(1 + tick * every // 2, every, folder):
            if sender is not None:
                sender.hear(event)
        due += 1 / 20
        time.sleep(max(0.0, due - time.monotonic()))
    cost = time.process_time() - begun
    if sender is not None:
        counts = RunCounts(ran=EVENTS_A_SECOND * SECONDS // 2)
        sender.hear(
            RunEnded(at=time.time(), run="bench-1", flow="bench", status="succeeded", seconds=1.0, counts=counts)
        )
        sender.close()
    return cost


def sending() -> None:
    """Print what sending costs, by how much is sent."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(f"{folder}/data")
        server.start()
        try:
            nobody = spent(None, folder)
            for detail in ("counts", "failures", "tasks"):
                store = f"{folder}/{detail}/.scriptflow"
                os.makedirs(store)
                where = read_server({"url": server.url, "detail": detail}, f"{folder}/{detail}")
                assert where is not None
                cost = spent(Sender(where, TOKEN, store, {}, lambda *_: None), store) - nobody
                print(f"sending {detail:9} {100 * cost / SECONDS:5.2f} % of a core at {EVENTS_A_SECOND} events/s")
        finally:
            time.sleep(1)
            server.kill()


# --- ingest ---------------------------------------------------------------------------------------


def batches(number: int) -> list[bytes]:
    """Return the batches of one head."""
    head = sha256(f"head {number}".encode()).hexdigest()[:32]
    now = time.time()
    made = []
    for first in range(1, JOBS_A_HEAD + 1, JOBS_A_BATCH):
        jobs = range(first, first + JOBS_A_BATCH)
        last = first + JOBS_A_BATCH > JOBS_A_HEAD
        document = {
            "schema": 1, "head": head, "store": head, "project": f"project-{number}", "detail": "tasks",
            "batch": len(made) + 1, "run": {"flow": "bench", "number": 1, "started": now, "host": f"node{number}"},
            "status": "succeeded" if last else "running", "ended_at": now + 60 if last else None,
            "counts": {"ran": jobs[-1]},
            "started": [
                {"job": job, "task": f"t-{job}", "executor": "local", "at": now, "command": f"./simulate {job}",
                 "reasons": [["output-missing", f"out/{job}.csv is not there"]]}
                for job in jobs
            ],
            "ended": [
                {"job": job, "state": "succeeded", "began": now, "ended": now + 1, "exit_code": 0} for job in jobs
            ],
        }  # fmt: skip
        made.append(json.dumps(document).encode())
    return made


def send(url: str, waiting: list[bytes]) -> None:
    """Post batches in order, each until it is taken."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    for batch in waiting:
        while True:
            try:
                post(f"{url}/api/v1/ingest", batch, headers, 30.0)
                break
            except PostFailed:
                time.sleep(0.1)


def ingest() -> None:
    """Print how long 100,000 events take, and whether each is there once."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(f"{folder}/data")
        prepared = [batches(number) for number in range(HEADS)]
        server.start()
        begun = time.monotonic()
        heads = [threading.Thread(target=send, args=(server.url, waiting)) for waiting in prepared]
        for head in heads:
            head.start()
        kills = 0
        for _ in range(KILLS):
            time.sleep(0.8)
            server.kill()
            server.start()
            kills += 1
        for head in heads:
            head.join()
        seconds = time.monotonic() - begun
        server.kill()
        lost, doubled = checked(f"{folder}/data")
        events = HEADS * JOBS_A_HEAD * 2
        print(f"ingest  {events} events of {HEADS} heads in {seconds:.1f} s, server killed {kills} times: "
              f"{lost} lost, {doubled} doubled")  # fmt: skip


def checked(folder: str) -> tuple[int, int]:
    """Return how many jobs are missing, and how many are there that should not be."""
    lost = doubled = 0
    stores = Collector(folder).stores()
    for number in range(HEADS):
        with StoreReader(stores[f"project-{number}"], relative=True) as reader:
            (run,) = reader.runs()
            names = [job.task for job in reader.jobs(run.id) if job.state == JobState.SUCCEEDED]
        wanted = {f"t-{job}" for job in range(1, JOBS_A_HEAD + 1)}
        lost += len(wanted - set(names))
        doubled += len(names) - len(set(names))
        lost += run.counts.ran != JOBS_A_HEAD or str(run.status) != "succeeded"
    return lost, doubled


if __name__ == "__main__":
    sending()
    ingest()
