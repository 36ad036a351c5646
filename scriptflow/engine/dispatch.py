"""The part of a head that runs jobs: who starts when, where, and what follows when they end.

Knows lives, pools and executors by their interface. A start is committed before its job exists.
"""

from __future__ import annotations

from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING

from scriptflow.core.records import RunCounts
from scriptflow.core.states import FAILED, QUEUED, RUNNING, SUBMITTED, SUCCEEDED, JobState
from scriptflow.engine.asked import refuse_impossible
from scriptflow.engine.beside import Beside
from scriptflow.engine.launch import Launcher
from scriptflow.engine.left import Left
from scriptflow.engine.opened import Opened
from scriptflow.errors import InternalError, ResourcesImpossible, ScriptflowError, StoreError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from scriptflow.core.freshness import Reason
    from scriptflow.core.interfaces import Executor
    from scriptflow.core.job import Job, JobId, JobReport
    from scriptflow.core.records import JobRecord, JobStart, Seen
    from scriptflow.core.states import TaskState
    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life
    from scriptflow.engine.pools import Pool, Pools

_KEPT_FAILURES = 1000


class Dispatcher:
    """Queues lives, starts their jobs in turns, and hears of their ends.

    Args:
        head: whose jobs these are.
        pools: the room there is.
        open_executor: makes an executor ready by name, when its first job comes.
        run, run_id: the run's name and row.
        store_folder: where logs go.
        executor: where tasks go that name none.
        fail_fast: start nothing new after the first failure.
        left: jobs of earlier heads that may go on.
    """

    def __init__(
        self, head: Head, pools: Pools[Life], open_executor: Callable[[str], Executor], *, run: str, run_id: int,
        store_folder: str = "", executor: str | None = None, fail_fast: bool = False, left: Sequence[JobRecord] = (),
    ) -> None:  # fmt: skip
        self.head = head
        self.pools = pools
        self.run = run
        self.run_id = run_id
        self.executor = executor
        self.fail_fast = fail_fast
        self.stopping = ""
        self.began = self.ran = self.failed = self.cancelled = 0
        self.failures: list[ScriptflowError] = []
        self.running: dict[int, Life] = {}
        self._open_executor = open_executor
        self._store_folder = store_folder
        self.blank = f"{store_folder}/blank"  # an empty file, for markers to be links to
        self._in_use: Opened | None = None
        self.launcher = Launcher(lambda: self.opened)
        self.left = Left(self, left)
        self._not_open: list[tuple[Life, Pool]] = []
        self._delayed: dict[int, tuple[Life, asyncio.TimerHandle]] = {}
        self._pump_planned = False
        self._hearing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._beside: Beside | None = None

    @property
    def opened(self) -> Opened:
        """The executors in use."""
        if self._in_use is None:
            self._in_use = Opened(
                self._event_loop(), self._open_executor, ended=self.ended, submitted=self._submitted,
                bug=self._own_bug, latency_s=self.head.settings.latency_wait,
            )  # fmt: skip
        return self._in_use

    def _submitted(self, number: int, job_id: JobId, state: str, reason: str) -> None:
        if self.head.store is not None and number in self.running:
            self.head.store.submitted(number, job_id, state, reason)

    # --- what a plan answers otherwise ----------------------------------------------------------

    def will_exist(self, path: str) -> bool:
        """Whether a file that is not there will be when the run gets so far."""
        return False

    def planned_files(self, pattern: str) -> tuple[str, ...]:
        """Return files that will match a glob when the run gets so far, none in a run."""
        return ()

    def extra_reasons(self, life: Life) -> tuple[Reason, ...]:
        """Return reasons that stand before the decided ones, none in a run."""
        return ()

    # --- waiting for room -----------------------------------------------------------------------

    def queue(self, life: Life) -> None:
        """Let a life wait for room; an error at once when no executor could ever hold it."""
        if self.stopping:
            life.cancel(self.stopping)
        elif not self.left.take(life):
            try:
                refuse_impossible(life.task, life.asked, self.pools, self.executor)
            except ResourcesImpossible as error:
                life.fail(error)
                return
            self.head.tell.queued(life)
            self._wait_for_room(life)

    def queue_later(self, life: Life, delay_s: float) -> None:
        """Let a life wait for its next try first."""
        handle = self._event_loop().call_later(delay_s, lambda: self._wait_for_room(self._delayed.pop(id(life))[0]))
        self._delayed[id(life)] = (life, handle)
        self.give_back(life)

    def call_off(self, life: Life, why: str) -> None:
        """Cancel a life that waits for room or for its next try."""
        delayed = self._delayed.pop(id(life), None)
        if delayed is not None:
            delayed[1].cancel()
        life.cancel(why)
        self.plan_pump()

    def _wait_for_room(self, life: Life) -> None:
        wanted = life.task.get("executor") or self.executor
        life.place = self.pools.add(life, life.asked, wanted, life.task.get("priority"), life.place)
        self.plan_pump()

    # --- starting, in turns ---------------------------------------------------------------------

    def plan_pump(self) -> None:
        """Start what can start, once in this turn of the loop."""
        if not self._pump_planned:
            self._pump_planned = True
            if not self._hearing:
                self._event_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Start all for whom there is room: one transaction, then their jobs."""
        self._pump_planned = False
        head = self.head
        if self.stopping or head.store is None:
            return
        starts = []
        lives: list[Life] = []
        for life, pool, gpus in self.pools.take():
            life.pool, life.gpus = pool, gpus
            if life.task._state is not QUEUED:  # called off while it waited
                self.give_back(life)
            elif pool.name not in self.opened:
                self._not_open.append((life, pool))
                self.opened.open(pool.name, self._opened)
            elif (start := self._begin(life, pool, gpus)) is not None:
                starts.append(start)
                lives.append(life)
        if starts:
            head.store.started(starts, lambda error: self._launch(lives, error))
        self.wake_if_idle()

    def _begin(self, life: Life, pool: Pool, gpus: tuple[str, ...]) -> JobStart | None:
        store = self.head.store
        assert store is not None  # noqa: S101 (nothing begins without)
        number = store.next_job()
        try:
            start = life.begin(pool, gpus, number, self.run, self.run_id, self._store_folder)
        except Exception as error:  # noqa: BLE001 (whatever it is, its room must be given back and its task end)
            life.job = None
            self.give_back(life)
            life.fail(error if isinstance(error, ScriptflowError) else self._own_bug(error))
            return None
        self.running[number] = life
        return start

    def _opened(self, name: str, error: ScriptflowError | None) -> None:
        """Let the lives that waited for an executor go on, or fail with it."""
        waiting = [life for life, pool in self._not_open if pool.name == name]
        self._not_open = [entry for entry in self._not_open if entry[1].name != name]
        for life in waiting:
            self.give_back(life)
            if life.task._state is not QUEUED:  # called off meanwhile
                continue
            if error is not None:
                life.fail(error)
            else:
                self._wait_for_room(life)
        self.wake_if_idle()

    def _launch(self, lives: Sequence[Life], error: BaseException | None) -> None:
        """Start the jobs whose start is recorded. Runs on the store's write thread, to save a hop."""
        if error is not None:
            self._on_loop(self._not_recorded, lives, error)
            return
        self._on_loop(self.launched, lives, self.launcher.start(lives))

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        """Call on the loop's thread, at once when this is it; nothing when the run is over and its loop closed."""
        if get_ident() == self._loop_thread:
            call(*arguments)
            return
        with suppress(RuntimeError):
            self._event_loop().call_soon_threadsafe(call, *arguments)

    def launched(self, lives: Sequence[Life], refused: Sequence[tuple[Job, JobReport]]) -> None:
        """Tell of lives whose jobs were handed over, and end those that could not be."""
        self.began += len(lives)
        for life in lives:
            self._tell_started(life)
        for job, report in refused:
            self.ended(job, report, True)

    def _tell_started(self, life: Life) -> None:
        if life.task._state is SUBMITTED:
            self.head.move(life.task, RUNNING)
            self.head.tell.started(life)

    def _not_recorded(self, lives: Sequence[Life], error: BaseException) -> None:
        """The store could not take the starts: nothing was started, and nothing more will be."""
        words = f"the run store cannot be written: {error}"
        failure = error if isinstance(error, ScriptflowError) else StoreError(words)
        self.head.failure = self.head.failure or failure
        self.stopping = failure.what
        for life in lives:
            assert life.job is not None  # noqa: S101 (begun)
            self.running.pop(life.job.number, None)
            self.give_back(life)
            life.job = None
            life.cancel(failure.what)
        self.stop(failure.what, None)

    def _own_bug(self, error: BaseException) -> InternalError:
        """Stop the run: what follows would not be sound."""
        failure = InternalError(f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        self.head.failure = failure
        self._event_loop().call_soon(self.stop, "a bug of scriptflow", 0.0)
        return failure

    # --- ends -----------------------------------------------------------------------------------

    def ended(self, job: Job, report: JobReport, more: bool) -> None:
        """Hear of a job's end, on the loop's thread; the next starts at once.

        Not when ``more`` ends may follow in this turn, nor after a failure: the flow may want to start nothing more.
        """
        life = self.running.pop(job.number, None)
        if life is None:
            return
        outermost, self._hearing = not self._hearing, True
        try:
            self._take_end(life, report)
        finally:
            self._hearing = not outermost
        if outermost and self._pump_planned:
            if more or report.state is not JobState.SUCCEEDED:
                self._event_loop().call_soon(self._pump)
            else:
                self._pump()

    def _take_end(self, life: Life, report: JobReport) -> None:
        self._tell_started(life)
        pool = life.pool
        try:
            life.ended(report)
        except Exception as bug:  # noqa: BLE001 (a task whose end goes wrong must end all the same)
            life.fail(self._own_bug(bug))
        if life.pool is pool:
            self.give_back(life)
        self.wake_if_idle()

    def give_back(self, life: Life) -> None:
        """Return the room that a life has taken."""
        if life.pool is not None:
            life.pool.give_back(life.asked, life.gpus)
            life.pool = None
            if self.pools.waiting:
                self.plan_pump()

    def count(self, life: Life, state: TaskState) -> None:
        """Count a settled task."""
        if state is SUCCEEDED:
            self.ran += 1
        elif state is FAILED:
            self.failed += 1
            if self.failed <= _KEPT_FAILURES:
                self.failures.append(life.error())
            if self.fail_fast and not self.stopping:
                self._event_loop().call_soon(self.stop, f"{life.name} failed", None)
                self.stopping = f"{life.name} failed"
        else:
            self.cancelled += 1
        self.wake_if_idle()

    def counts(self) -> RunCounts:
        """Return how many tasks are where."""
        return RunCounts(
            ran=self.ran, skipped=self.head.skipped, failed=self.failed, cancelled=self.cancelled,
            queued=self.pools.waiting + len(self._delayed) + len(self._not_open), running=len(self.running),
            capacity=self.pools.capacity,
        )  # fmt: skip

    @property
    def beside(self) -> Beside:
        """What goes on beside the jobs."""
        self._event_loop()
        assert self._beside is not None  # noqa: S101 (made with the loop)
        return self._beside

    def hash_first(self, life: Life, files: Sequence[Seen]) -> None:
        """Hash files that are too large to do so on the loop, then decide the task they belong to."""
        self.beside.hash_first(life, files)

    def looked(self, job: int, outputs: tuple[str, ...], signature: int) -> None:
        """Keep that a task was found up to date by looking closely, so that next time a glance will do."""
        if self.head.store is not None:
            self.head.store.looked(job, outputs, signature)

    # --- coming to rest -------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits for room or waits for another try."""
        deciding = self._beside is not None and self._beside.deciding
        waiting = self.pools.waiting or self._delayed or self._not_open
        return not (self.running or waiting or deciding or self.left.busy)

    async def drained(self) -> None:
        """Return when all that was sent is settled."""
        while not self.idle or (self._beside is not None and self._beside.look() and not self.idle):
            self.beside.at_rest.clear()
            await self.beside.at_rest.wait()

    def wake_if_idle(self) -> None:
        """Let those go on who wait for the end of everything."""
        if self._beside is not None and self.idle:
            self._beside.at_rest.set()

    def stop(self, why: str, grace_s: float | None, *, keep: bool = False) -> int:
        """Start nothing new; with a grace, tell running jobs to end. Returns how many run.

        With ``keep``, those that a later run can join are let go and run on.
        """
        self.stopping = self.stopping or why
        self.left.stop(why)
        for _, (life, handle) in list(self._delayed.items()):
            handle.cancel()
            life.cancel(why)
        self._delayed.clear()
        for life in self.pools.drain():
            if life.task._state is QUEUED:
                life.cancel(why)
        for life, pool in self._not_open:
            pool.give_back(life.asked, life.gpus)
            life.cancel(why)
        self._not_open.clear()
        if self._beside is not None:
            self._beside.stop(why)
        if keep:
            self.left.let_go(why)
        if grace_s is not None:
            self.launcher.stop(self.running.values(), grace_s, for_good=True)
        self.wake_if_idle()
        return len(self.running)

    def hurry(self, life: Life) -> bool:
        """Let a life that waits for its next try have it now; False when it does not wait for one."""
        if id(life) not in self._delayed:
            return False
        self._delayed.pop(id(life))[1].cancel()
        self._wait_for_room(life)
        return True

    async def close(self) -> None:
        """End what still runs and close the executors."""
        if not self.idle:
            self.stop("the run is over", self.head.settings.grace)
            await self.drained()
        if self._in_use is not None:
            await self._in_use.close()
        if self._beside is not None:
            self._beside.close(finish=not self.stopping)

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = self.head.event_loop()
            self._loop_thread = get_ident()
            self._beside = Beside(self.head, self._loop)
        return self._loop
