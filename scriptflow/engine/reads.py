"""Notice, while a flow is planned, where its own code reads what only a run could make.

Knows paths and the flow's lines. Knows nothing of tasks: whether a file will be made is asked.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from scriptflow.core.task import Task

_ENGINE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_WRITES = frozenset("wax")

_watching: Reads | None = None
_installed = False


class Reads:
    """Hears what the flow's code opens, from ``watch`` to ``close``.

    What no hook can tell is not heard: whether a file exists, how large it is.

    Attributes:
        first: the first read that a run would answer otherwise (``sflow.py:58: reads totals.json``); "" before it.

    Args:
        folder: the flow's: paths and lines are named from there.
        maker: names the task that would run and make a file of that path, "" when none would.
        runs: whether a task would run.
    """

    def __init__(self, folder: str, maker: Callable[[str], str], runs: Callable[[Task], bool]) -> None:
        self.first = ""
        self._folder = folder + os.sep
        self._maker = maker
        self._runs = runs
        self._asking = False

    def watch(self) -> None:
        """Begin to hear. A hook of the interpreter stays for good, so one serves all."""
        global _watching, _installed
        _watching = self
        if not _installed:
            _installed = True
            sys.addaudithook(_hear)

    @staticmethod
    def close() -> None:
        """Hear nothing any more."""
        global _watching
        _watching = None

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take one event of the interpreter; raises nothing, since that would be raised at the flow's line."""
        if self.first or self._asking:
            return
        self._asking = True
        try:
            with suppress(Exception):
                self._note(event, arguments)
        finally:
            self._asking = False

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        where = self._where(sys._getframe(3))
        if where is None:
            return
        if event == "scriptflow.value":
            (task,) = arguments
            if self._runs(task):
                self.first = f"{where}: reads the value of {task.name}, which would run"
        elif not isinstance(arguments[0], int) and _is_read(*arguments[1:]):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            path = path.removeprefix(self._folder)
            if maker := self._maker(path):
                self.first = f"{where}: reads {path}, which {maker} would make"

    def _where(self, frame: FrameType | None) -> str | None:
        """Return the flow's line that is at work; None when it is we who open the file."""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(_ENGINE):
                return None
            if file.startswith(self._folder):
                return f"{file[len(self._folder) :]}:{frame.f_lineno}"
            frame = frame.f_back
        return "a thread of the flow"


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching is not None and event in ("open", "scriptflow.value"):
        _watching.note(event, arguments)


def _is_read(mode: str | None, flags: int) -> bool:
    if mode is None:
        return flags & (os.O_WRONLY | os.O_RDWR) != os.O_WRONLY
    return "+" in mode or not _WRITES & set(mode)
