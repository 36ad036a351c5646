"""Settings: which there are, how layers of them merge, and where each value came from.

Knows nothing of files and flags: whoever reads those hands their layers in, weakest first.
"""

from __future__ import annotations

from scriptflow.core.units import seconds_of
from scriptflow.errors import Place, SettingsError, UnitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

DEFAULT = "default"
CHECKS = ("mtime", "content")
HASHES = ("off", "small", "all")
PROGRESS = ("auto", "live", "plain", "quiet", "json")


class Origin(str):
    """Where a layer of settings was written; ``place`` is the line, when there is one."""

    place: Place | None = None

    @classmethod
    def at(cls, text: str, place: Place | None) -> Origin:
        """Return ``text`` with the line it speaks of."""
        origin = cls(text)
        origin.place = place
        return origin


class Settings:
    """All settings of one head, frozen. Times are in seconds.

    Attributes:
        executors: options of each executor by its name, in the order they are asked for room.
        debug: asyncio's debug mode.
        check: ``mtime`` or ``content``, where a task does not say.
        hash: which files are hashed for the record: ``off``, ``small`` (up to 64 MB) or ``all``.
        jobs: slots of the local executor as ``-j`` gave them, or None; already in ``executors``.
        retries, retry_delay: for tasks that do not say.
        latency_wait: how long outputs may take to appear on a shared disk.
        grace: seconds between TERM and KILL.
        notify, server: kept as given; whoever tells people, or a server, reads them.
        classic_terminal: the old name of plain progress.
        force: patterns of task names that run even when up to date.
        profiles: named layers of settings, chosen by ``--profile``.
        origins: where each value was set, by dotted key (``executors.local.maxsize``); the rest are defaults.
    """

    executors: Mapping[str, Mapping[str, object]]
    debug: bool
    check: str
    hash: str
    jobs: int | None
    retries: int
    retry_delay: float
    fail_fast: bool
    latency_wait: float
    grace: float
    keep_partial: bool
    progress: str
    notify: object
    server: object
    classic_terminal: bool
    force: tuple[str, ...]
    quiet: bool
    profiles: Mapping[str, Mapping[str, object]]
    origins: Mapping[str, str]

    def __init__(self, values: Mapping[str, object], origins: Mapping[str, str]) -> None:
        self.__dict__.update(values, origins=origins)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"settings are frozen: {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Settings({ {**self.as_dict(), 'notify': ..., 'server': ...} })"  # these two may hold secrets

    def place_of(self, key: str) -> Place | None:
        """Return the line on which a setting was written, when there is one."""
        return _place(self.origins.get(key, ""))

    def as_dict(self) -> dict[str, object]:
        """Return every setting and its value, in the order of this page."""
        return {key: self.__dict__[key] for key in SETTINGS}


class _WrongKindError(ValueError):
    """A value is not of its setting's kind."""


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _WrongKindError


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise _WrongKindError


def _slots(value: object) -> int | None:
    return None if value is None else _count(value or "")


def _seconds(value: object) -> float:
    if isinstance(value, (str, int, float)):
        return seconds_of(value)
    raise _WrongKindError


def _patterns(value: object) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else value
    if isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words):
        return tuple(words)
    raise _WrongKindError


def _tables(value: object) -> dict[str, dict[str, object]]:
    if isinstance(value, dict) and all(isinstance(table, dict) for table in value.values()):
        return value
    raise _WrongKindError


def _address(value: object) -> object:
    if value is None or isinstance(value, (str, dict)):
        return value
    raise _WrongKindError


def _anything(value: object) -> object:
    return value


def _word(words: tuple[str, ...]) -> Callable[[object], object]:
    def read(value: object) -> object:
        if value in words:
            return value
        raise _WrongKindError

    return read


_TRUTH = (_flag, "true or false")
_TIME = (_seconds, "a time, such as 30 or 1m30s")
SETTINGS: dict[str, tuple[object, Callable[[object], object], str]] = {
    "executors": ({"local": {}}, _tables, "a table of options for each executor"),
    "debug": (False, *_TRUTH),
    "check": ("mtime", _word(CHECKS), " or ".join(CHECKS)),
    "hash": ("small", _word(HASHES), ", ".join(HASHES)),
    "jobs": (None, _slots, "a whole number from 1"),
    "retries": (0, _count, "a whole number from 0"),
    "retry_delay": (0.0, *_TIME),
    "fail_fast": (False, *_TRUTH),
    "latency_wait": (30.0, *_TIME),
    "grace": (5.0, *_TIME),
    "keep_partial": (False, *_TRUTH),
    "progress": ("auto", _word(PROGRESS), ", ".join(PROGRESS)),
    "notify": (None, _anything, ""),
    "server": (None, _address, "an address, or a table with its url"),
    "classic_terminal": (False, *_TRUTH),
    "force": ((), _patterns, "a pattern of task names, or a list of them"),
    "quiet": (False, *_TRUTH),
    "profiles": ({}, _tables, "a table of settings for each profile"),
}
"""Every setting: its default, what reads its value, and how that must look."""


def settings_from(layers: Sequence[tuple[str, Mapping[str, object]]]) -> Settings:
    """Merge layers, weakest first, each with the name of where it came from.

    Tables merge key by key, anything else is replaced. Naming an executor takes the place of the default
    ``local``; ``jobs`` is another spelling of ``executors.local.maxsize``, and the later of the two holds.

    Raises:
        SettingsError: an unknown key, or a value of the wrong kind.
    """
    merged: dict[str, object] = {}
    origins: dict[str, str] = {}
    jobs: tuple[object, str] | None = None
    for origin, layer in layers:
        checked = {str(key): _checked(str(key), value, origin) for key, value in layer.items()}
        _merge(merged, checked, "", origin, origins)
        if "maxsize" in _table(_table(checked.get("executors")).get("local")):
            jobs = None
        if checked.get("jobs") is not None:
            jobs = (checked["jobs"], origin)
    if jobs is not None:
        _give_slots(merged, *jobs)
        origins["executors.local.maxsize"] = jobs[1]
    values = {
        key: merged[key] if key in merged else _copied(default) if isinstance(default, dict) else default
        for key, (default, _, _) in SETTINGS.items()
    }
    return Settings(values, origins)


def _give_slots(merged: dict[str, object], jobs: object, origin: str) -> None:
    executors = merged.setdefault("executors", {"local": {}})
    local = _table(executors).get("local")
    if not isinstance(local, dict):
        raise SettingsError(
            f"`jobs` in {origin} sets the slots of the executor `local`, and there is none",
            why=f"executors: {', '.join(_table(executors))}",
            do=f"set executors.{next(iter(_table(executors)))}.maxsize, or add the executor `local`",
            place=_place(origin),
        )
    local["maxsize"] = jobs


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _place(origin: str) -> Place | None:
    return origin.place if isinstance(origin, Origin) else None


def _checked(key: str, value: object, origin: str) -> object:
    if key not in SETTINGS:
        from scriptflow.core.nearest import nearest

        near = nearest(key, SETTINGS)
        raise SettingsError(
            f"unknown setting `{key}` in {origin}",
            why=f"allowed: {', '.join(SETTINGS)}",
            do=f"a setting with a similar name exists: `{near}`" if near else "scriptflow config",
            place=_place(origin),
        )
    _, read, expected = SETTINGS[key]
    try:
        value = read(value)
    except (_WrongKindError, UnitError):
        raise SettingsError(
            f"setting `{key}` in {origin} is {value!r}", do=f"write {expected}", place=_place(origin)
        ) from None
    if key == "executors":
        _check_executors(_table(value), origin)
    if key == "profiles":
        for name, profile in _table(value).items():
            for inner, inner_value in _table(profile).items():
                _checked(str(inner), inner_value, Origin.at(f"profile {name}, {origin}", _place(origin)))
    return value


def _check_executors(executors: dict[str, object], origin: str) -> None:
    """Look at what all executors share; the rest is each executor's own to check."""
    for name, options in executors.items():
        maxsize = _table(options).get("maxsize", 1)
        if not isinstance(maxsize, int) or isinstance(maxsize, bool) or maxsize < 1:
            raise SettingsError(
                f"setting `executors.{name}.maxsize` in {origin} is {maxsize!r}",
                do="write a whole number from 1",
                place=_place(origin),
            )


def _merge(
    target: dict[str, object], layer: Mapping[str, object], path: str, origin: str, origins: dict[str, str]
) -> None:
    for key, value in layer.items():
        dotted = f"{path}{key}"
        if isinstance(value, dict):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            _merge(inner, value, f"{dotted}.", origin, origins)
            if not value:
                origins.setdefault(dotted, origin)
        else:
            target[key] = value
            origins[dotted] = origin


# --- layers that come from this process -----------------------------------------------------------

_inits: list[tuple[Origin, dict[str, object]]] = []


def record_init(settings: Mapping[str, object] | None = None, /) -> None:
    """Remember settings of a flow file, and the line they stand on; nothing else happens.

    Called twice, the later call adds to the earlier one.
    """
    import sys

    frame = sys._getframe(1)  # our own frames lie between the user's line and this one
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] == "scriptflow":
        frame = frame.f_back
    file, line = frame.f_code.co_filename, frame.f_lineno
    origin = Origin.at(f"sf.init ({file.replace(chr(92), '/').rpartition('/')[2]}:{line})", Place(file, line))
    if settings is not None and not hasattr(settings, "items"):
        raise SettingsError(
            f"sf.init was given {settings!r}", do='write sf.init({"executors": {"local": {}}})', place=origin.place
        )
    _inits.append((origin, _copied(settings or {})))


def recorded_inits() -> list[tuple[str, Mapping[str, object]]]:
    """Return the layers that ``sf.init`` recorded so far."""
    return [(origin, settings) for origin, settings in _inits]


def forget_inits(file: str) -> None:
    """Drop what ``file`` recorded, before it is loaded again."""
    _inits[:] = [(origin, settings) for origin, settings in _inits if origin.place is None or origin.place.file != file]


def _copied(table: Mapping[str, object]) -> dict[str, object]:
    return {str(key): _copied(value) if isinstance(value, dict) else value for key, value in table.items()}
