"""Head: the life of tasks up to the point where one must run; the only door through which a task's state changes.

Checks what is up to date without suspending, orders tasks by their files, shares equal ones.
Knows no database, screen or executor by name; all of those are given.
"""

from __future__ import annotations

from collections import deque

from scriptflow.core.context import DECLARED, GROUP, HEAD
from scriptflow.core.files import Files
from scriptflow.core.states import GOOD, MOVES, NEW, QUEUED, SETTLED, SKIPPED, WAITING
from scriptflow.engine.declared import Declared
from scriptflow.engine.glance import Glance
from scriptflow.engine.selection import Selection
from scriptflow.engine.telling import Teller
from scriptflow.errors import Cycle, InternalError, ScriptflowError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Generator, Iterable
    from typing import Any

    from scriptflow.core.config import Settings
    from scriptflow.core.interfaces import Store
    from scriptflow.core.records import Latest
    from scriptflow.core.states import TaskState
    from scriptflow.core.task import Task
    from scriptflow.engine.bus import Bus
    from scriptflow.engine.dispatch import Dispatcher
    from scriptflow.engine.hashing import Hashes
    from scriptflow.engine.shared import Once
    from scriptflow.engine.wishes import Mailbox

CANCELLED_BY_REQUEST = "stopped by scriptflow cancel"


class Head:
    """One run of one flow.

    Attributes:
        failure: what ends the run whatever the flow does: a lost store, a bug of ours.
        stopped: what an await of a task not sent yet raises once a signal has stopped the run.
        shared: the flows that run once, as far as they were reached.
        deserted: whether somebody who waited for a task was cancelled.
        mailbox: where other processes ask for things, once jobs may run.
        stop_run: ends the run as a signal does; given why, a word of ``EXIT_CODES``.

    Args:
        folder: absolute folder that relative paths start from: the flow file's.
        store: keeps what happens; None for a plan, which keeps nothing.
        latest: what the store knows of each output.
        settings: what was asked for.
        bus: hears what happens.
        dispatcher: makes the part that runs jobs, when the first must run.
        selection: which tasks the run is about, by default all.
    """

    def __init__(
        self,
        *,
        folder: str,
        store: Store | None,
        latest: dict[str, Latest],
        settings: Settings,
        bus: Bus,
        dispatcher: Callable[[Head], Dispatcher],
        selection: Selection | None = None,
    ) -> None:
        self.folder = folder
        self.store = store
        self.latest = latest
        self.settings = settings
        self.tell = Teller(bus)
        self.selection = selection or Selection()
        self.files = Files(folder)
        self.declared = Declared(self.files.relative)
        self._glance = Glance(self.declared, self.files, latest)
        self.skipped = 0
        self.loop: AbstractEventLoop | None = None
        self.make_loop: Callable[[], AbstractEventLoop] | None = None
        self.failure: ScriptflowError | None = None
        self.stopped: BaseException | None = None
        self.deserted = False
        self.shared: list[Once] = []
        self.mailbox: Mailbox | None = None
        self.stop_run: Callable[[str], object] = lambda _: self.dispatcher.stop(CANCELLED_BY_REQUEST, settings.grace)
        self._make_dispatcher = dispatcher
        self._dispatcher: Dispatcher | None = None
        self._hashes: Hashes | None = None
        self._waiting_room: list[Task] = []
        self._ripe: deque[Task] = deque()
        self._ripening = False
        self._tokens: tuple[tuple[Any, Any], ...] = ()

    # --- being the current head -----------------------------------------------------------------

    def enter(self) -> None:
        """Become the current head of this context; tasks made before are taken in."""
        self._waiting_room = list(DECLARED.get())
        DECLARED.get().clear()
        self._tokens = ((HEAD, HEAD.set(self)), (DECLARED, DECLARED.set(self._waiting_room)), (GROUP, GROUP.set("")))

    def take_over(self) -> None:
        """Take in the tasks of plain asyncio code, where no context is ours alone."""
        self._waiting_room = DECLARED.get()

    def leave(self) -> None:
        """Stop being the current head of this context."""
        for variable, token in self._tokens:
            variable.reset(token)
        self.files.close()

    @property
    def dispatcher(self) -> Dispatcher:
        """The part that runs jobs, made when the first task must run."""
        if self._dispatcher is None:
            self._dispatcher = self._make_dispatcher(self)
        return self._dispatcher

    @property
    def hashes(self) -> Hashes:
        """The hashes of this run's files."""
        if self._hashes is None:
            from scriptflow.engine.hashing import Hashes

            self._hashes = Hashes(self.files)
        return self._hashes

    @property
    def works(self) -> bool:
        """Whether any task had to run so far."""
        return self._dispatcher is not None

    def event_loop(self) -> AbstractEventLoop:
        """Return the loop this head lives on, making it when the flow is driven without one so far."""
        if self.loop is None:
            if self.make_loop is None:
                import asyncio

                self.loop = asyncio.get_running_loop()
            else:
                self.loop = self.make_loop()
        return self.loop

    # --- sending --------------------------------------------------------------------------------

    def send(self, task: Task) -> bool:
        """Take a task in and decide it if that is possible now; True when it is settled."""
        if task._state is NEW:
            if self.stopped is not None:
                raise self.stopped
            self._take_in()
            if not self._is_fresh(task):
                self._visit(task)
            self.tell.flush()
        self.selection.raise_if_enough()
        return task._state in SETTLED

    def admit(self, tasks: Iterable[Task]) -> list[Task]:
        """Send many; return those that are not settled yet."""
        if self.stopped is not None:
            raise self.stopped
        self._take_in()
        left = []
        for task in tasks:
            if task._state is NEW and not self._is_fresh(task):
                self._visit(task)
            if task._state not in SETTLED:
                left.append(task)
        self.tell.flush()
        self.selection.raise_if_enough()
        return left

    def wait(self, task: Task) -> Generator[Any, Any, None]:
        """Suspend the caller until ``task`` is settled."""
        future = self.event_loop().create_future()

        def wake(_: Task) -> None:
            if not future.done():
                future.set_result(None)

        task._waiter = add_waiter(task._waiter, wake)
        try:
            yield from future
        except BaseException:
            self.deserted = True
            raise
        self.selection.raise_if_enough()

    def forget(self, task: Task) -> None:
        """Let go of a settled task that came out of a stream, so that memory stays flat."""
        self.declared.forget(task)
        for path in (*task._outputs, *task._inputs):
            if isinstance(path, str):
                self.files.marks.pop(path, None)
                self.latest.pop(path, None)

    def call_off(self, task: Task, why: str) -> None:
        """Settle a task that has not been started as cancelled."""
        if task._state in (NEW, WAITING, QUEUED):
            from scriptflow.engine.life import Life

            life = task._life if isinstance(task._life, Life) else Life(self, task)
            self.dispatcher.call_off(life, why)

    def give_up(self, error: ScriptflowError) -> None:
        """Start nothing when the flow ended in wrong use before anything was started."""
        if self.works and error.exits_with == UsageError.exits_with and not self.dispatcher.began:
            self.dispatcher.stop(error.what, None)

    def known(self) -> list[Task]:
        """Return all tasks that were made so far."""
        self._take_in()
        return self.declared.tasks()

    def unsent(self) -> list[Task]:
        """Return the tasks that were made and never awaited, started or needed."""
        return [task for task in self.known() if task._state is NEW]

    # --- the only door --------------------------------------------------------------------------

    def _move(self, task: Task, state: TaskState) -> None:
        """Change a task's state; the one place where that happens."""
        if state not in MOVES[task._state]:
            raise InternalError(f"task {task.name} cannot go from {task._state} to {state}")
        task._state = state

    def settle(self, task: Task, state: TaskState, *, told: bool = True) -> None:
        """End a task's life and wake all who wait for it; ``told``: count it when it is up to date."""
        self._move(task, state)
        if told and state is SKIPPED:
            self.skipped += 1
            self.tell.skipped(task)
        if self.selection.until and state in GOOD:
            self.selection.settled(task)
        waiter, task._waiter = task._waiter, None
        if waiter is None:
            return
        for wake in waiter if type(waiter) is list else (waiter,):
            wake(task)
        self._ripen()

    def move(self, task: Task, state: TaskState) -> None:
        """Change the state of a task that lives on."""
        self._move(task, state)

    def _is_fresh(self, task: Task) -> bool:
        """Settle a task that is up to date beyond doubt; False when more must be looked at."""
        if not self._glance.is_fresh(task) or not self.selection.all:
            return False
        self.settle(task, SKIPPED)
        return True

    # --- the order of tasks ---------------------------------------------------------------------

    def _take_in(self) -> None:
        """Note all tasks declared since the last look."""
        if self._waiting_room:
            tasks, self._waiting_room[:] = self._waiting_room[:], []
            self.tell.declared([task for task in tasks if task._state is NEW])
            for task in tasks:
                self.declared.add(task)
            if self.selection.looks_ahead:
                self.selection.declare(tasks, self.declared.upstream)

    def _visit(self, task: Task) -> None:
        """Send all that ``task`` needs, then decide it; no recursion, chains may be long."""
        stack = [(task, self.declared.upstream(task))]
        path = {id(task)}
        while stack:
            top, ups = stack[-1]
            for up in ups:
                if up._state is NEW:
                    if id(up) in path:
                        raise self._cycle([entry[0] for entry in stack], up)
                    if not self._is_fresh(up):
                        path.add(id(up))
                        stack.append((up, self.declared.upstream(up)))
                        break
            else:
                stack.pop()
                path.discard(id(top))
                if top._state is NEW:
                    self._order(top)

    def _cycle(self, stack: list[Task], back: Task) -> Cycle:
        from scriptflow.engine.life import Life

        loop = stack[stack.index(back) :]
        steps = " <- ".join(
            f"{task.output_file if task._outputs else task.name} <- {task.name} ({task.place})" for task in loop
        )
        error = Cycle(
            f"tasks need each other in a loop: {steps} <- {back.output_file if back._outputs else back.name}",
            do="drop one of these inputs",
            place=back.place,
        )
        for task in loop:
            if task._state is NEW:
                Life(self, task).fail(error)
        return error

    def _order(self, task: Task) -> None:
        """Let a task wait for what it needs, share its equal, or decide it now."""
        owner = self.declared.owner(task)
        if owner is not task:
            self._share(owner, task)
            return
        waiting = {id(up): up for up in self.declared.upstream(task) if up._state not in SETTLED}
        if not waiting:
            self.judge(task)
            return
        if task._state is NEW:
            self._move(task, WAITING)
        left = [len(waiting)]

        def one_less(_: Task) -> None:
            left[0] -= 1
            if not left[0]:
                self._ripe.append(task)

        for up in waiting.values():
            up._waiter = add_waiter(up._waiter, one_less)

    def _share(self, owner: Task, task: Task) -> None:
        """Let ``task`` be the same job as its equal."""

        def follow(_: Task) -> None:
            if task._state in SETTLED:  # called off meanwhile
                return
            task._life = owner._life
            self.settle(task, owner._state, told=False)  # it is one task, named twice

        if owner._state is NEW:
            self._visit(owner)
        if owner._state in SETTLED:
            follow(owner)
        else:
            self._move(task, WAITING)
            owner._waiter = add_waiter(owner._waiter, follow)

    def _ripen(self) -> None:
        """Decide the tasks whose last need was just met; a queue, so that chains do not recurse."""
        if self._ripening:
            return
        self._ripening = True
        try:
            while self._ripe:
                task = self._ripe.popleft()
                if task._state is WAITING:
                    self._go_on(task)
        finally:
            self._ripening = False
        self.tell.flush()

    def _go_on(self, task: Task) -> None:
        """Decide a task that waited, unless another that it needs was declared meanwhile."""
        from scriptflow.engine.life import Life

        try:
            self._take_in()
            for up in self.declared.upstream(task):
                if up._state is NEW:
                    self._visit(up)
            self._order(task)
        except ScriptflowError as error:
            if task._state not in SETTLED:
                Life(self, task).fail(error)

    def judge(self, task: Task) -> None:
        """Decide a task all of whose needs are settled; it is skipped, queued or cannot start."""
        if self.selection.leaves_out(task):
            self.settle(task, SKIPPED, told=False)
            return
        if self._is_fresh(task):
            return
        from scriptflow.engine.life import Life

        Life(self, task).judge([up for up in self.declared.upstream(task) if up._state is not SKIPPED])


def add_waiter(waiter: Any, wake: Callable[[Task], object]) -> Any:  # noqa: ANN401
    """Add one more to those who wait for a task: nobody, one, or a list."""
    if waiter is None:
        return wake
    if type(waiter) is list:
        waiter.append(wake)
        return waiter
    return [waiter, wake]
