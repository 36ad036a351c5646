"""Tell which recorded outputs may be removed, and remove them: never an input, never what somebody changed.

Knows records and files. Knows nothing of commands or of the screen.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.core.files import Files
from scriptflow.core.frozen import frozen
from scriptflow.engine.hashing import Hashes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scriptflow.core.records import Seen
    from scriptflow.store.keeping import Made

CHANGED = "changed since"
OUTSIDE = "outside the project"


@frozen
class Verdict:
    """What becomes of one output: removed, or kept for a reason ``why``; ``by_force`` says that --force removes it."""

    made: Made
    path: str
    size: int
    why: str = ""
    by_force: bool = False


class Judge:
    """Looks at recorded outputs of one project.

    Args:
        folder: the project's, where relative paths start.
        force: also what was changed by hand, or lies outside the project.
    """

    def __init__(self, folder: str, *, force: bool) -> None:
        self._files = Files(folder)
        self._hashes = Hashes(self._files)
        self._folder = folder
        self._real = os.path.realpath(folder)
        self._force = force

    def close(self) -> None:
        """Give the folder free."""
        self._files.close()

    def verdicts(self, outputs: Iterable[Made]) -> list[Verdict]:
        """Return one verdict for each output that is there."""
        return [verdict for made in outputs if (verdict := self._verdict(made)) is not None]

    def _verdict(self, made: Made) -> Verdict | None:
        path = self._files.absolute(made.seen.path)
        try:
            link = os.lstat(path)
        except OSError:
            return None
        size = _bytes_of(path, link)
        why, by_force = self._objection(made, path, link)
        kept = why if why and not (by_force and self._force) else ""
        return Verdict(made=made, path=made.seen.path, size=size, why=kept, by_force=by_force)

    def _objection(self, made: Made, path: str, link: os.stat_result) -> tuple[str, bool]:
        """Return why an output must not be removed, and whether --force overrules that."""
        mode = link.st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
            return "neither a file nor a folder", False
        if made.was_there:
            return "it was there before a task made it", False
        inside = self._is_inside(path)
        if not inside and not Path(made.seen.path).is_absolute():
            return "a link on its path leads out of the project", False
        if stat.S_ISDIR(mode):
            return self._of_folder(made.seen, path)
        if self._is_changed(made.seen, path, link):
            return f"{CHANGED} {made.run}", True
        return ("", False) if inside else (OUTSIDE, True)

    def _is_inside(self, path: str) -> bool:
        """Whether a path lies in the project with all links on its way followed, but for a last one."""
        folder = os.path.realpath(Path(path).parent)
        return folder == self._real or folder.startswith(self._real.rstrip("/") + "/")

    def _of_folder(self, then: Seen, path: str) -> tuple[str, bool]:
        if then.ctime_ns >= 0:
            return "a folder is there now, and it was a file", False
        if not self._is_inside(path):
            return OUTSIDE, False
        now = self._files.seen(then.path, "out")
        if (now.size, now.ctime_ns) != (then.size, then.ctime_ns):
            return "the folder holds other files than the task left", False
        return (CHANGED, True) if now.inode != then.inode else ("", False)

    def _is_changed(self, then: Seen, path: str, link: os.stat_result) -> bool:
        """Whether a file is not what the task left: by size and times, and where those cannot tell, by content."""
        try:
            found = os.stat(path)  # noqa: PTH116 (a link is as new as what it names)
        except OSError:
            return not stat.S_ISLNK(link.st_mode)  # a link to nothing can be removed
        if then.ctime_ns < 0 or found.st_size != then.size:
            return True
        same = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino) == (then.mtime_ns, then.ctime_ns, then.inode)
        if same and not (then.racy and then.sha256):
            return False
        return then.sha256 is None or self._hashes.of(self._files.seen(then.path, "out")) != then.sha256


def _bytes_of(path: str, found: os.stat_result) -> int:
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_size
            except OSError:
                continue
    return total


def remove(verdict: Verdict, folder: str) -> str:
    """Remove one output; return what went wrong, empty when it is gone."""
    from scriptflow.engine.outputs import remove as remove_path

    path = verdict.path if Path(verdict.path).is_absolute() else f"{folder}/{verdict.path}"
    try:
        remove_path(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""
