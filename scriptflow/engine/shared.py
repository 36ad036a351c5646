"""Flows that run once in a run however often they are reached: ``@sf.flow(cache=True)``.

Knows coroutine functions and the current head. Knows nothing of tasks.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

from scriptflow.core.context import current_head

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Coroutine
    from typing import Any

    from scriptflow.engine.head import Head


class Once:
    """One run of a flow with some arguments, shared by all who reach it."""

    def __init__(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self.function = function
        self.arguments = arguments
        self.ended = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._waiters: list[Future[None]] = []

    async def run(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401
        """Run the flow for the first who reached it, and let the others know."""
        try:
            self._value = await make()
        except BaseException as error:
            self._error = error
            raise
        finally:
            self.ended = True
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
        return self._value

    async def wait(self, head: Head) -> Any:  # noqa: ANN401
        """Return what the flow returned, or raise what it raised, when it has ended."""
        if not self.ended:
            waiter = head.event_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._error is not None:
            raise self._error
        return self._value

    @property
    def was_stopped(self) -> bool:
        """Whether it ended without a result because the first who reached it was cancelled."""
        return self.ended and self._error is not None and not isinstance(self._error, Exception)


def run_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the flow as one that runs once for equal arguments in each run."""

    @functools.wraps(function)
    async def once(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        head: Head = current_head()  # type: ignore[assignment]  # a flow asks more of it than a task does
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        same = [one for one in head.shared if (one.function, one.arguments) == (function, bound.arguments)]
        for found in same:
            if not found.was_stopped:
                return await found.wait(head)
        first = Once(function, bound.arguments)
        head.shared.append(first)
        return await first.run(lambda: function(*args, **kwargs))

    return once
