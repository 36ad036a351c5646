"""Draw the record, the trend of each decade, and how rise and seasonal swing changed, as one SVG written by hand.

Usage: picture.py OUTPUT.svg WEEKS.csv ... TREND.json ...
"""

import csv
import json
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

WIDTH, HEIGHT = 960, 725
INK, MUTED, GRID, RECORD = "#1f2a37", "#5b6675", "#e3e7ec", "#8fa3b8"
COLOURS = ("#2c4a7c", "#1f7a8c", "#3a9b6f", "#c79a1e", "#d9702b", "#b3312c", "#7a1f3d")
NOTE = (
    "Bars hold 95 % of {resamples} block-bootstrap fits. "
    "Data: C.D. Keeling and T.P. Whorf, Scripps Institution of Oceanography."
)
STYLE = f"""
  text {{ font-family: "Helvetica Neue", Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif; fill: {INK} }}
  .title {{ font-size: 21px; font-weight: 600 }}
  .sub, .tick {{ fill: {MUTED}; font-size: 12.5px }}
  .note {{ fill: {MUTED}; font-size: 11px }}
  .head {{ font-size: 14px; font-weight: 600 }}
  .label {{ font-size: 13px; font-weight: 600 }}
  .grid {{ stroke: {GRID}; stroke-width: 1 }}
  .axis {{ stroke: {MUTED}; stroke-width: 1 }}
"""


@dataclass(frozen=True)
class Panel:
    """A rectangle of the picture, and the stretch of data it shows."""

    left: float
    right: float
    top: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def path(self, points: list[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{self.x(t):.1f},{self.y(v):.1f}" for t, v in points)


def text(x: float, y: float, words: str, kind: str, anchor: str = "start", fill: str = "") -> str:
    style = f' style="fill:{fill}"' if fill else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"{style}>{words}</text>'


def horizontal_grid(panel: Panel, ticks: list[float], form: str) -> list[str]:
    marks = []
    for tick in ticks:
        y = panel.y(tick)
        marks.append(f'<line class="grid" x1="{panel.left}" x2="{panel.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(text(panel.left - 8, y + 4, format(tick, form), "tick", "end"))
    return marks


def unbroken(weeks: list[tuple[float, float]], longest_gap: float = 0.1) -> list[list[tuple[float, float]]]:
    """Cut the record where more than about five weeks are missing: a line would invent values there."""
    parts = [[weeks[0]]]
    for before, here in pairwise(weeks):
        if here[0] - before[0] > longest_gap:
            parts.append([])
        parts[-1].append(here)
    return parts


def record_panel(weeks: list[tuple[float, float]], fits: list[dict]) -> list[str]:
    first, last = int(weeks[0][0]), int(weeks[-1][0]) + 1
    low, high = min(v for _, v in weeks), max(v for _, v in weeks)
    bottom, top = int(low // 10 * 10), int(-(-high // 10) * 10)
    panel = Panel(70, 930, 86, 420, (first, last), (bottom, top))
    out = horizontal_grid(panel, list(range(bottom, top + 1, 10)), ".0f")
    for year in range(-(-first // 5) * 5, last + 1, 5):
        x = panel.x(year)
        out.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{panel.bottom}" y2="{panel.bottom + 5}"/>')
        out.append(text(x, panel.bottom + 20, str(year), "tick", "middle"))
    out.append(f'<line class="axis" x1="{panel.left}" x2="{panel.right}" y1="{panel.bottom}" y2="{panel.bottom}"/>')
    for part in unbroken(weeks):
        out.append(
            f'<path d="{panel.path(part)}" fill="none" stroke="{RECORD}" stroke-width="1.1" stroke-linejoin="round"/>'
        )
    for fit, colour in zip(fits, COLOURS, strict=False):
        line = [(t, middle) for t, middle, _, _ in fit["line"]]
        band = [(t, up) for t, _, _, up in fit["line"]] + [(t, down) for t, _, down, _ in reversed(fit["line"])]
        out.append(f'<path d="{panel.path(band)}Z" fill="{colour}" opacity="0.3"/>')
        out.append(
            f'<path d="{panel.path(line)}" fill="none" stroke="{colour}" stroke-width="2.6" stroke-linecap="round"/>'
        )
        t, value = line[len(line) // 2]
        # Above the line and to its left, clear of the season's highest point, and never over the axis.
        x, y = max(panel.x(t) - 100, panel.left + 8), panel.y(value) - 35
        out.append(text(x, y, f"{fit['rate_ppm_per_year']:+.2f} a year", "label", fill=colour))
    return out


def interval_panel(fits: list[dict], key: str, title: str, left: float, right: float, ticks: list[float]) -> list[str]:
    tick_form, label_form = (".1f", ".2f") if key == "rate" else (".0f", ".1f")
    panel = Panel(left, right, 510, 650, (-0.5, len(fits) - 0.5), (ticks[0], ticks[-1]))
    value_key = f"{key}_ppm_per_year" if key == "rate" else f"{key}_ppm"
    out = [text(left - 40, panel.top - 24, title, "head"), *horizontal_grid(panel, ticks, tick_form)]
    for place, (fit, colour) in enumerate(zip(fits, COLOURS, strict=False)):
        x, y = panel.x(place), panel.y(fit[value_key])
        low, high = (panel.y(bound) for bound in fit[f"{key}_95"])
        bar = f"M{x:.1f},{low:.1f}V{high:.1f}M{x - 7:.1f},{low:.1f}h14M{x - 7:.1f},{high:.1f}h14"
        out.append(f'<path d="{bar}" stroke="{colour}" stroke-width="1.8" fill="none"/>')
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.8" fill="{colour}" stroke="#fff" stroke-width="1.2"/>')
        out.append(text(x + 11, y + 4.5, format(fit[value_key], label_form), "tick"))
        out.append(text(x, panel.bottom + 19, fit["decade"], "tick", "middle"))
        out.append(text(x, panel.bottom + 35, f"{fit['weeks']} weeks", "note", "middle"))
    out.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{panel.bottom}" y2="{panel.bottom}"/>')
    return out


def scale(fits: list[dict], key: str, step: float, from_zero: bool) -> list[float]:
    """Choose round ticks that hold every interval."""
    bottom = 0.0 if from_zero else min(fit[f"{key}_95"][0] for fit in fits) // step * step
    top = -(-max(fit[f"{key}_95"][1] for fit in fits) // step) * step
    return [bottom + step * i for i in range(round((top - bottom) / step) + 1)]


def main(output: str, files: list[str]) -> None:
    weeks: list[tuple[float, float]] = []
    for name in files:
        if name.endswith(".csv"):
            with open(name, newline="") as source:
                weeks += [(float(row["year"]), float(row["co2_ppm"])) for row in csv.DictReader(source)]
    weeks.sort()
    fits = sorted(
        (json.loads(Path(name).read_text()) for name in files if name.endswith(".json")), key=lambda fit: fit["from"]
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
        "<title>Carbon dioxide at Mauna Loa: weekly means, and the trend and seasonal swing of each decade</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(30, 36, f"Carbon dioxide at Mauna Loa, {int(weeks[0][0])} to {int(weeks[-1][0])}", "title"),
        text(30, 58, "weekly means, parts per million; lines: robust trend of each decade, season taken out", "sub"),
        *record_panel(weeks, fits),
        *interval_panel(fits, "rate", "Rise, ppm a year", 70, 475, scale(fits, "rate", 0.5, from_zero=True)),
        *interval_panel(fits, "swing", "Seasonal swing, ppm", 545, 930, scale(fits, "swing", 1, from_zero=False)),
        text(30, 711, NOTE.format(resamples=fits[0]["resamples"]), "note"),
        "</svg>",
    ]
    Path(output).write_text("\n".join(parts) + "\n")
    print(f"{output}: {len(weeks)} weeks, {len(fits)} decades")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
