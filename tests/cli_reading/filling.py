"""A real store, filled as a head would fill it."""

import os
import socket
import threading
import time

from scriptflow.core.fingerprint import digest, manifest_text
from scriptflow.core.logs import log_path
from scriptflow.core.records import JobEnd, JobStart, RunCounts, RunStart
from scriptflow.core.states import Cause, JobState
from scriptflow.store.sqlite import SqliteStore


class Head:
    """Fills a real store as a head would: this process is the head that the reading commands see."""

    def __init__(self, folder):
        self.folder = folder
        self.store = SqliteStore.open(folder / ".scriptflow")
        self.at = time.time() - 60
        self.run = None

    def begin(self, flow="demo", *, name=None, tags=(), params=None):
        self.run_id, self.run = self.store.begin_run(
            RunStart(
                flow=flow, name=name, tags=tags, params=params or {}, argv=("run", flow), started=self.at,
                host=socket.gethostname(), user="ada", pid=os.getpid(), git="3fa21c0", python="3.11", version="1.0",
            )
        )  # fmt: skip
        return self.run

    def start(
        self, task, *, attempt=1, group="", log=b"", inputs=(), outputs=(), reasons=(("no-outputs", ""),), **more
    ):
        number = self.store.next_job()
        path = log_path(str(self.store.folder), self.run, task, attempt)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if log is not None:
            with open(path, "wb") as file:
                file.write(log)
        command = more.pop("command", ("sh", "-c", "echo hello"))
        manifest = manifest_text(command, False, [seen.path for seen in inputs], outputs, {"task": task})
        start = JobStart(
            job=number, run=self.run_id, task=task, key=digest(manifest), manifest=manifest, attempt=attempt,
            executor="local", started=self.at, log=path, reasons=reasons, inputs=tuple(inputs), outputs=tuple(outputs),
            group=group, **more,
        )  # fmt: skip
        done = threading.Event()
        self.store.started([start], lambda _: done.set())
        assert done.wait(10)
        self.store.flush()  # what was committed ahead of the job becomes its row
        return start

    def end(
        self, start, state="succeeded", *, seconds=2.0, exit_code=0, signal=None, cause=None, outputs=(), detail=""
    ):
        self.store.ended(
            JobEnd(
                job=start.job, state=JobState(state), began=self.at, ended=self.at + seconds, exit_code=exit_code,
                signal=signal, cause=cause, max_rss_bytes=3 * 1024**2, cpu_s=0.5, host=socket.gethostname(), pid=4121,
                detail=detail, signature=1, outputs=tuple(outputs),
            )
        )  # fmt: skip
        self.store.flush()

    def fail(self, start, code=1, **more):
        self.end(start, "failed", exit_code=code, cause=Cause.EXIT, **more)

    def did(self, task, **more):
        self.end(self.start(task, **more))

    def counts(self, **counts):
        self.store.progress(RunCounts(**counts))
        self.store.flush()

    def finish(self, status="succeeded", **counts):
        self.store.end_run(status, RunCounts(**counts), "")
        self.store.flush()
