"""Gather the fits of all decades into one table, as CSV and as Markdown.

Usage: table.py OUTPUT.csv OUTPUT.md TREND.json ...
"""

import csv
import json
import sys
from pathlib import Path

HEAD = (
    "decade",
    "weeks",
    "rate_ppm_per_year",
    "rate_low",
    "rate_high",
    "swing_ppm",
    "swing_low",
    "swing_high",
    "noise_ppm",
)


def main(as_csv: str, as_markdown: str, files: list[str]) -> None:
    fits = sorted((json.loads(Path(name).read_text()) for name in files), key=lambda fit: fit["from"])
    rows = [
        (
            fit["decade"],
            fit["weeks"],
            fit["rate_ppm_per_year"],
            *fit["rate_95"],
            fit["swing_ppm"],
            *fit["swing_95"],
            fit["noise_ppm"],
        )
        for fit in fits
    ]
    with open(as_csv, "w", newline="") as target:
        csv.writer(target, lineterminator="\n").writerows([HEAD, *rows])
    lines = [
        "| decade | weeks | rise, ppm a year (95 %) | seasonal swing, ppm (95 %) |",
        "|---|--:|---|---|",
    ]
    for decade, weeks, rate, rate_low, rate_high, swing, swing_low, swing_high, _ in rows:
        lines.append(
            f"| {decade} | {weeks} | {rate:.2f} ({rate_low:.2f} to {rate_high:.2f}) "
            f"| {swing:.1f} ({swing_low:.1f} to {swing_high:.1f}) |"
        )
    Path(as_markdown).write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
