"""What a view is: one address as a page and as JSON, its parameters, and the function that answers both.

Knows nothing of HTTP servers, of stores or of what is answered.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from scriptflow.core.frozen import frozen
from scriptflow.errors import NotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from scriptflow.store.pages import PageReader

MOST_ROWS = 500
"""How many rows of a list one answer may have."""
LONGEST = 500
"""How many characters a parameter may have: each may take twelve bytes in an address, which must not be too long."""


class BadParameter(UsageError):
    """A parameter of a request is unknown or has a value that it cannot have."""

    slug = "parameter"


@frozen
class Parameter:
    """One query parameter.

    Attributes:
        name: as it stands in the address.
        text: what it does, one sentence.
        kind: ``string``, ``integer`` or ``boolean``.
        words: the values it may have, when they are few.
        default: what counts when it is left out.
        low, high: bounds of an integer.
    """

    name: str
    text: str
    kind: str = "string"
    words: tuple[str, ...] = ()
    default: object = None
    low: int = 0
    high: int = 2**53

    def read(self, text: str) -> object:
        """Return the value that ``text`` spells.

        Raises:
            BadParameter: it spells none.
        """
        if self.kind == "boolean" and text in ("1", "true", "0", "false", ""):
            return text in ("1", "true")
        if self.kind == "integer" and text.isascii() and text.isdecimal() and len(text) < 20:
            value = int(text)
            if self.low <= value <= self.high:
                return value
        if self.kind == "string" and (text in self.words or not self.words) and len(text) <= LONGEST:
            return text
        allowed = ", ".join(self.words) or (
            f"{self.kind} from {self.low} to {self.high}" if self.kind == "integer" else self.kind
        )
        raise BadParameter(f"parameter {self.name!r} cannot be {text[:80]!r}", do=f"give one of: {allowed}")


LIMIT = Parameter(name="limit", text="At most so many rows.", kind="integer", low=1, high=MOST_ROWS, default=50)
OFFSET = Parameter(name="offset", text="Leave out so many rows before the first.", kind="integer", default=0)


class Asked:
    """One request: where it was sent, and its parameters, checked.

    Attributes:
        base: what stands before every address of the project, ``""`` or ``/p/NAME``.
        path: the values in the address's own path, by name.
        may_act: whether who asks may cancel and retry.
    """

    __slots__ = ("base", "given", "may_act", "path", "project", "reader", "view")

    def __init__(
        self, view: View, *, base: str, project: str, path: Mapping[str, str], given: Mapping[str, Any], may_act: bool
    ) -> None:
        self.view = view
        self.base = base
        self.project = project
        self.path = path
        self.given = given
        self.may_act = may_act
        self.reader: PageReader

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 (each parameter's own kind)
        """Return a parameter's value, or its default."""
        return self.given.get(name, next(p.default for p in self.view.parameters if p.name == name))

    def link(self, *parts: str, **query: object) -> str:
        """Return the address of another page of this project: ``link("r", run, "tasks", state="failed")``."""
        return self.base + address(*parts, **query)

    def api(self, *parts: str, **query: object) -> str:
        """Return an address of the project's JSON interface."""
        return f"/api/v1{self.base}" + address(*parts, **query)

    def api_twin(self) -> str:
        """Return the address of the JSON that says the same as this page."""
        path = self.view.path
        for name, value in self.path.items():
            said = "/".join(quote(part, safe="@:,=+", errors="surrogatepass") for part in value.split("/"))
            path = path.replace(f"{{{name}:.+}}", said.replace("/", "%2F", 1) if value.startswith("/") else said)
            path = path.replace(f"{{{name}}}", quote(value, safe="@:,=+", errors="surrogatepass"))
        query = _query(self.given)
        return f"/api/v1{self.base}{path}" + (f"?{query}" if query else "")

    def with_query(self, **changes: object) -> str:
        """Return the address of this page with other parameters; None drops one, and paging begins anew."""
        query = {name: value for name, value in self.given.items() if name != "offset"} | changes
        return "?" + _query(query) if _query(query) else "?"


@frozen
class View:
    """One thing to be seen.

    Attributes:
        name: also the name of its template.
        page: the path of its page, below the project's base; empty where there is only JSON.
        path: the path of its JSON, below ``/api/v1`` and the project's base.
        text: what it shows, one sentence.
        answer: gives the document that page and JSON show; called on a thread of its own.
        reads: whether it needs the store to be there.
    """

    name: str
    page: str
    path: str
    text: str
    answer: Callable[[Asked], dict[str, Any]]
    parameters: tuple[Parameter, ...] = ()
    reads: bool = True


def read_query(view: View, query: Sequence[tuple[str, str]]) -> dict[str, object]:
    """Check the query of a request; an empty value is one left out.

    Raises:
        BadParameter: a parameter is unknown, given twice or cannot have that value.
    """
    known = {parameter.name: parameter for parameter in view.parameters}
    given: dict[str, object] = {}
    for name, text in query:
        if name not in known:
            raise BadParameter(
                f"unknown parameter {name[:80]!r}", why=f"known: {', '.join(known) or 'none'}", do="leave it out"
            )
        if name in given:
            raise BadParameter(f"parameter {name!r} is given twice", do="give it once")
        if text != "" or known[name].kind == "boolean":
            given[name] = known[name].read(text)
    return given


def address(*parts: str, **query: object) -> str:
    """Return a path, each part quoted whole, and its query."""
    path = "".join("/" + quote(part, safe="@:,=+", errors="surrogatepass") for part in parts) or "/"
    said = _query(query)
    return f"{path}?{said}" if said else path


def _query(values: Mapping[str, object]) -> str:
    kept = {name: int(value) if isinstance(value, bool) else value for name, value in values.items()}
    return urlencode({n: v for n, v in kept.items() if v not in (None, "")}, errors="surrogatepass")


def is_plain(name: str) -> bool:
    """Whether a name can stand in an address as it is: text, not too long, and no step to another folder."""
    return (
        name not in ("", ".", "..")
        and len(name) <= LONGEST
        and not any("\ud800" <= sign <= "\udfff" or sign == "\0" for sign in name)
    )


def nothing_such(what: str, do: str = "") -> NotFound:
    """Return the error of a page that is not there."""
    return NotFound(what, do=do)
