"""The life of one task that must run, or cannot: decided in full, begun, checked after its end, tried again.

Knows its task, its head and records. Knows nothing of how executors run jobs or how the store keeps rows.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from scriptflow.core.command import argv_of, manifest_of, paths_in, paths_out
from scriptflow.core.files import mark_of
from scriptflow.core.fingerprint import digest
from scriptflow.core.freshness import MISSING, Reason, decide, in_order
from scriptflow.core.frozen import changed
from scriptflow.core.job import Job, JobReport
from scriptflow.core.logs import log_path
from scriptflow.core.machine import host_name
from scriptflow.core.paths import Directory, Glob
from scriptflow.core.records import JobEnd, JobRecord, JobStart, Seen
from scriptflow.core.states import (
    CANCELLED,
    FAILED,
    QUEUED,
    SETTLED,
    SKIPPED,
    SUBMITTED,
    SUCCEEDED,
    Cause,
    JobState,
)  # fmt: skip
from scriptflow.core.units import seconds_of
from scriptflow.engine import outputs as files_out
from scriptflow.engine.asked import refuse_outputs, resources_of
from scriptflow.engine.hashing import NEVER_EQUAL, SMALL_BYTES
from scriptflow.engine.story import error_of, failure_of, in_short, near_files
from scriptflow.errors import (
    InputMissing,
    InternalError,
    ScriptflowError,
    TaskCancelled,
    UpstreamFailed,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.states import TaskState
    from scriptflow.core.task import Task
    from scriptflow.engine.head import Head
    from scriptflow.engine.pools import Pool


_SOON_S = 1.0


class Life:
    """One task that could not be skipped at once."""

    __slots__ = (
        "aside", "asked", "attempt", "failure", "gpus", "group", "head", "inputs", "job", "key", "looked_at", "makers",
        "manifest", "name", "outputs", "place", "pool", "preempted", "ready", "reasons", "report", "task",
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
        self.job: Job | None = None
        self.pool: Pool | None = None
        self.gpus: tuple[str, ...] = ()
        self.report: JobReport | None = None
        self.aside: tuple[str, ...] = ()
        self.failure: ScriptflowError | None = None
        task._life = self

    def error(self) -> ScriptflowError:
        """Return what an await of the failed or cancelled task raises."""
        assert self.failure is not None  # noqa: S101 (only called on a task that did not end well)
        return self.failure

    # --- deciding -------------------------------------------------------------------------------

    def judge(self, changed: Sequence[Task]) -> None:
        """Decide the task in full; ``changed`` are the tasks before it that were not simply up to date."""
        head, task = self.head, self.task
        for up in changed:
            if up._state in (FAILED, CANCELLED):
                self._upstream_failed(up)
                return
        try:
            paths = self._input_paths()
            self.outputs = paths_out(task, head.folder)
            self.makers = {path: str(up.name) for up in changed for path in paths_out(up, head.folder)}
            self.manifest = manifest_of(task, paths, head.folder)
            self.looked_at = time()
            self.inputs = tuple([head.files.seen(path, "in") for path in paths])
            self._missing_inputs()
            refuse_outputs(task, paths, self.outputs)
            self.asked = resources_of(task)
            self.reasons = self._decide()
        except ScriptflowError as error:
            self.fail(error)
            return
        except Exception as bug:  # noqa: BLE001 (whatever it is, the task must end and be told)
            self.fail(InternalError(f"{type(bug).__name__}: {bug}"))
            return
        if not self.reasons:
            head.settle(task, SKIPPED)
            task._life = None
            return
        head.move(task, QUEUED)
        head.dispatcher.queue(self)

    def _decide(self) -> tuple[Reason, ...]:
        head, task = self.head, self.task
        last = self._last_job()
        outputs = [head.files.seen(path, "out") for path in self.outputs]
        unfinished: tuple[str, ...] = ()
        if last is None:
            unfinished = tuple([path for path in self.outputs if files_out.is_marked(head.files.absolute(path))])
        decision = decide(
            manifest=self.manifest,
            last=last,
            inputs=self.inputs,
            outputs=outputs,
            declares_outputs=bool(task._outputs),
            forced_by=head.selection.forced_by(task),
            makers=self.makers,
            unfinished=unfinished,
            by_content=(task.get("check") or head.settings.check) == "content",
            same_content=self._same_content,
        )
        reasons = decision.reasons
        if not self.outputs and task._outputs and not decision.run:
            patterns = ", ".join(item.pattern for item in task._outputs if isinstance(item, Glob))
            return (Reason("output-missing", f"nothing matches {patterns}"),)
        if not reasons and last is not None and not any(seen.racy for seen in self.inputs):
            head.dispatcher.looked(last.job, self.outputs, _signature((*self.inputs, *outputs)))
        planned = head.dispatcher.extra_reasons(self)
        return in_order((*planned, *[reason for reason in reasons if not planned or reason.code != "upstream"]))

    def _input_paths(self) -> tuple[str, ...]:
        """Return the inputs' paths; of a glob what matches now, and in a plan what will."""
        paths = paths_in(self.task, self.head.folder)
        globs = [item.pattern for item in self.task._inputs if isinstance(item, Glob)]
        planned = [path for pattern in globs for path in self.head.dispatcher.planned_files(pattern)]
        return (*paths, *sorted({path for path in planned if path not in paths})) if planned else paths

    def _last_job(self) -> JobRecord | None:
        head = self.head
        for path in self.outputs or ("\0" + digest(self.manifest),):
            latest = head.latest.get(path)
            if latest is not None and head.store is not None:
                return head.store.job(latest.job)
        return None

    def _same_content(self, before: Seen, now: Seen) -> bool | None:
        if before.sha256 is None:
            return None
        return self.head.files.sha256(now.path) == before.sha256

    def _missing_inputs(self) -> None:
        for seen in self.inputs:
            if seen.size == MISSING and not self.head.dispatcher.will_exist(seen.path):
                near = near_files(self.head.files.absolute(seen.path))
                raise InputMissing(
                    f"{self.name} needs {seen.path}: it does not exist and no task makes it",
                    do=f"a similar file exists: {near[0]}" if near else "make it, or correct inputs=",
                    place=self.task.place,
                )

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
            self._missing_inputs()
        self.inputs = tuple([self._hashed(seen) if seen.racy else seen for seen in self.inputs])
        self.key = digest(self.manifest)
        # Two tasks without a name and outputs are both called by their program, and must not share a log.
        unnamed = task._name is None and not task._outputs
        log = log_path(store_folder, run, f"{self.name}-{self.key[:8]}" if unnamed else self.name, self.attempt)
        self.job = self.make_job(number, run, log)
        self.ready = False
        head.move(task, SUBMITTED)
        return JobStart(
            job=number, run=run_id, task=self.name, key=self.key, manifest=self.manifest, attempt=self.attempt,
            executor=pool.name, started=now, log=log, reasons=self.reason_pairs(), inputs=self.inputs,
            outputs=self.outputs, labels=self._labels(), group=self.group, cpus=self.asked.cpus,
            memory_bytes=self.asked.memory_bytes, gpus=self.asked.gpus,
        )  # fmt: skip

    def make_job(self, number: int, run: str, log: str) -> Job:
        """Return the job that the next try is."""
        head, get = self.head, self.task.get
        env = {str(name): str(value) for name, value in (get("env") or {}).items()}
        if self.gpus:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus)
        timeout, cwd = get("timeout"), get("cwd")
        return Job(
            number=number, run=run, task=self.name, key=self.key, attempt=self.attempt,
            argv=argv_of(self.task, head.folder), cwd=head.files.absolute(str(cwd)) if cwd else head.folder,
            env=env, log=log,
            inputs=tuple([seen.path for seen in self.inputs]),
            outputs=tuple([head.files.absolute(path) for path in self.outputs]),
            resources=self.asked, timeout_s=None if timeout is None else seconds_of(timeout),
            grace_s=head.settings.grace, container=get("container"),
        )  # fmt: skip

    def _hashed(self, seen: Seen) -> Seen:
        """Hash an input as young as the clock's tick: its time cannot tell a later edit."""
        if seen.size <= SMALL_BYTES and self.head.settings.hash != "off" and seen.path not in self.makers:
            return changed(seen, sha256=self.head.files.sha256(seen.path))
        return seen

    def make_ready(self) -> None:
        """Make folders and markers; called off the loop, after the start is recorded.

        Raises:
            OSError: an output's folder cannot be written.
        """
        assert self.job is not None  # noqa: S101 (begun)
        head = self.head
        folders = [head.files.absolute(path) for path in self.outputs if isinstance(path, Directory)]
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
            (lambda: files_out.clear_markers(job.outputs)) if good else None,
        )  # fmt: skip
        if good:
            head.dispatcher.hash(job.number, (*self.inputs, *seen))
            self._warn_of_changed_inputs()
            self._settle(SUCCEEDED)
        elif report.state == JobState.CANCELLED:
            self.failure = error_of(self, TaskCancelled, f"task {self.name} was stopped")
            self._settle(CANCELLED)
        elif self._may_try_again(report):
            self._try_again(report)
        else:
            self.failure = failure_of(self, report)
            self._settle(FAILED)

    def _check_outputs(self, report: JobReport) -> tuple[tuple[Seen, ...], JobReport]:
        head, task = self.head, self.task
        if any(isinstance(item, Glob) for item in task._outputs):
            self.outputs = paths_out(task, head.folder)
        seen = tuple([head.files.seen(path, "out") for path in self.outputs])
        missing = [one.path for one in seen if one.size == MISSING]
        if not self.outputs and task._outputs:
            missing = [item.pattern for item in task._outputs if isinstance(item, Glob)]
        if not missing:
            return seen, report
        detail = f"it left no {', '.join(missing[:5])}" + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        return (), changed(report, state=JobState.FAILED, cause=Cause.OUTPUT_MISSING, detail=detail)

    def _signature(self, seen: tuple[Seen, ...]) -> int:
        """Return the number that a later check compares first; 0 where each file must be looked at."""
        if any(one.racy and one.path not in self.makers for one in self.inputs):
            return 0
        marks = self.head.files
        for one in seen:
            marks.marks[one.path] = mark_of(one)
        return _signature((*self.inputs, *seen))

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
        """Tell the end, then wake who waits: the record was handed to the store before."""
        self.head.dispatcher.count(self, state)
        self.head.tell.ended(self, state)
        self.head.settle(self.task, state)

    def reason_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the reasons as plain pairs."""
        return tuple([(reason.code, reason.detail) for reason in self.reasons])

    def _labels(self) -> dict[str, str]:
        given = {**(self.task.get("labels") or {}), **(self.task.get("props") or {})}
        return {str(key): str(value) for key, value in given.items()}


def _signature(files: Sequence[Seen]) -> int:
    """Return one number for how all of a task's files look."""
    return hash(tuple([mark_of(seen) for seen in files]))
