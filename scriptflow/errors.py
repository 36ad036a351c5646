"""The whole exception tree, cut by what the caller can do about it.

Each error keeps its parts apart (what happened, why, what to do, where), so
that screen, page and store lay them out each in its own way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Place:
    """A line of the user's own file: ``file``, ``line`` (from 1), ``column`` (from 1, 0 when unknown), ``text``."""

    __slots__ = ("column", "file", "line", "text")

    def __init__(self, file: str, line: int, *, column: int = 0, text: str = "") -> None:
        self.file = file
        self.line = line
        self.column = column
        self.text = text

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


class ScriptflowError(Exception):
    """Base of every error of scriptflow.

    Args:
        what: one sentence, lower case, no final stop: what happened.
        why: facts that explain it, one string each (printed as ``note:`` lines).
        do: the next step, runnable when there is one (printed as ``help:``).
        place: the line of the user's file it is about.

    Attributes:
        slug: stable name of the error's kind; ``scriptflow explain SLUG`` has the long text.
        exits_with: what the command line exits with when this error ends it.
    """

    slug = "error"
    exits_with = 2

    def __init__(self, what: str, *, why: str | Sequence[str] = (), do: str = "", place: Place | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = (why,) if isinstance(why, str) else tuple(why)
        self.do = do
        self.place = place

    def __str__(self) -> str:
        parts = [self.what]
        if self.place is not None:
            parts.append(f"({self.place})")
        parts.extend(f"note: {fact}" for fact in self.why)
        if self.do:
            parts.append(f"help: {self.do}")
        return parts[0] if len(parts) == 1 else "\n  ".join(parts)


# --- wrong use: nothing was started, nothing was written (exit 2) ---------------------------------


class UsageError(ScriptflowError):
    """The command, the flow file or the settings cannot be used as they are."""

    slug = "usage"


class NoFlowFile(UsageError):
    """No flow file here or in a parent folder."""

    slug = "no-flow-file"


class FlowNotFound(UsageError):
    """The flow file has no flow of that name."""

    slug = "flow-not-found"


class FlowAmbiguous(UsageError):
    """Several flows, and none was named."""

    slug = "flow-ambiguous"


class FlowSyntax(UsageError):
    """The flow file is not Python."""

    slug = "flow-syntax"


class FlowImport(UsageError):
    """The flow file raised an exception while it was imported."""

    slug = "flow-import"


class FlowNotAsync(UsageError):
    """A flow is a plain function."""

    slug = "flow-not-async"


class ParameterError(UsageError):
    """A flow's parameter is missing, unknown or of the wrong type."""

    slug = "param-type"


class SettingsError(UsageError):
    """A settings key is unknown, or its value is of the wrong kind."""

    slug = "settings-key"


class UnitError(SettingsError, ValueError):
    """A size or a time is not written in a form we know."""

    slug = "unit"


class PluginError(UsageError):
    """A plug-in is unknown, cannot be loaded, or is there twice."""

    slug = "plugin"


class NotFound(UsageError):
    """No run, task or file of that name in the store."""

    slug = "not-found"


class ArchiveError(UsageError):
    """An archive of a run is damaged, or is not what it says."""

    slug = "archive"


class NoLiveRun(UsageError):
    """No head is at work in the run store, so there is nobody to ask."""

    slug = "no-live-run"


# --- the graph of tasks ---------------------------------------------------------------------------


class TaskError(ScriptflowError):
    """A task is declared in a way that cannot work."""

    slug = "task"


class TaskFrozen(TaskError):
    """A task was changed after it had been sent; ``.copy()`` gives an editable twin."""

    slug = "task-frozen"


class DuplicateOutput(TaskError):
    """Two different tasks claim one output."""

    slug = "output-conflict"


class DuplicateTask(TaskError):
    """Two different tasks have one name."""

    slug = "duplicate-task"


class Cycle(TaskError):
    """Tasks need each other's outputs in a loop."""

    slug = "cycle"


class InputMissing(TaskError):
    """An input does not exist and no task makes it."""

    slug = "missing-input"


class ResourcesImpossible(TaskError):
    """A task asks for more than any executor has."""

    slug = "resources"


# --- failures of work (exit 1) --------------------------------------------------------------------


class TaskFailed(ScriptflowError):
    """A task failed.

    Attributes:
        task: its name.
        command: its command as one line.
        exit_code: exit code of the last job, None when a signal ended it or it never started.
        signal: number of the signal that ended it, or None.
        cause: one of the words of ``core.states.Cause``.
        log: path of the last job's log, or None.
        tail: the last lines of that log, 20 at most.
    """

    slug = "task-failed"
    exits_with = 1

    def __init__(
        self,
        what: str,
        *,
        task: str,
        command: str = "",
        exit_code: int | None = None,
        signal: int | None = None,
        cause: str | None = None,
        log: str | None = None,
        tail: Sequence[str] = (),
        why: str | Sequence[str] = (),
        do: str = "",
        place: Place | None = None,
    ) -> None:
        super().__init__(what, why=why, do=do, place=place)
        self.task = task
        self.command = command
        self.exit_code = exit_code
        self.signal = signal
        self.cause = cause
        self.log = log
        self.tail = tuple(tail)


class OutputMissing(TaskFailed):
    """A task's command ended well but left a declared output out."""

    slug = "output-missing"


class CommandNotFound(TaskFailed):
    """A task's program is not on PATH."""

    slug = "command-not-found"


class UpstreamFailed(TaskFailed):
    """A task was not started because one that it needs failed."""

    slug = "upstream-failed"


class TaskCancelled(TaskFailed):
    """A task was stopped, or never started, because the run was stopped."""

    slug = "task-cancelled"


class ValueLost(ScriptflowError):
    """The stored value of a function task cannot be read back."""

    slug = "value-lost"
    exits_with = 1


class UnknownValue(ScriptflowError):
    """A plan came to a line that uses a value which only a run can give."""

    slug = "unknown-value"
    exits_with = 1


class TasksFailed(ScriptflowError):
    """Several tasks of one bag failed; ``failures`` lists each."""

    slug = "tasks-failed"
    exits_with = 1

    def __init__(self, failures: Sequence[ScriptflowError]) -> None:
        self.failures = tuple(failures)
        first = ", ".join(str(getattr(failure, "task", failure.what)) for failure in self.failures[:5])
        rest = len(self.failures) - 5
        super().__init__(
            f"{len(self.failures)} tasks failed: {first}" + (f" and {rest} more" if rest > 0 else ""),
            why=[failure.what for failure in self.failures[:5]],
            do="scriptflow logs",
        )


# --- the world around us --------------------------------------------------------------------------


class ExecutorError(ScriptflowError):
    """An executor cannot do what was asked."""

    slug = "executor"
    exits_with = 1


class StoreError(ScriptflowError):
    """The run store cannot be used."""

    slug = "store"
    exits_with = 1


class StoreBusy(StoreError):
    """A live head holds the run store."""

    slug = "store-locked"
    exits_with = 75


class StoreNewer(StoreError):
    """The run store was written by a newer scriptflow."""

    slug = "store-newer"
    exits_with = 2


class StoreDamaged(StoreError):
    """The run store's file is damaged or is no store at all."""

    slug = "store-damaged"
    exits_with = 2


class StoreUnwritable(StoreError):
    """The run store cannot be written: read-only folder, no permission, disk full."""

    slug = "store-unwritable"
    exits_with = 2


class StoreLost(StoreError):
    """Another head took the store over while this one was paused."""

    slug = "store-lost"
    exits_with = 75


class NoAnswer(ScriptflowError):
    """A live head did not answer a request in time."""

    slug = "no-answer"
    exits_with = 1


class RequestRefused(ScriptflowError):
    """A live head cannot do what it was asked."""

    slug = "request-refused"
    exits_with = 1


class InternalError(ScriptflowError):
    """A bug of ours, not of the flow."""

    slug = "internal"
    exits_with = 70
