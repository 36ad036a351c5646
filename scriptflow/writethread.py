"""One thread that writes what others put, in order, many rows to a commit.

Knows when to commit. Knows nothing of SQL or files: how to commit is given.
"""

from __future__ import annotations

from time import monotonic

from scriptflow.errors import StoreError, StoreLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections import deque
    from collections.abc import Callable
    from typing import Any

GROUP_S = 0.05
"""The longest that a row waits for its group commit."""
RETRY_S = 1.0
"""How long after a failed write the next try comes."""


class WriteThread:
    """Writes what others put, on one thread, in order, many rows to a commit.

    Args:
        now: commits items at once; raises when it could not. Returns whether enough has piled up for a group.
        group: commits items for good (they are on the disk when it returns); raises when it could not.
            Every item given to ``now`` comes here too, a little later. An empty list is a sign of life.
        failed: hears of each failed write.
        at_once: whether what is to be committed at once may be committed on the caller's thread when this one rests:
            waking it and being woken by it cost more than the commit does where that waits for no disk.
        idle_s: call ``group`` with nothing when nothing was written for so long; None: never.
    """

    def __init__(
        self,
        now: Callable[[list[Any]], bool],
        group: Callable[[list[Any]], None],
        failed: Callable[[BaseException], None],
        *,
        at_once: bool = False,
        idle_s: float | None = None,
    ) -> None:
        import threading
        from collections import deque

        self._now = now
        self._group = group
        self._failed = failed
        self._at_once = at_once
        self._idle_s = idle_s
        self._writing = threading.Lock()
        self._full = False
        self._urgent: deque[tuple[Any, Callable[[BaseException | None], None]]] = deque()
        self._waiting: deque[tuple[Any, Callable[[], None] | None]] = deque()
        self._held: list[tuple[Any, Callable[[], None] | None]] = []
        self._barriers: deque[threading.Event] = deque()
        self._new_barrier = threading.Event
        self._wake = threading.Event()
        self._asleep = False
        self._since = monotonic()  # when the oldest of those that wait was put
        self._stopping = False
        self.error: BaseException | None = None
        """Why the last group could not be written; None when all is well."""
        self._thread = threading.Thread(target=self._work, name="scriptflow-store", daemon=True)
        self._thread.start()

    def put(self, item: object, then: Callable[[], None] | None = None) -> None:
        """Write ``item`` with the next group; ``then`` is called once it is on the disk."""
        if not self._waiting:
            self._since = monotonic()
        self._waiting.append((item, then))
        if self._asleep:  # only the first row of a group wakes the thread, which then waits for more
            self._asleep = False
            self._wake.set()

    def put_now(self, item: object, then: Callable[[BaseException | None], None]) -> None:
        """Commit ``item`` at once; ``then`` gets None, or why it was not written and never will be."""
        if self._at_once and not self._urgent and self._writing.acquire(blocking=False):
            try:
                error, self._full = self._commit([item])
            finally:
                self._writing.release()
            if error is None:
                self.put(item)
            if self._full:
                self._wake.set()
            self._tell(then, error)
        else:
            self._urgent.append((item, then))
            self._wake.set()

    def flush(self) -> None:
        """Return when all that was put so far is on the disk, or could not be written (see ``error``)."""
        barrier = self._new_barrier()
        self._barriers.append(barrier)
        self._wake.set()
        while not barrier.wait(1.0):
            if not self._thread.is_alive():
                return

    def stop(self) -> None:
        """Write what is left and end the thread; see ``error`` for what could not be written."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        due: float | None = None  # when the next group is to be committed; None: nothing waits
        while True:
            idle = self._sleep(due)
            stopping = self._stopping
            barriers = [self._barriers.popleft() for _ in range(len(self._barriers))]
            full = self._commit_now() or self._full
            if due is None and self._waiting:
                due = self._since + GROUP_S  # what came while a slow disk took the group before has waited already
            if stopping or barriers or idle or full or (due is not None and due <= monotonic()):
                due = self._commit_group(sign_of_life=idle)
            for barrier in barriers:
                barrier.set()
            if stopping:
                return

    def _sleep(self, due: float | None) -> bool:
        """Wait for work; return whether nothing came for ``idle_s``."""
        woken = True
        if due is not None:
            self._wake.wait(max(0.0, due - monotonic()))
        else:
            self._asleep = True
            if not self._waiting:  # a row put before _asleep was set woke nobody
                woken = self._wake.wait(self._idle_s)
            self._asleep = False
        self._wake.clear()
        return not woken

    def _commit_now(self) -> bool:
        taken = [self._urgent.popleft() for _ in range(len(self._urgent))]
        if not taken:
            return False
        items = [item for item, _ in taken]
        with self._writing:
            error, full = self._commit(items)
        if error is None:
            if not self._waiting:
                self._since = monotonic()
            self._waiting.extend((item, None) for item in items)
        for _, then in taken:
            self._tell(then, error)
        return full

    def _commit(self, items: list[Any]) -> tuple[BaseException | None, bool]:
        """Commit items at once; return why they could not be, and whether a group is due."""
        if isinstance(self.error, StoreLost):
            return self.error, False
        try:
            return None, self._now(items)
        except Exception as caught:  # noqa: BLE001 (whatever it is, those who wait must hear of it)
            return self._note(caught), False

    def _commit_group(self, *, sign_of_life: bool) -> float | None:
        """Return when to try again, None when nothing is left."""
        with self._writing:
            return self._commit_waiting(sign_of_life=sign_of_life)

    def _commit_waiting(self, *, sign_of_life: bool) -> float | None:
        self._full = False
        taken = self._held + [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._held = []
        if isinstance(self.error, StoreLost) or not (taken or sign_of_life):
            return None
        try:
            self._group([item for item, _ in taken])
        except Exception as caught:  # noqa: BLE001 (the rows are kept, and somebody is told)
            error = self._note(caught)
            if isinstance(error, StoreLost):
                return None
            self._held = taken if isinstance(error, StoreError) else self._without_bad(taken)
            return monotonic() + RETRY_S
        self.error = None
        for _, then in taken:
            if then is not None:
                self._tell(then)
        return None

    def _without_bad(
        self, taken: list[tuple[Any, Callable[[], None] | None]]
    ) -> list[tuple[Any, Callable[[], None] | None]]:
        """Write one by one after a fault of ours; return what the disk refused. What cannot be written at all goes."""
        held = []
        for item, then in taken:
            try:
                self._group([item])
            except StoreError:
                held.append((item, then))
            except Exception as caught:  # noqa: BLE001 (one bad row must not keep all others from the disk)
                self._note(caught)
            else:
                if then is not None:
                    self._tell(then)
        return held

    def _note(self, error: BaseException) -> BaseException:
        self.error = error
        self._tell(self._failed, error)
        return error

    def _tell(self, then: Callable[..., None], *arguments: object) -> None:
        try:
            then(*arguments)
        except Exception:  # a listener's fault, a closed loop say, must not stop the writing
            import logging

            logging.getLogger(__name__).exception("a callback of the store's write thread failed")
