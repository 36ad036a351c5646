"""A generated flow, and what its files must hold in the end.

Its commands write each output in place in two halves with a pause between, and keep a log of their own: one line when
they begin, with their process id and the digests of the inputs they were fed, and one when they end. It knows nothing
of scriptflow but the words a flow file needs.
"""

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

LOG = "chaos.log"
SOURCES, OUTPUTS, PIDS = "src", "out", "pids"

# The clock is the machine's uptime: the one clock that a shell can read without another process. A line is written by
# one write to a file opened for appending, so lines of several processes never mix.
SCRIPT = """\
name=$1 pause=$2 kind=$3 outputs=$4; shift 4
made=
while [ "$outputs" -gt 0 ]; do made="$made $1"; shift; outputs=$((outputs - 1)); done
read -r now _ < /proc/uptime
twin=
if [ -e "pids/$name" ] && read -r old < "pids/$name" && [ -n "$old" ] && kill -0 "$old" 2>/dev/null &&
    tr '\\0' ' ' < "/proc/$old/cmdline" 2>/dev/null | grep -qF " job.sh $name "
then twin=$old; fi
echo $$ > "pids/$name"
sums=$(sha256sum -- "$@") || exit 3
digests=
for word in $sums; do case $word in src/*|out/*) ;; *) digests=$digests,$word ;; esac; done
printf 'begin %s %s %s %s %s %s\\n' "$CHAOS_HEAD" "$name" $$ "$now" "$digests" "$twin" >> chaos.log
case $kind in
stubborn) trap '' TERM; sleep 60 & ;;
daemon) setsid sh -c 'trap "" TERM HUP; sleep 60 & sleep 60' & ;;
esac
for file in $made; do printf 'first half of %s\\n%s\\n' "$file" "$sums" > "$file"; done
sleep "$pause"
for file in $made; do printf 'second half of %s\\n%s\\n' "$file" "$sums" >> "$file"; done
read -r now _ < /proc/uptime
printf 'end %s %s %s %s\\n' "$CHAOS_HEAD" "$name" $$ "$now" >> chaos.log
"""

FLOW = """\
import json
import scriptflow as sf


async def flow_chaos():
    with open("graph.json") as file:
        layers = json.load(file)
    tasks = [[
        sf.Task(["sh", "job.sh", job["name"], job["pause"], job["kind"], str(len(job["outputs"])),
                 *job["outputs"], *job["inputs"]],
                inputs=job["inputs"], outputs=job["outputs"], name=job["name"])
        for job in layer] for layer in layers]
    STYLE
"""

# Three ways to await the same tasks: all at once, layer after layer, and the last ones only.
STYLES = (
    "await sf.bag(*(task for layer in tasks for task in layer))",
    "for layer in tasks:\n        await sf.bag(*layer)",
    "for layer in tasks:\n        for task in layer:\n            task.start()\n    await sf.bag(*tasks[-1])",
)


@dataclass(frozen=True)
class Step:
    """One task of the flow."""

    name: str
    pause: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Graph:
    """Layers of tasks, the first fed by source files, the last a fan-in."""

    def __init__(self, seed: int, *, tasks: int | None = None) -> None:
        rng = random.Random(f"graph {seed}")
        count = tasks or rng.randint(120, 200)
        self.style = rng.choice(STYLES)
        self.sources = [f"{SOURCES}/s{n:02}" for n in range(rng.randint(8, 20))]
        depth = rng.randint(4, 7)
        self.layers: list[list[Step]] = []
        made: list[str] = []
        previous = self.sources
        for level in range(depth):
            width = 1 if level == depth - 1 else (count - 1) // (depth - 1) + (level < (count - 1) % (depth - 1))
            layer = [self._step(rng, level, n, previous, made) for n in range(width)]
            made += previous
            previous = [file for step in layer for file in step.outputs]
            self.layers.append(layer)
        self.steps = {step.name: step for layer in self.layers for step in layer}

    @staticmethod
    def _step(rng: random.Random, level: int, number: int, previous: list[str], older: list[str]) -> Step:
        name = f"t{level}-{number:03}"
        fan = min(len(previous), rng.choice((1, 1, 2, 3, 4)) if number or level == 0 else 20)
        inputs = rng.sample(previous, fan)
        if older and rng.random() < 0.2:
            inputs.append(rng.choice(older))
        return Step(
            name=name,
            pause=f"{rng.choice((0.005, 0.02, 0.04, 0.08)):.3f}",
            kind=rng.choices(("plain", "stubborn", "daemon"), (92, 4, 4))[0],
            inputs=tuple(inputs),
            outputs=tuple(f"{OUTPUTS}/{name}{end}" for end in (("",) if rng.random() < 0.8 else (".a", ".b"))),
        )

    def write(self, folder: Path) -> None:
        """Lay flow, script and the first version of all sources into an empty folder."""
        for name in (SOURCES, OUTPUTS, PIDS):
            (folder / name).mkdir()
        (folder / "job.sh").write_text(SCRIPT)
        (folder / "sflow.py").write_text(FLOW.replace("STYLE", self.style))
        (folder / "graph.json").write_text(json.dumps([[vars(step) for step in layer] for layer in self.layers]))
        for source in self.sources:
            (folder / source).write_text(f"{source} version 1\n")

    def edit(self, folder: Path, rng: random.Random) -> None:
        """Change some sources, most with the size they had."""
        for source in rng.sample(self.sources, rng.randint(1, len(self.sources))):
            path = folder / source
            old = path.read_text()
            new = f"{source} version {rng.randrange(1, 10)}\n"
            path.write_text(new if new != old else f"{source} version {rng.randrange(10, 99)}\n")

    def expected(self, folder: Path) -> dict[str, str]:
        """Return the digest that each file must have, given the sources as they are now."""
        digests = {source: hashlib.sha256((folder / source).read_bytes()).hexdigest() for source in self.sources}
        for step in self.steps.values():
            sums = "\n".join(f"{digests[file]}  {file}" for file in step.inputs)
            for file in step.outputs:
                text = f"first half of {file}\n{sums}\nsecond half of {file}\n{sums}\n"
                digests[file] = hashlib.sha256(text.encode()).hexdigest()
        return digests

    def due(self, before: dict[str, str], after: dict[str, str]) -> set[str]:
        """Name the steps whose outputs differ between two states of the sources."""
        return {step.name for step in self.steps.values() if before.get(step.outputs[0]) != after[step.outputs[0]]}
