"""Show how a run stands, once or until it ends; reads the store alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scriptflow.core.records import JobRecord, RunRecord
    from scriptflow.store.reader import StoreReader

_SHOWN = 10
_FRAME_S = 0.5
_SAMPLE = 200
_ENOUGH = 3


class Standing:
    """How a run stands: its record, its running jobs, its failures, and what is left of it in seconds."""

    def __init__(self, reader: StoreReader, run: RunRecord, group: str | None = None) -> None:
        failures, running = reader.failures(run.id), []
        if run.status == "running":
            from scriptflow.core.frozen import changed

            running = _open_jobs(reader, run)
            # A job's row is written before and the run's counts after: the rows know it first.
            failed = max(run.counts.failed, len(failures))
            run = changed(run, counts=changed(run.counts, running=len(running), failed=failed))
        self.run = run
        self.failures = _of_group(failures, group)
        self.running = _of_group(running, group)
        self.eta_s = _eta_s(reader, run) if run.status == "running" else None

    def document(self) -> dict[str, object]:
        """Return it as ``status --json`` prints it."""
        counts = self.run.counts
        return {
            "schema": 1,
            **reading.run_row(self.run),
            "cancelled": counts.cancelled,
            "queued": counts.queued,
            "waiting": counts.waiting,
            "running": counts.running,
            "capacity": self.run.capacity,
            "eta_s": self.eta_s,
            "message": self.run.message,
            "failures": [reading.job_row(job) for job in self.failures],
            "running_jobs": [reading.job_row(job) for job in self.running],
        }


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
    screen = _Screen((failed, running) if filtered else (True, True), None if filtered else _SHOWN)
    for standing in _standings(folder, run, group, watch):
        goes_on = watch and standing.run.status == "running"
        if as_json and not goes_on:
            reading.print_document(standing.document())
        elif goes_on and not as_json:
            screen.frame(standing)
        elif not goes_on:
            screen.show(standing)


def _standings(folder: Path, selector: str, group: str | None, watch: bool) -> Iterator[Standing]:
    """Yield how the run stands now and, to watch it, after every change until it has ended."""
    import time

    from scriptflow.store.reader import StoreReader

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


def _open_jobs(reader: StoreReader, run: RunRecord) -> list[JobRecord]:
    """Return the jobs that were handed over and have not ended, the longest-running first."""
    jobs = [job for state in ("started", "queued", "running") for job in reader.jobs(run.id, state=state)]
    if run.status == "running":  # it may have joined jobs that an earlier run of its flow left
        jobs += [job for job in reader.elsewhere() if job.run != run.run and job.run.rpartition("-")[0] == run.flow]
    return sorted(jobs, key=lambda job: job.began or job.started)


def _standing(job: JobRecord) -> str:
    """Say where an open job is; of one in a batch system's queue, its number there and why it waits."""
    if job.state != "queued":
        return job.host
    return f"queued as {job.executor_id}" + (f": {job.detail}" if job.detail else "")


def _of_group(jobs: list[JobRecord], group: str | None) -> list[JobRecord]:
    return jobs if group is None else [job for job in jobs if job.group == group]


def _eta_s(reader: StoreReader, run: RunRecord) -> int | None:
    """Guess the seconds left from how long tasks took, in this run or the one before; None when nothing is known."""
    counts = run.counts
    left = counts.queued + counts.waiting + counts.running / 2  # on average a running one is half done
    ended = [
        job.ended - job.began
        for job in reader.jobs(run.id, state="succeeded", limit=_SAMPLE)
        if job.began is not None and job.ended is not None
    ]
    if len(ended) < _ENOUGH:
        ended = list(reader.durations(run.flow).values())
    if not ended or not left:
        return None
    return round(left * sum(ended) / len(ended) / max(1, counts.running))


# --- the screen -----------------------------------------------------------------------------------


class _Screen:
    """Prints how a run stands: on a terminal each frame over the last one, elsewhere a line per change."""

    def __init__(self, parts: tuple[bool, bool], limit: int | None) -> None:
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
