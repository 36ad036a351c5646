"""``scriptflow graph``: draw a flow as it is declared, or a run as it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, file_option, folder_option, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from scriptflow.outcome import DeclaredTask
    from scriptflow.pictures.graph import Edge, Node

FORMATS = ("svg", "mermaid", "dot")
_ENDINGS = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot"}


@click.command("graph", cls=Command, short_help="Draw a flow or a run.")
@click.argument("what", metavar="[FLOW|RUN]", required=False)
@option("Parameters", "-p", "--param", "params", multiple=True, metavar="K=V", help="Give the flow a parameter.")
@option("Parameters", "--params", "params_file", metavar="FILE", help="Parameters from a JSON, TOML or YAML file.")
@option(
    "Output", "--format", "form", type=click.Choice(FORMATS), help="What to write. [by the file's ending, else svg]"
)
@option("Output", "-o", "--output", metavar="FILE", help="Write there; by default on stdout.")
@option("Output", "--down", is_flag=True, help="Draw downwards instead of to the right.")
@option("Output", "--all", "unfolded", is_flag=True, help="Every task, however many there are.")
@file_option
@folder_option
def command(
    what: str | None, params: tuple[str, ...], params_file: str | None, form: str | None, output: str | None,
    down: bool, unfolded: bool, file: str | None,
) -> None:  # fmt: skip
    """Draw the tasks of a flow, or of a run, as a graph.

    A flow is planned, not run: each task says whether it would run. A run shows how its tasks ended and what they were
    built on. More than 150 tasks are folded by group, then by name.

    \b
    Examples:
      scriptflow graph > flow.svg
      scriptflow graph paper -o paper.svg
      scriptflow graph last --format mermaid
    """  # noqa: D301 (\b keeps click from refilling the examples)
    title, nodes, edges = _graph(what, params, params_file, file)
    if not nodes:
        click.echo(f"{title} has no tasks", err=True)
    if not unfolded:
        from scriptflow.pictures.graph import fold

        count = len(nodes)
        nodes, edges = fold(nodes, edges)
        if len(nodes) < count:
            click.echo(f"{count:,} tasks folded to {len(nodes)}; --all draws each", err=True)
    form = form or _ENDINGS.get("." + (output or "").rpartition(".")[2], "svg")
    text = _text(form, title, nodes, edges, down=down)
    if output is None or output == "-":
        click.echo(text, nl=False)
        return
    from scriptflow.papers.writing import write_file

    write_file(output, text.encode())
    click.echo(f"wrote {output}", err=True)


def _text(form: str, title: str, nodes: list[Node], edges: list[Edge], *, down: bool) -> str:
    if form == "svg":
        from scriptflow.pictures.layout import layout
        from scriptflow.pictures.svg import svg

        return svg(layout(nodes, edges, down=down), title=title)
    from scriptflow.pictures.text import dot, mermaid

    write: Callable[..., str] = dot if form == "dot" else mermaid
    return write(nodes, edges, down=down)


def _graph(
    what: str | None, params: tuple[str, ...], params_file: str | None, file: str | None
) -> tuple[str, list[Node], list[Edge]]:
    """Return a title and the graph: of the flow of that name, else of the run."""
    from scriptflow.errors import NotFound

    if what is None or _is_flow(what, file):
        return _of_flow(what, params, params_file, file)
    from scriptflow.store.reader import StoreReader

    folder = reading.store_folder()
    if folder is None:
        return _of_flow(what, params, params_file, file)  # which says what flows there are
    with StoreReader(folder, relative=True) as reader:
        from scriptflow.papers.drawn import run_graph

        try:
            run = reader.find_run(what)
        except NotFound as error:
            raise NotFound(f"no flow and no run is called {what!r}", why=error.why, do=error.do) from error
        return f"Run {run.run}", *run_graph(reader, run)


def _is_flow(what: str, file: str | None) -> bool:
    from scriptflow.cli.launch import load_flow_file
    from scriptflow.errors import NoFlowFile

    try:
        return any(flow.name == what for flow in load_flow_file(file).flows)
    except NoFlowFile:
        return False


def _of_flow(
    what: str | None, params: tuple[str, ...], params_file: str | None, file: str | None
) -> tuple[str, list[Node], list[Edge]]:
    from scriptflow.cli.launch import Request, ready
    from scriptflow.pictures.graph import Node
    from scriptflow.plans import declared_by, plan_flow

    words = () if what is None else (what,)
    ask = ready(Request(words=words, params=params, params_file=params_file, file=file))
    declared: list[DeclaredTask] = []
    plan = plan_flow(
        ask.flow_file, ask.flow, ask.params, ask.settings, ask.options,
        then=lambda head, _: declared.extend(declared_by(head)),
    )  # fmt: skip
    if not plan.complete:
        click.echo(f"what is known up to {plan.stopped_at}", err=True)
    nodes = {task.task: Node(task.task, task.task, task.state, group=task.group) for task in declared}
    edges = dict.fromkeys((need, task.task) for task in declared for need in task.needs)
    return f"Flow {plan.flow}", list(nodes.values()), list(edges)
