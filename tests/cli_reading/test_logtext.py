import io
import re

from hypothesis import given
from hypothesis import strategies as st

from scriptflow.cli import logtext

LINES = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=40)


@given(LINES, st.booleans(), st.integers(1, 45))
def test_the_last_lines_are_those_a_list_would_give(lines, closed, count):
    data = b"\n".join(lines) + (b"\n" if closed and lines else b"")
    file = io.BytesIO(data)
    start = logtext.start_of_last_lines(file, count)
    kept = re.findall(rb"[^\n]*\n|[^\n]+", data)
    assert list(logtext.lines_from(file, start)) == kept[-count:]


@given(st.integers(1, 5), st.integers(60_000, 70_000))
def test_blocks_may_begin_and_end_anywhere(count, size):
    data = b"".join(b"%d" % number + b"x" * size + b"\n" for number in range(6))
    file = io.BytesIO(data)
    start = logtext.start_of_last_lines(file, count)
    assert data[start:].count(b"\n") == count
    assert start == 0 or data[start - 1 : start] == b"\n"


def test_a_file_without_line_ends_is_handed_on_in_pieces():
    file = io.BytesIO(b"x" * 200_000)
    pieces = list(logtext.lines_from(file, 0))
    assert max(map(len, pieces)) <= logtext.LINE_LIMIT
    assert sum(map(len, pieces)) == 200_000


@given(st.binary(max_size=200))
def test_whatever_is_in_a_log_a_terminal_cannot_be_moved_by_it(data):
    shown = logtext.visible(data.replace(b"\n", b"") + b"\n")
    assert shown.endswith("\n")
    assert all(
        char.isprintable() or char == "\t"
        for char in shown[:-1]
        if char not in "\u200c\u200d\u00a0" and ord(char) < 0x2000
    )


def test_of_a_progress_bar_the_last_state_stays():
    assert logtext.visible(b" 10%\r 50%\r100%\r\n") == "100%\n"


def test_escapes_and_stray_bytes_are_shown_as_signs():
    assert logtext.visible(b"\x1b[31mred\xff\tx\n") == "␛[31mred\ufffd\tx\n"


def test_following_ends_with_the_job_and_loses_nothing():
    file = io.BytesIO(b"a\nb")
    state = {"ended": False, "waits": 0}

    def wait():
        state["waits"] += 1
        at = file.tell()
        file.seek(0, 2)
        file.write(b"c\nlast" if state["waits"] == 1 else b"")
        file.seek(at)
        state["ended"] = state["waits"] == 1

    assert b"".join(logtext.follow(file, lambda: state["ended"], wait)) == b"a\nbc\nlast"


def test_half_a_line_is_shown_when_nothing_more_comes():
    file = io.BytesIO(b"password: ")
    waits = []
    got = []
    for line in logtext.follow(file, lambda: len(waits) > 3, lambda: waits.append(len(got))):
        got.append(line)
    assert got == [b"password: "]
    assert waits[0] == 0
    assert 1 in waits
