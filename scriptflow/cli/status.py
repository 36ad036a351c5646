"""Show how a run stands, once or until it ends; reads the store alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scriptflow.core.records import JobRecord
    from scriptflow.store.standing import Standing

_SHOWN = 10
_FRAME_S = 0.5


@click.command("status", cls=Command, short_help="Show how a run goes, or went.")
@click.argument("run", required=False, default="last", metavar="[RUN]")
@option("Output", "-w", "--watch", is_flag=True, help="Show it again and again, until the run ends.")
@option("Select", "--failed", is_flag=True, help="Only what failed, all of it.")
@option("Select", "--running", is_flag=True, help="Only what runs, all of it.")
@option("Select", "--group", metavar="NAME", help="Only tasks of this group.")
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@folder_option
def command(run: str, watch: bool, failed: bool, running: bool, group: str | None, as_json: bool) -> None:
    """Show how a run goes, or went: counts, what runs, what failed and why.

    RUN is demo-7, 7, its --name, last (also when left out) or last~1.

    \b
    Examples:
      scriptflow status
      scriptflow status --watch
      scriptflow status paper-7 --failed
    """  # noqa: D301 (\b keeps click from refilling the examples)
    folder = reading.store_folder()
    if folder is None:
        if run != "last":
            reading.store_folder_or_fail()
        if as_json:
            reading.print_document({"schema": 1, "run": None})
        else:
            click.echo(f"{reading.NOTHING_YET}; scriptflow run does", err=True)
        return
    filtered = failed or running
    screen = Screen((failed, running), None) if filtered else Screen()
    show(folder, run, screen, group=group, watch=watch, as_json=as_json)


def show(folder: Path, run: str, screen: Screen, *, group: str | None, watch: bool, as_json: bool) -> Standing:
    """Show how a run stands, with ``watch`` until it has ended; return how it stood last."""
    for standing in _standings(folder, run, group, watch):
        goes_on = watch and standing.run.status == "running"
        if as_json and not goes_on:
            reading.print_document(standing.document())
        elif goes_on and not as_json:
            screen.frame(standing)
        elif not goes_on:
            screen.show(standing)
    return standing


def _standings(folder: Path, selector: str, group: str | None, watch: bool) -> Iterator[Standing]:
    """Yield how the run stands now and, to watch it, after every change until it has ended."""
    import time

    from scriptflow.store.reader import StoreReader
    from scriptflow.store.standing import Standing

    with StoreReader(folder) as reader:
        # The selector is read once: `last` must not jump to another run while one is being watched.
        run = reader.find_run(selector)
        while True:
            standing = Standing(reader, run, group)
            yield standing
            if not watch or standing.run.status != "running":
                return
            time.sleep(_FRAME_S)
            run = reader.find_run(run.run)


def _standing(job: JobRecord) -> str:
    """Say where an open job is; of one in a batch system's queue, its number there and why it waits."""
    if job.state != "queued":
        return job.host
    return f"queued as {job.executor_id}" + (f": {job.detail}" if job.detail else "")


# --- the screen -----------------------------------------------------------------------------------


class Screen:
    """Prints how a run stands: on a terminal each frame over the last one, elsewhere a line per change."""

    def __init__(self, parts: tuple[bool, bool] = (True, True), limit: int | None = _SHOWN) -> None:
        import sys

        from scriptflow.terminal.look import is_terminal

        self._terminal = is_terminal(sys.stdout)
        self._look = reading.stdout_look()
        self._parts = parts
        self._limit = limit
        self._height = 0
        self._said = ""

    def show(self, standing: Standing) -> None:
        """Print all there is."""
        lines = self._lines(standing)
        if self._height:
            lines[0] = f"\x1b[{self._height}A\x1b[J{lines[0]}"
        reading.echo_lines(lines)

    def frame(self, standing: Standing) -> None:
        """Print a state of a run that goes on."""
        if not self._terminal:
            import time

            from scriptflow.terminal import words

            said = reading.counts_line(standing.run)
            if said != self._said:
                self._said = said
                click.echo(f"{words.clock(time.time())} {self._look.safe(standing.run.run)}  {said}")
            return
        import shutil

        room = shutil.get_terminal_size().lines - 1
        lines = self._lines(standing)
        over = f"\x1b[{self._height}A\x1b[J" if self._height else ""
        if len(lines) > room:
            lines[room - 1 :] = [self._look.paint(f"{self._look.more} {len(lines) - room + 1} more lines", "dim")]
        reading.echo_lines([over + lines[0], *lines[1:]])
        self._height = len(lines)

    def _lines(self, standing: Standing) -> list[str]:
        width = reading.stdout_width()
        lines = [] if self._limit is None else [*self._head(standing, width)]
        if self._parts[0]:
            lines += self._jobs("failed", standing.failures, width)
        if self._parts[1]:
            lines += self._jobs("running", standing.running, width)
        if standing.failures and self._limit is not None:
            lines.append("next: scriptflow logs")
        return lines or [f"nothing of {self._look.safe(standing.run.run)} is in this state"]

    def _head(self, standing: Standing, width: int) -> Iterator[str]:
        from scriptflow.terminal import words

        look, run = self._look, standing.run
        sign, style = reading.glyph(standing.run.status, look)
        left = f"  {words.about(standing.eta_s)} left" if standing.eta_s is not None else ""
        took = words.duration(reading.run_seconds(run), tenths=run.ended is not None)
        head = look.fit(
            f"{look.safe(run.run)}  {standing.run.status}  {took}{left}  started {reading.when(run.started)}", width - 6
        )
        yield f"{look.paint(sign, style)} {head}"
        slots = f"  of {words.count(run.capacity)} slots" if run.capacity else ""
        yield "  " + look.fit(reading.counts_line(run) + slots, width - 2)
        if run.message and not standing.failures:  # they say it better
            yield "  " + look.fit(look.safe(run.message), width - 2)
        if standing.run.status == "interrupted":
            yield "  " + look.fit("its process is gone; scriptflow run goes on where it stopped", width - 2)

    def _jobs(self, word: str, jobs: list[JobRecord], width: int) -> list[str]:
        from scriptflow.terminal import words

        look = self._look
        shown = jobs if self._limit is None else jobs[: self._limit]
        rows: list[list[reading.Cell]] = []
        for job in shown:
            sign, style = reading.glyph(job.state, look)
            seconds = reading.seconds_of(job)
            rows.append(
                [
                    (f"{sign} {job.task}", style),
                    reading.how_it_ended(job) if word == "failed" else job.executor,
                    "" if seconds is None else words.duration(seconds, tenths=word == "failed"),
                    f"attempt {job.attempt}" if job.attempt > 1 else "",
                    job.detail if word == "failed" else _standing(job),
                ]
            )
        lines = reading.table(look, [""] * 5, rows, width=width, soft=(4, 0)) if rows else []
        if len(jobs) > len(shown):
            lines.append(f"  showing {len(shown)} of {words.count(len(jobs))}; scriptflow status --{word} shows all")
        return lines
