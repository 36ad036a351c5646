"""Resident workers of one head: programs that take one request after the other, so that each need not start anew.

A worker is started through the reaper like any command, connects to a socket that is its own, and then gets one line
of JSON for each job (log, cwd, env, request) and answers with one (code, cpu_s, rss). It is stopped, timed out and
found dead like a command, and the next job starts another. Knows jobs and sockets; knows nothing of what is asked.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState
from scriptflow.executors import reaper as words
from scriptflow.executors import reports

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from scriptflow.core.job import Job
    from scriptflow.executors.reaper import Message

log = logging.getLogger(__name__)
_LONGEST_ADDRESS = 100  # bytes; systems take 104 to 108


class _Worker:
    """One resident worker; ``link`` is None until it has connected."""

    def __init__(self, number: int, server: tuple[str, ...], folder: str, door: socket.socket) -> None:
        self.number = number
        self.server = server
        self.folder = folder
        self.door: socket.socket | None = door
        self.link: socket.socket | None = None
        self.job: Job | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.began = 0.0
        self.cpu_s = 0.0
        self.flag = 0
        self.dying = False
        self.unread = b""
        self.unsent = b""

    def shut_door(self) -> None:
        """Take no connection any more."""
        if self.door is not None:
            self.door.close()
            self.door = None
            with suppress(OSError):
                os.unlink(f"{self.folder}/door")  # noqa: PTH108 (with its folder, below)
            with suppress(OSError):
                os.rmdir(self.folder)  # noqa: PTH106 (as above)


class Warm:
    """The resident workers of one executor. All on the loop's thread.

    Args:
        loop: where their sockets are heard.
        send: hands messages to the reaper.
        report: tells of a job's end by number and report; ``more`` says whether others follow at once.
        host: this machine's name, for reports.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[Sequence[Message]], None],
        report: Callable[..., None],
        host: str,
    ) -> None:
        self._loop = loop
        self._send = send
        self._report = report
        self._host = host
        self._workers: dict[int, _Worker] = {}
        self._idle: list[_Worker] = []
        self._by_job: dict[int, _Worker] = {}
        self._last = 0

    def take(self, jobs: Sequence[Job]) -> None:
        """Give each job a worker, starting as many as are missing."""
        for job in jobs:
            server = tuple((job.warm or {})["server"])
            worker = next((one for one in reversed(self._idle) if one.server == server), None)
            if worker is not None:
                self._idle.remove(worker)
            else:
                try:
                    worker = self._start(job, server)
                except OSError as error:
                    self._report(job.number, reports.never_began(f"no worker can be started: {error}", self._host))
                    continue
            worker.job, worker.flag = job, 0
            self._by_job[job.number] = worker
            if worker.link is not None:
                self._ask(worker)

    def stop(self, number: int, grace_s: float) -> None:
        """End a job by ending its worker: TERM, and KILL after ``grace_s``."""
        if (worker := self._by_job.get(number)) is not None:
            self._end(worker, words.STOPPED, grace_s)

    def heard(self, message: Message) -> None:
        """Hear from the reaper that a worker has ended, or could not be started."""
        worker = self._workers.pop(message[1], None)
        if worker is None:
            return
        worker.dying = True
        if worker in self._idle:
            self._idle.remove(worker)
        if message[0] == words.ENDED:
            self._hear(worker)  # an answer may have come just before
        job = worker.job
        self._let_go(worker)
        if job is None or worker.job is None:
            return
        if message[0] == words.REFUSED:
            refusal = (words.REFUSED, job.number, *message[2:])
            self._done(worker, reports.refused(refusal, job, os.environ.get("PATH", ""), self._host))
        else:
            self._done(worker, self._death(worker, message))

    def close(self) -> None:
        """Let go of all; the reaper ends them."""
        for worker in self._workers.values():
            self._let_go(worker)
        self._workers.clear()
        self._idle.clear()

    def lose(self) -> None:
        """Forget all, as the reaper that had them has died; their jobs are given up elsewhere."""
        self.close()
        for worker in self._by_job.values():
            if worker.timer is not None:
                worker.timer.cancel()
        self._by_job.clear()

    # --- workers --------------------------------------------------------------------------------

    def _start(self, job: Job, server: tuple[str, ...]) -> _Worker:
        """Start a worker for ``job``, whose log takes what it says until it has been asked."""
        folder = tempfile.mkdtemp(prefix="sf-")
        if len(os.fsencode(folder)) > _LONGEST_ADDRESS - len("/door"):
            os.rmdir(folder)  # noqa: PTH106 (just made)
            folder = tempfile.mkdtemp(prefix="sf-", dir="/tmp")
        door = socket.socket(socket.AF_UNIX)
        self._last -= 1
        worker = _Worker(self._last, server, folder, door)
        try:
            door.bind(f"{folder}/door")
            door.listen(1)
        except OSError:
            worker.shut_door()
            raise
        door.setblocking(False)
        self._workers[worker.number] = worker
        self._loop.add_reader(door, self._let_in, worker)
        argv = [os.fsencode(word) for word in (*server, "--serve", f"{folder}/door")]
        mark = os.fsencode(f"{job.run}:w{-worker.number}")
        cwd, log_path = os.fsencode(job.cwd), os.fsencode(job.log)
        self._send([(words.START, worker.number, argv, None, cwd, log_path, None, job.grace_s, mark)])
        return worker

    def _let_in(self, worker: _Worker) -> None:
        if worker.door is None:
            return
        try:
            link, _ = worker.door.accept()
        except OSError:
            return
        self._loop.remove_reader(worker.door)
        worker.shut_door()
        link.setblocking(False)
        worker.link = link
        self._loop.add_reader(link, self._hear, worker)
        if worker.job is not None:
            self._ask(worker)
        else:
            self._idle.append(worker)

    def _let_go(self, worker: _Worker) -> None:
        if worker.door is not None:
            self._loop.remove_reader(worker.door)
            worker.shut_door()
        if worker.link is not None:
            self._loop.remove_reader(worker.link)
            self._loop.remove_writer(worker.link)
            worker.link.close()
            worker.link = None

    # --- jobs -----------------------------------------------------------------------------------

    def _ask(self, worker: _Worker) -> None:
        job = worker.job
        assert job is not None and job.warm is not None  # noqa: S101 (it was given one that is)
        asked = {"log": job.log, "cwd": job.cwd, "env": dict(job.env), "request": job.warm["request"]}
        worker.began = time.time()
        worker.unsent = json.dumps(asked).encode() + b"\n"
        if job.timeout_s is not None:
            worker.timer = self._loop.call_later(job.timeout_s, self._end, worker, words.TIMED_OUT, job.grace_s)
        self._write(worker)

    def _write(self, worker: _Worker) -> None:
        if worker.link is None:
            return
        try:
            sent = worker.link.send(worker.unsent, getattr(socket, "MSG_NOSIGNAL", 0))
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it has died, as the reaper will tell
        worker.unsent = worker.unsent[sent:]
        if worker.unsent:
            self._loop.add_writer(worker.link, self._write, worker)
        else:
            self._loop.remove_writer(worker.link)

    def _hear(self, worker: _Worker) -> None:
        """Take a worker's answer."""
        if worker.link is None:
            return
        try:
            data = worker.link.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(worker.link)  # the reaper will tell why
            worker.dying = True
            return
        worker.unread += data
        if not worker.unread.endswith(b"\n") or worker.job is None:
            return
        line, worker.unread = worker.unread, b""
        try:
            report = self._report_of(worker, json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("a worker's answer cannot be read: %s", error)
            self._end(worker, words.STOPPED, 0.0)
            return
        self._done(worker, report)

    def _report_of(self, worker: _Worker, answer: dict[str, Any]) -> JobReport:
        code = int(answer["code"])
        if answer.get("began") is False:
            return reports.never_began(str(answer["detail"]), self._host, code)
        cpu_s = float(answer["cpu_s"])
        worker.cpu_s += cpu_s
        return JobReport(
            state=JobState.FAILED if code else JobState.SUCCEEDED, exit_code=code, cause=Cause.EXIT if code else None,
            began=worker.began, ended=time.time(), max_rss_bytes=answer["rss"], cpu_s=cpu_s, host=self._host,
            pid=answer.get("pid"),
        )  # fmt: skip

    def _done(self, worker: _Worker, report: JobReport) -> None:
        job, worker.job = worker.job, None
        if worker.timer is not None:
            worker.timer.cancel()
            worker.timer = None
        if job is not None:
            self._by_job.pop(job.number, None)
            if not worker.dying:
                self._idle.append(worker)
            self._report(job.number, report, more=False)

    def _end(self, worker: _Worker, flag: int, grace_s: float) -> None:
        """End a worker that is at work; the first reason counts."""
        worker.flag = worker.flag or flag
        worker.dying = True
        self._send([(words.STOP, (worker.number,), grace_s)])

    def _death(self, worker: _Worker, message: Message) -> JobReport:
        """Report the job of a worker that ended without an answer."""
        _, _, pid, began, ended, status, rss, cpu_s, flags = message
        told = worker.flag | (flags & words.KILLED if worker.flag else 0)
        end = (
            words.ENDED, worker.job.number if worker.job else 0, pid, worker.began or began, ended, status, rss,
            max(0.0, cpu_s - worker.cpu_s), told,
        )  # fmt: skip
        if status == 0 and not told:
            detail = "the process of the function ended before the function returned"
            return JobReport(
                state=JobState.FAILED, exit_code=0, cause=Cause.EXIT, began=worker.began or began, ended=ended,
                max_rss_bytes=rss, cpu_s=cpu_s, host=self._host, pid=pid, detail=detail,
            )  # fmt: skip
        return reports.ended(end, self._host)
