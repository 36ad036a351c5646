"""``scriptflow suggest``: what tasks took in past runs, and what to ask for next time; reads the store alone."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import click

from scriptflow.cli import reading
from scriptflow.cli.options import Command, folder_option, json_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.store.reader import Measured

_NUMBER = re.compile(r"\d+")
_MEMORY_MARGIN = 1.25
_TIME_MARGIN = 1.5
_MB = 1024**2
_TIMES_S = (60, 120, 300, 600, 900, 1800, 2700, 3600)


@click.command("suggest", cls=Command, short_help="Suggest memory, cpus and time from past runs.")
@click.argument("flow", metavar="[FLOW]", required=False)
@json_option
@folder_option
def command(flow: str | None, as_json: bool) -> None:
    """Print what the tasks of a flow took in past runs, and keywords that ask for that much, with a margin.

    Tasks whose names differ in numbers only (fit-1, fit-2) are one row (fit-*): they are made by one line of a flow.

    \b
    Examples:
      scriptflow suggest
      scriptflow suggest paper --json
    """  # noqa: D301 (\b keeps click from refilling the examples)
    from scriptflow.errors import NotFound
    from scriptflow.store.reader import StoreReader

    with StoreReader(reading.store_folder_or_fail()) as reader:
        name = flow or reader.find_run("last").flow
        if flow is not None and flow not in reader.flows():
            raise NotFound(f"no run of flow {flow} is recorded", do="scriptflow runs")
        families = families_of(reader.measured(name))
    if as_json:
        reading.print_document({"schema": 1, "flow": name, "tasks": [family.document() for family in families]})
    elif families:
        _print(families)
    else:
        click.echo(f"no task of {name} has run to its end yet: scriptflow run {name}", err=True)


class Family:
    """Jobs of tasks that are called alike.

    Attributes:
        name: ``fit-*``, or the one name there is.
        jobs: how many are measured.
    """

    def __init__(self, name: str, measured: Sequence[Measured]) -> None:
        self.name = name
        self.jobs = len(measured)
        times = sorted(one.seconds for one in measured)
        self.median_s, self.longest_s = times[len(times) // 2], times[-1]
        self.memory = max((one.max_rss_bytes for one in measured if one.max_rss_bytes is not None), default=None)
        used = [one.cpu_s / one.seconds for one in measured if one.cpu_s is not None and one.seconds >= 1.0]
        self.cpus_used = max(used, default=None)
        self.asked_cpus = max(one.cpus for one in measured)
        self.asked_memory = max((one.memory_bytes for one in measured if one.memory_bytes is not None), default=None)
        # What was killed for lack of it would have taken more than was measured.
        lacked = [one.memory_bytes or one.max_rss_bytes or 0 for one in measured if one.cause == "out-of-memory"]
        self.lacked_memory = max(lacked, default=0)
        self.lacked_time = any(one.cause in ("walltime", "timeout") for one in measured)

    def keywords(self) -> dict[str, object]:
        """Return what to ask for: keywords of ``sf.Task``."""
        found: dict[str, object] = {"cpus": max(1, math.ceil((self.cpus_used or 0) - 0.25))}
        if self.memory is not None or self.lacked_memory:
            found["memory"] = _memory(max((self.memory or 0) * _MEMORY_MARGIN, 2 * self.lacked_memory))
        found["walltime"] = _time(self.longest_s * (2 if self.lacked_time else _TIME_MARGIN))
        return found

    def document(self) -> dict[str, object]:
        """Return it as ``suggest --json`` prints it."""
        return {
            "task": self.name,
            "jobs": self.jobs,
            "seconds": {"median": round(self.median_s, 3), "max": round(self.longest_s, 3)},
            "cpus_used": None if self.cpus_used is None else round(self.cpus_used, 2),
            "max_rss_bytes": self.memory,
            "asked": {"cpus": self.asked_cpus, "memory_bytes": self.asked_memory},
            "suggested": self.keywords(),
        }


def families_of(measured: Iterable[Measured]) -> list[Family]:
    """Gather measured jobs by their tasks' names, numbers left out; the longest-running first."""
    members: dict[str, list[Measured]] = {}
    for one in measured:
        members.setdefault(_NUMBER.sub("*", one.task), []).append(one)
    families = []
    for pattern, jobs in members.items():
        names = {one.task for one in jobs}
        families.append(Family(pattern if len(names) > 1 else names.pop(), jobs))
    return sorted(families, key=lambda family: -family.median_s * family.jobs)


def _memory(size: float) -> str:
    """Round a size up to what one would write: steps of 50 MB, then 100 MB, then half a GB, then whole ones."""
    mb = size / _MB
    step = 50 if mb <= 500 else 100 if mb <= 900 else 512 if mb <= 10 * 1024 else 1024
    whole = max(1, math.ceil(mb / step)) * step
    return f"{whole}MB" if whole < 1000 else f"{whole / 1024:g}GB"


def _time(seconds: float) -> str:
    """Round a time up to what one would write."""
    neat = next((time for time in _TIMES_S if seconds <= time), math.ceil(seconds / 1800) * 1800)
    hours, minutes = divmod(neat // 60, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")


def _print(families: Sequence[Family]) -> None:
    from scriptflow.core.units import size_text
    from scriptflow.terminal import words

    rows: list[list[reading.Cell]] = []
    for family in families:
        memory = "" if family.memory is None else size_text(family.memory)
        wanted = "" if family.asked_memory is None else size_text(family.asked_memory)
        used = "" if family.cpus_used is None else f"{family.cpus_used:.1f}"
        told = ", ".join(
            f'{key}="{value}"' if key != "cpus" else f"cpus={value}" for key, value in family.keywords().items()
        )
        rows.append(
            [
                family.name, words.count(family.jobs), words.duration(family.median_s),
                words.duration(family.longest_s), used, str(family.asked_cpus), memory, wanted, told,
            ]
        )  # fmt: skip
    titles = ["TASK", ">JOBS", ">MEDIAN", ">LONGEST", ">CPUS", ">ASKED", ">MEMORY", ">ASKED", "SUGGESTED"]
    look = reading.stdout_look()
    reading.echo_lines(reading.table(look, titles, rows, width=max(100, reading.stdout_width()), soft=(0,)))
