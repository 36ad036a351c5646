"""Frozen records of what happened, in the order it happened; the one stream that screen, web and notifiers read."""

from __future__ import annotations

from scriptflow.core.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.job import JobReport
    from scriptflow.core.records import RunCounts
    from scriptflow.errors import Place


@frozen
class Event:
    """Base of all events; ``at`` is seconds since the epoch (UTC)."""

    at: float


@frozen
class RunStarted(Event):
    """A run began. ``store`` is the run store's folder."""

    run: str
    flow: str
    store: str
    resumed: str = ""
    """One sentence when a run that was cut short is picked up, else empty."""


@frozen
class TasksSkipped(Event):
    """So many more tasks are up to date; ``names`` is filled only when a listener wants detail."""

    count: int
    names: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()


@frozen
class TaskQueued(Event):
    """A task must run and waits for room; ``reasons`` are (code, detail) pairs, all of them."""

    task: str
    group: str
    reasons: tuple[tuple[str, str], ...]


@frozen
class JobStarted(Event):
    """A job was handed to an executor; ``command`` is filled only when a listener wants detail."""

    task: str
    group: str
    job: int
    attempt: int
    executor: str
    command: str
    log: str
    reasons: tuple[tuple[str, str], ...]


@frozen
class JobRetried(Event):
    """A job failed and its task will be tried again in ``delay_s`` seconds."""

    task: str
    group: str
    job: int
    attempt: int
    attempts: int
    delay_s: float
    report: JobReport


@frozen
class TaskEnded(Event):
    """A task that had to run is settled: ``state`` is ``succeeded``, ``failed`` or ``cancelled``.

    ``seconds`` is the last job's own time, 0 when none began. For a failure ``message`` is one sentence,
    ``tail`` the end of the log (20 lines at most), ``notes`` and ``help`` the parts of the error.
    """

    task: str
    group: str
    state: str
    job: int | None
    attempt: int
    attempts: int
    seconds: float
    report: JobReport | None
    log: str | None
    reasons: tuple[tuple[str, str], ...] = ()
    message: str = ""
    slug: str = ""
    tail: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""
    place: Place | None = None
    """The line of the user's file that made the task, when known."""


@frozen
class Progress(Event):
    """How many tasks are declared so far, by group; sent when a bag grows or begins.

    ``final`` says that the flow function has returned, so no more can come.
    """

    group: str
    declared: int
    final: bool = False


@frozen
class Message(Event):
    """A sentence for the user: ``level`` is ``note`` or ``warning``; ``html`` and ``images`` are of ``sf.notify``."""

    level: str
    slug: str
    text: str
    notes: tuple[str, ...] = ()
    help: str = ""
    html: str = ""
    images: tuple[str, ...] = ()


@frozen
class RunStopping(Event):
    """The run was asked to stop (by ``signal`` name); ``running`` jobs were told to end."""

    signal: str
    running: int


@frozen
class RunEnded(Event):
    """A run ended; ``status`` is a word of ``RunState``."""

    run: str
    flow: str
    status: str
    seconds: float
    counts: RunCounts
    message: str = ""
