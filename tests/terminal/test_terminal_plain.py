"""Plain, quiet and JSON screens, the summary, and the choice among them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from demo_events import cancelled, failed, queued, run_ended, run_started, started, succeeded

import scriptflow
from scriptflow.core import events
from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import Place, SettingsError
from scriptflow.terminal import choose
from scriptflow.terminal.jsonlines import JsonLines


def told(heard, progress="plain", env=None, stream=None, **options):
    stream = stream or io.StringIO()
    screen = choose(progress, stream=stream, env=env or {}, **options)
    for event in heard:
        screen.hear(event)
    screen.close()
    return stream.getvalue()


def skipped(count, names=(), groups=()):
    return events.TasksSkipped(at=time.time(), count=count, names=names, groups=groups)


def declared(count, group="", final=False):
    return events.Progress(at=time.time(), group=group, declared=count, final=final)


def ran(task, **more):
    return [queued(task), started(task), succeeded(task, **more)]


NOTHING_TO_DO = [
    run_started(),
    declared(10_000),
    skipped(10_000),
    declared(0, final=True),
    run_ended(seconds=0.12, skipped=10_000),
]


@pytest.mark.parametrize("progress", ["plain", "quiet", "auto"])
def test_a_run_with_nothing_to_do_is_one_line(progress):
    assert told(NOTHING_TO_DO, progress) == "demo-7 ok   0 ran  10,000 up to date   0.1s\n"


def test_a_run_with_nothing_to_do_loads_nothing_heavy():
    code = """
import sys, types
import scriptflow
before = set(sys.modules)
from scriptflow.terminal import choose
class Tty:
    encoding = "utf-8"
    def isatty(self): return True
    def fileno(self): return 2
    def write(self, text): sys.stdout.write(text); return len(text)
    def flush(self): pass
for progress in ("auto", "plain", "quiet"):
    screen = choose(progress, stream=Tty(), env={"TERM": "xterm"})
    def event(kind, **fields): return type(kind, (), {"at": 1.0, **fields})()
    screen.hear(event("RunStarted", run="demo-7", flow="demo", resumed=""))
    screen.hear(event("Progress", group="", declared=7, final=False))
    screen.hear(event("TasksSkipped", count=7, names=(), groups=()))
    counts = types.SimpleNamespace(ran=0, skipped=7, failed=0, cancelled=0, queued=0, running=0, waiting=0)
    end = {"run": "demo-7", "flow": "demo", "status": "succeeded", "seconds": 0.1, "message": ""}
    screen.hear(event("RunEnded", counts=counts, **end))
    getattr(screen, "tick", lambda: None)()
    screen.close()
heavy = {"rich", "dataclasses", "datetime", "re", "typing", "json", "inspect", "asyncio", "logging", "pathlib"}
print(sorted((set(sys.modules) - before) & heavy))
"""
    found_in = [str(Path(scriptflow.__file__).parents[1]), *sys.path]  # an editable install is not on the path
    out = subprocess.run(
        [sys.executable, "-S", "-I", "-c", f"import sys; sys.path[:0] = {found_in!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.splitlines()[-1] == "[]"
    assert out.stdout.count("7 up to date") == 3


def test_each_task_that_ends_is_one_line_with_time_result_and_reason():
    heard = [
        run_started(),
        declared(3),
        *ran("solve-1", seconds=5.0),
        *ran("solve-2", seconds=5.0),
        skipped(1),
        declared(0, final=True),
    ]
    lines = told([*heard, run_ended(ran=2, skipped=1)]).splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d ok    solve-1     5\.0s  \[1/3\+\]  output missing: out\.txt", lines[0])
    assert lines[-1] == "demo-7 ok   2 ran  1 up to date   5.2s"
    assert len(lines) == 3


def test_a_failure_is_told_in_full_where_it_happens():
    heard = [
        run_started(),
        queued("final"),
        started("final"),
        failed("final", exit_code=3, seconds=0.1, notes=("n1",), help="mend it"),
    ]
    out = told([*heard, run_ended("failed", failed=1)])
    lines = out.splitlines()
    assert re.match(
        r"\d\d:\d\d:\d\d FAIL  final  exit 3  0\.1s  attempt 2/2  \[1/1\+\]  log \.scriptflow/logs/\S+$",
        lines[0],
    )
    assert [line.strip() for line in lines[1:6]] == [
        "│ Traceback (most recent call last):",
        '│   File "simulate.py", line 41, in fit',
        "│ numpy.linalg.LinAlgError: Singular matrix",
        "note: n1",
        "help: mend it",
    ]
    assert "\x1b" not in out
    assert "\r" not in out
    assert lines[-1] == "    next: scriptflow logs · scriptflow run demo"


def test_hostile_names_and_logs_show_as_symbols_on_every_screen():
    task, tail = "a\x1b]0;x\x07\n‮b", ("\x1b[2J\x9b31mred", "‮evil")
    heard = [run_started(), queued(task), started(task), failed(task, tail=tail, notes=("\x1b[1m",), help="\x07")]
    for progress in ("plain", "quiet"):
        out = told([*heard, cancelled("b\x1b"), run_ended("failed", failed=1)], progress, verbose=1)
        assert not set(out) & set("\x1b\x07\x9b‮\r")
        assert "a␛]0;x␇␊\\u202eb" in out
        assert "␛[2J\\x9b31mred" in out


def test_a_stream_that_takes_only_ascii_gets_only_ascii():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    choice = choose("plain", stream=stream, env={})
    for event in [run_started(), *ran("é"), failed("ü", tail=("ß\x1b",)), run_ended("failed", ran=1, failed=1)]:
        choice.hear(event)
    choice.close()
    out = stream.buffer.getvalue().decode("ascii")
    assert "\\xfc" in out
    assert "1 x \\xdf\\x1b" in out
    assert "| \\xdf\\x1b" in out


def test_many_tasks_become_one_line_per_cent():
    heard = [run_started(), declared(10_000)]
    for number in range(10_000):
        heard += ran(f"t-{number}")
    out = told([*heard, declared(0, final=True), run_ended(ran=10_000)])
    assert out.count(" ok ") == 201  # and the summary
    notes = [line for line in out.splitlines() if " note " in line]
    assert 98 <= len(notes) <= 101
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d note  5,000/10,000\+ 50% 0 running ~\d+ \w+", next(line for line in notes if " 50%" in line)
    )


def test_failures_are_told_in_full_then_short_then_counted():
    heard = [run_started()]
    for number in range(40):
        heard += [queued(f"t-{number}"), started(f"t-{number}"), failed(f"t-{number}")]
    out = told([*heard, run_ended("failed", failed=40)])
    assert out.count("FAIL") == 20
    assert out.count("Traceback") == 5
    assert out.count("more failures are only counted") == 1
    assert "    40 \u00d7 LinAlgError: Singular matrix   t-0 t-1 t-2 …\n" in out


def test_the_summary_of_many_causes_has_six_lines():
    heard = [run_started()]
    for number in range(30):
        heard += [queued(f"t-{number}"), failed(f"t-{number}", tail=(f"Error: {min(number, 9)}",))]
    out = told([*heard, run_ended("failed", ran=3210, skipped=46_771, failed=30, cancelled=3, seconds=5530)], "quiet")
    lines = out[out.index("demo-7 failed") :].splitlines()
    assert lines[0] == "demo-7 failed   3,210 ran  46,771 up to date  30 failed  3 not started   1:32:10"
    assert lines[1].startswith("    21 \u00d7 Error: 9   t-9 t-10 t-11 …")
    assert lines[4] == "    … 7 more causes in 7 tasks"
    assert lines[5] == "    next: scriptflow logs · scriptflow run demo"
    assert len(lines) == 6


def test_a_stopped_run_says_by_what_and_how_to_resume():
    heard = [run_started(), queued("a"), started("a"), events.RunStopping(at=time.time(), signal="SIGINT", running=1)]
    heard += [cancelled("a", job=1), cancelled("b"), run_ended("cancelled", cancelled=2)]
    assert told(heard, "quiet").splitlines() == [
        "Ctrl-C: nothing new starts, 1 running job is told to end; Ctrl-C again: kill",
        "demo-7 stopped (Ctrl-C)   0 ran  0 up to date  1 cancelled  1 not started   5.2s  resume: scriptflow run demo",
    ]


def test_a_flow_that_raised_gives_its_message():
    assert "ValueError: no" in told([run_started(), run_ended("failed", message="ValueError: no\n")])


def test_verbose_adds_skipped_names_and_commands():
    heard = [run_started(), skipped(2, names=("x-1", "x-2")), queued("a"), started("a"), succeeded("a")]
    out = told([*heard, run_ended(ran=1, skipped=2)], verbose=1)
    assert re.search(r" same  x-1 +up to date\n", out)
    assert re.search(r" run   a +\$ sh a\.sh\n", out)
    assert choose("plain", verbose=1, stream=io.StringIO(), env={}).wants_names
    assert not choose("plain", stream=io.StringIO(), env={}).wants_names


def test_a_retry_and_a_warning_are_told_but_not_by_the_quiet_screen():
    report = JobReport(state=JobState.FAILED, exit_code=3, cause=Cause.EXIT)
    retried = events.JobRetried(at=1.0, task="a", group="", job=1, attempt=1, attempts=3, delay_s=4, report=report)
    warning = events.Message(at=1.0, level="warning", slug="stale-output", text="moved", notes=("n",), help="h")
    note = events.Message(at=1.0, level="note", slug="adopted", text="two jobs joined")
    heard = [run_started(resumed="picks up demo-6"), queued("a"), started("a"), retried, warning, note]
    out = told(heard)
    assert "note: picks up demo-6\n" in out
    assert re.search(r"retry a +exit 3; attempt 2/3 in 4\.0s\n", out)
    assert "warning[stale-output]: moved\n  note: n\n  help: h\nnote: two jobs joined\n" in out
    assert told(heard, "quiet") == "note: picks up demo-6\nwarning[stale-output]: moved\n  note: n\n  help: h\n"
    assert told(heard, quiet=2) == ""


def test_github_actions_gets_ten_annotations():
    heard = [run_started()]
    for number in range(15):
        heard += [queued(f"t-{number}"), failed(f"t-{number}", place=Place("sflow.py", 41))]
    out = told([*heard, run_ended("failed", failed=15)], "auto", env={"GITHUB_ACTIONS": "true"})
    assert out.count("::error ") == 10
    assert "\n::error file=sflow.py,line=41,title=t-0::exit 1: LinAlgError: Singular matrix\n" in out


def test_a_screen_nobody_reads_is_silent_and_harmless():
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    for progress in ("plain", "quiet", "json"):
        told([run_started(resumed="x"), *ran("a"), failed("b"), run_ended("failed")], progress, stream=Full())


def test_an_unknown_display_is_refused():
    with pytest.raises(SettingsError, match="pretty"):
        choose("pretty")


def test_json_lines_are_whole_and_typed():
    place = Place("sflow.py", 3)
    heard = [run_started(), queued("a\n\x1b"), started("a"), failed("a", place=place), run_ended("failed", failed=1)]
    lines = [json.loads(line) for line in told(heard, "json").splitlines()]
    assert [line["event"] for line in lines] == ["RunStarted", "TaskQueued", "JobStarted", "TaskEnded", "RunEnded"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["at"]) for line in lines)
    assert lines[1]["reasons"] == [{"code": "output-missing", "detail": "out.txt"}]
    assert lines[3]["report"]["cause"] == "exit"
    assert lines[3]["place"]["line"] == 3
    assert lines[4]["counts"]["failed"] == 1


def test_a_full_disk_ends_the_event_file_with_one_warning(capsys):
    stream = open("/dev/full", "w")  # noqa: SIM115  # closed by the listener
    listener = JsonLines(stream)
    for _ in range(3):
        listener.hear(run_started())
    listener.close()
    with suppress(OSError):
        stream.close()
    assert (
        capsys.readouterr().err.count("warning[events-lost]: no more events go to /dev/full: No space left on device")
        == 1
    )


def test_a_reader_of_stdout_that_goes_away_never_changes_the_exit_code():
    code = """
import sys; sys.path.insert(0, %r)
from demo_events import run_started
from scriptflow.terminal.jsonlines import JsonLines
listener = JsonLines(sys.stdout)
for _ in range(20_000):
    listener.hear(run_started())
listener.close()
print("a print of the flow")
"""
    here = __file__.rpartition("/")[0]
    child = subprocess.Popen(
        [sys.executable, "-c", code % here], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    child.stdout.close()
    error = child.stderr.read()
    child.stderr.close()
    assert child.wait(30) == 0
    assert error.count("warning[events-lost]") == 1
    assert "Traceback" not in error
