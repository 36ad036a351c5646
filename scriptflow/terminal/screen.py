"""What every text screen shares: counting, telling of failures and warnings, the summary; and the quiet screen.

Knows words and counts; knows no live display.
"""

from __future__ import annotations

from scriptflow.terminal import failures, words
from scriptflow.terminal.failures import Failures
from scriptflow.terminal.look import Look, cells, width_of
from scriptflow.terminal.summary import summary_lines
from scriptflow.terminal.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scriptflow.core.events import Event, Message, RunEnded, RunStarted, RunStopping, TaskEnded
    from scriptflow.terminal.look import Stream

_PAPER = 200  # columns of what is no terminal, and the most that is used of one


class Screen:
    """A listener that writes lines. By itself the quiet one: failures, warnings and the summary.

    Args:
        stream: where to; an error of it silences the screen and never reaches the run.
        look: what the stream can show.
        verbose: 1 adds the names of skipped tasks and the commands.
        expected: seconds that a task of each group took in an earlier run.
    """

    indent = "    "

    def __init__(
        self, stream: Stream, look: Look, *, verbose: int = 0, expected: Mapping[str, float] | None = None
    ) -> None:
        self.wants_names = verbose > 0
        self._stream = stream
        self._look = look
        self._verbose = verbose
        self._tally = Tally(expected)
        self._failures = Failures()
        self._gone = False
        self._tells: dict[str, Callable[..., None]] = {
            "RunStarted": self._run_started,
            "TaskEnded": self._task_ended,
            "Message": self._message,
            "RunStopping": self._stopping,
        }

    def hear(self, event: Event) -> None:
        """Count one event and say what is worth saying."""
        name = type(event).__name__
        self._tally.hear(name, event)
        tells = self._tells.get(name)
        if tells is not None and not self._gone:
            tells(event)

    def close(self) -> None:
        """Print the summary, when the run came to an end."""
        ended, self._tally.ended = self._tally.ended, None
        if ended is not None:
            self._last_words(ended)

    def _last_words(self, ended: RunEnded) -> None:
        self._line("\n".join(summary_lines(self._look, self._tally, ended, self._failures.causes(), self._width())))

    def _line(self, line: str) -> None:
        """Write a line, or several that belong together, and have it seen at once."""
        if self._gone:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more, the disk is full, or the stream was closed
            self._gone = True

    def _width(self) -> int:
        return max(40, min(_PAPER, width_of(self._stream, _PAPER)))

    def _run_started(self, event: RunStarted) -> None:
        if event.resumed:
            self._line(f"note: {self._look.safe(event.resumed)}")

    def _message(self, event: Message) -> None:
        if event.level != "note":
            self._message_lines(event)

    def _message_lines(self, event: Message) -> None:
        self._line("\n".join(words.message_lines(self._look, event)))

    def _stopping(self, event: RunStopping) -> None:
        what = words.stop_cause(event.signal)
        told = ""
        if event.running:
            told = f", {words.count(event.running)} running job{'s are' if event.running > 1 else ' is'} told to end"
            told += "; Ctrl-C again: kill" if what == "Ctrl-C" else ""
        self._line(f"{what}: nothing new starts{told}")

    def _task_ended(self, event: TaskEnded) -> None:
        if event.state == "failed":
            self._failures.add(event)
            self._failure(event)

    def _failure(self, event: TaskEnded) -> None:
        if self._failures.tell_silence:
            self._line(self.indent + failures.SILENCE)
        if not self._failures.tell:
            return
        lines = [self._failure_head(event)]
        if self._failures.tell_all:
            details = failures.detail_lines(self._look, event, self._width() - len(self.indent))
            where = self._where(event)
            lines += [self.indent + line for line in ([*details, where] if where else details)]
        self._line("\n".join(lines))

    def _where(self, event: TaskEnded) -> str:
        return self._look.paint(failures.where(self._look, event), "dim")

    def _failure_head(self, event: TaskEnded) -> str:
        look = self._look
        said = words.failure(event)
        if self._failures.tell_all:
            said += f" after {words.duration(event.seconds)}" if event.seconds else ""
            said += f"  attempt {event.attempt}/{event.attempts}" if event.attempts > 1 else ""
        elif (root := words.root_cause(event)) != said:
            said += f"  {root}"
        said = look.safe(said)
        mark = f"{look.failed} {look.safe(event.task)}"
        return f"  {look.paint(mark, 'bold red')}  {look.fit(said, max(20, self._width() - cells(mark) - 4))}"


class Silent:
    """A listener that says nothing at all."""

    wants_names = False

    def hear(self, event: Event) -> None:
        """Take one event."""

    def close(self) -> None:
        """Say nothing."""
