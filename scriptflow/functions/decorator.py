"""``@sf.task``: a Python function as a maker of tasks.

Knows functions, their arguments and what a task may be told. Knows nothing of how calls are run.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, overload

from scriptflow.core.nearest import nearest
from scriptflow.core.task import DEFAULTS
from scriptflow.errors import Place, TaskError
from scriptflow.functions.call import MAIN, MAIN_TOO, Call
from scriptflow.functions.many import Calls, Pairs
from scriptflow.functions.syntax import code_of_function
from scriptflow.functions.task import FunctionTask, users_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import FunctionType

    from scriptflow.functions.syntax import Code

P = ParamSpec("P")
R = TypeVar("R")
_HOOKS = ("on_start", "on_success", "on_failure", "on_retry")
_OPTIONS = ("name", "inputs", "outputs", *[key for key in DEFAULTS if key != "shell"])


class TaskFunction(Generic[P, R]):
    """A function that makes tasks of its calls. Calling it is a plain call.

    Made by ``@sf.task``, and by ``partial``, ``validate`` and ``options`` of another one; never changed.

    Attributes:
        name: what its tasks are called by default, with the arguments behind it.
        target: ``module:qualname``, as records have it.
    """

    def __init__(
        self,
        function: Callable[P, Any],
        *,
        options: Mapping[str, Any],
        bound: Mapping[str, Any],
        validated: bool,
        written: set[str],
        codes: dict[str, Code],
    ) -> None:
        same = {key: getattr(function, key) for key in functools.WRAPPER_ASSIGNMENTS if hasattr(function, key)}
        raw: FunctionType = function  # type: ignore[assignment]  # the decorator has looked
        module = raw.__module__
        by_import = module != MAIN and not getattr(sys.modules.get(module), "__scriptflow__", False)
        stem = os.path.splitext(os.path.basename(raw.__code__.co_filename))[0]
        named = stem if module == MAIN else module
        if module == MAIN:
            sys.modules.setdefault(MAIN_TOO, sys.modules[MAIN])  # what workers store is of a class of that name
        own = dict(options)
        self.__dict__.update(
            **same, __wrapped__=function, _function=function, _options=own, _bound=dict(bound), _codes=codes,
            written=written, validated=validated, fresh=bool(own.pop("fresh", False)),
            hooks={key: own.pop(key) for key in _HOOKS if key in own},
            module=module, qualname=raw.__qualname__, file=os.path.abspath(raw.__code__.co_filename),
            by_import=by_import, target=f"{named}:{raw.__qualname__}",
            name=own.pop("name", None) or (f"{module}.{raw.__qualname__}" if by_import else raw.__qualname__),
            signature=inspect.signature(function),
        )  # fmt: skip

    if TYPE_CHECKING:
        _function: Any
        _options: dict[str, Any]
        _bound: dict[str, Any]
        _codes: dict[str, Code]
        written: set[str]
        validated: bool
        fresh: bool
        hooks: dict[str, Any]
        module: str
        qualname: str
        file: str
        by_import: bool
        target: str
        name: str
        signature: inspect.Signature

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a task function is never changed: use {self.name}.options({name}=...)")

    def __repr__(self) -> str:
        return f"<task function {self.target}>"

    @property
    def label(self) -> str:
        """What stands in a record in place of a command."""
        return self.target

    # --- calls ----------------------------------------------------------------------------------

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now, as if it had no mark."""
        result: R = self._callable()(*args, **{**self._bound, **kwargs})
        return result

    def call(self, *args: P.args, **kwargs: P.kwargs) -> FunctionTask[R]:
        """Return the call as a task; await it for its value."""
        return self._task(args, kwargs, {})

    def task(self, *args: Any, **kwargs: Any) -> FunctionTask[R]:
        """Return the call as a task; keywords that the function does not have are those of ``sf.Task``.

        Raises:
            TaskError: the arguments do not fit the function, or cannot be stored.
        """
        own = set(self.signature.parameters)
        options = {key: kwargs.pop(key) for key in [*kwargs] if key in _OPTIONS and key not in own}
        return self._task(args, kwargs, options)

    def map(self, argnames: str | Sequence[str], argvalues: Sequence[Any]) -> Calls[R]:
        """Return the calls for many values of one argument, or tuples of values of several; await for their values.

        Args:
            argnames: the argument's name, or several.
            argvalues: its values; of several arguments tuples of equal length.
        """
        return Calls([self._task((), bound, {}) for bound in self._rows(argnames, argvalues)], users_frame())

    def mapvalues(self, argnames: str | Sequence[str], argvalues: Sequence[tuple[Any, Any]]) -> Pairs[R]:
        """Return the calls for ``(key, value)`` pairs; await for ``(key, result)`` pairs in their order."""
        pairs = list(argvalues)
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
            self._refuse("mapvalues takes (key, value) pairs", do=f'{self.name}.mapvalues("x", [("key", 1)])')
        rows = self._rows(argnames, [value for _, value in pairs])
        return Pairs([key for key, _ in pairs], [self._task((), bound, {}) for bound in rows], users_frame())

    def _rows(self, argnames: str | Sequence[str], argvalues: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the arguments of each call of a map."""
        if isinstance(argvalues, str | bytes) or not hasattr(argvalues, "__iter__"):
            self._refuse(f"map takes a list of values, not {argvalues!r}", do=f'{self.name}.map("x", [1, 2])')
        if isinstance(argnames, str):
            return [{argnames: value} for value in argvalues]
        names = list(argnames)
        rows: list[dict[str, Any]] = []
        for at, row in enumerate(argvalues):
            if not isinstance(row, tuple | list) or len(row) != len(names):
                self._refuse(
                    f"value {at} of the map is {row!r}, not {len(names)} values",
                    why=f"the names are {', '.join(names)}",
                    do="give a tuple of as many values as there are names",
                )
            rows.append(dict(zip(names, row, strict=True)))
        return rows

    def _task(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> FunctionTask[R]:
        self._check_importable()
        try:
            bound = self.signature.bind(*args, **{**self._bound, **kwargs})
        except TypeError as error:
            near = [nearest(key, list(self.signature.parameters)) for key in kwargs if f"'{key}'" in str(error)]
            self._refuse(
                f"{self.name}{self.signature}: {error}",
                why=f"keywords that are not the function's may be those of a task: {', '.join(_OPTIONS[:6])}, …",
                do=f"did you mean {near[0]}?" if near and near[0] else "",
            )
        try:
            call = Call(self, bound.arguments)
        except TaskError as error:
            error.place = error.place or _here()
            raise
        return FunctionTask(call, self.hooks, {**self._options, **options})

    # --- other makers ---------------------------------------------------------------------------

    def partial(self, *args: Any, **kwargs: Any) -> TaskFunction[..., R]:
        """Return the function with some keywords given; a later keyword may override them."""
        if args:
            self._refuse("partial takes keywords only", do=f"{self.name}.partial({next(iter(self._names()), 'x')}=...)")
        self._check_names(kwargs)
        other: TaskFunction[..., R] = self._other(bound={**self._bound, **kwargs})
        return other

    def validate(self) -> TaskFunction[..., R]:
        """Return the function with its arguments parsed, and what it returns checked, by their annotations."""
        other: TaskFunction[..., R] = self._other(validated=True)
        return other

    def options(self, **options: Any) -> TaskFunction[P, R]:
        """Return the function with other options for its tasks: keywords of ``sf.task``."""
        given = {**self._options, "name": self.name, "fresh": self.fresh, **self.hooks, **options}
        other: TaskFunction[P, R] = self._other(options=checked(given, _here()))
        return other

    def _other(self, **changes: Any) -> Any:  # noqa: ANN401
        same = {
            "options": {**self._options, "name": self.name, "fresh": self.fresh, **self.hooks}, "bound": self._bound,
            "validated": self.validated, "written": self.written, "codes": self._codes,
        }  # fmt: skip
        return type(self)(self._function, **{**same, **changes})

    # --- inside ---------------------------------------------------------------------------------

    def code(self, folder: str) -> Code:
        """Return the function's code, as far as it lies below ``folder``."""
        if folder not in self._codes:
            self._codes[folder] = code_of_function(self._function, folder, _is_mark)
        return self._codes[folder]

    def _callable(self) -> Callable[..., Any]:
        return checking(self._function) if self.validated else self._function

    def _names(self) -> Sequence[str]:
        return tuple(self.signature.parameters)

    def _check_names(self, given: Mapping[str, Any]) -> None:
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in self.signature.parameters.values()):
            return
        for name in given:
            if name not in self.signature.parameters:
                near = nearest(name, self._names())
                self._refuse(
                    f"{self.name}{self.signature} has no argument {name!r}", do=f"did you mean {near}?" if near else ""
                )

    def _check_importable(self) -> None:
        """Refuse what a worker, which imports the function by its name, would not find."""
        if not os.path.isfile(self.file):
            self._refuse(
                f"{self.name} cannot be run as a task: it is in no file",
                why="tasks run in processes of their own, which import the function",
                do="put it into a module, and import it from there",
            )
        found: Any = sys.modules.get(self.module)
        for part in self.qualname.split("."):
            found = getattr(found, part, None)
        if getattr(found, "_function", found) is not self._function:
            self._refuse(
                f"{self.name} cannot be run as a task: {self.target} is something else by now",
                why="tasks run in processes of their own, which find the function by its name",
                do="give each task function a name of its own at the top of its module",
            )

    def _refuse(self, what: str, *, why: str = "", do: str = "") -> NoReturn:
        raise TaskError(what, why=why or (), do=do, place=_here())


class AsyncTaskFunction(TaskFunction[P, R]):
    """A task function that is ``async``: a plain call gives a coroutine, a task its result."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]  # as said
        """Call the function here and now, as if it had no mark."""
        result: Coroutine[Any, Any, R] = self._callable()(*args, **{**self._bound, **kwargs})
        return result


@overload
def task(function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTaskFunction[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> TaskFunction[P, R]: ...
@overload
def task(**options: Any) -> _Mark: ...
def task(function: Any = None, /, **options: Any) -> Any:
    """Make a function a maker of tasks: ``@sf.task``, or ``@sf.task(retries=2, ...)``.

    Args:
        function: a plain or async function at the top of a module.
        options: keywords of ``sf.Task`` for all its tasks, ``name`` for the first word of theirs; ``fresh=True`` for a
            new process for each call; ``on_start(task)``, ``on_success(task, value)``, ``on_failure(task, error)`` and
            ``on_retry(task, error)``: functions that the head calls around each job.

    Raises:
        TaskError: it is no such function, or an option is of no use; at the line of the mark.
    """
    known = checked(options, _here())
    mark = _Mark(known)
    return mark if function is None else mark(function)


class _Mark:
    """``@sf.task(...)`` before it has its function."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> AsyncTaskFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> TaskFunction[P, R]: ...
    def __call__(self, function: Any) -> Any:
        """Mark the function."""
        if isinstance(function, TaskFunction):
            function = function._function
        _check_function(function)
        kind = AsyncTaskFunction if inspect.iscoroutinefunction(function) else TaskFunction
        return kind(function, options=self._options, bound={}, validated=False, written=set(), codes={})


def _check_function(function: Any) -> None:  # noqa: ANN401
    """Raise why a function cannot be a task."""
    what, do = "", "write it as a function at the top of a module"
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.isfunction(function):
        what = f"sf.task takes a function, not {function!r}"
    elif function.__name__ == "<lambda>":
        what, do = "a lambda cannot be a task: a worker cannot find it by name", "def it at the top of a module"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        what, do = f"{name} is a generator, and a task has one value", "return a list"
    elif function.__closure__:
        names = ", ".join(function.__code__.co_freevars)
        what = f"{name} uses local variables of the function around it: {names}"
        do = "move it to the top of the module, and pass them as arguments"
    elif "<locals>" in name:
        what, do = f"{name} is defined within a function, where no worker finds it", "move it to the top of the module"
    if what:
        raise TaskError(what, do=do, place=_here())


def checked(options: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Return the options of a mark, each of its right kind.

    Raises:
        TaskError: one is not; at ``place``.
    """
    from scriptflow.core.command import checked_options

    known = (*_OPTIONS, *_HOOKS, "fresh")
    for key, value in options.items():
        if key not in known:
            near = nearest(key, known)
            raise TaskError(
                f"sf.task has no option {key!r}", why=f"it has {', '.join(known)}",
                do=f"did you mean {near}?" if near else "", place=place,
            )  # fmt: skip
        if key in _HOOKS and (not callable(value) or inspect.iscoroutinefunction(value)):
            raise TaskError(f"{key}={value!r} is no plain function", do=f"{key}=print", place=place)
    checked_options({key: value for key, value in options.items() if key in DEFAULTS}, place)
    return dict(options)


def checking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that parses its arguments and checks what it returns, by its annotations."""
    import pydantic

    return pydantic.validate_call(config={"arbitrary_types_allowed": True}, validate_return=True)(function)


def _is_mark(mark: Any, module: str) -> bool:  # noqa: ANN401
    """Whether a decorator's expression is ``sf.task``: what it says of running is no part of the code."""
    import ast

    at = mark.func if isinstance(mark, ast.Call) else mark
    parts: list[str] = []
    while isinstance(at, ast.Attribute):
        parts.insert(0, at.attr)
        at = at.value
    found: Any = sys.modules.get(module)
    for part in [at.id, *parts] if isinstance(at, ast.Name) else []:
        found = getattr(found, part, None)
    return found is task


def _here() -> Place:
    frame = users_frame()
    return Place(frame.f_code.co_filename, frame.f_lineno)
