"""Lay out one picture of a running run as styled lines, none wider than the terminal.

Knows counts and words; knows neither rich nor any stream.
"""

from __future__ import annotations

from itertools import islice

from scriptflow.terminal import words
from scriptflow.terminal.look import cells, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.terminal.look import Look
    from scriptflow.terminal.tally import Group, Tally

    Line = list[tuple[str, str]]  # pieces of one line: text and style

TASK_ROWS = 15
GROUP_ROWS = 8
SILENCE_S = 30.0
_BAR_FROM = 60  # columns
_SLOW_FROM = 90
_RUN = 10  # columns of `16 run`
_NUMBERS = _RUN + 12  # and of `2 failed` beside it
_SLOW_S = 10.0


class Frame:
    """What a picture is made from: the counts, the size of the terminal, the time."""

    __slots__ = ("height", "look", "name_cells", "now", "tally", "width")

    def __init__(self, tally: Tally, look: Look, *, width: int, height: int, now: float, name_cells: int = 8) -> None:
        self.tally = tally
        self.look = look
        self.width = max(40, min(200, width)) - 1  # the last column would make some terminals wrap
        self.height = height
        self.now = now
        self.name_cells = name_cells

    def task_lines(self) -> list[Line]:
        """Draw a small run: a row for each task that runs or waits, and the counts."""
        room = max(0, min(TASK_ROWS, self.height - 3))
        rows = [self._running_row(group, task) for group in self.tally.groups.values() for task in group.running]
        rows += [self._waiting_row(task) for task in islice(self.tally.queued, max(0, room - len(rows)))]
        return self._stack(rows[:room])

    def group_lines(self) -> list[Line]:
        """Draw a big run: a row for each group that matters now, the others folded, and the counts."""
        room = max(1, min(GROUP_ROWS, self.height - 4))
        groups = list(self.tally.groups.values())
        shown = set(sorted(range(len(groups)), key=lambda index: _weight(groups[index]))[:room])
        rows = self._group_rows([group for index, group in enumerate(groups) if index in shown])
        folded = [group for index, group in enumerate(groups) if index not in shown]
        if folded:
            done = sum(group.settled == group.total for group in folded)
            counts = ((done, "done"), (len(folded) - done, "to do"))
            said = [f"{number} group{'s' if number > 1 else ''} {what}" for number, what in counts if number]
            rows.append([(self.look.fit(f"  {', '.join(said)}", self.width), "dim")])
        return self._stack(rows)

    def _stack(self, rows: list[Line]) -> list[Line]:
        """Put the counts below the rows, and leave a line of the terminal to what lasts."""
        last = [*self._silence(), self._counts()]
        return [*rows[: max(0, self.height - 1 - len(last))], *last][-self.height :]

    def _running_row(self, group: Group, task: str) -> Line:
        started, look = group.running[task], self.look
        time = words.duration(self.now - started.at, tenths=False)
        again = f"attempt {started.attempt}  " if started.attempt > 1 else ""
        why = again + words.short_reasons(started.reasons, utf8=look.utf8)
        return self._task_row(look.running, "cyan", task, time, why)

    def _waiting_row(self, task: str) -> Line:
        return self._task_row(self.look.waiting, "dim", task, "", "queued")

    def _task_row(self, glyph: str, style: str, task: str, time: str, why: str) -> Line:
        look = self.look
        name = look.fit(look.safe(task), self.name_cells)
        head = f"  {pad(glyph, look.glyph_cells)} "
        body = f"{pad(name, self.name_cells)} {time:>8}  "
        return [(head, style), (body, ""), (look.fit(why, max(0, self.width - cells(head + body))), "dim")]

    def _group_rows(self, groups: Sequence[Group]) -> list[Line]:
        look = self.look
        names = [look.fit(look.safe(_label(group, self.tally)), max(10, min(24, self.width // 4))) for group in groups]
        column = max(map(cells, names), default=0)
        digits = max((len(words.count(group.total)) for group in groups), default=1)
        room = self.width - column - 2 * digits - 5 - _NUMBERS
        bar = max(0, min(20 if self.width < 120 else 30, room)) if self.width >= _BAR_FROM - 1 else 0
        return [
            self._group_row(group, pad(name, column), bar, digits) for group, name in zip(groups, names, strict=True)
        ]

    def _group_row(self, group: Group, name: str, bar: int, digits: int) -> Line:
        line: Line = [(f"  {name} ", "")]
        line += self._bar(group, bar) if bar else []
        done = f" {words.count(group.settled):>{digits}}/{words.count(group.total):<{digits}}"
        line.append((done, "green" if group.settled == group.total else ""))
        failed = f" {words.count(group.failed)} failed" if group.failed else ""
        used = sum(cells(text) for text, _ in line)
        if used + _RUN + len(failed) <= self.width:
            line.append((f" {words.count(len(group.running)):>5} run" if group.running else " " * _RUN, ""))
            used += _RUN
        line.append((self.look.fit(failed, self.width - used), "red"))
        used += len(failed)
        slow = self._slowest(group)
        if slow and self.width >= _SLOW_FROM and used + 24 < self.width:
            line.append((self.look.fit(f"   {slow}", self.width - used), "dim"))
        return line

    def _bar(self, group: Group, width: int) -> Line:
        """Failures come first and are never rounded away; the bar is full only when all is done."""
        total = max(1, group.total)
        failed = min(width, max(1, width * group.failed // total)) if group.failed else 0
        done = max(0, min(width - failed, width * group.settled // total - failed))
        look = self.look
        rest = look.bar_rest * (width - failed - done)
        return [(look.bar_done * failed, "red"), (look.bar_done * done, "green"), (rest, "dim")]

    def _slowest(self, group: Group) -> str:
        if not group.running:
            return ""
        task = next(iter(group.running))
        spent = self.now - group.running[task].at
        if spent < max(_SLOW_S, 3 * group.mean_s):
            return ""
        usual = f" (usual {words.duration(group.mean_s)})" if group.succeeded else ""
        return f"slowest {self.look.safe(task)} {words.duration(spent, tenths=False)}{usual}"

    def _silence(self) -> list[Line]:
        """Name the longest running task when nothing has happened for a while."""
        quiet = self.now - self.tally.last_at
        oldest = [next(iter(group.running.values())) for group in self.tally.groups.values() if group.running]
        if quiet < SILENCE_S or not oldest:
            return []
        first = min(oldest, key=lambda started: started.at)
        said = f"  nothing new for {words.duration(quiet, tenths=False)}; the longest running is "
        time = words.duration(self.now - first.at, tenths=False)
        return [[(self.look.fit(f"{said}{self.look.safe(first.task)}, {time}", self.width), "yellow")]]

    def _counts(self) -> Line:
        """Say how far the run is; what matters least is dropped first where the terminal is narrow."""
        tally, count = self.tally, words.count
        more = "" if tally.final else "+"
        waiting = tally.total - tally.settled - tally.running
        left_s, whole = tally.left_s()
        left = f", {words.about(left_s)}{'' if whole else ' or more'} left" if left_s is not None else ""
        pieces = [
            (0, f"  {count(tally.settled)}/{count(tally.total)}{more}", "bold"),
            (2, f"  {tally.settled * 100 // (tally.total or 1)}%", ""),
            (3, f"  {count(tally.running)} running", ""),
            (5, f"  {count(waiting)} waiting" if waiting else "", ""),
            (6, f"  {count(tally.retried)} retried" if tally.retried else "", ""),
            (1, f"  {count(tally.failed)} failed" if tally.failed else "", "red"),
            (0, f"   {words.duration(self.now - tally.began, tenths=False)}", "dim"),
            (4, left, "dim"),
        ]
        while sum(len(text) for _, text, _ in pieces) > self.width:
            pieces.remove(max(pieces))
        return [(text, style) for _, text, style in pieces if text]


def _weight(group: Group) -> tuple[bool, bool, bool]:
    """Sort what runs before what failed before what goes on before what is done."""
    return (not group.running, not group.failed, group.settled == group.total)


def _label(group: Group, tally: Tally) -> str:
    return group.name or ("tasks" if len(tally.groups) == 1 else "other tasks")
