"""``scriptflow why TASK --blocked``: say why a task is not running now, from the store and, where it loads, the flow.

Knows the records of one run and what stands before a task. Never asks an executor or a scheduler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.cli import reading
from scriptflow.core.states import RunState
from scriptflow.errors import NotFound, ScriptflowError
from scriptflow.terminal import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scriptflow.cli.why import Question
    from scriptflow.core.records import JobRecord, RunRecord
    from scriptflow.outcome import Explained
    from scriptflow.store.reader import StoreReader

_SHOWN = 5

Why = tuple[str, str]


def tell_blocked(asked: Question, run: str | None, *, as_json: bool) -> None:
    """Print why a task is not running."""
    with asked.reader() as reader:
        record = reader.find_run(run)
        name, known = _named(asked, reader, record)
        attempts = reader.attempts(record.id, name)
        why = list(_why(reader, record, attempts[-1] if attempts else None, known))
        if as_json:
            reading.print_document(
                {"schema": 1, "task": name, "run": bool(known and known.run), "of_run": record.run}
                | {"reasons": [{"code": code, "detail": detail} for code, detail in why]}
            )
            return
        look = reading.stdout_look()
        lines = [f"{look.paint(look.safe(name), 'bold')}  in {record.run}, which {_how(record)}"]
        lines += [f"  {look.safe(f'{code}: {detail}' if detail else code)}" for code, detail in why]
        reading.echo_lines(lines)


def _named(asked: Question, reader: StoreReader, run: RunRecord) -> tuple[str, Explained | None]:
    """Return the one task that is meant, and what the flow says of it; without a flow that can be read, the record's.

    Raises:
        NotFound: nobody knows such a task, or several are meant.
    """
    known: list[Explained] = []
    trouble: ScriptflowError | None = None
    try:
        known, _ = asked.explain()
    except ScriptflowError as error:
        trouble = error
    names = [one.task for one in known] or reader.find_tasks(asked.what, run.id) or reader.find_tasks(asked.what)
    if not names:
        raise trouble or NotFound(f"no task is called {asked.what!r}", do="scriptflow list --tasks FLOW")
    if len(names) > 1:
        raise NotFound(
            f"{asked.what!r} means {len(names)} tasks", why=f"among them {', '.join(names[:_SHOWN])}",
            do=f"scriptflow why {names[0]} --blocked",
        )  # fmt: skip
    return names[0], known[0] if known else None


def _how(run: RunRecord) -> str:
    if run.status is RunState.RUNNING:
        return f"is running: {reading.counts_line(run)}"
    return {RunState.INTERRUPTED: "was cut short: its head died"}.get(run.status, f"has ended: {run.status}")


def _why(reader: StoreReader, run: RunRecord, job: JobRecord | None, known: Explained | None) -> Iterator[Why]:
    """Yield every reason for which a task does not run, the nearest first."""
    if run.status is RunState.INTERRUPTED:
        yield (
            "head-dead",
            f"the head of {run.run} (process {run.pid} on {run.host}) died; scriptflow run goes on from there",
        )
    elif run.status is not RunState.RUNNING:
        yield "run-ended", f"{run.run} has ended ({run.status}); nothing is running"
    if job is not None:
        yield _of_job(job, known, alive=run.status is RunState.RUNNING)
        return
    if known is not None and not known.run:
        yield "up-to-date", "it would not run"
        return
    before = list(_of_upstream(reader, run, known)) if known is not None else []
    yield from before
    if run.status is RunState.RUNNING and not before:
        yield from _of_room(reader, run, known)


def _of_job(job: JobRecord, known: Explained | None, *, alive: bool) -> Why:
    """Say what became of the task's newest job in the run."""
    where = job.executor + (f" as {job.executor_id}" if job.executor_id else "")
    more = f": {job.detail}" if job.detail else ""
    state = str(job.state)
    if state in ("started", "running"):
        if not alive:
            return "interrupted", f"its job {job.job} on {where} was running when the head died{more}"
        return (
            "running",
            f"it is running: job {job.job} on {where} since {reading.when(job.began or job.started)}{more}",
        )
    if state == "queued":
        return "queued", f"it waits in the queue of {where} since {reading.when(job.started)}{more}"
    if state == "succeeded":
        return "done", f"it ran in this run and ended well, {reading.when(job.ended or job.started)}"
    ended = f"attempt {job.attempt} ended ({reading.how_it_ended(job)}){more}"
    if alive and known is not None and job.attempt <= known.retries:
        return "retry", f"{ended}; it waits for attempt {job.attempt + 1} of {known.retries + 1}"
    return "failed", f"{ended}; nothing more of it starts in this run"


def _of_upstream(reader: StoreReader, run: RunRecord, known: Explained) -> Iterator[Why]:
    """Yield the tasks before it that have not ended well, and how they stand."""
    last = _last_of(reader, run)
    more = 0
    for name in known.upstream:
        job = last.get(name)
        state = "" if job is None else str(job.state)
        if state == "succeeded":
            continue
        more += 1
        if more > _SHOWN:
            continue
        if job is not None and state in ("failed", "lost", "cancelled"):
            how = f"{name} {state} ({reading.how_it_ended(job)}); scriptflow logs {name}"
            yield "upstream-failed", how
        elif job is not None:
            yield "waits-for", f"{name}, which is {'queued' if state == 'queued' else 'running'} on {job.executor}"
        else:
            yield "waits-for", f"{name}, which has not started"
    if more > _SHOWN:
        yield "waits-for", f"{words.count(more - _SHOWN)} more tasks"


def _last_of(reader: StoreReader, run: RunRecord) -> Mapping[str, JobRecord]:
    return {job.task: job for job in reader.jobs(run.id)}


def _of_room(reader: StoreReader, run: RunRecord, known: Explained | None) -> Iterator[Why]:
    """Say which executor is full, when nothing else is in the way."""
    taken: dict[str, int] = {}
    for state in ("started", "queued", "running"):
        for job in reader.jobs(run.id, state=state):
            taken[job.executor] = taken.get(job.executor, 0) + 1
    wanted = known.executor if known is not None else None
    busy = {name: number for name, number in taken.items() if wanted in (None, name)}
    if busy:
        full = ", ".join(f"{name} has {words.count(number)} in flight" for name, number in sorted(busy.items()))
        room = f" (room for {words.count(run.capacity)} in all)" if run.capacity else ""
        ahead = f"; {words.count(run.counts.queued)} tasks wait" if run.counts.queued else ""
        yield "no-room", f"{full}{room}{ahead}"
    else:
        yield "not-reached", "nothing stands in its way that is recorded: the flow has not come to it yet"
