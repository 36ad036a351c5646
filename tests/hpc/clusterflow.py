"""A flow in a folder of its own, run by the command as a user does, and killed at chosen moments."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from typing import ClassVar

LIMIT_S = 60

FLOW = """
import scriptflow as sf

async def flow_demo(n: int = 3):
    await sf.bag(*[
        sf.Task(
            f"echo >>ran-{i}; until [ -e go ]; do sleep 0.05; done; cat in >out-{i}",
            shell=True, inputs="in", outputs=f"out-{i}", name=f"t{i}",
        )
        for i in range(n)
    ])
"""


class ClusterFlow:
    """The folder, its flow file and settings; ``heads`` are all that any test started."""

    heads: ClassVar[list[subprocess.Popen]] = []

    def __init__(self, folder, kind, flow=FLOW, more=""):
        self.folder, self.kind = folder, kind
        self.folder.mkdir(exist_ok=True)
        self.write("sflow.py", flow)
        self.write("scriptflow.toml", f'[executors.{kind}]\npoll = "0.5s"\n{more}\n')
        self.write("in", "input\n")
        self.shims = folder / "shims"

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def start(self, *words):
        env = {**os.environ, "PATH": f"{self.shims}:{os.environ['PATH']}"} if self.shims.exists() else None
        head = subprocess.Popen(
            [sys.executable, "-m", "scriptflow", "run", *words],
            cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.heads.append(head)
        return head

    def run(self, *words, code=0):
        head = self.start(*words)
        try:
            out = head.communicate(timeout=LIMIT_S)[0]
        finally:
            head.kill()
        assert head.returncode == code, out
        return out

    def shim(self, program, text):
        """Put a program in front of the real one, which ``text`` finds in ``$REAL``; ``$HEAD`` is who called."""
        self.shims.mkdir(exist_ok=True)
        path = self.shims / program
        find_head = (
            "HEAD=$PPID; while ! tr '\\0' ' ' </proc/$HEAD/cmdline | grep -q 'scriptflow run'; do\n"
            "HEAD=$(awk '{print $4}' /proc/$HEAD/stat); done\n"
        )
        path.write_text(f"#!/bin/sh\nREAL={shutil.which(program)}\n{find_head}{text}\n")
        path.chmod(0o755)

    def unshim(self):
        shutil.rmtree(self.shims)

    def killed(self, head):
        """Wait for the death of a head that a shim kills."""
        out = head.communicate(timeout=LIMIT_S)[0]
        assert head.returncode == -signal.SIGKILL, out

    def kill(self, head):
        head.kill()
        head.communicate()

    def go(self):
        (self.folder / "go").touch()

    def wait_for(self, *names):
        self.until(lambda: all((self.folder / name).exists() for name in names), names)

    def until(self, happened, what=""):
        deadline = time.monotonic() + LIMIT_S
        while not happened():
            assert time.monotonic() < deadline, what
            time.sleep(0.02)

    def exits(self):
        """Return the exit records of all jobs."""
        return sorted(self.folder.glob(".scriptflow/jobs/demo-*/*/exit"))

    def submissions(self):
        """Return how many times something was handed to the batch system for certain."""
        return len(list(self.folder.glob(".scriptflow/jobs/demo-*/*/submitted")))

    def times_run(self):
        """Return how often each command was begun."""
        return [len(path.read_text().splitlines()) for path in sorted(self.folder.glob("ran-*"))]

    def jobs(self):
        """Return (run, attempt, state) of all jobs on record, in the order of their starts."""
        connection = sqlite3.connect(self.folder / ".scriptflow" / "runs.db")
        try:
            return connection.execute(
                "SELECT r.flow || '-' || r.number, j.attempt, j.state FROM jobs j "
                "JOIN runs r ON r.id = j.run ORDER BY j.id"
            ).fetchall()
        finally:
            connection.close()


def submit_program(kind):
    return "sbatch" if kind == "slurm" else "qsub"


def cancel_program(kind):
    return "scancel" if kind == "slurm" else "qdel"


def probe_program(kind):
    return {"slurm": "sbatch", "sge": "qstat", "pbs": "qstat"}[kind]
