"""A project in a folder of its own, the command line in it, and runs that go on beside the test."""

import json
import os
import subprocess
import sys
import time

import pytest

LIMIT_S = 30


def until(true, what="it"):
    """Wait for something to become true; the one clock here is the limit."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what} did not come to be"
        time.sleep(0.01)
    return found


class Project:
    """A folder with a flow file, the command line in it, and what was started beside the test."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / ".scriptflow"
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("SCRIPTFLOW_", "GITHUB_"))
            and key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "CI")
        } | {"PYTHONIOENCODING": "utf-8", "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
        self.started = []

    def write(self, text, name="sflow.py"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return self

    def read(self, name):
        return (self.folder / name).read_text()

    def has(self, name):
        return (self.folder / name).exists()

    def __call__(self, *words, code=0, cwd=None, **env):
        done = subprocess.run(
            [sys.executable, "-m", "scriptflow", *map(str, words)],
            cwd=cwd or self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *words, **more):
        return json.loads(self(*words, "--json", **more).stdout.splitlines()[-1])

    def start(self, *words):
        """Start a command that goes on; its output is read by ``end``."""
        child = subprocess.Popen(
            [sys.executable, "-m", "scriptflow", *words],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        self.started.append(child)
        return child

    def live(self, *words):
        """Start a run and return when it has a job at work, which writes ``here.PID``."""
        child = self.start("run", *words)
        until(lambda: list(self.folder.glob("here.*")) or child.poll() is not None, "a running job")
        assert child.poll() is None, child.communicate()[0]
        return child

    def end(self, child, code):
        """Wait for the end of what ``start`` started, and return what it said."""
        said = child.communicate(timeout=LIMIT_S)[0]
        assert child.returncode == code, said
        assert "Traceback" not in said
        return said


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    yield project
    for child in project.started:
        if child.poll() is None:
            child.kill()
            child.communicate()
        child.stdout.close()
