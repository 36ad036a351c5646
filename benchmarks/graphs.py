"""Write one task graph in every peer's own language, with the files it begins with.

Every task runs one program with its output as the only word. Knows nothing of measuring.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# What a user would write: loops, not tables. PROGRAM and N are filled in.
_LOOPS = {
    "flat": """
    tasks = [sf.Task([PROGRAM, f"out/{i}"], inputs=f"in/{i}", outputs=f"out/{i}") for i in range(n)]
""",
    "chain": """
    tasks = [
        sf.Task([PROGRAM, f"out/{i}"], inputs=f"out/{i - 1}" if i else "in/0", outputs=f"out/{i}") for i in range(n)
    ]
""",
    "tree": """
    tasks = []
    for i in range(n):
        below = [f"out/{j}" for j in (2 * i + 1, 2 * i + 2) if j < n] or f"in/{i}"
        tasks.append(sf.Task([PROGRAM, f"out/{i}"], inputs=below, outputs=f"out/{i}"))
""",
    "diamonds": """
    tasks = []
    for i in range(n):
        before = "in/0" if i == 0 else [f"out/{i - 2}", f"out/{i - 1}"] if i % 3 == 0 else f"out/{i - i % 3}"
        tasks.append(sf.Task([PROGRAM, f"out/{i}"], inputs=before, outputs=f"out/{i}"))
""",
    "fan-in": """
    tasks = [sf.Task([PROGRAM, f"out/{i}"], inputs=f"in/{i}", outputs=f"out/{i}") for i in range(n)]
    tasks.append(sf.Task([PROGRAM, "out/all"], inputs=[f"out/{i}" for i in range(n)], outputs="out/all"))
""",
}


def graph(shape: str, n: int) -> list[tuple[str, list[str]]]:
    """Return (output, inputs) of every task, the order being one in which they can run."""
    match shape:
        case "flat":
            return [(f"out/{i}", [f"in/{i}"]) for i in range(n)]
        case "chain":
            return [(f"out/{i}", [f"out/{i - 1}" if i else "in/0"]) for i in range(n)]
        case "tree":
            below = {i: [f"out/{j}" for j in (2 * i + 1, 2 * i + 2) if j < n] or [f"in/{i}"] for i in range(n)}
            return [(f"out/{i}", below[i]) for i in reversed(range(n))]
        case "diamonds":
            first = [("out/0", ["in/0"])]
            return first + [
                (f"out/{i}", [f"out/{i - 2}", f"out/{i - 1}"] if i % 3 == 0 else [f"out/{i - i % 3}"])
                for i in range(1, n)
            ]
        case "fan-in":
            return [*graph("flat", n), ("out/all", [f"out/{i}" for i in range(n)])]
    raise ValueError(shape)


class Workplace:
    """A folder for each peer, all with the same graph."""

    def __init__(self, folder: str, shape: str, n: int, program: str) -> None:
        self.folder = folder
        self.shape = shape
        self.n = n
        self.program = program
        self.tasks = graph(shape, n)

    def scriptflow(self) -> str:
        """Write the flow ``work``; return the folder."""
        flow = f"import scriptflow as sf\n\nPROGRAM = {self.program!r}\n\n\nasync def flow_work(n: int = {self.n}):"
        return self._write("scriptflow", "sflow.py", [f"{flow}{_LOOPS[self.shape]}    await sf.bag(*tasks)\n"])

    def make(self) -> str:
        """Write a Makefile; return the folder."""
        # Without its built-in rules, as careful Makefiles have it: they cost make thirty times what it measures here.
        lines = ["MAKEFLAGS += -rR\n.SUFFIXES:\n", "all: " + " ".join(self._ends()) + "\n"]
        lines += [f"{made}: {' '.join(needs)}\n\t{self.program} {made}\n" for made, needs in self.tasks]
        return self._write("make", "Makefile", lines)

    def ninja(self, command: str = "") -> str:
        """Write a build.ninja; return the folder."""
        lines = [f"rule r\n  command = {command or self.program + ' $out'}\n"]
        lines += [f"build {made}: r {' '.join(needs)}\n" for made, needs in self.tasks]
        return self._write("ninja", "build.ninja", lines)

    def doit(self) -> str:
        """Write a dodo.py for a flat graph; return the folder."""
        return self._write(
            "doit", "dodo.py",
            [
                "def task_work():\n",
                f"    for i in range({self.n}):\n",
                f"        yield {{'name': str(i), 'actions': [[{self.program!r}, f'out/{{i}}']],\n",
                "               'file_dep': [f'in/{i}'], 'targets': [f'out/{i}']}\n",
            ],
        )  # fmt: skip

    def snakemake(self) -> str:
        """Write a Snakefile for a flat graph; return the folder."""
        return self._write(
            "snakemake", "Snakefile",
            [
                f"rule all:\n    input: [f'out/{{i}}' for i in range({self.n})]\n",
                f"rule work:\n    input: 'in/{{i}}'\n    output: 'out/{{i}}'\n    shell: '{self.program} {{output}}'\n",
            ],
        )  # fmt: skip

    def make_outputs(self, folder: str) -> None:
        """Make every output as if its command had run a while after the inputs were made."""
        for made, _ in self.tasks:
            path = f"{folder}/{made}"
            _touch(path)
            os.utime(path, (1_600_000_000, 1_600_000_000))

    def _ends(self) -> list[str]:
        used = {path for _, needs in self.tasks for path in needs}
        return [made for made, _ in self.tasks if made not in used]

    def _write(self, peer: str, name: str, lines: Iterable[str]) -> str:
        folder = f"{self.folder}/{self.shape}-{self.n}/{peer}"
        if not os.path.exists(f"{folder}/in"):
            os.makedirs(f"{folder}/in")
            os.makedirs(f"{folder}/out")
            for path in {path for _, needs in self.tasks for path in needs if path.startswith("in/")}:
                _touch(f"{folder}/{path}")
                os.utime(f"{folder}/{path}", (1_500_000_000, 1_500_000_000))
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.writelines(lines)
        return folder


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
