"""``scriptflow notify``: send a message through the configured channels, or try each of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scriptflow.cli.options import Command, file_option, folder_option, json_option, option

if TYPE_CHECKING:
    from scriptflow.notices.channel import Channel
    from scriptflow.notices.note import Note

TEST = "test"


@click.command("notify", cls=Command, short_help="Send a message, or try the channels for it.")
@click.argument("words", nargs=-1, required=True, metavar="TEXT | test [CHANNEL]...")
@option("Message", "--html", metavar="TEXT", help="The same with markup, for channels that can.")
@option("Message", "--image", "images", multiple=True, metavar="FILE", help="A picture that goes with it.")
@option("Select", "--channel", "names", multiple=True, metavar="CHANNEL", help="Through this channel only.")
@option("Select", "--profile", metavar="NAME", help="With the settings of this profile.")
@json_option
@file_option
@folder_option
def command(
    words: tuple[str, ...],
    html: str | None,
    images: tuple[str, ...],
    names: tuple[str, ...],
    profile: str | None,
    as_json: bool,
    file: str | None,
) -> int:
    """Send a message through every channel of the setting `notify`, and say for each whether it worked.

    `notify test` sends a sample. Exit code 0 when every channel took it, else 1.

    \b
    Examples:
      scriptflow notify "the disk is nearly full"
      scriptflow notify test
      scriptflow notify test phone
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from time import time

    from scriptflow.core.machine import host_name
    from scriptflow.errors import UsageError
    from scriptflow.notices.note import Note

    missing = [path for path in images if not Path(path).is_file()]
    if missing:
        raise UsageError(f"there is no picture {missing[0]}", do="check the path")
    testing = words[0] == TEST
    if testing:
        names = (*names, *words[1:])
        title, text = f"scriptflow on {host_name()}: a test", "If you can read this, the channel works."
    else:
        title, _, rest = " ".join(words).partition("\n")
        text = rest or title
    note = Note(
        event="test" if testing else "message", title=title, text=text, level="note", at=time(), host=host_name(),
        html=html or "", images=images,
    )  # fmt: skip
    answers = [_answer(channel, note) for channel in _chosen(file, profile, names)]
    if as_json:
        from scriptflow.cli.reading import print_document

        keys = ("channel", "type", "ok", "detail")
        print_document({"schema": 1, "channels": [dict(zip(keys, answer, strict=True)) for answer in answers]})
    else:
        _print(answers)
    return 0 if all(ok for _, _, ok, _ in answers) else 1


def _answer(channel: Channel, note: Note) -> tuple[str, str, bool, str]:
    from scriptflow.notices.channel import Undelivered

    try:
        return channel.name, channel.kind, True, channel.deliver(note)
    except Undelivered as error:
        return channel.name, channel.kind, False, str(error)


def _chosen(file: str | None, profile: str | None, names: tuple[str, ...]) -> list[Channel]:
    from scriptflow.cli.config import settings_here
    from scriptflow.errors import UsageError
    from scriptflow.notices.channels import read_channels

    settings = settings_here(file, profile)
    channels = read_channels(settings.notify, settings.place_of("notify"))
    if not channels:
        raise UsageError(
            "no channel is set", why="nothing is sent to anybody until there is one",
            do='in scriptflow.toml: notify = [{type = "ntfy", url = "https://ntfy.sh/TOPIC"}]',
        )  # fmt: skip
    for name in names:
        if name not in [channel.name for channel in channels]:
            known = ", ".join(channel.name for channel in channels)
            raise UsageError(f"no channel is called {name}", why=f"channels: {known}", do="scriptflow notify test")
    return [channel for channel in channels if not names or channel.name in names]


def _print(answers: list[tuple[str, str, bool, str]]) -> None:
    from scriptflow.cli.reading import echo_lines, stdout_look

    look = stdout_look()
    width = max(len(name) for name, _, _, _ in answers)
    echo_lines(
        [
            f"{look.paint(look.ok, 'green') if ok else look.paint(look.failed, 'bold red')} "
            f"{look.safe(name):{width}}  {kind:8}  {look.safe(detail)}"
            for name, kind, ok, detail in answers
        ]
    )
