"""Put a finished paper on the disk: whole, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress

from scriptflow.errors import UsageError


def write_file(path: str, content: bytes) -> None:
    """Write a file under a name of its own and rename it, so that a reader never sees half of it.

    Raises:
        UsageError: it cannot be written.
    """
    beside = f"{path}.{os.getpid()}.part"
    try:
        with open(beside, "wb") as file:  # noqa: PTH123 (plain strings all through)
            file.write(content)
        os.replace(beside, path)  # noqa: PTH105 (as above)
    except OSError as error:
        with suppress(OSError):
            os.unlink(beside)  # noqa: PTH108 (as above)
        raise UsageError(f"cannot write {path}", why=error.strerror or str(error), do="-o another file") from error
