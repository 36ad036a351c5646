"""Records that are never changed: slotted, keyword-only, frozen to the type checker.

``dataclasses`` would do, but it loads ``inspect`` and compiles each class: 25 ms at every start, more than
checking two thousand tasks. What is here is what a record needs and costs nothing to load.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    Record = TypeVar("Record")

    @dataclass_transform(kw_only_default=True, frozen_default=True)
    def frozen(cls: type[Record]) -> type[Record]:
        """Make a class of annotated fields a record."""
        return cls

else:

    def frozen(cls):  # noqa: ANN001, ANN201, D103 (typed above)
        inherited = getattr(cls, "__fields__", ())
        own = tuple(name for name in cls.__annotations__ if name not in inherited)
        body = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
        defaults = {**getattr(cls, "__defaults__", {}), **{name: body.pop(name) for name in own if name in body}}
        body.update(
            __slots__=own, __fields__=(*inherited, *own), __defaults__=defaults, __init__=_init, __eq__=_eq,
            __hash__=_hash, __repr__=_repr,
        )  # fmt: skip
        return type(cls)(cls.__name__, cls.__bases__, body)


def _init(self: Any, **given: Any) -> None:  # noqa: ANN401
    """Make the first record of a class, and with it the class's own ``__init__`` of plain assignments."""
    cls = type(self)
    taken = [f"{name}=_defaults[{name!r}]" if name in cls.__defaults__ else name for name in cls.__fields__]
    body = "".join([f"\n    self.{name} = {name}" for name in cls.__fields__])
    space: dict[str, Any] = {"_defaults": cls.__defaults__}
    exec(f"def __init__(self, *, {', '.join(taken)}):{body}", space)  # noqa: S102 (names of fields, nothing from outside)
    cls.__init__ = space["__init__"]
    cls.__init__(self, **given)


def _eq(self: Any, other: object) -> bool:  # noqa: ANN401
    if type(other) is not type(self):
        return False
    return [getattr(self, name) for name in fields_of(self)] == [getattr(other, name) for name in fields_of(self)]


def _hash(self: Any) -> int:  # noqa: ANN401
    return hash(tuple([getattr(self, name) for name in self.__fields__]))


def _repr(self: Any) -> str:  # noqa: ANN401
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__fields__)
    return f"{type(self).__name__}({fields})"


def fields_of(record: object) -> tuple[str, ...]:
    """Return the names of a record's fields, inherited ones first; nothing for what is no record."""
    return getattr(type(record), "__fields__", ())


def changed(record: Record, **changes: Any) -> Record:
    """Return a copy of a record with some fields changed."""
    values = {name: getattr(record, name) for name in fields_of(record)}
    return type(record)(**{**values, **changes})
