"""The display at a terminal: what ends becomes a lasting line, below it one picture of what goes on.

Loads rich when the first task must run, not before. At most four pictures a second, and none when nothing changed.
"""

from __future__ import annotations

from scriptflow.terminal import words
from scriptflow.terminal.above import Above
from scriptflow.terminal.frame import TASK_ROWS, Frame
from scriptflow.terminal.look import cells, is_terminal, pad, size_of
from scriptflow.terminal.screen import Screen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.live import Live as RichLive

    from scriptflow.core.events import Event, JobRetried, JobStarted, Message, TaskEnded, TaskQueued, TasksSkipped
    from scriptflow.terminal.look import Look, Stream

FRAME_S = 0.25
RETRY_LINES = 20
_NAME_CELLS = 30


class Live(Screen):
    """Shows a run while it goes. The head calls ``tick`` a few times a second, so that times move.

    Args:
        stream: the terminal.
        look: what it can show.
        verbose: as for every screen.
        expected: as for every screen.
        now: seconds since the epoch, as in events.
    """

    def __init__(
        self,
        stream: Stream,
        look: Look,
        *,
        verbose: int = 0,
        expected: Mapping[str, float] | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        import time

        super().__init__(stream, look, verbose=verbose, expected=expected)
        self._now = now or time.time
        self._monotonic = time.monotonic
        self._live: RichLive | None = None
        self._above: list[Above] = []
        self._name_cells = 8
        self._columns = 0
        self._drawn_cells: list[int] = []
        self._big = False
        self._titled = False
        self._dirty = False
        self._drawn_at = 0.0
        self._drawn_second = 0
        self._tells |= {
            "TasksSkipped": self._skipped,
            "TaskQueued": self._queued,
            "JobStarted": self._job_started,
            "JobRetried": self._retried,
        }

    def hear(self, event: Event) -> None:
        """Count one event, tell it, and draw when it is time."""
        super().hear(event)
        self._dirty = True
        if self._live is not None and self._monotonic() - self._drawn_at >= FRAME_S:
            self._draw()

    def tick(self) -> None:
        """Draw again when something changed: a count, the size of the terminal, the second."""
        if self._live is None or self._gone:
            return
        for above in self._above:
            above.pass_on()
        second = int(self._now())
        changed = self._dirty or second != self._drawn_second or self._size()[0] != self._columns
        if changed and self._monotonic() - self._drawn_at >= FRAME_S / 2:
            self._draw()

    def close(self) -> None:
        """Take the picture away, give the streams back, print the summary."""
        if self._live is not None:
            for above in self._above:
                above.give_back()
            live, self._live = self._live, None
            try:
                live.update("")
                live.stop()
            except (OSError, ValueError):  # the terminal has gone
                self._gone = True
        super().close()

    def _begin(self) -> None:
        """Start the display: the first task must run."""
        import sys

        from rich.console import Console
        from rich.live import Live as RichLive

        look = self._look
        console = Console(
            file=self._stream,  # type: ignore[arg-type]  # rich only writes and flushes
            force_terminal=True,
            force_interactive=True,
            no_color=not look.color,
            color_system="standard" if look.color else None,
            highlight=False,
            emoji=False,
            markup=False,
        )
        # Rich's own redirection would send what a flow prints to our stream even when its stdout is a
        # file, and would wrap long lines; ours does neither.
        live = RichLive(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        try:
            live.start()
        except (OSError, ValueError):  # the terminal has gone; the run goes on without a screen
            self._gone = True
            return
        self._live = live
        self._columns = self._size()[0]
        self._drawn_at = self._monotonic()  # the first picture waits: by then more is known of the run
        self._above = [
            Above(name, self.print_above) for name in ("stdout", "stderr") if is_terminal(getattr(sys, name))
        ]

    def _size(self) -> tuple[int, int]:
        """Ask the terminal itself: rich would believe COLUMNS, or the terminal of another stream."""
        size = size_of(self._stream)
        if self._live is not None:
            self._live.console.size = size
        return size

    def _print_title(self) -> None:
        if self._live is None or self._titled:
            return
        self._titled = True
        tally, look = self._tally, self._look
        known = words.count(tally.total) + ("" if tally.final else "+")
        self.print_above(f"{look.paint(look.safe(tally.run), 'bold')}  {known} tasks")

    def _line(self, line: str) -> None:
        if self._live is None:
            super()._line(line)
        else:
            self._print_title()
            self._compose()  # or what has just ended would still be shown as running below its last line
            self.print_above(line)

    def print_above(self, text: str) -> None:
        """Print whole lines above the picture as they are, codes and all, without wrapping them; on any thread."""
        if self._live is None or self._gone:
            return
        from rich.segment import Segment, Segments

        try:
            self._mend_resize()
            self._live.console.print(Segments([Segment(text + "\n")]), soft_wrap=True, end="")
        except (OSError, ValueError):
            self._gone = True

    def _draw(self) -> None:
        if self._live is None or self._gone:
            return
        self._print_title()
        self._compose()
        try:
            self._live.refresh()
        except (OSError, ValueError):
            self._gone = True

    def _compose(self) -> None:
        """Make the next picture."""
        if self._live is None or self._gone:
            return
        from rich.text import Text

        now = self._now()
        self._drawn_at, self._drawn_second, self._dirty = self._monotonic(), int(now), False
        width, height = self._size()
        frame = Frame(
            self._tally, self._look, width=width, height=height, now=now, name_cells=min(self._name_cells, width // 3)
        )
        lines = frame.group_lines() if self._is_big() else frame.task_lines()
        picture = Text(no_wrap=True, overflow="crop", end="")
        for number, line in enumerate(lines):
            picture.append("\n" if number else "")
            for text, style in line:
                picture.append(text, style)
        try:
            self._mend_resize()
        except (OSError, ValueError):
            self._gone = True
        self._live.update(picture)
        self._drawn_cells = [sum(cells(text) for text, _ in line) for line in lines]

    def _mend_resize(self) -> None:
        """Wipe what a narrower terminal made of the last picture: its lines were broken into more rows."""
        if self._live is None or (width := self._size()[0]) == self._columns:
            return
        broken = sum((max(1, drawn) - 1) // width for drawn in self._drawn_cells) if width < self._columns else 0
        self._columns = width
        if broken:
            from rich.control import Control
            from rich.segment import ControlType

            wipe = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)) * broken
            self._live.console.control(Control(ControlType.CARRIAGE_RETURN, *wipe))

    def _is_big(self) -> bool:
        """Rows of tasks become rows of groups once, and never again rows of tasks."""
        self._big = self._big or self._tally.must_run() > TASK_ROWS
        return self._big

    def _queued(self, event: TaskQueued) -> None:
        if not self._big:
            self._name_cells = max(self._name_cells, min(_NAME_CELLS, cells(self._look.safe(event.task))))
        if self._live is None and not self._gone:
            self._begin()

    def _row(self, glyph: str, style: str, task: str, rest: str) -> None:
        look = self._look
        head = f"  {pad(glyph, look.glyph_cells)} "
        name = pad(look.safe(task), min(self._name_cells, self._width() // 3))
        rest = look.fit(rest, max(10, self._width() - cells(head + name) - 1))
        self._line(f"{look.paint(head, style)}{name} {look.paint(rest, 'dim')}")

    def _task_ended(self, event: TaskEnded) -> None:
        super()._task_ended(event)
        look = self._look
        if event.state == "failed" or self._is_big():
            return
        if event.state == "succeeded":
            why = words.short_reasons(event.reasons, utf8=look.utf8)
            self._row(look.ok, "green", event.task, f"{words.duration(event.seconds):>8}  {why}")
        else:
            self._row(look.skipped, "yellow", event.task, f"{'':8}  {look.safe(words.failure(event))}")

    def _skipped(self, event: TasksSkipped) -> None:
        for name in event.names if self._verbose else ():
            self._row(self._look.same, "dim", name, f"{'':8}  up to date")

    def _job_started(self, event: JobStarted) -> None:
        if self._live is None and not self._gone:
            self._begin()  # a job of a head that died is joined, never queued
        if self._verbose:
            self._row(self._look.running, "cyan", event.task, f"{'':8}  $ {self._look.safe(event.command)}")

    def _retried(self, event: JobRetried) -> None:
        if self._tally.retried <= RETRY_LINES:
            wait = f" in {words.duration(event.delay_s)}" if event.delay_s else ""
            said = f"{words.cause(event.report)}; attempt {event.attempt + 1}/{event.attempts}{wait}"
            self._row(self._look.retry, "yellow", event.task, f"{'':8}  {said}")

    def _message(self, event: Message) -> None:
        self._message_lines(event)
