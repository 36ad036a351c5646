"""A thousand calls of a function as tasks, beside the same calls through ``concurrent.futures.ProcessPoolExecutor``.

CPU (user and system) of each whole program and of all that it started, the median of some rounds, for calls that
compute for so many milliseconds. Ours with all its records. The reference's figure is what its own programs take.

    python benchmarks/functions.py [--calls 1000] [--rounds 5] [--milliseconds 0 2 10]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WORK = """
import time


def spin(n, seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return 2 * n
"""
POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor

from work import spin

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        calls = [pool.submit(spin, n, {seconds}) for n in range({calls})]
        assert [call.result() for call in calls] == [2 * n for n in range({calls})]
"""
FLOW = """
import scriptflow as sf
import work

spin = sf.task(work.spin)


async def flow_main():
    values = await spin.partial(seconds={seconds}).map("n", list(range({calls})))
    assert values == [2 * n for n in range({calls})]
"""


def cpu_of(argv: list[str], folder: Path) -> float:
    """Run a program and return the CPU seconds of it and of all that it reaped, and so on."""
    before = os.times()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def measure(calls: int, seconds: float, rounds: int) -> tuple[float, float]:
    """Return the CPU seconds of the pool and ours, medians of rounds that take turns."""
    pool: list[float] = []
    ours: list[float] = []
    # Removed at the end only: ext4 looks at every file number that was freed in the last seconds before it takes one.
    with tempfile.TemporaryDirectory() as top:
        for at in range(rounds):
            folder = Path(top) / str(at)
            folder.mkdir()
            (folder / "work.py").write_text(WORK)
            (folder / "pool.py").write_text(POOL.format(calls=calls, seconds=seconds))
            (folder / "sflow.py").write_text(FLOW.format(calls=calls, seconds=seconds))
            pool.append(cpu_of([sys.executable, "pool.py"], folder))
            ours.append(cpu_of([sys.executable, "-m", "scriptflow", "run", "-j", "2", "-q"], folder))
    return statistics.median(pool), statistics.median(ours)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--milliseconds", type=float, nargs="*", default=[0, 2, 10])
    asked = parser.parse_args()
    print(f"{asked.calls} calls        pool      ours    ratio   ours more, per call")
    for milliseconds in asked.milliseconds:
        pool, ours = measure(asked.calls, milliseconds / 1000, asked.rounds)
        more = (ours - pool) / asked.calls * 1e6
        print(f"{milliseconds:6.1f} ms each  {pool:6.2f} s  {ours:6.2f} s  {ours / pool:6.2f}   {more:6.0f} us")


if __name__ == "__main__":
    main()
