"""Find processes by a word in their environment, and kill them.

A word that one head was started with is inherited by all that it starts, whatever sessions they open and whoever
adopts them. Linux only: reads ``/proc``.
"""

import contextlib
import os
import random
import signal
import time

WORD = "CHAOS_HEAD"


def bearers(word: str) -> set[int]:
    """Return the ids of all processes started with this word; zombies have no environment and do not count."""
    wanted = f"{WORD}={word}".encode()
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.add(int(entry))
    return found


def describe(pids: set[int]) -> list[str]:
    """Return a line for each process that still is there."""
    lines = []
    for pid in sorted(pids):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            lines.append(f"{pid} {file.read().replace(bytes(1), b' ').decode(errors='replace').strip()}")
    return lines


def send(pid: int, number: int) -> None:
    """Signal a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_all(word: str, rng: random.Random) -> None:
    """Kill everything with this word: in any order, or frozen first, as if all had died at one instant."""
    pids = list(bearers(word))
    rng.shuffle(pids)
    if rng.random() < 0.5:
        for pid in sorted(pids):  # the head first: it has the lowest number
            send(pid, signal.SIGSTOP)
    limit = time.monotonic() + 10
    while pids and time.monotonic() < limit:
        for pid in pids:
            send(pid, signal.SIGKILL)
        pids = list(bearers(word))
