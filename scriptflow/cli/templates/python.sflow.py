"""A flow whose steps are functions of this file, each called in a process of its own."""

from pathlib import Path

import scriptflow as sf


def count(source: str, target: str) -> None:
    """Write how many words each line of a text has."""
    lines = Path(source).read_text(encoding="utf-8").splitlines()
    Path(target).write_text("\n".join(str(len(line.split())) for line in lines) + "\n", encoding="utf-8")


def mean(source: str, target: str) -> None:
    """Write the mean of a column of numbers."""
    numbers = [float(line) for line in Path(source).read_text(encoding="utf-8").split()]
    Path(target).write_text(f"{sum(numbers) / len(numbers):.3f}\n", encoding="utf-8")


def step(function: str, source: str, target: str) -> sf.Task:
    """Make the task that calls a function above; this file is an input too, so an edit runs it again."""
    call = f"import sflow; sflow.{function}({source!r}, {target!r})"
    return sf.Task(["python", "-c", call], inputs=[source, "sflow.py"], outputs=target, name=function)


async def flow_words() -> None:
    """Find the mean number of words in the lines of text.txt."""
    await step("count", "text.txt", "counts.txt")
    await step("mean", "counts.txt", "mean.txt")
