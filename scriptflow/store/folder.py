"""The run store's folder, which nobody but its owner can read."""

from __future__ import annotations

import os
from contextlib import suppress

from scriptflow.errors import StoreError, StoreUnwritable


def make_folder(folder: str) -> bool:
    """Make the folder (0700, unseen by git) when it is not there; whether it was made.

    Raises:
        StoreUnwritable: it cannot be made, is no folder, or is another user's.
    """
    try:
        try:
            os.mkdir(folder, 0o700)  # noqa: PTH102 (pathlib is slow to load)
        except FileExistsError:
            found = os.stat(folder)  # noqa: PTH116 (as above)
            user = os.geteuid()
            # What a store holds is believed, and so are pickles in it. Root trusts whom he works for.
            if user not in (0, found.st_uid):
                raise StoreUnwritable(
                    f"{folder} belongs to another user (uid {found.st_uid})", do="use a copy of the project of your own"
                ) from None
            if found.st_mode & 0o022 and user == found.st_uid:
                os.chmod(folder, 0o700)  # noqa: PTH101 (as above; some disks keep no modes, and there it changes nothing)
            os.listdir(folder)  # noqa: PTH208 (a file in its place says so here)
            return False
        write_private(f"{folder}/.gitignore", b"*\n")
    except OSError as error:
        raise StoreUnwritable(
            f"cannot make the run store {folder}",
            why=error.strerror or str(error),
            do=f"check the permissions of {os.path.dirname(folder)}",  # noqa: PTH120 (as above)
        ) from error
    return True


def remove_folder(folder: str) -> None:
    """Remove the folder of a store that holds nothing; one with anything else in it stays."""
    for name in (
        ".gitignore",
        "blank",
        "scriptflow.log",
        "runs.db",
        "runs.db-wal",
        "runs.db-shm",
        "runs.db-journal",
        "lock",
    ):
        with suppress(OSError):
            os.unlink(f"{folder}/{name}")  # noqa: PTH108 (pathlib is slow to load)
    for path in (f"{folder}/logs", f"{folder}/jobs", folder):
        with suppress(OSError):
            os.rmdir(path)  # noqa: PTH106 (as above)


def make_private_file(path: str) -> None:
    """Make an empty file that only its owner can read, unless it is there; SQLite gives its helpers the same mode."""
    try:
        write_private(path, b"")
    except FileExistsError:
        pass
    except OSError as error:
        kind = StoreError if error.errno == 28 else StoreUnwritable
        raise kind(f"cannot write {path}", why=error.strerror or str(error), do="check that disk") from error


def write_private(path: str, content: bytes) -> None:
    """Write a new file with mode 0600."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
