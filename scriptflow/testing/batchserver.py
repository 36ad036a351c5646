"""The server behind the scripted PBS: the one that runs jobs, ends them and writes their state.

Knows files, processes and PBS's numbers for ends; knows nothing of commands and what they print.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

HOST = "pbshost"
TICK_S = 0.02
_WALLTIME_STATUS, _SIGNALLED = -29, 256
_KILL_DELAY_S, _IDLE_S = 1.0, 60.0


class Server:
    """Runs the jobs; the only one that writes their state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slots = int((folder / "slots").read_text())
        self.jobs: dict[int, dict[str, Any]] = {}
        self.waiting: list[tuple[dict[str, Any], str]] = []
        self.running: dict[int, Run] = {}
        self.changed: set[int] = set()
        self.over = False

    def serve(self) -> None:
        """Serve until nothing was to do for a minute."""
        with (self.folder / "server.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            (self.folder / "server").write_text(str(os.getpid()))
            signal.signal(signal.SIGTERM, lambda *_: setattr(self, "over", True))
            busy_until = time.monotonic() + _IDLE_S
            while not self.over and time.monotonic() < busy_until and self.folder.exists():
                if self._turn() or self.running:
                    busy_until = time.monotonic() + _IDLE_S
                time.sleep(TICK_S)
            for run in self.running.values():
                run.signal(signal.SIGKILL)

    def _turn(self) -> bool:
        """Do what is to be done now; return whether there was anything."""
        busy = self._take_in()
        for wish in list((self.folder / "wishes").iterdir()):
            self._delete(wish.name)
            wish.unlink()
            busy = True
        while self.waiting and len(self.running) < self.slots:
            job, index = self.waiting.pop(0)
            run = Run(job, index)
            self.running[run.pid] = run
            self._set(job, index, state="R", substate=41)
            busy = True
        for pid, run in list(self.running.items()):
            if "vanish" in self._faults():
                run.signal(signal.SIGKILL)
                self.jobs.pop(run.job["number"], None)
                (self.folder / "state" / f"{run.job['number']}.json").unlink(missing_ok=True)
            if run.is_over():
                del self.running[pid]
                self._set(run.job, run.index, state="F", **run.end())
                busy = True
        for number in self.changed & self.jobs.keys():
            write(self.folder / "state" / f"{number}.json", {**self.jobs[number], "script": ""})
        self.changed.clear()
        return busy

    def _faults(self) -> list[str]:
        path = self.folder / "faults"
        return path.read_text().split() if path.exists() else []

    def _take_in(self) -> bool:
        spooled = sorted((self.folder / "spool").glob("*.json"), key=lambda path: int(path.stem))
        for path in spooled:
            job = read(path)
            if job is None:
                continue
            letter, substate = ("H", 20) if job["held"] else ("Q", 10)
            indices = [str(index) for index in range(1, job["size"] + 1)] or [""]
            job["elements"] = {index: {"state": letter, "substate": substate} for index in indices}
            job |= {"state": letter, "substate": substate}
            self.jobs[job["number"]] = job
            if not job["held"]:
                self.waiting.extend((job, index) for index in indices)
            write(self.folder / "state" / path.name, {**job, "script": ""})
            path.unlink()
        return bool(spooled)

    def _delete(self, short: str) -> None:
        match = re.fullmatch(r"(\d+)(?:\[(\d*)\])?", short)
        job = self.jobs.get(int(match[1])) if match else None
        if match is None or job is None:
            return
        chosen = [match[2]] if match[2] else list(job["elements"])
        for index in chosen:
            run = next((run for run in self.running.values() if run.job is job and run.index == index), None)
            if run is not None:
                run.delete()
            elif job["elements"][index]["state"] != "F":
                self.waiting = [entry for entry in self.waiting if entry != (job, index)]
                self._set(job, index, state="F", substate=91, comment="Not Running and terminated")

    def _set(self, job: dict[str, Any], index: str, **changes: object) -> None:
        job["elements"][index].update(changes)
        states = {element["state"] for element in job["elements"].values()}
        if not job["size"]:
            job.update(job["elements"][""])
        elif states == {"F"}:
            failed = any(element.get("exit") != 0 for element in job["elements"].values())
            job.update(state="F", substate=93 if failed else 92, exit=int(failed))
        else:
            job["state"] = "B" if states & {"R", "F"} else job["state"]
        self.changed.add(job["number"])


class Run:
    """One job that runs."""

    def __init__(self, job: dict[str, Any], index: str) -> None:
        self.job, self.index = job, index
        self.id = f"{job['number']}{f'[{index}]' if index else ''}.{HOST}"
        out = Path(job["cwd"], job["out"].replace("^array_index^", index))
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "PBS_JOBID": self.id,
            "PBS_JOBNAME": job["name"], "PBS_O_WORKDIR": job["cwd"], "PBS_ENVIRONMENT": "PBS_BATCH",
            "USER": os.environ.get("USER", "root"), "LOGNAME": os.environ.get("USER", "root"),
            **({"PBS_ARRAY_INDEX": index} if index else {}),
        }  # fmt: skip
        script = Path(job["cwd"], f".{self.id}.SC")
        script.write_text(job["script"], errors="surrogateescape")
        with out.open("ab") as file:
            # A login shell starts the script, as PBS does: a signal's death arrives as 128 + its number.
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", '/bin/sh "$1"; status=$?; exit $status', "sh", str(script)],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env, cwd=env["HOME"], start_new_session=True,
            )  # fmt: skip
        self.pid = self._shell.pid
        self._script = script
        self._kill_at = float("inf")
        self._walltime_at = time.monotonic() + (job["walltime"] or float("inf"))
        self._deleted = self._expired = False

    def delete(self) -> None:
        """TERM, and KILL later."""
        self._deleted = True
        self._end()

    def _end(self) -> None:
        self.signal(signal.SIGTERM)
        self._kill_at = time.monotonic() + _KILL_DELAY_S

    def is_over(self) -> bool:
        """Whether it has ended; sees to its walltime."""
        now = time.monotonic()
        if now >= self._walltime_at:
            self._walltime_at, self._expired = float("inf"), True
            self._end()
        if now >= self._kill_at:
            self.signal(signal.SIGKILL)
        if self._shell.poll() is None:
            return False
        self.signal(signal.SIGKILL)
        self._script.unlink(missing_ok=True)
        return True

    def end(self) -> dict[str, object]:
        """Say how it ended, in PBS's numbers."""
        status = self._shell.returncode
        status = _SIGNALLED - status if status < 0 else status
        if self._expired:
            return {"exit": _WALLTIME_STATUS, "substate": 93, "comment": "Job run and exceeded resource walltime"}
        if self._deleted:
            return {"exit": status, "substate": 91, "comment": f"Job run and terminated by user@{HOST}"}
        return {
            "exit": status,
            "substate": 93 if status else 92,
            "comment": "Job run and " + ("failed" if status else "finished"),
        }

    def signal(self, number: int) -> None:
        """Signal all processes of its session."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                if int(path.read_text(errors="replace").rpartition(")")[2].split()[3]) == self.pid:
                    os.kill(int(path.parent.name), number)


def write(path: Path, data: dict[str, Any]) -> None:
    """Write a job, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(data))
    fresh.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Read a job; None when it is not there."""
    try:
        data: dict[str, Any] = json.loads(path.read_text())
    except OSError:
        return None
    return data
