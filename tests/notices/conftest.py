"""A project with channels, and listeners for them."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest
from sinks import HttpSink, Letters

FLOW = """import scriptflow as sf


async def flow_demo(n: int = 3, bad: int = 1):
    await sf.bag(*[
        sf.Task(["sh", "-c", f"echo part {i}; test {i} -ge {bad}"], name=f"part-{i}", labels={"n": str(i)})
        for i in range(n)
    ])
"""


class Project:
    """A folder with a flow, and the command line in it."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("SCRIPTFLOW_")}
        self.env |= {"NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
        self.write(FLOW)

    def write(self, text, name="sflow.py"):
        (self.folder / name).write_text(text)

    def channels(self, *channels, **settings):
        """Set channels, in scriptflow.toml through JSON, whose lists and strings TOML reads too."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        for channel in channels:
            lines.append("[[notify]]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in channel.items()]
        self.write("\n".join(lines) + "\n", "scriptflow.toml")

    def __call__(self, *words, code=0, **env):
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "scriptflow", *words], cwd=self.folder, env=self.env | env, capture_output=True,
            text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        done.seconds = time.monotonic() - begun
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words, **env):
        return subprocess.Popen(
            [sys.executable, "-m", "scriptflow", *words], cwd=self.folder, env=self.env | env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def log(self):
        path = self.folder / ".scriptflow" / "scriptflow.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def sink():
    made = HttpSink()
    yield made
    made.close()


@pytest.fixture
def hanging():
    made = HttpSink(hangs=True)
    yield made
    made.close()


@pytest.fixture
def angry():
    made = HttpSink(status=500)
    yield made
    made.close()


@pytest.fixture
def smtp():
    from aiosmtpd.controller import Controller

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    letters = Letters()
    controller = Controller(letters, hostname="127.0.0.1", port=port)
    controller.start()
    letters.port = port
    yield letters
    controller.stop()
