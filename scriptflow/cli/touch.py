"""``scriptflow touch``: record tasks as done with the files that lie there; nothing is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, file_option, folder_option, json_option, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.cli.launch import Ready
    from scriptflow.core.task import Task
    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life
    from scriptflow.outcome import Plan


@click.command(
    "touch",
    cls=Command,
    short_help="Take outputs for up to date as they are.",
    epilog="Exit codes: 0 done, 1 a task could not be accepted, 2 wrong use, 75 the store is held by a live run.",
)
@click.argument("tasks", nargs=-1, metavar="[TASK]...")
@option("Select", "-a", "--all", "every", is_flag=True, help="All tasks of the flow whose outputs are there.")
@option("Select", "--flow", metavar="FLOW", help="The flow; may be left out when there is one.")
@option("Select", "-p", "--param", "params", multiple=True, metavar="K=V",
        help="A parameter of the flow. [as in its newest run]")  # fmt: skip
@json_option
@file_option
@folder_option
def command(
    tasks: tuple[str, ...], every: bool, flow: str | None, params: tuple[str, ...], as_json: bool, file: str | None
) -> int:
    """Record TASKs (names, quoted globs, outputs, group:NAME) as done with inputs and outputs as they are now.

    The next run finds them up to date. Good after a fresh clone with results in it, after an edit that changes
    nothing (a comment in a script), or when a result was mended by hand. All outputs must be there; an older version
    that was set aside is given up.

    \b
    Examples:
      scriptflow touch fit-3
      scriptflow touch -a
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.cli.launch import load_flow_file
    from scriptflow.errors import UsageError
    from scriptflow.session import STORE
    from scriptflow.store.sqlite import SqliteStore

    if every == bool(tasks):
        raise UsageError("touch takes tasks, or -a for all of them", do="scriptflow touch TASK, or scriptflow touch -a")
    chosen = load_flow_file(file)
    name = chosen.choose(flow).name if flow else chosen.choose().name
    store = SqliteStore.open(f"{chosen.folder}/{STORE}", relative=True)
    try:
        finder = _Finder(tasks, every=every)
        plan, what = _look_through(finder, f"{chosen.folder}/{STORE}", name, params, file)
        from scriptflow.cli.accepting import accept

        accepted = [] if finder.head is None else accept(store, what, finder.head, finder.ready)
    finally:
        store.close()
    return _say(accepted, finder, plan, as_json=as_json)


class _Finder:
    """Chooses among the tasks of a flow that would run.

    Attributes:
        ready: can be accepted. refused: cannot, and why. fresh: are up to date already.
    """

    def __init__(self, patterns: Sequence[str], *, every: bool) -> None:
        self._patterns = patterns
        self._every = every
        self.head: Head | None = None
        self.ready: list[Task] = []
        self.refused: dict[str, str] = {}
        self.fresh: list[str] = []

    def take_in(self, head: Head, lives: Sequence[Life]) -> None:
        """Sort the tasks that are asked for."""
        from scriptflow.cli.accepting import objection
        from scriptflow.engine.wishes import matches
        from scriptflow.errors import NotFound

        self.head = head
        known = head.known()
        for pattern in self._patterns:
            if not any(matches(task, pattern) for task in known):
                raise NotFound(f"no task of this flow is called {pattern!r}", do="scriptflow list --tasks FLOW")
        wanted = [task for task in known if self._every or any(matches(task, one) for one in self._patterns)]
        due = {id(life.task) for life in lives}
        for task in wanted:
            # One that only its files' times say is up to date has no record yet, and gets one.
            if id(task) not in due and any(head.files.relative(str(path)) in head.latest for path in task._outputs):
                self.fresh.append(str(task.name))
            elif problem := objection(head, task):
                # Of all tasks those without outputs are no surprise: they run every time.
                if not self._every or task._outputs:
                    self.refused[str(task.name)] = problem
            else:
                self.ready.append(task)


def _look_through(
    finder: _Finder, folder: str, flow: str, params: tuple[str, ...], file: str | None
) -> tuple[Plan, Ready]:
    from scriptflow.cli.launch import Request
    from scriptflow.cli.planning import as_run_last, looked_through
    from scriptflow.store.reader import StoreReader

    with StoreReader(folder) as reader:
        last = reader.flows().get(flow)
    request = Request(words=(flow,), params=params, file=file) if params else as_run_last(flow, last, file=file)
    return looked_through(request, finder.take_in)


def _say(accepted: Sequence[str], finder: _Finder, plan: Plan, *, as_json: bool) -> int:
    document: dict[str, Any] = {
        "schema": 1, "flow": plan.flow, "accepted": list(accepted), "up_to_date": finder.fresh,
        "refused": [{"task": name, "why": why} for name, why in finder.refused.items()], "complete": plan.complete,
    }  # fmt: skip
    if as_json:
        reading.print_document(document)
        return int(bool(finder.refused))
    look = reading.stdout_look()
    reading.echo_lines([f"accepted  {look.safe(name)}" for name in accepted])
    reading.echo_lines([f"refused   {look.safe(name)}: {look.safe(why)}" for name, why in finder.refused.items()])
    if finder.fresh:
        reading.echo_lines([f"{len(finder.fresh)} up to date already"])
    if not (accepted or finder.refused or finder.fresh):
        reading.echo_lines(["nothing to accept"])
    if not plan.complete:
        click.echo(
            f"the flow could be looked through only to {look.safe(plan.stopped_at)}; later tasks are not known",
            err=True,
        )
    return int(bool(finder.refused))
