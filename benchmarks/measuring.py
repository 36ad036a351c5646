"""Run commands and say what they cost: CPU of the command and all it reaped, wall time, peak memory.

Knows nothing of what the commands are. Keep this process small: a child's peak memory starts at its parent's.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LIMIT_S = 300
_TAIL = 800


class Command:
    """What to run, where, and what to do right before each time."""

    def __init__(self, argv: Sequence[str], folder: str, before: Callable[[], None] | None = None,
                 after: Callable[[], None] | None = None) -> None:  # fmt: skip
        self.argv = list(argv)
        self.folder = folder
        self.before = before
        self.after = after


class Failed(Exception):
    """A command did not do what it was to do; the message is for the user."""


class Cost:
    """What one command cost.

    Attributes:
        cpu_s: user and system time of the command and everything it reaped.
        own_s: the part of the command's own process (in clock ticks).
        wall_s: from start to end.
        peak_mb: the most memory that any one of its processes held.
    """

    def __init__(self, cpu_s: float, own_s: float, wall_s: float, peak_mb: float) -> None:
        self.cpu_s = cpu_s
        self.own_s = own_s
        self.wall_s = wall_s
        self.peak_mb = peak_mb


def cost_of(command: Command) -> Cost:
    """Run a command to its end; its output goes into the file ``output.txt`` of its folder, as in a CI job.

    Raises:
        Failed: the command failed or took longer than five minutes.
    """
    if command.before:
        command.before()
    log = os.path.join(command.folder, "output.txt")
    with open(log, "wb") as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            command.argv, cwd=command.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        guard = threading.Timer(LIMIT_S, os.killpg, (child.pid, signal.SIGKILL))
        guard.start()
        # Its own share can be read only while it is dead and not yet buried.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        wall_s = time.perf_counter() - began
        guard.cancel()
        own_s = own_cpu_s(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        with open(log, encoding="utf-8", errors="replace") as text:
            tail = text.read()[-_TAIL:]
        raise Failed(f"{' '.join(command.argv)} (in {command.folder}) ended with {child.returncode}:\n{tail}")
    if command.after:
        command.after()
    return Cost(usage.ru_utime + usage.ru_stime, own_s, wall_s, usage.ru_maxrss / 1024)


def own_cpu_s(pid: int) -> float:
    """Return the CPU time of one process, its children not counted."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def interleaved(commands: Mapping[str, Command], rounds: int) -> dict[str, list[Cost]]:
    """Run all commands ``rounds`` times, every second round in the opposite order (A B B A)."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(rounds):
        for name in list(commands) if turn % 2 == 0 else list(commands)[::-1]:
            costs[name].append(cost_of(commands[name]))
    return costs


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the least and the greatest of the ratios of each round."""
    pairs = [one / max(other, 1e-9) for one, other in zip(ours, theirs, strict=True)]
    return statistics.median(pairs), min(pairs), max(pairs)


def median(costs: Sequence[Cost], what: str) -> float:
    """Return the median of one attribute of the costs."""
    values: list[float] = [getattr(cost, what) for cost in costs]
    return statistics.median(values)
