"""``scriptflow why``: say why tasks would run, ran, or do not run now; nothing is started and nothing written."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from scriptflow.cli import launch, reading
from scriptflow.cli.options import EXIT_CODES, PLANNED_OPTIONS, Command, json_option, option
from scriptflow.errors import NotFound, ScriptflowError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scriptflow.core.task import Task
    from scriptflow.engine.plan import LateHead
    from scriptflow.flowfile.discover import Flow, FlowFile
    from scriptflow.outcome import Explained
    from scriptflow.store.reader import StoreReader

_NAMES = 10_000


def _with_options(command: Any) -> Any:  # noqa: ANN401
    for declare in reversed(PLANNED_OPTIONS):
        command = declare(command)
    return command


@click.command(
    "why",
    cls=Command,
    short_help="Say why a task would run, or does not.",
    epilog=f"{EXIT_CODES}.",
)
@click.argument("what", metavar="[TASK|FILE]", required=False)
@option("Select", "-a", "--all", "everything", is_flag=True, help="Every task of the flow.")
@option("Select", "--blocked", is_flag=True, help="Why a task is not running now.")
@option("Select", "--run", metavar="RUN", help="Why it ran in this past run.")
@option("Select", "--flow", metavar="FLOW", help="The flow to ask, where there are several.")
@_with_options
@json_option
def command(what: str | None, everything: bool, **given: Any) -> None:
    """Say why a task would run, with old and new values; of one that is up to date, what it was compared with.

    TASK is a name, a quoted glob, an output, `group:NAME` or `state:failed`. FILE is an output, or an input: then all
    tasks that read it answer. The flow is gone through with the parameters of its last run; -p gives others.

    \b
    Examples:
      scriptflow why total
      scriptflow why data/panel.csv
      scriptflow why -a
      scriptflow why fit-3 --blocked
      scriptflow why fit-3 --run paper-7
    """  # noqa: D301 (\b keeps click from refilling the examples)
    if (what is None) != everything:
        raise UsageError("name one task or file, or ask about all with -a", do="scriptflow why TASK")
    asked = Question(what, given)
    if given["blocked"]:
        from scriptflow.cli.blocked import tell_blocked

        tell_blocked(asked, given["run"], as_json=given["as_json"])
    elif given["run"] is not None:
        _tell_past(asked, given["run"], as_json=given["as_json"])
    else:
        explained, unsure = asked.explain(everything=everything)
        _tell(asked, explained, unsure, as_json=given["as_json"], exact=what is not None)


class Question:
    """What was asked, and where the answer is looked for.

    Attributes:
        what: task or file, "" for all.
    """

    def __init__(self, what: str | None, given: dict[str, Any]) -> None:
        self.what = what or ""
        self._given = given
        self._file: FlowFile | None = None
        self._typed = str(reading.here() / self.what)

    @property
    def flow_file(self) -> FlowFile:
        """The flow file, loaded when it is needed; nothing is written beside it."""
        if self._file is None:
            sys.dont_write_bytecode = True
            self._file = launch.load_flow_file(self._given["file"])
        return self._file

    def reader(self) -> StoreReader:
        """Open the store.

        Raises:
            NotFound: nothing has been run here.
        """
        from scriptflow.store.reader import StoreReader

        return StoreReader(reading.store_folder_or_fail(), relative=True, still=True)

    def explain(self, *, everything: bool = False) -> tuple[list[Explained], str]:
        """Go through the flow and explain the chosen tasks."""
        from scriptflow.outcome import RunOptions
        from scriptflow.plans import explain_tasks, open_reader
        from scriptflow.settings_files import load_settings

        given, file = self._given, self.flow_file
        flags = [("--check", {"check": given["check"]})] if given["check"] else []
        reader = open_reader(file.folder)
        try:
            flow = file.choose(given["flow"] or self._recorded_flow(reader))
            settings = load_settings(file.folder, profile=given["profile"], mark=flow.options, flags=flags)
            params = self._params(flow, reader)
            named = set(reader.find_tasks(self.what)) if reader and self.what.startswith("state:") else None
        finally:
            if reader is not None:
                reader.close()
        options = RunOptions(force=given["force"], executor=given["executor"])
        choose = _everything if everything else self._chooser(named, file.folder, flow)
        return explain_tasks(file, flow, params, settings, options, choose, few=not everything)

    def _recorded_flow(self, reader: StoreReader | None) -> str | None:
        """Return the flow that ran such a task last, None where that says nothing."""
        if reader is None or not self.what or len(self.flow_file.flows) == 1:
            return None
        names = reader.find_tasks(self.what)
        last = reader.last_job(names[0]) if names else None
        flow = last.run.rpartition("-")[0] if last is not None else None
        return flow if any(flow == known.name for known in self.flow_file.flows) else None

    def _params(self, flow: Flow, reader: StoreReader | None) -> dict[str, Any]:
        """Return the parameters given, else those of the flow's last run where they still fit, else the defaults."""
        given = self._given
        if given["params"] or given["params_file"]:
            from scriptflow.cli.flow_words import read_params_file, read_words

            _, strings = read_words((flow.name,), given["params"], self.flow_file)
            return flow.bind(strings, read_params_file(given["params_file"]) if given["params_file"] else {})
        last = reader.flows().get(flow.name) if reader is not None else None
        if last is not None and last.params:
            try:
                return flow.bind({}, dict(last.params))
            except ScriptflowError:  # the flow takes others by now
                pass
        return flow.bind({})

    def _chooser(self, named: set[str] | None, folder: str, flow: Flow) -> Callable[[LateHead], Sequence[Task]]:
        def choose(head: LateHead) -> Sequence[Task]:
            found = _found(head, self.what, self._typed, named)
            if not found:
                raise self._unknown(head, flow)
            return found

        return choose

    def _unknown(self, head: LateHead, flow: Flow) -> NotFound:
        from scriptflow.core.nearest import nearest

        names = [str(task.name) for task in head.taken[:_NAMES]]
        near = nearest(self.what, names)
        below = self.what.rstrip("/") + "/"
        inside = any(str(path).startswith(below) for task in head.taken[:_NAMES] for path in task._outputs)
        do = f"scriptflow why '{below}*'" if inside else f"scriptflow why {near}" if near else "scriptflow why -a"
        why = [f"near it: {near}"] if near else []
        why += ["it is a folder, and no task names it as a whole"] if inside else []
        return NotFound(f"no task of flow {flow.name} is called {self.what!r}, makes it or reads it", why=why, do=do)


def _everything(head: LateHead) -> Sequence[Task]:
    return head.taken


def _found(head: LateHead, what: str, typed: str, named: set[str] | None) -> Sequence[Task]:
    """Return the tasks that a word means, the closest meaning first: name, output, glob of either, input."""
    declared, taken = head.declared, head.taken
    path = typed.removeprefix(head.folder + "/")
    if named is not None:
        return [task for task in taken if str(task.name) in named]
    if what.startswith("group:"):
        return [task for task in taken if task._group == what.removeprefix("group:")]
    exact = declared.names.get(what) or declared.maker(what) or declared.maker(path)
    if exact is not None:
        return [exact]
    found = [task for task in taken if fnmatchcase(str(task.name), what)]
    found = found or [task for task in taken if any(fnmatchcase(str(made), what) for made in task._outputs)]
    return found or [task for task in taken if _reads(task, what, head.folder) or _reads(task, path, head.folder)]


def _reads(task: Task, path: str, folder: str) -> bool:
    from scriptflow.core.paths import Glob

    paths = (item for item in task.inputs if not isinstance(item, Glob))
    return any(item.removeprefix(folder + "/") == path for item in paths) or any(
        fnmatchcase(path, item.pattern) for item in task.inputs if isinstance(item, Glob)
    )


def _tell(asked: Question, explained: Sequence[Explained], unsure: str, *, as_json: bool, exact: bool) -> None:
    """Print why tasks would run."""
    from scriptflow.cli.why_text import document, full_lines, short_lines

    store = f"{asked.flow_file.folder}/{reading.STORE}"
    single = exact and len(explained) == 1
    if as_json:
        certain = {"complete": not unsure} | ({"stopped_at": unsure} if unsure else {})
        tasks = [document(one, store) for one in explained]
        reading.print_document({"schema": 1} | (tasks[0] | certain if single else {"tasks": tasks} | certain))
        return
    look, width = reading.stdout_look(), reading.stdout_width()
    lines = []
    if exact:
        for at, one in enumerate(explained):
            lines += [*([""] if at else []), *full_lines(look, one, store, width)]
    else:
        lines = short_lines(look, explained, width)
    if unsure:
        lines.append(f"{look.more} certain up to {look.safe(unsure)}")
    reading.echo_lines(lines)


def _tell_past(asked: Question, run: str, *, as_json: bool) -> None:
    """Print why tasks ran in a past run: what was recorded, beside the job before."""
    from scriptflow.cli.why_text import document, full_lines, past, past_run, short_lines

    with asked.reader() as reader:
        record = reader.find_run(run)
        names = reader.find_tasks(asked.what, record.id) if asked.what else ()
        explained = [past(reader, reader.attempts(record.id, name)[0]) for name in names]
        if not asked.what:
            explained = past_run(reader, record)
        elif not names:
            reading.jobs_named(reader, asked.what, None)  # raises when nobody ever heard of it
            raise NotFound(
                f"{asked.what} had no job in {record.run}", why="it was up to date then, or not part of that run",
                do=f"scriptflow show {record.run}",
            )  # fmt: skip
        store = str(reading.store_folder_or_fail())
    single = bool(asked.what) and len(explained) == 1
    if as_json:
        tasks = [document(one, store) for one in explained]
        reading.print_document({"schema": 1, "of_run": record.run} | (tasks[0] if single else {"tasks": tasks}))
        return
    look, width = reading.stdout_look(), reading.stdout_width()
    if asked.what:
        for one in explained:
            reading.echo_lines(full_lines(look, one, store, width, of_run=record.run))
    else:
        reading.echo_lines(short_lines(look, explained, width, of_run=record.run))
