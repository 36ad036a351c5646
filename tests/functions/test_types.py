"""Type checkers know what calls take and what awaiting them gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import scriptflow

FLOW = """
import scriptflow as sf


@sf.task
def parts(n: int, word: str = "") -> list[int]:
    return [n]


@sf.task(retries=2)
async def later(n: int) -> str:
    return ""


async def flow_main() -> None:
    one: list[int] = parts(1)
    two: list[int] = await parts.call(1, word="x")
    three: list[int] = await parts.task(1, outputs="x")
    four: list[list[int]] = await parts.map("n", [1])
    five: str = await later(1)
    six: str = await later.partial(n=1).validate().call()
    seven: list[int] = parts.task(1).value
    parts.call("wrong")
    eight: str = await parts.call(1)
"""


@pytest.mark.slow
def test_mypy_sees_arguments_and_values(tmp_path):
    (tmp_path / "sflow.py").write_text(FLOW)
    argv = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "sflow.py"]
    env = {**os.environ, "MYPYPATH": str(Path(scriptflow.__file__).parents[1])}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)
    errors = [line.partition(": error: ")[0] for line in done.stdout.splitlines() if ": error: " in line]
    last = len(FLOW.splitlines())
    assert errors == [f"sflow.py:{last - 1}", f"sflow.py:{last}"], done.stdout
