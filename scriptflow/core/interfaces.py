"""The seams: what an executor, a store, a listener and a transport promise."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

from scriptflow.core.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Any

    from scriptflow.core.events import Event
    from scriptflow.core.files import Files
    from scriptflow.core.job import Job, JobId, JobReport, Resources
    from scriptflow.core.records import JobEnd, JobRecord, JobStart, Latest, RunCounts, RunStart
    from scriptflow.core.task import Task
    from scriptflow.errors import ScriptflowError


class Story(Protocol):
    """What a settled task keeps of its life."""

    def error(self) -> ScriptflowError:
        """Return what an await of a task that did not end well raises."""
        ...


class RunningHead(Protocol):
    """A head as a task sees it."""

    files: Files

    def send(self, task: Task) -> bool:
        """Take a task in and decide it if that is possible now; True when it is settled."""
        ...

    def wait(self, task: Task) -> Generator[Any, Any, None]:
        """Suspend the caller until the task is settled."""
        ...


@frozen
class Capabilities:
    """What an executor can do beyond running one job."""

    arrays: bool = False
    accounting: bool = False
    memory: bool = False
    gpus: bool = False
    walltime: bool = False
    reattaches: bool = False
    """Whether ``wait`` works in another process than the one that submitted."""


class Executor(Protocol):
    """Runs jobs somewhere.

    ``slots`` is how many jobs may be in flight at once.
    """

    slots: int
    capabilities: Capabilities

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def submit(self, job: Job) -> JobId:
        """Start ``job``; after a return it runs, or waits in a queue, exactly once.

        Also when an earlier answer was lost: look for run and key first, submit only when not found.
        """
        ...

    async def wait(self, job_id: JobId) -> JobReport:
        """Return how the job ended. May be cancelled and called again: that never touches the job."""
        ...

    async def cancel(self, job_id: JobId) -> None:
        """Ask the job to end; returns when the wish is delivered, not when the job is dead."""
        ...

    def fits(self, resources: Resources) -> bool:
        """Whether this executor could ever hold such a job."""
        ...


@runtime_checkable
class DirectExecutor(Protocol):
    """An executor whose jobs are cheaper than a coroutine each: the head calls it without awaiting."""

    def launch(self, jobs: Sequence[Job], ended: Callable[[Job, JobReport, bool], None]) -> None:
        """Start all ``jobs`` now; may be called on any thread.

        ``ended`` is called once for each job, on the loop's thread, with True when other ends may follow in the same
        turn of the loop. A job that cannot be started ends with a report too; nothing is raised.
        """
        ...

    def stop(self, numbers: Sequence[int], grace_s: float) -> None:
        """TERM to these jobs, KILL after ``grace_s`` (0: at once)."""
        ...


class Store(Protocol):
    """Keeps what happened. One head writes; writes are whole or absent and keep their order."""

    @property
    def folder(self) -> Path:
        """The store's own folder."""
        ...

    def begin_run(self, start: RunStart) -> tuple[int, str]:
        """Write the run's row; return its id and its name ``flow-n``."""
        ...

    def next_job(self) -> int:
        """Hand out a job number that was never used in this store."""
        ...

    def latest(self) -> dict[str, Latest]:
        """Map each recorded output (absolute path) to what its last job left; one query."""
        ...

    def job(self, number: int) -> JobRecord | None:
        """Read one job with its reasons and files."""
        ...

    def started(self, starts: Sequence[JobStart], then: Callable[[BaseException | None], None]) -> None:
        """Commit these rows, all in one transaction, then call ``then`` on the write thread."""
        ...

    def ended(self, end: JobEnd, then: Callable[[], None] | None = None) -> None:
        """Write the end of a job with the next group commit; ``then`` follows once it is on the disk."""
        ...

    def submitted(self, job: int, executor_id: str, state: str = "", reason: str = "") -> None:
        """Write the executor's own id of a job, and how it stands there and why, with the next group commit."""
        ...

    def hashed(self, files: Sequence[tuple[int, str, str, str]]) -> None:
        """Write hashes with the next group commit: each with its job, the file's path and its role."""
        ...

    def looked(self, job: int, outputs: Sequence[str], signature: int) -> None:
        """Write that a job's files were looked at one by one and are as it left them, so that a glance will do."""
        ...

    def values(self, job: int, rows: Sequence[tuple[str, str, str]]) -> None:
        """Write what a job gave besides files, as (name, kind, body), with the next group commit."""
        ...

    def progress(self, counts: RunCounts) -> None:
        """Write the run's counts with the next group commit."""
        ...

    def end_run(self, status: str, counts: RunCounts, message: str) -> None:
        """Close the run's row."""
        ...

    def flush(self) -> None:
        """Return when all that was written so far is on the disk."""
        ...

    def close(self) -> None:
        """Flush, and give the store free."""
        ...


class Listener(Protocol):
    """Hears every event, on the head's thread, in order. Must be quick, must not raise."""

    wants_names: bool
    """Whether events should carry the names of skipped tasks and the commands of jobs."""

    def hear(self, event: Event) -> None:
        """Take one event."""
        ...

    def close(self) -> None:
        """The run is over; say what is left to say."""
        ...


@frozen
class Completed:
    """How a command ran by a transport ended."""

    exit_code: int
    out: str
    err: str


class Transport(Protocol):
    """Runs a short command and moves files: on this machine, or on another over ssh."""

    async def run(self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None) -> Completed:
        """Run a command to its end. The caller sets the time limit."""
        ...

    async def put(self, local: Path, remote: str) -> None:
        """Copy a file there, whole or not at all; ConnectionError: the link broke."""
        ...

    async def get(self, remote: str, local: Path) -> None:
        """Copy a file here, whole or not at all."""
        ...
