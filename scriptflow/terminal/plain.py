"""One line for each task that ends, for logs, cron and CI: no escapes, no line is ever rewritten.

Knows words and counts; has no clock of its own, so all times are those of the events.
"""

from __future__ import annotations

from scriptflow.terminal import failures, words
from scriptflow.terminal.look import cells, pad
from scriptflow.terminal.screen import Screen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from scriptflow.core.events import (
        Event,
        JobRetried,
        JobStarted,
        Message,
        TaskEnded,
        TaskQueued,
        TasksSkipped,
    )
    from scriptflow.terminal.look import Look, Stream

TASK_LINES = 200
NOTE_EVERY_S = 30.0
RETRY_LINES = 20
ANNOTATIONS = 10


class Plain(Screen):
    """Writes one line for each of the first 200 tasks, then one for each per cent or half minute.

    Args:
        stream: where to.
        look: what the stream can show; its colours are not used.
        verbose: as for every screen.
        expected: as for every screen.
        github: whether to annotate failures for GitHub Actions, the first ten.
    """

    indent = " " * 9

    def __init__(
        self,
        stream: Stream,
        look: Look,
        *,
        verbose: int = 0,
        expected: Mapping[str, float] | None = None,
        github: bool = False,
    ) -> None:
        look.color = False
        super().__init__(stream, look, verbose=verbose, expected=expected)
        self._github = github
        self._name_cells = 7
        self._said = 0
        self._noted_percent = 0
        self._noted_at = 0.0
        self._tells |= {
            "TasksSkipped": self._skipped,
            "TaskQueued": self._queued,
            "JobStarted": self._job_started,
            "JobRetried": self._retried,
            "Progress": self._maybe_note,
        }

    def _tell(self, at: float, word: str, text: str) -> None:
        self._line(f"{words.clock(at)} {word:<5} {text}".rstrip())

    def _name(self, task: str) -> str:
        return pad(self._look.safe(task), self._name_cells)

    def _so_far(self) -> str:
        tally = self._tally
        return f"[{words.count(tally.settled)}/{words.count(tally.total)}{'' if tally.final else '+'}]"

    def _queued(self, event: TaskQueued) -> None:
        if self._said < TASK_LINES:
            self._name_cells = max(self._name_cells, min(30, cells(self._look.safe(event.task))))

    def _skipped(self, event: TasksSkipped) -> None:
        if self._verbose:
            for name in event.names:
                self._tell(event.at, "same", f"{self._name(name)}  up to date")
        self._maybe_note(event)

    def _job_started(self, event: JobStarted) -> None:
        if self._verbose:
            self._tell(event.at, "run", f"{self._name(event.task)}  $ {self._look.safe(event.command)}")

    def _retried(self, event: JobRetried) -> None:
        if self._tally.retried <= RETRY_LINES:
            wait = f" in {words.duration(event.delay_s)}" if event.delay_s else ""
            again = f"attempt {event.attempt + 1}/{event.attempts}{wait}"
            self._tell(event.at, "retry", f"{self._name(event.task)}  {words.cause(event.report)}; {again}")

    def _message(self, event: Message) -> None:
        self._message_lines(event)

    def _task_ended(self, event: TaskEnded) -> None:
        super()._task_ended(event)
        self._said += 1
        if event.state != "failed" and self._said <= TASK_LINES:
            self._tell_ended(event)
        self._maybe_note(event)

    def _tell_ended(self, event: TaskEnded) -> None:
        if event.state == "succeeded":
            why = words.short_reasons(event.reasons, utf8=self._look.utf8)
            time = f"{words.duration(event.seconds):>8}"
            self._tell(event.at, "ok", f"{self._name(event.task)} {time}  {self._so_far()}  {why}")
        else:
            said = self._look.safe(words.failure(event))
            self._tell(event.at, "skip", f"{self._name(event.task)}  {said}  {self._so_far()}")

    def _failure(self, event: TaskEnded) -> None:
        super()._failure(event)
        if self._github and self._failures.number <= ANNOTATIONS:
            self._line(words.github_error(event))

    def _where(self, event: TaskEnded) -> str:
        return ""  # the headline has it

    def _failure_head(self, event: TaskEnded) -> str:
        look = self._look
        parts = [look.safe(event.task), look.safe(words.failure(event)), words.duration(event.seconds)]
        if event.attempts > 1:
            parts.append(f"attempt {event.attempt}/{event.attempts}")
        parts += [self._so_far(), failures.where(look, event)]
        return f"{words.clock(event.at)} FAIL  {'  '.join(parts)}".rstrip()

    def _maybe_note(self, event: Event) -> None:
        if self._said <= TASK_LINES:
            self._noted_at = event.at
            return
        tally = self._tally
        percent = tally.settled * 100 // (tally.total or 1)
        if percent <= self._noted_percent and event.at - self._noted_at < NOTE_EVERY_S:
            return
        if not self._noted_percent:
            self._tell(event.at, "note", f"{TASK_LINES} tasks were told; now one line per 1 % or {NOTE_EVERY_S:.0f} s")
        self._noted_percent = max(percent, self._noted_percent, 1)
        self._noted_at = event.at
        self._tell(event.at, "note", self._note(percent))

    def _note(self, percent: int) -> str:
        tally = self._tally
        parts = [self._so_far()[1:-1], f"{percent}%", f"{words.count(tally.running)} running"]
        if tally.failed:
            parts.append(f"{words.count(tally.failed)} failed")
        left_s, whole = tally.left_s()
        if left_s is not None:
            parts.append(words.about(left_s) + ("" if whole else " or more"))
        return " ".join(parts)
