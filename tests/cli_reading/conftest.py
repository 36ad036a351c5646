import os
import subprocess
import sys

import pytest
from filling import Head


class Cli:
    """Calls the command line as a user does, in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("SCRIPTFLOW_") and key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "CI")
        } | {"PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}

    def __call__(self, *words, code=0, **env):
        done = subprocess.run(
            [sys.executable, "-m", "scriptflow", *map(str, words)],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            timeout=60,
            check=False,
        )
        done.text = done.stdout.decode("utf-8", "replace")
        done.talk = done.stderr.decode("utf-8", "replace")
        assert code in (None, done.returncode), f"exit {done.returncode}\n{done.text}\n{done.talk}"
        assert "Traceback" not in done.talk
        return done


@pytest.fixture
def cli(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return Cli(folder)


@pytest.fixture
def head(cli):
    head = Head(cli.folder)
    yield head
    head.store.close()
