"""A project that sends its runs, and a server process that takes them in."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from scriptflow.errors import NotFound
from scriptflow.store.reader import StoreReader
from scriptflow.web.collect import Collector

TOKEN = "t0ken-of-a-head"
FLOW = """import scriptflow as sf


async def flow_demo(n: int = 4, bad: int = 1):
    await sf.bag(*[
        sf.Task(["sh", "-c", f"echo part {i}; test {i} -ge {bad}"], name=f"part-{i}") for i in range(n)
    ])
"""


def wait_until(question, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not (answer := question()):
        assert time.monotonic() < end, f"not within {limit_s} s"
        time.sleep(0.02)
    return answer


class Server:
    """The server's process, its data folder and its address."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self, *more):
        script = Path(__file__).parent / "remote_serving.py"
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(self.port), str(self.folder), TOKEN, *more], stderr=subprocess.DEVNULL
        )
        wait_until(self._listens)
        return self

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def post(self, path, body, token=TOKEN, kind="application/json", heard=""):
        """Return status and answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data,
            {"Authorization": f"Bearer {token}", "Content-Type": kind, "X-Scriptflow-Wished": heard},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stores(self):
        return Collector(str(self.folder)).stores()

    def runs(self, project="project"):
        folder = self.stores().get(project)
        if folder is None:
            return []
        try:
            with StoreReader(folder, relative=True) as reader:
                return reader.runs()
        except NotFound:  # it is being made
            return []

    def jobs(self, run, project="project"):
        with StoreReader(self.stores()[project], relative=True) as reader:
            return reader.jobs(run.id)


class Project:
    """A folder with a flow, and the command line in it."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("SCRIPTFLOW_")}
        self.env |= {"NO_COLOR": "1", "SCRIPTFLOW_SERVER_TOKEN": TOKEN}
        self.write(FLOW)

    def write(self, text, name="sflow.py"):
        (self.folder / name).write_text(text)

    def sends(self, url, **more):
        options = "".join(f", {key} = {json.dumps(value)}" for key, value in more.items())
        self.write(f'server = {{url = "{url}"{options}}}\n', "scriptflow.toml")

    def __call__(self, *words, code=0, **env):
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "scriptflow", *words], cwd=self.folder, env=self.env | env, capture_output=True,
            text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        done.seconds = time.monotonic() - begun
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words):
        head = subprocess.Popen(
            [sys.executable, "-m", "scriptflow", *words], cwd=self.folder, env=self.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.started.append(head)
        return head

    def end(self):
        for head in self.started:
            if head.poll() is None:
                head.kill()
                head.wait()

    @property
    def waiting(self):
        return sorted((self.folder / ".scriptflow" / "spool").glob("*/*.json"))
