"""``scriptflow archive`` and ``open``: a run as one portable file, and that file as a folder one can look at."""

from __future__ import annotations

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option


@click.command("archive", cls=Command, short_help="Write a run as one portable file.")
@click.argument("run", metavar="[RUN]", default="last")
@option("Output", "-o", "--output", metavar="FILE", help="Write there. [RUN.zip]")
@option("Output", "--outputs", "with_outputs", is_flag=True, help="Take the output files of the run too.")
@folder_option
def command(run: str, output: str | None, with_outputs: bool) -> None:
    """Write a run as one zip file: its record and what it was built on, logs, report, flow file, lineage.

    `scriptflow open FILE` reads it anywhere. The same run gives the same file, byte for byte.

    \b
    Examples:
      scriptflow archive
      scriptflow archive paper-7 -o paper.zip --outputs
    """  # noqa: D301 (\b keeps click from refilling the examples)
    import os

    from scriptflow.papers.archive import archive
    from scriptflow.store.reader import StoreReader

    folder = reading.store_folder_or_fail()
    with StoreReader(folder, relative=True) as reader:
        record = reader.find_run(run)
        name = output or f"{record.run}.zip"
        contents = archive(reader, record, str(folder.parent), name, with_outputs=with_outputs)
    click.echo(f"wrote {name}: {len(contents.names())} files, {os.path.getsize(name) / 1e3:,.0f} kB", err=True)  # noqa: PTH202 (a plain string)
    if contents.left_out:
        some = ", ".join(contents.left_out[:3]) + (", …" if len(contents.left_out) > 3 else "")
        click.echo(
            f"left out {len(contents.left_out)} outputs, gone, changed since or outside the project: {some}", err=True
        )


@click.command("open", cls=Command, short_help="Unpack an archived run to look at it.")
@click.argument("file", metavar="FILE", type=click.Path())
@option("Output", "-o", "--output", metavar="DIR", help="The folder to make. [the run's name]")
@option("Output", "--limit", metavar="SIZE", help="Unpack at most so much. [10GB]")
@folder_option
def open_command(file: str, output: str | None, limit: str | None) -> None:
    """Unpack an archived run into a new folder, where status, show, logs, trace and report read it.

    Nothing of it is run. A damaged file, or one whose names lead out of the folder, is refused as a whole.

    \b
    Examples:
      scriptflow open paper-7.zip
      scriptflow -C paper-7 status
    """  # noqa: D301 (\b keeps click from refilling the examples)
    import shlex

    from scriptflow.core.units import bytes_of
    from scriptflow.papers.opening import LARGEST, open_archive
    from scriptflow.store.reader import StoreReader

    folder, run = open_archive(file, output, largest=LARGEST if limit is None else bytes_of(limit))
    with StoreReader(f"{folder}/{reading.STORE}") as reader:
        record = reader.find_run(run)
    click.echo(f"opened {record.run} ({record.status}) in {folder}", err=True)
    for words in ("status", "show", "logs", "trace FILE"):
        click.echo(f"scriptflow -C {shlex.quote(folder)} {words}")
    click.echo(f"{folder}/report.html")
