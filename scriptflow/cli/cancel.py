"""``scriptflow cancel``: stop the live run, or some of its tasks, from any shell that sees its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from scriptflow.core.records import RunRecord

_ENDS_WITHIN_S = 10.0
_LOOK_S = 0.1
_SHOWN = 10


@click.command("cancel", cls=Command, short_help="Stop the live run, or some of its tasks.")
@click.argument("what", nargs=-1, metavar="[RUN|TASK]...")
@json_option
@folder_option
def command(what: tuple[str, ...], as_json: bool) -> None:
    """Stop the live run, or some of its tasks, from any shell, also on another machine that shares the disk.

    A RUN (also when nothing is said) is stopped as by one Ctrl-C: nothing new starts, jobs are told to end, and
    `scriptflow run` there exits with 130. Of a TASK (a name, a quoted glob, an output, group:NAME, state:running) the
    job is told to end, what waits is called off, what needs it is not started; the rest of the run goes on.

    \b
    Examples:
      scriptflow cancel
      scriptflow cancel paper-7
      scriptflow cancel 'fit-*' group:plots
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.asking import ask, live_run
    from scriptflow.errors import NoLiveRun

    folder = reading.store_folder_or_fail()
    live = live_run(str(folder))
    if live is None:
        raise NoLiveRun("no run is live here, so there is nothing to stop", do="scriptflow status")
    if not what or (len(what) == 1 and _is_run(folder, what[0], live)):
        answer = ask(str(folder), "cancel", {"run": True})
        ended = _has_ended(folder, live)
        _say_run(live, answer, ended=ended, as_json=as_json)
    else:
        answer = ask(str(folder), "cancel", {"tasks": list(what)})
        _say_tasks(live, answer, as_json=as_json)


def _is_run(folder: Path, word: str, live: RunRecord) -> bool:
    """Whether a word names the live run.

    Raises:
        NoLiveRun: it names one that is over.
    """
    from scriptflow.errors import NoLiveRun
    from scriptflow.store.reader import StoreReader

    with StoreReader(folder) as reader:
        run = reading.run_named(reader, word)
        if run is None or (run.id != live.id and reader.find_tasks(word)):
            return False
    if run.id != live.id:
        raise NoLiveRun(f"{run.run} is over", why=f"live is {live.run}", do=f"scriptflow cancel {live.run}")
    return True


def _has_ended(folder: Path, run: RunRecord) -> bool:
    """Wait a little for the end of a run that was told to end: most are quick about it."""
    import time

    from scriptflow.store.reader import StoreReader

    deadline = time.monotonic() + _ENDS_WITHIN_S
    with StoreReader(folder) as reader:
        while reader.find_run(run.run).status == "running":
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
    return True


def _say_run(run: RunRecord, answer: dict[str, Any], *, ended: bool, as_json: bool) -> None:
    if as_json:
        reading.print_document({"schema": 1, "run": run.run, "running": answer.get("running"), "ended": ended})
        return
    look = reading.stdout_look()
    jobs = answer.get("running") or 0
    told = f"  {jobs} job{'' if jobs == 1 else 's'} told to end" if jobs else ""
    if ended:
        reading.echo_lines(
            [f"{look.safe(run.run)} was stopped{told}", f"  go on: scriptflow run {look.safe(run.flow)}"]
        )
    else:
        reading.echo_lines([f"{look.safe(run.run)} is stopping{told}", f"  follow: scriptflow watch {run.run}"])


def _say_tasks(run: RunRecord, answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        rest = {key: value for key, value in answer.items() if key != "ok"}
        reading.print_document({"schema": 1, "run": run.run, **rest})
        return
    look = reading.stdout_look()
    for key, word in (("stopped", "told to end"), ("called_off", "called off")):
        names, count = answer.get(key) or [], answer.get(f"{key}_count") or 0
        reading.echo_lines([f"{word}  {look.safe(name)}" for name in names[:_SHOWN]])
        if count > _SHOWN:
            reading.echo_lines([f"{word}  … {count - _SHOWN} more"])
