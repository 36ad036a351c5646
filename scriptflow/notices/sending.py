"""The courier itself: a program that reads notes from its stdin and sends each through its channels.

Started by ``notices.courier``, never by hand. Knows channels and notes. When its stdin ends without a goodbye, the
head died, and it says so. Ends by itself, at the latest a minute after the head.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic, sleep

from scriptflow.errors import ScriptflowError
from scriptflow.notices.channel import Undelivered
from scriptflow.notices.channels import read_channels
from scriptflow.notices.courier import IMAGES, TOLD
from scriptflow.notices.note import Note, note_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptflow.notices.channel import Channel

LAST_S = 60.0
"""How long after the head's end notes are still being sent."""
TRIES_AFTER_S = (1.0, 5.0)
"""How long to wait before the second and the third try."""

log = logging.getLogger("scriptflow.notify")


class _Desk:
    """One channel and the thread that serves it: a channel that hangs holds up no other."""

    def __init__(self, channel: Channel, office: _Office) -> None:
        self.channel = channel
        self.notes: SimpleQueue[Note] = SimpleQueue()
        self.waiting = 0
        self.is_away = False
        self._office = office
        self._complained = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            note = self.notes.get()
            try:
                self._send(note)
            except Exception:
                log.exception("channel %s failed", self.channel.name)
            self._office.sent(self)

    def _send(self, note: Note) -> None:
        for pause_s in (*TRIES_AFTER_S, None):
            try:
                said = self.channel.deliver(note)
            except Undelivered as error:
                log.warning("channel %s: %s: %s", self.channel.name, note.event, error)
                if not self._complained:
                    self._complained = True
                    _tell({"failed": self.channel.name, "why": str(error)})
                self.is_away = True
                self._office.look()
                if pause_s is None:
                    return
                sleep(pause_s)
            else:
                self.is_away = False
                log.info("channel %s: %s: %s", self.channel.name, note.event, said)
                return


class _Office:
    """All channels of one head."""

    def __init__(self, store: str, channels: list[Channel]) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._desks = {channel.name: _Desk(channel, self) for channel in channels}
        self._lost: tuple[Note, list[str]] | None = None
        self._leaving = False

    def take(self, item: dict[str, Any]) -> None:
        """Take one line of the head's."""
        if "note" in item:
            self._send(note_from(item["note"]), item["to"])
        elif "lost" in item:
            self._lost = (note_from(item["lost"]), item["to"]) if item["lost"] else None
        elif "bye" in item:
            self._lost = None
            with self._changed:
                self._leaving = True
            self.look()

    def leave(self) -> None:
        """The head is gone: say so if it did not say goodbye, then wait until all is sent, or for a minute."""
        if self._lost is not None:
            with suppress(OSError):
                os.close(os.open(f"{self._store}/{TOLD}", os.O_WRONLY | os.O_CREAT, 0o600))
            self._send(*self._lost)
        deadline = monotonic() + LAST_S
        with self._changed:
            while self._busy() and monotonic() < deadline:
                self._changed.wait(deadline - monotonic())

    def sent(self, desk: _Desk) -> None:
        """One note of a desk is dealt with."""
        with self._changed:
            desk.waiting -= 1
            self._changed.notify_all()
        self.look()

    def _send(self, note: Note, names: list[str]) -> None:
        for name in names:
            desk = self._desks.get(name)
            if desk is not None:
                with self._changed:
                    desk.waiting += 1
                desk.notes.put(note)

    def _busy(self) -> bool:
        return any(desk.waiting for desk in self._desks.values())

    def look(self) -> None:
        """Tell a head that is leaving that all has arrived; a channel that is away is not waited for."""
        with self._changed:
            arrived = self._leaving and not any(desk.waiting and not desk.is_away for desk in self._desks.values())
        if arrived:
            _tell({"arrived": True})


def _tell(what: dict[str, object]) -> None:
    """Tell the head, if it is still there."""
    with suppress(OSError, ValueError):
        os.write(1, json.dumps(what).encode() + b"\n")


def main() -> None:
    """Read lines until there are no more."""
    lines = sys.stdin.buffer
    first = json.loads(lines.readline() or b"{}")
    if "store" not in first:
        return
    store = first["store"]
    with suppress(OSError):
        handler = logging.FileHandler(
            f"{store}/scriptflow.log", encoding="utf-8", errors="backslashreplace", delay=True
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        office = _Office(store, read_channels(first["notify"]))
    except ScriptflowError as error:
        _tell({"failed": "settings", "why": error.what})
        return
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):  # a head that is killed may leave half a line
            office.take(json.loads(line))
    office.leave()
    shutil.rmtree(f"{store}/{IMAGES}/{first['head']}", ignore_errors=True)
    with suppress(OSError):
        os.rmdir(f"{store}/{IMAGES}")  # noqa: PTH106 (plain strings all through)


if __name__ == "__main__":
    main()
    os._exit(0)  # a channel that hangs has a thread of its own, and is not waited for
