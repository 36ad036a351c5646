"""The rows of the comparison: what is run for each, and the figures that come out of it.

A row takes a ``Bench`` and returns figures; it knows nothing of how they are shown or judged.
"""

from __future__ import annotations

import ast
import itertools
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from typing import TYPE_CHECKING

import flows
from bench import Bench, Figure
from graphs import Workplace
from measuring import Command, Cost, Failed, median, ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = os.path.dirname(os.path.abspath(__file__))


def _against(
    costs: dict[str, list[Cost]], targets: dict[str, tuple[float | None, float | None]], what: str = "cpu_s"
) -> Iterator[Figure]:
    """Yield our ratio to each peer; to doit and snakemake it says how many times faster we are."""
    ours = [getattr(cost, what) for cost in costs["scriptflow"]]
    for name, (must, stretch) in targets.items():
        if name not in costs:
            continue
        theirs = [getattr(cost, what) for cost in costs[name]]
        faster = name in ("doit", "snakemake")
        value, least, most = ratios(theirs, ours) if faster else ratios(ours, theirs)
        label = f"faster than {name}" if faster else f"of {name}"
        yield Figure(label, value, must, stretch, more=faster, spread=(least, most))


def no_op_flat(bench: Bench) -> Iterator[Figure]:
    """Nothing to do, 10,000 tasks with an input and an output each."""
    costs = bench.measure("no-op 10,000 flat", bench.ready("flat", 10_000, ("make", "ninja", "doit")))
    yield from _against(costs, {"ninja": (2.5, 1.5), "make": (None, None), "doit": (6, None)})


def no_op_snakemake(bench: Bench) -> Iterator[Figure]:
    """Nothing to do, 1,000 tasks: snakemake needs seconds for as many."""
    costs = bench.measure("no-op 1,000 flat", bench.ready("flat", 1_000, ("ninja", "snakemake")))
    yield from _against(costs, {"ninja": (None, None), "snakemake": (None, None)})


def no_op_large(bench: Bench) -> Iterator[Figure]:
    """Nothing to do, 100,000 tasks."""
    costs = bench.measure("no-op 100,000 flat", bench.ready("flat", 100_000, ("make", "ninja")))
    yield from _against(costs, {"ninja": (1.9, 1.25), "make": (None, None)})
    yield Figure("peak memory", median(costs["scriptflow"], "peak_mb"), 160, unit="MB")


def no_op_shapes(bench: Bench) -> Iterator[Figure]:
    """Nothing to do, other graphs than a flat one."""
    shapes = {"tree": 10_000, "fan-in": 5_000}
    if not bench.quick:
        shapes |= {"chain": 10_000, "diamonds": 10_000}
    for shape, n in shapes.items():
        costs = bench.measure(f"no-op {n:,} {shape}", bench.ready(shape, n, ("make",)))
        for figure in _against(costs, {"make": (3, 2)}):
            figure.label = f"{shape} {figure.label}"
            yield figure


def edit(bench: Bench) -> Iterator[Figure]:
    """One input of 10,000 edited before each run: exactly the one task that reads it runs."""
    commands = bench.ready("flat", 10_000, ("ninja", "doit"))
    for name, command in commands.items():
        command.before, command.after = _editing(command.folder, name)
    costs = bench.measure("one of 10,000 edited", commands)
    yield from _against(costs, {"ninja": (3, 1.5), "doit": (5, None)})


def _editing(folder: str, name: str) -> tuple[Callable[[], None], Callable[[], None]]:
    turn = [1000]
    before: dict[str, int] = {}

    def times() -> dict[str, int]:
        return {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(f"{folder}/out")}

    def change() -> None:
        turn[0] += 7
        before.update(times())
        with open(f"{folder}/in/{turn[0]}", "a", encoding="utf-8") as file:
            file.write("edited\n")

    def check() -> None:
        changed = [made for made, at in times().items() if before[made] != at]
        if changed != [str(turn[0])]:
            raise Failed(f"{name} ran {len(changed)} tasks ({changed[:5]}) after an edit of in/{turn[0]}")

    return change, check


def dispatch(bench: Bench) -> Iterator[Figure]:
    """5,000 tasks, each ``touch`` of its output, two at a time, all to be run."""
    n = 2_000 if bench.quick else 5_000
    place = Workplace(bench.folder, "flat", n, shutil.which("touch") or "touch")
    place.folder += "/dispatch"
    folder = place.scriptflow()
    flows.write(folder, flows.DISPATCH, n)
    commands = {"scriptflow": bench.ours(folder, "-j2")}
    if "make" in bench.peers:
        commands["make"] = Command([bench.peers.paths["make"], "-j2"], place.make())
    if "ninja" in bench.peers:
        commands["ninja"] = Command([bench.peers.paths["ninja"], "-j2"], place.ninja())
    heads: dict[str, list[float]] = {name: [] for name in commands}
    for name, command in commands.items():
        command.before = _emptied(command.folder)
        if name == "scriptflow":
            command.after = _noted(heads[name], f"{command.folder}/jobs-cpu.txt")
    costs = bench.measure(f"dispatch of {n:,}", commands)
    if not bench.quick:
        quiet = Command([*commands["scriptflow"].argv, "-q"], folder, commands["scriptflow"].before)
        quiet.after = _noted(heads.setdefault("scriptflow -q", []), f"{folder}/jobs-cpu.txt")
        costs |= bench.measure(f"dispatch of {n:,}", {"scriptflow -q": quiet}, rounds=2)
    yield from _against(costs, {"make": (1.25, 1.05), "ninja": (0.75, None)})
    for name, note in (("scriptflow", ""), ("scriptflow -q", ", -q")):
        if name in costs:
            own = [(cost.cpu_s - jobs) / n * 1e6 for cost, jobs in zip(costs[name], heads[name], strict=True)]
            must, stretch = (None, None) if note else (260, 150)
            yield Figure(
                f"head per task{note}", statistics.median(own), must, stretch, unit="us", gate=False,
                spread=(min(own), max(own)),
            )  # fmt: skip
    if "make" in costs:
        yield Figure("make's own per task", median(costs["make"], "own_s") / n * 1e6, unit="us")


def _emptied(folder: str) -> Callable[[], None]:
    """Return what makes a folder as it was before anything ran.

    What is there is moved aside, not deleted: for minutes after many files were deleted, ext4 looks long for the place
    of a new one, and the next peer would pay for it.
    """
    turn = [0]

    def empty() -> None:
        while os.path.exists(aside := f"{folder}/old/{turn[0]}"):
            turn[0] += 1
        os.makedirs(aside)
        for name in ("out", ".scriptflow", ".ninja_log"):
            if os.path.exists(f"{folder}/{name}"):
                os.rename(f"{folder}/{name}", f"{aside}/{name}")
        os.mkdir(f"{folder}/out")

    return empty


def _noted(into: list[float], path: str) -> Callable[[], None]:
    def note() -> None:
        with open(path, encoding="utf-8") as file:
            into.append(float(file.read()))

    return note


def gap(bench: Bench) -> Iterator[Figure]:
    """From one task's exit to the start of the next: 500 tasks in a row, the median of each run."""
    n = 500
    place = Workplace(bench.folder + "/gap", "chain", n, bench.peers.stamp)
    commands = {"scriptflow": bench.ours(place.scriptflow())}
    waiting = place.scriptflow().replace("/scriptflow", "/awaiting")
    os.makedirs(f"{waiting}/in", exist_ok=True)
    with open(f"{waiting}/in/0", "a", encoding="utf-8"):
        pass
    flows.write(waiting, flows.AWAITING, n, PROGRAM=bench.peers.stamp)
    commands["scriptflow, await in a loop"] = bench.ours(waiting)
    for name, folder in (("make", place.make), ("ninja", place.ninja)):
        if name in bench.peers:
            commands[name] = Command([bench.peers.paths[name]], folder())
    gaps: dict[str, list[float]] = {name: [] for name in commands}
    for name, command in commands.items():
        command.before = _emptied(command.folder)
        command.after = _gaps_noted(gaps[name], command.folder, n)
    bench.measure("chain of 500", commands)
    for name, targets in (("make", (1.1, 1.0)), ("ninja", (0.6, None))):
        if name in gaps:
            value, least, most = ratios(gaps["scriptflow"], gaps[name])
            yield Figure(f"of {name}", value, *targets, gate=False, spread=(least, most))
    for name, found in gaps.items():
        yield Figure(f"gap of {name}", statistics.median(found), unit="us", spread=(min(found), max(found)))


def _gaps_noted(into: list[float], folder: str, n: int) -> Callable[[], None]:
    def note() -> None:
        stamps = []
        for i in range(n):
            with open(f"{folder}/out/{i}", encoding="utf-8") as file:
                stamps.append([int(word) for word in file.read().split()])
        into.append(statistics.median(later[0] - one[1] for one, later in itertools.pairwise(stamps)) / 1e3)

    return note


def pending(bench: Bench) -> Iterator[Figure]:
    """Memory per task that waits: a million of them behind one task that blocks."""
    n = 100_000 if bench.quick else 1_000_000
    folder = f"{bench.folder}/pending"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/in", "a", encoding="utf-8"):
        flows.write(folder, flows.PENDING, n)
    base = _peak_while_blocked(bench, folder, 0, "list")
    each = (_peak_while_blocked(bench, folder, n, "list") - base) / n
    yield Figure("each, in a bag from a list", each, 700, 480, unit="B")
    window = (_peak_while_blocked(bench, folder, n, "generator") - base) / 1e6
    yield Figure("all, in a bag from a generator", window, 16, unit="MB")
    # A bag sends a few thousand of its tasks at a time: these are all sent.
    sent = 100_000
    each = (_peak_while_blocked(bench, folder, sent, "sent") - base) / sent
    yield Figure("each, all sent by start()", each, unit="B")


def _peak_while_blocked(bench: Bench, folder: str, n: int, form: str) -> float:
    """Return the peak memory, in bytes, of a run that has come to rest with its first task running."""
    _emptied(folder)()
    with open(f"{folder}/output.txt", "wb") as output:
        argv = [bench.peers.scriptflow, "run", "-j1", "-q", "--n", str(n), "--form", form]
        head = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                start_new_session=True)  # fmt: skip
    ticks, quiet, deadline = -1, 0, time.monotonic() + 200
    while quiet < 4 and head.poll() is None and time.monotonic() < deadline:
        time.sleep(0.25)
        with open(f"/proc/{head.pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        now = int(fields[11]) + int(fields[12])
        quiet = quiet + 1 if now - ticks <= 1 and os.path.exists(f"{folder}/gate") else 0
        ticks = now
    if head.returncode is not None:
        with open(f"{folder}/output.txt", encoding="utf-8", errors="replace") as text:
            raise Failed(f"the blocked run ended: {text.read()[-800:]}")
    with open(f"/proc/{head.pid}/status", encoding="ascii") as file:
        peak = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    head.send_signal(signal.SIGKILL)  # its reaper ends the blocked task
    head.wait()
    os.unlink(f"{folder}/gate")
    return peak


def start(bench: Bench) -> Iterator[Figure]:
    """What a start costs, over a bare interpreter of the same environment."""
    folder = bench.ready("flat", 1, ())["scriptflow"].folder
    program = bench.peers.scriptflow
    commands = {
        "bare": Command([bench.peers.python, "-c", "pass"], folder),
        "--help": Command([program, "--help"], folder),
        "list": Command([program, "list"], folder),
        "run of one": Command([program, "run"], folder),
    }
    costs = bench.measure("start", commands, rounds=4 * bench.rounds)
    for name, must in (("--help", 4), ("list", 5), ("run of one", 8)):
        value, least, most = ratios([cost.cpu_s for cost in costs[name]], [cost.cpu_s for cost in costs["bare"]])
        yield Figure(name, value, must, 3, spread=(least, most))


def _output(bench: Bench, script: str, *words: str) -> str:
    """Run one of the other benchmarks in our environment; return what it prints."""
    done = subprocess.run((bench.peers.python, f"{HERE}/{script}", *words), cwd=bench.folder, check=False,
                          capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        raise Failed(f"{script} ended with {done.returncode}: {done.stderr[-800:]}")
    return done.stdout


def record(bench: Bench) -> Iterator[Figure]:
    """What a record costs, by store_record.py: the write thread's CPU and bytes per task."""
    said = _output(bench, "store_record.py")
    for at_once in (1, 16, 256):
        found = re.search(rf"store, {at_once} at once (\{{.*\}})", said)
        if found:
            figures = ast.literal_eval(found[1])
            targets = (15, 8) if at_once == 256 else (None, None)
            yield Figure(f"cpu, {at_once} running", figures["cpu us"], *targets, unit="us", gate=False)
            if at_once == 256:
                yield Figure("bytes", figures["bytes"], 350, unit="B")


def display(bench: Bench) -> Iterator[Figure]:
    """What the screens cost at 50,000 tasks and 2,500 events a second, by display.py."""
    said = _output(bench, "display.py", "--seconds", "4" if bench.quick else "8")
    for name, must in (("live", 1), ("plain", None)):
        found = re.search(rf"^{name}\s+([-\d.]+) %", said, re.MULTILINE)
        if found:
            yield Figure(name, float(found[1]), must, 0.4 if must else None, unit="% of a core", gate=False)


def growth(bench: Bench) -> Iterator[Figure]:
    """Twice the tasks, at most 2.2 times the time: running them all, then nothing to do."""
    sizes = (10_000, 20_000, 40_000)
    commands = {n: bench.ready("flat", n, ())["scriptflow"] for n in sizes}
    costs = bench.measure("growth, no-op", {f"{n:,}": command for n, command in commands.items()})
    for half, n in itertools.pairwise(sizes):
        # Of a folder kept from an earlier call, nothing was left to be run.
        if all(bench.made["flat", size].cpu_s > 2 * median(costs[f"{size:,}"], "cpu_s") for size in (half, n)):
            ratio = bench.made["flat", n].cpu_s / bench.made["flat", half].cpu_s
            yield Figure(f"run of {n:,} to {half:,}", ratio, 2.2, gate=False)
    for half, n in itertools.pairwise(sizes):
        value, *spread = ratios(*([cost.cpu_s for cost in costs[f"{size:,}"]] for size in (n, half)))
        yield Figure(f"no-op of {n:,} to {half:,}", value, 2.2, spread=(spread[0], spread[1]))


ROWS: dict[str, tuple[str, Callable[[Bench], Iterator[Figure]]]] = {
    "no-op": ("no-op, 10,000 flat", no_op_flat),
    "no-op-snakemake": ("no-op, 1,000 flat", no_op_snakemake),
    "no-op-large": ("no-op, 100,000 flat", no_op_large),
    "no-op-shapes": ("no-op, other graphs", no_op_shapes),
    "edit": ("one of 10,000 edited", edit),
    "dispatch": ("dispatch of touch, -j2", dispatch),
    "gap": ("exit to next start", gap),
    "pending": ("pending tasks", pending),
    "start": ("start, over bare Python", start),
    "record": ("record of a task", record),
    "display": ("display", display),
    "growth": ("double the tasks", growth),
}
"""Each row's word on the command line, its title and what measures it, in the table's order."""

QUICK = ("no-op", "no-op-shapes", "edit", "dispatch", "pending", "start")
"""The rows of the short form."""
