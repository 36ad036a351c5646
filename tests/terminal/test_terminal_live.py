"""The live display, on real pseudo-terminals: what is written, and (through tmux) what is seen."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
import uuid

import pytest
from demo_events import TAIL, cancelled, failed, queued, run_ended, run_started, started, succeeded

from scriptflow.core import events
from scriptflow.terminal import choose
from scriptflow.terminal.frame import Frame
from scriptflow.terminal.look import Look, cells
from scriptflow.terminal.tally import Tally

DEMO = os.path.join(os.path.dirname(__file__), "demo_events.py")


class Terminal:
    """A pseudo-terminal whose output is read as it comes."""

    def __init__(self, columns=80, rows=30):
        self._keeper, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.stream = os.fdopen(terminal, "w", encoding="utf-8")
        self._read = b""
        self._reader = threading.Thread(target=self._keep_reading)
        self._reader.start()

    def _keep_reading(self):
        while True:
            try:
                chunk = os.read(self._keeper, 65536)
            except OSError:  # how Linux says that nobody holds the other end any more
                return
            self._read += chunk

    def end(self):
        """Hang up, and return all that was written."""
        self.stream.close()
        self._reader.join(10)
        os.close(self._keeper)
        return self._read.decode()


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    if not made.stream.closed:
        made.end()


def live(stream, **options):
    return choose("live", stream=stream, env={"TERM": "xterm"}, **options)


def play(screen, heard):
    for event in heard:
        screen.hear(event)
    screen.close()


def test_a_run_with_nothing_to_do_is_one_line_at_a_terminal_too(terminal):
    skipped = events.TasksSkipped(at=time.time(), count=7)
    play(live(terminal.stream, color=False), [run_started(), skipped, run_ended(seconds=0.1, skipped=7)])
    assert terminal.end() == "demo-7 ok   0 ran  7 up to date   0.1s\r\n"


def test_what_ends_stays_as_a_line_with_its_reason(terminal):
    heard = [run_started(), queued("solve-1"), started("solve-1"), succeeded("solve-1", seconds=5.0)]
    play(live(terminal.stream, color=False), [*heard, cancelled("b"), run_ended(ran=1)])
    out = terminal.end()
    assert re.search(r"  ✓ solve-1      5\.0s  output missing: out\.txt\r\n", out)
    assert "  ⊘ b                  not started: solve-1 failed\r\n" in out
    assert out.endswith("demo-7 ok   1 ran  0 up to date   5.2s\r\n")


def test_a_stopped_run_says_how_to_resume_within_the_terminal(terminal):
    heard = [run_started(), queued("a"), started("a"), events.RunStopping(at=time.time(), signal="SIGINT", running=1)]
    screen = live(terminal.stream, color=False)
    play(screen, [*heard, cancelled("a", job=1), run_ended("cancelled", ran=3, cancelled=35, skipped=10_000)])
    *_, head, resume = terminal.end().splitlines()
    assert head.endswith("demo-7 stopped (Ctrl-C)   3 ran  10,000 up to date  1 cancelled  34 not started   5.2s")
    assert resume == "    resume: scriptflow run demo"


def test_prints_of_the_flow_pass_unharmed_above_the_display(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    screen = live(terminal.stream, color=False)
    screen.hear(run_started())
    screen.hear(queued("a"))
    print("x" * 300 + "\x1b[31mred\x1b[0m[bold]")
    print("half a li", end="")
    print("ne")
    print("no end", end="")
    sys.stdout.flush()
    assert sys.stdout.isatty()
    screen.close()
    assert sys.stdout is terminal.stream
    out = terminal.end()
    assert "x" * 300 + "\x1b[31mred\x1b[0m[bold]\r\n" in out
    assert "half a line\r\n" in out
    assert "no end\r\n" in out


def test_prints_into_a_file_stay_there(terminal, monkeypatch):
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    screen = live(terminal.stream)
    screen.hear(run_started())
    screen.hear(queued("a"))
    print("an answer")
    screen.close()
    assert printed.getvalue() == "an answer\n"
    assert "an answer" not in terminal.end()


def test_prints_from_threads_arrive_whole(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    screen = live(terminal.stream, color=False)
    screen.hear(run_started())
    screen.hear(queued("a"))
    threads = [
        threading.Thread(target=lambda: [sys.stdout.write("whole line\n") for _ in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(200):
        screen.hear(queued(f"t-{number}"))
        screen.tick()
    for thread in threads:
        thread.join()
    screen.close()
    assert terminal.end().count("whole line\r\n") == 800


def test_hostile_names_and_logs_reach_the_terminal_as_symbols(terminal):
    task, tail = "a\x1b]0;x\x07\n", ("\x1b[2J\x9b31m‮evil",)
    heard = [
        run_started(),
        queued(task),
        started(task, command="\x1b[5m"),
        failed(task, tail=tail),
        run_ended("failed", failed=1),
    ]
    screen = live(terminal.stream, color=False, verbose=1)
    for event in heard:
        screen.hear(event)
        screen.tick()
    screen.close()
    out = terminal.end()
    assert "a␛]0;x␇␊" in out
    assert "│ ␛[2J\\x9b31m\\u202eevil" in out
    assert not set(out) & set("\x07\x9b‮")
    assert "\x1b[2J" not in out
    assert "\x1b[5m" not in out


def test_no_color_leaves_no_colour(terminal):
    screen = choose("live", stream=terminal.stream, env={"TERM": "xterm", "NO_COLOR": "1"})
    play(screen, [run_started(), queued("a"), started("a"), failed("a"), run_ended("failed", failed=1)])
    assert not re.search(r"\x1b\[[\d;]*3\d", terminal.end())


def test_a_terminal_that_goes_away_never_stops_the_run():
    made = Terminal()
    screen = live(made.stream)
    screen.hear(run_started())
    screen.hear(queued("a"))
    made.end()
    play(screen, [started("a"), failed("a"), run_ended("failed", failed=1)])
    assert sys.stdout is not made.stream


@pytest.mark.parametrize(
    ("env", "kind"),
    [({"TERM": "xterm"}, "Live"), ({"TERM": "dumb"}, "Plain"), ({"CI": "true"}, "Plain"), ({"CI": "false"}, "Live"),
     ({"GITHUB_ACTIONS": "true"}, "Plain")],
)  # fmt: skip
def test_a_terminal_gets_the_live_display_unless_it_is_dumb_or_ci(terminal, env, kind):
    assert type(choose("auto", stream=terminal.stream, env=env)).__name__ == kind
    assert type(choose("auto", stream=io.StringIO(), env=env)).__name__ == "Plain"


def big_tally(groups=20, expected=None):
    tally = Tally(expected)
    tally.hear("RunStarted", run_started())
    for group in range(groups):
        tally.hear("Progress", events.Progress(at=time.time(), group=f"group-數\x1b-{group}", declared=5000))
    for number in range(100):
        name, group = f"t-{number}", f"group-數\x1b-{number % 3}"
        tally.hear("TaskQueued", queued(name, group))
        tally.hear("JobStarted", started(name, group))
        if number < 90:
            tally.hear("TaskEnded", failed(name, group) if number == 8 else succeeded(name, group, seconds=10))
    return tally


@pytest.mark.parametrize("utf8", [True, False])
@pytest.mark.parametrize("width", [40, 59, 60, 80, 120, 200])
def test_no_line_of_a_picture_is_wider_than_the_terminal(width, utf8):
    for tally in (big_tally(), big_tally(1)):
        for height in (3, 6, 30):
            frame = Frame(tally, Look(utf8=utf8), width=width, height=height, now=time.time() + 5000, name_cells=12)
            for lines in (frame.group_lines(), frame.task_lines()):
                assert len(lines) <= max(2, height)
                for line in lines:
                    text = "".join(text for text, _ in line)
                    assert cells(text) < width
                    assert "\x1b" not in text
                    assert utf8 or text.isascii()


def pictured(tally, width=120, later=0.0):
    lines = Frame(tally, Look(), width=width, height=40, now=tally.last_at + later).group_lines()
    return ["".join(text for text, _ in line) for line in lines]


def test_groups_beyond_eight_are_folded_and_those_that_run_are_not():
    lines = pictured(big_tally())
    assert len(lines) == 10
    assert lines[-2] == "  12 groups to do"
    assert sum(" run" in line for line in lines[:8]) == 3
    assert lines[-1].startswith("  90/100,000+  0%  10 running  99,900 waiting  1 failed")


def test_a_single_failure_of_thousands_is_seen_in_the_bar():
    frame = Frame(big_tally(), Look(), width=120, height=40, now=time.time())
    assert any(style == "red" and "━" in text for line in frame.group_lines() for text, style in line)


def test_bars_vanish_first_in_a_narrow_terminal():
    assert "━" in "".join(pictured(big_tally(), width=60))
    narrow = "".join(pictured(big_tally(), width=59))
    assert "━" not in narrow
    assert "1 failed" in narrow


def test_after_a_silence_the_longest_running_task_is_named():
    assert not any("longest" in line for line in pictured(big_tally(), later=20))
    assert any(
        "nothing new for 45s; the longest running is t-90, 45s" in line for line in pictured(big_tally(), later=45)
    )


def test_what_is_left_is_guessed_only_when_something_is_known():
    tally = Tally()
    tally.hear("RunStarted", run_started())
    tally.hear("Progress", events.Progress(at=time.time(), group="", declared=101))
    assert tally.left_s() == (None, False)
    for number in range(5):
        tally.hear("TaskQueued", queued(f"t-{number}"))
        tally.hear("JobStarted", started(f"t-{number}"))
    for number in range(3):
        tally.hear("TaskEnded", succeeded(f"t-{number}", seconds=10))
    seconds, whole = tally.left_s()
    assert whole
    assert 97 * 10 / 5 < seconds < 98 * 10 / 2
    remembered = Tally({"": 60.0})
    remembered.hear("Progress", events.Progress(at=time.time(), group="", declared=10))
    assert remembered.left_s() == (600.0, True)


def test_up_to_date_tasks_of_no_named_group_are_among_those_declared():
    tally = Tally()
    tally.hear("Progress", events.Progress(at=1.0, group="a", declared=100))
    tally.hear("TasksSkipped", events.TasksSkipped(at=1.0, count=90))
    assert (tally.total, tally.settled) == (100, 90)
    tally.hear("TasksSkipped", events.TasksSkipped(at=1.0, count=20, groups=(("a", 5),)))
    assert (tally.total, tally.settled) == (110, 110)


def test_counts_stand_whatever_way_a_task_went():
    tally = Tally()
    tally.hear("TaskQueued", queued("a"))
    tally.hear("JobStarted", started("a"))
    report = failed("a").report
    retried = events.JobRetried(at=1.0, task="a", group="", job=1, attempt=1, attempts=2, delay_s=0, report=report)
    tally.hear("JobRetried", retried)
    assert (tally.running, len(tally.queued), tally.total) == (0, 1, 1)
    tally.hear("JobStarted", started("a", attempt=2))
    tally.hear("TaskEnded", succeeded("a"))
    tally.hear("JobStarted", started("joined"))
    tally.hear("TaskEnded", failed("never queued"))
    assert (tally.running, tally.settled, tally.total, tally.succeeded, tally.failed) == (1, 2, 3, 1, 1)


# --- what is seen, through tmux ---------------------------------------------------------------------

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux shows us what a terminal shows")


class Tmux:
    """One program in one real terminal."""

    def __init__(self, columns, rows, *arguments):
        self._name = f"scriptflow-{uuid.uuid4().hex[:8]}"
        words = " ".join([sys.executable, DEMO, *arguments])
        self._tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            str(columns),
            "-y",
            str(rows),
            f"LC_ALL=C.UTF-8 TERM=screen CI= GITHUB_ACTIONS= {words}; cat",
        )

    def _tmux(self, *arguments):
        return subprocess.run(["tmux", "-L", self._name, *arguments], capture_output=True, text=True, check=True).stdout

    def seen(self, sign):
        """Return the lines on the screen once they match ``sign``."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            lines = self._tmux("capture-pane", "-p", "-S", "-200").rstrip().splitlines()
            if re.search(sign, "\n".join(lines)):
                return lines
            time.sleep(0.05)  # a terminal cannot tell us that it has changed
        raise AssertionError("\n".join(lines))

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def end(self):
        self._tmux("kill-server")


@pytest.fixture
def tmux():
    opened = []

    def open_one(*arguments):
        opened.append(Tmux(*arguments))
        return opened[-1]

    yield open_one
    for each in opened:
        each.end()


@needs_tmux
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_five_tasks_on_a_real_terminal(tmux, columns):
    screen = tmux(columns, 40)
    lines = screen.seen(r"· solve-2 +queued")
    picture = lines[lines.index(next(line for line in lines if "warning[stale-output]" in line)) + 1 :]
    assert [re.sub(r"\d+s", "Ns", line) for line in picture] == [
        "  ▶ solve-4        Ns  input newer: data/a.csv (+1)",
        "  · solve-2            queued",
        "  3/5+  60%  1 running  1 waiting  1 retried  1 failed   Ns",
    ]
    lines = screen.seen("the end")
    assert "the flow says hello xxx" in "\n".join(lines)
    assert sum("solve-4" in line for line in lines) == 1
    assert [line for line in lines if line.startswith("    │")] == [f"    │ {line}" for line in TAIL]
    assert lines[-3:] == [
        "    1 \u00d7 LinAlgError: Singular matrix   solve-1",
        "    next: scriptflow logs · scriptflow run demo",
        "the end",
    ]


@needs_tmux
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_fifty_thousand_tasks_on_a_real_terminal(tmux, columns):
    screen = tmux(columns, 50, "--tasks", "50000", "--groups", "12", "--rate", "40000", "--fail-every", "1500")
    lines = screen.seen(r"estimate +━(.*\n)*.* groups to do\n.* failed.*$")
    assert all(cells(line) <= columns for line in lines)
    assert re.match(r"  [\d,]+/49,992\+  \d+%", lines[-1])
    assert lines[-2].endswith("groups to do")
    lines = screen.seen("the end")
    assert sum("━" in line for line in lines) == 0
    assert sum(line.startswith("  ✗ ") for line in lines) == 20
    assert lines[-5].startswith("demo-7 failed   49,968 ran  0 up to date  24 failed")


@needs_tmux
def test_a_resized_terminal_is_left_clean(tmux):
    screen = tmux(160, 40, "--tasks", "30000", "--groups", "6", "--rate", "20000")
    screen.seen("estimate +━")
    for columns in (60, 130, 45, 100):
        screen.resize(columns, 40)
        screen.seen(r"bootstrap")
    lines = screen.seen("the end")
    assert [line for line in lines if "simulate  " in line or "━" in line] == []
    assert sum(line.startswith("demo-7") for line in lines) == 2
