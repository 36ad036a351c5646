"""Many calls of one function, awaited together for their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from scriptflow.core.registry import load

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from types import FrameType

    from scriptflow.functions.task import FunctionTask

R = TypeVar("R")
_BAG = "scriptflow.engine.flow:bag"


class _Together(Generic[R]):
    """Some calls: ``tasks`` has each as a task."""

    def __init__(self, tasks: Sequence[FunctionTask[R]], frame: FrameType) -> None:
        self.tasks = tuple(tasks)
        self._code = frame.f_code  # whose file's folder is the project's, for sf.run

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[FunctionTask[R]]:
        return iter(self.tasks)

    def _values(self) -> Generator[Any, Any, list[R]]:
        values: list[R] = yield from load(_BAG)(self.tasks).__await__()
        return values


class Calls(_Together[R]):
    """What ``f.map(...)`` gives: awaited, a list of values in the order of the arguments."""

    def __await__(self) -> Generator[Any, Any, list[R]]:
        return self._values()


class Pairs(_Together[R]):
    """What ``f.mapvalues(...)`` gives: awaited, a list of ``(key, value)``."""

    def __init__(self, keys: Sequence[Any], tasks: Sequence[FunctionTask[R]], frame: FrameType) -> None:
        super().__init__(tasks, frame)
        self._keys = tuple(keys)

    def __await__(self) -> Generator[Any, Any, list[tuple[Any, R]]]:
        values = yield from self._values()
        return list(zip(self._keys, values, strict=True))
