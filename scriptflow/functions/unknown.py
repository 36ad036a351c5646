"""What stands for a value that only a real run can give, while a plan is made: it ends the plan where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from scriptflow.errors import UnknownValue

if TYPE_CHECKING:
    from typing import Any

_USES = (
    "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod", "pow",
    "rpow", "neg", "abs", "lt", "le", "gt", "ge", "eq", "ne", "hash", "bool", "len", "iter", "getitem", "contains",
    "int", "float", "index", "str", "format", "call", "fspath", "and", "or", "xor", "matmul", "round", "enter",
)  # fmt: skip


class Unknown:
    """The value of a task that would run."""

    def __init__(self, task: str) -> None:
        self._task = task

    def __repr__(self) -> str:
        return f"<value of {self._task}, known after a run>"

    def __getattr__(self, name: str) -> NoReturn:
        _use(self)


def _use(unknown: Unknown, *_: Any, **__: Any) -> NoReturn:
    raise UnknownValue(
        f"the flow needs the value of {unknown.__dict__['_task']}, which only a run can give", do="scriptflow run"
    )


for _name in _USES:
    setattr(Unknown, f"__{_name}__", _use)
