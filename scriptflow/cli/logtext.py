"""Read a log file from its end, line by line, in bounded memory, and make it fit to be shown.

Knows nothing of stores, runs and tasks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from re import Pattern
    from typing import BinaryIO

_BLOCK = 64 * 1024
LINE_LIMIT = 64 * 1024
"""A longer line is handed on in pieces of this size, so that a file without line ends needs no memory either."""


def visible(line: bytes, *, utf8: bool = True) -> str:
    """Return a line as text that a terminal only shows, never obeys; bytes that are no UTF-8 become a sign.

    A progress bar rewrites its line: only what follows the last carriage return is kept.
    """
    from scriptflow.terminal.look import escape

    text = line.decode("utf-8", "replace")
    end = "\n" if text.endswith("\n") else ""
    shown = text.rstrip("\r\n").rpartition("\r")[2]
    return "\t".join(escape(part, utf8=utf8) for part in shown.split("\t")) + end


def start_of_last_lines(file: BinaryIO, count: int) -> int:
    """Return the offset where the last ``count`` lines begin, reading backwards in blocks."""
    at = end = file.seek(0, os.SEEK_END)
    wanted = count
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        block = file.read(size)
        # The line end that closes the file begins no further line.
        cut = len(block) - 1 if at + size == end and block.endswith(b"\n") else len(block)
        while (cut := block.rfind(b"\n", 0, cut)) >= 0:
            wanted -= 1
            if wanted == 0:
                return at + cut + 1
    return 0


def lines_from(file: BinaryIO, offset: int) -> Iterator[bytes]:
    """Yield the lines from ``offset`` to the end, the last one perhaps without its line end."""
    file.seek(offset)
    while line := file.readline(LINE_LIMIT):
        yield line


def last_matching(file: BinaryIO, pattern: Pattern[str], count: int | None) -> Iterable[bytes]:
    """Return the lines in which ``pattern`` is found, only the last ``count`` of them if a number is given."""
    found = (line for line in lines_from(file, 0) if matches(pattern, line))
    if count is None:
        return found
    from collections import deque

    return deque(found, maxlen=count)


def matches(pattern: Pattern[str] | None, line: bytes) -> bool:
    """Whether a line is wanted; all are without a pattern."""
    return pattern is None or pattern.search(line.decode("utf-8", "replace").rstrip("\r\n")) is not None


def follow(file: BinaryIO, ended: Callable[[], bool], wait: Callable[[], None]) -> Iterator[bytes]:
    """Yield lines from where ``file`` stands as they are written, until the job has ended and all is read.

    ``ended`` is asked before the file is read, so nothing written by the job is missed. A line without its
    end is held back while it may still grow, and handed on when nothing was added in one ``wait``.
    """
    half = b""
    while True:
        last = ended()
        grew = False
        while piece := file.readline(LINE_LIMIT):
            grew = True
            half += piece
            if half.endswith(b"\n") or len(half) >= LINE_LIMIT:
                yield half
                half = b""
        if half and (last or not grew):
            yield half
            half = b""
        if last:
            return
        wait()
