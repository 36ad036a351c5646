"""The program that makes calls of functions: one from a file, or one after the other as its head asks.

Knows a socket, logs and what a call costs. Knows nothing of how a call is made.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from time import process_time
from typing import TYPE_CHECKING

from scriptflow.functions import runner

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from typing import Any

_FAILED = 1
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_CHILDREN = f"/proc/self/task/{os.getpid()}/children"
_FORGET_PEAK = "/proc/self/clear_refs"


def attempt(request: str) -> int:
    """Make a call; return the exit code that a process of its own would have."""
    try:
        runner.run(request)
    except SystemExit as leave:
        sys.stderr.write(f"the function called sys.exit({leave.code!r}); a task returns\n")
        return leave.code if isinstance(leave.code, int) and leave.code else _FAILED
    except BaseException as error:  # noqa: BLE001 (whatever the function raises is the end of this call alone)
        runner.tell(error)
        return _FAILED
    return 0


def serve(address: str) -> None:
    """Make one call after the other for the head that listens at ``address``, until it is gone."""
    import socket

    link = socket.socket(socket.AF_UNIX)
    link.connect(address)
    unread = b""
    with link:
        while chunk := link.recv(1 << 16):
            unread += chunk
            if not unread.endswith(b"\n"):
                continue
            line, unread = unread, b""
            _answer(link, _one(json.loads(line)))


def _answer(link: socket.socket, answer: Mapping[str, Any]) -> None:
    link.sendall(json.dumps(answer).encode() + b"\n")


def _one(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make one call as if in a process of its own: its log, folder and environment, and what it left running."""
    environment = _environment()
    try:
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.chdir(asked["cwd"])
    except OSError as error:
        return {"code": 126, "detail": f"its folder or its log cannot be used: {error}", "began": False}
    os.environ.update(asked["env"])
    _forget_peak()
    before = _cpu_s()
    code = attempt(asked["request"])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if _environment() != environment:
        os.environ.clear()
        os.environ.update({os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()})
    _end_children()
    return {"code": code, "cpu_s": _cpu_s() - before, "rss": _peak(), "pid": os.getpid()}


def _environment() -> dict[bytes, bytes]:
    """Return a copy of the environment, as the bytes that it is kept in: as text, each call would decode it twice."""
    kept: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # there is no other way to the bytes at once
    return dict(kept)


def _cpu_s() -> float:
    """Return user and system time of this process and of its children that have ended."""
    times = os.times()
    return process_time() + times.children_user + times.children_system


def _peak() -> int | None:
    """Return the most memory that was in use since it was last forgotten, in bytes."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


def _forget_peak() -> None:
    """Let the peak of memory begin anew, so that one call's is not the next one's (Linux)."""
    with contextlib.suppress(OSError):
        fd = os.open(_FORGET_PEAK, os.O_WRONLY)
        try:
            os.write(fd, b"5")
        finally:
            os.close(fd)


def _end_children() -> None:
    """End the processes that a call has started and left: nothing of a job outlives it."""
    try:
        with open(_CHILDREN, "rb", buffering=0) as listing:
            pids = listing.read().split()
    except OSError:
        return
    import signal

    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)


def main(words: list[str]) -> int:
    """Run the program: ``--serve ADDRESS``, or ``module:function CALLFILE``."""
    # The log has lines in the order they were said, also beside those of programs, and up to the moment of a crash.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text file as long as we began here
    if words[:1] == ["--serve"]:
        serve(words[1])
        return 0
    with open(words[1], encoding="utf-8") as file:
        return attempt(file.read())


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.exit(code)
