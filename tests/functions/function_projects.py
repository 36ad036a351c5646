"""A project in a folder of its own, run by the command line and by scripts, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

LIMIT_S = 40


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.children = []

    def __truediv__(self, name):
        return self.folder / name

    def write(self, **files):
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")

    def edit(self, name, old, new):
        path = self.folder / f"{name}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def start(self, *argv):
        env = {key: value for key, value in os.environ.items() if not key.startswith("SCRIPTFLOW_")}
        child = subprocess.Popen(
            [sys.executable, *argv], cwd=self.folder, env=env | {"NO_COLOR": "1"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.children.append(child)
        return child

    def end_of(self, child, code=0):
        try:
            out, err = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            pytest.fail(f"still there after {LIMIT_S} s\n{out}\n{err}")
        assert child.returncode == code, f"exit {child.returncode}, not {code}\n{out}\n{err}"
        return subprocess.CompletedProcess((), child.returncode, out, err)

    def cli(self, *words, code=0):
        return self.end_of(self.start("-m", "scriptflow", *words), code)

    def run(self, *words, code=0):
        """Run the flow; return what ``--json`` says, with what the flow printed as ``out`` and stderr as ``err``."""
        done = self.cli("run", "--json", *words, code=code)
        *printed, answer = done.stdout.splitlines()
        return json.loads(answer) | {"out": printed, "err": done.stderr}

    def script(self, text, code=0, name="script"):
        self.write(**{name: text})
        return self.end_of(self.start("-X", "dev", f"{name}.py"), code)

    def reasons(self, *words):
        """Return the reasons of what would run, by task."""
        plan = json.loads(self.cli("plan", "--json", *words).stdout)
        return {
            task["task"]: [(reason["code"], reason["detail"]) for reason in task["reasons"]]
            for task in plan["would_run"]
        }


def until(question, limit_s=20):
    end = time.monotonic() + limit_s
    while not (answer := question()):
        assert time.monotonic() < end, "not within the limit"
        time.sleep(0.01)
    return answer


def alive(pid):
    try:
        with open(f"/proc/{int(pid)}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
