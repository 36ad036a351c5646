"""A PBS in a folder: scripted qsub, qstat, qselect and qdel that really run jobs and speak OpenPBS 23's dialect.

For tests of what talks to batch systems, where none is at hand. Its answers follow recorded ones word for word, as far
as programs read them; faults are switched on by words in a file. Knows nothing of scriptflow: only of files.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scriptflow.testing.batchserver import HOST, TICK_S, Server, read, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = ("qsub", "qstat", "qselect", "qdel")
FAULTS = {
    "down": "the server does not run: all commands refuse",
    "hang": "no command comes back",
    "lost-answer": "qsub takes the job and says that it could not connect",
    "late-answer": "qsub takes the job and does not come back",
    "cut": "qstat's answer ends in the middle of a line",
    "foreign": "qstat's answer is in another language",
    "banner": "a login shell's greeting comes before each answer",
    "no-history": "ended jobs are unknown at once",
    "vanish": "jobs are forgotten, and killed, as soon as they run",
}
"""What can be switched on."""

_QUEUES = ("workq",)
_RESOURCES = ("walltime", "select", "mem", "ncpus", "nodes", "place", "vmem", "pvmem")
_USAGE = "usage: qsub [-A account_string] [-h ] [-J X-Y[:Z]] [-N jobname] [-o path] [-q queue] ... [script]"
_HEADING = "Job id            Name             User              Time Use S Queue\n"
_RULE = "----------------  ---------------- ----------------  -------- - -----\n"
# The commands are programs of their own; all that they need is the standard library.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from scriptflow.testing.batchtools import main; sys.exit(main(*sys.argv[1:]))"
)
_ROOT = str(Path(__file__).parents[2])


class ScriptedPbs:
    """The commands, and the server behind them.

    Args:
        folder: takes everything; ``commands`` in it is to come first on PATH.
        slots: how many jobs run at once.
    """

    def __init__(self, folder: Path, slots: int = 16) -> None:
        self.folder = folder
        self.commands = folder / "commands"
        for part in ("commands", "spool", "state", "wishes"):
            (folder / part).mkdir(parents=True)
        (folder / "slots").write_text(f"{slots}\n")
        for name in COMMANDS:
            path = self.commands / name
            path.write_text(
                f"#!/bin/sh\nexec '{sys.executable}' -I -S -c '{_PROGRAM}' '{_ROOT}' '{folder}' {name} \"$@\"\n"
            )
            path.chmod(0o755)

    def fault(self, *words: str) -> None:
        """Switch exactly these faults on; none: all is well."""
        unknown = set(words) - set(FAULTS)
        if unknown:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        (self.folder / "faults").write_text(" ".join(words))

    def close(self) -> None:
        """Stop the server and all jobs."""
        with suppress(OSError, ValueError):
            pid = int((self.folder / "server").read_text())
            os.kill(pid, signal.SIGTERM)
            while Path(f"/proc/{pid}").exists():
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                time.sleep(TICK_S)


class Refusal(Exception):
    """A command's complaint and its exit code."""

    def __init__(self, code: int, text: str, out: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.out = code, text, out


class Commands:
    """What the commands do; all state lies in files that the server writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "faults"
        self.faults = path.read_text().split() if path.exists() else []
        self.faults += os.environ.get("SCRIPTED_PBS_FAULTS", "").split()

    def run(self, name: str, argv: Sequence[str]) -> str:
        """Run a command, return what it prints."""
        if "hang" in self.faults:
            time.sleep(3600)
        if "down" in self.faults and "--version" not in argv:
            code = 255 if name == "qstat" else 162
            raise Refusal(code, f"Connection refused\n{name}: cannot connect to server {HOST} (errno=15010)")
        out: str = getattr(self, name)(list(argv))
        return "Welcome to the cluster!\n" + out if "banner" in self.faults else out

    def qsub(self, argv: list[str]) -> str:
        """Take a script in."""
        given, script = _options(argv, "NoJqAlSrjhkePWm")
        if not script or not Path(script[0]).exists():
            raise Refusal(1, "qsub: script file:: No such file or directory")
        text = Path(script[0]).read_text(errors="surrogateescape")
        for line in re.findall(r"^#PBS (.*)$", text, re.MULTILINE):
            for letter, values in _options(line.split(None, 1), "NoJqAlSrjhkePWm")[0].items():
                given[letter] = values + given.get(letter, []) if letter == "l" else given.get(letter, values)
        resources = self._resources(given.get("l", []))
        name = (given.get("N") or [Path(script[0]).name])[-1]
        if re.search(r"[\s/'\"]", name) or len(name) > 230:
            raise Refusal(2, f"qsub: illegal -N value\n{_USAGE}")
        if (given.get("q") or _QUEUES)[-1] not in _QUEUES:
            raise Refusal(170, "qsub: Unknown queue")
        with (self.folder / "sequence").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            number = int(file.read() or "0") + 1
            file.truncate(0)
            file.write(str(number))
            file.flush()
            last = re.fullmatch(r"1-(\d+)", (given.get("J") or [""])[-1])
            job = {
                "number": number, "name": name, "script": text, "size": int(last[1]) if last else 0,
                "held": "h" in given, "walltime": resources.get("walltime"), "cwd": str(Path.cwd()),
                "out": (given.get("o") or [f"{name}.o{number}"])[-1], "at": time.time(),
            }  # fmt: skip
            write(self.folder / "spool" / f"{number}.json", job)
        self._start_server()
        if "late-answer" in self.faults:
            time.sleep(3600)
        if "lost-answer" in self.faults:
            raise Refusal(162, f"Connection refused\nqsub: cannot connect to server {HOST} (errno=15010)")
        return f"{number}{'[]' if job['size'] else ''}.{HOST}\n"

    def _resources(self, lists: list[str]) -> dict[str, float]:
        found = {}
        for pair in ",".join(lists).split(","):
            name, _, value = pair.partition("=")
            if name and name not in _RESOURCES:
                raise Refusal(187, f"qsub: Unknown resource Resource_List.{name}")
            if name == "walltime":
                parts = value.split(":")
                if not all(part.isdecimal() for part in parts):
                    raise Refusal(166, "qsub: Illegal attribute or resource value Resource_List.walltime")
                found[name] = sum(int(part) * 60.0**power for power, part in enumerate(reversed(parts)))
        return found

    def qstat(self, argv: list[str]) -> str:
        """Tell of jobs: the table, or with ``-f`` all attributes; ``-x`` of ended ones too."""
        if "--version" in argv:
            return "pbs_version = 23.06.06\n"
        if "foreign" in self.faults:
            return "Auftragskennung   Bezeichnung      Nutzer            Zeit     Z Schlange\n"
        flags, ids = {word for word in argv if word.startswith("-")}, [w for w in argv if not w.startswith("-")]
        if "-B" in flags:
            kept = "no-history" not in self.faults
            return f"Server: {HOST}\n    server_state = Active\n    job_history_enable = {kept}\n\n"
        complaints: list[str] = []
        rows, code = [], 0
        for element, state in self._chosen(ids, complaints, with_elements="-t" in flags):
            if state["state"] == "F" and "-x" not in flags:
                if ids:
                    complaints.append(
                        f"qstat: {element} Job has finished, use -x or -H to obtain historical job information"
                    )
                continue
            rows.append(_attributes(element, state) if "-f" in flags else _row(element, state))
        out = "".join(rows) if "-f" in flags or not rows else _HEADING + _RULE + "".join(rows)
        if complaints:
            code = 35 if "finished" in complaints[-1] else 153
        if "cut" in self.faults:
            out = out[: len(out) * 2 // 3]
        if code:
            raise Refusal(code, "\n".join(complaints), out)
        return out

    def _chosen(
        self, ids: list[str], complaints: list[str], *, with_elements: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what was asked for, in order; complain of what is unknown."""
        for asked in ids or [f"{number}.{HOST}" for number in self._numbers()]:
            match = re.fullmatch(r"(\d+)(\[(\d*)\])?(\..*)?", asked)
            job = read(self.folder / "state" / f"{match[1]}.json") if match else None
            if job is None or ("no-history" in self.faults and job["state"] == "F"):
                complaints.append(f"qstat: Unknown Job Id {asked if '.' in asked else f'{asked}.{HOST}'}")
            elif match and match[3]:
                yield f"{match[1]}[{match[3]}].{HOST}", job["elements"][match[3]] | {"name": job["name"]}
            else:
                yield f"{job['number']}{'[]' if job['size'] else ''}.{HOST}", job
                for index, element in job["elements"].items() if with_elements and job["size"] else ():
                    # An ended element of a living array is X, not F.
                    shown = "X" if element["state"] == "F" and job["state"] != "F" else element["state"]
                    yield f"{job['number']}[{index}].{HOST}", element | {"name": job["name"], "state": shown}

    def qselect(self, argv: list[str]) -> str:
        """Find jobs by name."""
        given, _ = _options([word for word in argv if word != "-x"], "N")
        found = []
        for number in self._numbers():
            job = read(self.folder / "state" / f"{number}.json")
            if job and job["name"] == given["N"][-1] and (job["state"] != "F" or "-x" in argv):
                found.append(f"{number}{'[]' if job['size'] else ''}.{HOST}\n")
        return "".join(found)

    def qdel(self, argv: list[str]) -> str:
        """Wish jobs away."""
        complaints: list[str] = []
        code = 0
        for element, state in self._chosen(argv, complaints, with_elements=False):
            if state["state"] == "F":
                code = 35
                complaints.append(f"qdel: Job has finished {element}")
            else:
                (self.folder / "wishes" / element.partition(".")[0]).touch()
        if complaints:
            raise Refusal(code or 153, "\n".join(line.replace("qstat:", "qdel:") for line in complaints))
        return ""

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in (self.folder / "state").glob("*.json"))

    def _start_server(self) -> None:
        """Start the server unless it runs, and wait until it has seen what was spooled."""
        with (self.folder / "server.lock").open("a") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
            subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT, str(self.folder), "server"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        while any((self.folder / "spool").glob("*.json")):
            time.sleep(TICK_S)


def _options(argv: Sequence[str], letters: str) -> tuple[dict[str, list[str]], list[str]]:
    """Read options as getopt does: ``-N name``, ``-Nname``; ``-h`` alone takes no value."""
    given: dict[str, list[str]] = {}
    words = list(argv)
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)
        letter = word[1]
        if letter not in letters:
            raise Refusal(2, f"qsub: invalid option -- '{letter}'\n{_USAGE}")
        if letter == "h":
            given.setdefault(letter, []).append("")
        else:
            given.setdefault(letter, []).append((word[2:] or (words.pop(0) if words else "")).strip())
    return given, words


def _row(element: str, state: dict[str, Any]) -> str:
    used = "00:00:00" if state["state"] in "FX" and "exit" in state else "0"
    user = os.environ.get("USER", "root")
    return f"{element:<17.17} {state['name']:<16.16} {user:<16.16}  {used:>8} {state['state']} workq           \n"


def _attributes(element: str, state: dict[str, Any]) -> str:
    lines = [
        f"Job_Name = {state['name']}",
        f"Job_Owner = {os.environ.get('USER', 'root')}@{HOST}",
        *(["resources_used.mem = 7056kb", "resources_used.walltime = 00:00:01"] if "exit" in state else []),
        f"job_state = {state['state']}",
        "queue = workq",
        f"server = {HOST}",
        *([f"exec_host = {HOST}/0"] if state["state"] not in "QH" else []),
        f"substate = {state['substate']}",
        *([f"comment = {state['comment']}"] if "comment" in state else []),
        *([f"Exit_status = {state['exit']}"] if "exit" in state else []),
    ]
    # It folds long lines in the middle of words, and goes on after a tab.
    folded = [re.sub(r"(.{75})(?=.)", "\\1\n\t", f"    {line}") for line in lines]
    return f"Job Id: {element}\n" + "\n".join(folded) + "\n\n"


def main(folder: str, name: str, *argv: str) -> int:
    """Be one of the commands, or the server."""
    if name == "server":
        Server(Path(folder)).serve()
        return 0
    try:
        sys.stdout.write(Commands(Path(folder)).run(name, argv))
    except Refusal as refusal:
        sys.stdout.write(refusal.out)
        sys.stderr.write(f"{refusal.text}\n")
        return refusal.code
    return 0
