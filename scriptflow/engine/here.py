"""Who runs, and at which commit: facts for the record, read without starting a program."""

from __future__ import annotations

import os


def user() -> str:
    """Return the name of the user, or the number when there is none."""
    name = os.environ.get("LOGNAME") or os.environ.get("USER") or os.environ.get("USERNAME")
    if name or not hasattr(os, "getuid"):
        return name or ""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def git_commit(folder: str) -> str:
    """Return the commit that is checked out around ``folder``, "" when there is none."""
    at = folder
    while not os.path.exists(f"{at}/.git"):
        parent = os.path.dirname(at)
        if parent == at:
            return ""
        at = parent
    try:
        git = f"{at}/.git"
        if os.path.isfile(git):  # a worktree: a file that says where the folder is
            git = os.path.join(at, _read(git).removeprefix("gitdir:").strip())
        head = _read(f"{git}/HEAD")
        if not head.startswith("ref: "):
            return head
        reference = head[5:]
        common = os.path.join(git, _read(f"{git}/commondir")) if os.path.exists(f"{git}/commondir") else git
        if os.path.exists(f"{common}/{reference}"):
            return _read(f"{common}/{reference}")
        for line in _read(f"{common}/packed-refs").splitlines():
            if line.endswith(f" {reference}"):
                return line.split(" ", 1)[0]
    except OSError:
        pass
    return ""


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()
