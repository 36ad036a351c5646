"""``scriptflow watch``: how a run stands, again and again until it ends; its exit code is the run's."""

from __future__ import annotations

import click

from scriptflow.cli import reading, status
from scriptflow.cli.options import Command, folder_option, option

_EXIT_CODES = {"succeeded": 0, "failed": 1, "cancelled": 130, "interrupted": 1}


@click.command(
    "watch",
    cls=Command,
    short_help="Watch a run until it ends.",
    epilog="Exit codes: 0 it succeeded, 1 it failed or its process is gone, 130 it was stopped.",
)
@click.argument("run", required=False, default="last", metavar="[RUN]")
@option("Select", "--group", metavar="NAME", help="Only tasks of this group.")
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, at the end.")
@folder_option
def command(run: str, group: str | None, as_json: bool) -> int:
    """Watch a run from any terminal until it ends: counts, what runs, what failed. Ctrl-C ends the watching only.

    The exit code is the run's, so that a script can wait for a run: `scriptflow watch && make paper`.

    \b
    Examples:
      scriptflow watch
      scriptflow watch paper-7
    """  # noqa: D301 (\b keeps click from refilling the examples)
    folder = reading.store_folder_or_fail()
    ended = status.show(folder, run, status.Screen(), group=group, watch=True, as_json=as_json)
    return _EXIT_CODES.get(ended.run.status, 1)
