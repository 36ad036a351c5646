"""The forms a file can be declared in, brought to plain strings.

A path is kept as the user wrote it where that is already plain; it is relative to the
flow file's folder. Knows nothing of what lies on disk, but for expanding a glob.
"""

from __future__ import annotations

import os

from scriptflow.errors import TaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Glob:
    """All files that match ``pattern`` when the task is looked at, sorted; ``**`` goes down folders."""

    __slots__ = ("pattern",)

    def __init__(self, pattern: str | os.PathLike[str]) -> None:
        self.pattern = plain(os.fspath(pattern))

    def __repr__(self) -> str:
        return f"glob({self.pattern!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Glob) and other.pattern == self.pattern

    def __hash__(self) -> int:
        return hash(self.pattern)

    def expand(self, folder: str) -> tuple[str, ...]:
        """Return the matching paths below ``folder``, sorted, without our own markers and partial files."""
        import glob

        found = glob.glob(self.pattern, root_dir=folder, recursive=True)
        return tuple(sorted(name for name in found if not name.endswith((".sf-part", ".partial"))))


class Directory(str):
    """A path that is a folder: it counts by its sorted listing, and is made before the task runs."""

    __slots__ = ()

    def __new__(cls, path: str | os.PathLike[str]) -> Directory:  # noqa: D102 (the class says it)
        return super().__new__(cls, plain(os.fspath(path)))


def plain(path: str) -> str:
    """Return ``path`` without ``./``, ``//``, ``..`` and a closing slash.

    Raises:
        TaskError: it is empty or holds a NUL byte.
    """
    if not path or "\0" in path or not (path.isascii() or is_text(path)):
        raise TaskError(f"{path!r} is no path of a file", do="name a file, relative to the flow's folder")
    if path[0] == "." or path[-1] == "/" or "//" in path or "/." in path or (os.sep != "/" and "\\" in path):
        path = os.path.normpath(path)
        if os.sep != "/":
            path = path.replace(os.sep, "/")
    return path


def is_text(path: str) -> bool:
    """Whether the system takes it as a name or an argument."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def paths_of(value: Any, what: str) -> tuple[tuple[Any, ...], dict[str | None, tuple[Any, ...]] | None]:  # noqa: ANN401
    """Bring any declared form to a flat tuple and, for a dict, its groups.

    Args:
        value: a path, a task (inputs only), a glob, a directory, or a list, tuple or dict of those.
        what: "inputs" or "outputs", for the message.

    Raises:
        TaskError: an item is none of these.
    """
    if type(value) is str:
        return (plain(value),), None
    if value is None:
        return (), None
    if isinstance(value, dict):
        groups = {key: _group(item, what) for key, item in value.items()}
        return tuple(path for group in groups.values() for path in group), groups
    if isinstance(value, (list, tuple, set, frozenset)) or hasattr(value, "__next__"):
        items: Iterable[Any] = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return tuple([path for item in items for path in _one(item, what)]), None
    return _one(value, what), None


def _group(value: Any, what: str) -> tuple[Any, ...]:  # noqa: ANN401
    if isinstance(value, dict):
        raise TaskError(f"a group of {what} is itself a dict", do="name each group once, at the top")
    return paths_of(value, what)[0]


def _one(item: Any, what: str) -> tuple[Any, ...]:  # noqa: ANN401
    if type(item) is str:
        return (plain(item),)
    if isinstance(item, (Glob, Directory)):
        return (item,)
    if isinstance(item, str):
        return (plain(str(item)),)
    if isinstance(item, os.PathLike):
        path = os.fspath(item)
        if isinstance(path, str):
            return (plain(path.replace(os.sep, "/") if os.sep != "/" else path),)
    if what == "inputs" and hasattr(type(item), "output_file"):
        return (item,)
    if isinstance(item, (list, tuple)):
        return tuple([path for sub in item for path in _one(sub, what)])
    raise TaskError(
        f"{item!r} cannot be one of a task's {what}",
        why=f"it is {type(item).__name__}; {what} are paths, lists or dicts of paths, sf.glob(...), sf.directory(...)"
        + (" or tasks" if what == "inputs" else ""),
        do=f"pass a path to {what}=",
    )


def shown(path: str) -> str:
    """Return ``path`` as a reader in this directory would write it."""
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):  # another drive, or this directory is gone
        return path
    return relative if len(relative) <= len(path) else path
