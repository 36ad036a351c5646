"""What a run is asked for beyond its settings, and how a run or a plan came out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from scriptflow.core.records import JobRecord, RunCounts, Seen
    from scriptflow.core.states import RunState
    from scriptflow.errors import Place


class RunOptions:
    """What was asked of one run, beyond settings and parameters."""

    __slots__ = ("argv", "done", "executor", "force", "name", "only", "tags", "until")

    def __init__(
        self,
        *,
        force: tuple[str, ...] = (),
        only: tuple[str, ...] = (),
        until: tuple[str, ...] = (),
        done: frozenset[str] = frozenset(),
        name: str | None = None,
        tags: tuple[str, ...] = (),
        executor: str | None = None,
        argv: tuple[str, ...] = (),
    ) -> None:
        self.force = force
        self.only = only
        self.until = until
        self.done = done
        self.name = name
        self.tags = tags
        self.executor = executor
        self.argv = argv


class Failure:
    """A failed task in a result: ``task``, ``exit_code``, ``cause``, ``log``, ``message``."""

    __slots__ = ("cause", "exit_code", "log", "message", "task")

    def __init__(self, task: str, exit_code: int | None, cause: str | None, log: str | None, message: str) -> None:
        self.task = task
        self.exit_code = exit_code
        self.cause = cause
        self.log = log
        self.message = message


class RunResult:
    """How a run went.

    Attributes:
        run: its name, ``demo-7``.
        flow: the flow's name.
        status: a word of ``RunState``.
        ran, skipped, failed, cancelled: numbers of tasks.
        seconds: wall time.
        failures: one ``Failure`` for each failed task.
        error: what ended the flow, None when it returned.
        exit_code: what the command line exits with.
    """

    def __init__(self, *, run: str, flow: str, status: RunState, value: object, error: BaseException | None,
                 counts: RunCounts, seconds: float, failures: Sequence[Failure], exit_code: int,
                 ) -> None:  # fmt: skip
        self.run = run
        self.flow = flow
        self.status = status
        self.ran, self.skipped, self.failed, self.cancelled = (
            counts.ran,
            counts.skipped,
            counts.failed,
            counts.cancelled,
        )
        self.seconds = seconds
        self.failures = tuple(failures)
        self.error = error
        self.exit_code = exit_code
        self._value = value

    @property
    def value(self) -> Any:  # noqa: ANN401
        """What the flow returned.

        Raises:
            ScriptflowError: the error that ended the flow.
        """
        if self.error is not None:
            raise self.error
        return self._value

    def __repr__(self) -> str:
        counts = f"ran={self.ran}, skipped={self.skipped}, failed={self.failed}, cancelled={self.cancelled}"
        return f"RunResult({self.run}: {self.status}, {counts}, seconds={self.seconds:.1f})"


class PlannedTask:
    """A task that would run: its name ``task`` and all ``reasons`` as (code, detail)."""

    __slots__ = ("reasons", "task")

    def __init__(self, task: str, reasons: tuple[tuple[str, str], ...]) -> None:
        self.task = task
        self.reasons = reasons


class DeclaredTask:
    """A task of a planned flow: its name ``task``, its ``group``, the names it ``needs``, and its ``state``.

    The state is ``would run``, ``up to date``, or ``waiting`` where the plan did not come to it.
    """

    __slots__ = ("group", "needs", "state", "task")

    def __init__(self, task: str, group: str, state: str, needs: tuple[str, ...]) -> None:
        self.task = task
        self.group = group
        self.state = state
        self.needs = needs


class Plan:
    """What a run would do.

    Attributes:
        flow: the flow's name.
        would_run: the tasks that would run, in order.
        up_to_date: how many tasks would not.
        complete: False where the flow reads something that only a real run could give.
        stopped_at: the place where a plan that is not complete ends to be certain, and why, else empty.
        certain: how many of the tasks that would run come before that place.
    """

    def __init__(
        self, flow: str, would_run: Sequence[PlannedTask], up_to_date: int, stopped_at: str, certain: int
    ) -> None:
        self.flow = flow
        self.would_run = tuple(would_run)
        self.up_to_date = up_to_date
        self.complete = not stopped_at
        self.stopped_at = stopped_at
        self.certain = certain


class Explained:
    """Why one task would run, or what makes it up to date.

    Attributes:
        task: its name.
        run: whether it would run.
        reasons: all of them, as (code, detail).
        last: the record of the job it is compared with, None when there is none.
        manifest: what it is now.
        files: its inputs and outputs as they are now.
        place: the line that made it.
        by_content: whether content decides where stats differ.
        content: returns the hash of a file as it is now.
        upstream: the tasks right before it that would run too.
        executor: the one it names, None where any will do.
        retries: how many more jobs it may have after a failed one.
        code: the code of its function as it is now, "" where it has none.
    """

    def __init__(
        self, *, task: str, run: bool, reasons: tuple[tuple[str, str], ...], last: JobRecord | None, manifest: str,
        files: Sequence[Seen], place: Place | None, by_content: bool, content: Callable[[Seen], str | None],
        upstream: Sequence[str] = (), executor: str | None = None, retries: int = 0, code: str = "",
    ) -> None:  # fmt: skip
        self.task = task
        self.run = run
        self.reasons = reasons
        self.last = last
        self.manifest = manifest
        self.files = tuple(files)
        self.place = place
        self.by_content = by_content
        self.content = content
        self.upstream = tuple(upstream)
        self.executor = executor
        self.retries = retries
        self.code = code
