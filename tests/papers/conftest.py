import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cli_reading"))  # where stores are filled without running anything

FLOW = """
# asyncio
import scriptflow as sf


async def flow_paper(n: int = 2):
    clean = sf.Task("sh -c 'sort data/raw.csv > clean.csv'", inputs=["data/raw.csv"], outputs="clean.csv", name="clean")
    fits = [
        sf.Task(
            f"sh -c 'grep -c {i} clean.csv > fit-{i}.txt; echo fitted {i}'", inputs=[clean, "settings.toml"],
            outputs=f"fit-{i}.txt", name=f"fit-{i}",
        )
        for i in range(1, n + 1)
    ]
    await sf.bag(*fits)
    made = [fit.output_file for fit in fits]
    await sf.Task("sh -c 'cat fit-*.txt > fig.txt'", inputs=made, outputs="fig.txt", name="fig")
"""


class Project:
    """A folder in which flows are run and asked about, as a user does."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("SCRIPTFLOW_")}
        self.env |= {"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def __call__(self, *words, code=0, cwd=None):
        done = subprocess.run(
            [sys.executable, "-m", "scriptflow", *map(str, words)], cwd=cwd or self.folder, env=self.env,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        self.talk = done.stderr.decode("utf-8", "replace")
        text = done.stdout.decode("utf-8", "replace")
        assert code in (None, done.returncode), f"exit {done.returncode}\n{text}\n{self.talk}"
        assert "Traceback" not in self.talk
        return text


@pytest.fixture
def project(tmp_path):
    """Return a project with a paper to be made of two sources, not yet run."""
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    project.write("sflow.py", FLOW)
    project.write("data/raw.csv", "2\n1\n1\n")
    project.write("settings.toml", "x = 1\n")
    return project


@pytest.fixture
def paper(project):
    """Return the project after its first run."""
    project("run", "paper", "-q")
    return project
