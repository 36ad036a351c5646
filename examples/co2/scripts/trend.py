"""Fit a straight line plus a seasonal cycle to one decade, with bootstrap intervals.

    co2(t) = level + rate * (t - middle) + two harmonics of the year

The fit is robust (Huber weights: a few odd weeks do not bend the line). The intervals come from a moving-block
bootstrap of the residuals, in blocks of 13 weeks, because neighbouring weeks are alike: resampling single weeks would
promise far too narrow intervals.

Usage: trend.py WEEKS.csv OUTPUT.json RESAMPLES SEED
"""

import csv
import json
import random
import statistics
import sys
from math import cos, pi, sin
from operator import mul, sub
from pathlib import Path

BLOCK_WEEKS = 13
HUBER = 1.345  # in units of the residuals' spread: 95 % efficient when the noise is normal
ROUNDS = 10


def design_row(t: float) -> list[float]:
    return [1.0, t, cos(2 * pi * t), sin(2 * pi * t), cos(4 * pi * t), sin(4 * pi * t)]


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a small symmetric positive system by elimination."""
    n = len(right)
    rows = [[*matrix[i], right[i]] for i in range(n)]
    for i in range(n):
        for j in range(i + 1, n):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    result = [0.0] * n
    for i in reversed(range(n)):
        known = sum(rows[i][k] * result[k] for k in range(i + 1, n))
        result[i] = (rows[i][n] - known) / rows[i][i]
    return result


class RobustFit:
    """Fits the same weeks again and again; what does not change is worked out once."""

    def __init__(self, times: list[float]) -> None:
        self.columns = list(zip(*map(design_row, times), strict=True))
        size = range(len(self.columns))
        self.products = {(i, j): list(map(mul, self.columns[i], self.columns[j])) for i in size for j in size if i <= j}

    def fitted(self, parameters: list[float]) -> list[float]:
        parts = [[p * x for x in column] for p, column in zip(parameters, self.columns, strict=True)]
        return list(map(sum, zip(*parts, strict=True)))

    def parameters(self, values: list[float]) -> list[float]:
        weights = [1.0] * len(values)
        size = range(len(self.columns))
        for _ in range(ROUNDS):
            sums = {key: sum(map(mul, weights, product)) for key, product in self.products.items()}
            matrix = [[sums[min(i, j), max(i, j)] for j in size] for i in size]
            weighted = list(map(mul, weights, values))
            result = solve(matrix, [sum(map(mul, weighted, column)) for column in self.columns])
            distances = list(map(abs, map(sub, values, self.fitted(result))))
            limit = HUBER * 1.4826 * statistics.median(distances)
            weights = [1.0 if d <= limit else limit / d for d in distances]
        return result


def seasonal_swing(parameters: list[float]) -> float:
    """Highest minus lowest point of the year's cycle, in ppm."""
    season = [sum(map(mul, parameters[2:], design_row(day / 365)[2:])) for day in range(365)]
    return max(season) - min(season)


def resample(residuals: list[float], dice: random.Random) -> list[float]:
    drawn: list[float] = []
    while len(drawn) < len(residuals):
        start = dice.randrange(len(residuals) - BLOCK_WEEKS + 1)
        drawn.extend(residuals[start : start + BLOCK_WEEKS])
    return drawn[: len(residuals)]


def interval(samples: list[float]) -> list[float]:
    """Give the bounds that hold 95 % of the samples."""
    ordered = sorted(samples)
    edge = 0.025 * (len(ordered) - 1)
    return [round(ordered[round(edge)], 4), round(ordered[round(len(ordered) - 1 - edge)], 4)]


def main(source: str, output: str, resamples: int, seed: int) -> None:
    with open(source, newline="") as file:
        rows = [(float(row["year"]), float(row["co2_ppm"])) for row in csv.DictReader(file)]
    years, values = [row[0] for row in rows], [row[1] for row in rows]
    # Whole years before the middle are taken off: the season's phase stays that of the calendar.
    middle = int((years[0] + years[-1]) / 2)
    fit = RobustFit([year - middle for year in years])
    best = fit.parameters(values)
    fitted = fit.fitted(best)
    residuals = list(map(sub, values, fitted))

    dice = random.Random(f"{seed} {Path(source).name}")
    again = [
        fit.parameters([a + b for a, b in zip(fitted, resample(residuals, dice), strict=True)])
        for _ in range(resamples)
    ]
    points = [years[0] + (years[-1] - years[0]) * step / 8 for step in range(9)]
    result = {
        "decade": Path(source).stem.removeprefix("weeks-"),
        "from": years[0],
        "to": years[-1],
        "weeks": len(rows),
        "resamples": resamples,
        "rate_ppm_per_year": round(best[1], 4),
        "rate_95": interval([p[1] for p in again]),
        "swing_ppm": round(seasonal_swing(best), 4),
        "swing_95": interval([seasonal_swing(p) for p in again]),
        "noise_ppm": round(statistics.pstdev(residuals), 4),
        "line": [
            [
                round(t, 4),
                round(best[0] + best[1] * (t - middle), 4),
                *interval([p[0] + p[1] * (t - middle) for p in again]),
            ]
            for t in points
        ],
    }
    Path(output).write_text(json.dumps(result, indent=1) + "\n")
    low, high = result["rate_95"]
    print(f"{result['decade']}: {best[1]:.2f} ppm a year ({low:.2f} to {high:.2f}), {resamples} resamples")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
