"""How texts, paths and numbers of ours stand in the store's columns, there and back.

Knows nothing of tables.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

DATABASE = "runs.db"


def to_column(text: str) -> str | bytes:
    """Return what to store for ``text``: itself, or bytes where it is no valid Unicode (stray bytes in a name)."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_column(stored: str | bytes) -> str:
    """Undo ``to_column``."""
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")


def to_microseconds(seconds: float) -> int:
    """Round seconds to the store's microseconds."""
    return round(seconds * 1e6)


def to_integer(number: int) -> int | bytes:
    """Store a number of any size (an inode of 64 bits without a sign): as bytes what no column of integers holds."""
    return (
        number if -(1 << 63) <= number < 1 << 63 else number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)
    )


def from_integer(stored: int | bytes) -> int:
    """Undo ``to_integer``."""
    return stored if isinstance(stored, int) else int.from_bytes(stored, "big", signed=True)


def to_digest(sha256: str | None) -> str | bytes | None:
    """Store ``sha256:HEX`` as its 32 bytes."""
    if sha256 is not None and sha256.startswith("sha256:"):
        try:
            digest = bytes.fromhex(sha256[7:])
        except ValueError:
            return sha256
        return digest if f"sha256:{digest.hex()}" == sha256 else sha256
    return sha256


def from_digest(stored: str | bytes | None) -> str | None:
    """Undo ``to_digest``."""
    return f"sha256:{stored.hex()}" if isinstance(stored, bytes) else stored


def json_list(words: Iterable[str]) -> str:
    """Write texts as a JSON list; plain words without loading the json module, which costs a short run dear."""
    words = list(words)
    if all(word.isascii() and word.isprintable() and '"' not in word and "\\" not in word for word in words):
        return "[" + ", ".join(f'"{word}"' for word in words) + "]"
    import json

    return json.dumps(words)


class Root:
    """The project's folder: paths below it are stored relative to it, so that a moved project keeps its records.

    Args:
        store_folder: the run store, a folder right below the project's.
        relative: give paths below the project back as they are stored, not absolute.

    Attributes:
        lead: what to put before a stored relative path.
    """

    __slots__ = ("_length", "_prefix", "lead")

    def __init__(self, store_folder: str, *, relative: bool = False) -> None:
        folder = os.path.dirname(os.path.abspath(store_folder))  # noqa: PTH100, PTH120 (pathlib is slow to load)
        self._prefix = folder if folder.endswith("/") else folder + "/"
        self._length = len(self._prefix)
        self.lead = "" if relative else self._prefix

    def to_column(self, path: str) -> str | bytes:
        """Return what to store for a path, absolute or relative to the project's folder."""
        if path.startswith(self._prefix):
            below = path[self._length :]
            if below and below[0] != "/":
                path = below
        return path if path.isascii() else to_column(path)

    def from_column(self, stored: str | bytes) -> str:
        """Return the path as it is used outside."""
        path = from_column(stored)
        return path if path.startswith("/") else self.lead + path
