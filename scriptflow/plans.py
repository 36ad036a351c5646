"""Answer what a run would do, and why a task would run or not: the flow is gone through, nothing is started or written.

Knows flows, heads and the store's reader. Knows nothing of screens.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING

from scriptflow.core.context import PLANNING
from scriptflow.core.states import CANCELLED, FAILED, NEW, SKIPPED, SUCCEEDED
from scriptflow.engine.bus import Bus
from scriptflow.engine.drive import Driver
from scriptflow.engine.head import Head
from scriptflow.engine.plan import LateHead, Planner
from scriptflow.engine.reads import Reads
from scriptflow.engine.selection import Enough
from scriptflow.errors import ScriptflowError, StoreUnwritable
from scriptflow.outcome import DeclaredTask, Explained, Plan, PlannedTask
from scriptflow.session import STORE, make_executors, mentions_asyncio, pools_of, selection_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from scriptflow.core.config import Settings
    from scriptflow.core.records import Latest
    from scriptflow.core.task import Task
    from scriptflow.engine.dispatch import Dispatcher
    from scriptflow.engine.life import Life
    from scriptflow.flowfile.discover import Flow, FlowFile
    from scriptflow.outcome import RunOptions
    from scriptflow.store.reader import StoreReader


def plan_flow(
    flow_file: FlowFile, flow: Flow, params: dict[str, Any], settings: Settings, options: RunOptions, *,
    then: Callable[[Head, Sequence[Life]], object] | None = None,
) -> Plan:  # fmt: skip
    """Say what a run would do; nothing is started or written.

    ``then`` is shown the head, with all tasks that it knows, and the lives of those that would run.
    """
    reader = open_reader(flow_file.folder)
    latest = reader.latest() if reader is not None else {}
    with _gone_through(flow_file, flow, params, settings, options, reader, latest, Head) as (head, planner, error):
        would_run = planner[0].would_run if planner else []
        if error is not None and not would_run:
            raise error
        read = planner[0].reads.first if planner else ""
        stopped_at = read or (_where(error, flow_file) if error is not None else "")
        planned = [PlannedTask(life.name, life.reason_pairs()) for life in would_run]
        if then is not None:
            then(head, would_run)
        return Plan(flow.name, planned, head.skipped, stopped_at, planner[0].certain if planner else 0)


def declared_by(head: Head) -> list[DeclaredTask]:
    """Return all tasks that a head knows after a plan."""
    words = {SKIPPED: "up to date", SUCCEEDED: "would run"}
    found = []
    for task in head.declared.tasks():
        needs = dict.fromkeys([up.name for up in head.declared.upstream(task)])
        found.append(DeclaredTask(task.name, task._group, words.get(task._state, "waiting"), tuple(needs)))
    return found


def explain_tasks(
    flow_file: FlowFile,
    flow: Flow,
    params: dict[str, Any],
    settings: Settings,
    options: RunOptions,
    choose: Callable[[LateHead], Iterable[Task]],
    *,
    few: bool,
) -> tuple[list[Explained], str]:
    """Say of some tasks why they would run, or what makes them up to date.

    Args:
        flow_file: where the flow is.
        flow: which one.
        params: its arguments.
        settings: as for a run.
        options: as for a run.
        choose: which tasks, when the flow has been gone through.
        few: they are some of very many: the store is asked about each, instead of being read whole.

    Returns:
        What is known of each, and where the flow's code reads what only a run could give ("" where it does not).
    """
    reader = open_reader(flow_file.folder)
    latest: dict[str, Latest] = {}
    if reader is not None:
        latest = Asked(reader) if few else reader.latest()
    with _gone_through(flow_file, flow, params, settings, options, reader, latest, LateHead) as (head, planner, error):
        assert isinstance(head, LateHead)  # noqa: S101 (asked for)
        chosen = list(choose(head))
        if error is not None and not chosen:
            raise error
        found = [_explained(head, task, whole=few) for task in chosen]
        read = planner[0].reads.first if planner else ""
        return found, read or (_where(error, flow_file) if error is not None else "")


class Asked(dict[str, "Latest"]):
    """What the store knows of each output, asked for one by one."""

    def __init__(self, reader: StoreReader) -> None:
        super().__init__()
        self._reader = reader

    def get(self, path: str, default: Any = None) -> Any:  # noqa: ANN401 (as a dict has it)
        """Return what the store knows of one output."""
        if path not in self:
            found = self._reader.latest_of(path)
            if found is None:
                return default
            self[path] = found
        return self[path]


def _explained(head: LateHead, task: Task, *, whole: bool) -> Explained:
    """Decide one task, and gather what it was compared with; unless ``whole``, of an up-to-date one only that."""
    from scriptflow.engine.life import Life
    from scriptflow.engine.verdict import last_job, look

    state = head.decide(task)
    life = task._life
    if isinstance(life, Life) and state in (FAILED, CANCELLED):
        raise life.error()
    if not isinstance(life, Life):
        if not whole:
            return Explained(
                task=str(task.name), run=False, reasons=(), last=None, manifest="", files=(), place=task.place,
                by_content=False, content=head.hashes.of,
            )  # fmt: skip
        life = Life(head, task)
        look(life)
    outputs = [head.files.seen(path, "out") for path in life.outputs]
    return Explained(
        task=life.name, run=state is SUCCEEDED, reasons=life.reason_pairs(), last=last_job(life),
        manifest=life.manifest, files=(*life.inputs, *outputs), place=task.place, by_content=life.by_content,
        content=head.hashes.of, executor=task.get("executor"), retries=life.retries, code=_code_of(head, task),
        upstream=list(dict.fromkeys(str(up.name) for up in head.declared.upstream(task) if up._state is SUCCEEDED)),
    )  # fmt: skip


def _code_of(head: Head, task: Task) -> str:
    """Return the code that a task of a function has now, which no job may have kept yet."""
    call = task.get("call")
    return "" if call is None else str(call.function.code(head.folder).text)


@contextmanager
def _gone_through(
    flow_file: FlowFile,
    flow: Flow,
    params: dict[str, Any],
    settings: Settings,
    options: RunOptions,
    reader: StoreReader | None,
    latest: dict[str, Latest],
    kind: type[Head],
) -> Iterator[tuple[Head, list[Planner], Exception | None]]:
    """Go through a flow under a head that starts nothing; give the head, its planner when it has one, and the error."""
    os.chdir(flow_file.folder)
    planner: list[Planner] = []

    def make(head: Head) -> Dispatcher:
        executors = make_executors(settings, f"{flow_file.folder}/{STORE}")
        planner.append(Planner(head, pools_of(executors), executors.__getitem__))
        return planner[0]

    head = kind(
        folder=flow_file.folder, store=reader, latest=latest, settings=settings, bus=Bus(), dispatcher=make,  # type: ignore[arg-type]  # of a store only ``job`` is asked
        selection=selection_of(settings, options),
    )  # fmt: skip
    reads = _late_reads(head, planner) if isinstance(head, LateHead) else None
    state_of = head.decide if isinstance(head, LateHead) else attrgetter("_state")
    token = PLANNING.set(lambda task: state_of(task) is SUCCEEDED)
    head.enter()
    error: Exception | None = None
    driver = Driver(head, flow.function(**params))
    try:
        try:
            driver.run(at_once=mentions_asyncio(flow.file))
        except Enough:
            pass
        except Exception as problem:  # noqa: BLE001 (whatever ends the flow, what is known so far stands)
            error = problem
        if reads is not None and planner:
            planner[0].reads.first = reads.first
        yield head, planner, error
    finally:
        Reads.close()
        driver.close()
        head.leave()
        PLANNING.reset(token)
        if reader is not None:
            reader.close()


def _late_reads(head: LateHead, planner: Sequence[Planner]) -> Reads:
    """Watch the flow from its start: when it reads what a task makes, it is decided whether that one would run."""

    def runs(task: Task) -> bool:
        return task._state is not NEW and head.decide(task) is SUCCEEDED

    def maker(path: str) -> str:
        task = head.declared.maker(path)
        return str(task.name) if task is not None and runs(task) and planner and planner[0].maker(path) else ""

    reads = Reads(head.folder, maker, runs)
    reads.watch()
    return reads


def open_reader(folder: str) -> StoreReader | None:
    """Open the store of a folder to be read without a trace, None where there is none."""
    path = f"{folder}/{STORE}"
    try:
        os.stat(f"{path}/runs.db")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreUnwritable(f"cannot read {path}", why=error.strerror or str(error)) from error
    from scriptflow.store.reader import StoreReader

    return StoreReader(path, relative=True, still=True)


def _where(error: Exception, flow_file: FlowFile) -> str:
    """Say where a flow ended before its time: the line of its file, and what it lacked."""
    inside = flow_file.folder + os.sep
    place = str(getattr(error, "place", None) or "").removeprefix(inside)
    trace = error.__traceback__ if not place else None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(inside):
            place = f"{file.removeprefix(inside)}:{trace.tb_lineno}"
        trace = trace.tb_next
    place = place or os.path.basename(flow_file.path)
    if isinstance(error, ScriptflowError):
        return f"{place}: {error.what}"
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        path = os.path.abspath(error.filename).removeprefix(flow_file.folder + os.sep)
        return f"{place}: reads {path}, which is not there"
    return f"{place}: {type(error).__name__}: {error}"
