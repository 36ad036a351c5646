"""A project's folder, driven by the command line alone, as a user in a hurry would.

Every process that a test starts carries a word in its environment, so that what it left behind can be found.
"""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import census
import pytest
from point import command

LIMIT_S = 30.0


def until(question, limit=LIMIT_S, what="", head=None):
    """Ask until the answer is true; return it."""
    end = time.monotonic() + limit
    while not (answer := question()):
        if head is not None and head.poll() is not None:
            pytest.fail(f"ended with {head.returncode} before {what}:\n{head.told()}")
        if time.monotonic() > end:
            pytest.fail(f"not within {limit} s: {what}\n{head.told() if head else ''}")
        time.sleep(0.005)
    return answer


def alive(pid):
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{int(pid)}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def _defaults():
    """Undo what a shell's ``&`` or ``nohup`` makes of signals, so that a test means the same everywhere."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def as_user(uid):
    """Return the words that run a command as another user, or skip the test where there is no way."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    # By a shell, since a program that setpriv itself starts is still found with root's rights.
    if subprocess.run(
        [*words, "sh", "-c", f"cd / && {sys.executable} -c 'import sqlite3'"], capture_output=True
    ).returncode:
        pytest.skip(f"user {uid} may not run {sys.executable}")
    return [*words, "sh", "-c", 'exec "$@"', "sh"]


class Head(subprocess.Popen):
    """A started scriptflow, in a session of its own; what it says is in a file."""

    def told(self):
        """Return all it said so far."""
        return self.path.read_text(errors="replace")

    def end(self, code=None, limit=LIMIT_S):
        """Wait for the end; return all it said."""
        try:
            self.wait(limit)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still there after {limit} s:\n{self.told()}")
        if code is not None:
            assert self.returncode == code, f"exit {self.returncode}, not {code}\n{self.told()}"
        return self.told()

    def signal_group(self, number):
        """Signal as a terminal does: everything in the foreground group."""
        os.killpg(self.pid, number)


class Ground:
    """The folder, and the heads started in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.word = f"{os.getpid()}.{folder.name}"
        self.heads = []
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("SCRIPTFLOW_")}
        self.env[census.WORD] = self.word

    def __truediv__(self, name):
        return self.folder / name

    def flow(self, text, name="sflow.py"):
        """Write a flow file."""
        (self.folder / name).write_text("import scriptflow as sf\n" + textwrap.dedent(text), encoding="utf-8")

    def start(self, *words, before=(), cwd=None, **env):
        """Start the command line; ``before`` goes in front of it."""
        path = self.folder.parent / f"{self.folder.name}.said-{len(self.heads)}"
        with open(path, "w") as said:
            head = Head(
                [*before, *command(), *words], cwd=cwd or self.folder, env=self.env | env, stdin=subprocess.DEVNULL,
                stdout=said, stderr=said, start_new_session=True, preexec_fn=_defaults,
            )  # fmt: skip
        head.path = path
        self.heads.append(head)
        return head

    def call(self, *words, code=0, limit=LIMIT_S, **more):
        """Call the command line to its end; return all it said."""
        return self.start(*words, **more).end(code, limit)

    def run(self, *words, code=0, **more):
        """Do ``scriptflow run``; return all it said, which never is a traceback of ours."""
        told = self.call("run", *words, code=code, **more)
        assert "Traceback" not in told, told
        return told

    def answer(self, *words, code=0, **more):
        """Call with ``--json`` and return the document."""
        told = self.call(words[0], "--json", *words[1:], code=code, **more)
        return json.loads(told.splitlines()[-1])

    def counts(self, *words, code=0, **more):
        """Run and return (ran, skipped, failed)."""
        result = self.answer("run", "-qq", *words, code=code, **more)
        return result["ran"], result["skipped"], result["failed"]

    def give_to(self, uid):
        """Let another user own the folder, and reach it."""
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, uid, uid, follow_symlinks=False)
        for parent in self.folder.parents:
            if parent.stat().st_uid == os.geteuid() and str(parent).startswith("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o711)
        self.env["HOME"] = str(self.folder)

    def left(self):
        """Return the processes that any head started here left."""
        return census.bearers(self.word)

    def assert_no_process(self, within=1.0):
        """Nothing that was started here may live longer than this."""
        end = time.monotonic() + within
        while (left := self.left()) and time.monotonic() < end:
            time.sleep(0.01)
        assert not left, "\n".join(census.describe(left))

    def litter(self):
        """Return markers, set-aside and half-made files."""
        return [str(file.relative_to(self.folder)) for file in self.folder.rglob("*")
                if file.name.endswith((".sf-part", ".partial"))]  # fmt: skip

    def assert_sound(self):
        """The store must be whole and closed."""
        with contextlib.closing(sqlite3.connect(self.folder / ".scriptflow/runs.db")) as store:
            assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert store.execute("SELECT count(*) FROM intents").fetchone() == (0,)

    def close(self):
        """End all that is left."""
        for pid in census.bearers(self.word):
            census.send(pid, signal.SIGKILL)
        for head in self.heads:
            with contextlib.suppress(subprocess.TimeoutExpired):
                head.wait(5)
