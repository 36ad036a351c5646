"""Find the processes that descend from this one, and end processes that may be gone already.

Knows signals and ``/proc``; knows nothing of jobs, sockets or the head. Imports little: the reaper, which starts
without the rest of scriptflow, stands on it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
else:
    import _signal as signal  # the module ``signal`` without its enums: 5 of 12 ms of start-up

MARK = b"SCRIPTFLOW_JOB"
"""Names the job in the environment of all its processes; a job of a run within a job is ``outer/inner``."""

_PR_SET_CHILD_SUBREAPER = 36


def attempt(call: Callable[..., object], *values: object) -> None:
    """Do what may fail because its object is gone, or (a kill) belongs to another user, as under sudo."""
    try:  # noqa: SIM105 (contextlib costs start-up time, and two frames for each job)
        call(*values)
    except OSError:
        pass


def kill(pid: int) -> None:
    """Kill one process."""
    attempt(os.kill, pid, signal.SIGKILL)


def kill_group(pid: int) -> None:
    """Kill the process group that ``pid`` leads or led."""
    attempt(os.killpg, pid, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of all orphans among the processes that descend from this one (Linux)."""
    if sys.platform != "linux":
        return
    try:
        import _ctypes  # ctypes itself takes four times as long to import
    except ImportError:
        return  # then groups alone can be ended, as on macOS
    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None is this program
    _ctypes.call_function(prctl, (_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def own_children() -> set[int]:
    """Return the ids of this process's children, adopted ones too; empty where there is no ``/proc``."""
    me = os.getpid()
    listing = f"/proc/{me}/task/{me}/children"
    if os.path.exists(listing):
        return {int(pid) for pid in _read(listing).split()}
    # A kernel without that file: ask every process for its parent.
    word = b"%d" % me
    return {pid for pid in _all_pids() if _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1:2] == [word]}


def mark_of(pid: int) -> bytes:
    """Return the mark in the environment of process ``pid``, empty when it has none or may not be read."""
    environment = b"\0" + _read(f"/proc/{pid}/environ")
    return environment.partition(b"\0" + MARK + b"=")[2].partition(b"\0")[0]


def pids_with(words: bytes) -> set[int]:
    """Return the ids of all processes, but this one, that have ``words`` in their environment."""
    return {pid for pid in _all_pids() if pid != os.getpid() and words in _read(f"/proc/{pid}/environ")}


def _all_pids() -> Iterator[int]:
    names = os.listdir("/proc") if sys.platform == "linux" else ()
    return (int(name) for name in names if name.isdigit())


def _read(path: str) -> bytes:
    """Return what is in a file of ``/proc``, nothing when its process is gone or another user's."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return b""
