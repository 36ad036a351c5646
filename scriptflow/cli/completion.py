"""``scriptflow completion``: print the script that teaches a shell to complete our words."""

from __future__ import annotations

import click


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell: commands, options, flows, tasks and runs.

    \b
    Examples:
      eval "$(scriptflow completion bash)"        # in ~/.bashrc
      eval "$(scriptflow completion zsh)"         # in ~/.zshrc
      scriptflow completion fish | source         # in ~/.config/fish/config.fish
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from click.shell_completion import get_completion_class

    from scriptflow.cli.group import cli
    from scriptflow.cli.main import COMPLETE

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    complete = kind(cli, {}, "scriptflow", COMPLETE)
    # Not .source(): for bash that starts a bash to ask its version, and the script is the same for all of them.
    click.echo(complete.source_template % complete.source_vars())
