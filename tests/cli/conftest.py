"""The command line called as a user calls it: a process of its own in a folder of its own."""

import json
import os
import subprocess
import sys

import pytest

DEMO = '''import scriptflow as sf


async def flow_demo(n: int = 2):
    """Make parts and their sum."""
    parts = [
        sf.Task(["sh", "-c", f"echo {i} > part_{i}.txt"]).output(f"part_{i}.txt").uid(f"part-{i}") for i in range(n)
    ]
    await sf.bag(*parts)
    whole = [part.output_file for part in parts]
    await sf.Task("sh -c 'cat part_*.txt > all.txt'", inputs=whole, outputs="all.txt", name="total")
'''


class Project:
    """A folder with a flow file, and the command line in it."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("SCRIPTFLOW_", "GITHUB_"))
            and key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "CI")
        } | {"PYTHONIOENCODING": "utf-8"}

    def write(self, text, name="sflow.py"):
        (self.folder / name).write_text(text)
        return self

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
        return done

    def json(self, *words, **more):
        document = json.loads(self(*words, "--json", **more).stdout.splitlines()[-1])
        assert document["schema"] == 1
        return document

    def refused(self, *words, **env):
        """Call what cannot work, and return what was said: exit 2, nothing written, no traceback, a next step."""
        before = sorted(self.folder.rglob("*"))
        done = self(*words, code=2, **env)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert sorted(path for path in self.folder.rglob("*") if path.name != "__pycache__") == before
        assert done.stderr.startswith("error[")
        assert "help: " in done.stderr
        return done.stderr


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def demo(project):
    return project.write(DEMO)
