"""Start every local command of one head, and end all of them when the head ends.

A program of its own, started by ``core.process`` with ``python -I -S``: it imports one small module of ours and
little of the standard library, so that it works a few milliseconds after it was asked for. It reads requests
from a socket and writes back what became of them. It knows nothing of tasks, stores or event loops.

Being the parent of all commands and, on Linux, the adopter of their orphans, it can end what a command left
in other groups and sessions too. The descriptors it was given (the store's lock) stay open until the last of
them is gone, so no second head can start beside the commands of a dead one.
"""

from __future__ import annotations

import errno
import marshal
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    Message = tuple[Any, ...]  # of one of the shapes below
else:
    import _signal as signal  # the module ``signal`` without its enums: 5 of 12 ms of start-up

if TYPE_CHECKING or __package__:
    from scriptflow.executors.kin import MARK, adopt_orphans, attempt, kill, kill_group, mark_of, own_children
else:  # as a program: importing scriptflow would cost more than all the rest
    from kin import MARK, adopt_orphans, attempt, kill, kill_group, mark_of, own_children

# A frame is 4 bytes of length and a marshalled list of messages; a message begins with its kind.
BASE = 0  # (BASE, environment, what the marks of all jobs begin with)
START = 1  # (START, number, argv, environment to add or None, cwd, log, timeout_s or None, grace_s, mark)
STOP = 2  # (STOP, numbers, grace_s)
BEGAN = 3  # (BEGAN, number, pid): told late, and not at all of a job that ends before
ENDED = 4  # (ENDED, number, pid, began, ended, wait status, peak memory in bytes, CPU seconds, flags)
REFUSED = 5  # (REFUSED, number, errno, what, detail): the command never began, because of
PROGRAM, CWD, LOG, FORK, WORDS, STOPPED_EARLY = "program", "cwd", "log", "fork", "words", "stopped"
NOTE = 6  # (NOTE, text): a sentence for the user
BROKE = 7  # (BROKE, traceback): a bug of this program, which ends now
TIMED_OUT, STOPPED, KILLED = 1, 2, 4  # flags of ENDED: what was done to the job from here

NEVER = float("inf")
BEGAN_LATER_S = 0.02
SWEEP_LATER_S = 0.05
RETRY_FIRST_S, RETRY_MOST_S, RETRY_ENDS_S = 0.05, 2.0, 30.0
SHORTAGES = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class HeadGone(OSError):
    """Nobody is at the other end of the socket."""


class Child:
    """A job whose first process runs."""

    __slots__ = ("began", "clock", "flags", "grace_s", "mark", "number")

    def __init__(self, number: int, began: float, grace_s: float, mark: bytes) -> None:
        self.number, self.began, self.grace_s, self.mark = number, began, grace_s, mark
        self.clock = time.time() - began  # one for both ends, so that no clock set back makes a job end before it began
        self.flags = 0


class Reaper:
    """The loop: requests, ends of children, alarms; one write to the head per turn."""

    def __init__(self, link: int) -> None:
        self.link = link
        self.poll = select.poll()
        self.unread, self.unsent = bytearray(), b""
        self.out: list[Message] = []
        self.base: dict[bytes, bytes] = {}
        self.outer = b""
        self.found: dict[tuple[bytes, bytes], bytes] = {}  # (PATH, program) to its file
        self.children: dict[int, Child] = {}  # by process id
        self.pids: dict[int, int] = {}  # by job number
        self.untold: dict[int, int] = {}  # those of ``pids`` that the head has not heard of
        self.deadlines: dict[int, float] = {}  # by process id: when to TERM it, or after that to KILL it
        self.alarms: dict[Callable[[float], None], float] = {}
        self.due = NEVER  # the earliest alarm
        self.short: list[Message] = []  # starts that wait until the machine has room for a process
        self.short_since = self.short_delay = 0.0

    def serve(self, head: int) -> None:
        """Work until the head is gone, which is told by HeadGone."""
        wake, wake_writer = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wake_writer, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        self.poll.register(wake, select.POLLIN)
        self.poll.register(self.link, select.POLLIN)
        # A fork of the head shares the socket, which then does not end with the head.
        if hasattr(os, "pidfd_open"):
            attempt(lambda: self.poll.register(os.pidfd_open(head), select.POLLIN))
        if os.getppid() != head:
            raise HeadGone
        while True:
            rest = self.due - time.monotonic()
            # Counted in 32 bits of milliseconds: a month would not fit.
            ready = self.poll.poll(None if rest == NEVER else max(0, int(min(rest, 1e6) * 1000) + 1))
            # Ends before requests: a job that has ended was not stopped by the request behind its end.
            for fd, _ in ready:
                if fd == wake:
                    os.read(wake, 4096)
                    self._reap()
            for fd, event in ready:
                if fd == self.link:
                    if event != select.POLLOUT:
                        self._read()
                elif fd != wake:
                    raise HeadGone
            if (now := time.monotonic()) >= self.due:
                self._ring(now)
            if self.out or self.unsent:
                self.flush()

    def end_all(self) -> None:
        """Kill all that descends from here, and return when none is left."""
        for pid in self.children:
            kill_group(pid)
        struck: set[int] = set()
        while True:
            for pid in own_children() - struck:
                struck.add(pid)
                kill(pid)
            # What a dead process leaves becomes ours with its death, so look again after each.
            try:
                struck.discard(os.waitpid(-1, 0)[0])
                while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                    struck.discard(pid)
            except ChildProcessError:
                return

    def _read(self) -> None:
        try:
            data = os.read(self.link, 1 << 15)
        except BlockingIOError:
            return
        except OSError as error:
            raise HeadGone from error
        if not data:
            raise HeadGone
        unread = self.unread
        unread += data
        while len(unread) >= 4 and len(unread) >= (end := 4 + int.from_bytes(unread[:4], "little")):
            messages = marshal.loads(unread[4:end])  # noqa: S302 (from the head that started us)
            del unread[:end]
            for message in messages:
                if message[0] == STOP:
                    self._stop(message[1], message[2])
                elif message[0] == BASE:
                    _, self.base, self.outer = message
                elif self.short:  # in turn
                    self.short.append(message)
                else:
                    self._start(message)

    def flush(self) -> None:
        """Write what there is to tell, without ever waiting: timeouts hold also while the head is stopped."""
        data = self.unsent
        if self.out:
            frame = marshal.dumps(self.out)
            self.out.clear()
            data += len(frame).to_bytes(4, "little") + frame
        try:
            sent = os.write(self.link, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise HeadGone from error
        if self.unsent or sent < len(data):
            self.unsent = data[sent:]
            self.poll.modify(self.link, select.POLLIN | (select.POLLOUT if self.unsent else 0))

    def _call(self, what: Callable[[float], None], at: float) -> None:
        """Have ``what`` called at ``at``, or earlier when that is already set."""
        if at < self.alarms.get(what, NEVER):
            self.alarms[what] = at
            self.due = min(self.due, at)

    def _ring(self, now: float) -> None:
        for what in [what for what, at in self.alarms.items() if at <= now]:
            del self.alarms[what]
            what(now)
        self.due = min(self.alarms.values(), default=NEVER)

    def _tell_begun(self, _now: float) -> None:
        self.out.extend((BEGAN, number, pid) for number, pid in self.untold.items())
        self.untold.clear()

    def _end_late(self, now: float) -> None:
        """TERM to jobs past their time, KILL to those past their grace."""
        for pid in [pid for pid, at in self.deadlines.items() if at <= now]:
            child = self.children[pid]
            if child.flags:
                self._kill(pid, child)
            else:
                self._end(pid, TIMED_OUT, child.grace_s, now)
        self._call(self._end_late, min(self.deadlines.values(), default=NEVER))

    def _start(self, message: Message) -> bool:
        """Start one job or refuse it; False when the machine has no room for it now."""
        _, number, argv, extra, cwd, log, timeout_s, grace_s, mark = message
        env = {**self.base, **extra} if extra else self.base
        env[MARK] = mark
        file = argv[0]
        began = time.monotonic()
        try:
            os.chdir(cwd)
            if b"/" not in file:
                file = self._find(file, env.get(b"PATH", os.defpath.encode()))
            both = ((os.POSIX_SPAWN_OPEN, 1, log, _LOG_FLAGS, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2))
            pid = os.posix_spawn(file, argv, env, file_actions=both, setpgroup=0)
        except OSError as error:
            return self._refuse(message, file, error.errno)
        except ValueError as error:  # a NUL in a word, "=" in a variable's name
            self.out.append((REFUSED, number, errno.EINVAL, WORDS, str(error)))
            return True
        self.children[pid] = Child(number, began, grace_s, mark)
        self.pids[number] = pid
        if not self.untold:
            self._call(self._tell_begun, began + BEGAN_LATER_S)
        self.untold[number] = pid
        if timeout_s is not None:
            self.deadlines[pid] = began + timeout_s
            self._call(self._end_late, self.deadlines[pid])
        return True

    def _find(self, program: bytes, path: bytes) -> bytes:
        """Look ``program`` up; OSError with ENOENT when it is nowhere, EACCES when nowhere a program."""
        if (found := self.found.get((path, program))) is not None:
            return found
        refusal = errno.ENOENT
        for entry in path.split(b":"):
            file = (entry or b".") + b"/" + program
            if os.path.isfile(file):
                if os.access(file, os.X_OK):
                    if entry.startswith(b"/"):  # any other depends on the job's folder
                        self.found[path, program] = file
                    return file
                refusal = errno.EACCES
        raise OSError(refusal, "")

    def _refuse(self, message: Message, file: bytes, number: int | None) -> bool:
        """Find out why a start failed, since spawning gives one error number for the whole of it."""
        _, job, argv, _, cwd, log, *_ = message
        if number in SHORTAGES:
            return self._postpone(message, number)
        if file != argv[0] and self.found and not os.access(file, os.X_OK):
            self.found.clear()  # the program was moved: look again
            return self._start(message)
        what, detail = CWD, cwd
        try:
            os.chdir(cwd)
            what, detail = LOG, log
            os.close(os.open(log, _LOG_FLAGS, 0o600))
            what, detail = PROGRAM, file
        except OSError as error:
            number = error.errno
        self.out.append((REFUSED, job, number, what, os.fsdecode(detail)))
        return True

    def _postpone(self, message: Message, number: int) -> bool:
        """Try again later: as long as jobs of ours run and may make room, and then for 30 seconds."""
        now = time.monotonic()
        if not self.short:
            self.short.append(message)
            if not self.short_delay:  # the first time
                self.out.append((NOTE, f"no room for another process now ({os.strerror(number)}): waiting for some"))
            self.short_since, self.short_delay = now, RETRY_FIRST_S
        elif self.children:
            self.short_since = now
        elif now - self.short_since > RETRY_ENDS_S:
            self.out.append((REFUSED, message[1], number, FORK, ""))
            return True
        self._call(self._try_short, now + self.short_delay)
        self.short_delay = min(self.short_delay * 2, RETRY_MOST_S)
        return False

    def _try_short(self, now: float) -> None:
        while self.short and self._start(self.short[0]):
            if self.short.pop(0)[1] in self.pids:
                self.short_since, self.short_delay = now, RETRY_FIRST_S

    def _stop(self, numbers: Iterable[int], grace_s: float) -> None:
        now = time.monotonic()
        for number in numbers:
            pid = self.pids.get(number)
            if pid is not None:
                self._end(pid, STOPPED, grace_s, now)
            elif waiting := [message for message in self.short if message[1] == number]:
                self.short.remove(waiting[0])
                self.out.append((REFUSED, number, 0, STOPPED_EARLY, ""))

    def _end(self, pid: int, flag: int, grace_s: float, now: float) -> None:
        """TERM now and KILL after the grace; told again, the earlier KILL holds, and the first reason."""
        child = self.children[pid]
        kill_at = min(now + grace_s, self.deadlines.get(pid, NEVER) if child.flags else NEVER)
        child.flags = child.flags or flag
        if grace_s <= 0:
            self._kill(pid, child)
            return
        attempt(os.killpg, pid, signal.SIGTERM)
        attempt(os.killpg, pid, signal.SIGCONT)  # a stopped process hears TERM when it goes on
        self.deadlines[pid] = kill_at
        self._call(self._end_late, kill_at)

    def _kill(self, pid: int, child: Child) -> None:
        child.flags |= KILLED
        self.deadlines.pop(pid, None)
        kill_group(pid)

    def _reap(self) -> None:
        """Take in all children that have ended, and kill what is left of their groups."""
        now = time.monotonic()
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            child = self.children.pop(pid, None)
            if child is None:
                continue
            # The number cannot mean another group yet: while this one has members the kernel keeps it,
            # and else a whole round of numbers lies before its next use.
            kill_group(pid)
            number = child.number
            del self.pids[number]
            self.untold.pop(number, None)
            self.deadlines.pop(pid, None)
            rss, cpu_s = usage.ru_maxrss * _RSS_UNIT, usage.ru_utime + usage.ru_stime
            began, ended = child.began + child.clock, now + child.clock
            self.out.append((ENDED, number, pid, began, ended, status, rss, cpu_s, child.flags))
        self._call(self._sweep, now + SWEEP_LATER_S)
        if self.short:
            self._call(self._try_short, 0.0)

    def _sweep(self, _now: float) -> None:
        """Kill what ended jobs left in other groups and sessions: orphans, hence our own children now.

        An orphan of a job that still runs is let be. One without a mark (its environment is gone or may not
        be read) could belong to any job, so it goes when none runs.
        """
        strays = own_children() - self.children.keys()
        running = {child.mark for child in self.children.values()} if strays else set()
        for pid in strays:
            mark = mark_of(pid)
            if mark and mark.startswith(self.outer):
                spared = any(mark == other or mark.startswith(other + b"/") for other in running)
            else:
                spared = bool(running)
            if not spared:
                kill(pid)


def _heard(*_: object) -> None:
    """Do nothing with a signal; unlike an ignored one it is back to its default in the programs we start."""


def _settle(keep: Sequence[int]) -> None:
    """Become a process that only the head's end can end, and that hands nothing on to its children."""
    fds = [int(entry) for entry in os.listdir("/dev/fd")] if os.path.isdir("/dev/fd") else range(256)
    for fd in {*fds} - {0, 1, 2, *keep}:
        attempt(os.close, fd)  # fails for the one that listed them
    for fd in keep:
        os.set_inheritable(fd, False)
    # Batch systems send USR1, XCPU and others to all processes of a job. Faults keep their meaning.
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP}
    for number in signal.valid_signals() - faults - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, _heard)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    adopt_orphans()


def main(link: int, head: int, keep: Sequence[int]) -> None:
    """Run the program: ``link`` is the socket to the process ``head``, ``keep`` the descriptors to hold."""
    reaper = Reaper(link)
    try:
        _settle((link, *keep))
        os.set_blocking(link, False)
        reaper.serve(head)
    except HeadGone:
        pass
    except BaseException:  # noqa: BLE001 (whatever it is, the commands must end, and the head should hear of it)
        import traceback

        reaper.out.append((BROKE, traceback.format_exc()))
        attempt(reaper.flush)
    reaper.end_all()
    os._exit(0)
