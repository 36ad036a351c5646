"""``scriptflow run``: read the command line of a run; ``cli.launch`` does the rest."""

from __future__ import annotations

from typing import Any

import click

from scriptflow.cli import launch
from scriptflow.cli.options import EXIT_CODES, PROGRESS_CHOICE, Command, option, planned, request_from


@click.command(
    "run",
    cls=Command,
    short_help="Run a flow: only tasks that are not up to date.",
    context_settings={"ignore_unknown_options": True},
    epilog=f"{EXIT_CODES}, 75 the store is held by a live run, 130/143 stopped by a signal.",
)
@planned
@option("Run", "-n", "--dry-run", is_flag=True, help="Show what would run and why; start nothing.")
@option("Run", "-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="Slots on this machine. [cores]")
@option("Run", "-x", "--fail-fast", is_flag=True, help="Start nothing new after a failure. [keep going]")
@option("Run", "--retries", type=click.IntRange(min=0), metavar="N", help="Try failed tasks N more times. [0]")
@option("Run", "--name", metavar="TEXT", help="Name this run.")
@option("Run", "--tag", "tags", multiple=True, metavar="TEXT", help="Mark this run.")
@option("Run", "--detach", is_flag=True, help="Run in the background, output in .scriptflow/detached.log.")
@option("Output", "--progress", type=PROGRESS_CHOICE, help="How to show progress, on stderr. [auto]")
@option("Output", "--events", metavar="PATH", help="Write every event as a line of JSON; - is stdout.")
@option("Output", "--json", "as_json", is_flag=True, help="Print the result as one JSON document, last on stdout.")
@option("Output", "-q", "--quiet", count=True, help="Failures and the summary only; -qq nothing at all.")
@option("Output", "-v", "--verbose", count=True, help="Also skipped tasks and commands.")
@click.pass_context
def command(context: click.Context, /, dry_run: bool, detach: bool, **given: Any) -> int:
    """Run a flow: only tasks whose inputs, command or outputs changed.

    FLOW may be left out when there is one. Parameters of the flow are options: `--n 3`, `--no-plot`; where such a
    name is an option of this command too, write `-p n=3`.

    \b
    Examples:
      scriptflow run paper --n 100
      scriptflow run -n
      scriptflow run paper --only 'tables-*' -j 8
    """  # noqa: D301 (\b keeps click from refilling the examples)
    request = request_from(context, given)
    if dry_run:
        return launch.plan(request)
    if detach:
        return launch.detach(request)
    return launch.run(request)
