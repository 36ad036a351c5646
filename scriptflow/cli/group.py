"""The click group: which commands there are, each loaded only when it is called.

Knows the commands' names and first lines, nothing of what they do.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from scriptflow.cli.main import COMMANDS, COMPLETE
from scriptflow.cli.options import change_folder, flow_names, run_names, task_names
from scriptflow.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Written here too, so that the help needs to load none of the commands.
SECTIONS = {
    "Run": {
        "run": "Run a flow: only tasks that are not up to date.",
        "plan": "Show what a run would do, and why.",
        "why": "Say why a task would run, or does not.",
        "retry": "Run only what failed or never started.",
        "cancel": "Stop the live run, or some of its tasks.",
        "submit": "Add a task to the run that this job belongs to.",
    },
    "Look": {
        "list": "List flows, their parameters and last state.",
        "status": "Show how a run goes, or went.",
        "runs": "List past runs.",
        "show": "Show one run or task in full.",
        "logs": "Print the logs of tasks.",
        "watch": "Watch a run until it ends.",
        "serve": "Serve the web view of runs.",
        "ui": "Open the web view in the browser.",
        "trace": "Show how a file was made, back to the sources.",
        "graph": "Draw a flow or a run.",
        "report": "Write a run as one HTML file.",
        "archive": "Write a run as one portable file.",
        "open": "Unpack an archived run to look at it.",
        "suggest": "Suggest memory, cpus and time from past runs.",
    },
    "Keep in order": {
        "clean": "List recorded outputs, and remove them.",
        "touch": "Take outputs for up to date as they are.",
        "forget": "Drop the records of tasks; files stay.",
    },
    "Set up": {
        "init": "Write a first sflow.py.",
        "doctor": "Check what works here, and how to mend the rest.",
        "config": "Show all settings and where each came from.",
        "notify": "Send a message, or try the channels for it.",
        "explain": "Print the long text of an error.",
        "completion": "Print the completion script of a shell.",
    },
}
ALIASES = {"lineage": "trace"}
"""Second names of commands, which the help does not list."""

_NAMES = {"FLOW": flow_names, "RUN": run_names, "TASK": task_names}


class _Named(click.types.StringParamType):
    """Text that is completed with the names its metavar speaks of."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for word in self._words for name in _NAMES[word](incomplete)]


class LazyGroup(click.Group):
    """A group that loads a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        for parameter in command.params:
            words = [word for word in _NAMES if word in (parameter.metavar or "")]
            if words and parameter.type is click.STRING:
                parameter.type = _Named(words)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first word; a word that is none names the nearest."""
        if args and args[0] not in (*COMMANDS, *ALIASES) and not ctx.resilient_parsing:
            from scriptflow.core.nearest import nearest

            near = nearest(args[0], COMMANDS)
            raise UsageError(
                f"no command `{args[0]}`",
                why=f"commands: {', '.join(COMMANDS)}",
                do=f"scriptflow {near}" if near else "scriptflow --help",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"scriptflow {version('scriptflow')}")
        context.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`scriptflow COMMAND --help` says more. Exit codes: 0 done, 1 a task or the flow failed, 2 wrong use and "
    "nothing started, 70 a bug of ours, 75 the store is held by a live run, 130/143 stopped by a signal.",
)
@click.option(
    "-C", "folder", metavar="DIR", expose_value=False, is_eager=True, callback=change_folder,
    help="Work as if called in DIR.",
)  # fmt: skip
@click.option("--file", metavar="PATH", help="The flow file, else sflow.py here or in the nearest folder above.")
@click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error (also after a command)."
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
@click.pass_context
def cli(context: click.Context, file: str | None) -> None:
    """Workflows as plain async Python: run what is not up to date, and say why."""
    context.ensure_object(dict)["file"] = file
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def invoke(words: list[str]) -> int:
    """Run the command that ``words`` spell and return its exit code.

    Raises:
        UsageError: they spell none.
    """
    stdout, stderr = sys.stdout, sys.stderr
    try:
        answer: Any = cli.main(
            words, prog_name="scriptflow", complete_var=COMPLETE, standalone_mode=False, obj={"words": words}
        )
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        what = error.format_message().strip().removesuffix(".")
        raise UsageError(
            what[:1].lower() + what[1:], do=f"{context.command_path if context else 'scriptflow'} --help"
        ) from error
    except SystemExit as error:  # completion ends so, and click when nobody reads on
        if sys.stdout is not stdout:  # click put a deaf one in its place
            sys.stdout, sys.stderr = stdout, stderr
            raise BrokenPipeError from error
        answer = error.code
    sys.stdout.flush()
    return answer if isinstance(answer, int) else 0
