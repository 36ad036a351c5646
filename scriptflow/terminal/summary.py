"""The last word of a run: at most six lines, the causes of its failures gathered, the next command.

Knows the counts of a run; knows no stream and no display.
"""

from __future__ import annotations

from scriptflow.terminal.look import cells, pad
from scriptflow.terminal.words import count, duration, stop_cause

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.events import RunEnded
    from scriptflow.terminal.failures import Cause
    from scriptflow.terminal.look import Look
    from scriptflow.terminal.tally import Tally

_CAUSE_LINES = 4
_CAUSE_CELLS = 60
_ALWAYS = ("ran", "up to date")
_STATUS = {"succeeded": ("ok", "green"), "failed": ("failed", "bold red"), "interrupted": ("interrupted", "yellow")}


def summary_lines(look: Look, tally: Tally, ended: RunEnded, causes: Sequence[Cause], width: int) -> list[str]:
    """Lay out the end of a run.

    Args:
        look: of the stream it goes to.
        tally: of the same run; tells which of the cancelled tasks had begun, and whether any log is there.
        ended: the run's last event.
        causes: of its failures, the most frequent first.
        width: columns to keep causes and names in.
    """
    again = look.safe(f"scriptflow run {ended.flow}".rstrip())
    head, used = _head(look, tally, ended)
    lines = [head, *_cause_lines(look, causes, width)]
    if ended.message and not causes:
        lines.append(look.fit(f"    {look.safe(ended.message)}", max(width, 40)))
    if ended.status == "failed":
        lines.append(f"    next: scriptflow logs {look.dot} {again}" if tally.logged else f"    next: {again}")
    elif ended.status == "cancelled":
        if used + cells(again) + 10 <= width:
            lines[0] += f"  resume: {again}"
        else:
            lines.append(f"    resume: {again}")
    return lines


def _head(look: Look, tally: Tally, ended: RunEnded) -> tuple[str, int]:
    """Return the first line and the columns it takes."""
    counts = ended.counts
    word, style = _STATUS.get(ended.status, ("stopped", "yellow"))
    if ended.status == "cancelled" and tally.signal:
        word += f" ({stop_cause(tally.signal)})"
    unstarted = max(0, counts.cancelled - tally.stopped) + counts.waiting + counts.queued
    parts = [
        (counts.ran, "ran", ""),
        (counts.skipped, "up to date", ""),
        (counts.failed, "failed", "red"),
        (min(counts.cancelled, tally.stopped), "cancelled", ""),
        (unstarted, "not started", ""),
    ]
    pieces = [(look.safe(ended.run), "bold"), (" ", ""), (word, style), (" ", "")]
    for number, what, paint in parts:
        if number or what in _ALWAYS:
            pieces += [("  ", ""), (f"{count(number)} {what}", paint)]
    pieces.append((f"   {duration(ended.seconds)}", ""))
    return "".join(look.paint(text, style) for text, style in pieces), sum(cells(text) for text, _ in pieces)


def _cause_lines(look: Look, causes: Sequence[Cause], width: int) -> list[str]:
    shown = causes if len(causes) <= _CAUSE_LINES else causes[: _CAUSE_LINES - 1]
    rest = causes[len(shown) :]
    if not shown:
        return []
    digits = max(len(count(cause.number)) for cause in shown)
    room = max(20, min(_CAUSE_CELLS, width - digits - 30))
    texts = [look.fit(look.safe(cause.text), room) for cause in shown]
    column = max(map(cells, texts))
    lines = []
    for cause, text in zip(shown, texts, strict=True):
        names = " ".join(look.safe(name) for name in cause.names)
        if cause.number > len(cause.names):
            names += f" {look.more}"
        line = f"    {count(cause.number):>{digits}} {look.times} {pad(text, column)}   "
        lines.append(line + look.paint(look.fit(names, max(20, width - cells(line))), "dim"))
    if rest:
        tasks = count(sum(cause.number for cause in rest))
        lines.append(f"    {look.more} {count(len(rest))} more causes in {tasks} tasks")
    return lines
