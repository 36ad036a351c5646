"""What a run is asked for beyond its settings, and how a run or a plan came out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from scriptflow.core.records import RunCounts
    from scriptflow.core.states import RunState


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


class Plan:
    """What a run would do.

    Attributes:
        flow: the flow's name.
        would_run: the tasks that would run, in order.
        up_to_date: how many tasks would not.
        complete: False where the flow reads something that only a real run could give.
        stopped_at: the place where a plan that is not complete ends, and why, else empty.
    """

    def __init__(self, flow: str, would_run: Sequence[PlannedTask], up_to_date: int, stopped_at: str) -> None:
        self.flow = flow
        self.would_run = tuple(would_run)
        self.up_to_date = up_to_date
        self.complete = not stopped_at
        self.stopped_at = stopped_at
