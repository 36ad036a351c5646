"""A call of a function as a task: awaiting it gives the function's value.

Knows calls and tasks; what a task is and how it is decided is the core's.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Generic, TypeVar

from scriptflow.core.context import HEAD, PLANNING
from scriptflow.core.states import GOOD
from scriptflow.core.task import Task
from scriptflow.errors import ScriptflowError, TaskError, ValueLost
from scriptflow.functions.call import VALUES, Call
from scriptflow.functions.unknown import Unknown
from scriptflow.functions.values import Codec

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType
    from typing import Any

R = TypeVar("R")
_OURS = __name__.rpartition(".functions.")[0]


def users_frame() -> FrameType:
    """Return the frame of the line outside scriptflow that led here."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == _OURS:
        frame = frame.f_back
    return frame


class FunctionTask(Task, Generic[R]):
    """A task that calls a Python function outside the head's process; ``await`` gives what it returned.

    Made by ``f.task(...)`` and ``f.call(...)``. Its value is kept in a file of the run store, which is its last output.
    """

    __slots__ = ()

    def __init__(self, call: Call, hooks: dict[str, Any], options: dict[str, Any]) -> None:
        frame = users_frame()
        named = options.pop("name", None)
        try:
            super().__init__((call.function.label,), **options)
        except ScriptflowError as error:
            if error.place is None or error.place.file == __file__:
                error.place = _place(frame)
            raise
        self._code, self._line = frame.f_code, frame.f_lineno
        self._name = named or (call.name if not self._outputs else None)
        self._set("call", call)
        if hooks:
            self._set("hooks", hooks)
        self._inputs = (*self._inputs, *call.needs)
        self._outputs = (*self._outputs, call.value_file)

    @property
    def value(self) -> R:
        """What the function returned, read from the run store each time.

        Raises:
            TaskError: the task has not ended well.
            ValueLost: it is not there any more, or damaged.
        """
        if self.state not in GOOD:
            raise TaskError(f"task {self.name} has no value yet", why=f"it is {self.state}", do="await it first")
        would_run = PLANNING.get()
        if would_run is not None and would_run(self):
            return Unknown(str(self.name))  # type: ignore[return-value]  # it stands for the value until it is used
        head = HEAD.get()
        call: Call = self.get("call")
        if head is not None:
            self._set("folder", head.files.folder)
        folder = self.get("folder") or call.folder()
        return read_value(f"{folder}/{call.value_file}", f"{folder}/{VALUES}", str(self.name))  # type: ignore[no-any-return]  # what the function returned

    def __await__(self) -> Generator[Any, Any, R]:  # type: ignore[override]  # a call is awaited for its value
        yield from super().__await__()
        return self.value

    def _read(self, value: Any, what: str) -> tuple[Any, ...]:  # noqa: ANN401
        """Read a declaration that replaces an earlier one: what belongs to the call stays."""
        paths = super()._read(value, what)
        call: Call | None = self.get("call")
        if call is None:  # under construction
            return paths
        return (*paths, call.value_file) if what == "outputs" else (*paths, *call.needs)

    def _change(self, key: str, value: Any) -> None:  # noqa: ANN401
        if key == "cmd":
            raise TaskError(f"task {self.name} calls a function and has no command", place=self.place)
        super()._change(key, value)


def read_value(path: str, values: str, name: str) -> Any:  # noqa: ANN401
    """Return the value in a value file.

    Args:
        path: the file.
        values: the store's folder ``values``.
        name: the task's, for the message.
    """
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)["value"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueLost(
            f"the value of {name} cannot be read: {error}", why=f"it is kept in {path}", do="scriptflow run"
        ) from error
    return Codec(values).read(data)


def _place(frame: FrameType) -> Any:  # noqa: ANN401
    from scriptflow.errors import Place

    return Place(frame.f_code.co_filename, frame.f_lineno)
