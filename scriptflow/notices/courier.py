"""The head's end of the courier: a process beside it that sends notes, so that no channel can slow or hold a run.

Knows how to begin it and what it is told. Knows nothing of runs, nor of what a channel does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queue import SimpleQueue
    from typing import IO, Any

    from scriptflow.notices.note import Note

TOLD = "notify-told"
"""A file in the store's folder: the courier has told that the head died, the next head need not."""
IMAGES = "notify-images"
_MOST_WAITING = 1000
_MOST_IMAGES = 5
_MOST_BYTES = 1024 * 1024


class Courier:
    """Carries notes to the process that sends them; begins it with the first.

    What is written to it goes through a thread of its own, so a courier that does not read delays nobody.
    """

    def __init__(self, setting: object, store: str) -> None:
        self._setting = setting
        self._store = store
        self._child: subprocess.Popen[bytes] | None = None
        self._lines: SimpleQueue[bytes] | None = None
        self._complaints: deque[str] = deque()
        self._arrived = threading.Event()
        self._broken = False
        self._carried = False
        self._images = 0

    @property
    def is_there(self) -> bool:
        """Whether the process was begun, or could not be."""
        return self._child is not None or self._broken

    def carry(self, note: Note, channels: list[str]) -> None:
        """Send a note to the channels of these names."""
        if channels:
            self._carried = True
            images = self._kept(note.images)
            self._put({"note": {**note.as_dict(), "images": images}, "to": channels})

    def carry_when_lost(self, note: Note | None, channels: list[str]) -> None:
        """Send this note should the head vanish without a word; None: nothing any more."""
        if note is not None or self._child is not None:
            self._put({"lost": note.as_dict() if note else None, "to": channels})

    def complaints(self) -> list[str]:
        """Return what went wrong since the last call, once for each channel."""
        return [self._complaints.popleft() for _ in range(len(self._complaints))]

    def was_told_lost(self) -> bool:
        """Whether an earlier courier has told that its head died; asked once."""
        try:
            os.unlink(f"{self._store}/{TOLD}")  # noqa: PTH108 (plain strings all through)
        except OSError:
            return False
        return True

    def close(self, wait_s: float) -> None:
        """Say that no more comes, and wait at most ``wait_s`` for all of it to arrive; the rest goes on without us."""
        if self._child is None or self._broken:
            return
        self._put({"bye": True})
        if self._carried:
            self._arrived.wait(wait_s)
        self._child.returncode = 0  # it is to outlive us: no warning about that

    # --- the process --------------------------------------------------------------------------

    def _put(self, item: dict[str, Any]) -> None:
        if not self.is_there:
            self._begin()
        if self._lines is not None and not self._broken:
            if self._lines.qsize() < _MOST_WAITING or "bye" in item:
                self._lines.put(json.dumps(item, default=str).encode() + b"\n")
            else:
                _log(f"the courier is behind: a note was left out ({item.get('note', {}).get('title')})")

    def _begin(self) -> None:
        from queue import SimpleQueue

        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "scriptflow.notices.sending"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, start_new_session=True, cwd=os.path.dirname(self._store),  # noqa: PTH120 (as above)
            )  # fmt: skip
        except OSError as error:
            self._broken = True
            self._complaints.append(f"no notes are sent: {error.strerror or error}")
            return
        self._child = child
        self._lines = SimpleQueue()
        self._put({"notify": self._setting, "store": self._store, "head": os.getpid()})
        for work in (self._write, self._read):
            threading.Thread(target=work, args=(child,), name="scriptflow-notify", daemon=True).start()

    def _write(self, child: subprocess.Popen[bytes]) -> None:
        pipe: IO[bytes] | None = child.stdin
        assert pipe is not None and self._lines is not None  # noqa: S101 (made with pipes)
        try:
            while True:
                line = self._lines.get()
                pipe.write(line)
                pipe.flush()
        except (OSError, ValueError):
            self._broken = True

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None  # noqa: S101 (as above)
        with suppress(OSError, ValueError):
            for line in child.stdout:
                told = json.loads(line)
                if "failed" in told:
                    self._complaints.append(f"channel {told['failed']}: {told['why']}; the run is not affected")
                if told.get("arrived"):
                    self._arrived.set()
        self._broken = True
        self._arrived.set()

    # --- pictures -----------------------------------------------------------------------------

    def _kept(self, images: tuple[str, ...]) -> list[str]:
        """Copy pictures, so that the flow may remove its own; what is too much or not there is left out."""
        kept: list[str] = []
        for path in images:
            try:
                if len(kept) == _MOST_IMAGES or os.path.getsize(path) > _MOST_BYTES:  # noqa: PTH202 (as above)
                    _log(
                        f"{path} is not sent: at most {_MOST_IMAGES} pictures of {_MOST_BYTES >> 20} MB go with a note"
                    )
                    continue
                with open(path, "rb") as file:  # noqa: PTH123 (as above)
                    content = file.read(_MOST_BYTES)
                self._images += 1
                folder = f"{self._store}/{IMAGES}/{os.getpid()}/{self._images}"
                os.makedirs(folder, mode=0o700)  # noqa: PTH103 (as above)
                copy = f"{folder}/{os.path.basename(path)}"  # noqa: PTH119 (as above)
                with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 (as above)
                    file.write(content)
            except OSError as error:
                _log(f"{path} is not sent: {error.strerror or error}")
            else:
                kept.append(copy)
        return kept


def _log(text: str) -> None:
    import logging

    logging.getLogger(__name__).warning(text)
