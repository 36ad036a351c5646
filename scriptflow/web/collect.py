"""Take in what heads elsewhere send, and keep it as ordinary run stores, one for each store over there.

Knows batches, stores and when a head counts as lost. Knows nothing of HTTP.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from time import monotonic, strftime, time

from scriptflow.core.records import RunStart
from scriptflow.errors import ScriptflowError
from scriptflow.store.collected import CollectedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from typing import Any, Protocol

    from scriptflow.web.batch import Batch

    class Asked(Protocol):
        """What somebody asks of a head."""

        @property
        def id(self) -> str:
            """Where the answer goes."""
            ...

        @property
        def kind(self) -> str:
            """What is asked for."""
            ...

        @property
        def body(self) -> Mapping[str, Any]:
            """The rest of it."""
            ...

    class Inbox(Protocol):
        """Where it lies."""

        def take(self) -> Sequence[Asked]:
            """Return what was asked since the last time."""
            ...

        def answer(self, request_id: str, body: Mapping[str, object]) -> None:
            """Answer one."""
            ...


LOST_S = 60.0
"""So long after a head's last word its run is shown as interrupted."""
IDLE_S = 600.0
"""So long after its last word a store is closed; the next word opens it again."""
MOST_STORES = 500
STORE = ".scriptflow"


class Collector:
    """All the stores below one folder. Called from one thread at a time, or from several: it takes turns.

    Args:
        folder: the server's data; a store lies in ``FOLDER/ID/PROJECT/.scriptflow``.
        inbox: opens the inbox of a store, in which pages ask for what a head should do; None: nobody may ask.
    """

    def __init__(self, folder: str, inbox: Callable[[str], Inbox] | None = None) -> None:
        self._inbox = inbox
        self._inboxes: dict[str, Inbox] = {}
        self._wishes: dict[str, dict[str, Asked]] = {}
        self._folder = os.path.abspath(folder)  # noqa: PTH100 (plain strings all through)
        self._open: dict[str, CollectedStore] = {}
        self._heads: dict[str, _Head] = {}
        self._turn = threading.Lock()
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103 (the same)

    def stores(self, taken: Container[str] = ()) -> dict[str, str]:
        """Map a name for addresses, the project's, to each store's folder.

        Where two share a project's name, or it is one of ``taken``, some of the store's id is added.
        """
        found: list[tuple[str, str, str]] = []
        for number in sorted(_names(self._folder)):
            for project in sorted(_names(f"{self._folder}/{number}")):
                store = f"{self._folder}/{number}/{project}/{STORE}"
                if os.path.exists(f"{store}/runs.db"):  # noqa: PTH110 (the same)
                    found.append((project, number, store))
        shared = [project for project, _, _ in found]
        return {
            project if shared.count(project) == 1 and project not in taken else f"{project}-{number[:8]}": store
            for project, number, store in found
        }

    def take(self, batch: Batch) -> bool:
        """Write a batch; False when it was written before.

        Raises:
            ScriptflowError: its store cannot be written now.
        """
        with self._turn:
            try:
                return self._take(batch)
            except ScriptflowError:
                store = self._open.pop(self.store_of(batch), None)  # opened anew next time, perhaps with more luck
                if store is not None:
                    self._heads = {name: head for name, head in self._heads.items() if head.store is not store}
                    with suppress(ScriptflowError):
                        store.close()
                raise

    def newest(self, store: str, project: str) -> tuple[int, bool]:
        """Return the number of the newest run in a store, 0 when there is none, and whether it goes on."""
        folder = f"{self._folder}/{store}/{project}/{STORE}"
        with self._turn:
            return self._store(folder).newest() if os.path.exists(f"{folder}/runs.db") else (0, False)  # noqa: PTH110 (as above)

    def look(self) -> None:
        """Mark the runs of heads that have not been heard of for long, and close what is idle."""
        with self._turn:
            now = monotonic()
            for name, head in list(self._heads.items()):
                silent_s = now - head.heard
                if silent_s > LOST_S and head.running and not head.lost:
                    head.lost = True
                    since = strftime("%Y-%m-%d %H:%M", head.at)
                    head.store.lose(head.run, f"no word from {head.host} since {since}")
                if silent_s > IDLE_S:
                    del self._heads[name]
                    self._wishes.pop(name, None)
            used = {id(head.store) for head in self._heads.values()}
            for folder in [folder for folder, store in self._open.items() if id(store) not in used]:
                self._open.pop(folder).close()
                self._inboxes.pop(folder, None)

    def close(self) -> None:
        """Close all stores."""
        with self._turn:
            for store in self._open.values():
                store.close()
            self._open.clear()
            self._heads.clear()

    def wishes(self, batch: Batch, done: Iterable[str]) -> list[dict[str, object]]:
        """Return what the head that sent ``batch`` should do, until it says with ``done`` that it has heard it."""
        if self._inbox is None:
            return []
        with self._turn:
            folder = self.store_of(batch)
            inbox = self._inboxes.get(folder) or self._inboxes.setdefault(folder, self._inbox(folder))
            waiting = self._wishes.setdefault(batch.head, {})
            for number in done:
                if waiting.pop(number, None) is not None:
                    inbox.answer(number, {"ok": True, "said": "handed to the head"})
            for request in inbox.take():
                if batch.status == "running":
                    waiting[request.id] = request
                else:
                    inbox.answer(request.id, {"ok": False, "error": "the run is over"})
            if batch.status != "running":
                for number in self._wishes.pop(batch.head):
                    inbox.answer(number, {"ok": False, "error": "the run ended before it was heard"})
                return []
            return [{"id": one.id, "kind": one.kind, "body": dict(one.body)} for one in waiting.values()]

    def store_of(self, batch: Batch) -> str:
        """Return the folder of the store that a batch belongs to."""
        return f"{self._folder}/{batch.store}/{batch.project}/{STORE}"

    def _take(self, batch: Batch) -> bool:
        store = self._store(self.store_of(batch))
        written, run = store.position(batch.head)
        if batch.batch and batch.batch <= written:
            self._heard(batch, store, run)
            return False
        content = batch.content()
        if not run:
            run = store.begin(batch.head, _run_start(batch), batch.run.number)
        elif not batch.batch:  # a sign of life tells nothing that a batch on its way does not tell better
            head = self._heads.get(batch.head)
            if head is not None and not head.lost:
                self._heard(batch, store, run)
                return True
        store.take(batch.head, batch.batch, run, content)
        self._heard(batch, store, run)
        return True

    def _heard(self, batch: Batch, store: CollectedStore, run: int) -> None:
        self._heads[batch.head] = _Head(
            store, run, batch.run.host, running=batch.status == "running" and batch.detail != "five"
        )

    def _store(self, folder: str) -> CollectedStore:
        store = self._open.get(folder)
        if store is None:
            if len(self._open) >= MOST_STORES:
                raise ScriptflowError(f"{MOST_STORES} stores are written already")
            os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 (as above)
            store = self._open[folder] = CollectedStore.open(folder, relative=True, busy_s=5.0)
        return store


class _Head:
    """When a head was last heard of, and what it was doing."""

    __slots__ = ("at", "heard", "host", "lost", "run", "running", "store")

    def __init__(self, store: CollectedStore, run: int, host: str, *, running: bool) -> None:
        from time import gmtime

        self.store = store
        self.run = run
        self.host = host
        self.running = running
        self.heard = monotonic()
        self.at = gmtime()
        self.lost = False


def _run_start(batch: Batch) -> RunStart:
    run = batch.run
    return RunStart(
        flow=run.flow, name=None, tags=(), params={}, argv=(), started=run.started or time(), host=run.host,
        user=run.user, pid=run.pid, git="", python=run.python, version=run.version,
    )  # fmt: skip


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 (as above)
    except OSError:
        return []
