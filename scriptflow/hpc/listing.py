"""List files with what tells one version from another, here and on another machine: pure functions and one script.

Knows paths and the answers of ``find``; knows nothing of transports and jobs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Listing = dict[str, tuple[int, int] | None]
"""Size and time (ns) of each file, None for a folder."""

# NUL-ended paths in, NUL-ended entries out.
LIST = """\
xargs -0 -r sh -c 'for path; do [ ! -e "$path" ] || find -L "$path" -printf "%y %s %T@ %p\\0"; done' sh
"""


def list_here(paths: Iterable[str]) -> Listing:
    """List files and folders with all that is in them; links count as what they lead to."""
    found: Listing = {}
    for path in paths:
        if not os.path.isdir(path):
            stat = os.stat(path)
            found[path] = (stat.st_size, stat.st_mtime_ns)
            continue
        for folder, _, names in os.walk(path):
            found[folder] = None
            for name in names:
                file = f"{folder}/{name}"
                stat = os.stat(file)
                found[file] = (stat.st_size, stat.st_mtime_ns)
    return found


def is_same(one: tuple[int, int], other: tuple[int, int] | None) -> bool:
    """Whether size and time agree, as far as both disks keep time."""
    if other is None or one[0] != other[0]:
        return False
    if one[1] % 10**9 == 0 or other[1] % 10**9 == 0:
        return one[1] // 10**9 == other[1] // 10**9
    return abs(one[1] - other[1]) < 1000


def lies_in(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is, lies in, or holds one of these."""
    return any(path == folder or path.startswith(f"{folder}/") or folder.startswith(f"{path}/") for folder in folders)


def here_of(path: str, roots: Mapping[str, str]) -> str:
    """Return the path here of something that lies in one of ``roots`` there."""
    root = max((root for root in roots if path == root or path.startswith(f"{root}/")), key=len)
    return roots[root] + path[len(root) :]


def within(root: str, path: str) -> str:
    """Return the full path of one that is relative to ``root``, or full already."""
    return os.path.normpath(os.path.join(root, path))


def existing(paths: Iterable[str]) -> list[str]:
    """Return those of the paths where there is something."""
    return [path for path in paths if os.path.lexists(path)]


def length(path: str) -> int:
    """Return the size of a file, 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def read_listing(out: str) -> Listing:
    """Read what ``LIST`` prints."""
    found: Listing = {}
    for entry in out.split("\0"):
        parts = entry.split(" ", 3)
        if len(parts) == 4 and parts[0] in "fd":
            seconds, _, rest = parts[2].partition(".")
            time_ns = int(seconds) * 10**9 + int(rest[:9].ljust(9, "0"))
            found[parts[3]] = None if parts[0] == "d" else (int(parts[1]), time_ns)
    return found
