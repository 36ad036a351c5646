"""Sizes and times: what is read, what is refused, and the way back."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptflow.core.units import bytes_of, seconds_of, size_text, time_text
from scriptflow.errors import SettingsError, UnitError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4 * 1024**3),
        ("4gb", 4 * 1024**3),
        ("4G", 4 * 1024**3),
        ("4 GiB", 4 * 1024**3),
        ("500MB", 500 * 1024**2),
        ("1.5GB", 3 * 1024**3 // 2),
        ("12B", 12),
        ("12 bytes", 12),
        ("2", 2 * 1024**3),
        (2, 2 * 1024**3),
        (0.5, 1024**3 // 2),
        ("64kb", 64 * 1024),
        (0, 0),
    ],
)
def test_a_size_is_read(text, expected):
    assert bytes_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h30m", 5400),
        ("90", 90),
        ("90s", 90),
        ("2d", 172800),
        ("1:30:00", 5400),
        ("1:30", 90),
        ("1-12:00:00", 129600),
        ("1-12:30", 131400),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("1 hour 30 min", 5400),
        (2.5, 2.5),
        (0, 0),
    ],
)
def test_a_time_is_read(text, expected):
    assert seconds_of(text) == expected


BAD = [
    "",
    " ",
    "x",
    "GB",
    "-1",
    "4 XB",
    "1.2.3",
    ".",
    "1e5",
    "²",
    "1h²",
    "4GB 2MB",
    "nan",
    "inf",
    "1h30",
    ":",
    "1:",
    "9" * 400,
]


@pytest.mark.parametrize("text", [*BAD, -1, float("nan"), float("inf"), True, None, [4], b"4"])
@pytest.mark.parametrize("read", [bytes_of, seconds_of])
def test_another_shape_is_refused_with_the_text_and_examples(read, text):
    with pytest.raises(UnitError) as caught:
        read(text)
    assert repr(text) in caught.value.what
    assert "GB" in caught.value.do or "1h30m" in caught.value.do


def test_a_unit_error_is_a_settings_error_and_a_value_error():
    with pytest.raises(SettingsError):
        bytes_of("many")
    with pytest.raises(ValueError, match="many"):
        bytes_of("many")


@given(st.text(max_size=12))
def test_no_text_raises_anything_else(text):
    for read in (bytes_of, seconds_of):
        with suppress(UnitError):
            assert read(text) >= 0


@given(st.integers(min_value=0, max_value=1024**5))
def test_a_written_size_reads_back_nearly_the_same(number):
    assert bytes_of(size_text(number)) == pytest.approx(number, rel=0.05)


@given(st.floats(min_value=0, max_value=86400 * 400))
def test_a_written_time_reads_back_nearly_the_same(seconds):
    assert seconds_of(time_text(seconds)) == pytest.approx(seconds, rel=0.05, abs=0.06)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.5, "0.5s"),
        (59.96, "1m"),
        (60, "1m"),
        (90, "1m30s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (90061, "1d1h"),
    ],
)
def test_a_time_is_written_with_at_most_two_units(seconds, text):
    assert time_text(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0B"), (12, "12B"), (4 * 1024**3, "4GB"), (1536, "1.5KB")])
def test_a_size_is_written_in_its_largest_unit(number, text):
    assert size_text(number) == text
