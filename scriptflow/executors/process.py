"""Talk to the reaper, the one small process through which all local commands are started.

The head's end of ``executors.reaper``: starts that program, packs requests, unpacks what became of them. Knows nothing
of event loops, tasks or reports.
"""

from __future__ import annotations

import marshal
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.executors import kin
from scriptflow.executors.reaper import BASE, BEGAN, BROKE, ENDED, REFUSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scriptflow.executors.reaper import Message

_TOKEN = b"SCRIPTFLOW_HEAD"  # in the environment of all that one reaper starts, so that a dead one's can be found
_CLOSES_WITHIN_S = 5.0
_DIE_WITHIN_S = 1.0
_PROGRAM = "import sys; sys.path.append({folder!a}); import reaper; reaper.main({link}, {head}, {keep})"


def path_with_interpreter(path: str) -> str:
    """Return ``path`` with the folder of the interpreter that runs the flow in front."""
    ours = str(Path(sys.executable).parent)
    return path if path.split(os.pathsep, 1)[0] == ours else f"{ours}{os.pathsep}{path}"


class Reaper:
    """A running reaper. ``send`` and ``flush`` may be called on any thread, the rest on one.

    Attributes:
        dead: the other end is gone; ``why`` says so in a sentence.
        backlog: requests wait for room in the socket: call ``flush`` when it can be written.
        outer: what the mark of each job must begin with.
        search: the jobs' PATH.
    """

    def __init__(self, env: Mapping[str, str], inherit: Sequence[int] = ()) -> None:
        """Start it; the descriptors ``inherit`` stay open in it until the last command has ended.

        Raises:
            OSError: no process or no descriptor can be had.
        """
        self.search = path_with_interpreter(env.get("PATH", os.defpath))
        base = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        base[b"PATH"] = os.fsencode(self.search)
        self._token = b"%d-%d" % (os.getpid(), time.time_ns())
        base[_TOKEN] = self._token + b"/" + base.get(_TOKEN, b"")
        self.outer = base[kin.MARK] + b"/" if kin.MARK in base else b""
        self.dead = self.backlog = False
        self.why = "the process that starts commands has died"
        self._lock = threading.Lock()
        self._unsent, self._unread = bytearray(), bytearray()
        self._pids: dict[int, int] = {}  # by job number
        self._link, theirs = socket.socketpair()
        with theirs:
            self._link.setblocking(False)
            try:
                self._pid = _spawn(theirs.fileno(), inherit)
            except OSError:
                self._link.close()
                raise
        self.send([(BASE, base, self.outer)])

    def fileno(self) -> int:
        """Return the descriptor to wait on for ``read`` and ``flush``."""
        return self._link.fileno()

    def send(self, messages: Sequence[Message]) -> None:
        """Hand requests over in one frame, at once or when there is room; never wait."""
        frame = marshal.dumps(list(messages))
        with self._lock:
            self._unsent += len(frame).to_bytes(4, "little") + frame
            if not self.backlog:
                self._send_some()

    def flush(self) -> None:
        """Write more of what waits."""
        with self._lock:
            self._send_some()

    def _send_some(self) -> None:
        try:
            sent = self._link.send(self._unsent, getattr(socket, "MSG_NOSIGNAL", 0))
        except BlockingIOError:
            sent = 0
        except OSError:  # it has died: ``read`` will find that out
            sent = len(self._unsent)
        del self._unsent[:sent]
        self.backlog = bool(self._unsent)

    def read(self) -> list[Message]:
        """Return what has come: ENDED, REFUSED and NOTE messages. Sets ``dead`` when nothing more can come."""
        try:
            data = self._link.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self.dead = not data
        unread = self._unread
        unread += data
        messages: list[Message] = []
        while len(unread) >= 4 and len(unread) >= (end := 4 + int.from_bytes(unread[:4], "little")):
            for message in marshal.loads(unread[4:end]):  # noqa: S302 (from a program of ours)
                kind = message[0]
                if kind == BEGAN:
                    self._pids[message[1]] = message[2]
                elif kind == BROKE:
                    self.why = f"the process that starts commands broke: {message[1]}"
                else:
                    if kind in (ENDED, REFUSED):
                        self._pids.pop(message[1], None)
                    messages.append(message)
            del unread[:end]
        return messages

    def end_lost(self) -> None:
        """Kill all commands of a reaper that has died, as far as they can be found."""
        for pid in self._pids.values():
            kin.kill_group(pid)
        # Their orphans went to other parents; the token tells them from everything else on the machine.
        limit = time.monotonic() + _DIE_WITHIN_S
        while (found := kin.pids_with(_TOKEN + b"=" + self._token + b"/")) and time.monotonic() < limit:
            for pid in found:
                kin.kill(pid)
        self._wait()

    def close(self) -> None:
        """Have it kill what still runs, and wait until it is gone; not for ever, as a process may be unkillable."""
        if not self.dead:
            with suppress(OSError):  # when it takes too long it stays until its commands end, and holds the lock
                self._link.shutdown(socket.SHUT_WR)  # to it this is the head's death, the one end it knows
                self._link.settimeout(_CLOSES_WITHIN_S)
                while self._link.recv(1 << 16):
                    pass
                self._wait()
        self._link.close()

    def _wait(self) -> None:
        with suppress(ChildProcessError):  # the flow's own code may wait for any child
            os.waitpid(self._pid, 0)


def _spawn(link: int, inherit: Sequence[int]) -> int:
    """Start the program with ``link`` and ``inherit`` open in it and nothing else of ours."""
    sources = [link, *inherit]
    free = (fd for fd in range(3, 4 + 2 * len(sources)) if fd not in sources)
    # A copy under another number is open in the new program; under its own it would not be (glibc before 2.29).
    copies = dict(zip(sources, free, strict=False))
    program = _PROGRAM.format(
        folder=str(Path(__file__).parent),
        link=copies[link],
        head=os.getpid(),
        keep=[copies[fd] for fd in inherit],
    )
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", program],
        os.environ,
        file_actions=[
            *((os.POSIX_SPAWN_DUP2, source, copy) for source, copy in copies.items()),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ],
        setsid=True,
        setsigmask=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP],  # until it has set itself up
    )
