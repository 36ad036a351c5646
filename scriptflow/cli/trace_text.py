"""Lay out how a file was made, or what it went into, as a tree for people; knows lineages, nothing of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.cli import reading
from scriptflow.papers.called import command_of
from scriptflow.papers.document import users
from scriptflow.terminal import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from scriptflow.papers.difference import Change
    from scriptflow.papers.traced import Target
    from scriptflow.store.lineage import Lineage, Part, Step
    from scriptflow.terminal.look import Look

MOST_LINES = 200
_DEEPEST = 40
_FILES = 12
_HASH = len("sha256:") + 12


class Tree:
    """Draws a lineage; a job that stands there already is named and not drawn again.

    Args:
        look: what the screen can show.
        lineage: what was found.
        width: columns to fill.
    """

    def __init__(self, look: Look, lineage: Lineage, width: int) -> None:
        self._look = look
        self._lineage = lineage
        self._width = width
        self._drawn: set[int] = set()
        # fmt: off
        self._fork, self._last, self._pass = ("├─ ", "└─ ", "│  ") if look.utf8 else ("|- ", "`- ", "|  ")
        self._from = "←" if look.utf8 else "<-"
        # fmt: on

    def up(self, target: Target) -> Iterator[str]:
        """Yield the lines of how a file was made."""
        yield from self._head(target)
        if target.job is not None and target.job in self._lineage.steps:
            yield from self._job(self._lineage.steps[target.job], "", 0)

    def down(self, target: Target) -> Iterator[str]:
        """Yield the lines of what a file went into."""
        yield from self._head(target)
        if target.job is not None and target.job in self._lineage.steps:
            yield self._line("", self._made(self._lineage.steps[target.job]), "dim")
        first, of = users(self._lineage, target)
        if not first:
            yield self._line("", "no recorded task has read it", "")
        yield from self._users(first, of, "", 0)

    def _head(self, target: Target) -> Iterator[str]:
        step = self._lineage.steps.get(target.job) if target.job is not None else None
        name = target.file or (step.job.task if step else "")
        notes = [target.sha256[:_HASH]] if target.sha256 else []
        if target.copy_of:
            notes.append(f"the same content as {target.copy_of}")
        if target.changed:
            notes.append("not as the task left it: it was changed since")
        yield f"{self._look.paint(self._look.safe(name), 'bold')}" + "".join(
            f"  {self._look.safe(note)}" for note in notes
        )

    def _job(self, step: Step, lead: str, depth: int) -> Iterator[str]:
        self._drawn.add(step.job.job)
        yield self._line(lead, f"{self._from} {self._made(step)}", "")
        yield self._line(lead, f"  {command_of(step.job.manifest)}", "dim")
        shown = _made_first(step.inputs)
        for at, part in enumerate(shown[:_FILES]):
            last = at == min(len(shown), _FILES + 1) - 1
            yield from self._input(part, lead, depth, last=last and len(shown) <= _FILES)
        if len(shown) > _FILES:
            yield self._line(lead + self._last, f"and {len(shown) - _FILES:,} more inputs", "dim")

    def _input(self, part: Part, lead: str, depth: int, *, last: bool) -> Iterator[str]:
        makers = [self._lineage.steps[job] for job in part.makers if job in self._lineage.steps]
        text = self._look.safe(part.seen.path)
        if part.changed:
            text += "  (changed by hand before it was read)"
        if not part.makers:
            text += "  (source)"
        yield self._line(lead + (self._last if last else self._fork), text, "")
        below = lead + ("   " if last else self._pass)
        for maker in makers[:_FILES]:
            if maker.job.job in self._drawn:
                yield self._line(below, f"{self._from} {maker.job.task}, see above", "dim")
            elif depth >= _DEEPEST:
                yield self._line(below, f"{self._from} {maker.job.task} and what it read", "dim")
            else:
                yield from self._job(maker, below, depth + 1)
        if len(makers) > _FILES:
            yield self._line(below, f"{self._from} and {len(makers) - _FILES:,} more tasks", "dim")

    def _users(self, steps: Sequence[Step], of: Mapping[int, list[Step]], lead: str, depth: int) -> Iterator[str]:
        for at, step in enumerate(steps[:_FILES]):
            last = at == len(steps) - 1
            outputs = ", ".join(part.seen.path for part in step.outputs[:3]) + (
                f" and {len(step.outputs) - 3:,} more" if len(step.outputs) > 3 else ""
            )
            arrow = f" {'→' if self._look.utf8 else '->'} {outputs}" if outputs else ""
            yield self._line(lead + (self._last if last else self._fork), f"{self._made(step)}{arrow}", "")
            if step.job.job in self._drawn:
                continue
            self._drawn.add(step.job.job)
            if depth < _DEEPEST:
                yield from self._users(of.get(step.job.job, []), of, lead + ("   " if last else self._pass), depth + 1)
        if len(steps) > _FILES:
            yield self._line(lead + self._last, f"and {len(steps) - _FILES:,} more tasks", "dim")

    def _made(self, step: Step) -> str:
        job, run = step.job, step.run
        began = job.began or job.started
        took = "" if job.ended is None else f", {words.duration(max(0.0, job.ended - began))}"
        git = f", git {run.git[:10]}" if run.git else ""
        state = "" if job.state == "succeeded" else f", {job.state}"
        return f"{job.task}  {job.run}, {reading.when(began)}{took}, {run.user}@{job.host}{git}{state}"

    def _line(self, lead: str, text: str, style: str) -> str:
        safe = self._look.fit(self._look.safe(text), max(20, self._width - len(lead)))
        return f"{self._look.paint(lead, 'dim')}{self._look.paint(safe, style)}"


def _made_first(parts: Sequence[Part]) -> list[Part]:
    """Return what tasks made before sources: it says more."""
    return sorted(parts, key=lambda part: not part.makers)


def difference_lines(look: Look, changes: Iterable[Change]) -> Iterator[str]:
    """Yield what differs between two ways of making a file."""
    for change in changes:
        where = {"added": f"only in {change.after}", "gone": f"only in {change.before}"}
        runs = where.get(change.kind, f"{change.before} -> {change.after}")
        kind = "ran again, nothing differs" if change.kind == "repeated" else change.kind
        yield f"{look.paint(look.safe(change.task), 'bold')}  {kind}  {look.paint(runs, 'dim')}"
        for code, detail in change.reasons:
            yield f"  {code}: {look.safe(detail)}"
