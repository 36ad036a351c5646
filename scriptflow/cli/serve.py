"""``scriptflow serve`` and ``scriptflow ui``: the web view of this folder's runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 8181
_TOKENS = "web.tokens"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_COLLECTED = "collected"
_ACTIONS = option("Serve", "--allow-actions", is_flag=True, help="Let who has the action token cancel and retry.")


@click.command("serve", cls=Command, short_help="Serve the web view of runs.")
@option("Serve", "--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen.  [127.0.0.1]")
@option("Serve", "--port", default=PORT, metavar="N", type=click.IntRange(0, 65535), help="0 finds one.  [8181]")
@option("Serve", "--name", "names", multiple=True, metavar="HOST", help="A name that browsers may call it by.")
@option("Serve", "--token-file", metavar="FILE", type=click.Path(path_type=Path), help="Tokens to be asked for.")
@_ACTIONS
@option(
    "Serve",
    "--ingest",
    metavar="[DIR]",
    is_flag=False,
    flag_value="",
    type=click.Path(file_okay=False),
    help="Take in runs of other machines, too; keep them in DIR.  [.scriptflow/collected]",
)
@folder_option
def command(
    host: str, port: int, names: tuple[str, ...], token_file: Path | None, allow_actions: bool, ingest: str | None
) -> None:
    """Serve the web view of this folder's runs: while they go on, and years later.

    Whoever looks needs a token; the address printed has it. Tokens are made once and kept in .scriptflow/web.tokens,
    with --ingest in DIR/web.tokens, where the one for the machines that send is, too.
    It listens on this machine only. Elsewhere it needs a --token-file, and should stand behind a proxy that speaks
    https. Ctrl-C ends it; no run notices.

    \b
    Examples:
      scriptflow serve
      scriptflow serve --port 0 --allow-actions
      scriptflow serve --ingest /srv/flows
      ssh -N -L 8181:127.0.0.1:8181 me@login   # then open the address here
    """  # noqa: D301 (\b keeps click from refilling the examples)
    _check_open(host, token_file)
    folder = None if ingest is None else reading.here() / (ingest or f"{reading.STORE}/{_COLLECTED}")
    _serve(host, port, names, token_file, allow_actions=allow_actions, ingest=folder, opened=_say_address)


@click.command("ui", cls=Command, short_help="Open the web view in the browser.")
@option("Serve", "--port", default=0, metavar="N", type=click.IntRange(0, 65535), help="By default one that is free.")
@option("Serve", "--no-browser", is_flag=True, help="Print the address, and open nothing.")
@_ACTIONS
@folder_option
def ui(port: int, no_browser: bool, allow_actions: bool) -> None:
    """Serve the web view on this machine and open it in the browser. Ctrl-C ends it.

    \b
    Examples:
      scriptflow ui
    """  # noqa: D301 (\b keeps click from refilling the examples)

    def opened(addresses: dict[str, str]) -> None:
        _say_address(addresses)
        if not no_browser:
            import threading
            import webbrowser

            # Some browsers keep whoever starts them waiting.
            best = addresses.get("action", addresses["view"])
            threading.Thread(target=webbrowser.open, args=(best,), daemon=True).start()

    _serve("127.0.0.1", port, (), None, allow_actions=allow_actions, opened=opened)


def _check_open(host: str, token_file: Path | None) -> None:
    if host in _LOOPBACK or (token_file is not None and token_file.exists()):
        return
    from scriptflow.errors import UsageError

    raise UsageError(
        f"--host {host} lets other machines in, and no tokens are given",
        why="whoever reaches the port could try to read logs and parameters",
        do=f"umask 077; scriptflow serve --port 0 makes tokens; then --token-file {reading.STORE}/{_TOKENS}",
    )


def _serve(
    host: str,
    port: int,
    names: tuple[str, ...],
    token_file: Path | None,
    *,
    allow_actions: bool,
    opened: Callable[[dict[str, str]], None],
    ingest: Path | None = None,
) -> None:
    from scriptflow.web.app import make_app
    from scriptflow.web.server import listen, serve
    from scriptflow.web.tokens import load_tokens

    if ingest is None:
        kept_in = reading.store_folder_or_fail()
        shown = {_name_of(kept_in): str(kept_in)}.copy
    else:
        kept_in, shown = ingest, _local  # what is run here later on is shown, too
        _make_folder(ingest)
    scopes = ("view", *(["action"] if allow_actions else []), *([] if ingest is None else ["ingest"]))
    path = token_file or kept_in / _TOKENS
    tokens = load_tokens(path, scopes)
    sock = listen(host, port)
    number = sock.getsockname()[1]
    server = f"http://{f'[{host}]' if ':' in host else host}:{number}"
    addresses = {scope: f"{server}/?token={tokens[scope]}" for scope in scopes if scope != "ingest"}
    if ingest is not None:
        addresses["ingest"] = f'server = "{server}"; their token is in {path}'

    app = make_app(
        shown,
        tokens=tokens,
        allow_actions=allow_actions,
        hosts=[host, *names],
        ingest=None if ingest is None else str(ingest),
    )
    click.get_current_context().exit(serve(app, sock, lambda: opened(addresses)))


def _local() -> dict[str, str]:
    folder = reading.store_folder()
    return {} if folder is None else {_name_of(folder): str(folder)}


def _name_of(store: Path) -> str:
    return store.resolve().parent.name or "project"


def _make_folder(folder: Path) -> None:
    """Make the folder for what is collected, for its owner alone."""
    from scriptflow.errors import UsageError

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make {folder}", why=error.strerror or str(error), do="name another with --ingest DIR"
        ) from error


def _say_address(addresses: dict[str, str]) -> None:
    click.echo(f"serving on {addresses['view']}", err=True)
    if "action" in addresses:
        click.echo(f"to cancel and retry: {addresses['action']}", err=True)
    if "ingest" in addresses:
        click.echo(f"for projects elsewhere: {addresses['ingest']}", err=True)
    click.echo("Ctrl-C ends it; runs go on", err=True)
