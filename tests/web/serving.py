"""A server process, and the questions that tests put to it."""

import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from types import SimpleNamespace


class Server:
    """``scriptflow serve`` on a free port."""

    def __init__(self, folder, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scriptflow", "serve", "--port", "0", *words],
            cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        self.said = ""
        while "Ctrl-C" not in self.said:
            assert select.select([self.process.stderr], [], [], 30)[0], "the server said nothing"
            line = self.process.stderr.readline().decode()
            if not line:
                break
            self.said += line
        found = re.findall(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", self.said)
        if not found:
            self.stop()
        assert found, self.said
        self.port = int(found[0][0])
        self.token = found[0][1]
        self.action_token = found[1][1] if len(found) > 1 else None
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, number=signal.SIGINT):
        """End it; return its exit code and how long that took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.said += self.process.stderr.read().decode()
        self.process.stderr.close()
        return code, time.monotonic() - began

    def ask(self, path, *, method="GET", token=True, headers=(), body=None):
        """Send one request; ``token`` is the one for looking, another or none."""
        given = {"Host": f"127.0.0.1:{self.port}", **dict(headers)}
        if token:
            given["Authorization"] = f"Bearer {self.token if token is True else token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers={k: v for k, v in given.items() if v is not None})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8")
            return SimpleNamespace(status=answer.status, headers=answer.headers, text=text)
        finally:
            connection.close()

    def json(self, path, **more):
        answer = self.ask("/api/v1" + path, **more)
        assert answer.status == 200, answer.text
        return json.loads(answer.text)

    def events(self, path, **headers):
        """Yield (event, id, data) of a stream until it ends; a ping is None."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/api/v1" + path, headers={"Authorization": f"Bearer {self.token}", **headers})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        try:
            fields = {}
            while line := answer.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    yield fields["event"], fields.get("id"), json.loads(fields["data"])
                    fields = {}
        finally:
            connection.close()

    @property
    def memory_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    @property
    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
