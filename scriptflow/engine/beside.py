"""What goes on beside a run's jobs: hashing, the watch over the loop, wishes heard, the ticks of the screens.

Knows the parts and when they begin and end. Knows nothing of tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.engine.hashing import Hasher
from scriptflow.engine.watch import LoopWatch
from scriptflow.engine.wishes import Wishes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from scriptflow.core.records import RunCounts, Seen
    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life

_TICK_S = 0.25


class Beside:
    """The helpers of one head, from its first loop to its end.

    Attributes:
        deciding: lives that wait for the hashes of large files.
        at_rest: set when there is nothing more to wait for.
    """

    def __init__(self, head: Head, loop: asyncio.AbstractEventLoop) -> None:
        from asyncio import Event

        self._head = head
        self._loop = loop
        self._watch = LoopWatch(loop, head.tell, head.folder)
        self._hasher: Hasher | None = None
        self._told: RunCounts | None = None
        self.deciding: dict[int, Life] = {}
        self.at_rest = Event()
        self._wishes = None if head.mailbox is None else Wishes(head, head.mailbox)
        self._next_tick = loop.call_later(_TICK_S, self._tick)

    def hash(self, job: int, files: Sequence[Seen]) -> None:
        """Hash a job's files for the record, in the background."""
        store = self._head.store
        if not files or store is None:
            return
        if self._hasher is None:
            self._hasher = Hasher(self._head.hashes, store)
        self._hasher.add(job, files)

    def hash_first(self, life: Life, files: Sequence[Seen]) -> None:
        """Hash files in a thread, then decide the task they belong to."""
        self.deciding[id(life)] = life
        done = self._loop.run_in_executor(None, self._hash_all, files)
        done.add_done_callback(lambda _: self._decide(life))

    def _hash_all(self, files: Sequence[Seen]) -> None:
        for seen in files:
            self._head.hashes.of(seen)

    def _decide(self, life: Life) -> None:
        if self.deciding.pop(id(life), None) is not None:
            life.decide()
            self._head.tell.flush()
            self._head.dispatcher.plan_pump()

    def stop(self, why: str) -> None:
        """Hash for no decision any more."""
        while self.deciding:
            self.deciding.popitem()[1].cancel(why)

    def look(self) -> bool:
        """Do what other processes ask for; False when they ask for nothing."""
        return self._wishes is not None and self._wishes.look()

    def close(self, *, finish: bool) -> None:
        """End them; with ``finish`` what waits to be hashed is hashed first."""
        if self._hasher is not None:
            self._hasher.close(finish=finish)
        self._head.hashes.closed = True
        self._watch.close()
        self._next_tick.cancel()

    def _tick(self) -> None:
        """Let the screens show that time passes, hear wishes, and tell the store what changed since it was told."""
        self._head.tell.bus.tick()
        self.look()
        counts, store = self._head.dispatcher.counts(), self._head.store
        if counts != self._told and store is not None:
            self._told = counts
            store.progress(counts)
        self._next_tick = self._loop.call_later(_TICK_S, self._tick)
