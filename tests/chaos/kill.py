"""Kill scriptflow at random instants, run it again, and count every way in which that could go wrong.

    python tests/chaos/kill.py --points 1000 --scenario fresh,rebuild --kill head,all,job --aim uniform,end,syscall

Prints a table and the seed of every bad point; exit code 1 when anything is not zero that must be. ``--seed N
--points 1`` with one scenario, kill and aim does one point again (no kill is repeated to the microsecond). Linux only.

    python tests/chaos/kill.py --points 500 --seed 1 --record part-1
    python tests/chaos/kill.py --points 500 --seed 501 --record part-2
    python tests/chaos/kill.py --table part-1 part-2

With ``--record`` each point is a line of a file at once, also of a run that is cut short; ``--table`` adds files up.
"""

import argparse
import collections
import itertools
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from point import MUST_BE_ZERO, Arena, Shot, Verdict

SCENARIOS = ("fresh", "rebuild")
KILLS = ("head", "all", "job", "reaper")
AIMS = ("uniform", "end", "syscall")
POINTS_PER_GRAPH = 12


def shots(points: int, seed: int, scenarios: list[str], kills: list[str], aims: list[str]) -> list[Shot]:
    """Deal the points out over all rows, in turn. A job or a reaper is not killed at a call of the head."""
    rows = [(scenario, kill, aim) for scenario, kill, aim in itertools.product(scenarios, kills, aims)
            if aim != "syscall" or kill not in ("job", "reaper")]  # fmt: skip
    return [Shot(seed + number, *row) for number, row in zip(range(points), itertools.cycle(rows), strict=False)]


def table(verdicts: list[Verdict]) -> str:
    """Lay the verdicts out as a Markdown table: ``points with it/how many`` where anything was found."""
    lines = [
        "| scenario | kill | aim | points | " + " | ".join(MUST_BE_ZERO) + " | rerun~ | resume s |",
        "|" + "---|" * (len(MUST_BE_ZERO) + 6),
    ]
    rows = sorted({verdict.shot.row for verdict in verdicts})
    for row in [*rows, None]:
        some = [verdict for verdict in verdicts if row in (None, verdict.shot.row)]
        hits = [verdict for verdict in some if verdict.hit]
        cells = []
        for name in MUST_BE_ZERO:
            count = sum(verdict.counts[name] for verdict in some)
            cells.append(f"{sum(verdict.counts[name] > 0 for verdict in some)}/{count}" if count else "0")
        near = [age for verdict in hits for age in verdict.near]
        again = f"{len(near) / max(1, len(hits)):.1f}, max {max(near, default=0):.2f} s"
        waits = sorted(verdict.resume_s for verdict in hits) or [0.0]
        resume = f"{statistics.median(waits):.2f}, max {waits[-1]:.2f}"
        label = row or ("**all**", "", "")
        lines.append(f"| {' | '.join([*label, str(len(hits)), *cells, again, resume])} |")
    return "\n".join(lines)


def keep(verdict: Verdict, file: Path) -> None:
    """Add a verdict to a file, as a line of JSON."""
    with open(file, "a") as lines:
        lines.write(json.dumps(vars(verdict) | {"shot": vars(verdict.shot)}) + "\n")


def kept(files: list[Path]) -> list[Verdict]:
    """Read all verdicts of some files."""
    found = []
    for line in (line for file in files for line in file.read_text().splitlines()):
        fields = json.loads(line)
        shot, counts = Shot(**fields.pop("shot")), collections.Counter(fields.pop("counts"))
        found.append(Verdict(shot, counts=counts, **fields))
    return found


def run(
    wanted: list[Shot], place: Path, *, tasks: int | None = None, until: float | None = None, record: Path | None = None
) -> list[Verdict]:
    """Do all points; a bad one is told at once, on stderr."""
    verdicts: list[Verdict] = []
    arena = None
    for number, shot in enumerate(wanted):
        if until is not None and time.monotonic() > until:
            break
        if arena is None or number % POINTS_PER_GRAPH == 0:
            arena = Arena(place, shot.seed, tasks=tasks)
        verdict = arena.point(shot)
        verdicts.append(verdict)
        if record is not None:
            keep(verdict, record)
        if verdict.bad:
            print(f"BAD {shot} graph {arena.seed}", *verdict.notes, sep="\n    ", file=sys.stderr, flush=True)
        elif number % 20 == 19:
            bad = sum(verdict.bad for verdict in verdicts)
            print(f"{number + 1} of {len(wanted)}, {bad} bad", file=sys.stderr, flush=True)
    return verdicts


def main() -> int:
    """Read the words, do the points, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--scenario", default="fresh,rebuild")
    parser.add_argument("--kill", default="head,all,job")
    parser.add_argument("--aim", default="uniform,end,syscall")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tasks", type=int, help="tasks of each flow [120 to 200]")
    parser.add_argument("--minutes", type=float, help="stop after so long, however many points that is")
    parser.add_argument("--place", type=Path, help="folder for the flows; bad ones stay in it [a temporary one]")
    parser.add_argument("--record", type=Path, metavar="FILE", help="add each point to this file, as a line of JSON")
    parser.add_argument("--table", type=Path, nargs="+", metavar="FILE", help="do nothing, print the table of files")
    words = parser.parse_args()
    if words.table:
        return report(kept(words.table))
    chosen = {}
    for name, known in (("scenario", SCENARIOS), ("kill", KILLS), ("aim", AIMS)):
        chosen[name] = getattr(words, name).split(",")
        if unknown := set(chosen[name]) - set(known):
            parser.error(f"--{name}: {', '.join(sorted(unknown))} is none of {', '.join(known)}")
    if "syscall" in chosen["aim"] and shutil.which("strace") is None:
        parser.error("--aim syscall needs strace: apt-get install strace")
    place = words.place or Path(tempfile.mkdtemp(prefix="chaos-"))
    until = None if words.minutes is None else time.monotonic() + words.minutes * 60
    began = time.monotonic()
    verdicts = run(
        shots(words.points, words.seed, chosen["scenario"], chosen["kill"], chosen["aim"]),
        place, tasks=words.tasks, until=until, record=words.record,
    )  # fmt: skip
    code = report(verdicts)
    print(f"{time.monotonic() - began:.0f} s, seeds from {words.seed}")
    if code:
        print(f"the folders of bad points: {place}")
    elif words.place is None:
        shutil.rmtree(place)
    return code


def report(verdicts: list[Verdict]) -> int:
    """Print the table; return 1 when anything is not zero that must be."""
    bad = [verdict for verdict in verdicts if verdict.bad]
    print(table(verdicts))
    print(f"\n{len(verdicts)} points, {len(bad)} bad")
    if bad:
        print("bad seeds:", ", ".join(f"{verdict.shot.seed} ({'/'.join(verdict.shot.row)})" for verdict in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
