"""What a run's notes speak of: counts, the failures and how alike they are.

Knows events. Knows nothing of channels or of when to tell.
"""

from __future__ import annotations

from collections import Counter
from time import time

from scriptflow.core.machine import host_name
from scriptflow.core.units import time_text
from scriptflow.notices.note import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptflow.core.events import RunEnded, RunStarted, TaskEnded

_NAMED = 10
_TAIL = 5
_KINDS = 1000
_LONGEST = 300
_GLYPHS = {"succeeded": "✓", "failed": "✗", "cancelled": "⊘"}


class Tally:
    """One run, as far as it was heard of."""

    def __init__(self, started: RunStarted) -> None:
        self.run = started.run
        self.flow = started.flow
        self.began = started.at
        self.thread = f"{started.store}:{started.run}:{started.at}"
        self.done = 0
        self.failed = 0
        self.skipped = 0
        self.running: dict[int, str] = {}
        self.longest_s = 0.0
        self._first: list[TaskEnded] = []
        self._kinds: Counter[str] = Counter()
        self.pending: list[TaskEnded] = []
        self.pending_count = 0

    def ended(self, event: TaskEnded) -> None:
        """Count a task that is settled."""
        if event.job is not None:
            self.running.pop(event.job, None)
        self.longest_s = max(self.longest_s, event.seconds)
        if event.state == "succeeded":
            self.done += 1
        elif event.state == "failed":
            self.failed += 1
            kind = _kind(event)
            if kind in self._kinds or len(self._kinds) < _KINDS:
                self._kinds[kind] += 1
            if len(self._first) < _NAMED:
                self._first.append(event)
            self.pending_count += 1
            if len(self.pending) < _NAMED:
                self.pending.append(event)

    # --- notes --------------------------------------------------------------------------------

    def first_failure(self, event: TaskEnded) -> Note:
        """Tell of the first task that failed, with the end of its log."""
        lines = [event.message or f"{event.task} failed", *[f"  | {line}" for line in event.tail[-_TAIL:]]]
        if event.log:
            lines.append(f"log: {event.log}")
        lines.append(f"{self._so_far()}; the run goes on")
        return self._note(
            "first-failure", f"✗ {self.run}: first failure: {event.task}", lines, "error", failures=[_failure(event)]
        )

    def failures(self) -> Note:
        """Tell of the failures since the last time, and forget them."""
        events, count = self.pending, self.pending_count
        self.pending, self.pending_count = [], 0
        lines = [f"{event.task}: {_kind(event)}" for event in events]
        if count > len(events):
            lines.append(f"and {count - len(events)} more")
        word = "task" if count == 1 else "tasks"
        return self._note(
            "failure", f"✗ {self.run}: {count} more {word} failed", [*lines, self._so_far()], "error",
            failures=[_failure(event) for event in events],
        )  # fmt: skip

    def stalled(self, since: float) -> Note:
        """Tell that nothing has happened since then."""
        names = sorted(self.running.values())
        lines = [f"{len(names)} running: {', '.join(names[:_NAMED])}" if names else "no job runs", self._so_far()]
        return self._note("stalled", f"! {self.run}: no progress for {time_text(time() - since)}", lines, "warning")

    def end(self, event: RunEnded) -> Note:
        """Tell how the run went."""
        counts = event.counts
        words = {"ran": counts.ran, "up to date": counts.skipped, "failed": counts.failed}
        words |= {"not started": counts.cancelled}
        line = ", ".join(f"{count} {word}" for word, count in words.items() if count or word == "ran")
        lines = [f"{line}, in {time_text(event.seconds)}"]
        if event.message and not counts.failed:
            lines.append(event.message)
        lines += [f"{count} times {kind}" if count > 1 else kind for kind, count in self._kinds.most_common(3)]
        if self._first and self._first[0].tail:
            lines.append(f"{self._first[0].task}:")
            lines += [f"  | {line}" for line in self._first[0].tail[-_TAIL:]]
        if counts.failed:
            lines.append("next: scriptflow logs, then scriptflow run")
        level = {"succeeded": "success", "failed": "error"}.get(event.status, "warning")
        word = f"{counts.failed} failed" if counts.failed else str(event.status)
        return self._note(
            "end", f"{_GLYPHS.get(event.status, '·')} {self.run}: {word}", lines, level, status=str(event.status),
            seconds=round(event.seconds, 3), failures=[_failure(one) for one in self._first],
            counts={"ran": counts.ran, "skipped": counts.skipped, "failed": counts.failed,
                    "cancelled": counts.cancelled},
        )  # fmt: skip

    def head_lost(self, words: str = "") -> Note:
        """Tell that the head of this run, or of the one before (``words``), died."""
        lines = [words] if words else ["the process that ran it is gone; cluster jobs go on"]
        title = f"✗ {self.run}: the run before it was cut short" if words else f"✗ {self.run}: its head is gone"
        return self._note("head-lost", title, [*lines, *([] if words else ["next: scriptflow run"])], "error")

    def message(self, text: str, html: str, images: tuple[str, ...], level: str) -> Note:
        """Tell what the flow itself has to say."""
        first, _, rest = text.partition("\n")
        title = f"{self.run}: {first}"[:_LONGEST]
        note = self._note("message", title, [text if rest or len(first) > _LONGEST else first], level)
        return Note(**{**note.as_dict(), "html": html, "images": images})

    def _so_far(self) -> str:
        parts = [f"{self.done} done", f"{self.failed} failed", f"{len(self.running)} running"]
        return ", ".join(parts + ([f"{self.skipped} up to date"] if self.skipped else []))

    def _note(self, event: str, title: str, lines: list[str], level: str, **details: Any) -> Note:
        details.setdefault("counts", {"ran": self.done, "skipped": self.skipped, "failed": self.failed})
        return Note(
            event=event, title=_plain(title), text="\n".join(_plain(line) for line in lines), level=level, at=time(),
            run=self.run, flow=self.flow, host=host_name(), thread=self.thread, details=details,
        )  # fmt: skip


def _kind(event: TaskEnded) -> str:
    return _plain((event.tail[-1] if event.tail else event.message or "failed").strip())[:_LONGEST]


def _failure(event: TaskEnded) -> dict[str, object]:
    report = event.report
    return {
        "task": event.task, "message": event.message, "tail": list(event.tail[-_TAIL:]), "log": event.log,
        "exit_code": report.exit_code if report else None, "cause": str(report.cause) if report else None,
        "attempt": event.attempt,
    }  # fmt: skip


def _plain(text: str) -> str:
    """Leave out what would steer a terminal or turn the reading round; what a job printed is not to be trusted."""
    return "".join(c if c in "\n\t" or (c.isprintable() and c not in _TURNS) else "?" for c in text)


_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
