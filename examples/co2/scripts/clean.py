"""Join yearly files into one decade: drop weeks without a measurement, give each week its place on the time axis.

Usage: clean.py OUTPUT YEAR.csv ...
"""

import csv
import sys
from datetime import date, timedelta


def decimal_year(day: date) -> float:
    start, end = date(day.year, 1, 1), date(day.year + 1, 1, 1)
    return day.year + (day - start).days / (end - start).days


def main(output: str, files: list[str]) -> None:
    rows = []
    for name in files:
        with open(name, newline="") as source:
            for row in csv.DictReader(line for line in source if not line.startswith("#")):
                if not row["co2_ppm"]:
                    continue
                value = float(row["co2_ppm"])
                if not 250 < value < 500:
                    sys.exit(f"{name}: {value} ppm in the week ending {row['week_ending']} cannot be right")
                middle = date.fromisoformat(row["week_ending"]) - timedelta(days=3)
                rows.append((f"{decimal_year(middle):.4f}", row["co2_ppm"]))
    with open(output, "w", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(("year", "co2_ppm"))
        writer.writerows(sorted(rows))
    print(f"{output}: {len(rows)} weeks of {len(files)} years")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
