"""Notice flow code that blocks the loop, and name the line.

Knows a loop and a thread. While the flow's own code runs for seconds without an await, no job can be started
and no end be heard.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import FrameType

    from scriptflow.engine.telling import Teller

_BEAT_S = 1.0
_TOO_LONG_S = 2.0


class LoopWatch:
    """A thread that asks the loop for a sign of life once a second.

    Args:
        loop: watched; made on the thread that runs it.
        tell: hears the warning.
        folder: the user's: the line to name lies in a file below it.
    """

    def __init__(self, loop: AbstractEventLoop, tell: Teller, folder: str) -> None:
        self._loop = loop
        self._tell = tell
        self._folder = folder
        self._watched = threading.get_ident()
        self._beat = monotonic()
        self._blocked_at = ""
        self._over = threading.Event()
        self._told: set[str] = set()
        with suppress(RuntimeError):  # no room for a thread: nobody watches
            threading.Thread(target=self._watch, name="scriptflow watch", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(_BEAT_S):
            if monotonic() - self._beat > _TOO_LONG_S and not self._blocked_at:
                self._blocked_at = self._where(sys._current_frames().get(self._watched))
            try:
                self._loop.call_soon_threadsafe(self._alive)
            except RuntimeError:  # the loop is closed
                return

    def _alive(self) -> None:
        seconds, self._beat = monotonic() - self._beat, monotonic()
        where, self._blocked_at = self._blocked_at, ""
        if where and where not in self._told:
            self._told.add(where)
            self._tell.warn(
                "loop-blocked",
                f"flow code blocked the scheduler for {seconds:.1f} s at {where}",
                do="await asyncio.sleep(...) or asyncio.to_thread(...), or make it a task",
            )

    def _where(self, frame: FrameType | None) -> str:
        """Return ``file:line (function)`` of the innermost frame of the user's, "" when it is not his."""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(self._folder):
                return f"{file}:{frame.f_lineno} ({frame.f_code.co_name})"
            frame = frame.f_back
        return ""
