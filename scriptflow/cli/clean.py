"""``scriptflow clean``: list what was made, or old runs and logs, and with ``--yes`` remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, file_option, folder_option, json_option, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.cli.cleaning import Verdict
    from scriptflow.store.keeping import Made
    from scriptflow.store.reader import StoreReader

_SHOWN = 50
_KEEP = 20


@click.command(
    "clean",
    cls=Command,
    short_help="List recorded outputs, and remove them.",
    epilog="Exit codes: 0 done, 1 something could not be removed, 2 wrong use, 75 a run is live: nothing was removed.",
)
@click.argument("flow", required=False, metavar="[FLOW]")
@option("Do", "--yes", is_flag=True, help="Remove what is listed.")
@option("Do", "--force", is_flag=True, help="Also what was changed by hand, or lies outside the project.")
@option("Select", "--only", metavar="GLOB", help="Outputs of matching tasks only.")
@option("Select", "--orphans", is_flag=True, help="Outputs that no task of a flow declares any more.")
@option(
    "Select",
    "--runs",
    is_flag=True,
    help="Not outputs: old runs with their logs, and values and code that nothing needs.",
)
@option("Select", "--logs", is_flag=True, help="Not outputs: the logs of old runs.")
@option(
    "Select", "--keep", type=click.IntRange(min=1), metavar="N",
    help=f"With --runs or --logs: keep the newest N runs of each flow. [{_KEEP}]",
)  # fmt: skip
@json_option
@file_option
@folder_option
def command(
    flow: str | None, yes: bool, force: bool, only: str | None, orphans: bool, runs: bool, logs: bool,
    keep: int | None, as_json: bool, file: str | None,
) -> int:  # fmt: skip
    """List the outputs that are recorded as made by the tasks of FLOW (of all flows); with --yes remove them.

    Never removed: an input that no task made, a file that was there before a task made it, a folder that holds other
    files, anything behind a link that leads out of the project. A file that was changed since its task made it goes
    only with --force. Records stay: `scriptflow run` makes again what is missing.

    \b
    Examples:
      scriptflow clean
      scriptflow clean paper --yes
      scriptflow clean --orphans
      scriptflow clean --runs --keep 5 --yes
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.errors import UsageError
    from scriptflow.store.reader import StoreReader

    folder = reading.store_folder_or_fail()
    if (runs or logs) and (orphans or only or force or (runs and logs)):
        raise UsageError(
            "--runs and --logs go with FLOW, --keep and --yes alone", do="scriptflow clean --runs --keep 5"
        )
    if keep is not None and not (runs or logs):
        raise UsageError("--keep goes with --runs or --logs", do=f"scriptflow clean --runs --keep {keep}")
    held = None
    if yes:
        from scriptflow.store.sqlite import SqliteStore

        # Held from before the look to after the last removal: nothing is made meanwhile.
        held = SqliteStore.open(folder)
    try:
        with StoreReader(folder, relative=True) as reader:
            if flow is not None:
                _check_flow(reader, flow)
            if runs or logs:
                from scriptflow.cli.clean_runs import clean_logs, clean_runs

                kept = keep or _KEEP
                if runs:
                    return clean_runs(reader, held, kept, flow, as_json=as_json)
                return clean_logs(reader, kept, flow, yes=yes, as_json=as_json)
            made = _chosen(reader, flow, only, file, orphans=orphans)
        return _outputs(made, str(folder.parent), yes=yes, force=force, as_json=as_json)
    finally:
        if held is not None:
            held.close()


def _check_flow(reader: StoreReader, flow: str) -> None:
    from scriptflow.errors import NotFound

    known = reader.flows()
    if flow not in known:
        from scriptflow.core.nearest import nearest

        near = nearest(flow, known)
        raise NotFound(
            f"no run of a flow {flow!r} is recorded",
            why=f"recorded are: {', '.join(known) or 'none'}",
            do=f"scriptflow clean {near}" if near else "scriptflow runs",
        )


def _chosen(reader: StoreReader, flow: str | None, only: str | None, file: str | None, *, orphans: bool) -> list[Made]:
    from fnmatch import fnmatchcase

    from scriptflow.store.keeping import made

    found = [one for one in made(reader, flow) if only is None or fnmatchcase(one.task, only)]
    if orphans:
        from scriptflow.cli.orphans import without_home

        return without_home(found, reader, file)
    return found


def _outputs(made: Sequence[Made], project: str, *, yes: bool, force: bool, as_json: bool) -> int:
    from scriptflow.cli.cleaning import Judge, remove
    from scriptflow.core.frozen import changed

    judge = Judge(project, force=force)
    try:
        verdicts = judge.verdicts(made)
    finally:
        judge.close()
    failed = False
    if yes:
        for at, verdict in enumerate(verdicts):
            problem = "" if verdict.why else remove(verdict, project)
            if problem:
                failed = True
                verdicts[at] = changed(verdict, why=problem)
    if as_json:
        _print_json(verdicts, removed=yes)
    else:
        _say(verdicts, removed=yes)
    return int(failed)


def _print_json(verdicts: Sequence[Verdict], *, removed: bool) -> None:
    rows = [
        {"path": one.path, "bytes": one.size, "task": one.made.task, "run": one.made.run, "why": one.why}
        for one in verdicts
    ]
    gone = [{key: value for key, value in row.items() if key != "why"} for row in rows if not row["why"]]
    kept = [row for row in rows if row["why"]]
    total = sum(one.size for one in verdicts if not one.why)
    reading.print_document({"schema": 1, "removed": removed, "files": gone, "kept": kept, "bytes": total})


def _say(verdicts: Sequence[Verdict], *, removed: bool) -> None:
    from scriptflow.core.units import size_text
    from scriptflow.terminal import words

    look, width = reading.stdout_look(), reading.stdout_width()
    gone, kept = [one for one in verdicts if not one.why], [one for one in verdicts if one.why]
    total = size_text(sum(one.size for one in gone))
    head = "removed" if removed else "would remove"
    reading.echo_lines([f"{head} {words.count(len(gone))} output{'' if len(gone) == 1 else 's'}, {total}"])
    rows: list[list[reading.Cell]] = [
        [f"  {one.path}", size_text(one.size), one.made.task, one.made.run] for one in gone[:_SHOWN]
    ]
    if rows:
        reading.echo_lines(reading.table(look, ["", ">", "", ""], rows, width=width, soft=(2, 0)))
    if len(gone) > _SHOWN:
        reading.echo_lines([f"  and {words.count(len(gone) - _SHOWN)} more; --json lists all"])
    if kept:
        reading.echo_lines([f"kept {words.count(len(kept))}"])
        rows = [[f"  {one.path}", one.why, "--force removes it" if one.by_force else ""] for one in kept[:_SHOWN]]
        reading.echo_lines(reading.table(look, ["", "", ""], rows, width=width, soft=(0,)))
        if len(kept) > _SHOWN:
            reading.echo_lines([f"  and {words.count(len(kept) - _SHOWN)} more; --json lists all"])
    if gone and not removed:
        click.echo("the same with --yes removes them", err=True)
