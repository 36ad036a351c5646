"""Make one call, in the process that was started for it: find the function, read its arguments, store its value.

Knows requests as ``call`` writes them. Knows nothing of workers, logs and records.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from typing import TYPE_CHECKING

from scriptflow.core.context import HEAD
from scriptflow.core.paths import Glob
from scriptflow.errors import ScriptflowError, TaskError
from scriptflow.functions.call import MAIN, MAIN_TOO, VALUES
from scriptflow.functions.task import read_value
from scriptflow.functions.values import Codec, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType, TracebackType
    from typing import Any, NoReturn


class _Reached(BaseException):
    """A script that is imported for its functions came to the line where it runs its flow."""


class _NoHead:
    """Stands for a head in a worker: there is none, and a function task awaits no tasks."""

    is_absent = True

    def __init__(self) -> None:
        self.loading = False

    def __getattr__(self, name: str) -> NoReturn:
        if self.loading:
            raise _Reached
        raise TaskError(
            "a function that runs as a task cannot await or start tasks",
            why="it runs in a worker; only a flow has a head",
            do="call the function plainly, or await the task in the flow and pass it on",
        )


_no_head = _NoHead()
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_signature = functools.cache(inspect.signature)


def run(request: str) -> None:
    """Make a call and store its value.

    Raises:
        Exception: whatever the function raises.
        TaskError: its value cannot be stored.
    """
    HEAD.set(_no_head)  # type: ignore[arg-type]  # it answers everything with an error
    call = json.loads(request)
    folder = call["folder"]
    values = f"{folder}/{VALUES}"
    function = find(call["module"], call["file"], call["name"], folder, by_import=call["import"])
    codec = Codec(values, restore=lambda data: _restored(data, folder, values))
    arguments = {name: codec.read(json.loads(text)) for name, text in call["arguments"].items()}
    bound = inspect.BoundArguments(_signature(function), arguments)
    if call["validate"]:
        from scriptflow.functions.decorator import checking

        value = checking(function)(*bound.args, **bound.kwargs)
    else:
        value = function(*bound.args, **bound.kwargs)
    if inspect.iscoroutine(value):
        import asyncio

        value = asyncio.run(value)
    try:
        text = json.dumps({"schema": 1, "value": Codec(values).write(value)})
    except RecursionError:
        raise TaskError(f"the value of {call['name']} contains itself", do="return plain data") from None
    except TaskError as error:
        raise TaskError(f"the value of {call['name']}: {error.what}", why=error.why, do=error.do) from error
    write_whole(f"{folder}/{call['value']}", text.encode())


def _restored(data: dict[str, Any], folder: str, values: str) -> Any:  # noqa: ANN401
    """Return what a task among the arguments stands for: its value, or the paths of its outputs."""
    if data["$"] == "value":
        return read_value(f"{folder}/{data['file']}", values, data["file"])
    if data["$"] != "files":
        raise ValueError(f"no kind {data['$']!r} is known")
    paths: list[str] = []
    for item in data["v"]:
        paths += Glob(item["glob"]).expand(folder) if isinstance(item, dict) else [item]
    full = [os.path.join(folder, path) for path in paths]
    return full[0] if len(data["v"]) == 1 and isinstance(data["v"][0], str) else full


def find(module: str, file: str, name: str, folder: str, *, by_import: bool) -> Callable[..., Any]:
    """Return the function ``name`` of a module.

    Args:
        module: its name in the flow's process.
        file: its source.
        name: qualified, as ``Class.method``.
        folder: the flow's.
        by_import: whether it is an ordinary module; a flow file and a script are run under their name.
    """
    package = file
    for _ in module.split("."):
        package = os.path.dirname(package)
    for path in (package, folder):
        if path not in sys.path:
            sys.path.insert(0, path)
    if by_import:
        from importlib import import_module

        found: Any = import_module(module)
    else:
        found = _loaded(MAIN_TOO if module == MAIN else module, file, name)
    for part in name.split("."):
        found = getattr(found, part)
    function: Callable[..., Any] = getattr(found, "_function", found)
    return function


def _loaded(name: str, file: str, wanted: str) -> ModuleType:
    """Run a flow file or a script as a module, once in a process."""
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == file:
        return known
    module = type(sys)(name)
    module.__file__ = file
    module.__dict__["__scriptflow__"] = True
    sys.modules[name] = module
    if name == MAIN_TOO:
        sys.modules[MAIN] = module  # what it defines is found under both names, as in the flow's process
    _no_head.loading = True
    try:
        with open(file, "rb") as source:
            exec(compile(source.read(), file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (the user's file)
    except _Reached:
        _check_defined(module, wanted, file)
    except ScriptflowError:
        if name != MAIN_TOO:
            raise
        _check_defined(module, wanted, file)
    finally:
        _no_head.loading = False
    return module


def _check_defined(module: ModuleType, wanted: str, file: str) -> None:
    """Raise unless the function was defined before the script came to its flow."""
    if wanted.partition(".")[0] not in module.__dict__:
        raise TaskError(
            f"{os.path.basename(file)} runs its flow before {wanted} is defined",
            do='put what runs the flow at the end, under `if __name__ == "__main__":`',
        )


def tell(error: BaseException) -> None:
    """Write why a call failed to stderr: a traceback that starts in the user's file, an error of ours as its words."""
    from traceback import StackSummary, TracebackException

    trace = _theirs(error.__traceback__)
    ours = isinstance(error, ScriptflowError)
    if ours and trace is None:
        sys.stderr.write(f"{error}\n")
    else:
        shown = TracebackException(type(error), error, trace or error.__traceback__)
        if ours:  # its words say more than our lines
            shown.stack = StackSummary.from_list([line for line in shown.stack if not line.filename.startswith(_OURS)])
        sys.stderr.write("".join(shown.format(chain=not ours)))


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from its first frame in the user's files, None when it never was there."""
    library = os.path.dirname(os.__file__) + os.sep
    at = trace
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if not file.startswith((_OURS, library, "<")):
            return at
        at = at.tb_next
    return None
