"""One run, opened and closed: its store, its row, its head and executors put together from settings.

The one place that knows store, executors and listeners at once; nothing here decides or shows.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from time import time

from scriptflow.core.states import RunState
from scriptflow.engine.bus import Bus
from scriptflow.engine.drive import EXIT_CODES
from scriptflow.engine.head import Head
from scriptflow.engine.selection import Selection
from scriptflow.errors import ScriptflowError, StoreLost, StoreUnwritable, UsageError
from scriptflow.outcome import Failure, RunResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from scriptflow.core.config import Settings
    from scriptflow.core.interfaces import Executor, Listener
    from scriptflow.core.records import JobRecord, RunCounts
    from scriptflow.engine.dispatch import Dispatcher
    from scriptflow.engine.life import Life
    from scriptflow.engine.pools import Pools
    from scriptflow.outcome import RunOptions
    from scriptflow.store.sqlite import SqliteStore

STORE = ".scriptflow"
VERSION = "1.0.0.dev0"
_NAMED = 5


class Session:
    """A store, its row for this run, and the head that works with them."""

    def __init__(
        self, folder: str, flow: str, params: Mapping[str, object], settings: Settings, options: RunOptions,
        listeners: Sequence[Listener],
    ) -> None:  # fmt: skip
        from scriptflow.core.machine import host_name
        from scriptflow.core.records import RunStart
        from scriptflow.engine.here import git_commit, user
        from scriptflow.store.sqlite import SqliteStore

        self.folder = folder
        self.flow = flow
        self.settings = settings
        self.options = options
        self.started = time()
        self.bus = Bus((*self._tellers(), *listeners))
        self.store: SqliteStore = SqliteStore.open(f"{folder}/{STORE}", relative=True, notice=self._note)
        try:
            if self.store.unfinished:  # before the run that was cut short is closed: this one may be cut short too
                from scriptflow.engine.outputs import clear_markers

                clear_markers([os.path.join(folder, path) for path in self.store.unfinished])
            self.run_id, self.run = self.store.begin_run(
                RunStart(
                    flow=flow, name=options.name, tags=options.tags, params=params, argv=options.argv,
                    started=self.started, host=host_name(), user=user(), pid=os.getpid(), git=git_commit(folder),
                    python=sys.version.split()[0], version=VERSION,
                )
            )  # fmt: skip
            self.head = Head(
                folder=folder, store=self.store, latest=self.store.latest(), settings=settings, bus=self.bus,
                dispatcher=self._dispatcher, selection=selection_of(settings, options),
            )  # fmt: skip
        except BaseException:
            self.store.close()
            raise
        self._sweep_inbox()
        self.store.on_failure = self.store.on_lost = self._store_failed
        self.keeper: AsyncGenerator[None, None] | None = None
        self._executors: dict[str, Executor] = {}
        self._tell_start()

    def _sweep_inbox(self) -> None:
        """Answer what was asked while nobody was here to hear it."""
        if os.path.isdir(f"{self.folder}/{STORE}/inbox"):
            from scriptflow.store.inbox import Inbox

            Inbox(f"{self.folder}/{STORE}").sweep()

    def _tell_start(self) -> None:
        if self.bus:
            from scriptflow.core.events import RunStarted

            store = f"{self.folder}/{STORE}"
            self.bus.publish(
                RunStarted(at=self.started, run=self.run, flow=self.flow, store=store, resumed=self.store.resumed)
            )

    def _tellers(self) -> list[Listener]:
        """Make who tells people and a server, when any are to be told.

        Raises:
            SettingsError: how they are to be told cannot be used.
        """
        settings, store = self.settings, f"{self.folder}/{STORE}"
        tellers: list[Listener] = []
        if settings.notify:
            from scriptflow.notices.channels import read_channels
            from scriptflow.notices.herald import Herald

            channels = read_channels(settings.notify, settings.place_of("notify"))
            if channels:
                tellers.append(Herald(settings.notify, channels, store, self._say))
        if settings.server:
            from functools import partial

            from scriptflow.engine.here import user
            from scriptflow.sending.options import read_server, token_of
            from scriptflow.sending.sender import Sender
            from scriptflow.store.inbox import post

            server = read_server(settings.server, self.folder, settings.place_of("server"))
            about = {"user": user(), "pid": os.getpid(), "python": sys.version.split()[0], "version": VERSION}
            if server is not None:
                tellers.append(Sender(server, token_of(server), store, about, self._say, wish=partial(post, store)))
        return tellers

    def _note(self, text: str) -> None:
        self._say("warning", "store", text)

    def _say(self, level: str, slug: str, text: str, *, notes: Sequence[str] = (), do: str = "") -> None:
        if self.bus:
            from scriptflow.core.events import Message

            self.bus.publish(Message(at=time(), level=level, slug=slug, text=text, notes=tuple(notes), help=do))

    def _store_failed(self, error: ScriptflowError) -> None:
        """Hear, on the write thread, that the store takes nothing more: start nothing, finish what runs."""
        self.head.failure = self.head.failure or error
        if self.head.loop is not None and self.head.works:
            with suppress(RuntimeError):  # the run is over and its loop closed
                self.head.loop.call_soon_threadsafe(self.head.dispatcher.stop, error.what, None)

    def _dispatcher(self, head: Head) -> Dispatcher:
        from scriptflow.engine.dispatch import Dispatcher
        from scriptflow.store.inbox import Inbox

        head.mailbox = Inbox(f"{self.folder}/{STORE}")
        logs = f"{self.folder}/{STORE}/logs"
        try:
            os.makedirs(logs, mode=0o700, exist_ok=True)
            os.makedirs(f"{logs}/{self.run}", mode=0o700, exist_ok=True)
            os.close(os.open(f"{self.folder}/{STORE}/blank", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        except OSError as error:
            raise StoreUnwritable(
                f"cannot make a folder for logs in {logs}", why=error.strerror or str(error), do="check its permissions"
            ) from error
        keep_log(f"{self.folder}/{STORE}/scriptflow.log")
        return Dispatcher(
            head, self._make_pools(), self._executors.__getitem__, run=self.run, run_id=self.run_id,
            store_folder=f"{self.folder}/{STORE}", executor=self.options.executor, fail_fast=self.settings.fail_fast,
            left=self._left_jobs(),
        )  # fmt: skip

    def _left_jobs(self) -> list[JobRecord]:
        """Return the jobs of earlier heads that tasks of this run may join, with their files."""
        left: list[JobRecord] = []
        for job in self.store.left_jobs():
            executor = self._executors.get(job.executor)
            if executor is None:
                self._say(
                    "warning", "jobs-left", f"a job of {job.run} ran on {job.executor}, which is not set up any more",
                    notes=(f"task {job.task}, {job.executor_id or 'its number there is not known'}",),
                )  # fmt: skip
            elif executor.capabilities.reattaches:
                left.append(job)
        return left

    def _make_pools(self) -> Pools[Life]:
        store = f"{self.folder}/{STORE}"
        env = {"SCRIPTFLOW_STORE": store, "SCRIPTFLOW_RUN": self.run}  # by these a job finds its head
        self._executors = make_executors(self.settings, store, (self.store.lock_fd,), self._note, env)
        return pools_of(self._executors, env)

    def finish(self, value: object, error: BaseException | None, stopped_by: str) -> RunResult:
        """Record the end of the run, close the store, tell it."""
        from scriptflow.core.records import RunCounts

        head = self.head
        works = head.dispatcher if head.works else None
        counts = works.counts() if works else RunCounts(skipped=head.skipped)
        error = head.failure or error
        if isinstance(error, SystemExit) and not error.code:
            error = None  # the flow said that it was done
        status = RunState.SUCCEEDED
        if stopped_by:
            status = RunState.CANCELLED
        elif error is not None or counts.failed:
            status = RunState.FAILED
        seconds = time() - self.started
        began = bool(works and works.began)
        wrong_use = not began and isinstance(error, ScriptflowError) and error.exits_with == UsageError.exits_with
        try:
            self._close_store(status, counts, _message(error), taken_back=wrong_use and not stopped_by)
        except ScriptflowError as problem:
            error, status = problem if isinstance(problem, StoreLost) else error or problem, RunState.FAILED
        self._warn_unrecorded(head.tell.release_all())
        self._warn_never_awaited(error)
        head.leave()
        if self.bus:
            from scriptflow.core.events import RunEnded

            self.bus.publish(
                RunEnded(
                    at=time(), run=self.run, flow=self.flow, status=status, seconds=seconds, message=_message(error),
                    counts=counts,
                )
            )  # fmt: skip
            self.bus.close()
        return RunResult(
            run=self.run, flow=self.flow, status=status, value=value, error=error, counts=counts, seconds=seconds,
            failures=[_failure(failed) for failed in works.failures] if works else (),
            exit_code=_exit_code(error, stopped_by, failed=counts.failed, began=began),
        )  # fmt: skip

    def _close_store(self, status: RunState, counts: RunCounts, message: str, *, taken_back: bool) -> None:
        """Record the end; of a run that was wrong use, and began nothing, no record stays."""
        try:
            if taken_back:
                with suppress(OSError):  # made for the run's logs, and there are none
                    os.rmdir(f"{self.folder}/{STORE}/logs/{self.run}")
                self.store.take_back_run()
            else:
                self.store.end_run(status, counts, message)
        finally:
            self.store.close()

    def _warn_unrecorded(self, tasks: list[str]) -> None:
        """Name the tasks that ended, and of whose end the store knows nothing."""
        if tasks:
            names = ", ".join(tasks[:_NAMED]) + (f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else "")
            self._say("warning", "store", f"the end of {names} could not be recorded: it will run again")

    def _warn_never_awaited(self, error: BaseException | None) -> None:
        """Name the tasks that were made and never awaited; after an error that is no surprise."""
        if error is not None:
            return
        for option in self.head.selection.unmatched():
            self._say(
                "warning", "no-match", f"{option} matches no task of this flow", do="scriptflow list --tasks FLOW"
            )
        if self.head.works and self.head.selection.all:
            self._tell_left(self.head.dispatcher.left.of_flow(self.flow))
        forgotten = self.head.unsent()
        for task in forgotten[:_NAMED]:
            self._say(
                "warning", "never-awaited",
                f"task {task.name} ({task.place}) was created and never awaited or started",
                do="await it or put it in sf.bag(...)",
            )  # fmt: skip
        if len(forgotten) > _NAMED:
            more = len(forgotten) - _NAMED
            self._say("warning", "never-awaited", f"{more} more tasks were never awaited or started")

    def _tell_left(self, jobs: Sequence[JobRecord]) -> None:
        """Name the jobs of earlier runs that nobody waits for: no task equals theirs any more."""
        if jobs:
            jobs_are, theirs = (f"{len(jobs)} jobs", "theirs") if jobs[1:] else ("1 job", "it")
            runs_are = "earlier runs" if jobs[1:] else "an earlier run"
            self._say(
                "warning", "jobs-left",
                f"{jobs_are} of {runs_are} may go on and no task of this flow equals {theirs}: {jobs[0].task}"
                + (" and others" if jobs[1:] else ""),
                notes=[f"{job.executor} {job.executor_id or job.job} of {job.run}" for job in jobs[:_NAMED]],
                do="let them end, or cancel them with the batch system's own command",
            )  # fmt: skip


def _message(error: BaseException | None) -> str:
    return error.what if isinstance(error, ScriptflowError) else "" if error is None else repr(error)


def _failure(error: ScriptflowError) -> Failure:
    known = {name: getattr(error, name, None) for name in ("exit_code", "cause", "log")}
    return Failure(getattr(error, "task", ""), known["exit_code"], known["cause"], known["log"], error.what)


def keep_log(path: str) -> None:
    """Let what we log go to a file of the store, once a process; nothing of it belongs on the screen."""
    import logging

    class Log(logging.FileHandler):
        def emit(self, record: logging.LogRecord) -> None:
            with suppress(OSError):  # the store may be gone by now, and a line of log must not end what writes it
                super().emit(record)

    logger = logging.getLogger("scriptflow")
    if not logger.handlers:
        handler: logging.Handler = logging.NullHandler()
        with suppress(OSError):
            handler = Log(path, encoding="utf-8", errors="backslashreplace", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False


def mentions_asyncio(file: str) -> bool:
    """Whether a flow's file speaks of asyncio, so that it had better be there from the start."""
    try:
        with open(file, "rb") as source:
            return b"asyncio" in source.read()
    except OSError:
        return False


def selection_of(settings: Settings, options: RunOptions) -> Selection:
    """Return which tasks a run is about."""
    return Selection((*settings.force, *options.force), options.only, options.until, options.done)


def make_executors(
    settings: Settings,
    store_folder: str,
    inherit_fds: tuple[int, ...] = (),
    note: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
) -> dict[str, Executor]:
    """Make every executor of the settings; none is opened yet.

    An executor is made as ``Class(options, folder=STORE, note=TELL)``; the one of this machine takes instead of the
    folder the descriptors that its jobs' guardian must hold open, and the environment that all its jobs inherit.
    """
    from collections import ChainMap

    from scriptflow.core.registry import executor_class

    made: dict[str, Executor] = {}
    for name, options in settings.executors.items():
        kind = str(options.get("type", name))
        known: dict[str, object] = {"folder": store_folder}
        if kind == "local":  # ours is looked at when its first job starts: the flow may set variables until then
            known = {"inherit_fds": inherit_fds, "base_env": ChainMap(dict(env or {}), os.environ)}
        if note is not None:
            known["note"] = note
        made[name] = executor_class(kind)(options, **known)
    return made


def pools_of(executors: Mapping[str, Executor], env: Mapping[str, str] | None = None) -> Pools[Life]:
    """Return the room that executors have, with the environment for jobs that do not inherit it from here."""
    from scriptflow.engine.pools import Pool, Pools

    pools = []
    for name, executor in executors.items():
        totals = getattr(executor, "totals", None)
        pools.append(
            Pool(
                name, executor.slots, executor.fits,
                cpus=getattr(totals, "cpus", None), memory=getattr(totals, "memory_bytes", None),
                gpu_ids=getattr(executor, "gpu_ids", None), warm=getattr(executor, "warm", False),
                env=None if hasattr(executor, "launch") else env,
            )
        )  # fmt: skip
    return Pools(pools)


def _exit_code(error: BaseException | None, stopped_by: str, *, failed: int, began: bool) -> int:
    if stopped_by:
        return EXIT_CODES[stopped_by]
    if isinstance(error, ScriptflowError):
        # A mistake in the graph is wrong use while nothing was started, and a failed run after that.
        return 1 if error.exits_with == UsageError.exits_with and began else error.exits_with
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1 if error.code else int(bool(failed))
    return 1 if error is not None or failed else 0
