"""A way to reach people: its options, looked at once, and the door through which each kind sends.

Knows what all kinds share. Knows nothing of runs, nor of any one kind.
"""

from __future__ import annotations

from scriptflow.core.units import seconds_of
from scriptflow.errors import Place, SettingsError, UnitError
from scriptflow.hidden import read_private, reveal, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar, NoReturn

    from scriptflow.notices.note import Note

EVENTS = ("first-failure", "failure", "end", "stalled", "head-lost")
"""What a channel may be told of."""
USUAL = ("first-failure", "end", "stalled", "head-lost")
"""What it is told of when it does not say."""

_SHARED = ("type", "name", "on", "timeout", "stalled_after")


class Undelivered(Exception):
    """A note did not arrive; the text says why and holds no secret."""


class Channel:
    """One way to reach people.

    Args:
        options: its table in the settings.
        name: how messages call it.
        place: where it was set.

    Attributes:
        on: the events it is told of.
        timeout_s: how long one note may take.
        stalled_s: so long without progress counts as stalled.

    Raises:
        SettingsError: an option is unknown, missing or of the wrong kind.
    """

    kind: ClassVar[str] = ""
    options: ClassVar[Mapping[str, tuple[type, ...]]] = {}
    """The options of this kind and what their values may be; text may come from a file, as ``NAME_file``."""
    required: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Mapping[str, object], name: str, place: Place | None = None) -> None:
        self.name = name
        self._place = place
        self._given = dict(options)
        self._secrets: set[str] = set()
        self.on = self._events(options.get("on", USUAL))
        self.timeout_s = self._time("timeout", 10.0)
        self.stalled_s = self._time("stalled_after", 3600.0)
        files = {f"{key}_file" for key, kinds in self.options.items() if str in kinds}
        for key, value in options.items():
            if key in files and isinstance(value, str):
                continue
            if key in _SHARED:
                continue
            if key not in self.options:
                self._refuse_key(key, sorted({*self.options, *files, *_SHARED}))
            if not isinstance(value, self.options[key]) or (isinstance(value, bool) and bool not in self.options[key]):
                self._refuse(f"`{key}` is no {' or '.join(kind.__name__ for kind in self.options[key])}")
        for key in self.required:
            if not options.get(key) and not options.get(f"{key}_file"):
                self._refuse(f"`{key}` is missing")

    def __repr__(self) -> str:
        return f"<{self.kind} channel {self.name}>"

    def deliver(self, note: Note) -> str:
        """Send a note and return in few words what became of it.

        Raises:
            Undelivered: whatever went wrong, without the secrets.
        """
        return self._tried(lambda: self.send(note))

    def check(self) -> str:
        """Look whether all is there that a note would need, without sending one; return in few words what it is.

        Raises:
            Undelivered: what is missing, without the secrets.
        """
        return self._tried(self.look)

    def look(self) -> str:
        """Look at each option with its secrets, as ``send`` would; raises what it likes."""
        for key, kinds in self.options.items():
            if str in kinds and (self._given.get(key) or self._given.get(f"{key}_file")):
                self.text(key)
        return self.kind

    def _tried(self, work: Callable[[], str]) -> str:
        self._secrets.clear()
        try:
            return self._shown(work())
        except Exception as error:  # noqa: BLE001 (whatever a channel does wrong is told in one way)
            text = getattr(error, "what", None) or str(error) or type(error).__name__
            raise Undelivered(self._shown(text)) from None

    def send(self, note: Note) -> str:
        """Send a note; raises what it likes. What comes from ``text`` is left out of messages."""
        raise NotImplementedError

    def text(self, key: str, default: str = "") -> str:
        """Return an option with its secrets filled in: from its file, or from the environment."""
        path = self._given.get(f"{key}_file")
        name = f"channel {self.name}, `{key}`"
        found = read_private(str(path), name) if path else reveal(str(self._given.get(key, default)), name)
        raw = self._given.get(key)
        if path or found != raw or key in ("password", "token", "url"):
            self._secrets.add(found)
        return found

    def option(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return an option as it was given."""
        return self._given.get(key, default)

    def _shown(self, text: str) -> str:
        return " ".join(without(text, self._secrets).split())[:500]

    def _events(self, words: object) -> frozenset[str]:
        if isinstance(words, str):
            words = [words]
        if not isinstance(words, (list, tuple)) or not all(word in EVENTS for word in words):
            self._refuse(f"`on` is {words!r}", do=f"a list of {', '.join(EVENTS)}")
        return frozenset(words)

    def _time(self, key: str, default: float) -> float:
        value = self._given.get(key, default)
        try:
            seconds = seconds_of(value) if isinstance(value, (str, int, float)) else 0.0
        except UnitError:
            seconds = 0.0
        if seconds <= 0:
            self._refuse(f"`{key}` is {value!r}", do="a time, such as 30 or 1m30s")
        return seconds

    def _refuse_key(self, key: str, known: list[str]) -> NoReturn:
        from scriptflow.core.nearest import nearest

        near = nearest(key, known)
        self._refuse(
            f"unknown option `{key}`", do=f"an option with a similar name exists: `{near}`" if near else "",
            why=f"options: {', '.join(known)}",
        )  # fmt: skip

    def _refuse(self, what: str, *, why: str = "", do: str = "") -> NoReturn:
        raise SettingsError(
            f"setting `notify`, channel {self.name}: {what}", why=why or (), do=do or "scriptflow notify --help",
            place=self._place,
        )  # fmt: skip
