"""Drive a flow with a head made from settings: from the command line, from plain Python, as a plan."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from scriptflow.core.context import HEAD, PLANNING
from scriptflow.core.states import RunState
from scriptflow.engine.bus import Bus
from scriptflow.engine.drive import Driver
from scriptflow.engine.head import Head as Engine
from scriptflow.engine.selection import Enough
from scriptflow.errors import ScriptflowError, StoreUnwritable, UsageError
from scriptflow.outcome import Plan, PlannedTask, RunOptions, RunResult
from scriptflow.session import STORE, Session, make_executors, pools_of, selection_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self

    from scriptflow.core.config import Settings
    from scriptflow.core.interfaces import Listener
    from scriptflow.engine.dispatch import Dispatcher
    from scriptflow.engine.life import Life
    from scriptflow.engine.plan import Planner
    from scriptflow.flowfile.discover import Flow, FlowFile


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
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)  # noqa: T201 (what Python does with such an exit)
    elif error is not None and not isinstance(error, ScriptflowError):
        from scriptflow.flowfile.discover import flow_traceback

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
        if sys.stdout is not None:
            with suppress(OSError, ValueError):
                sys.stdout.flush()  # what the flow printed stands above the summary, also in a file
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


def plan_flow(
    flow_file: FlowFile,
    flow: Flow,
    params: dict[str, Any],
    settings: Settings,
    options: RunOptions,
    then: Callable[[Engine, Sequence[Life]], None] | None = None,
) -> Plan:
    """Say what a run would do; nothing is started and nothing written.

    ``then`` is shown the head, with all tasks that it knows, and the lives of those that would run.
    """
    from scriptflow.engine.plan import Planner

    os.chdir(flow_file.folder)
    planner: list[Planner] = []
    latest, reader = _what_is_recorded(flow_file.folder)

    def make(head: Engine) -> Dispatcher:
        executors = make_executors(settings, f"{flow_file.folder}/{STORE}")
        planner.append(Planner(head, pools_of(executors), executors.__getitem__))
        return planner[0]

    head = Engine(
        folder=flow_file.folder, store=reader, latest=latest, settings=settings, bus=Bus(), dispatcher=make,
        selection=selection_of(settings, options),
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
    if then is not None:
        then(head, lives)
    return Plan(flow.name, [PlannedTask(life.name, life.reason_pairs()) for life in lives], head.skipped, stopped_at)


def _what_is_recorded(folder: str) -> tuple[dict[str, Any], Any]:
    """Return what the store knows, read only, and the reader; nothing when there is no store."""
    path = f"{folder}/{STORE}"
    try:
        os.stat(f"{path}/runs.db")
    except (FileNotFoundError, NotADirectoryError):
        return {}, None
    except OSError as error:
        raise StoreUnwritable(f"cannot read {path}", why=error.strerror or str(error)) from error
    from scriptflow.store.reader import StoreReader

    reader = StoreReader(path, relative=True, still=True)
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


def _flow_of(
    target: Callable[..., Any] | Awaitable[Any], params: Mapping[str, Any], caller: str
) -> tuple[str, str, Callable[[], Coroutine[Any, Any, Any]]]:
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
    return _folder_of(caller if file.startswith(inside) else file), getattr(target, "__name__", "main"), wait


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
    if HEAD.get() is not None:
        raise UsageError("sf.run cannot be called inside a flow", do="await the other flow, or sf.run_async(...)")
    if "asyncio" in sys.modules and sys.modules["asyncio"]._get_running_loop() is not None:
        raise UsageError("sf.run cannot be called while an event loop runs", do="await sf.run_async(...)")
    folder, name, make = _flow_of(flow, params, sys._getframe(1).f_code.co_filename)
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
    folder, name, make = _flow_of(flow, params, sys._getframe(1).f_code.co_filename)
    session = Session(folder, name, params, _settings(folder, settings), RunOptions(), listeners)
    head = session.head
    head.enter()
    value: object = None
    error: BaseException | None = None
    try:
        value = await make()
    except ScriptflowError as problem:
        error = problem
    except BaseException as problem:
        await _rest(session, value, problem)
        raise
    return await _rest(session, value, error)


async def _rest(session: Session, value: object, error: BaseException | None) -> RunResult:
    """Wait for what was started, close the executors, record the end.

    What somebody waited for who was cancelled is stopped: Ctrl-C under plain asyncio shows as just that.
    """
    head = session.head
    stopped_by = ""
    if head.works:
        if head.deserted and not head.dispatcher.idle:
            stopped_by = "SIGINT"
            head.dispatcher.stop("nobody waits for it any more", session.settings.grace)
        await head.dispatcher.drained()
        await head.dispatcher.close()
    return session.finish(value, error, stopped_by)


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
        # Begun here and now, so that the loop knows of it even when it ends before anything is awaited.
        with suppress(StopIteration):
            session.keeper.__anext__().send(None)
    return session.head


async def _until_the_loop_ends(session: Session, key: int) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        del _implicit[key]
        await _rest(session, None, None)


__all__ = ["Head", "Plan", "PlannedTask", "RunOptions", "RunResult", "plan_flow", "run", "run_async", "run_flow"]
