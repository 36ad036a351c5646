"""A project of its own for each test, and the command line called in it as a user does."""

import json
import os
import subprocess
import sys
import textwrap


def project_files(folder):
    """Map every file and folder below ``folder`` to its kind, size, times, mode and content."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        stat = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (stat.st_mode, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, content)
    return found


class Asked:
    """A folder with a flow file, and the command line in it."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("SCRIPTFLOW_", "GITHUB_"))
            and key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "CI")
        } | {"PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}

    def __truediv__(self, name):
        return self.folder / name

    def flow(self, text, name="sflow.py"):
        """Write the flow file: the body of one module, with scriptflow imported as sf."""
        (self.folder / name).write_text("import scriptflow as sf\n\n\n" + textwrap.dedent(text).lstrip("\n"))
        return self

    def __call__(self, *words, code=0, **env):
        child = self.popen(*words, **env)
        out, err = child.communicate(timeout=60)
        assert code in (None, child.returncode), f"exit {child.returncode}\n{out}\n{err}"
        assert "Traceback" not in err or code is None, err
        return subprocess.CompletedProcess(words, child.returncode, out, err)

    def popen(self, *words, **env):
        return subprocess.Popen(
            [sys.executable, "-m", "scriptflow", *map(str, words)], cwd=self.folder, env=self.env | env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def json(self, *words, **more):
        document = json.loads(self(*words, "--json", **more).stdout.splitlines()[-1])
        assert isinstance(document, list) or document["schema"] == 1
        return document

    def run(self, *words, **more):
        return self.json("run", *words, **more)

    def plan(self, *words, **more):
        """Plan, see that nothing was written, and return the document."""
        before = project_files(self.folder)
        document = self.json("plan", *words, **more)
        assert project_files(self.folder) == before
        return document

    def planned(self, *words):
        """Return (task, codes) of what a plan lists, in order."""
        return [
            (task["task"], [reason["code"] for reason in task["reasons"]]) for task in self.plan(*words)["would_run"]
        ]
