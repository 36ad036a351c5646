"""Compare scriptflow with make, ninja, doit and snakemake on this machine, and with its own targets.

    python benchmarks/compare.py [--quick] [--rows no-op,dispatch] [--rounds 5] [--json FILE] [--folder DIR]

Makes its own inputs and environments in a temporary folder. All peers run interleaved, every second round in the
opposite order; a ratio is the median of the ratios of the rounds. CPU is user and system time of the command and all
it reaped. Nothing that users get by default is switched off. ``--quick`` is for CI: it fails (exit 1) only where a
figure misses its target by more than a quarter, and never on seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from bench import Bench, Figure
from measuring import Failed
from peers import Peers
from rows import QUICK, ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

SLACK = 1.25
"""By how much the short form lets a target be missed: machines are shared."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, return the exit code."""
    asked = _arguments(argv)
    names = asked.rows.split(",") if asked.rows else list(QUICK if asked.quick else ROWS)
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    wanted = ("make", "ninja", "doit") if asked.quick else ("make", "ninja", "doit", "snakemake")
    with tempfile.TemporaryDirectory(prefix="scriptflow-benchmark-") as temporary:
        folder = os.path.abspath(asked.folder or temporary)
        os.makedirs(folder, exist_ok=True)
        began = time.monotonic()
        _tell("installing")
        peers = Peers(folder, wanted)
        bench = Bench(peers, folder, asked.rounds, quick=asked.quick)
        found: dict[str, list[Figure]] = {}
        failed: list[str] = []
        for name in names:
            _tell(f"{time.monotonic() - began:4.0f} s  {ROWS[name][0]}")
            found[name] = []
            try:
                for figure in ROWS[name][1](bench):
                    found[name].append(figure)
                    _tell(f"        {figure.label}: {shown(figure)}")
            except Failed as problem:
                failed.append(f"{ROWS[name][0]}: {problem}")
                _tell(f"        could not be measured: {problem}")
        seconds, versions = time.monotonic() - began, peers.versions()
    for sentence in peers.missing:
        print(sentence)
    print(table(found))
    print(f"{_machine()}; {', '.join(f'{name} {version}' for name, version in versions.items())}; {seconds:.0f} s")
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump(document(found, bench, versions, seconds), file, indent=1)
    missed = [figure for figures in found.values() for figure in figures
              if figure.gate and not figure.is_within(figure.must, SLACK)]  # fmt: skip
    for figure in missed:
        _tell(f"missed by more than a quarter: {figure.label} {shown(figure)}, target {figure.must:g}")
    for sentence in failed:
        _tell(f"could not be measured: {sentence}")
    return 1 if failed or (asked.quick and missed) else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", help=f"only these, with commas between: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each command runs [5]")
    parser.add_argument(
        "--quick", action="store_true", help="the short form: fewer rows and peers; exit 1 past 1.25 targets"
    )
    parser.add_argument("--json", metavar="FILE", help="write every figure and every cost there")
    parser.add_argument("--folder", metavar="DIR", help="work there and leave it, so that a second run begins sooner")
    return parser.parse_args(argv)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def shown(figure: Figure) -> str:
    """Return a figure as text, with its spread."""
    digits = 2 if figure.value < 10 else 1 if figure.value < 100 else 0
    text = f"{figure.value:,.{digits}f} {figure.unit}" if figure.unit != "x" else f"{figure.value:.{digits}f} x"
    if figure.spread and figure.spread[0] != figure.spread[1]:
        text += f" [{figure.spread[0]:,.{digits}f}-{figure.spread[1]:,.{digits}f}]"
    return text


def table(found: dict[str, list[Figure]]) -> str:
    """Return all figures as one Markdown table."""
    lines = [("work", "figure", "measured", "must", "stretch", "")]
    for name, figures in found.items():
        for at, figure in enumerate(figures):
            sign = ">=" if figure.more else "<="
            must, stretch = (
                f"{sign} {target:g}" if target is not None else "" for target in (figure.must, figure.stretch)
            )
            lines.append(
                (ROWS[name][0] if at == 0 else "", figure.label, shown(figure), must, stretch, verdict(figure))
            )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rows.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(rows)


def verdict(figure: Figure) -> str:
    """Say which of its targets a figure reaches."""
    if figure.must is None and figure.stretch is None:
        return ""
    if not figure.is_within(figure.must):
        return "MISSED"
    return "stretch" if figure.stretch is not None and figure.is_within(figure.stretch) else "must"


def document(
    found: dict[str, list[Figure]], bench: Bench, versions: dict[str, str], seconds: float
) -> dict[str, object]:
    """Return everything that was measured, for a file."""
    figures = [
        {"row": name, "figure": figure.label, "value": figure.value, "unit": figure.unit, "spread": figure.spread,
         "must": figure.must, "stretch": figure.stretch, "verdict": verdict(figure)}
        for name, some in found.items() for figure in some
    ]  # fmt: skip
    costs = {
        work: {
            name: {
                what: [round(getattr(cost, what) * factor, 3) for cost in some]
                for what, factor in (("cpu_s", 1), ("own_s", 1), ("wall_s", 1), ("peak_mb", 1))
            } | {"cpu_median_s": statistics.median(cost.cpu_s for cost in some)}
            for name, some in peers.items()
        }
        for work, peers in bench.costs.items()
    }  # fmt: skip
    return {"schema": 1, "machine": _machine(), "versions": versions, "seconds": round(seconds),
            "figures": figures, "costs": costs}  # fmt: skip


def _machine() -> str:
    load = os.getloadavg()[0]
    return f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"


if __name__ == "__main__":
    sys.exit(main())
