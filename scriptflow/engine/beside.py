"""What goes on beside a run's jobs: hashing, the watch over the loop, wishes heard, the ticks of the screens.

Knows the parts and when they begin and end. Knows nothing of tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.engine.hashing import SMALL_BYTES, Hasher
from scriptflow.engine.watch import LoopWatch
from scriptflow.engine.wishes import Wishes

if TYPE_CHECKING:
    import asyncio

    from scriptflow.core.records import Seen
    from scriptflow.engine.head import Head

_TICK_S = 0.25


class Beside:
    """The helpers of one head, from its first loop to its end."""

    def __init__(self, head: Head, loop: asyncio.AbstractEventLoop) -> None:
        self._head = head
        self._loop = loop
        self._watch = LoopWatch(loop, head.tell, head.folder)
        self._hasher: Hasher | None = None
        self._wishes = None if head.mailbox is None else Wishes(head, head.mailbox)
        self._next_tick = loop.call_later(_TICK_S, self._tick)

    def hash(self, job: int, files: tuple[Seen, ...]) -> None:
        """Hash a job's files for the record, in the background."""
        wanted, store = self._head.settings.hash, self._head.store
        if wanted == "off" or store is None:
            return
        if self._hasher is None:
            self._hasher = Hasher(self._head.files, store, SMALL_BYTES if wanted == "small" else None)
        self._hasher.add(job, files)

    def look(self) -> bool:
        """Do what other processes ask for; False when they ask for nothing."""
        return self._wishes is not None and self._wishes.look()

    def close(self, *, finish: bool) -> None:
        """End them; with ``finish`` what waits to be hashed is hashed first."""
        if self._hasher is not None:
            self._hasher.close(finish=finish)
        self._watch.close()
        self._next_tick.cancel()

    def _tick(self) -> None:
        """Let the screens show that time passes, hear wishes, and tell the store what changed since it was told."""
        self._head.tell.bus.tick()
        self.look()
        self._head.dispatcher.tell_counts()
        self._next_tick = self._loop.call_later(_TICK_S, self._tick)
