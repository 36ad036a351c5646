"""Python functions as tasks: how sure is a median? Many resamples, one interval, one report.

Change NOTES in samples.py, or a number of RAINFALL, and only what depends on it is computed again.
"""

from pathlib import Path

from samples import RAINFALL, median_of_resample

import scriptflow as sf


@sf.task
def resample(seed: int, times: int) -> list[float]:
    medians = [median_of_resample(RAINFALL, seed * times + number) for number in range(times)]
    print(f"spread={max(medians) - min(medians):.1f}")
    return medians


@sf.task
def interval(parts: list[list[float]], level: float = 0.9) -> tuple[float, float]:
    medians = sorted(median for part in parts for median in part)
    cut = int(len(medians) * (1 - level) / 2)
    return medians[cut], medians[-1 - cut]


@sf.task
def report(bounds: tuple[float, float], level: float) -> None:
    low, high = bounds
    Path("report.txt").write_text(f"the median lies between {low} and {high} mm ({level:.0%})\n")


async def flow_median(seeds: int = 4, times: int = 500, level: float = 0.9):
    """Find the interval of the median by bootstrap; scriptflow run --level 0.95."""
    parts = [
        resample.task(seed, times, name=f"resample-{seed}", parse_log={"spread": r"spread=([0-9.]+)"})
        for seed in range(seeds)
    ]
    bounds = interval.task(parts, level=level, name="interval")
    await report.task(bounds, level, name="report", outputs="report.txt")
    print(*await bounds)
