"""``scriptflow trace``: how a file was made, or what it went into; reads the store and the files it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option

if TYPE_CHECKING:
    from scriptflow.papers.traced import Target
    from scriptflow.store.lineage import Lineage
    from scriptflow.store.reader import StoreReader

FORMATS = ("tree", "json", "dot", "mermaid", "prov", "rocrate")


@click.command("trace", cls=Command, short_help="Show how a file was made, back to the sources.")
@click.argument("what", metavar="FILE|TASK")
@option("Select", "--down", is_flag=True, help="What it went into, instead of how it was made.")
@option("Select", "--diff", "earlier", metavar="RUN", help="What differs from how it was made in RUN.")
@option(
    "Select", "--limit", type=click.IntRange(1), metavar="N", help="Follow at most so many tasks. [5000]", default=None
)
@option("Output", "--format", "form", type=click.Choice(FORMATS), help="How to show it. [tree]")
@option("Output", "--all", "unfolded", is_flag=True, help="A tree of any length, a graph of any size.")
@option("Output", "-o", "--output", metavar="PATH", help="Write there; for rocrate a folder that holds the files too.")
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout (= --format json).")
@folder_option
def command(
    what: str, down: bool, earlier: str | None, limit: int | None, form: str | None, unfolded: bool,
    output: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Show how a file was made: task, command, times, who, where, and the same of its inputs back to the sources.

    A copied or renamed file is found by its content, where hashes are recorded (files up to 64 MB, by default).
    `lineage` is another name of this command.

    \b
    Examples:
      scriptflow trace results/fig2.pdf
      scriptflow trace --down data/raw.csv
      scriptflow trace fit-3 --diff paper-6
      scriptflow trace results/fig2.pdf --format rocrate -o crate
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.errors import UsageError
    from scriptflow.papers.traced import find
    from scriptflow.store import lineage
    from scriptflow.store.reader import StoreReader

    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} ask for two things", do=f"scriptflow trace {what} --json")
    form = "json" if as_json else form or "tree"
    if (earlier is not None and (down or form not in ("tree", "json"))) or (down and form in ("prov", "rocrate")):
        flag = "--diff" if earlier is not None else "--down"
        raise UsageError(f"{flag} does not go with {'--down' if down and earlier else f'--format {form}'}")
    folder = reading.store_folder_or_fail()
    with StoreReader(folder, relative=True) as reader:
        target = find(reader, what)
        if target.job is None and not down:
            raise _a_source(reader, target)
        most = limit or lineage.MOST_JOBS
        if down:
            jobs = lineage.readers(reader, target.file) if target.job is None else [target.job]
            found = lineage.down(reader, jobs, most)
        else:
            found = lineage.up(reader, [target.job] if target.job is not None else [], most)
        if earlier is not None:
            _show_difference(reader, target, found, earlier, most, as_json=form == "json")
            return
        if form == "rocrate":
            _make_crate(target, found, str(folder.parent), output)
            return
    _write(_text(target, found, form, down=down, unfolded=unfolded, to_screen=output is None), output)
    if not found.complete:
        click.echo(f"showing {len(found.steps):,} tasks, there are more: --limit N follows more", err=True)


def _text(target: Target, found: Lineage, form: str, *, down: bool, unfolded: bool, to_screen: bool) -> str:
    import json

    if form == "json":
        from scriptflow.papers.document import document

        return json.dumps(document(target, found, down=down)) + "\n"
    if form == "prov":
        from scriptflow.papers.prov import prov

        return json.dumps(prov(target, found), indent=2) + "\n"
    if form == "tree":
        from itertools import islice

        from scriptflow.cli.trace_text import MOST_LINES, Tree
        from scriptflow.terminal.look import Look

        look = reading.stdout_look() if to_screen else Look()
        tree = Tree(look, found, reading.stdout_width() if to_screen else 100_000)
        lines = tree.down(target) if down else tree.up(target)
        shown = list(lines if unfolded else islice(lines, MOST_LINES))
        if not unfolded and next(lines, None) is not None:
            shown.append(f"the first {MOST_LINES} lines; --all shows all")
        return "\n".join(shown) + "\n"
    from scriptflow.papers.drawn import lineage_graph
    from scriptflow.pictures.graph import fold
    from scriptflow.pictures.text import dot, mermaid

    nodes, edges = lineage_graph(target, found)
    if not unfolded:
        nodes, edges = fold(nodes, edges)
    return (dot if form == "dot" else mermaid)(nodes, edges)


def _make_crate(target: Target, found: Lineage, folder: str, output: str | None) -> None:
    """Fill a folder, or without one print the metadata."""
    import json

    from scriptflow.papers.crate import Crate, flow_file_of, write_crate

    crate = Crate(target, found, folder, flow_file_of(found, folder))
    if output is None:
        click.echo(json.dumps(crate.metadata(), indent=2))
        return
    held, named = write_crate(crate, output)
    more = f", {named} more are named only: gone, changed since, or too large" if named else ""
    click.echo(f"wrote {output}: {held} files{more}", err=True)


def _write(text: str, output: str | None) -> None:
    if output is None or output == "-":
        click.echo(text, nl=False, color=True)
    else:
        from scriptflow.papers.writing import write_file

        write_file(output, text.encode("utf-8", "backslashreplace"))
        click.echo(f"wrote {output}", err=True)


def _show_difference(
    reader: StoreReader, target: Target, found: Lineage, earlier: str, most: int, *, as_json: bool
) -> None:
    from scriptflow.cli.trace_text import difference_lines
    from scriptflow.papers.difference import difference
    from scriptflow.papers.traced import of_run
    from scriptflow.store import lineage

    run = reader.find_run(earlier)
    before = of_run(reader, target, earlier)
    changes = difference(lineage.up(reader, [before.job] if before.job is not None else [], most), found)
    if as_json:
        rows = [
            {
                "task": change.task,
                "change": change.kind,
                "before": change.before,
                "after": change.after,
                "reasons": [{"code": code, "detail": detail} for code, detail in change.reasons],
            }
            for change in changes
        ]
        reading.print_document({"schema": 1, "file": target.file or None, "run": run.run, "differences": rows})
    elif changes:
        reading.echo_lines(difference_lines(reading.stdout_look(), changes))
    else:
        click.echo(f"{target.file} is still what {run.run} left: made by the same jobs")


def _a_source(reader: StoreReader, target: Target) -> Exception:
    from scriptflow.errors import NotFound
    from scriptflow.store import lineage

    jobs = lineage.of_numbers(reader, lineage.readers(reader, target.file, 5))
    tasks = ", ".join(dict.fromkeys(job.task for job in jobs))
    return NotFound(
        f"no recorded task made {target.file}",
        why=f"it is a source, read by {tasks}" if tasks else "it is a source",
        do=f"scriptflow trace --down {target.file}",
    )
