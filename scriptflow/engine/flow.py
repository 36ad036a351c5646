"""What a flow is written with besides tasks: bag, group and the flow mark.

Knows tasks and the current head. Knows nothing of how anything is decided or run.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterable, Sequence

from scriptflow.core.context import GROUP, current_head
from scriptflow.core.states import GOOD, NEW, SETTLED
from scriptflow.core.task import Task
from scriptflow.engine.head import add_waiter
from scriptflow.errors import ScriptflowError, TaskCancelled, TaskError, TasksFailed, UpstreamFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Generator, Iterator
    from types import TracebackType
    from typing import Any

    from scriptflow.engine.head import Head

# So many tasks are looked at before others get their turn.
_SLICE = 1024
# So many unsettled tasks of one bag are known at once; the rest waits in the caller's iterable.
_WINDOW = 4096
# So many results of a generator are kept; a longer stream lets go of the oldest.
_KEPT = 65_536


async def bag(
    *tasks: Any,
    limit: int | None = None,
    fail_fast: bool = False,
    return_exceptions: bool = False,
    name: str | None = None,
) -> Sequence[Any]:
    """Await many at once and return their results in order.

    Args:
        tasks: tasks and other awaitables, or one iterable of them. A generator is consumed in a bounded window, so a
            million tasks need the memory of a few thousand; of a generator longer than 65,536 the results are not
            kept, only their number.
        limit: at most so many of them in flight at once.
        fail_fast: after the first failure start no more of them.
        return_exceptions: put errors among the results instead of raising.
        name: the group its tasks are shown under.

    Raises:
        TaskFailed: one failed; raised when all the others have ended.
        TasksFailed: several failed; lists each.
    """
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise TaskError(f"limit={limit!r} is no whole number from 1", do="bag(..., limit=10)")
    items: Iterable[Any] = tasks
    if len(tasks) == 1 and not hasattr(tasks[0], "__await__"):
        if not isinstance(tasks[0], Iterable):
            raise TaskError(f"a bag takes tasks, awaitables or one iterable of them, not {type(tasks[0]).__name__}")
        items = tasks[0]
    one = _Bag(items, limit, fail_fast, return_exceptions, name)
    try:
        return await one.gather()
    except BaseException:
        one.desert()
        raise


class _Bag:
    """One bag while it is awaited."""

    def __init__(
        self, items: Iterable[Any], limit: int | None, fail_fast: bool, return_exceptions: bool, name: str | None
    ) -> None:
        self.head: Head = current_head()  # type: ignore[assignment]  # a bag asks more of it than a task does
        if name and isinstance(items, Sequence):
            for item in items:
                self._name_group(item, name)
        self.items: Iterator[Any] = iter(items)
        self.streamed = items is self.items
        self.window = min(limit or _WINDOW, _WINDOW)
        self.fail_fast = fail_fast
        self.return_exceptions = return_exceptions
        self.group = name
        self.pending = 0
        self.count = 0
        self.results: deque[Any] = deque()
        self.others: dict[int, Future[Any]] = {}
        self.failures: list[BaseException] = []
        self.unsettled: dict[int, Task] = {}
        self.room: Future[None] | None = None

    @staticmethod
    def _name_group(item: object, name: str) -> None:
        if isinstance(item, Task) and not item._group and item._state is NEW:
            item._group = name

    def desert(self) -> None:
        """Nobody waits any more: what is no task of ours must not go on alone."""
        self.head.deserted = self.head.deserted or bool(self.pending)
        for future in self.others.values():
            future.cancel()

    async def gather(self) -> Sequence[Any]:
        """Take all in, wait for all, return or raise."""
        more = True
        while more and not (self.fail_fast and self.failures):
            more = self._take_slice()
            if self.streamed and len(self.results) > _KEPT:
                self._let_go()
            if self.pending >= self.window:
                await self._wait(self.window - 1)
            elif self.pending and more:
                await _one_turn(self.head)
        if self.fail_fast and self.failures:
            self._call_off()
        await self._wait(0)
        return self._outcome()

    def _take_slice(self) -> bool:
        """Send the next few; False when the iterable has ended."""
        tasks: list[Task] = []
        room = min(_SLICE, self.window - self.pending)
        more = True
        while len(tasks) < room:
            try:
                item = next(self.items)
            except StopIteration:
                more = False
                break
            if isinstance(item, Task):
                if self.group:
                    self._name_group(item, self.group)
                tasks.append(item)
                self.results.append(item)
            else:
                room -= 1
                self._take_other(item)
            self.count += 1
        for task in self.head.admit(tasks):
            self.pending += 1
            self.unsettled[id(task)] = task
            task._waiter = add_waiter(task._waiter, self._settled)
        for task in tasks:
            if task._state in SETTLED and task._state not in GOOD:
                self._failed(task)
        return more

    def _take_other(self, item: Any) -> None:  # noqa: ANN401
        """Take an awaitable that is no task: a flow, a coroutine, a future."""
        if not hasattr(item, "__await__"):
            raise TaskError(f"a bag takes tasks and awaitables, not {item!r}")
        import asyncio

        self.head.event_loop()
        future = asyncio.ensure_future(item, loop=self.head.event_loop())
        self.pending += 1
        self.others[self.count] = future
        self.results.append(future)
        future.add_done_callback(self._other_settled)

    def _settled(self, task: Task) -> None:
        self.unsettled.pop(id(task), None)
        if task._state not in GOOD:
            self._failed(task)
        self._one_less()

    def _other_settled(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, TasksFailed):
            self.failures.extend(error.failures)
        elif error is not None:
            self.failures.append(error)
        self._one_less()

    def _failed(self, task: Task) -> None:
        assert task._life is not None  # noqa: S101 (a task that went wrong has its life's story)
        self.failures.append(task._life.error())

    def _one_less(self) -> None:
        self.pending -= 1
        stop = self.fail_fast and self.failures
        if self.room is not None and not self.room.done() and (self.pending <= self.level or stop):
            self.room.set_result(None)

    level = 0

    async def _wait(self, level: int) -> None:
        """Return when at most ``level`` of this bag are unsettled."""
        while self.pending > level:
            if self.fail_fast and self.failures:
                self._call_off()
                if self.pending <= level:
                    return
            self.level = level
            self.room = self.head.event_loop().create_future()
            await self.room
            self.head.selection.raise_if_enough()

    def _call_off(self) -> None:
        for task in list(self.unsettled.values()):
            self.head.call_off(task, "another task of its bag failed")
        self.fail_fast = False

    def _let_go(self) -> None:
        while len(self.results) > _KEPT // 2:
            item = self.results.popleft()
            if isinstance(item, Task) and item._state in SETTLED:
                self.head.forget(item)

    def _outcome(self) -> Sequence[Any]:
        roots = [error for error in self.failures if not isinstance(error, (UpstreamFailed, TaskCancelled))]
        errors = list({id(error): error for error in roots or self.failures}.values())
        if errors and not self.return_exceptions:
            ours = [error for error in errors if isinstance(error, ScriptflowError)]
            if len(ours) == len(errors) > 1:
                raise TasksFailed(ours)
            # An exception of the flow's own code is raised as it is, before any failed task.
            raise next((error for error in errors if error not in ours), errors[0])
        if len(self.results) < self.count:
            return Forgotten(self.count)
        return [self._result(item) for item in self.results]

    def _result(self, item: Any) -> Any:  # noqa: ANN401
        if isinstance(item, Task):
            if item._state not in GOOD and item._life is not None:
                return item._life.error()
            return item.value if "call" in item._options else item
        if item.cancelled():
            import asyncio

            return asyncio.CancelledError()
        return item.exception() or item.result()


class Forgotten(Sequence["Any"]):
    """The results of a stream too long to keep: their number is known, they are not."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401
        raise TaskError(
            f"the results of this bag were not kept: its generator gave {self._count}",
            do="give the bag a list, or read the tasks' outputs",
        )


async def _one_turn(head: Head) -> None:
    """Let everything else that is ready have its turn."""
    loop = head.event_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future


class group:  # noqa: N801 (used as a word: async with sf.group("name"))
    """Name a group: tasks made inside are shown together. Groups nest as ``outer/inner``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._outer = ""

    def __enter__(self) -> group:
        self._outer = GROUP.get()
        GROUP.set(f"{self._outer}/{self._name}" if self._outer else self._name)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # Set, not reset: a flow is begun without an event loop, and may end the block inside one.
        GROUP.set(self._outer)

    async def __aenter__(self) -> group:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def flow(
    function: Callable[..., Any] | None = None, *, name: str | None = None, check: str | None = None,
    cache: bool = False,
) -> Any:  # noqa: ANN401  # fmt: skip
    """Mark an async function as a flow; needed only where it is not ``flow_NAME``, or has options.

    Args:
        function: the function itself, where the mark has no options.
        name: what it is called, by default the function's own name.
        check: ``"mtime"`` or ``"content"`` for its tasks, unless they say so themselves.
        cache: run it once in a run for equal arguments, from however many places it is awaited.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        if cache:
            from scriptflow.engine.shared import run_once

            function = run_once(function)
        function.__scriptflow_flow__ = {"name": name or function.__name__, "check": check}  # type: ignore[attr-defined]
        return function

    return mark if function is None else mark(function)


@types.coroutine
def resumed(coroutine: Any, first: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401
    """Go on, inside an event loop, with a coroutine that was driven without one up to its first wait.

    Args:
        coroutine: suspended at ``first``.
        first: the future it waits for.
    """
    try:
        yield first
    except BaseException as error:  # noqa: BLE001 (a cancellation belongs to the coroutine)
        try:
            again = coroutine.throw(error)
        except StopIteration as stop:
            return stop.value
        return (yield from resumed(coroutine, again))
    return (yield from coroutine)
