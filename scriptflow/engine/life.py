"""The life of one task that must run, or cannot: decided in full, begun, checked after its end, tried again.

Knows its task, its head and records. Knows nothing of how executors run jobs or how the store keeps rows.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from scriptflow.core.command import paths_out
from scriptflow.core.files import mark_of
from scriptflow.core.fingerprint import digest
from scriptflow.core.frozen import changed
from scriptflow.core.logs import log_path
from scriptflow.core.machine import host_name
from scriptflow.core.paths import Directory, Glob
from scriptflow.core.records import JobEnd, JobStart, Seen
from scriptflow.core.states import (
    CANCELLED,
    FAILED,
    NEW,
    QUEUED,
    SETTLED,
    SKIPPED,
    SUBMITTED,
    SUCCEEDED,
    WAITING,
    Cause,
    JobState,
)  # fmt: skip
from scriptflow.core.units import seconds_of
from scriptflow.engine import outputs as files_out
from scriptflow.engine.asked import refuse_outputs, resources_of
from scriptflow.engine.hashing import NEVER_EQUAL, SMALL_BYTES, is_coarse, signature_of
from scriptflow.engine.making import job_of
from scriptflow.engine.results import call_hook, pick
from scriptflow.engine.story import error_of, failure_of, in_short
from scriptflow.engine.verdict import look, reasons_of, refuse_missing
from scriptflow.errors import (
    InternalError,
    ScriptflowError,
    TaskCancelled,
    UpstreamFailed,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scriptflow.core.freshness import Reason
    from scriptflow.core.job import Job, JobReport
    from scriptflow.core.states import TaskState
    from scriptflow.core.task import Task
    from scriptflow.engine.head import Head
    from scriptflow.engine.pools import Pool


_SOON_S = 1.0


class Life:
    """One task that could not be skipped at once."""

    __slots__ = (
        "aside", "asked", "attempt", "failure", "gpus", "group", "head", "inputs", "job", "key", "looked_at", "makers",
        "manifest", "name", "outputs", "place", "pool", "preempted", "ready", "reasons", "report", "task", "unhashed",
    )  # fmt: skip

    def __init__(self, head: Head, task: Task) -> None:
        self.head = head
        self.task = task
        self.name = str(task.name)
        self.group = task._group
        self.attempt = self.preempted = 0
        self.place = 0
        self.ready = False
        self.reasons: tuple[Reason, ...] = ()
        self.makers: dict[str, str] = {}
        self.inputs: tuple[Seen, ...] = ()
        self.outputs: tuple[str, ...] = ()
        self.manifest = ""
        self.looked_at = 0.0
        self.failure: ScriptflowError | None = None
        self.unhashed: list[Seen] | None = []
        self.attempt = 0
        self.place = 0
        self.ready = False
        self.job: Job | None = None
        self.pool: Pool | None = None
        self.gpus: tuple[str, ...] = ()
        self.report: JobReport | None = None
        self.aside: tuple[str, ...] = ()
        task._life = self

    def error(self) -> ScriptflowError:
        """Return what an await of the failed or cancelled task raises."""
        assert self.failure is not None  # noqa: S101 (only called on a task that did not end well)
        return self.failure

    # --- deciding -------------------------------------------------------------------------------

    def judge(self, changed: Sequence[Task]) -> None:
        """Decide the task in full; ``changed`` are the tasks before it that were not simply up to date."""
        for up in changed:
            if up._state in (FAILED, CANCELLED):
                self._upstream_failed(up)
                return
        try:
            look(self, changed)
            refuse_missing(self)
            refuse_outputs(self.task, [seen.path for seen in self.inputs], self.outputs)
            self.asked = resources_of(self.task)
        except ScriptflowError as error:
            self.fail(error)
        except Exception as bug:  # noqa: BLE001 (whatever it is, the task must end and be told)
            self.fail(InternalError(f"{type(bug).__name__}: {bug}"))
        else:
            self.decide()

    def decide(self) -> None:
        """Skip the task or queue it; where large files must be hashed first, that is done off the loop."""
        head, task = self.head, self.task
        if task._state in SETTLED:  # called off while files were hashed
            return
        try:
            self.reasons = reasons_of(self)
            if self.unhashed:
                if task._state is NEW:
                    head.move(task, WAITING)
                large, self.unhashed = self.unhashed, None
                head.dispatcher.hash_first(self, large)
                return
        except ScriptflowError as error:
            self.fail(error)
            return
        except Exception as bug:  # noqa: BLE001 (as above)
            self.fail(InternalError(f"{type(bug).__name__}: {bug}"))
            return
        if not self.reasons:
            head.settle(task, SKIPPED)
            task._life = None
            return
        head.move(task, QUEUED)
        head.dispatcher.queue(self)

    @property
    def by_content(self) -> bool:
        """Whether the content of files decides where their stats differ."""
        return (self.task.get("check") or self.head.settings.check) == "content"

    def is_small(self, seen: Seen) -> bool:
        """Whether a file is hashed for the record."""
        if self.by_content or seen.ctime_ns < 0:
            return self.by_content  # a folder can be of any size, and its listing is recorded anyhow
        wanted = self.head.settings.hash
        return wanted == "all" or (wanted == "small" and seen.size <= SMALL_BYTES)

    # --- beginning ------------------------------------------------------------------------------

    def begin(
        self, pool: Pool, gpus: tuple[str, ...], number: int, run: str, run_id: int, store_folder: str
    ) -> JobStart:
        """Make the next job; its inputs are looked at once more, just before the start.

        Raises:
            ScriptflowError: the command cannot be made, or an input is gone.
        """
        head, task = self.head, self.task
        self.pool, self.gpus = pool, gpus
        self.attempt += 1
        now = time()
        if now - self.looked_at > _SOON_S:
            # What was seen earlier is still from before the start; it is only likelier to be changed by now.
            self.inputs = tuple([head.files.seen(seen.path, "in") for seen in self.inputs])
            refuse_missing(self)
        self.key = digest(self.manifest)
        # Two tasks without a name and outputs are both called by their program, and must not share a log.
        unnamed = task._name is None and not task._outputs
        log = log_path(store_folder, run, f"{self.name}-{self.key[:8]}" if unnamed else self.name, self.attempt)
        self.job = job_of(self, number, run, log)
        self.ready = False
        call_hook(self, "on_start")
        head.move(task, SUBMITTED)
        return JobStart(
            job=number, run=run_id, task=self.name, key=self.key, manifest=self.manifest, attempt=self.attempt,
            executor=pool.name, started=now, log=log, reasons=self.reason_pairs(), inputs=self.inputs,
            outputs=self.outputs, labels=self._labels(), group=self.group, cpus=self.asked.cpus,
            memory_bytes=self.asked.memory_bytes, gpus=self.asked.gpus,
        )  # fmt: skip

    def _hash_young(self) -> None:
        """Hash the inputs as young as the clock's tick: their times cannot tell a later edit."""
        head, job = self.head, self.job
        assert job is not None and head.store is not None  # noqa: S101 (begun)
        inputs, found = list(self.inputs), []
        for at, seen in enumerate(inputs):
            if seen.racy and seen.path not in self.makers and self.is_small(seen):
                digest = head.hashes.of(seen)
                if digest is not None:
                    inputs[at] = changed(seen, sha256=digest)
                    found.append((job.number, seen.path, "in", digest))
        if found:
            head.store.hashed(found)
        self.inputs = tuple(inputs)

    def make_ready(self) -> None:
        """Make folders and markers, hash young inputs; called off the loop, after the start is recorded.

        Raises:
            OSError: an output's folder cannot be written.
        """
        assert self.job is not None  # noqa: S101 (begun)
        head = self.head
        folders = [head.files.absolute(path) for path in self.outputs if isinstance(path, Directory)]
        self._hash_young()
        self.ready = True
        in_place = bool(self.task.get("update_in_place"))
        files_out.set_aside(self.job.outputs, in_place=in_place, folders=folders, blank=head.dispatcher.blank)

    # --- ending ---------------------------------------------------------------------------------

    def ended(self, report: JobReport) -> None:
        """Check the outputs, record the end, then tell it; or try again."""
        head, task, job = self.head, self.task, self.job
        assert job is not None  # noqa: S101 (it ended, so it began)
        seen: tuple[Seen, ...] = ()
        if report.state == JobState.SUCCEEDED:
            seen, report = self._check_outputs(report)
        self.report = report
        good = report.state == JobState.SUCCEEDED
        keep = task.get("keep_partial")
        if not good and self.ready:
            keep = head.settings.keep_partial if keep is None else keep
            if report.began is None and report.exit_code is not None:
                # It never began, so nothing of it can lie there. (A lost job may have: it has no exit code.)
                files_out.put_back(job.outputs)
            elif not task.get("update_in_place"):
                self.aside = files_out.discard(job.outputs, keep_partial=bool(keep))
        head.files.forget(self.outputs)
        assert head.store is not None  # noqa: S101 (only a head that keeps records runs jobs)
        head.store.ended(
            JobEnd(
                job=job.number, state=report.state, began=report.began, ended=report.ended or time(),
                exit_code=report.exit_code, signal=report.signal, cause=report.cause,
                max_rss_bytes=report.max_rss_bytes, cpu_s=report.cpu_s, host=report.host or host_name(), pid=report.pid,
                detail=in_short(report), signature=self._signature(seen) if good else 0, outputs=seen,
            ),
            self._then(job.outputs if good else (), head.tell.hold(head)),
        )  # fmt: skip
        pick(head, task, job.number, job.log)
        if good:
            head.dispatcher.beside.hash(job.number, [one for one in (*self.inputs, *seen) if self.is_small(one)])
            self._warn_of_changed_inputs()
            self._settle(SUCCEEDED)
            call_hook(self, "on_success")
        elif report.state == JobState.CANCELLED:
            self.failure = error_of(self, TaskCancelled, f"task {self.name} was stopped")
            self._settle(CANCELLED)
        elif self._may_try_again(report):
            self._try_again(report)
        else:
            self.failure = failure_of(self, report)
            call_hook(self, "on_failure", self.failure)
            self._settle(FAILED)

    @staticmethod
    def _then(outputs: tuple[str, ...], tell: Callable[[], None] | None) -> Callable[[], None]:
        """Return what follows once the end is on the disk, on the store's thread."""

        def recorded() -> None:
            files_out.clear_markers(outputs)
            if tell is not None:
                tell()

        return recorded

    def _check_outputs(self, report: JobReport) -> tuple[tuple[Seen, ...], JobReport]:
        head, task = self.head, self.task
        if any(isinstance(item, Glob) for item in task._outputs):
            self.outputs = paths_out(task, head.folder)
        seen = tuple([head.files.seen(path, "out") for path in self.outputs])
        missing = [one.path for one in seen if one.size < 0]
        if not self.outputs and task._outputs:
            missing = [item.pattern for item in task._outputs if isinstance(item, Glob)]
        if not missing:
            return seen, report
        detail = f"it left no {', '.join(missing[:5])}" + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        return (), changed(report, state=JobState.FAILED, cause=Cause.OUTPUT_MISSING, detail=detail)

    def _signature(self, seen: tuple[Seen, ...]) -> int:
        """Return the number that a later check compares first; 0 where each file must be looked at."""
        if any(one.racy and one.path not in self.makers for one in self.inputs) or any(map(is_coarse, seen)):
            return 0
        marks = self.head.files
        for one in seen:
            marks.marks[one.path] = mark_of(one)
        return signature_of((*self.inputs, *seen))

    def _warn_of_changed_inputs(self) -> None:
        changed = [
            before.path
            for before in self.inputs
            if mark_of(before) != self.head.files.mark(before.path) and before.path not in self.outputs
        ]
        if changed and self.job is not None and self.head.store is not None:
            # They may have got the same size and time again, and then only a hash can say that they are other files.
            self.head.store.hashed([(self.job.number, path, "in", NEVER_EQUAL) for path in changed])
            self.head.tell.warn(
                "input-changed-while-running",
                f"{changed[0]} changed while {self.name} ran: its result is out of date already",
                do="scriptflow run makes it again",
            )

    @property
    def retries(self) -> int:  # noqa: D102 (the word says it)
        return int(self.task.get("retries") or self.head.settings.retries) + self.preempted

    def _may_try_again(self, report: JobReport) -> bool:
        self.preempted += report.cause is Cause.PREEMPTED  # making room for others is no failure: it costs no try
        hopeless = report.exit_code == 127 and not self.task.get("shell") and report.began is None
        return self.attempt <= self.retries and not hopeless and not self.head.dispatcher.stopping

    def _try_again(self, report: JobReport) -> None:
        import random

        delay = seconds_of(self.task.get("retry_delay") or self.head.settings.retry_delay) * 2 ** (self.attempt - 1)
        delay *= random.uniform(1.0, 1.25)  # noqa: S311 (jitter, so that retries do not come in step)
        self.head.tell.retried(self, delay, report)
        call_hook(self, "on_retry", failure_of(self, report))
        self.head.move(self.task, QUEUED)
        self.head.dispatcher.queue_later(self, delay)

    # --- ends that are not good -----------------------------------------------------------------

    def fail(self, error: ScriptflowError) -> None:
        """End the task with an error before, or without, a job; nothing when it has ended."""
        if self.task._state in SETTLED:
            return
        self.failure = error
        self._settle(FAILED)

    def cancel(self, why: str) -> None:
        """End a task that was never started, or waits for another try."""
        self.failure = error_of(self, TaskCancelled, f"task {self.name} was not started", why=why)
        self._settle(CANCELLED)

    def leave(self, why: str) -> None:
        """End a task whose job goes on without this head; its record stays open, for the next run to join."""
        self.failure = error_of(self, TaskCancelled, f"task {self.name} goes on without this run", why=why)
        self._settle(CANCELLED)

    def _upstream_failed(self, up: Task) -> None:
        life = up._life
        cause = life.error().what if life is not None else f"{up.name} failed"
        self.failure = error_of(
            self, UpstreamFailed, f"task {self.name} was not started: it needs {up.name}", why=cause
        )
        self._settle(CANCELLED)

    def _settle(self, state: TaskState) -> None:
        """Wake who waits: the record was handed to the store before. The end is told once that is on the disk."""
        self.head.dispatcher.count(self, state)
        self.head.tell.ended(self, state)
        self.head.settle(self.task, state)

    def reason_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the reasons as plain pairs."""
        return tuple([(reason.code, reason.detail) for reason in self.reasons])

    def _labels(self) -> dict[str, str]:
        given = {**(self.task.get("labels") or {}), **(self.task.get("props") or {})}
        return {str(key): str(value) for key, value in given.items()}
