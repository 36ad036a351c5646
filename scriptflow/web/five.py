"""Five counts in one line of curl, as scriptflow 0.2 sent them: any script can report with it.

Knows the form and how it becomes a batch. Knows nothing of HTTP or of stores.
"""

from __future__ import annotations

from hashlib import sha256
from time import time

from scriptflow.errors import UsageError
from scriptflow.web.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTS = ("running", "queued", "completed", "failed", "retry")
"""The five, all optional; ``retry`` is part of what runs again and is taken, not shown."""
_OTHERS = ("run", "status")
_MOST_KNOWN = 10_000
_STATUS = ("running", "succeeded", "failed", "cancelled")


class Reporters:
    """Whoever posts five counts, and which run of theirs is going on."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}

    def batch(self, project: str, form: Mapping[str, str], host: str, newest: tuple[int, bool]) -> Batch:
        """Return the batch that a post means.

        A run begins with the first post, and with the first after one that ended. It ends with ``status=succeeded``,
        ``failed`` or ``cancelled``, and when nothing is queued or running while something is done.

        Args:
            project: where it is shown.
            form: the counts, and perhaps ``run`` (its number) and ``status``.
            host: the address it came from.
            newest: the number of the project's newest run in the store, 0 when there is none, and whether it goes on.

        Raises:
            UsageError: a field is unknown, or no whole number from 0.
        """
        counts = {key: _count(key, form[key]) for key in COUNTS if key in form}
        unknown = [key for key in form if key not in (*COUNTS, *_OTHERS)]
        if unknown or not counts:
            raise UsageError(f"no count is called {unknown[0]}" if unknown else "no counts", do=", ".join(COUNTS))
        status = form.get("status") or _status(counts)
        if status not in _STATUS:
            raise UsageError("status is none of ours", do=", ".join(_STATUS))
        number, began = self._known.get(project) or (newest[0] + (not newest[1]), time())
        if "run" in form and max(1, _count("run", form["run"])) != number:
            number, began = max(1, _count("run", form["run"])), time()
        self._known[project] = (number, began)
        if status != "running" and "run" not in form:
            del self._known[project]
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return Batch.model_validate(
            {
                "schema": 1, "head": _id(f"{project}\0{number}"), "store": STORE_ID, "project": project,
                "detail": "five", "batch": int(time() * 1e6),  # what is posted later counts, also after a restart
                "run": {"flow": project, "number": number, "started": began, "host": host},
                "status": status, "ended_at": None if status == "running" else time(),
                "counts": {
                    "ran": counts.get("completed", 0), "failed": counts.get("failed", 0),
                    "queued": counts.get("queued", 0), "running": counts.get("running", 0),
                },
            }
        )  # fmt: skip


def _status(counts: Mapping[str, int]) -> str:
    if counts.get("queued") or counts.get("running") or not (counts.get("completed") or counts.get("failed")):
        return "running"
    return "failed" if counts.get("failed") else "succeeded"


def _count(key: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise UsageError(f"{key} is no whole number from 0", do="running=3&queued=2&completed=10&failed=0&retry=0")
    return int(text)


def _id(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


STORE_ID = _id("five counts")
"""Below which id in the data folder the projects of such reporters lie."""
