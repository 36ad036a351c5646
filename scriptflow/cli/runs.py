"""List the runs of this folder, newest first; reads the store alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option

if TYPE_CHECKING:
    from pathlib import Path

    from scriptflow.core.records import RunRecord

_STATES = ("running", "succeeded", "failed", "cancelled", "interrupted")
_PAGE = 200
_NARROW = 90


@click.command("runs", cls=Command, short_help="List past runs.")
@option("Select", "--flow", metavar="FLOW", help="Only runs of this flow.")
@option("Select", "--state", type=click.Choice(_STATES), help="Only runs in this state.")
@option("Select", "--tag", metavar="TAG", help="Only runs with this tag.")
@option("Select", "--name", metavar="GLOB", help="Only runs that were given such a name.")
@option("Select", "-L", "--limit", metavar="N", type=click.IntRange(min=1), default=20, help="At most N runs.  [20]")
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@folder_option
def command(flow: str | None, state: str | None, tag: str | None, name: str | None, limit: int, as_json: bool) -> None:
    """List the runs of this folder, newest first.

    \b
    Examples:
      scriptflow runs
      scriptflow runs --flow paper --state failed
    """  # noqa: D301 (\b keeps click from refilling the examples)
    folder = reading.store_folder()
    found, more = chosen_runs(folder, flow, state, tag, name, limit) if folder is not None else ([], False)
    if as_json:
        reading.print_document([reading.run_row(run) for run in found])
    elif folder is None:
        click.echo(f"{reading.NOTHING_YET}; scriptflow run does", err=True)
    elif not found:
        click.echo("no run matches", err=True)
    else:
        reading.echo_lines(_table(found))
        if more:
            click.echo(f"showing the newest {len(found)}; -L N shows more", err=True)


def chosen_runs(
    folder: Path, flow: str | None, state: str | None, tag: str | None, name: str | None, limit: int
) -> tuple[list[RunRecord], bool]:
    """Return the newest ``limit`` runs that match, and whether there are more of them."""
    from fnmatch import fnmatchcase

    from scriptflow.store.reader import StoreReader

    found: list[RunRecord] = []
    offset = 0
    with StoreReader(folder) as reader:
        while page := reader.runs(limit=_PAGE, flow=flow, offset=offset):
            found += [
                run
                for run in page
                if (state is None or run.status == state)
                and (tag is None or tag in run.tags)
                and (name is None or fnmatchcase(run.name or "", name))
            ]
            if len(found) > limit or len(page) < _PAGE:
                break
            offset += _PAGE
    return found[:limit], len(found) > limit


def _table(runs: list[RunRecord]) -> list[str]:
    from scriptflow.terminal import words

    look, width = reading.stdout_look(), reading.stdout_width()
    rows: list[list[reading.Cell]] = []
    for run in runs:
        status = run.status
        sign, style = reading.glyph(status, look)
        rows.append(
            [
                (f"{sign} {run.run}", style),
                status,
                (words.count(run.counts.failed), "bold red" if run.counts.failed else ""),
                words.count(run.counts.ran),
                words.count(run.counts.skipped),
                reading.when(run.started, short=width < _NARROW),
                words.duration(reading.run_seconds(run)),
                " ".join([*([run.name] if run.name else []), *(f"#{tag}" for tag in run.tags)]),
            ]
        )
    # The order is that of weight: where there is no room, the last columns are left out.
    titles = ["RUN", "STATUS", ">FAILED", ">RAN", ">SAME", "STARTED", ">TIME", "NAME"]
    return reading.table(look, titles, rows, width=width, soft=(7, 0))
