"""Find a flow file, load it, and choose one of its flows.

Knows nothing of the command line, of heads or of stores: a flow is a function with a name and parameters here.
"""

from __future__ import annotations

import os
import sys

from scriptflow.core.paths import shown
from scriptflow.errors import (
    FlowAmbiguous,
    FlowImport,
    FlowNotAsync,
    FlowNotFound,
    FlowSyntax,
    NoFlowFile,
    Place,
    ScriptflowError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import CodeType, ModuleType, TracebackType
    from typing import Any

    from scriptflow.flowfile.parameters import Parameter

FLOW_FILE = "sflow.py"
MARK = "__scriptflow_flow__"
"""Attribute that ``@sf.flow`` leaves on a function: a dict with ``name`` and the flow's options."""
_PREFIX = "flow_"
_COROUTINE = 0x80 | 0x100  # inspect.CO_COROUTINE, CO_ITERABLE_COROUTINE


class Flow:
    """One flow of a flow file.

    Attributes:
        name: what ``scriptflow run`` calls it.
        function: the function itself; call it with the answer of ``bind``.
        line: where it begins in ``file``, 0 when unknown.
        options: what ``@sf.flow(...)`` was given.
    """

    __slots__ = ("_parameters", "file", "function", "line", "name", "options")

    def __init__(self, name: str, function: Callable[..., Any], file: str, options: Mapping[str, object]) -> None:
        code = _code(function)
        self.name = name
        self.function = function
        self.file = code.co_filename if code else file
        self.line = code.co_firstlineno if code else 0
        self.options = options
        self._parameters: tuple[Parameter, ...] | None = None

    @property
    def is_async(self) -> bool:
        """Whether the function can be awaited, so that it can be run at all."""
        code = _code(self.function)
        return code is not None and bool(code.co_flags & _COROUTINE)

    @property
    def doc_line(self) -> str:
        """First line of the docstring, or an empty string."""
        return (_unwrapped(self.function).__doc__ or "").strip().partition("\n")[0].strip()

    @property
    def place(self) -> Place:
        """The line where the flow begins."""
        return Place(shown(self.file), self.line)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What the flow takes."""
        if self._parameters is None:
            from scriptflow.flowfile.parameters import parameters_of

            self._parameters = parameters_of(self.function)
        return self._parameters

    def bind(
        self, strings: Mapping[str, str | Sequence[str]], values: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Turn words of the command line, and values, into the arguments of the function.

        Args:
            strings: text by name, read by the parameter's type; a list where one was given several times.
            values: values by name (from a file, or from Python), checked; ``strings`` win over them.

        Raises:
            ParameterError: a name is unknown, a needed one is missing, a value is of the wrong type.
        """
        if not strings and not values and _needs_nothing(self.function):
            return {}
        from scriptflow.flowfile.parameters import bind

        return bind(self, strings, values or {})


class FlowFile:
    """A loaded flow file: its ``path``, its ``folder``, and its ``flows`` in the order they are written."""

    __slots__ = ("flows", "folder", "path")

    def __init__(self, path: str, flows: Sequence[Flow]) -> None:
        self.path = path
        self.folder = os.path.dirname(path)
        self.flows = tuple(flows)

    def choose(self, name: str | None = None) -> Flow:
        """Return the flow called ``name``, or the only one.

        Raises:
            FlowNotFound: there is none of that name, or none at all.
            FlowAmbiguous: there are several, and none was named.
            FlowNotAsync: it is a plain function.
        """
        file = os.path.basename(self.path)
        if not self.flows:
            raise FlowNotFound(f"no flow in {shown(self.path)}", do=f"write `async def {_PREFIX}NAME():` in {file}")
        if name is None:
            able = [flow for flow in self.flows if flow.is_async] or list(self.flows)
            if len(able) > 1:
                names = ", ".join(flow.name for flow in able)
                raise FlowAmbiguous(f"{file} has {len(able)} flows: {names}", do=f"scriptflow run {able[0].name}")
            flow = able[0]
        else:
            flow = next((flow for flow in self.flows if flow.name == name), None) or self._not_found(name)
        if not flow.is_async:
            function = _unwrapped(flow.function).__name__
            raise FlowNotAsync(
                f"{function} ({flow.place}) is a plain function", do=f"write `async def {function}`", place=flow.place
            )
        return flow

    def _not_found(self, name: str) -> Flow:
        from scriptflow.core.nearest import nearest

        names = [flow.name for flow in self.flows]
        near = nearest(name.removeprefix(_PREFIX), names)
        raise FlowNotFound(
            f"no flow `{name}` in {shown(self.path)}",
            why=f"flows: {', '.join(names)}",
            do=f"a flow with a similar name exists: `{near}`" if near else "scriptflow list",
        )


def find_flow_file(start: str, file: str | None = None) -> str:
    """Return the absolute path of ``file``, else of the ``sflow.py`` in ``start`` or the nearest parent folder.

    Raises:
        NoFlowFile: there is none.
    """
    start = os.path.abspath(start)
    if file is not None:
        path = os.path.join(start, file)
        if os.path.isdir(path):
            path = os.path.join(path, FLOW_FILE)
        if os.path.isfile(path):
            return os.path.abspath(path)
        raise NoFlowFile(f"no flow file {shown(path)}", do="`scriptflow init` writes one, or pass --file PATH")
    folder = start
    while not os.path.isfile(path := os.path.join(folder, FLOW_FILE)):
        parent = os.path.dirname(folder)
        if parent == folder:
            raise NoFlowFile(
                f"no {FLOW_FILE} in this directory or its parents",
                why=f"looked from {start} upwards",
                do="`scriptflow init` writes one, or pass --file PATH",
            )
        folder = parent
    return path


def load(path: str) -> FlowFile:
    """Import a flow file and return its flows.

    Its folder comes first on ``sys.path``, and it is registered under its own name, so that its neighbours can be
    imported, it can import itself, and what it defines can be pickled.

    Raises:
        FlowSyntax: it, or a module it imports, is not Python.
        FlowImport: it raised an exception, or wanted to exit.
    """
    from scriptflow.core.config import forget_inits

    path = os.path.abspath(path)
    module = _registered(path)
    forget_inits(path)
    try:
        with open(path, "rb") as source:
            # Compiled anew each time: a cached compilation misses an edit of equal length within the same second.
            code = compile(source.read(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 (running the user's file is what was asked for)
    except BaseException as error:
        del sys.modules[module.__name__]
        _explain(error, path)
        raise
    return FlowFile(path, _flows(module, path))


def flow_traceback(error: BaseException, path: str) -> str:
    """Return a traceback that starts in the flow file ``path`` and leaves our own frames out."""
    from traceback import StackSummary, TracebackException

    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    told = TracebackException.from_exception(error)
    link: TracebackException | None = told
    while link is not None:
        frames = [frame for frame in link.stack if not frame.filename.startswith(ours + os.sep)]
        first = next((at for at, frame in enumerate(frames) if frame.filename == path), 0)
        link.stack = StackSummary.from_list(frames[first:])
        link = link.__cause__ or link.__context__
    return "".join(told.format())


def _registered(path: str) -> ModuleType:
    folder, file = os.path.split(path)
    name = os.path.splitext(file)[0]
    there = sys.modules.get(name)
    if there is not None and not getattr(there, "__scriptflow__", False):
        raise FlowImport(
            f"{file} has the name of a module that is loaded already",
            why=f"`import {name}` means {getattr(there, '__file__', None) or 'a module of Python itself'}",
            do=f"rename {file}, to {FLOW_FILE} for one",
        )
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    module = type(sys)(name)
    module.__file__ = path
    module.__dict__["__scriptflow__"] = True
    sys.modules[name] = module
    return module


def _flows(module: ModuleType, path: str) -> list[Flow]:
    flows: dict[str, Flow] = {}
    seen: set[int] = set()
    for name, value in list(module.__dict__.items()):
        mark = _mark(value)
        named = name.startswith(_PREFIX) and len(name) > len(_PREFIX) and callable(value)
        if (mark is None and not named) or isinstance(value, type) or id(value) in seen:
            continue
        seen.add(id(value))
        options = mark or {}
        given = str(options.get("name") or name)
        own = given in (name, getattr(value, "__name__", name))  # not chosen for the command line
        flow = Flow((given.removeprefix(_PREFIX) or given) if own else given, value, path, options)
        other = flows.setdefault(flow.name, flow)
        if other is not flow:
            raise FlowAmbiguous(
                f"two flows are named `{flow.name}` ({other.place}, {flow.place})", do="rename one", place=flow.place
            )
    return list(flows.values())


def _mark(value: object) -> dict[str, object] | None:
    # Only functions and classes of marked objects are looked at: reading an attribute of just any object of the
    # user's module may load a lazy module, or be answered by a proxy that has every attribute.
    mark = value.__dict__.get(MARK) if type(value) is type(_mark) else None
    if mark is None and hasattr(type(value), MARK) and not isinstance(value, type):
        mark = getattr(value, MARK)
    return mark if isinstance(mark, dict) else None


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function under decorators and partials."""
    for _ in range(100):  # a loop of wrappers is the user's own, and not worth an endless one of ours
        inner = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if inner is None:
            break
        function = inner
    return function


def _code(function: Callable[..., Any]) -> CodeType | None:
    function = _unwrapped(function)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return code if isinstance(code, type(_code.__code__)) else None


def _needs_nothing(function: Callable[..., Any]) -> bool:
    """Whether a plain function has a default for each of its parameters; what is no plain function may need some."""
    if type(function) is not type(_needs_nothing):
        return False
    code = function.__code__
    return (
        not hasattr(function, "__wrapped__")
        and code.co_argcount == len(function.__defaults__ or ())
        and code.co_kwonlyargcount == len(function.__kwdefaults__ or ())
    )


# --- what went wrong while a flow file was loaded ---------------------------------------------------


def _explain(error: BaseException, path: str) -> None:
    """Raise our error for ``error``, or return when it should travel on as it is."""
    file, line = os.path.basename(path), 0
    for frame_file, frame_line in _frames(error.__traceback__):
        if frame_file == path:
            line = frame_line
    place = Place(shown(path), line, text=_line_of(path, line)) if line else None
    if isinstance(error, SyntaxError) and os.path.isfile(error.filename or ""):
        raise _syntax_error(error, error.filename or path) from error
    if isinstance(error, (SyntaxError, ValueError)) and line == 0:  # null bytes
        raise FlowSyntax(f"{file} is not Python text: {error}", do="save it as UTF-8 text") from error
    if isinstance(error, OSError) and line == 0:
        raise NoFlowFile(f"cannot read {shown(path)}: {error.strerror}", do="pass --file PATH") from error
    if isinstance(error, ScriptflowError):
        error.place = error.place or place
        return
    if isinstance(error, KeyboardInterrupt) or not isinstance(error, (Exception, SystemExit)):
        return
    story = [text.strip() for text in str(error).splitlines() if text.strip()][:1]
    missing = isinstance(error, ModuleNotFoundError)
    do = "install it there, or run `python -m scriptflow` with the Python that has it" if missing else ""
    if isinstance(error, SystemExit):
        do = 'a flow file only defines flows: put the rest under `if __name__ == "__main__":`'
    raise FlowImport(
        f"{file}:{line} raised {type(error).__name__}{': ' if story else ''}{''.join(story)}",
        why=f"python is {sys.executable}",
        do=do or f"`scriptflow --debug list` shows the whole traceback of {file}",
        place=place,
    ) from error


def _syntax_error(error: SyntaxError, file: str) -> FlowSyntax:
    text = (error.text or "").rstrip("\n")
    place = Place(shown(file), error.lineno or 1, column=max(error.offset or 0, 0), text=text)
    return FlowSyntax(f"{place}: {error.msg}", do="`scriptflow list` loads the file and runs nothing", place=place)


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _line_of(path: str, line: int) -> str:
    import linecache

    return linecache.getline(path, line).rstrip("\n")
