"""Print what a screen costs: 50,000 tasks in 8 groups, 2,500 events a second, in per cent of one core.

    python benchmarks/display.py [--seconds 20] [--rate 2500]

Each screen draws on a real pseudo-terminal of 120 columns that another process empties. The same events sent to a
screen that says nothing are subtracted, and so is the one-off start (loading rich), which is printed beside it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

from scriptflow.core import events
from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState
from scriptflow.terminal import choose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scriptflow.core.interfaces import Listener

TASKS = 50_000
GROUPS = 8
SLOTS = 64
REASONS = (("output-missing", "out.txt"),)


def made_up_events(number: int) -> Iterator[events.Event]:
    """Yield the events of a run that keeps 64 tasks in flight and fails every 5,000th."""
    good = JobReport(state=JobState.SUCCEEDED, exit_code=0)
    bad = JobReport(state=JobState.FAILED, exit_code=1, cause=Cause.EXIT)
    at = time.time()
    running: list[tuple[str, str]] = []
    for index in range(number):
        group = f"group-{index * GROUPS // number}"
        task = f"{group}-{index}"
        yield events.TaskQueued(at=at, task=task, group=group, reasons=REASONS)
        started = {"job": index, "attempt": 1, "executor": "local", "command": "sh x", "log": "x", "reasons": REASONS}
        yield events.JobStarted(at=at, task=task, group=group, **started)
        running.append((task, group))
        if len(running) < SLOTS:
            continue
        task, group = running.pop(0)
        if index % 5000 == 4999:
            ended = {"state": "failed", "report": bad, "tail": ("ValueError: x",)}
        else:
            ended = {"state": "succeeded", "report": good}
        ended |= {"job": index, "attempt": 1, "attempts": 1, "seconds": 1.5, "log": "x", "reasons": REASONS}
        yield events.TaskEnded(at=at, task=task, group=group, **ended)


def cost_of(screen: Listener, seconds: float, rate: int) -> tuple[float, float]:
    """Return the CPU seconds of the first drawn event, and of all the others."""
    now = time.time()
    screen.hear(events.RunStarted(at=now, run="bench-1", flow="bench", store=""))
    for group in range(GROUPS):
        screen.hear(events.Progress(at=now, group=f"group-{group}", declared=TASKS // GROUPS))
    sent = list(made_up_events(int(seconds * rate / 3)))
    before = time.process_time()
    screen.hear(sent.pop(0))
    start_s = time.process_time() - before
    tick = getattr(screen, "tick", lambda: None)
    begun = ticked = time.monotonic()
    before = time.process_time()
    for index, event in enumerate(sent, 1):
        screen.hear(event)
        if index % 125 == 0:
            time.sleep(max(0.0, begun + index / rate - time.monotonic()))
            if time.monotonic() - ticked >= 0.25:
                ticked = time.monotonic()
                tick()
    return start_s, time.process_time() - before


def main() -> None:
    """Measure each screen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=2500, help="events per second")
    asked = parser.parse_args()
    keeper, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with (
        subprocess.Popen(["cat"], stdin=keeper, stdout=subprocess.DEVNULL) as reader,
        os.fdopen(terminal, "w") as stream,
    ):
        _, nothing_s = cost_of(choose(quiet=2, stream=stream, env={}), asked.seconds, asked.rate)
        print(f"without    {100 * nothing_s / asked.seconds:5.2f} % of a core (sending the events)")
        for progress in ("live", "plain", "quiet"):
            screen = choose(progress, stream=stream, env={"TERM": "xterm"}, color=True)
            start_s, spent_s = cost_of(screen, asked.seconds, asked.rate)
            screen.close()
            share = 100 * (spent_s - nothing_s) / asked.seconds
            print(f"{progress:<10} {share:5.2f} % of a core, and {1000 * start_s:.0f} ms once at the start")
        reader.kill()


if __name__ == "__main__":
    main()
