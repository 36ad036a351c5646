"""What every row of the comparison works with: a figure with its targets, and a bench that readies peers and measures.

Knows nothing of single rows or of how figures are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphs import Workplace
from measuring import Command, Cost, cost_of, interleaved

if TYPE_CHECKING:
    from peers import Peers


class Figure:
    """One number with its targets: ``must`` and ``stretch`` are upper limits, lower ones where ``more`` is better.

    ``gate``: whether it may fail a check, which no figure in seconds may.
    """

    def __init__(self, label: str, value: float, must: float | None = None, stretch: float | None = None, *,
                 unit: str = "x", more: bool = False, gate: bool = True, spread: tuple[float, float] | None = None,
                 ) -> None:  # fmt: skip
        self.label = label
        self.value = value
        self.must = must
        self.stretch = stretch
        self.unit = unit
        self.more = more
        self.gate = gate and must is not None
        self.spread = spread

    def is_within(self, target: float | None, slack: float = 1.0) -> bool:
        """Whether the figure reaches a target, or misses it by no more than the factor ``slack``."""
        if target is None:
            return True
        return self.value >= target / slack if self.more else self.value <= target * slack


class Bench:
    """What rows work with: the peers, a folder, sizes, and every cost that was measured.

    ``made`` has what it cost us to run all tasks of a graph, before a row in which there is nothing left to do.
    """

    def __init__(self, peers: Peers, folder: str, rounds: int, *, quick: bool) -> None:
        self.peers = peers
        self.folder = folder
        self.rounds = rounds
        self.quick = quick
        self.costs: dict[str, dict[str, list[Cost]]] = {}
        self.made: dict[tuple[str, int], Cost] = {}

    def measure(self, row: str, commands: dict[str, Command], rounds: int | None = None) -> dict[str, list[Cost]]:
        """Measure commands side by side, and keep the costs under the row's name."""
        costs = interleaved(commands, rounds or self.rounds)
        self.costs.setdefault(row, {}).update(costs)
        return costs

    def ours(self, folder: str, *words: str) -> Command:
        """Return our run of a folder's flow, as users type it."""
        return Command([self.peers.scriptflow, "run", *words], folder)

    def ready(self, shape: str, n: int, names: tuple[str, ...]) -> dict[str, Command]:
        """Return a no-op run for each peer that is there, everything having been made once."""
        place = Workplace(self.folder, shape, n, self.peers.stamp)
        commands = {"scriptflow": self.ours(place.scriptflow())}
        made = cost_of(commands["scriptflow"])
        self.made.setdefault((shape, n), made)
        if "make" in names and "make" in self.peers:
            folder = place.make()
            place.make_outputs(folder)
            commands["make"] = Command([self.peers.paths["make"]], folder)
        if "ninja" in names and "ninja" in self.peers:
            # The shell that it starts for every task does the work itself: half the time until all is made.
            commands["ninja"] = Command([self.peers.paths["ninja"]], place.ninja(": >$out"))
            cost_of(commands["ninja"])
        if "doit" in names and "doit" in self.peers:
            folder = place.doit()
            place.make_outputs(folder)
            commands["doit"] = Command([self.peers.paths["doit"]], folder)
            cost_of(Command([self.peers.paths["doit"], "reset-dep"], folder))
        if "snakemake" in names and "snakemake" in self.peers:
            folder = place.snakemake()
            place.make_outputs(folder)
            commands["snakemake"] = Command([self.peers.paths["snakemake"], "-c2"], folder)
            cost_of(Command([self.peers.paths["snakemake"], "-c2", "--touch"], folder))
        return commands
