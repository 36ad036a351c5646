"""How text gets onto a terminal: glyphs, colours, cell widths, and foreign text made harmless.

Knows nothing of tasks, events or words.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class Stream(Protocol):
        """What a screen writes to: any text file."""

        def write(self, text: str, /) -> int:
            """Take text."""
            ...

        def flush(self) -> None:
            """Bring out what was taken."""
            ...


# The names are rich's too, so a style means the same in a printed line and in the live display.
_SGR = {"bold": "1", "dim": "2", "red": "31", "bold red": "1;31", "green": "32", "yellow": "33", "cyan": "36"}

# Spaces of any width, and the two joiners that Persian, Indic scripts and emoji are written with.
_HARMLESS = frozenset(
    "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u200c\u200d"
)


class Look:
    """What one stream can show.

    Args:
        utf8: whether it takes more than ASCII; glyphs fall back to words otherwise.
        color: whether it takes colours.
    """

    __slots__ = (
        "bar_done",
        "bar_rest",
        "color",
        "dot",
        "failed",
        "glyph_cells",
        "gutter",
        "more",
        "ok",
        "retry",
        "running",
        "same",
        "skipped",
        "times",
        "utf8",
        "waiting",
    )

    def __init__(self, *, utf8: bool = True, color: bool = False) -> None:
        self.utf8 = utf8
        self.color = color
        words = "✓ ✗ ▶ ↻ · = ⊘ │ × · … ━ ─" if utf8 else "ok FAIL run retry wait same skip | x - ... # ."  # noqa: RUF001  # ours is the sign
        (
            self.ok,
            self.failed,
            self.running,
            self.retry,
            self.waiting,
            self.same,
            self.skipped,
            self.gutter,
            self.times,
            self.dot,
            self.more,
            self.bar_done,
            self.bar_rest,
        ) = words.split()
        self.glyph_cells = 1 if utf8 else 5

    def paint(self, text: str, style: str) -> str:
        """Wrap ``text`` in the codes of a style (``bold``, ``dim``, ``red`` …), or leave it as it is."""
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if self.color and style and text else text

    def safe(self, text: str) -> str:
        """Make foreign text harmless for this stream."""
        return escape(text, utf8=self.utf8)

    def fit(self, text: str, width: int) -> str:
        """Cut ``text`` to ``width`` cells, marking the cut."""
        if cells(text) <= width:
            return text
        room = width - cells(self.more)
        if room <= 0:
            return self.more[: max(0, width)]
        kept = text[:room]
        while cells(kept) > room:
            kept = kept[:-1]
        return kept + self.more


def escape(text: str, *, utf8: bool = True) -> str:
    """Show each control character (C0, C1, bidi and the like) of foreign text as a visible symbol.

    Nothing of the result can move a cursor, change a colour, begin a line or turn the reading direction.
    """
    if text.isprintable() and (utf8 or text.isascii()):
        return text
    return "".join(_visible(char, utf8) for char in text)


def _visible(char: str, utf8: bool) -> str:
    code = ord(char)
    if utf8:
        if char.isprintable() or char in _HARMLESS:
            return char
        if code < 0x20:
            return chr(0x2400 + code)
        if code == 0x7F:
            return "␡"
    elif char.isascii() and char.isprintable():
        return char
    return char.encode("unicode_escape").decode("ascii")


def cells(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(
        0 if category(char) in ("Mn", "Me", "Cf") else 2 if east_asian_width(char) in ("W", "F") else 1 for char in text
    )


def pad(text: str, width: int) -> str:
    """Fill ``text`` with spaces up to ``width`` cells."""
    return text + " " * (width - cells(text))


def is_terminal(stream: Stream) -> bool:
    """Whether someone may be looking at ``stream``."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]  # a bare writer has none
    except (AttributeError, ValueError, OSError):
        return False


def takes_utf8(stream: Stream) -> bool:
    """Whether ``stream`` can encode every character; one in memory can."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "").replace("_", "") in ("utf8", "utf8sig", "utf16", "utf32", "cp65001")


def takes_color(stream: Stream, env: Mapping[str, str]) -> bool:
    """Whether to use colours on ``stream``: NO_COLOR, FORCE_COLOR, TERM=dumb, then whether it is a terminal."""
    if env.get("NO_COLOR"):
        return False
    if env.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return env.get("TERM") not in ("dumb", "unknown") and is_terminal(stream)


def width_of(stream: Stream, default: int = 80) -> int:
    """Return the columns of the terminal behind ``stream`` now."""
    return size_of(stream, (default, 25))[0]


def size_of(stream: Stream, default: tuple[int, int] = (80, 25)) -> tuple[int, int]:
    """Return the columns and rows of the terminal behind ``stream`` now."""
    import os

    try:
        size = os.get_terminal_size(stream.fileno())  # type: ignore[attr-defined]  # as above
    except (AttributeError, ValueError, OSError):
        return default
    return size.columns or default[0], size.lines or default[1]  # a fresh pseudo-terminal says 0
