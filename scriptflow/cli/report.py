"""``scriptflow report``: write a run as one HTML file; reads the store alone."""

from __future__ import annotations

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option


@click.command("report", cls=Command, short_help="Write a run as one HTML file.")
@click.argument("run", metavar="[RUN]", default="last")
@option("Output", "-o", "--output", metavar="FILE", help="Write there, - is stdout. [RUN.html]")
@folder_option
def command(run: str, output: str | None) -> None:
    """Write a run as one HTML file to hand on: summary, failures, timeline, graph, resources, how results were made.

    It needs no network and no script, and opens on a phone.

    \b
    Examples:
      scriptflow report
      scriptflow report paper-7 -o paper.html
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.papers.report import report
    from scriptflow.papers.writing import write_file
    from scriptflow.store.reader import StoreReader

    with StoreReader(reading.store_folder_or_fail(), relative=True) as reader:
        record = reader.find_run(run)
        text = report(reader, record)
    if output == "-":
        click.echo(text, nl=False)
        return
    name = output or f"{record.run}.html"
    write_file(name, text.encode("utf-8", "backslashreplace"))
    click.echo(f"wrote {name}, {len(text) / 1e3:,.0f} kB", err=True)
