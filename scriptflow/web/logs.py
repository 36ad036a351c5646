"""Read a log for a page: a window of it, from its end or from anywhere, never a file outside the store's folder.

Knows files and lines. Knows nothing of stores, of HTTP or of pages.
"""

from __future__ import annotations

import os
import stat

from scriptflow.errors import NotFound
from scriptflow.terminal.look import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

WINDOW = 64 * 1024
"""How many bytes of a log one answer has."""
_LONGEST_LINE = 4000
_MOST_FOUND = 500
_SEARCHED = 256 * 2**20


def open_below(folder: str, path: str) -> BinaryIO:
    """Open a regular file that lies below ``folder``; no link on the way is followed.

    Raises:
        NotFound: it lies elsewhere, is no regular file or is not there.
    """
    inside = path[len(folder) + 1 :] if path.startswith(folder + "/") else ""
    steps = inside.split("/")
    if not inside or any(step in ("", ".", "..") for step in steps) or "\0" in inside:
        raise NotFound("this log is not kept in the run store", why="only files below the store's folder are shown")
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    opened: list[int] = []
    try:
        at = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        opened.append(at)
        for step in steps[:-1]:
            at = os.open(step, flags | os.O_DIRECTORY, dir_fd=at)
            opened.append(at)
        fd = os.open(steps[-1], flags, dir_fd=at)
    except OSError as error:
        raise NotFound("this log is not there", why=error.strerror or str(error)) from error
    finally:
        for fd_of_folder in opened:
            os.close(fd_of_folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotFound("this log is no regular file")
    return os.fdopen(fd, "rb")


def last_lines(folder: str, path: str, count: int) -> list[str]:
    """Return the last lines of a log that say something, made harmless; nothing where there is none."""
    from scriptflow.terminal.words import log_lines

    try:
        with open_below(folder, path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 16 * 1024))
            text = file.read(16 * 1024).decode("utf-8", "replace")
    except (NotFound, OSError):
        return []
    return [escape(line) for line in log_lines(text.split("\n"), count)]


def window(file: BinaryIO, at: int | None) -> dict[str, object]:
    """Return a part of a log, whole lines of it: from byte ``at``, or its end.

    ``earlier`` and ``later`` are where the parts before and after begin, None where there is none.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - WINDOW) if at is None else min(at, size)
    file.seek(start)
    data = file.read(WINDOW)
    if start and at is None and 0 <= (cut := data.find(b"\n")) < len(data) - 1:
        start, data = start + cut + 1, data[cut + 1 :]
    end = start + len(data)
    if end < size and (cut := data.rfind(b"\n")) >= 0:
        data = data[: cut + 1]
        end = start + len(data)
    return {
        "size": size,
        "from": start,
        "to": end,
        "earlier": max(0, start - WINDOW) if start else None,
        "later": end if end < size else None,
        "lines": lines_of(data),
    }


def lines_of(data: bytes) -> list[str]:
    """Return the lines of a part of a log as text that is only shown: control characters become signs."""
    text = data.decode("utf-8", "replace")
    return [visible(line) for line in text.removesuffix("\n").split("\n")] if text else []


def visible(line: str) -> str:
    """Make one line harmless. A progress bar rewrites its line: what follows the last carriage return is kept."""
    kept = line.rstrip("\r\n").rpartition("\r")[2]
    shown = "\t".join(escape(part) for part in kept[:_LONGEST_LINE].split("\t"))
    return f"{shown} … {len(kept) - _LONGEST_LINE:,} more characters" if len(kept) > _LONGEST_LINE else shown


def found(file: BinaryIO, text: str) -> dict[str, object]:
    """Return the lines that have ``text`` in them, upper or lower case alike, each with the byte it begins at."""
    wanted = text.lower().encode("utf-8", "replace")
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    at, total = 0, 0
    rows: list[dict[str, object]] = []
    while at < min(size, _SEARCHED) and (line := file.readline(WINDOW)):
        if wanted in line.lower():
            total += 1
            if len(rows) < _MOST_FOUND:
                rows.append({"at": at, "line": visible(line.decode("utf-8", "replace"))})
        at += len(line)
    return {"size": size, "searched": at, "total": total, "found": rows}
