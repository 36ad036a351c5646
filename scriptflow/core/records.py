"""Rows as the store takes them and gives them back."""

from __future__ import annotations

from scriptflow.core.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from scriptflow.core.states import Cause, JobState, RunState

NOTHING: Mapping[str, str] = {}


@frozen
class Seen:
    """A file as it was looked at once: ``role`` is ``in`` or ``out``; times in ns since the epoch.

    A missing file has ``size`` -1. ``racy`` says that the file was younger than its file system's tick.
    For a directory, ``size`` is the number of files in it, ``mtime_ns`` their newest time, ``ctime_ns`` (below 0) a
    digest of the sorted names and sizes, and ``inode`` one of names, sizes and times.
    """

    path: str
    role: str
    size: int
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0
    sha256: str | None = None
    racy: bool = False


@frozen
class JobStart:
    """What is committed before a job exists."""

    job: int
    run: int
    task: str
    key: str
    manifest: str
    attempt: int
    executor: str
    started: float
    log: str
    reasons: tuple[tuple[str, str], ...]
    inputs: tuple[Seen, ...]
    outputs: tuple[str, ...]
    labels: Mapping[str, str] = NOTHING
    group: str = ""
    cpus: int = 1
    memory_bytes: int | None = None
    gpus: int = 0


@frozen
class JobEnd:
    """What is written when a job has ended and its outputs were checked."""

    job: int
    state: JobState
    began: float | None
    ended: float
    exit_code: int | None
    signal: int | None
    cause: Cause | None
    max_rss_bytes: int | None
    cpu_s: float | None
    host: str
    pid: int | None
    detail: str
    signature: int
    outputs: tuple[Seen, ...]


class Latest:
    """What the decision needs to know of the job that last made an output, in few bytes.

    ``signature`` is one number for the recorded stats of all inputs and outputs, 0 when they must be
    looked at one by one; ``ok`` says that the job ended well.
    """

    __slots__ = ("job", "manifest", "ok", "signature")

    def __init__(self, manifest: str, signature: int, job: int, ok: bool) -> None:
        self.manifest = manifest
        self.signature = signature
        self.job = job
        self.ok = ok


@frozen
class JobRecord:
    """One job, read back. Times are seconds since the epoch (UTC); ``ended`` None = never recorded."""

    job: int
    run: str
    task: str
    key: str
    manifest: str
    attempt: int
    executor: str
    executor_id: str | None
    state: JobState
    started: float
    began: float | None
    ended: float | None
    exit_code: int | None
    signal: int | None
    cause: Cause | None
    max_rss_bytes: int | None
    cpu_s: float | None
    host: str
    pid: int | None
    log: str
    detail: str
    group: str
    reasons: tuple[tuple[str, str], ...] = ()
    files: tuple[Seen, ...] = ()
    values: tuple[tuple[str, str, str], ...] = ()  # (name, kind, body): what was picked out of the log
    cpus: int = 1
    memory_bytes: int | None = None
    gpus: int = 0


@frozen
class RunStart:
    """What is known of a run when it begins."""

    flow: str
    name: str | None
    tags: tuple[str, ...]
    params: Mapping[str, object]
    argv: tuple[str, ...]
    started: float
    host: str
    user: str
    pid: int
    git: str
    python: str
    version: str


@frozen
class RunCounts:
    """How many tasks of a run are where; ``capacity`` is how many jobs may be in flight at once, 0 when unknown."""

    ran: int = 0
    skipped: int = 0
    failed: int = 0
    cancelled: int = 0
    queued: int = 0
    running: int = 0
    waiting: int = 0
    capacity: int = 0


@frozen
class RunRecord:
    """One run, read back: ``run`` is ``demo-7``."""

    id: int
    run: str
    name: str | None
    flow: str
    tags: tuple[str, ...]
    status: RunState
    started: float
    ended: float | None
    counts: RunCounts
    capacity: int
    host: str
    user: str
    pid: int
    git: str
    params: Mapping[str, object]
    argv: tuple[str, ...]
    message: str = ""
