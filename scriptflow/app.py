"""Put a head together from settings, drive a flow with it, and say how it went.

The one place that knows store, executors and listeners at once; nothing here decides or shows.
"""

from __future__ import annotations

import os
import sys
from time import time

from scriptflow.core.bus import Bus
from scriptflow.core.context import HEAD, PLANNING
from scriptflow.core.head import Head as Engine
from scriptflow.core.selection import Enough, Selection
from scriptflow.core.states import RunState
from scriptflow.drive import EXIT_CODES, Driver
from scriptflow.errors import ScriptflowError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task as AsyncTask
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

    from scriptflow.core.config import Settings
    from scriptflow.core.discover import Flow, FlowFile
    from scriptflow.core.dispatch import Dispatcher, Planner
    from scriptflow.core.interfaces import Executor, Listener
    from scriptflow.core.life import Life
    from scriptflow.core.pools import Pools
    from scriptflow.store.sqlite import SqliteStore

STORE = ".scriptflow"
VERSION = "1.0.0.dev0"
_NAMED = 5


class RunOptions:
    """What was asked of one run, beyond settings and parameters."""

    __slots__ = ("argv", "executor", "force", "name", "only", "tags", "until")

    def __init__(
        self,
        *,
        force: tuple[str, ...] = (),
        only: tuple[str, ...] = (),
        until: tuple[str, ...] = (),
        name: str | None = None,
        tags: tuple[str, ...] = (),
        executor: str | None = None,
        argv: tuple[str, ...] = (),
    ) -> None:
        self.force = force
        self.only = only
        self.until = until
        self.name = name
        self.tags = tags
        self.executor = executor
        self.argv = argv


class Failure:
    """A failed task in a result: ``task``, ``exit_code``, ``cause``, ``log``, ``message``."""

    __slots__ = ("cause", "exit_code", "log", "message", "task")

    def __init__(self, task: str, exit_code: int | None, cause: str | None, log: str | None, message: str) -> None:
        self.task = task
        self.exit_code = exit_code
        self.cause = cause
        self.log = log
        self.message = message


class RunResult:
    """How a run went.

    Attributes:
        run: its name, ``demo-7``.
        flow: the flow's name.
        status: a word of ``RunState``.
        ran, skipped, failed, cancelled: numbers of tasks.
        seconds: wall time.
        failures: one ``Failure`` for each failed task.
        error: what ended the flow, None when it returned.
        exit_code: what the command line exits with.
    """

    def __init__(self, *, run: str, flow: str, status: RunState, value: object, error: BaseException | None,
                 counts: tuple[int, int, int, int], seconds: float, failures: Sequence[Failure], exit_code: int,
                 ) -> None:  # fmt: skip
        self.run = run
        self.flow = flow
        self.status = status
        self.ran, self.skipped, self.failed, self.cancelled = counts
        self.seconds = seconds
        self.failures = tuple(failures)
        self.error = error
        self.exit_code = exit_code
        self._value = value

    @property
    def value(self) -> Any:  # noqa: ANN401
        """What the flow returned.

        Raises:
            ScriptflowError: the error that ended the flow.
        """
        if self.error is not None:
            raise self.error
        return self._value

    def __repr__(self) -> str:
        counts = f"ran={self.ran}, skipped={self.skipped}, failed={self.failed}, cancelled={self.cancelled}"
        return f"RunResult({self.run}: {self.status}, {counts}, seconds={self.seconds:.1f})"


class PlannedTask:
    """A task that would run: its name ``task`` and all ``reasons`` as (code, detail)."""

    __slots__ = ("reasons", "task")

    def __init__(self, task: str, reasons: tuple[tuple[str, str], ...]) -> None:
        self.task = task
        self.reasons = reasons


class Plan:
    """What a run would do.

    Attributes:
        flow: the flow's name.
        would_run: the tasks that would run, in order.
        up_to_date: how many tasks would not.
        complete: False where the flow reads something that only a real run could give.
        stopped_at: the place where a plan that is not complete ends, and why, else empty.
    """

    def __init__(self, flow: str, would_run: Sequence[PlannedTask], up_to_date: int, stopped_at: str) -> None:
        self.flow = flow
        self.would_run = tuple(would_run)
        self.up_to_date = up_to_date
        self.complete = not stopped_at
        self.stopped_at = stopped_at


# --- one run, opened and closed -------------------------------------------------------------------


class Session:
    """A store, its row for this run, and the head that works with them."""

    def __init__(
        self, folder: str, flow: str, params: Mapping[str, object], settings: Settings, options: RunOptions,
        listeners: Sequence[Listener],
    ) -> None:  # fmt: skip
        from scriptflow.core.here import git_commit, host, user
        from scriptflow.core.records import RunStart
        from scriptflow.store.sqlite import SqliteStore

        self.folder = folder
        self.flow = flow
        self.settings = settings
        self.options = options
        self.started = time()
        self.bus = Bus(listeners)
        self.store: SqliteStore = SqliteStore.open(f"{folder}/{STORE}", relative=True, notice=self._note)
        try:
            self.run_id, self.run = self.store.begin_run(
                RunStart(
                    flow=flow, name=options.name, tags=options.tags, params=params, argv=options.argv,
                    started=self.started, host=host(), user=user(), pid=os.getpid(), git=git_commit(folder),
                    python=sys.version.split()[0], version=VERSION,
                )
            )  # fmt: skip
            self.head = Engine(
                folder=folder, store=self.store, latest=self.store.latest(), settings=settings, bus=self.bus,
                dispatcher=self._dispatcher, selection=Selection(options.force, options.only, options.until),
            )  # fmt: skip
        except BaseException:
            self.store.close()
            raise
        self.store.on_failure = self.store.on_lost = self._store_failed
        self.keeper: AsyncGenerator[None, None] | None = None
        self.starting: AsyncTask[None] | None = None
        self._executors: dict[str, Executor] = {}
        self._tell_start()

    def _tell_start(self) -> None:
        if self.bus:
            from scriptflow.core.events import RunStarted

            capacity = 0
            resumed = getattr(self.store, "resumed", "")
            self.bus.publish(
                RunStarted(at=self.started, run=self.run, flow=self.flow, store=f"{self.folder}/{STORE}",
                           capacity=capacity, resumed=resumed)
            )  # fmt: skip

    def _note(self, text: str) -> None:
        self._say("note", "store", text)

    def _say(self, level: str, slug: str, text: str, *, notes: tuple[str, ...] = (), do: str = "") -> None:
        if self.bus:
            from scriptflow.core.events import Message

            self.bus.publish(Message(at=time(), level=level, slug=slug, text=text, notes=notes, help=do))

    def _store_failed(self, error: ScriptflowError) -> None:
        """Hear, on the write thread, that the store takes nothing more: start nothing, finish what runs."""
        loop = self.head.loop
        self.head.failure = self.head.failure or error
        if loop is not None and self.head.works:
            loop.call_soon_threadsafe(self.head.dispatcher.stop, error.what, None)

    def _dispatcher(self, head: Engine) -> Dispatcher:
        from scriptflow.core.dispatch import Dispatcher

        logs = f"{self.folder}/{STORE}/logs"
        os.makedirs(logs, mode=0o700, exist_ok=True)
        os.makedirs(f"{logs}/{self.run}", mode=0o700, exist_ok=True)
        return Dispatcher(
            head, self._make_pools(), self._executors.__getitem__, run=self.run, run_id=self.run_id,
            executor=self.options.executor, fail_fast=self.settings.fail_fast,
        )  # fmt: skip

    def _make_pools(self) -> Pools[Life]:
        self._executors = make_executors(self.settings, (self.store.lock_fd,), self._note)
        return pools_of(self._executors)

    def finish(self, value: object, error: BaseException | None, stopped_by: str) -> RunResult:
        """Record the end of the run, tell it, close the store."""
        head = self.head
        works = head.dispatcher if head.works else None
        failures = [_failure(failed) for failed in works.failures] if works else []
        error = error or head.failure
        counts = (works.ran, head.skipped, works.failed, works.cancelled) if works else (0, head.skipped, 0, 0)
        status = RunState.SUCCEEDED
        if stopped_by:
            status = RunState.CANCELLED
        elif error is not None or counts[2]:
            status = RunState.FAILED
        self._warn_never_awaited(error)
        head.leave()
        message = error.what if isinstance(error, ScriptflowError) else "" if error is None else repr(error)
        seconds = time() - self.started
        self._close_store(status, counts, message)
        if self.bus:
            from scriptflow.core.events import RunEnded
            from scriptflow.core.records import RunCounts

            self.bus.publish(
                RunEnded(
                    at=time(), run=self.run, flow=self.flow, status=status, seconds=seconds, message=message,
                    counts=RunCounts(ran=counts[0], skipped=counts[1], failed=counts[2], cancelled=counts[3]),
                )
            )  # fmt: skip
            self.bus.close()
        return RunResult(
            run=self.run, flow=self.flow, status=status, value=value, error=error, counts=counts, seconds=seconds,
            failures=failures,
            exit_code=_exit_code(error, stopped_by, failed=counts[2], began=bool(works and works.began)),
        )  # fmt: skip

    def _close_store(self, status: RunState, counts: tuple[int, int, int, int], message: str) -> None:
        from scriptflow.core.records import RunCounts

        ran, skipped, failed, cancelled = counts
        try:
            self.store.end_run(status, RunCounts(ran=ran, skipped=skipped, failed=failed, cancelled=cancelled), message)
        finally:
            self.store.close()

    def _warn_never_awaited(self, error: BaseException | None) -> None:
        """Name the tasks that were made and never awaited; after an error that is no surprise."""
        if error is not None:
            return
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


def _failure(error: ScriptflowError) -> Failure:
    known = {name: getattr(error, name, None) for name in ("exit_code_of_task", "cause", "log")}
    return Failure(getattr(error, "task", ""), known["exit_code_of_task"], known["cause"], known["log"], error.what)


def make_executors(
    settings: Settings, inherit_fds: tuple[int, ...], note: Callable[[str], None] | None = None
) -> dict[str, Executor]:
    """Make every executor of the settings; none is opened yet."""
    from scriptflow.core.registry import executor_class

    made: dict[str, Executor] = {}
    for name, options in settings.executors.items():
        kind = str(options.get("type", name))
        extra = {"inherit_fds": inherit_fds, **({"note": note} if note else {})} if kind == "local" else {}
        made[name] = executor_class(kind)(options, **extra)
    return made


def pools_of(executors: Mapping[str, Executor]) -> Pools[Life]:
    """Return the room that executors have."""
    from scriptflow.core.pools import Pool, Pools

    pools = []
    for name, executor in executors.items():
        totals = getattr(executor, "totals", None)
        pools.append(
            Pool(
                name, executor.slots, executor.fits,
                cpus=getattr(totals, "cpus", None), memory=getattr(totals, "memory_bytes", None),
                gpu_ids=getattr(executor, "gpu_ids", None),
            )
        )  # fmt: skip
    return Pools(pools)


def _exit_code(error: BaseException | None, stopped_by: str, *, failed: int, began: bool) -> int:
    if stopped_by:
        return EXIT_CODES[stopped_by]
    if isinstance(error, ScriptflowError):
        # A mistake in the graph is wrong use while nothing was started, and a failed run after that.
        return 1 if error.exit_code == UsageError.exit_code and began else error.exit_code
    return 1 if error is not None or failed else 0


# --- from the command line ------------------------------------------------------------------------


def run_flow(
    flow_file: FlowFile,
    flow: Flow,
    params: dict[str, Any],
    settings: Settings,
    options: RunOptions,
    listeners: Sequence[Listener],
) -> RunResult:
    """Run a flow of a flow file to its end, in its own folder; failures are in the result, not raised.

    Raises:
        ScriptflowError: nothing could be started: the store is held, damaged or cannot be written.
    """
    os.chdir(flow_file.folder)
    session = Session(flow_file.folder, flow.name, params, settings, options, listeners)
    at_once = _mentions_asyncio(flow.file)
    result = _driven(session, lambda: flow.function(**params), at_once=at_once)
    error = result.error
    if error is not None and not isinstance(error, ScriptflowError) and not isinstance(error, KeyboardInterrupt):
        from scriptflow.core.discover import flow_traceback

        print(flow_traceback(error, flow_file.path), file=sys.stderr, end="")  # noqa: T201 (his own traceback)
    return result


def _driven(session: Session, make: Callable[[], Coroutine[Any, Any, Any]], *, at_once: bool) -> RunResult:
    head = session.head
    head.enter()
    driver = Driver(head, make(), debug=session.settings.debug)
    value: object = None
    error: BaseException | None = None
    try:
        try:
            value = driver.run(at_once=at_once)
        except KeyboardInterrupt as stop:
            driver.stopped_by = driver.stopped_by or "SIGINT"
            error = stop
        except Enough:
            pass
        except BaseException as problem:  # noqa: BLE001 (whatever ends the flow is the result's)
            error = problem
        driver.close()
    finally:
        if driver.stopped_by:
            error = None
        result = session.finish(value, error, driver.stopped_by)
    return result


def _mentions_asyncio(file: str) -> bool:
    """Whether a flow's file speaks of asyncio, so that it had better be there from the start."""
    try:
        with open(file, "rb") as source:
            return b"asyncio" in source.read()
    except OSError:
        return False


def plan_flow(flow_file: FlowFile, flow: Flow, params: dict[str, Any], settings: Settings, options: RunOptions) -> Plan:
    """Say what a run would do; nothing is started and nothing written."""
    from scriptflow.core.dispatch import Planner

    os.chdir(flow_file.folder)
    planner: list[Planner] = []
    latest, reader = _what_is_recorded(flow_file.folder)

    def make(head: Engine) -> Dispatcher:
        executors = make_executors(settings, ())
        planner.append(Planner(head, pools_of(executors), executors.__getitem__))
        return planner[0]

    head = Engine(
        folder=flow_file.folder, store=reader, latest=latest, settings=settings, bus=Bus(), dispatcher=make,
        selection=Selection(options.force, options.only, options.until),
    )  # fmt: skip
    token = PLANNING.set(True)
    head.enter()
    stopped_at = ""
    driver = Driver(head, flow.function(**params))
    try:
        driver.run(at_once=_mentions_asyncio(flow.file))
    except Enough:
        pass
    except ScriptflowError as error:
        if not (planner and planner[0].would_run):
            raise
        stopped_at = f"{error.place or flow_file.path}: {error.what}"
    except Exception as error:
        if not (planner and planner[0].would_run):
            raise
        stopped_at = _where(error, flow_file.path)
    finally:
        driver.close()
        head.leave()
        PLANNING.reset(token)
        if reader is not None:
            reader.close()
    lives = planner[0].would_run if planner else []
    return Plan(flow.name, [PlannedTask(life.name, life.reason_pairs()) for life in lives], head.skipped, stopped_at)


def _what_is_recorded(folder: str) -> tuple[dict[str, Any], Any]:
    """Return what the store knows, read only, and the reader; nothing when there is no store."""
    path = f"{folder}/{STORE}"
    if not os.path.exists(f"{path}/runs.db"):
        return {}, None
    from scriptflow.store.reader import StoreReader

    reader = StoreReader(path, relative=True)
    return reader.latest(), reader


def _where(error: BaseException, file: str) -> str:
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{os.path.basename(file)}:{line}: {type(error).__name__}: {error}"


# --- from Python ----------------------------------------------------------------------------------


def _flow_of(target: Any, params: Mapping[str, Any]) -> tuple[str, str, Callable[[], Coroutine[Any, Any, Any]]]:  # noqa: ANN401
    """Return a flow's folder, its name, and what makes its coroutine."""
    if callable(target) and not hasattr(target, "__await__"):
        code = getattr(target, "__code__", None)
        mark = getattr(target, "__scriptflow_flow__", {})
        name = mark.get("name") or getattr(target, "__name__", "flow").removeprefix("flow_")

        async def call() -> Any:  # noqa: ANN401
            made = target(**params)
            return await made if hasattr(made, "__await__") else made

        return _folder_of(code.co_filename if code else ""), name, call
    if params:
        raise UsageError("parameters go with a flow function, not with something made already", do="sf.run(flow, n=3)")
    if not hasattr(target, "__await__"):
        raise UsageError(f"sf.run takes a flow or an awaitable, not {type(target).__name__}")

    async def wait() -> Any:  # noqa: ANN401
        return await target

    code = getattr(target, "_code", None) or getattr(target, "cr_code", None)
    file = code.co_filename if code else ""
    inside = os.path.dirname(os.path.abspath(__file__))
    return _folder_of("" if file.startswith(inside) else file), getattr(target, "__name__", "main"), wait


def _folder_of(file: str) -> str:
    """Return the folder of a flow's file; without one, of the script that runs, else the current folder."""
    if not file or not os.path.isfile(file):
        file = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return os.path.dirname(os.path.abspath(file)) if file else os.getcwd()


def _settings(folder: str, settings: Settings | Mapping[str, object] | None) -> Settings:
    from scriptflow.core.config import Settings as Known
    from scriptflow.settings_files import load_settings

    if isinstance(settings, Known):
        return settings
    return load_settings(folder, flags=[("settings=", settings)] if settings else ())


def run(
    flow: Callable[..., Any] | Awaitable[Any],
    *,
    settings: Settings | Mapping[str, object] | None = None,
    listeners: Sequence[Listener] = (),
    **params: Any,
) -> RunResult:
    """Run a flow, a task or any awaitable of them from plain Python.

    Args:
        flow: a flow function (called with ``params``), or an awaitable.
        settings: over those of ``scriptflow.toml``, ``sf.init`` and the environment.
        listeners: hear every event.
        params: the flow's parameters.

    Returns:
        How it went. Failed tasks are in it; ``.value`` raises what ended the flow.

    Raises:
        UsageError: an event loop runs already; await ``run_async`` there.
        Exception: what the flow's own code raised.
    """
    if "asyncio" in sys.modules and sys.modules["asyncio"]._get_running_loop() is not None:
        raise UsageError("sf.run cannot be called while an event loop runs", do="await sf.run_async(...)")
    folder, name, make = _flow_of(flow, params)
    session = Session(folder, name, params, _settings(folder, settings), RunOptions(), listeners)
    result = _driven(session, make, at_once=False)
    if result.error is not None and not isinstance(result.error, ScriptflowError):
        raise result.error
    if result.status is RunState.CANCELLED:
        raise KeyboardInterrupt
    return result


async def run_async(
    flow: Callable[..., Any] | Awaitable[Any],
    *,
    settings: Settings | Mapping[str, object] | None = None,
    listeners: Sequence[Listener] = (),
    **params: Any,
) -> RunResult:
    """Do what ``run`` does on the loop that runs already, in a notebook for one."""
    folder, name, make = _flow_of(flow, params)
    session = Session(folder, name, params, _settings(folder, settings), RunOptions(), listeners)
    head = session.head
    head.enter()
    value: object = None
    error: BaseException | None = None
    try:
        value = await make()
    except BaseException as problem:
        error = problem
        raise
    finally:
        result = await _rest(session, value, error)
    return result


async def _rest(session: Session, value: object, error: BaseException | None) -> RunResult:
    """Wait for what was started, close the executors, record the end."""
    if session.head.works:
        if error is not None:
            session.head.dispatcher.stop("the flow ended with an error", session.settings.grace)
        await session.head.dispatcher.drained()
        await session.head.dispatcher.close()
    return session.finish(value, error, "")


class Head:
    """A head under full control: ``async with sf.Head(settings) as head: await head.run(task)``.

    Args:
        settings: over those of files and environment.
        folder: where relative paths start and the run store lies, by default the running script's folder.
        name: the flow's name in the record.
        listeners: hear every event.
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, object] | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        name: str = "main",
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._folder = os.path.abspath(folder) if folder is not None else _folder_of("")
        self._settings = settings
        self._name = name
        self._listeners = listeners
        self._session: Session | None = None
        self.result: RunResult | None = None

    async def __aenter__(self) -> Self:
        settings = _settings(self._folder, self._settings)
        self._session = Session(self._folder, self._name, {}, settings, RunOptions(), self._listeners)
        self._session.head.enter()
        return self

    async def run(self, awaitable: Awaitable[Any]) -> Any:  # noqa: ANN401
        """Await a task, a bag or a flow under this head and return its value."""
        return await awaitable

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self.result = await _rest(self._session, None, error)


_implicit: dict[int, Session] = {}


def implicit_head() -> Engine:
    """Return the head of the running loop, starting it on the first await of a task with no head in sight.

    It ends with the loop: ``asyncio.run`` closes what still generates, and so closes it.
    """
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "a task was started with no head and no event loop in sight", do="sf.run(task), or await it in a flow"
        ) from None
    session = _implicit.get(id(loop))
    if session is None:
        folder = _folder_of("")
        script = getattr(sys.modules.get("__main__"), "__file__", None) or "main"
        name = os.path.splitext(os.path.basename(script))[0]
        session = _implicit[id(loop)] = Session(folder, name, {}, _settings(folder, None), RunOptions(), ())
        session.head.loop = loop
        session.head.take_over()
        session.keeper = _until_the_loop_ends(session, id(loop))
        session.starting = loop.create_task(anext(session.keeper), name="scriptflow head")
    return session.head


async def _until_the_loop_ends(session: Session, key: int) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        del _implicit[key]
        await _rest(session, None, None)


__all__ = [
    "HEAD",
    "Failure",
    "Head",
    "Plan",
    "PlannedTask",
    "RunOptions",
    "RunResult",
    "plan_flow",
    "run",
    "run_async",
    "run_flow",
]
