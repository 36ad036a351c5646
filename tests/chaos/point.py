"""One kill point: start a head, kill at an instant, run the same command again, and count what is wrong after it.

Knows the command line of scriptflow and what its flow must have made; judges by the log that the commands keep.
"""

import collections
import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import census
from graph import LOG, Graph

SLACK_S = 0.1  # what ended no longer than this before the kill may run again
TRACED_SLACK_S = 0.3  # the same for a head that strace slows down
STUCK_S = 120.0
ORPHAN_LOOKS_S = (0.3, 1.0)
AT_ONCE = "8"
WRITES = (
    "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir",
    "ftruncate", "sendto",
)  # fmt: skip
TRACE = "trace=" + ",".join(f"?{name}" for name in WRITES)
MUST_BE_ZERO = (
    "wrong", "fed", "rerun", "double", "orphans", "orphans 1s", "by hand", "noop", "litter", "left", "store",
)  # fmt: skip


def command() -> list[str]:
    """Return the words that call scriptflow: the program beside this interpreter."""
    program = Path(sys.executable).with_name("scriptflow")
    return [str(program)] if program.exists() else [sys.executable, "-m", "scriptflow"]


def uptime() -> float:
    """Return the clock that the log is written by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Shot:
    """What one point tries."""

    seed: int
    scenario: str  # fresh | rebuild
    kill: str  # head | all | job | reaper
    aim: str  # uniform | end | syscall

    @property
    def row(self) -> tuple[str, str, str]:
        """The line of the table it counts in."""
        return self.scenario, self.kill, self.aim


@dataclass
class Verdict:
    """What was found after one point."""

    shot: Shot
    hit: bool = True  # False: the head had ended before the kill
    counts: collections.Counter = field(default_factory=collections.Counter)
    near: list[float] = field(default_factory=list)  # of tasks that ran again: end to kill, up to SLACK_S
    resume_s: float = 0.0  # from the start of the next head to its first command, or its end
    notes: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Whether anything is not zero that must be."""
        return any(self.counts[name] for name in MUST_BE_ZERO)

    def add(self, name: str, found: list[str]) -> None:
        """Count what was found, and keep the first few to show."""
        if found:
            self.counts[name] += len(found)
            self.notes.append(f"{name}: {'; '.join(found[:4])}")


@dataclass(frozen=True)
class Line:
    """One line of the commands' own log."""

    kind: str
    head: str
    task: str
    pid: int
    at: float
    fed: tuple[str, ...] = ()
    twin: str = ""


def read_log(folder: Path) -> list[Line]:
    """Read all lines of the log."""
    lines = []
    with contextlib.suppress(FileNotFoundError):
        for text in (folder / LOG).read_text().splitlines():
            kind, head, task, pid, at, *more = text.split(" ")
            fed = tuple(filter(None, more[0].split(","))) if more else ()
            lines.append(Line(kind, head, task, int(pid), float(at), fed, more[1] if len(more) > 1 else ""))
    return lines


class Kill(NamedTuple):
    """A kill that hit."""

    at: float
    gone: float  # when the head was no more
    word: str


class Arena:
    """A graph, a folder in which it was built once, and how long that took."""

    def __init__(self, place: Path, seed: int, *, tasks: int | None = None) -> None:
        self.place, self.seed = place, seed
        self.graph = Graph(seed, tasks=tasks)
        self.numbers = itertools.count()
        self.built: Path | None = None
        self.calls: dict[str, int] = {}
        self.seconds = 1.0
        self._build()

    def _fresh(self) -> Path:
        folder = self.place / f"g{self.seed}-{next(self.numbers)}"
        folder.mkdir(parents=True)
        self.graph.write(folder)
        return folder

    def _build(self) -> Path:
        folder = self._fresh()
        began = time.monotonic()
        code = self.start(folder, "base").wait(STUCK_S)
        self.seconds = time.monotonic() - began
        if code != 0:
            raise SystemExit(f"the flow fails without any kill (exit {code}): see {folder}/heads.txt")
        self.built = folder
        return folder

    def _count_calls(self) -> dict[str, int]:
        """Count the calls of each kind that one thread of a whole run makes."""
        if not self.calls:
            folder = self._fresh()
            trace = folder / "trace.txt"
            self.start(folder, "trace", "strace", "-f", "-b", "execve", "-qq", "-o", str(trace), "-e", TRACE).wait()
            counted: collections.Counter[tuple[str, str]] = collections.Counter()
            for line in trace.read_text(errors="replace").splitlines():
                thread, _, call = line.partition(" ")
                name = call.strip().partition("(")[0]
                if name in WRITES:
                    counted[thread, name] += 1
            for (_, name), count in counted.items():
                self.calls[name] = max(count, self.calls.get(name, 0))
            shutil.rmtree(folder)
        return self.calls

    def start(self, folder: Path, word: str, *before: str, words: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start a head, with the words ``before`` in front; what it says goes to ``heads.txt``."""
        with open(folder / "heads.txt", "a") as told, open(folder / "answer.json", "w") as answer:
            told.write(f"--- {word}\n")
            told.flush()
            return subprocess.Popen(
                [*before, *command(), "run", "-j", AT_ONCE, "--progress", "plain", *words],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=answer, stderr=told, start_new_session=True,
                env=os.environ | {census.WORD: word},
            )  # fmt: skip

    def point(self, shot: Shot) -> Verdict:
        """Do one point."""
        rng = random.Random(f"{shot}")
        verdict = Verdict(shot)
        graph = self.graph
        folder = (self.built or self._build()) if shot.scenario == "rebuild" else self._fresh()
        before = graph.expected(folder) if shot.scenario == "rebuild" else {}
        if before:
            graph.edit(folder, rng)
            (folder / LOG).unlink(missing_ok=True)
        after = graph.expected(folder)
        due = graph.due(before, after)
        seconds = self.seconds * max(0.2, len(due) / len(graph.steps))
        prefix = f"{os.getpid()}.{shot.seed}."
        kills = []
        for strike in range(1 + (rng.random() < 0.15)):
            word = f"{prefix}{strike}"
            kill = self._strike(folder, word, shot, seconds, rng, verdict)
            if kill is None:
                break
            kills.append(kill)
        verdict.hit = bool(kills)
        self._resume(folder, f"{prefix}next", kills, verdict)
        self._judge(folder, kills, after, due, verdict)
        self._again(folder, f"{prefix}noop", verdict)
        left = {pid for word in [*(kill.word for kill in kills), f"{prefix}next", f"{prefix}noop"]
                for pid in census.bearers(word)}  # fmt: skip
        verdict.add("left", census.describe(left))
        for pid in left:
            census.send(pid, signal.SIGKILL)
        if verdict.bad:
            verdict.notes.append(f"kept: {folder}")
            self.built = None if folder == self.built else self.built
        elif folder != self.built:
            shutil.rmtree(folder)
        return verdict

    # --- the kill ---

    def _strike(
        self, folder: Path, word: str, shot: Shot, seconds: float, rng: random.Random, verdict: Verdict
    ) -> Kill | None:
        """Run a head and kill; return when, or None when it had ended before."""
        if shot.aim == "syscall" and shot.kill != "job":
            return self._strike_at_call(folder, word, shot, rng, verdict)
        log = folder / LOG
        ends_before = self._ends(log)
        head = self.start(folder, word)
        if shot.aim == "end":
            wanted = ends_before + rng.randint(1, max(1, int(len(self.graph.steps) * 0.9)))
            limit = time.monotonic() + seconds * 4
            while self._ends(log) < wanted and head.poll() is None and time.monotonic() < limit:
                time.sleep(0.0005)
            time.sleep(rng.choice((0.0, rng.uniform(0, 0.01), rng.uniform(0, 0.06))))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                head.wait(rng.uniform(0, seconds))
        if head.poll() is not None:
            return None
        at = uptime()
        match shot.kill:
            case "head":
                head.kill()
            case "all":
                census.kill_all(word, rng)
            case "reaper":
                self._kill_reaper(head, word)
            case "job":
                self._kill_job(folder, word, rng)
        if shot.kill in ("job", "reaper"):  # the head notices, and ends by itself
            gone = self._end(head, verdict)
            return Kill(at if shot.kill == "reaper" else gone, gone, word)
        head.wait()
        return Kill(at, at, word)

    def _strike_at_call(self, folder: Path, word: str, shot: Shot, rng: random.Random, verdict: Verdict) -> Kill | None:
        name, count = rng.choice(sorted(self._count_calls().items()))
        number = rng.randint(1, count)
        inject = f"inject={name}:signal=KILL:when={number}"
        verdict.notes.append(f"killed at {name} number {number}")
        head = self.start(
            folder, word, "strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", inject
        )
        head.wait(STUCK_S)
        at = uptime()
        if shot.kill == "all":
            census.kill_all(word, rng)
        return None if head.returncode == 0 else Kill(at, at, word)

    @staticmethod
    def _ends(log: Path) -> int:
        try:
            return log.read_bytes().count(b"\nend ")
        except FileNotFoundError:
            return 0

    @staticmethod
    def _end(head: subprocess.Popen, verdict: Verdict) -> float:
        """Wait for a head that lost a job or its reaper; it must say so by its exit code."""
        try:
            head.wait(STUCK_S)
        except subprocess.TimeoutExpired:
            verdict.add("by hand", ["the head does not end"])
            head.kill()
        if head.returncode not in (0, 1):
            verdict.add("by hand", [f"the head ended with {head.returncode}"])
        return uptime()

    @staticmethod
    def _kill_reaper(head: subprocess.Popen, word: str) -> None:
        for pid in census.bearers(word) - {head.pid}:
            with contextlib.suppress(OSError):
                if b"reaper.main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    census.send(pid, signal.SIGKILL)

    @staticmethod
    def _kill_job(folder: Path, word: str, rng: random.Random) -> None:
        lines = [line for line in read_log(folder) if line.head == word]
        over = {line.pid for line in lines if line.kind == "end"}
        going = [line.pid for line in lines if line.pid not in over]
        if going:
            census.send(rng.choice(going), signal.SIGKILL)

    # --- the next head ---

    def _resume(self, folder: Path, word: str, kills: list[Kill], verdict: Verdict) -> None:
        """Run the same command at once, and look for orphans of the killed head meanwhile."""
        began = uptime()
        head = self.start(folder, word)
        watch = threading.Thread(target=self._look_for_orphans, args=(kills, verdict)) if kills else None
        if watch:
            watch.start()
        try:
            code = head.wait(STUCK_S)
        except subprocess.TimeoutExpired:
            head.kill()
            code = "hangs"
        ended = uptime()
        if watch:
            watch.join()
        if code != 0:
            last = (folder / "heads.txt").read_text().splitlines()[-6:]
            verdict.add("by hand", [f"the next run: {code}: {' | '.join(last)}"])
        first = [line.at for line in read_log(folder) if line.head == word]
        verdict.resume_s = max(0.0, (first[0] if first else ended) - began)

    @staticmethod
    def _look_for_orphans(kills: list[Kill], verdict: Verdict) -> None:
        _, gone, word = kills[-1]
        for name, delay_s in zip(("orphans", "orphans 1s"), ORPHAN_LOOKS_S, strict=True):
            time.sleep(max(0.0, gone + delay_s - uptime()))
            verdict.add(name, census.describe(census.bearers(word)))

    def _judge(self, folder: Path, kills: list[Kill], after: dict[str, str], due: set[str], verdict: Verdict) -> None:
        lines = read_log(folder)
        verdict.add("wrong", [file for file, digest in after.items() if _digest(folder / file) != digest])
        verdict.add("fed", [
            f"{line.task} by {line.head}" for line in lines
            if line.kind == "begin" and line.fed != tuple(after[file] for file in self.graph.steps[line.task].inputs)
        ])  # fmt: skip
        verdict.add("double", [f"{line.task}: {line.pid} beside {line.twin}" for line in lines if line.twin])
        verdict.add("rerun", [f"{line.task} was not due" for line in lines
                              if line.kind == "begin" and line.task not in due])  # fmt: skip
        words = [kill.word for kill in kills]
        for number, (at, _, word) in enumerate(kills):
            ended = {line.task: line.at for line in lines if line.kind == "end" and line.head == word}
            again = {line.task for line in lines if line.kind == "begin" and line.head not in words[: number + 1]}
            ages = {task: at - end for task, end in ended.items() if task in again}
            slack = TRACED_SLACK_S if verdict.shot.aim == "syscall" else SLACK_S
            verdict.add("rerun", [f"{task} had ended {age:.2f} s before" for task, age in ages.items() if age > slack])
            verdict.near += [age for age in ages.values() if age <= slack]
        begun = collections.Counter((line.head, line.task) for line in lines if line.kind == "begin")
        verdict.add("rerun", [f"{task} twice by one head" for (_, task), count in begun.items() if count > 1])
        verdict.add("litter", [
            str(file.relative_to(folder)) for file in folder.rglob("*")
            if file.name.endswith((".sf-part", ".partial")) or ".damaged-" in file.name
        ])  # fmt: skip
        with contextlib.closing(sqlite3.connect(folder / ".scriptflow/runs.db")) as store:
            found = [row[0] for row in store.execute("PRAGMA integrity_check")]
        verdict.add("store", [row for row in found if row != "ok"])

    def _again(self, folder: Path, word: str, verdict: Verdict) -> None:
        """Run once more: nothing may be left to do."""
        code = self.start(folder, word, words=("--json",)).wait(STUCK_S)
        answer = {}
        with contextlib.suppress(ValueError):
            answer = json.loads((folder / "answer.json").read_text())
        begun = sorted({line.task for line in read_log(folder) if line.head == word})
        if code != 0 or answer.get("ran") != 0 or answer.get("skipped") != len(self.graph.steps) or begun:
            verdict.add("noop", [f"exit {code}, {answer}, {begun[:4]}"])


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error)
