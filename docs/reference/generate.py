"""Write cli.md and errors.md from the code: the help of each command, the page of each error.

Usage: python docs/reference/generate.py          (a test says when it must be run again)
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import click

from scriptflow import errors
from scriptflow.cli.explain import slugs, summary_of
from scriptflow.cli.main import COMMANDS

HERE = Path(__file__).parent
CLI_HEAD = """\
# Commands

`scriptflow` and `python -m scriptflow` are the same. Answers go to stdout, talk and progress to stderr. Every command
has `--help`; `--debug` shows the traceback behind an error. [Exit codes](exit-codes.md) have a page of their own.

This page is written from the code by `generate.py`.
"""
ERRORS_HEAD = """\
# Errors

An error reads `error[slug]: what happened`, then the place, facts as `note:`, the next step as `help:`. In Python each
is a class under `sf.ScriptflowError`. `scriptflow explain SLUG` has the long text.

This page is written from the code by `generate.py`.

| slug | class | exit | |
|---|---|--:|---|"""


def command_of(name: str) -> click.Command:
    """Load a command's click object."""
    module, _, attribute = COMMANDS[name].partition(":")
    found: click.Command = getattr(importlib.import_module(module), attribute)
    return found


def cell(text: str) -> str:
    """Make text fit for a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|")


def prose(text: str) -> list[str]:
    """Turn a click help text into Markdown; what click must not refill is shown as it is."""
    lines: list[str] = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if "\b" in paragraph:
            body = paragraph.replace("\b\n", "").replace("\b", "")
            title, _, rest = body.partition(":")
            if title in ("Examples", "Example"):
                lines += ["```sh", *[line.strip() for line in rest.splitlines() if line.strip()], "```", ""]
            else:
                lines += ["```text", *inspect.cleandoc(body).splitlines(), "```", ""]
        else:
            lines += [" ".join(paragraph.split()), ""]
    return lines


def option_rows(command: click.Command) -> list[str]:
    """Return the table of a command's options, under the headings its help has."""
    context = click.Context(command, info_name="scriptflow")
    rows: dict[str, list[str]] = {}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is None or not isinstance(parameter, click.Option):
            continue
        spelling, help_text = record
        heading = getattr(parameter, "section", "Options")
        rows.setdefault(heading, []).append(f"| `{cell(spelling)}` | {cell(help_text)} |")
    lines: list[str] = []
    for heading, body in rows.items():
        lines += [f"| {heading} | |", "|---|---|", *body, ""]
    return lines


def cli_page() -> str:
    """Return the page of all commands."""
    lines = [CLI_HEAD]
    for name in COMMANDS:
        command = command_of(name)
        context = click.Context(command, info_name=f"scriptflow {name}")
        usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"## `scriptflow {name}`", "", "```sh", f"scriptflow {name} {usage}".rstrip(), "```", ""]
        lines += prose(command.help or "") + option_rows(command)
        if command.epilog:
            lines += prose(command.epilog)
    return "\n".join(lines).rstrip() + "\n"


def errors_page() -> str:
    """Return the page of all errors and warnings."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ScriptflowError)
    ]
    by_slug = {kind.slug: kind for kind in kinds}
    lines = [ERRORS_HEAD]
    for slug in slugs():
        kind = by_slug.get(slug)
        names = (f"`{kind.__name__}`", str(kind.exits_with)) if kind else ("message of a run", "")
        lines.append(f"| `{slug}` | {names[0]} | {names[1]} | {cell(summary_of(slug))} |")
    return "\n".join(lines) + "\n"


PAGES = {"cli.md": cli_page, "errors.md": errors_page}

if __name__ == "__main__":
    for file_name, page in PAGES.items():
        (HERE / file_name).write_text(page())
