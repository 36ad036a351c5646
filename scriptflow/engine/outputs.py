"""Nothing half-made is taken for done: markers beside outputs, older versions set aside, failed outputs gone.

``.NAME.sf-part`` beside an output says that a job that makes it has begun and its end is not recorded; it is
the older version itself, or an empty file. Knows paths only; runs on whatever thread calls it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# File systems take 255 bytes; a character is four at most.
_LONGEST_NAME = 255 - len("..sf-part")
_LONG_NAME = _LONGEST_NAME // 4


def marker(path: str) -> str:
    """Return the marker's path for an output's."""
    at = max(path.rfind("/"), path.rfind(os.sep)) + 1
    name = path[at:]
    if len(name) > _LONG_NAME and len(os.fsencode(name)) > _LONGEST_NAME:
        import hashlib

        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f"{path[:at]}.{name}.sf-part"


def is_marked(path: str) -> bool:
    """Whether a job that makes this output began and never ended."""
    return os.path.lexists(marker(path))


def set_aside(outputs: Sequence[str], *, in_place: bool, folders: Iterable[str] = (), blank: str = "") -> None:
    """Make ready for a job: a marker beside each output, nothing where an output will be, its folder made.

    Args:
        outputs: absolute paths.
        in_place: the command changes its outputs, so they stay where they are.
        folders: those of them that are folders and are made anew, empty.
        blank: an empty file that markers may be links to, where that can be: a link costs a tenth of a new file.

    Raises:
        OSError: a folder cannot be written.
    """
    done: list[str] = []
    try:
        for path in outputs:
            _set_one_aside(path, blank, in_place=in_place)
            done.append(path)
    except OSError:
        put_back(done)
        raise
    for path in folders:
        os.makedirs(path, exist_ok=True)


def _set_one_aside(path: str, blank: str, *, in_place: bool) -> None:
    part = marker(path)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        _touch(path, part, blank)
        return
    if not _is_plain(found):
        raise OSError(f"{path} is neither a file nor a folder, so it cannot be an output")
    if in_place:
        _touch(path, part, blank)
    elif os.path.lexists(part):
        # The job that left the marker never ended: what lies there is half-made, the marker may be older and whole.
        remove(path)
    else:
        os.rename(path, part)


def _is_plain(found: os.stat_result) -> bool:
    """Whether it is a file, a folder or a link: pipes, sockets and devices are not ours to move or remove."""
    mode = found.st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def _touch(path: str, part: str, blank: str) -> None:
    try:
        os.link(blank, part)
    except FileExistsError:  # left by a job that never ended, or an older version
        return
    except OSError:  # another disk, one without links, no folder yet
        _make(path, part)


def _make(path: str, part: str) -> None:
    flags = os.O_CREAT | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
    try:
        os.close(os.open(part, flags, 0o666))
    except IsADirectoryError:
        pass  # an older version that was a folder
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(part, flags, 0o666))


def clear_markers(outputs: Iterable[str]) -> None:
    """Remove the markers, and older versions with them: the new outputs are recorded."""
    for path in outputs:
        with contextlib.suppress(OSError):
            remove(marker(path))


def discard(outputs: Iterable[str], *, keep_partial: bool) -> tuple[str, ...]:
    """After a job that did not end well: leave no output, keep older versions aside.

    Args:
        outputs: absolute paths.
        keep_partial: rename what is there to ``NAME.partial`` instead of removing it.

    Returns:
        The markers that hold an older version, for the message.
    """
    aside: list[str] = []
    for path in outputs:
        with contextlib.suppress(OSError):
            if keep_partial and os.path.lexists(path):
                remove(path + ".partial")
                os.rename(path, path + ".partial")
            else:
                remove(path)
        part = marker(path)
        with contextlib.suppress(OSError):
            found = os.lstat(part)
            if stat.S_ISDIR(found.st_mode) or found.st_size:
                aside.append(part)
            else:
                os.unlink(part)
    return tuple(aside)


def put_back(outputs: Iterable[str]) -> None:
    """Undo ``set_aside`` for a job that never began."""
    for path in outputs:
        part = marker(path)
        with contextlib.suppress(OSError):
            found = os.lstat(part)
            if not (stat.S_ISDIR(found.st_mode) or found.st_size):
                os.unlink(part)
            elif not os.path.lexists(path):
                os.rename(part, path)


def remove(path: str) -> None:
    """Remove a file, a link or a whole folder; nothing when there is none, or it is none of these."""
    try:
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(path)
        elif _is_plain(found):
            os.unlink(path)
    except FileNotFoundError:
        pass
