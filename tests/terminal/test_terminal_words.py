"""Words of the screen: reasons, causes, times, errors, and foreign text that can do no harm."""

from __future__ import annotations

import unicodedata

import pytest
from demo_events import cancelled, failed
from hypothesis import given
from hypothesis import strategies as st

from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import FlowNotFound, FlowSyntax, Place
from scriptflow.terminal import words
from scriptflow.terminal.look import Look, cells, escape

CODES = (
    "forced",
    "no-outputs",
    "output-missing",
    "last-failed",
    "interrupted",
    "upstream",
    "command-changed",
    "code-changed",
    "params-changed",
    "container-changed",
    "inputs-changed",
    "input-newer",
    "input-changed",
    "outputs-changed",
)


@given(st.text())
def test_escaped_text_holds_nothing_that_a_terminal_obeys(text):
    for char in escape(text):
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")
    assert escape(text, utf8=False).isascii()
    assert escape(text, utf8=False).isprintable()


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Cf"])))
def test_ordinary_text_stays_as_it_is(text):
    assert escape(text) == text


def test_escapes_show_as_symbols():
    assert escape("a\x1b[31mb\nc\x00\x7f") == "a␛[31mb␊c␀␡"
    assert escape("\x9b2J‮x\udcff") == "\\x9b2J\\u202ex\\udcff"
    assert escape("é\x1b", utf8=False) == "\\xe9\\x1b"
    assert escape("naïve 數 👩‍🔬 été") == "naïve 數 👩‍🔬 été"


@given(st.text(), st.integers(0, 60), st.booleans())
def test_fitted_text_is_never_wider_than_asked(text, width, utf8):
    look = Look(utf8=utf8)
    assert cells(look.fit(look.safe(text), width)) <= width


@pytest.mark.parametrize("code", CODES)
def test_every_reason_has_words_with_and_without_detail(code):
    assert words.reason(code) != code or code in ("forced", "interrupted")
    assert "{" not in words.reason(code, "a.csv")
    assert words.reason("output-missing", "test_1.txt") == "output missing: test_1.txt"
    assert words.reason("input-newer", "a.csv") == "input newer: a.csv"


def test_several_reasons_are_the_first_and_a_count():
    assert (
        words.short_reasons([("input-newer", "a.csv"), ("command-changed", "x -> y"), ("forced", "*")])
        == "input newer: a.csv (+2)"
    )
    assert words.short_reasons([("command-changed", "x -> y")]) == "command changed"
    assert words.short_reasons([("brand-new-code", "d")]) == "brand new code: d"
    assert words.short_reasons([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (0.14, "0.1s"), (5, "5.0s"), (59.94, "59.9s"), (59.97, "1:00"), (2462, "41:02"), (3599.9, "1:00:00"),
     (5530, "1:32:10"), (183600, "2d 03:00:00"), (-1, "0.0s")],
)  # fmt: skip
def test_a_time_that_passed_reads_well(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "~10 s"),
        (38, "~40 s"),
        (58, "~1 min"),
        (1860, "~31 min"),
        (3300, "~55 min"),
        (7100, "~2 h"),
        (300_000, "~3 days"),
    ],
)
def test_a_guess_is_never_finer_than_it_can_be(seconds, text):
    assert words.about(seconds) == text


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words(cause):
    report = JobReport(state=JobState.FAILED, cause=cause, exit_code=3, signal=None)
    assert words.cause(report)
    assert "Cause" not in words.cause(report)


def test_signals_are_named():
    report = JobReport(state=JobState.FAILED, cause=Cause.SIGNAL, signal=9)
    assert words.cause(report) == "killed by SIGKILL"
    assert words.cause(JobReport(state=JobState.FAILED, cause=Cause.SIGNAL, signal=77)) == "killed by signal 77"


def test_a_failure_is_told_without_its_task_name_twice():
    assert words.failure(failed("fit", exit_code=3)) == "exit 3"
    report = JobReport(state=JobState.FAILED, exit_code=0, cause=Cause.OUTPUT_MISSING)
    missing = failed("fit", report=report, slug="output-missing", message="task fit left no results/fit.csv")
    assert words.failure(missing) == "left no results/fit.csv"
    assert words.failure(cancelled("fit", message="")) == "cancelled"


def test_failures_of_one_cause_share_the_short_name_of_their_exception():
    assert words.root_cause(failed("a")) == "LinAlgError: Singular matrix"
    assert words.root_cause(failed("a", tail=("fit.py: no such file",))) == "fit.py: no such file"
    assert words.root_cause(failed("a", tail=())) == "exit 1"


def test_of_a_line_that_was_rewritten_the_end_is_kept():
    assert words.log_lines(["  0%|    |\r 50%|==  |\r100%|====|", "", "\tdone\r\n"]) == ["100%|====|", "    done"]


def test_an_error_has_place_source_line_caret_note_and_help():
    error = FlowSyntax(
        "invalid syntax",
        why="python 3.11",
        do="scriptflow list",
        place=Place("sflow.py", 2, column=5, text="    def = 1\n"),
    )
    assert words.error_text(error, color=False, width=80).splitlines() == [
        "error[flow-syntax]: invalid syntax",
        "  --> sflow.py:2:5",
        "  2 | def = 1",
        "    | ^",
        "  note: python 3.11",
        "  help: scriptflow list",
    ]


def test_the_caret_of_a_long_line_stays_in_sight():
    text = "x" * 200 + "!" + "y" * 100
    place = Place("sflow.py", 12, column=201, text=text)
    *_, source, caret = words.error_text(FlowSyntax("bad", place=place), color=False, width=60).splitlines()
    assert source[caret.index("^")] == "!"
    assert len(source) <= 60


def test_an_error_of_foreign_words_cannot_pose_as_two():
    error = FlowNotFound("no flow `a\nerror[x]: lies\x1b[2J`", why="first\nhelp: rm -rf", do="x\r")
    text = words.error_text(error, color=False, width=80)
    assert text.splitlines()[0] == "error[flow-not-found]: no flow `a␊error[x]: lies␛[2J`"
    assert "\n  help: rm" not in text
    assert "\x1b" not in text
    assert "\r" not in text


def test_colour_only_when_asked():
    error = FlowNotFound("no flow", do="scriptflow list")
    assert "\x1b[" not in words.error_text(error, color=False, width=80)
    assert words.error_text(error, color=True, width=80).startswith("\x1b[1;31merror[flow-not-found]\x1b[0m: ")


def test_an_annotation_keeps_to_its_one_line():
    ended = failed("a,b:c\n%", place=Place("sf,low.py", 41), tail=("100% wrong\x1b",))
    assert words.github_error(ended) == "::error file=sf%2Clow.py,line=41,title=a%2Cb%3Ac␊%25::exit 1: 100%25 wrong␛"
