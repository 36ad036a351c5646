"""Each event as one line of JSON, for programs.

Knows the fields of events and nothing of their meaning.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from scriptflow.core.frozen import fields_of

if TYPE_CHECKING:
    from scriptflow.core.events import Event
    from scriptflow.terminal.look import Stream

_TIMES = ("at", "began", "ended")


class JsonLines:
    """Writes ``{"event": "TaskEnded", "at": "2026-01-31T02:10:07.123456Z", …}``, one line each, at once.

    Args:
        stream: where to; an error of it ends this listener with one warning, never the run.
        name: how the warning names the stream, its own name by default.
    """

    wants_names = True

    def __init__(self, stream: Stream, *, name: str = "") -> None:
        self._stream = stream
        self._name = name or str(getattr(stream, "name", "the event stream")).strip("<>")
        self._gone = False

    def hear(self, event: Event) -> None:
        """Write one event."""
        if self._gone:
            return
        line = json.dumps({"event": type(event).__name__, **_fields(event)}, default=_fields)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._gone = True
            self._give_up(error)

    def close(self) -> None:
        """Do nothing: whoever opened the stream closes it."""

    def _give_up(self, error: Exception) -> None:
        if self._name == "stdout":
            # Python flushes it once more at the end, and would turn the run's exit code into 120.
            with suppress(OSError, ValueError):
                _point_at_nothing(sys.stdout)
        reason = getattr(error, "strerror", None) or str(error)
        with suppress(OSError, ValueError):
            sys.stderr.write(f"warning[events-lost]: no more events go to {self._name}: {reason}\n")
            sys.stderr.write("  note: the run goes on, and its store has all of them\n")
            sys.stderr.flush()


def _fields(value: object) -> dict[str, object]:
    names = fields_of(value) or getattr(value, "__slots__", ())
    found: dict[str, Any] = {name: getattr(value, name) for name in names}
    for name in _TIMES:
        at = found.get(name)
        if isinstance(at, float | int):
            found[name] = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if "reasons" in found:
        found["reasons"] = [{"code": code, "detail": detail} for code, detail in found["reasons"]]
    return found


def _point_at_nothing(stream: TextIO) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
