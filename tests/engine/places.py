"""Small flows in a folder of their own, in this process or in a child, and what was told while they ran."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest

import scriptflow as sf
from scriptflow import app, plans

PYTHON = sys.executable


class Told:
    """A listener that keeps every event, and answers questions about them."""

    wants_names = True

    def __init__(self):
        self.events = []

    def hear(self, event):
        self.events.append(event)

    def close(self):
        pass

    def of(self, kind):
        return [event for event in self.events if type(event).__name__ == kind]

    @property
    def ran(self):
        """Names of the tasks that had a job, in the order their jobs started, each once."""
        return list(dict.fromkeys(event.task for event in self.of("JobStarted")))

    @property
    def reasons(self):
        """Maps each task that had to run to its reasons, as pairs."""
        return {event.task: event.reasons for event in self.of("TaskQueued")}

    def codes(self, task):
        return [code for code, _ in self.reasons[task]]


def rebased(flow, file):
    """Return the flow as if it had been written in ``file``: its folder is where relative paths start."""
    moved = types.FunctionType(
        flow.__code__.replace(co_filename=str(file)), flow.__globals__, flow.__name__, flow.__defaults__,
        flow.__closure__,
    )  # fmt: skip
    moved.__kwdefaults__ = flow.__kwdefaults__
    return moved


class Place:
    """A project's folder."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "sflow.py"
        self.file.touch()
        self.told = Told()
        self.children = []
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("SCRIPTFLOW_")}

    def __truediv__(self, name):
        return self.folder / name

    # --- in this process ---

    def run(self, flow, *, settings=None, **params):
        """Run a flow here; what it told is in ``told``."""
        self.told = Told()
        return sf.run(rebased(flow, self.file), settings=settings, listeners=[self.told], **params)

    def good(self, flow, **more):
        """Run a flow that must end well; return its result."""
        result = self.run(flow, **more)
        if result.error is not None:
            raise result.error
        assert result.exit_code == 0
        return result

    def plan(self, flow, **params):
        """Return what a run of the flow would do."""
        moved = rebased(flow, self.file)
        here = Path.cwd()
        try:
            return plans.plan_flow(
                types.SimpleNamespace(folder=str(self.folder), path=str(self.file)),
                types.SimpleNamespace(name="main", function=moved, file=str(self.file)),
                params, app._settings(str(self.folder), None), app.RunOptions(),
            )  # fmt: skip
        finally:
            os.chdir(here)

    # --- in a child ---

    def write(self, text, name="sflow.py"):
        (self.folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
        return self.folder / name

    def popen(self, *argv, **env):
        child = subprocess.Popen(
            argv, cwd=self.folder, env=self.env | env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.children.append(child)
        return child

    def close(self):
        """End every child that a test left."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
            if not child.stdout.closed:
                child.communicate()

    def script(self, text, *, code=0, limit=20, **env):
        """Run a plain Python script of this folder to its end."""
        return self._ended(self.popen(PYTHON, "-X", "dev", str(self.write(text, "script.py")), **env), code, limit)

    def cli(self, text, *words, code=0, limit=20, **env):
        """Run a flow file by the command line to its end; ``text`` None keeps the one that is there."""
        if text is not None:
            self.write(text)
        return self._ended(self.popen(PYTHON, "-m", "scriptflow", *words, **env), code, limit)

    def start(self, text, *words, **env):
        """Start ``scriptflow run`` and return its process."""
        self.write(text)
        return self.popen(PYTHON, "-m", "scriptflow", "run", *words, **env)

    def _ended(self, process, code, limit):
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"still there after {limit} s\n{out}\n{err}")
        assert process.returncode == code, f"exit {process.returncode}, not {code}\n{out}\n{err}"
        return subprocess.CompletedProcess((), process.returncode, out, err)

    def end_of(self, process, *, code, limit=15):
        """Wait for the end of a started child."""
        return self._ended(process, code, limit)

    def appears(self, name, *, limit=10, process=None):
        """Wait until a file is there and holds something; return its text."""
        path = self.folder / name
        return until(lambda: path.exists() and path.read_text(), limit, name, process)


def until(question, limit=10, what="", process=None):
    """Ask until the answer is true; the answer."""
    end = time.monotonic() + limit
    while not (answer := question()):
        if process is not None and process.poll() is not None:
            out, err = process.communicate()
            pytest.fail(f"ended with {process.returncode} before {what}\n{out}\n{err}")
        if time.monotonic() > end:
            pytest.fail(f"not within {limit} s: {what}")
        time.sleep(0.01)
    return answer


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{int(pid)}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
