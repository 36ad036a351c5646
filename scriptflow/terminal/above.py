"""A stand-in for ``sys.stdout`` or ``sys.stderr`` that lets whole lines through above a picture.

Knows nothing of what the picture shows.
"""

from __future__ import annotations

import sys
from threading import Lock
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

_TOGETHER_S = (
    0.05  # the picture is drawn again below each batch of lines: a flow that prints much must not pay for each
)


class Above:
    """Takes the place of ``sys.NAME`` until ``give_back``.

    Args:
        name: ``stdout`` or ``stderr``.
        show: writes whole lines (without the last line's end) above the picture; called on any thread.
    """

    def __init__(self, name: str, show: Callable[[str], None]) -> None:
        self._name = name
        self._stream: TextIO = getattr(sys, name)
        self._show: Callable[[str], None] | None = show
        self._held = ""
        self._passed_at = 0.0
        self._lock = Lock()
        self._stream.flush()
        setattr(sys, name, self)

    def write(self, text: str) -> int:
        """Hold ``text`` until its line is whole."""
        if self._show is None:  # somebody kept us after the end
            return self._stream.write(text)
        with self._lock:
            self._held += text
        if "\n" in text and monotonic() - self._passed_at >= _TOGETHER_S:
            self.pass_on()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of ``lines``."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Let whole lines through; the rest of a line waits for its end."""
        self.pass_on()

    def pass_on(self, *, everything: bool = False) -> None:
        """Let the whole lines through that are held, and a last part of a line if ``everything``."""
        with self._lock:
            lines, end, rest = self._held.rpartition("\n")
            if everything and rest:
                lines, end, rest = self._held, "\n", ""
            # A bar that draws itself over and over has no line's end: keep what would stand there now.
            self._held = rest[rest.rfind("\r") + 1 :]
            self._passed_at = monotonic()
        if end and self._show is not None:
            encoding = self._stream.encoding or "utf-8"
            self._show(lines.encode(encoding, "backslashreplace").decode(encoding))

    def give_back(self) -> None:
        """Put the stream back, unless somebody else has taken its place since."""
        self.pass_on(everything=True)
        self._show = None
        if getattr(sys, self._name) is self:
            setattr(sys, self._name, self._stream)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever else a stream can do
        return getattr(self._stream, name)
