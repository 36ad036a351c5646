"""Play a made-up run on a real screen: ``python tests/terminal/demo_events.py --tasks 50000 --rate 2500``."""

from __future__ import annotations

import argparse
import sys
import time

from scriptflow.core import events
from scriptflow.core.job import JobReport
from scriptflow.core.records import RunCounts
from scriptflow.core.states import Cause, JobState
from scriptflow.terminal import choose

TAIL = (
    "Traceback (most recent call last):",
    '  File "simulate.py", line 41, in fit',
    "numpy.linalg.LinAlgError: Singular matrix",
)


def run_started(run="demo-7", **more):
    return events.RunStarted(at=time.time(), run=run, flow="demo", store="/tmp/x/.scriptflow", **more)


def queued(task, group="", reasons=(("output-missing", "out.txt"),)):
    return events.TaskQueued(at=time.time(), task=task, group=group, reasons=reasons)


def started(task, group="", reasons=(("output-missing", "out.txt"),), **more):
    more = {"attempt": 1, "executor": "local", "command": f"sh {task}.sh", "log": f"/x/{task}.log", "job": 1, **more}
    return events.JobStarted(at=time.time(), task=task, group=group, reasons=reasons, **more)


def succeeded(task, group="", seconds=0.1, reasons=(("output-missing", "out.txt"),), **more):
    return events.TaskEnded(
        at=time.time(), task=task, group=group, state="succeeded", job=1, attempt=1, attempts=1, seconds=seconds,
        report=JobReport(state=JobState.SUCCEEDED, exit_code=0), log=None, reasons=reasons, **more,
    )  # fmt: skip


def failed(task, group="", seconds=12.4, tail=TAIL, exit_code=1, **more):
    report = JobReport(state=JobState.FAILED, exit_code=exit_code, cause=Cause.EXIT)
    known = {"report": report, "attempt": 2, "attempts": 2, "log": f".scriptflow/logs/demo-7/{task}.2.log", "job": 1}
    known |= {"message": f"task {task} failed: exit code {exit_code}", "slug": "task-failed", "tail": tail, **more}
    return events.TaskEnded(at=time.time(), task=task, group=group, state="failed", seconds=seconds, **known)


def cancelled(task, group="", job=None, message="not started: solve-1 failed"):
    return events.TaskEnded(
        at=time.time(), task=task, group=group, state="cancelled", job=job, attempt=1, attempts=1, seconds=0.0,
        report=None, log=None, message=message, slug="upstream-failed",
    )  # fmt: skip


def run_ended(status="succeeded", seconds=5.2, message="", **counts):
    return events.RunEnded(
        at=time.time(),
        run="demo-7",
        flow="demo",
        status=status,
        seconds=seconds,
        counts=RunCounts(**counts),
        message=message,
    )


class Player:
    """Sends events to a screen at a steady rate and ticks as a head does."""

    def __init__(self, screen, rate):
        self.screen, self.rate = screen, rate
        self.sent, self.begun, self.ticked = 0, time.monotonic(), 0.0

    def hear(self, event):
        self.screen.hear(event)
        self.sent += 1
        if self.rate:
            self.wait(self.begun + self.sent / self.rate - time.monotonic())

    def wait(self, seconds):
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            if now - self.ticked >= 0.25 and hasattr(self.screen, "tick"):
                self.ticked = now
                self.screen.tick()
            if now >= until:
                return
            time.sleep(min(until - now, 0.05))


def play_small(player):
    player.hear(run_started())
    for number in range(5):
        player.hear(events.Progress(at=time.time(), group="", declared=number + 1))
        player.hear(queued(f"solve-{number}", reasons=(("input-newer", "data/a.csv"), ("command-changed", "x"))))
    for number in range(5):
        player.hear(started(f"solve-{number}", reasons=(("input-newer", "data/a.csv"), ("command-changed", "x"))))
    player.wait(0.6)
    print("the flow says hello", "x" * 150)
    player.hear(succeeded("solve-0", seconds=1.2, reasons=(("input-newer", "data/a.csv"), ("command-changed", "x"))))
    player.hear(failed("solve-1", seconds=1.3))
    player.wait(0.4)
    report = JobReport(state=JobState.FAILED, exit_code=3, cause=Cause.EXIT)
    player.hear(
        events.JobRetried(
            at=time.time(), task="solve-2", group="", job=1, attempt=1, attempts=3, delay_s=4, report=report
        )
    )
    player.hear(succeeded("solve-3", seconds=2.2))
    player.hear(
        events.Message(
            at=time.time(), level="warning", slug="stale-output", text="fit failed; its old fit.csv was moved"
        )
    )
    player.wait(1.2)
    player.hear(cancelled("solve-2"))
    player.hear(succeeded("solve-4", seconds=4.2))
    player.hear(run_ended("failed", ran=3, failed=1, cancelled=1))


def play_big(player, tasks, groups, every):
    player.hear(run_started())
    each = tasks // groups
    names = ["simulate", "estimate", "bootstrap", "tables", "figures", "clean"] + [f"stage-{n}" for n in range(50)]
    for group in names[:groups]:
        player.screen.hear(events.Progress(at=time.time(), group=group, declared=each))
    failures = 0
    for group in names[:groups]:
        running = []
        for number in range(each):
            task = f"{group}-{number}"
            player.hear(queued(task, group))
            player.hear(started(task, group))
            running.append(task)
            if len(running) > 8:
                first = running.pop(0 if number % 50 else -1)
                if every and number % every == every - 1:
                    failures += 1
                    player.hear(
                        failed(
                            first,
                            group,
                            exit_code=1 + failures % 2,
                            tail=TAIL if failures % 3 else ("x", "ValueError: no"),
                        )
                    )
                else:
                    player.hear(succeeded(first, group, seconds=0.2))
        for task in running:
            player.hear(succeeded(task, group, seconds=0.2))
    player.hear(events.Progress(at=time.time(), group="", declared=0, final=True))
    player.wait(0.5)
    player.hear(run_ended("failed" if failures else "succeeded", 17.3, ran=each * groups - failures, failed=failures))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--fail-every", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--progress", default="auto")
    parser.add_argument("-v", action="count", default=0)
    parser.add_argument("-q", action="count", default=0)
    parser.add_argument("--hold", type=float, default=0)
    asked = parser.parse_args()
    screen = choose(asked.progress, verbose=asked.v, quiet=asked.q)
    player = Player(screen, asked.rate)
    if asked.tasks <= 5:
        play_small(player)
    else:
        play_big(player, asked.tasks, asked.groups, asked.fail_every)
    screen.close()
    print("the end", file=sys.stdout)


if __name__ == "__main__":
    main()
