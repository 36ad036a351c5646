"""One call of a function: its arguments as they were when it was made, where its value goes, how it is run.

Knows the function, its code and the forms that arguments are stored in. Knows nothing of heads and executors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
from typing import TYPE_CHECKING

from scriptflow.core.context import HEAD
from scriptflow.core.paths import Glob
from scriptflow.core.task import Task
from scriptflow.errors import TaskError
from scriptflow.functions.unknown import Unknown
from scriptflow.functions.values import Codec, canonical, put_blob, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scriptflow.functions.decorator import TaskFunction

STORE = ".scriptflow"
VALUES = f"{STORE}/values"
MAIN = "__main__"
MAIN_TOO = "__scriptflow_main__"
"""The name of a script's module in a worker, where another program is the main one."""
WORKER = "scriptflow.functions.worker"
_SHOWN = 200
_LONGEST_NAME = 40
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_NUMBER = re.compile(r"[0-9][0-9.]*\Z")


class Call:
    """What a function task is beyond a task.

    Attributes:
        function: the function.
        needs: the tasks among its arguments.
        value_file: where its value goes, relative to the flow's folder.
        warm: whether a resident worker may take it.
    """

    def __init__(self, function: TaskFunction[Any, Any], arguments: Mapping[str, Any]) -> None:
        self.function = function
        self.needs: list[Task] = []
        self.warm = not function.fresh
        self._held: dict[str, bytes] = {}
        codec = Codec("", held=self._held, special=self._task)
        try:
            # As text, so that nothing that happens to an argument later changes the call.
            plain = {name: codec.write(value) for name, value in arguments.items()}
            texts = {name: json.dumps(data) for name, data in plain.items()}
        except RecursionError:
            raise TaskError(f"an argument of {function.name} contains itself", do="pass plain data") from None
        self.arguments = texts
        self._words = [_word(data) for data in plain.values()]
        self._params = {name: canonical(data) for name, data in plain.items()}
        identity = [function.target, *sorted(self._params.items()), *(["validated"] if function.validated else [])]
        self.digest = hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]
        self.value_file = f"{VALUES}/{_file_name(function.name)}-{self.digest}.json"
        self._lines: dict[str, str] = {}

    def _task(self, value: object) -> dict[str, Any] | None:
        """Write a task among the arguments: by the file of its value, or by its outputs."""
        if isinstance(value, Unknown):
            bool(value)  # which says that only a run can give it
        if not isinstance(value, Task):
            return None
        self.needs.append(value)
        call = value.get("call")
        if call is not None:
            return {"$": "value", "file": call.value_file}
        files = [{"glob": path.pattern} if isinstance(path, Glob) else str(path) for path in value.outputs]
        if not files:
            raise TaskError(
                f"task {value.name} is an argument of {self.function.name} and declares no outputs",
                why="a function gets the paths of a command's outputs",
                do="declare them with outputs=",
                place=value.place,
            )
        return {"$": "files", "v": files}

    @property
    def name(self) -> str:
        """What the call is called: the function's name and plain arguments, or a digest of those that are not."""
        words = self._words
        name = "-".join([self.function.name, *words, *(["validated"] if self.function.validated else [])])
        if "" in words or len(name) > max(_LONGEST_NAME, len(self.function.name)):
            return f"{self.function.name}-{self.digest[:8]}"
        return name

    def manifest(self, folder: str = "") -> Mapping[str, str]:
        """Return the lines that the task's manifest has of it: ``code`` and ``param NAME``.

        Args:
            folder: the project's, where the asker knows it: not every callback runs where a head is current.
        """
        if not self._lines:
            self._lines = {f"param {name}": _line(text) for name, text in self._params.items()}
            if self.function.validated:
                self._lines["validate"] = "yes"
        return {**self._lines, "code": self.function.code(folder or self.folder()).digest}

    def folder(self) -> str:
        """Return the project's folder: the flow's, and before there is a head that of the function's file."""
        head = HEAD.get()
        return head.files.folder if head is not None else os.path.dirname(self.function.file)

    def argv(self, folder: str) -> tuple[str, ...]:
        """Return program and arguments of a process that makes this call."""
        return (sys.executable, "-m", WORKER, self.function.target, f"{folder}/{self._call_file}")

    @property
    def _call_file(self) -> str:
        return f"{VALUES}/calls/{self.value_file.rpartition('/')[2]}"

    def begin(self, folder: str, *, warm: bool) -> Mapping[str, Any] | None:
        """Write what the job needs below ``folder``; return what a resident worker needs, None for another process.

        Args:
            folder: the flow's.
            warm: whether the executor has resident workers.

        Raises:
            OSError: the run store cannot be written.
        """
        function = self.function
        values = f"{folder}/{VALUES}"
        os.makedirs(values, mode=0o700, exist_ok=True)
        code = function.code(folder)
        text_file = f"{values}/code/{code.digest}.py"
        if text_file not in function.written:
            write_whole(text_file, code.text.encode("utf-8", "surrogatepass"))
            function.written.add(text_file)
        for name, data in self._held.items():
            put_blob(values, name, data)
        request = json.dumps(
            {
                "module": function.module, "file": function.file, "name": function.qualname, "folder": folder,
                "arguments": self.arguments, "value": self.value_file, "validate": function.validated,
                "import": function.by_import,
            }
        )  # fmt: skip
        if warm and self.warm:
            return {"server": (sys.executable, "-m", WORKER), "request": request}
        write_whole(f"{folder}/{self._call_file}", request.encode())
        return None


def _line(text: str) -> str:
    """Return a parameter as the manifest has it: whole, or a digest when it is long."""
    if len(text) <= _SHOWN:
        return text
    return f"{text[:40]}… ({len(text)} characters, sha256:{hashlib.sha256(text.encode()).hexdigest()[:32]})"


def _word(value: object) -> str:
    """Return a plain argument as part of a name, "" for what would not be told apart from another."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, str):
        return text if _WORD.match(text) and text not in ("True", "False", "None", "inf", "nan") else ""
    if isinstance(value, bool) or value is None:
        return text
    return text if isinstance(value, (int, float)) and _NUMBER.match(text) else ""


def _file_name(name: str) -> str:
    kept = "".join([letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name])
    return kept[:80].lstrip(".") or "call"
