"""Jobs that an earlier head left on executors that outlive it: joined by the equal task, ended where in the way.

Knows records of jobs that began and have no end, lives, and executors by their interface.
Knows nothing of batch systems or of how the store keeps rows.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from scriptflow.core.fingerprint import digest
from scriptflow.core.job import Job
from scriptflow.core.records import JobEnd
from scriptflow.core.states import QUEUED, SUBMITTED, Cause, JobState
from scriptflow.engine.making import job_of
from scriptflow.errors import ScriptflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.core.interfaces import Executor
    from scriptflow.core.job import JobId
    from scriptflow.core.records import JobRecord
    from scriptflow.engine.dispatch import Dispatcher
    from scriptflow.engine.life import Life

# Reasons to run that say no more than that the job has not ended yet.
_UNENDED = {"no-outputs", "output-missing", "interrupted"}


class Left:
    """The jobs of earlier heads that may still wait, run or have ended unseen.

    Args:
        dispatcher: whose lives may join them.
        records: the jobs with their files, the oldest first.
    """

    def __init__(self, dispatcher: Dispatcher, records: Iterable[JobRecord]) -> None:
        self._dispatcher = dispatcher
        self._records = {record.job: record for record in records}
        self._by_key = {record.key: record for record in self._records.values()}
        self._by_output: dict[str, list[JobRecord]] = {}
        for record in self._records.values():
            for seen in record.files:
                if seen.role == "out":
                    self._by_output.setdefault(seen.path, []).append(record)
        self._clearing: dict[int, Life] = {}

    @property
    def busy(self) -> bool:
        """Whether lives wait for the end of jobs that are in their way."""
        return bool(self._clearing)

    def stop(self, why: str) -> None:
        """Let no life wait any more; jobs that are not ended yet stay as they are."""
        clearing, self._clearing = self._clearing, {}
        for life in clearing.values():
            life.cancel(why)

    def let_go(self, why: str) -> None:
        """End the lives whose jobs a later run can join, and let the jobs run."""
        dispatcher = self._dispatcher
        going = [
            life for life in dispatcher.running.values() if life.pool and dispatcher.opened.keep_jobs(life.pool.name)
        ]
        for life in going:
            self._drop(life)
            life.leave(why)
        if going:
            jobs = "1 job goes" if len(going) == 1 else f"{len(going)} jobs go"
            dispatcher.head.tell.warn("jobs-left", f"{jobs} on without this run", do="scriptflow run  # joins them")

    def _drop(self, life: Life) -> bool:
        assert life.job is not None  # noqa: S101 (it runs)
        if self._dispatcher.running.pop(life.job.number, None) is None:
            return False
        self._dispatcher.give_back(life)
        return True

    def of_flow(self, flow: str) -> list[JobRecord]:
        """Return the jobs of runs of this flow that no task has asked for."""
        return [record for record in self._records.values() if record.run.rpartition("-")[0] == flow]

    def take(self, life: Life) -> bool:
        """Let a life join its equal, or wait for the end of what would write its outputs; False: neither is there.

        A job is joined while nothing but its missing end is a reason to run. Where an input or the command has
        changed since, it makes what nobody wants, and is ended before the task's new job begins.
        """
        if not self._records:
            return False
        same = self._by_key.get(digest(life.manifest))
        rivals = {record.job: record for path in life.outputs for record in self._by_output.get(path, ())}
        if same is not None:
            rivals[same.job] = same
        rivals = {number: record for number, record in rivals.items() if self._records.pop(number, None)}
        if not rivals:
            return False
        opened = self._dispatcher.opened
        if same is not None and list(rivals) == [same.job] and self._is_wanted(life, same):
            self._take_up(life, same)
            opened.own(self._join(life, same))
        else:
            self._clearing[id(life)] = life
            opened.own(self._clear(life, list(rivals.values())))
        return True

    def _take_up(self, life: Life, record: JobRecord) -> None:
        """Let a life go on with a job: its number, attempt, log, and inputs as the job found them."""
        dispatcher = self._dispatcher
        life.pool = dispatcher.pools.pools[record.executor]
        life.gpus = life.pool.take(life.asked)
        life.attempt, life.key, life.ready = record.attempt, record.key, False
        life.inputs = tuple([seen for seen in record.files if seen.role == "in"])
        life.job = job_of(life, record.job, record.run, record.log)
        dispatcher.head.tell.queued(life)
        dispatcher.head.move(life.task, SUBMITTED)
        dispatcher.running[record.job] = life

    def _is_wanted(self, life: Life, record: JobRecord) -> bool:
        asked = life.task.get("executor") or self._dispatcher.executor
        return {reason.code for reason in life.reasons} <= _UNENDED and asked in (None, record.executor)

    async def _join(self, life: Life, record: JobRecord) -> None:
        """Wait for a job as if it were begun now; one that never arrived is begun now."""
        dispatcher, job = self._dispatcher, life.job
        assert job is not None  # noqa: S101 (it has joined)
        try:
            executor = await dispatcher.opened.ready(record.executor)
            found = await _find(executor, job, record)
        except ScriptflowError as error:
            if self._drop(life):
                life.fail(error)  # its job's record stays open
            return
        if job.number not in dispatcher.running:
            return  # the run was stopped meanwhile, and leaves it where it is
        if found is None:
            from asyncio import to_thread

            dispatcher.launched([life], await to_thread(dispatcher.launcher.start, [life]))
            return
        life.ready = True
        dispatcher.opened.start(record.executor, [job])  # it finds the job again, and waits for it
        dispatcher.launched([life], ())

    async def _clear(self, life: Life, records: Sequence[JobRecord]) -> None:
        """End jobs whose task has changed since, all the way, before their outputs are made anew."""
        from asyncio import gather

        dispatcher = self._dispatcher
        try:
            await gather(*(self._end(record) for record in records))
        except ScriptflowError as error:
            life.fail(error)
        finally:
            self._clearing.pop(id(life), None)
        if life.task._state is QUEUED:
            dispatcher.queue(life)
        dispatcher.wake_if_idle()

    async def _end(self, record: JobRecord) -> None:
        dispatcher = self._dispatcher
        executor = await dispatcher.opened.ready(record.executor)
        job = Job(
            number=record.job, run=record.run, task=record.task, key=record.key, attempt=record.attempt, argv=(),
            cwd="", log=record.log,
        )  # fmt: skip
        job_id = await _find(executor, job, record)
        if job_id is not None:
            dispatcher.head.tell.warn(
                "jobs-left",
                f"{record.task} has changed since {record.run}: its job {job_id} on {record.executor} is cancelled",
            )
            await executor.cancel(job_id)
            await executor.wait(job_id)
        assert dispatcher.head.store is not None  # noqa: S101 (it keeps the record)
        dispatcher.head.store.ended(
            JobEnd(
                job=record.job, state=JobState.CANCELLED, began=None, ended=time(), exit_code=None, signal=None,
                cause=Cause.CANCELLED, max_rss_bytes=None, cpu_s=None, host=record.host, pid=None,
                detail="its task had changed when the next run came", signature=0, outputs=(),
            )
        )  # fmt: skip


async def _find(executor: Executor, job: Job, record: JobRecord) -> JobId | None:
    """Return the executor's id of a job, None when it never got there."""
    find = getattr(executor, "find", None)
    if find is None:
        return record.executor_id  # type: ignore[return-value]  # it was one when it was written
    found: JobId | None = await find(job)
    return found
