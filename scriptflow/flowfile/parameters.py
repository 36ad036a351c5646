"""Read the parameters of a flow from its signature, and turn words into values of their types.

Loaded only for flows that take parameters. Knows nothing of the command line.
"""

from __future__ import annotations

import enum
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Union, get_args, get_origin

from scriptflow.core.nearest import nearest
from scriptflow.errors import ParameterError

if TYPE_CHECKING:
    from scriptflow.flowfile.discover import Flow

MISSING: Any = inspect.Parameter.empty
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LISTS = (list, tuple, set, frozenset, Sequence, Iterable)
_EXAMPLES: dict[Any, str] = {
    int: "10", float: "0.5", bool: "true", str: "text", Path: "data/in.csv", dict: '\'{"key": 1}\'', list: "1,2",
    date: "2026-01-31", datetime: "2026-01-31T12:00", time: "12:00",
}  # fmt: skip


class _WrongTypeError(ValueError):
    """A word cannot be read as the type asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a flow.

    Attributes:
        type: what its annotation says, else the type of its default, else ``str``.
        is_annotated: whether ``type`` is a promise, or a guess that only helps to read text.
        default: ``MISSING`` when there is none.
        any_name: whether it takes every other name (``**options``).
    """

    name: str
    type: Any
    default: Any = MISSING
    is_annotated: bool = True
    any_name: bool = False
    positional_only: bool = False

    @property
    def is_required(self) -> bool:
        """Whether a run must name it."""
        return self.default is MISSING and not self.any_name

    @property
    def is_flag(self) -> bool:
        """Whether ``--name`` alone, and ``--no-name``, mean something."""
        return bool in _choices(self.type)

    @property
    def is_list(self) -> bool:
        """Whether it may be given several times."""
        return any((get_origin(kind) or kind) in _LISTS for kind in _choices(self.type))

    @property
    def option(self) -> str:
        """Its name on the command line, without dashes."""
        return self.name.replace("_", "-")

    @property
    def type_text(self) -> str:
        """Its type as a person would write it."""
        return type_text(self.type)


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a function, ``*args`` left out."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception:  # noqa: BLE001 (names in annotations may exist only for a type checker)
        signature = inspect.signature(function)
    parameters = []
    for found in signature.parameters.values():
        kind, is_annotated = _type_of(found)
        if found.kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters.append(
                Parameter(
                    name=found.name,
                    type=kind,
                    default=found.default,
                    is_annotated=is_annotated,
                    any_name=found.kind is inspect.Parameter.VAR_KEYWORD,
                    positional_only=found.kind is inspect.Parameter.POSITIONAL_ONLY,
                )
            )
    return tuple(parameters)


def bind(flow: Flow, strings: Mapping[str, str | Sequence[str]], values: Mapping[str, object]) -> dict[str, Any]:
    """Do the work of ``Flow.bind``."""
    known = {parameter.name: parameter for parameter in flow.parameters if not parameter.any_name}
    rest = next((parameter for parameter in flow.parameters if parameter.any_name), None)
    bound: dict[str, Any] = {}
    for name, given in {**values, **strings}.items():
        key = name if name in known else name.replace("-", "_")
        parameter = known.get(key) or rest or _unknown(flow, name, known)
        try:
            bound[key] = _from_text(parameter, given) if name in strings else _from_value(parameter, given)
        except _WrongTypeError:
            _wrong(flow, parameter, key, given)
    for parameter in known.values():
        if parameter.is_required and parameter.name not in bound:
            raise ParameterError(
                f"flow `{flow.name}` needs `{parameter.name}` ({parameter.type_text})",
                why=_facts(flow),
                do=f"-p {parameter.name}={_example(parameter.type)}",
                place=flow.place,
            )
        if parameter.positional_only and parameter.name in bound:
            raise ParameterError(
                f"`{parameter.name}` of flow `{flow.name}` cannot be given by name",
                do="take the `/` out of the function's parameters",
                place=flow.place,
            )
    return bound


def type_text(kind: Any) -> str:  # noqa: ANN401 (an annotation is any object)
    """Write a type as a person would."""
    if get_origin(kind) is Literal:
        return " | ".join(str(choice) for choice in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " | ".join(member.name for member in kind)
    if get_origin(kind) in (Union, types.UnionType):
        return " | ".join("none" if choice is types.NoneType else type_text(choice) for choice in get_args(kind))
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "").replace("collections.abc.", "").replace("pathlib.", "")


def _type_of(found: inspect.Parameter) -> tuple[Any, bool]:
    """Return a parameter's type, and whether it was written down."""
    kind = found.annotation
    if isinstance(kind, str):  # a name that only a type checker knows stands somewhere in the signature
        kind = {"int": int, "float": float, "bool": bool, "str": str, "Path": Path}.get(kind, MISSING)
    if kind in (MISSING, Any, object):
        return (str if found.default is None or found.default is MISSING else type(found.default)), False
    return kind, True


def _choices(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the types a union stands for, names of types looked through."""
    if hasattr(kind, "__supertype__"):  # NewType
        return _choices(kind.__supertype__)
    if hasattr(kind, "__metadata__"):  # Annotated
        return _choices(kind.__origin__)
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(inner for choice in get_args(kind) for inner in _choices(choice))
    return (kind,)


def _from_text(parameter: Parameter, given: Any) -> Any:  # noqa: ANN401
    texts = [given] if isinstance(given, str) else list(given)
    if len(texts) > 1 and parameter.is_list:
        return _read(",".join(texts), parameter.type)
    return _read(texts[-1], parameter.type)


def _read(text: str, kind: Any) -> Any:  # noqa: ANN401
    """Read text as one of the types ``kind`` stands for: text itself comes last, as anything is text."""
    choices = _choices(kind)
    for choice in sorted(choices, key=lambda choice: choice is str):
        try:
            return _read_one(text, choice)
        except _WrongTypeError:
            continue
    raise _WrongTypeError


def _read_one(text: str, kind: Any) -> Any:  # noqa: ANN401
    base = get_origin(kind) or kind
    if kind is types.NoneType or kind is None:
        return _pick({"none": None, "null": None, "": None}, text.lower())
    if kind is bool:
        return _pick(_TRUTH, text.strip().lower())
    if base is Literal:
        return _pick({str(choice): choice for choice in get_args(kind)}, text)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _pick({str(member.value): member for member in kind} | dict(kind.__members__), text)
    if base in _LISTS:
        parsed = _json(text) if text.lstrip().startswith("[") else [part.strip() for part in text.split(",") if part]
        return _listed(kind, parsed)
    if base in (dict, Mapping) or typing.is_typeddict(kind):
        return _mapped(kind, _json(text))
    if kind in (date, datetime, time):
        return _called(kind.fromisoformat, text.strip())
    if kind in (Any, object):
        return text
    return _called(kind, text)


def _from_value(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401
    return _check(value, parameter.type) if parameter.is_annotated else value


def _check(value: Any, kind: Any) -> Any:  # noqa: ANN401
    """Check a value against a type; text is read, a whole number may stand for a float."""
    choices = _choices(kind)
    for choice in choices:
        base = get_origin(choice) or choice
        if base in _LISTS and isinstance(value, (list, tuple, set, frozenset)):
            return _listed(choice, list(value))
        if base is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if value in get_args(choice) if base is Literal else _is(value, base):
            return value
    if isinstance(value, str) and not any(choice in (int, float, bool) for choice in choices):
        return _read(value, kind)
    raise _WrongTypeError


def _is(value: Any, base: Any) -> bool:  # noqa: ANN401
    if base is int and isinstance(value, bool):
        return False
    try:
        return isinstance(value, base)
    except TypeError:  # what isinstance cannot tell (a protocol, a typed dict) is the flow's own to find out
        return True


def _listed(kind: Any, items: Any) -> Any:  # noqa: ANN401
    """Read or check each of ``items``, and return them in the collection that ``kind`` names."""
    base, of = get_origin(kind) or kind, get_args(kind)
    if not isinstance(items, list) or (base is tuple and of and of[-1] is not Ellipsis and len(of) != len(items)):
        raise _WrongTypeError
    kinds = of if base is tuple and of and of[-1] is not Ellipsis else [of[0] if of else Any] * len(items)
    values = [
        item if inner is Any else _read(item, inner) if isinstance(item, str) else _check(item, inner)
        for item, inner in zip(items, kinds, strict=True)
    ]
    return base(values) if base in (tuple, set, frozenset) else values


def _mapped(kind: Any, found: Any) -> dict[Any, Any]:  # noqa: ANN401
    if not isinstance(found, dict):
        raise _WrongTypeError
    of = get_args(kind)
    return {_read(key, of[0]): _check(value, of[1]) for key, value in found.items()} if len(of) == 2 else found


def _json(text: str) -> Any:  # noqa: ANN401
    return _called(json.loads, text)


def _called(read: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401
    try:
        return read(text)
    except Exception as error:
        raise _WrongTypeError from error


def _pick(table: Mapping[str, Any], text: str) -> Any:  # noqa: ANN401
    if text not in table:
        raise _WrongTypeError
    return table[text]


# --- what is said when a parameter does not fit -----------------------------------------------------


def _example(kind: Any) -> str:  # noqa: ANN401
    choices = [choice for choice in _choices(kind) if choice is not types.NoneType]
    first = choices[0] if choices else str
    if get_origin(first) is Literal:
        return str(get_args(first)[0])
    if isinstance(first, type) and issubclass(first, enum.Enum):
        return next(iter(first)).name
    base = get_origin(first) or first
    if base in _LISTS:
        inner = get_args(first)
        return f"{_example(inner[0])},{_example(inner[0])}" if inner else _EXAMPLES[list]
    return _EXAMPLES.get(dict if base is Mapping else base, "VALUE")


def _facts(flow: Flow) -> str:
    listed = (
        f"{parameter.name}: {parameter.type_text}" + ("" if parameter.is_required else f" = {parameter.default!r}")
        for parameter in flow.parameters
        if not parameter.any_name
    )
    return f"parameters: {', '.join(listed) or 'none'}"


def _unknown(flow: Flow, name: str, known: Mapping[str, Parameter]) -> NoReturn:
    near = nearest(name, known)
    raise ParameterError(
        f"flow `{flow.name}` has no parameter `{name}`",
        why=_facts(flow),
        do=f"a parameter with a similar name exists: `{near}`" if near else f"scriptflow list {flow.name}",
        place=flow.place,
    )


def _wrong(flow: Flow, parameter: Parameter, name: str, given: object) -> NoReturn:
    text = given if isinstance(given, str) else ",".join(map(str, given)) if isinstance(given, (list, tuple)) else given
    raise ParameterError(
        f"-p {name}={text}: `{name}` of flow `{flow.name}` is {parameter.type_text}",
        do=f"-p {name}={_example(parameter.type)}",
        place=flow.place,
    )
