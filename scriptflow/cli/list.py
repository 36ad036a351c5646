"""``scriptflow list``: the flows of the flow file, what they take, and how they went last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli.options import Command, file_option, folder_option, json_option, option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scriptflow.core.records import RunRecord
    from scriptflow.flowfile.discover import Flow, FlowFile
    from scriptflow.flowfile.parameters import Parameter
    from scriptflow.terminal.look import Look

_STORE = ".scriptflow"


@click.command("list", cls=Command, short_help="List flows, their parameters and last state.")
@click.argument("flow", required=False, metavar="[FLOW]")
@option("Select", "--tasks", "tasks_of", metavar="FLOW", help="List the recorded tasks of FLOW.")
@json_option
@file_option
@folder_option
def command(flow: str | None, tasks_of: str | None, as_json: bool, file: str | None) -> None:
    """List flows: name, parameters, first line of the docstring, last state. Loads the flow file and runs nothing.

    \b
    Examples:
      scriptflow list
      scriptflow list paper
      scriptflow list --tasks paper
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.cli.launch import load_flow_file

    flow_file = load_flow_file(file)
    if tasks_of is not None:
        _print_tasks(flow_file, tasks_of, as_json=as_json)
        return
    flows = [_named(flow_file, flow)] if flow else list(flow_file.flows)
    last = _last_runs(flow_file)
    if as_json:
        from scriptflow.cli.reading import print_document

        rows = [_flow_row(one, last.get(one.name)) for one in flows]
        print_document({"schema": 1, "file": flow_file.path, "flows": rows})
    elif not flows:
        click.echo(f"no flow in {flow_file.path}: write `async def flow_NAME():`", err=True)
    else:
        from scriptflow.cli.reading import echo_lines, stdout_look

        look = stdout_look()
        for one in flows:
            echo_lines(_flow_lines(look, one, last.get(one.name)))


def _named(flow_file: FlowFile, name: str) -> Flow:
    """Return a flow, runnable or not."""
    return next((flow for flow in flow_file.flows if flow.name == name), None) or flow_file.choose(name)


def _last_runs(flow_file: FlowFile) -> Mapping[str, RunRecord]:
    from pathlib import Path

    folder = Path(flow_file.folder) / _STORE
    if not (folder / "runs.db").is_file():
        return {}
    from scriptflow.store.reader import StoreReader

    with StoreReader(folder) as reader:
        return reader.flows()


def _print_tasks(flow_file: FlowFile, name: str, *, as_json: bool) -> None:
    from pathlib import Path

    from scriptflow.cli.reading import print_document

    flow = _named(flow_file, name)
    folder = Path(flow_file.folder) / _STORE
    names: list[str] = []
    if (folder / "runs.db").is_file():
        from scriptflow.store.reader import StoreReader

        with StoreReader(folder) as reader:
            names = list(reader.task_names(flow=flow.name))
    if as_json:
        print_document({"schema": 1, "flow": flow.name, "tasks": names})
    elif names:
        click.echo("\n".join(names))
    else:
        click.echo(f"no task of {flow.name} is recorded yet: scriptflow run {flow.name}", err=True)


# --- rows and lines ---------------------------------------------------------------------------------


def _flow_row(flow: Flow, last: RunRecord | None) -> dict[str, object]:
    from scriptflow.cli.reading import iso

    state = last and {
        "run": last.run,
        "status": str(last.status),
        "started": iso(last.started),
        "ended": iso(last.ended),
    }
    return {
        "name": flow.name,
        "doc": flow.doc_line,
        "line": flow.line,
        "async": flow.is_async,
        "parameters": [_parameter_row(parameter) for parameter in flow.parameters],
        "last": state,
    }


def _parameter_row(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "type": parameter.type_text,
        "required": parameter.is_required,
        "default": None if parameter.is_required or parameter.any_name else _plain(parameter.default),
    }


def _plain(value: object) -> object:
    """Return a default as JSON can hold it, and as it is given on the command line."""
    from enum import Enum

    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _flow_lines(look: Look, flow: Flow, last: RunRecord | None) -> Iterator[str]:
    from scriptflow.cli.reading import when

    line = look.paint(look.safe(flow.name), "bold")
    if flow.doc_line:
        line += f"  {look.safe(flow.doc_line)}"
    if not flow.is_async:
        line += "  (a plain function: write `async def`)"
    if last is not None:
        line += "  " + look.paint(f"[{last.run} {last.status}, {when(last.started, short=True)}]", "dim")
    yield line
    for parameter in flow.parameters:
        yield f"  {look.safe(_usage(parameter))}"


def _usage(parameter: Parameter) -> str:
    """Write a parameter as it is given: the name of an option of ``run`` itself needs ``-p``."""
    from scriptflow.cli.run import command as run

    if parameter.any_name:
        return "-p NAME=VALUE  (any name)"
    taken = {name for option in run.params for name in (*option.opts, *option.secondary_opts)}
    plain = f"--{parameter.option}"
    usage = f"-p {parameter.name}={parameter.type_text}" if plain in taken else f"{plain} {parameter.type_text}"
    if parameter.is_flag and plain not in taken:
        usage = f"{plain} / --no-{parameter.option}"
    return f"{usage}  (needed)" if parameter.is_required else f"{usage}  [{_plain(parameter.default)}]"
