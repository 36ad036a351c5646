"""Decide how much of each failure is told, and gather failures that have one cause.

Knows words; knows neither stream nor display.
"""

from __future__ import annotations

from scriptflow.terminal import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.events import TaskEnded
    from scriptflow.terminal.look import Look

FULL = 5
SHORT = 15
_NAMES = 3
_CAUSES = 500
_OTHER = "other causes"


class Cause:
    """Failures that ended alike: how many, and the first few names."""

    __slots__ = ("names", "number", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.number = 0
        self.names: list[str] = []


class Failures:
    """All failures of one run, by cause; a bounded number of them, however many there are."""

    def __init__(self) -> None:
        self.number = 0
        self._causes: dict[str, Cause] = {}

    def add(self, ended: TaskEnded) -> None:
        """Take one failure."""
        self.number += 1
        text = words.root_cause(ended)
        if text not in self._causes and len(self._causes) >= _CAUSES:
            text = _OTHER
        cause = self._causes.setdefault(text, Cause(text))
        cause.number += 1
        if len(cause.names) < _NAMES:
            cause.names.append(ended.task)

    @property
    def tell_all(self) -> bool:
        """Whether the newest failure is told in full."""
        return self.number <= FULL

    @property
    def tell(self) -> bool:
        """Whether the newest failure is told at all."""
        return self.number <= FULL + SHORT

    @property
    def tell_silence(self) -> bool:
        """Whether this is the moment to say that the rest is only counted."""
        return self.number == FULL + SHORT + 1

    def causes(self) -> Sequence[Cause]:
        """Return the causes, the most frequent first."""
        return sorted(self._causes.values(), key=lambda cause: -cause.number)


SILENCE = "more failures are only counted: scriptflow logs"


def detail_lines(look: Look, ended: TaskEnded, width: int) -> list[str]:
    """Lay out what is known of a failure below its headline: the end of its log, facts, the next step."""
    lines = [
        f"{look.paint(look.gutter, 'red')} {look.fit(look.safe(line), width - 2)}"
        for line in words.log_lines(ended.tail)
    ]
    notes = list(ended.notes)
    detail = ended.report.detail if ended.report is not None else ""
    if detail and detail not in notes and detail not in words.root_cause(ended):
        notes.append(detail)
    return lines + words.note_lines(look, notes, ended.help, indent="")


def where(look: Look, ended: TaskEnded) -> str:
    """Say where to read on: the log, and the line that made the task."""
    parts = [f"log {words.shown_path(ended.log, utf8=look.utf8)}"] if ended.log else []
    if ended.place is not None:
        parts.append(look.safe(str(ended.place)))
    return f" {look.dot} ".join(parts)
