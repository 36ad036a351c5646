"""Drive a flow to its end: without asyncio while nothing must be waited for, then inside an event loop.

Loading asyncio costs more than checking thousands of tasks, so a flow that finds everything up to date never does.
It is loaded at the flow's first real wait, or when the flow itself imports it; the flow cannot tell the difference.
Also here: what the signals INT, TERM and HUP mean to a run.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
from contextvars import copy_context

from scriptflow.engine.flow import resumed
from scriptflow.errors import ScriptflowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Runner, Task
    from collections.abc import Callable, Coroutine
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import Any

    from scriptflow.engine.head import Head

_ASKED = 3  # so often is a flow asked to end
EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "cancel": 130}
_WORDS = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "cancel": "scriptflow cancel"}


class Driver:
    """Runs one coroutine under one head.

    Attributes:
        stopped_by: what ended the run, a key of ``EXIT_CODES``: a signal's name or ``cancel``; "" when nothing did.
    """

    def __init__(self, head: Head, coroutine: Coroutine[Any, Any, Any], *, debug: bool = False) -> None:
        self.head = head
        self.stopped_by = ""
        self._coroutine = coroutine
        self._context = copy_context()  # one for the whole flow, with and without a loop: what it sets, it may reset
        self._debug = debug
        self._runner: Runner | None = None
        self._task: Task[Any] | None = None
        self._first: Any = None
        self._started = False
        self._looping = False
        self._stopping = False
        self._abandoned = False
        self._leave: SystemExit | None = None
        self._old_handlers: dict[int, Any] = {}
        head.make_loop = self._make_loop
        head.stop_run = self.stop

    def run(self, *, at_once: bool = False) -> Any:  # noqa: ANN401
        """Run the coroutine to its end and return its value.

        Args:
            at_once: begin inside a loop, for a flow that is known to need one.

        Raises:
            Whatever the coroutine raises; ``KeyboardInterrupt`` and ``CancelledError`` when a signal stopped it.
        """
        self._take_signals()
        try:
            if at_once or "asyncio" in sys.modules:
                self._make_loop()
            else:
                ended, value = self._without_loop()
                if ended:
                    return self._after_all(value)
            value = self._in_loop()
            if self._leave is not None:
                raise self._leave
            return value
        finally:
            self._give_signals_back()

    def close(self) -> None:
        """Close the loop when there is one, with the head's executors."""
        if self._runner is None:
            return
        if self._abandoned:
            # The flow would be asked to end once more, and waited for: it has had its chances.
            self._make_loop().run_until_complete(self.head.dispatcher.close())
            return
        with self._runner:
            closed = not self.head.works
            while not closed:
                # An interrupt that ended the flow comes up once more with everybody who waited for the flow.
                with contextlib.suppress(KeyboardInterrupt):
                    self._runner.run(self.head.dispatcher.close())
                    closed = True

    def _without_loop(self) -> tuple[bool, object]:
        """Drive the coroutine to its first real wait; True and its value when it never comes to one."""
        finder = _WhenImported("asyncio", self._pretend_to_loop)
        sys.meta_path.insert(0, finder)
        self._started = True
        # Nothing is given free while a flow declares its tasks: looking for it would only cost.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._first = self._context.run(self._coroutine.send, None)
        except StopIteration as stop:
            return True, stop.value
        except ScriptflowError as error:
            self.head.give_up(error)
            raise
        finally:
            finder.remove()
            self._stop_pretending()
            if collecting:
                gc.freeze()  # what it declared lives as long as it does: no need to look through it again and again
                gc.enable()
        return False, None

    # --- the loop -------------------------------------------------------------------------------

    def _make_loop(self) -> AbstractEventLoop:
        if self._runner is None:
            import asyncio

            if self._runner is None:  # this import may have made it
                self._runner = asyncio.Runner(debug=self._debug or None)
                self.head.loop = self._runner.get_loop()
        assert self.head.loop is not None  # noqa: S101 (just made)
        return self.head.loop

    def _in_loop(self) -> Any:  # noqa: ANN401
        self._make_loop()
        assert self._runner is not None  # noqa: S101 (just made)
        self._looping = True
        try:
            return self._runner.run(self._main())
        except RuntimeError:
            if self._abandoned:
                raise KeyboardInterrupt from None
            raise
        finally:
            self._looping = False

    async def _main(self) -> Any:  # noqa: ANN401
        import asyncio

        loop = asyncio.get_running_loop()
        task = self._task or loop.create_task(self._flow(), name="flow", context=self._context)
        self._task = task
        if self._stopping:
            self._stop(self.stopped_by)
        try:
            value = await task
        except ScriptflowError as error:
            self.head.give_up(error)
            raise
        finally:
            if self.head.works:
                await self.head.dispatcher.drained()
        return value

    async def _flow(self) -> Any:  # noqa: ANN401
        try:
            if not self._started:
                return await self._coroutine
            return await resumed(self._coroutine, self._first)
        except SystemExit as leave:
            # Inside a loop it would tear everything down at once; it is raised again when jobs have ended.
            self._leave = leave
            if self.head.works:
                self.head.dispatcher.stop("the flow called sys.exit", self.head.settings.grace)
            return None

    def _after_all(self, value: object) -> object:
        """The flow is over without having waited: what it only started must still end."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.head.works and not self.head.dispatcher.idle:
            self._coroutine = _nothing(value)
            self._started = False
            return self._in_loop()
        return value

    def _pretend_to_loop(self) -> None:
        """The flow imported asyncio: from now on it must find a loop that runs, and a task that it is."""
        import asyncio

        loop = self._make_loop()
        asyncio._set_running_loop(loop)
        self._task = loop.create_task(self._flow(), name="flow", context=self._context)
        asyncio.tasks._enter_task(loop, self._task)

    def _stop_pretending(self) -> None:
        if self._task is not None:
            import asyncio

            asyncio.tasks._leave_task(self._make_loop(), self._task)
            asyncio._set_running_loop(None)

    # --- signals --------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for name, handler in (("SIGINT", self._on_stop), ("SIGTERM", self._on_stop), ("SIGHUP", _carry_on)):
            number = getattr(signal, name, None)
            # What was ignored when we were started (nohup, a background job) stays ignored.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._old_handlers[number] = signal.signal(number, handler)

    def _give_signals_back(self) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._old_handlers.clear()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not self.stopped_by:
            self._insist(number)
        again = bool(self.stopped_by)
        self.stopped_by = self.stopped_by or name
        if not self._looping or (again and not self._stopping):
            # Nobody waits in the loop: the flow's own code runs, and must hear of it itself.
            self._stopping = True
            raise KeyboardInterrupt
        assert self.head.loop is not None  # noqa: S101 (it runs)
        self.head.loop.call_soon_threadsafe(self._kill if again else self._stop, name)

    def stop(self, why: str) -> None:
        """Do on request, on the loop's thread, what the first signal does; nothing when the run is stopping already."""
        if not self.stopped_by:
            self.stopped_by = why
            self._stop(why)

    def _insist(self, number: int) -> None:
        """Send the signal again when flow code that blocks the loop has kept it from being heard."""

        def again() -> None:
            if not self._stopping:
                signal.pthread_kill(threading.main_thread().ident or 0, number)

        timer = threading.Timer(self.head.settings.grace, again)
        timer.daemon = True
        timer.start()

    def _stop(self, name: str) -> None:
        """Start nothing new, tell jobs to end, and end the flow when they have."""
        import asyncio

        self._stopping = True
        self.head.stopped = asyncio.CancelledError(f"the run was stopped by {name}")
        word = _WORDS.get(name, name)
        if self.head.works:
            # TERM is the end of the head's own time on a cluster: its jobs there go on, for the next run to join.
            keep = name == "SIGTERM"
            running = self.head.dispatcher.stop(f"stopped by {word}", self.head.settings.grace, keep=keep)
            self.head.tell.stopping(word, running)
        assert self.head.loop is not None  # noqa: S101 (it runs)
        self._stopper = self.head.loop.create_task(self._cancel_when_drained(), name="stop")

    async def _cancel_when_drained(self) -> None:
        """End the flow, also one that takes its cancellation for an error and goes on."""
        import asyncio

        if self.head.works:
            await self.head.dispatcher.drained()
        for _ in range(_ASKED):
            if self._task is None or self._task.done():
                return
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=1.0)
        self._abandoned = True
        asyncio.get_running_loop().stop()

    def _kill(self, name: str) -> None:
        if self.head.works:
            self.head.dispatcher.stop(_WORDS.get(name, name), 0.0, keep=True)


class _WhenImported:
    """Calls ``then`` right after a module was imported for the first time."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ANN401
        """Let the other finders find it, and add ourselves behind its execution."""
        if name != self._name:
            return None
        self.remove()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                told = self._told(spec.loader.exec_module)
                spec.loader.exec_module = told  # type: ignore[method-assign,assignment]  # this import alone
                return spec
        return None

    def _told(self, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def execute_and_tell(module: ModuleType) -> None:
            execute(module)
            self._then()

        return execute_and_tell

    def remove(self) -> None:
        """Stop watching."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)


async def _nothing(value: object) -> object:
    return value


def _carry_on(number: int, frame: FrameType | None) -> None:
    """The terminal is gone: the run goes on without a screen."""
