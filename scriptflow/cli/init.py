"""Write a first flow file from a template; knows the templates beside it, never overwrites a file."""

from __future__ import annotations

from pathlib import Path

import click

from scriptflow.cli.options import Command, folder_option, option

TEMPLATES = {
    "hello": "flow `hello`, 3 tasks",
    "python": "flow `words`, 2 tasks: functions of this file",
    "r": "flow `fit`, 2 tasks: R scripts",
    "stata": "flow `fit`, 2 tasks: Stata do-files",
    "slurm": "flow `cluster`, 5 jobs of Slurm",
    "sge": "flow `cluster`, 5 jobs of Grid Engine",
    "pbs": "flow `cluster`, 5 jobs of PBS",
}


def files_of(template: str) -> dict[str, bytes]:
    """Return the files of a template, sflow.py first: name to content.

    In the templates' folder a file's name begins with its template's: ``r.fit.R`` becomes ``fit.R``.
    """
    from importlib.resources import files

    prefix = template + "."
    found = {
        entry.name.removeprefix(prefix): entry.read_bytes()
        for entry in (files("scriptflow.cli") / "templates").iterdir()
        if entry.name.startswith(prefix)
    }
    return dict(sorted(found.items(), key=lambda item: (item[0] != "sflow.py", item[0])))


@click.command("init", cls=Command, short_help="Write a first sflow.py.")
@click.argument("target", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@option("What", "--template", type=click.Choice(list(TEMPLATES)), default="hello", help="What to begin with. [hello]")
@folder_option
def command(target: Path, template: str) -> None:
    """Write a first sflow.py that runs, here or in DIR. No file is ever overwritten.

    \b
    Examples:
      scriptflow init
      scriptflow init my-project
      scriptflow init --template r
    """  # noqa: D301 (\b keeps click from refilling the examples)
    content = files_of(template)
    _refuse_to_overwrite(target, content)
    _write(target, content)
    here = str(target) == "."
    first, *others = (name if here else str(target / name) for name in content)
    click.echo(f"created {first} ({TEMPLATES[template]})" + "".join(f", {name}" for name in others))
    click.echo(f"Next:  {'' if here else _enter(target)}scriptflow run")


def _refuse_to_overwrite(folder: Path, content: dict[str, bytes]) -> None:
    from scriptflow.errors import UsageError

    there = [name for name in content if (folder / name).exists()]
    if there:
        raise UsageError(
            f"{', '.join(there)} exists already in {folder.resolve()}",
            why="init never overwrites a file",
            do="scriptflow init NEW-FOLDER, or `scriptflow list` to see the flows that are here",
        )


def _write(folder: Path, content: dict[str, bytes]) -> None:
    from scriptflow.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in content.items():
            with (folder / name).open("xb") as file:  # x: also when somebody else was quicker
                file.write(data)
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}", why=f"{error.strerror}: {error.filename}", do="choose another folder: init DIR"
        ) from error


def _enter(folder: Path) -> str:
    import shlex

    return f"cd {shlex.quote(str(folder))} && "
