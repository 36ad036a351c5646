"""``scriptflow plan``: read the command line of a dry run; ``cli.launch`` does the rest."""

from __future__ import annotations

from typing import Any

import click

from scriptflow.cli import launch
from scriptflow.cli.options import EXIT_CODES, Command, json_option, option, planned, request_from


@click.command(
    "plan",
    cls=Command,
    short_help="Show what a run would do, and why.",
    context_settings={"ignore_unknown_options": True},
    epilog=f"{EXIT_CODES}, 3 work is due (with --exit-code).",
)
@planned
@option("Output", "--exit-code", is_flag=True, help="Exit 3 when there is something to do.")
@json_option
@option("Output", "-v", "--verbose", count=True, help="Every task, and all its reasons.")
@click.pass_context
def command(context: click.Context, /, exit_code: bool, **given: Any) -> int:
    """Show what a run would do and why, and how far that is certain. Starts nothing.

    The flow function runs, its tasks do not: where it reads what only a real run could give, the plan ends, and says
    so.

    \b
    Examples:
      scriptflow plan
      scriptflow plan paper --n 100 -v
      scriptflow plan --exit-code --json
    """  # noqa: D301 (\b keeps click from refilling the examples)
    return launch.plan(request_from(context, given), exit_code=exit_code)
