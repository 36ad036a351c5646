"""Arguments and values as JSON that gives back what was put in; what JSON cannot hold lies in a file beside it.

Plain data is written as it is; what JSON has no word for (tuples, sets, dates, paths, enums, dataclasses, pydantic
models) as an object ``{"$": KIND, ...}``. Data frames are Parquet files, anything else is pickled. Files are named by
their content. Pickles are read from our own store alone, as this user's own files. Knows nothing of tasks.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import hashlib
import json
import os
import pathlib
import pickle
import stat
import sys
from typing import TYPE_CHECKING

from scriptflow.errors import TaskError, ValueLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ATOMS = (str, int, float, bool, type(None))
_BLOBS = "blobs"
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
_TIMES = (datetime.datetime, datetime.date, datetime.time)


class Codec:
    """Writes values as JSON and reads them back.

    Args:
        folder: absolute folder ``values`` of the run store; files lie below it.
        held: takes files by name instead of the disk, for whoever writes them later.
        special: writes what the caller alone knows (a task among the arguments), None for anything else.
        restore: reads those back.
    """

    def __init__(
        self,
        folder: str,
        *,
        held: dict[str, bytes] | None = None,
        special: Callable[[Any], Any] | None = None,
        restore: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.folder = folder
        self._held = held
        self._special = special
        self._restore = restore

    # --- writing --------------------------------------------------------------------------------

    def write(self, value: Any) -> Any:  # noqa: ANN401
        """Return a value as plain JSON data.

        Raises:
            TaskError: it cannot be stored.
        """
        kind = type(value)
        if kind in _ATOMS:
            return value
        if kind is list:
            return [self.write(item) for item in value]
        if kind is dict:
            if all(type(key) is str for key in value) and "$" not in value:
                return {key: self.write(item) for key, item in value.items()}
            return {"$": "dict", "v": [[self.write(key), self.write(item)] for key, item in value.items()]}
        if self._special is not None and (special := self._special(value)) is not None:
            return special
        return self._write_tagged(kind, value)

    def _write_tagged(self, kind: type, value: Any) -> Any:  # noqa: ANN401
        if kind is tuple:
            return {"$": "tuple", "v": [self.write(item) for item in value]}
        if kind in (set, frozenset):
            return {"$": kind.__name__, "v": sorted((self.write(item) for item in value), key=json.dumps)}
        if kind is bytes:
            return {"$": "bytes", "v": base64.b64encode(value).decode()}
        if kind in _TIMES and getattr(value, "tzinfo", None) in (None, datetime.UTC):
            return {"$": kind.__name__, "v": value.isoformat()}
        if isinstance(value, pathlib.PurePath) and kind.__module__.partition(".")[0] == "pathlib":
            return {"$": "path", "v": str(value)}
        if isinstance(value, enum.Enum) and _is_importable(kind):
            return {"$": "enum", "type": _name_of(kind), "v": value.name}
        if _is_model(kind) and _is_importable(kind):
            fields = {**value.__dict__, **(value.__pydantic_extra__ or {})}
            return {"$": "model", "type": _name_of(kind), "v": {key: self.write(item) for key, item in fields.items()}}
        if dataclasses.is_dataclass(kind) and _is_importable(kind):
            fields = {field.name: self.write(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return {"$": "dataclass", "type": _name_of(kind), "v": fields}
        return self._write_file(kind, value)

    def _write_file(self, kind: type, value: Any) -> Any:  # noqa: ANN401
        if kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame":
            data = _parquet(value)
            if data is not None:
                return {"$": "frame", "file": self._put(data, "parquet")}
        try:
            data = pickle.dumps(value, protocol=5)
        except Exception as error:
            raise TaskError(
                f"{_short(value)} cannot be stored",
                why=f"it is {kind.__module__}.{kind.__qualname__}, and pickle says: {error}",
                do="pass or return plain data, a dataclass, a pydantic model, a data frame, or the path of a file",
            ) from error
        return {"$": "pickle", "file": self._put(data, "pkl")}

    def _put(self, data: bytes, ending: str) -> str:
        """Write a file named by its content, whole or not at all; return its name."""
        name = f"{hashlib.sha256(data).hexdigest()}.{ending}"
        if self._held is not None:
            self._held[name] = data
        else:
            put_blob(self.folder, name, data)
        return name

    # --- reading --------------------------------------------------------------------------------

    def read(self, data: Any) -> Any:  # noqa: ANN401
        """Return the value that was written as ``data``.

        Raises:
            ValueLost: a file of it is gone, damaged or not ours to read, or its class is gone.
        """
        if type(data) is list:
            return [self.read(item) for item in data]
        if type(data) is not dict:
            return data
        kind = data.get("$")
        if kind is None:
            return {key: self.read(item) for key, item in data.items()}
        try:
            return self._read_tagged(kind, data)
        except (
            KeyError,
            ValueError,
            TypeError,
            AttributeError,
            ImportError,
            OSError,
            EOFError,
            pickle.PickleError,
        ) as error:
            raise ValueLost(
                f"a stored {kind} cannot be read back: {error}", do="scriptflow run --force TASK makes it again"
            ) from error

    def _read_tagged(self, kind: str, data: dict[str, Any]) -> Any:  # noqa: ANN401
        if kind in ("frame", "pickle"):
            return self._read_file(kind, data["file"])
        plain = data.get("v")
        match kind:
            case "dict":
                return {self.read(key): self.read(item) for key, item in plain or ()}
            case "tuple" | "set" | "frozenset":
                items = [self.read(item) for item in plain or ()]
                return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
            case "bytes":
                return base64.b64decode(str(plain))
            case "datetime" | "date" | "time":
                return getattr(datetime, kind).fromisoformat(plain)
            case "path":
                return pathlib.Path(str(plain))
            case "enum":
                return _class_of(data["type"])[str(plain)]
            case "model":
                fields = {key: self.read(item) for key, item in (plain or {}).items()}
                return _class_of(data["type"]).model_construct(**fields)
            case "dataclass":
                made = object.__new__(_class_of(data["type"]))
                for key, item in (plain or {}).items():
                    object.__setattr__(made, key, self.read(item))
                return made
        if self._restore is not None:
            return self._restore(data)
        raise ValueError(f"no kind {kind!r} is known")

    def _read_file(self, kind: str, name: str) -> Any:  # noqa: ANN401
        path = os.path.join(self.folder, _BLOBS, os.path.basename(name))
        check_ours(os.path.dirname(path))
        check_ours(path)
        with open(path, "rb") as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
            raise ValueError(f"{path} is damaged")
        if kind == "pickle":
            return pickle.loads(data)  # noqa: S301 (our own user's file, in our own store, as its name says)
        import io

        import pandas as pd  # type: ignore[import-untyped]  # there only where data frames are

        return pd.read_parquet(io.BytesIO(data))


def put_blob(folder: str, name: str, data: bytes) -> None:
    """Write a file of a value below the folder ``values``, unless it is there."""
    path = os.path.join(folder, _BLOBS, name)
    if not os.path.exists(path):
        write_whole(path, data)


def check_ours(path: str) -> None:
    """Refuse what another user could have written.

    Raises:
        OSError: it is not this user's, or others may write it.
    """
    found = os.lstat(path)
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022):
        raise PermissionError(f"{path} is not this user's alone, so what it holds is not loaded")


def write_whole(path: str, data: bytes) -> None:
    """Write a private file, whole or not at all; its folder is made."""
    part = f"{path}.{os.getpid()}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        fd = os.open(part, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(part, flags, 0o600)
    with open(fd, "wb", buffering=0) as file:
        file.write(data)
    os.replace(part, path)


def canonical(data: Any) -> str:  # noqa: ANN401
    """Return plain data as the one text that equal data has."""
    return _canonical(data)


def _parquet(frame: Any) -> bytes | None:  # noqa: ANN401
    """Return a data frame as Parquet, None where that cannot hold it or no library writes it."""
    import io

    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer)
        return buffer.getvalue()
    except Exception:  # noqa: BLE001 (each engine has errors of its own, and pickle takes what is left)
        return None


def _is_model(kind: type) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def _name_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _is_importable(kind: type) -> bool:
    """Whether a class can be found again by its name."""
    try:
        return _class_of(_name_of(kind)) is kind
    except (ImportError, AttributeError, KeyError, ValueError):
        return False


def _class_of(name: str) -> Any:  # noqa: ANN401
    from importlib import import_module

    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module) or import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
