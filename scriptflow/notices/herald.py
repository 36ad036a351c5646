"""Listen to a run and decide what people are told of it, and when.

Knows events, notes and the courier that carries them. Knows nothing of how anything is sent.
"""

from __future__ import annotations

from time import monotonic, time

from scriptflow.notices.courier import Courier
from scriptflow.notices.tally import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from scriptflow.core.events import (
        Event,
        JobRetried,
        JobStarted,
        Message,
        RunEnded,
        RunStarted,
        RunStopping,
        TaskEnded,
        TasksSkipped,
    )
    from scriptflow.notices.channel import Channel
    from scriptflow.notices.note import Note

DIGEST_S = 60.0
"""Failures after the first are told together, at most once in so long."""
EXIT_WAIT_S = 0.25
"""The longest that the end of a run waits for its last note to arrive; what has not arrived is still being sent."""
_MESSAGES = 30  # of one flow in one digest's time


class Herald:
    """Tells the channels of one head what they want to hear.

    Nothing is sent from this process: the courier is one of its own, begun with the first job or the first note.

    Args:
        setting: ``notify`` as it was set.
        channels: what it means.
        store: the run store's folder.
        say: warns the user, once for each channel that fails: ``say(level, slug, text)``.
    """

    wants_names = False

    def __init__(
        self, setting: object, channels: list[Channel], store: str, say: Callable[[str, str, str], None]
    ) -> None:
        self._channels = channels
        self._say = say
        self._courier = Courier(setting, store)
        self._tally: Tally | None = None
        self._progress = time()
        self._told_stalled: set[str] = set()
        self._told_failures = -DIGEST_S
        self._armed = False
        self._messages = 0
        self._messages_since = 0.0
        self._tells = {
            "RunStarted": self._started,
            "TasksSkipped": self._skipped,
            "JobStarted": self._job_started,
            "JobRetried": self._job_retried,
            "TaskEnded": self._task_ended,
            "Message": self._message,
            "RunStopping": self._stopping,
            "RunEnded": self._ended,
        }

    def hear(self, event: Event) -> None:
        """Take one event."""
        tell = self._tells.get(type(event).__name__)
        if tell is not None:
            tell(event)  # type: ignore[operator]  # each takes the kind of its name

    def tick(self) -> None:
        """See whether failures are due to be told, whether the run stalls, and what the courier complains of."""
        tally = self._tally
        if tally is None:
            return
        self._complain()
        if tally.pending_count and monotonic() - self._told_failures >= DIGEST_S:
            self._tell_failures(tally)
        silent_s = time() - self._progress
        if silent_s < 1.0 or not tally.running:
            return
        slow = [
            channel for channel in self._channels
            if "stalled" in channel.on and channel.name not in self._told_stalled
            and silent_s >= max(channel.stalled_s, 3 * tally.longest_s)
        ]  # fmt: skip
        if slow:
            self._told_stalled.update(channel.name for channel in slow)
            self._courier.carry(tally.stalled(self._progress), [channel.name for channel in slow])

    def close(self) -> None:
        """Give the last notes a moment to arrive."""
        self._courier.close(EXIT_WAIT_S)
        self._complain()

    # --- events -------------------------------------------------------------------------------

    def _started(self, event: RunStarted) -> None:
        self._tally = Tally(event)
        if event.resumed and not self._courier.was_told_lost():
            self._tell(self._tally.head_lost(event.resumed))

    def _skipped(self, event: TasksSkipped) -> None:
        if self._tally is not None:
            self._tally.skipped += event.count

    def _job_started(self, event: JobStarted) -> None:
        tally = self._tally
        if tally is None:
            return
        self._arm(tally)
        tally.running[event.job] = event.task
        self._moved()

    def _arm(self, tally: Tally) -> None:
        """Leave word with the courier what to tell should this head vanish; from now on it has something to lose."""
        lost = [channel.name for channel in self._channels if "head-lost" in channel.on]
        if lost and not self._armed:
            self._courier.carry_when_lost(tally.head_lost(), lost)
        self._armed = True

    def _job_retried(self, event: JobRetried) -> None:
        if self._tally is not None:
            self._tally.running.pop(event.job, None)
            self._moved()

    def _task_ended(self, event: TaskEnded) -> None:
        tally = self._tally
        if tally is None:
            return
        tally.ended(event)
        self._moved()
        if event.state != "failed":
            return
        if tally.failed == 1:
            first = [channel.name for channel in self._channels if channel.on & {"first-failure", "failure"}]
            self._courier.carry(tally.first_failure(event), first)
            tally.pending, tally.pending_count = [], 0
            self._told_failures = monotonic()
        elif monotonic() - self._told_failures >= DIGEST_S:
            self._tell_failures(tally)

    def _message(self, event: Message) -> None:
        """Pass on what the flow says with ``sf.notify``; a flow that says very much is cut short."""
        if event.slug != "notify" or self._tally is None:
            return
        self._arm(self._tally)
        now = monotonic()
        if now - self._messages_since >= DIGEST_S:
            self._messages, self._messages_since = 0, now
        self._messages += 1
        names = [channel.name for channel in self._channels]
        if self._messages <= _MESSAGES:
            self._courier.carry(self._tally.message(event.text, event.html, event.images, event.level), names)
        elif self._messages == _MESSAGES + 1:
            text = f"more than {_MESSAGES} messages within a minute; those that follow are not sent"
            self._courier.carry(self._tally.message(text, "", (), "warning"), names)

    def _stopping(self, _event: RunStopping) -> None:
        self._courier.carry_when_lost(None, [])  # whatever comes now, somebody wanted it

    def _ended(self, event: RunEnded) -> None:
        tally = self._tally
        if tally is None:
            return
        if tally.pending_count:
            self._tell_failures(tally, unless="end")
        counts = event.counts
        if event.status != "succeeded" or counts.ran or counts.failed:  # all up to date: nothing to tell
            self._tell(tally.end(event))

    # --- telling ------------------------------------------------------------------------------

    def _moved(self) -> None:
        self._progress = time()
        self._told_stalled.clear()

    def _tell_failures(self, tally: Tally, unless: str = "") -> None:
        names = [channel.name for channel in self._channels if "failure" in channel.on and unless not in channel.on]
        self._courier.carry(tally.failures(), names)
        self._told_failures = monotonic()

    def _tell(self, note: Note) -> None:
        self._courier.carry(note, [channel.name for channel in self._channels if note.event in channel.on])

    def _complain(self) -> None:
        for text in self._courier.complaints():
            self._say("warning", "notify-failed", text)
