"""Run the blocks of a Markdown page, in order, in one folder, and say where the page is wrong.

What a block's first line says after its language decides what happens to it::

    ```python            must compile
    ```python run        is run by Python
    ```python file=X     is written to the file X (the same for any other language: ```text file=X)
    ```console           its `$ command` lines are run; what follows each is compared with what it printed
    ```sh                is only shown

In expected output a line of one `…` stands for any lines, `…` within a line for any text. Spaces, times and dates are
not compared. A command is expected to exit with 0; a line `[exit 1]` at the end of its output says otherwise.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
LIMIT_S = 60
TIMES = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\b\d\d?:\d\d(:\d\d)?\b"), "CLOCK"),
    (re.compile(r"\b\d+(\.\d+)? ?(s|ms|min)\b"), "SPAN"),
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words after it, its text, and where it begins."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The name of the file the block is to be written to."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


class PageError(AssertionError):
    """The page says something that is not so."""


def blocks_of(page: Path) -> list[Block]:
    """Return all fenced blocks of a page."""
    text = page.read_text()
    blocks = []
    for match in FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        blocks.append(Block(language, tuple(words), body, text.count("\n", 0, match.start()) + 1))
    return blocks


def run_page(page: Path, folder: Path) -> int:
    """Run a page's blocks in ``folder``; returns how many commands and programs ran."""
    ran = 0
    for block in blocks_of(page):
        place = f"{page.name}:{block.line}"
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        if block.language == "python":
            compile(block.text, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if "run" in block.words:
                execute([sys.executable, "-c", block.text], folder, place)
                ran += 1
        elif block.language == "console":
            for command, expected in commands_of(block.text):
                compare(expected, execute(["bash", "-c", command], folder, f"{place}: $ {command}"), place, command)
                ran += 1
    return ran


def commands_of(text: str) -> list[tuple[str, str]]:
    """Split a console block into commands and the output that is expected of each."""
    commands: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands:
            commands[-1][1].append(line)
    return [(command, "\n".join(output)) for command, output in commands]


def execute(argv: list[str], folder: Path, place: str) -> str:
    """Run a program and return what it printed, on both streams, and its exit code if that is not 0."""
    bin_folder = str(Path(sys.executable).parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCRIPTFLOW_")}
    environment |= {"PATH": f"{bin_folder}:{environment['PATH']}", "COLUMNS": "100", "NO_COLOR": "1", "CI": "true"}
    try:
        child = subprocess.run(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise PageError(f"{place}: still running after {LIMIT_S} s") from error
    if child.returncode and argv[0] == sys.executable:
        raise PageError(f"{place}: exit {child.returncode}\n{child.stdout}")
    return child.stdout + (f"[exit {child.returncode}]\n" if child.returncode else "")


def plain(text: str) -> str:
    """Leave out what differs from run to run."""
    for pattern, word in TIMES:
        text = pattern.sub(word, text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines() if line.strip())


def compare(expected: str, printed: str, place: str, command: str) -> None:
    """Raise PageError unless ``printed`` is what the page shows; no expected output means: only the exit code."""
    if not expected.strip():
        if re.search(r"^\[exit \d+\]$", printed, re.MULTILINE):
            raise PageError(f"{place}: $ {command}\n{printed}")
        return
    parts = [
        "(?:.*\n)*?" if line == "…" else "[^\n]*?".join(re.escape(part) for part in line.split("…")) + "\n"
        for line in plain(expected).splitlines()
    ]
    if not re.fullmatch("".join(parts), plain(printed) + "\n"):
        raise PageError(f"{place}: $ {command}\n--- the page\n{plain(expected)}\n--- printed\n{plain(printed)}")
