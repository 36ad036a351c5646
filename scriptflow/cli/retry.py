"""``scriptflow retry``: run a past run's flow again, without what ended well then.

Knows how the words of a past run are read, and who ended well in it. ``cli.launch`` does the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scriptflow.cli import launch, reading
from scriptflow.cli.options import EXIT_CODES, PROGRESS_CHOICE, Command, folder_option, option

if TYPE_CHECKING:
    from pathlib import Path

    from scriptflow.core.records import RunRecord
    from scriptflow.store.reader import StoreReader


@click.command(
    "retry",
    cls=Command,
    short_help="Run only what failed or never started.",
    epilog=f"{EXIT_CODES}, 75 the store is held by a live run, 130/143 stopped by a signal.",
)
@click.argument("run", required=False, default="last", metavar="[RUN]")
@option("Select", "--only", multiple=True, metavar="GLOB", help="Of these, matching tasks only.")
@option("Run", "-n", "--dry-run", is_flag=True, help="Show what would run and why; start nothing.")
@option("Run", "-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="Slots on this machine. [as RUN]")
@option("Run", "-x", "--fail-fast", is_flag=True, help="Start nothing new after a failure. [keep going]")
@option("Run", "--retries", type=click.IntRange(min=0), metavar="N", help="Try failed tasks N more times. [as RUN]")
@option("Run", "--executor", metavar="NAME", help="Run every task there. [as RUN]")
@option("Run", "--name", metavar="TEXT", help="Name the new run.")
@option("Run", "--tag", "tags", multiple=True, metavar="TEXT", help="Mark the new run. [as RUN]")
@option("Output", "--progress", type=PROGRESS_CHOICE, help="How to show progress, on stderr. [auto]")
@option("Output", "--json", "as_json", is_flag=True, help="Print the result as one JSON document, last on stdout.")
@option("Output", "-q", "--quiet", count=True, help="Failures and the summary only; -qq nothing at all.")
@option("Output", "-v", "--verbose", count=True, help="Also skipped tasks and commands.")
@folder_option
def command(run: str, dry_run: bool, **given: Any) -> int:
    """Run the flow of RUN again with its parameters: what failed, was stopped or never started there.

    What ended well in RUN is left out, also where its command or an input was changed since, unless a task that runs
    needs it. (`scriptflow run` runs whatever is not up to date.) RUN is demo-7, 7, its --name, last or last~1.

    \b
    Examples:
      scriptflow retry
      scriptflow retry paper-7 --only 'fit-*'
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.store.reader import StoreReader

    folder = reading.store_folder_or_fail()
    with StoreReader(folder) as reader:
        record = reader.find_run(run)
        chain = _chain(reader, record)
        done = frozenset(name for one in chain for name in reader.done_tasks(one.id))
    counts = record.counts
    left = counts.failed + counts.cancelled + counts.queued + counts.running + counts.waiting
    if record.status == "succeeded" and not left:
        _say_nothing_to_do(record, as_json=given["as_json"])
        return 0
    request = _request(folder, record, chain[-1], done, given)
    if not request.quiet:
        kept = f"; {len(done)} that ended well are left out" if done else ""
        what = f"{counts.failed} failed, {left - counts.failed} not started"
        if record.status == "interrupted":
            what = "it was cut short"
        click.echo(f"retry of {record.run}: {what}{kept}", err=True)
    return launch.plan(request) if dry_run else launch.run(request)


def _chain(reader: StoreReader, run: RunRecord) -> list[RunRecord]:
    """Return a run and, where it was itself a retry, those that it went on with, back to the first."""
    chain = [run]
    while chain[-1].argv[:1] == ("retry",) and len(chain[-1].argv) > 1:
        before = reading.run_named(reader, chain[-1].argv[1])
        if before is None or before.id >= chain[-1].id:
            break
        chain.append(before)
    return chain


def _request(
    folder: Path, run: RunRecord, first: RunRecord, done: frozenset[str], given: dict[str, Any]
) -> launch.Request:
    """Return what to run: as the first of the chain was asked for, but for what is said now."""
    before = _options_of(first.argv)
    flags: list[tuple[str, dict[str, object]]] = []
    for key in ("check", "jobs", "retries", "fail_fast", "progress"):
        value = given.pop(key, None) or before.get(key)
        if value:
            flags.append((f"--{key.replace('_', '-')}", {key: int(value) if key in ("jobs", "retries") else value}))
    file = before.get("file")
    return launch.Request(
        words=(run.flow,),
        recorded=run.params,
        file=str(folder.parent / str(file).rpartition("/")[2]) if file else None,
        profile=before.get("profile"),
        flags=flags,
        only=given["only"] or tuple(before.get("only") or ()),
        until=tuple(before.get("until") or ()),
        done=done,
        name=given["name"],
        tags=given["tags"] or run.tags,
        executor=given["executor"] or before.get("executor"),
        as_json=given["as_json"],
        quiet=given["quiet"],
        verbose=given["verbose"],
        argv=("retry", run.run),
    )


def _options_of(argv: tuple[str, ...]) -> dict[str, Any]:
    """Read the words of a past ``scriptflow run`` again; nothing where they are none."""
    from scriptflow.cli.group import cli
    from scriptflow.cli.run import command as run_command

    try:
        context = click.Context(cli, info_name="scriptflow", allow_interspersed_args=False)
        of_group, rest, _ = cli.make_parser(context).parse_args(list(argv))
        if rest[:1] != ["run"]:
            return {}
        context = click.Context(run_command, info_name="run", ignore_unknown_options=True)
        found, _, _ = run_command.make_parser(context).parse_args(rest[1:])
    except click.ClickException:
        return {}
    given = {**of_group, **found}
    return {key: value for key, value in given.items() if value not in (None, ())}


def _say_nothing_to_do(run: RunRecord, *, as_json: bool) -> None:
    if as_json:
        counts = dict.fromkeys(("ran", "skipped", "failed", "cancelled"), 0)
        document = {"schema": 1, "run": None, "flow": run.flow, "status": run.status, **counts}
        reading.print_document({**document, "seconds": 0.0, "failures": [], "retry_of": run.run})
    else:
        click.echo(f"{run.run} has nothing to retry: every task ended well", err=True)
