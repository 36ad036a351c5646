"""``scriptflow forget``: drop what decisions know of tasks; files and past jobs stay."""

from __future__ import annotations

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, json_option


@click.command(
    "forget",
    cls=Command,
    short_help="Drop the records of tasks; files stay.",
    epilog="Exit codes: 0 done, 2 no such task, 75 the store is held by a live run.",
)
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
@json_option
@folder_option
def command(tasks: tuple[str, ...], as_json: bool) -> None:
    """Drop the records of TASKs (names, quoted globs, outputs, group:NAME, state:failed). Files stay as they are.

    The next run knows nothing of them: Make's rule alone decides, so a task whose outputs are newer than its inputs
    is up to date even so. To run one again whatever lies there: `scriptflow run --force TASK`. What is on record of
    past runs stays; `clean` no longer counts the outputs as made.

    \b
    Examples:
      scriptflow forget fit-3
      scriptflow forget 'tables-*' group:plots
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.store.keeping import forget
    from scriptflow.store.reader import StoreReader
    from scriptflow.store.sqlite import SqliteStore

    folder = reading.store_folder_or_fail()
    store = SqliteStore.open(folder)
    try:
        with StoreReader(folder) as reader:
            names = list(dict.fromkeys(job.task for word in tasks for job in reading.jobs_named(reader, word, None)))
        known = [name for name in names if forget(store, [name])]
    finally:
        store.close()
    unknown = [name for name in names if name not in known]
    if as_json:
        reading.print_document({"schema": 1, "forgotten": known, "unknown": unknown})
        return
    look = reading.stdout_look()
    reading.echo_lines([f"forgotten  {look.safe(name)}" for name in known])
    reading.echo_lines([f"had no record  {look.safe(name)}" for name in unknown])
