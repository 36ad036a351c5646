"""The data, and what is done with them in pieces."""

from random import Random
from statistics import median

# Yearly rain in millimetres, made up for this example.
RAINFALL = [512, 633, 478, 701, 590, 555, 640, 489, 720, 611, 530, 598, 667, 505, 622, 583, 549, 690, 601, 574]
NOTES = "not used by any task"


def median_of_resample(values: list[int], seed: int) -> float:
    chosen = Random(seed).choices(values, k=len(values))
    return float(median(chosen))
