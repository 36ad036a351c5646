"""Read sizes and times as people write them, and write them as people read them.

Knows nothing of tasks, settings or screens.
"""

from __future__ import annotations

from scriptflow.errors import UnitError

# Counted in 1024s, also GB: Slurm, PBS, SGE and docker all mean 2**30 bytes by "4G", and a job must get what it
# asked for.
_LETTERS = "KMGTP"
_SIZES: dict[str, int] = {"": 1024**3, "b": 1, "byte": 1, "bytes": 1} | {
    letter.lower() + tail: 1024**power for power, letter in enumerate(_LETTERS, 1) for tail in ("", "b", "ib")
}
_TIMES = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TIME_WORDS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "week": "w", "weeks": "w",
}  # fmt: skip
_SIZE_HELP = 'write a size as "4GB", "500MB", or a number of GB'
_TIME_HELP = 'write a time as "1h30m", "90s", "2d", "1:30:00", or a number of seconds'


def bytes_of(value: str | float) -> int:
    """Turn a size into bytes: ``"4GB"``, ``"500 MB"``, ``"64KiB"``; a number without a unit is in GB.

    Raises:
        UnitError: any other shape, a negative size, more than 1024 PB.
    """
    number, unit = _split(value.strip().lower()) if isinstance(value, str) else (_number(value), "")
    if number is None or unit not in _SIZES or number * _SIZES[unit] > 1024 * _SIZES["p"]:
        raise UnitError(f"{value!r} is not a size", do=_SIZE_HELP)
    return round(number * _SIZES[unit])


def seconds_of(value: str | float) -> float:
    """Turn a time into seconds: ``"1h30m"``, ``"90"``, ``"2d"``, ``"1:30:00"``, Slurm's ``"1-12:00:00"``.

    Two parts are minutes and seconds (``"1:30"``), as sbatch and qsub read them.

    Raises:
        UnitError: any other shape, a negative time, more than a million days.
    """
    seconds = _read_time(value.strip().lower()) if isinstance(value, str) else _number(value)
    if seconds is None or seconds > 86400e6:
        raise UnitError(f"{value!r} is not a time", do=_TIME_HELP)
    return seconds


def size_text(number_bytes: int) -> str:
    """Write bytes in the largest unit that leaves a whole part: ``4GB``, ``1.5MB``, ``12B``."""
    for letter in reversed(_LETTERS):
        scale = _SIZES[letter.lower()]
        if number_bytes >= scale:
            return f"{number_bytes / scale:.1f}".removesuffix(".0") + letter + "B"
    return f"{number_bytes}B"


def time_text(seconds: float) -> str:
    """Write seconds with the two largest units that matter: ``0.5s``, ``90s`` as ``1m30s``, ``2d``, ``1h30m``."""
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + "s" if round(seconds, 1) < 60 else "1m"
    rest, parts = round(seconds), []
    for unit in "dhms":
        count, rest = divmod(rest, int(_TIMES[unit]))
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return "".join(parts)


def _number(value: object) -> float | None:
    """Return a finite, non-negative number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value < float("inf") else None


def _split(text: str) -> tuple[float | None, str]:
    """Cut ``"1.5gb..."`` into its leading number and what follows it."""
    end = 0
    while end < len(text) and (text[end] in "0123456789."):
        end += 1
    try:
        return float(text[:end]), text[end:].strip()
    except ValueError:
        return None, text


def _read_time(text: str) -> float | None:
    if ":" in text:
        return _read_clock(text)
    number, rest = _split(text)
    if not rest:
        return number
    total, rest = 0.0, text
    while rest:
        number, rest = _split(rest)
        end = 0
        while end < len(rest) and rest[end].isalpha():
            end += 1
        unit, rest = rest[:end], rest[end:].strip()
        scale = _TIMES.get(_TIME_WORDS.get(unit, unit))
        if number is None or scale is None:  # a number without a unit too: "1h30" is minutes, or seconds?
            return None
        total += number * scale
    return total


def _read_clock(text: str) -> float | None:
    days, dash, clock = text.rpartition("-")
    parts = clock.split(":")
    # isascii: isdigit() also holds for "²", which int() refuses.
    if not all(part.isascii() and part.isdigit() for part in (*parts, *([days] if dash else []))) or len(parts) > 3:
        return None
    if dash and len(parts) == 2:  # Slurm's days-hours:minutes
        parts.append("0")
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return float(total + 86400 * int(days or 0))
