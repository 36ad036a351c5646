"""Small pieces of text that all batch systems share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MIB = 1024 * 1024


def directive_lines(prefix: str, lines: Iterable[str]) -> list[str]:
    """Return directives as lines of a script; what begins with ``#`` is taken as it is."""
    return [line if line.startswith("#") else f"{prefix} {line}" for line in lines if line.strip()]


def mebibytes(number_bytes: int) -> int:
    """Return whole MiB, rounded up: a job must not get less than it asked for."""
    return max(1, -(-number_bytes // _MIB))


def last_match(pattern: str, out: str) -> str:
    """Return the first group of the last line that is nothing but ``pattern``; login shells print banners before it.

    Raises:
        ValueError: there is no such line.
    """
    for line in reversed(out.splitlines()):
        match = re.fullmatch(pattern, line.strip())
        if match:
            return match[1]
    raise ValueError(f"no job id in {out.strip()[:200]!r}")


def clock(seconds: float) -> str:
    """Write ``HHH:MM:SS``."""
    whole = max(1, round(seconds))
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
