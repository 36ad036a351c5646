"""``scriptflow submit``: called in a job, add a task to the run that the job belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, json_option, option


@click.command(
    "submit",
    cls=Command,
    short_help="Add a task to the run that this job belongs to.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Exit codes: 0 taken (with --wait: it ended well), 1 it failed or was refused, 2 no job of a live run.",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
@option("Task", "-i", "--input", "inputs", multiple=True, metavar="PATH", help="A file that it reads.")
@option("Task", "-o", "--output", "outputs", multiple=True, metavar="PATH", help="A file that it makes.")
@option("Task", "--name", metavar="TEXT", help="Its name. [the first output, else the program]")
@option("Task", "--cpus", type=click.IntRange(min=1), metavar="N", help="How many it needs. [1]")
@option("Task", "--memory", metavar="SIZE", help="How much it needs: 4GB.")
@option("Task", "--gpus", type=click.IntRange(min=0), metavar="N", help="How many it needs. [0]")
@option("Task", "--walltime", metavar="TIME", help="The longest it may run on a batch system: 1h30m.")
@option("Task", "--timeout", metavar="TIME", help="The longest it may run: 1h30m.")
@option("Task", "--retries", type=click.IntRange(min=0), metavar="N", help="Try it N more times. [0]")
@option("Task", "--executor", metavar="NAME", help="Where to run it.")
@option("Run", "--wait", is_flag=True, help="Wait for its end.")
@json_option
def command(
    words: tuple[str, ...], inputs: tuple[str, ...], outputs: tuple[str, ...], wait: bool, as_json: bool, **options: Any
) -> int:
    """Add a task to the run that this job belongs to: works in the commands of a flow, and nowhere else.

    The task is one of the run's: decided, queued, recorded and shown like those of the flow, and the run does not end
    before it. Paths are relative to the folder one is in. With --wait this job's slot is lent to others until the
    task has ended; its memory and gpus are not.

    \b
    Examples:
      scriptflow submit -o part-7.csv -- python fit.py 7
      scriptflow submit --wait -i a.csv -o b.csv -- sh -c 'sort a.csv > b.csv'
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.errors import TaskFailed
    from scriptflow.submission import send, store_of_this_job

    folder, here = Path(store_of_this_job()[0]).resolve().parent, reading.here()
    body: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    body["cmd"] = list(words)
    body["inputs"] = [_from_project(here, folder, path) for path in inputs]
    body["outputs"] = [_from_project(here, folder, path) for path in outputs]
    if here != folder:
        body["cwd"] = str(here)
    submitted = send(body)
    failure: TaskFailed | None = None
    if wait:
        try:
            submitted.wait()
        except TaskFailed as error:
            failure = error
    if as_json:
        document = {"schema": 1, "task": submitted.task, "state": submitted.state}
        reading.print_document({**document, "exit_code": failure.exit_code if failure else None})
    elif failure is not None:
        raise failure
    else:
        click.echo(f"{submitted.task}  {submitted.state}")
    return int(failure is not None)


def _from_project(here: Path, folder: Path, path: str) -> str:
    """Return a path typed in this folder as a task declares it: relative to the project's."""
    import os

    full = os.path.normpath(here / path)  # a link on the way stays one, as in a flow
    return str(Path(full).relative_to(folder)) if Path(full).is_relative_to(folder) else full
