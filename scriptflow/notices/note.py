"""A note to people: what happened in few words, and the same as data.

Knows nothing of channels, nor of what makes a note worth sending.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import escape

from scriptflow.core.frozen import fields_of, frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NOTHING: Mapping[str, Any] = {}


@frozen
class Note:
    """What is told.

    Attributes:
        event: ``first-failure``, ``failure``, ``end``, ``stalled``, ``head-lost``, ``message`` or ``test``.
        title: one line; text: some lines.
        level: ``note``, ``success``, ``warning`` or ``error``.
        run, flow, host: where it comes from; empty when there is no run.
        at: seconds since the epoch (UTC).
        thread: the same for all notes of one run; a channel that can, keeps them in one place.
        html: the text with markup, or nothing.
        images: paths of pictures that go with it.
        details: counts, failures and seconds, as far as the event has them.
    """

    event: str
    title: str
    text: str
    level: str
    at: float
    run: str = ""
    flow: str = ""
    host: str = ""
    thread: str = ""
    html: str = ""
    images: tuple[str, ...] = ()
    details: Mapping[str, Any] = NOTHING

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {name: getattr(self, name) for name in fields_of(self)}

    def document(self) -> dict[str, Any]:
        """Return what programs get: plain data, the time as text, the details beside the rest, no pictures."""
        data = self.as_dict()
        details = data.pop("details")
        del data["images"]
        data["at"] = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {"schema": 1, **data, **details}

    def as_json(self) -> bytes:
        """Return the document as one line of JSON."""
        return json.dumps(self.document(), default=str).encode()

    def as_html(self) -> str:
        """Return the text with markup: the given one, or the plain one marked up."""
        return self.html or f"<pre>{escape(self.text)}</pre>"


def note_from(data: dict[str, Any]) -> Note:
    """Undo ``as_dict``."""
    return Note(**{**data, "images": tuple(data["images"])})
