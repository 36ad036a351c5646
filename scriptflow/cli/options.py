"""What several commands share: options in groups, the folder to work in, and completion of names.

Loads no flow file: names are completed from the store and from the text of the flow file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scriptflow.cli.launch import Request
from scriptflow.core.config import CHECKS, PROGRESS

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_CODES = "Exit codes: 0 done (also nothing to do), 1 a task or the flow failed, 2 wrong use and nothing started"


class Option(click.Option):
    """An option that stands under a heading of its own in the help."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> Any:  # noqa: ANN401 (click's own)
        """Leave the range of a number out: the error says it when it matters."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class Command(click.Command):
    """A command whose help shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, heading by heading, in the order they were declared."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Help"), []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


def option(section: str, *names: str, **attributes: Any) -> Callable[[Any], Any]:
    """Declare an option under the heading ``section``."""
    return click.option(*names, cls=Option, section=section, **attributes)


def change_folder(context: click.Context, _parameter: click.Parameter, folder: str | None) -> None:
    """Go to the folder of ``-C``, as git does."""
    if folder is None:
        return
    try:
        context.ensure_object(dict).setdefault("cwd", str(Path.cwd()))
        os.chdir(folder)
    except OSError as error:
        raise click.BadParameter(f"{folder}: {error.strerror}") from error


def folder_option(command: Any) -> Any:  # noqa: ANN401
    """Add ``-C DIR``."""
    return option(
        "Where", "-C", "folder", metavar="DIR", expose_value=False, is_eager=True, callback=change_folder,
        help="Work as if called in DIR.",
    )(command)  # fmt: skip


def _file_of_group() -> str | None:
    """Return the ``--file`` that stood before the command's name."""
    return (click.get_current_context().find_root().obj or {}).get("file")


def file_option(command: Any) -> Any:  # noqa: ANN401
    """Add ``--file PATH``; given before the command's name it counts too."""
    return option(
        "Where", "--file", metavar="PATH", default=_file_of_group,
        help="The flow file, else sflow.py here or in the nearest folder above.",
    )(command)  # fmt: skip


def json_option(command: Any) -> Any:  # noqa: ANN401
    """Add ``--json``."""
    return option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


# --- what run and plan share ------------------------------------------------------------------------

_WORDS = click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="[FLOW] [--PARAMETER VALUE]...",
    shell_complete=lambda _context, _parameter, incomplete: flow_names(incomplete),
)  # fmt: skip
_SELECT = (
    option("Select", "--only", multiple=True, metavar="GLOB", help="Run matching tasks only, if their inputs exist."),
    option("Select", "--until", multiple=True, metavar="TASK", help="Stop when TASK is done."),
)
PLANNED_OPTIONS = (
    option("Parameters", "-p", "--param", "params", multiple=True, metavar="K=V", help="Give the flow a parameter."),
    option("Parameters", "--params", "params_file", metavar="FILE", help="Parameters from a JSON, TOML or YAML file."),
    option("Select", "-f", "--force", multiple=True, metavar="PATTERN", help="Run matching tasks, also if up to date."),
    option("Select", "--check", type=click.Choice(CHECKS), help="What tells that a file changed. [mtime]"),
    option("Run", "--executor", metavar="NAME", help="Run every task there."),
    option("Run", "--profile", metavar="NAME", help="Settings from this profile."),
    file_option,
    folder_option,
)  # fmt: skip


"""What also decides why a task would run."""


def planned(command: Any) -> Any:  # noqa: ANN401
    """Add the arguments and options that decide what a run would do."""
    for declare in reversed((_WORDS, *PLANNED_OPTIONS[:3], *_SELECT, *PLANNED_OPTIONS[3:])):
        command = declare(command)
    return command


def request_from(context: click.Context, given: dict[str, Any]) -> Request:
    """Turn what click read into a request: flags that are settings become layers of settings."""
    called = context.find_root().obj
    flags: list[tuple[str, dict[str, object]]] = []
    for key in ("check", "jobs", "retries", "fail_fast", "progress"):
        value = given.pop(key, None)
        if value is not None and value is not False:
            flags.append((f"--{key.replace('_', '-')}", {key: value}))
    return Request(flags=flags, argv=tuple(called["words"]), cwd=called.get("cwd"), **given)


PROGRESS_CHOICE = click.Choice(PROGRESS)


# --- completion -------------------------------------------------------------------------------------


def flow_names(incomplete: str) -> list[str]:
    """Return flows whose names begin so, by a look at the text of the flow file."""
    import re

    from scriptflow.errors import NoFlowFile
    from scriptflow.flowfile.discover import find_flow_file

    try:
        text = Path(find_flow_file(str(Path.cwd()))).read_text(encoding="utf-8", errors="replace")
    except (NoFlowFile, OSError):
        return []
    names = re.findall(r"^async\s+def\s+flow_(\w+)", text, re.MULTILINE)
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def run_names(incomplete: str) -> list[str]:
    """Return runs whose names begin so, newest first."""
    return [name for name in ("last", *_recorded("runs")) if name.startswith(incomplete)]


def task_names(incomplete: str) -> list[str]:
    """Return recorded tasks whose names begin so."""
    return [name for name in _recorded("tasks") if name.startswith(incomplete)]


def _recorded(what: str) -> list[str]:
    """Return names out of the store; completion is silent about anything that is wrong with it."""
    from scriptflow.cli.reading import store_folder
    from scriptflow.errors import ScriptflowError

    folder = store_folder()
    if folder is None:
        return []
    from scriptflow.store.reader import StoreReader

    try:
        with StoreReader(folder) as reader:
            if what == "runs":
                return [run.run for run in reader.runs(limit=50)]
            return list(reader.task_names(limit=200))
    except ScriptflowError:
        return []
