"""``scriptflow config``: every setting, its value, and where that came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli.options import Command, file_option, folder_option, json_option, option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scriptflow.core.config import Settings


@click.command("config", cls=Command, short_help="Show all settings and where each came from.")
@option("Select", "--profile", metavar="NAME", help="As a run with this profile would have them.")
@json_option
@file_option
@folder_option
def command(profile: str | None, as_json: bool, file: str | None) -> None:
    """Show every setting, its value, and where it came from.

    From weak to strong: defaults, scriptflow.toml (or [tool.scriptflow] in pyproject.toml), sf.init in the flow
    file, the profile, SCRIPTFLOW_... in the environment, flags. Without a flow file, those of this folder.

    \b
    Examples:
      scriptflow config
      scriptflow config --profile night --json
    """  # noqa: D301 (\b keeps click from refilling the examples)
    settings = settings_here(file, profile)
    rows = list(_rows(settings))
    if as_json:
        from scriptflow.cli.reading import print_document

        print_document(
            {"schema": 1, "settings": [dict(zip(("key", "value", "from"), row, strict=True)) for row in rows]}
        )
        return
    import json

    texts = [(key, json.dumps(value, default=str), origin) for key, value, origin in rows]
    widths = [max(len(row[column]) for row in texts) for column in (0, 1)]
    for key, text, origin in texts:
        click.echo(f"{key:<{widths[0]}}  {text:<{min(widths[1], 40)}}  {origin}")


def settings_here(file: str | None, profile: str | None) -> Settings:
    """Return the settings of the flow file, without one those of this folder."""
    from pathlib import Path

    from scriptflow.cli.launch import load_flow_file
    from scriptflow.errors import NoFlowFile
    from scriptflow.settings_files import load_settings

    try:
        folder = load_flow_file(file).folder
    except NoFlowFile:
        if file is not None:
            raise
        folder = str(Path.cwd())
    return load_settings(folder, profile=profile)


def _rows(settings: Settings) -> Iterator[tuple[str, object, str]]:
    for key, value in settings.as_dict().items():
        yield from _leaves(key, value, settings.origins)


def _leaves(key: str, value: object, origins: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    """Yield a setting, or each value of a table, under its dotted key."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner, origins)
    else:
        from scriptflow.core.config import DEFAULT
        from scriptflow.hidden import shown

        yield key, shown(key, value), str(origins.get(key, DEFAULT))
