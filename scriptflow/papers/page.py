"""The frame of an HTML paper: one file, no script, no address outside, readable on a phone, in the dark and printed.

Knows HTML. Knows nothing of runs.
"""

from __future__ import annotations

from scriptflow.pictures.look import PALETTE, PICTURE, sign_of
from scriptflow.pictures.markup import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STYLE = """
* { box-sizing: border-box; }
html { background: var(--sf-ground); color: var(--sf-ink); -webkit-text-size-adjust: 100%; }
body { font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; margin: 0 auto; max-width: 1120px;
  padding: 24px 20px 64px; overflow-wrap: anywhere; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 44px 0 12px; padding-top: 12px; border-top: 1px solid var(--sf-edge); }
h3 { font-size: 16px; margin: 0 0 6px; }
p { margin: 0 0 10px; } a { color: var(--sf-running); }
.soft { color: var(--sf-soft); } .small { font-size: 14px; }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { margin: 8px 0 0; padding: 10px 12px; white-space: pre-wrap; background: var(--sf-ground);
  border: 1px solid var(--sf-edge); border-radius: 6px; }
nav { margin: 16px 0 0; display: flex; flex-wrap: wrap; gap: 4px 18px; } nav a { padding: 6px 0; }
.state { font-weight: 600; white-space: nowrap; }
.ok, .same { color: var(--sf-ok); } .failed { color: var(--sf-failed); } .running { color: var(--sf-running); }
.retry, .stopped { color: var(--sf-retry); } .waiting, .source { color: var(--sf-waiting); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 10px; margin: 20px 0 0; }
.tile { border: 1px solid var(--sf-edge); border-radius: 8px; padding: 10px 14px; background: var(--sf-box); }
.tile b { display: block; font-size: 22px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card { border: 1px solid var(--sf-edge); border-left: 4px solid var(--sf-failed); border-radius: 8px;
  padding: 12px 16px; margin: 0 0 12px; background: var(--sf-box); }
.wide { overflow-x: auto; border: 1px solid var(--sf-edge); border-radius: 8px; }
.wide:focus { outline: 2px solid var(--sf-running); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 7px 12px; border-bottom: 1px solid var(--sf-edge); vertical-align: top; }
tr:last-child td { border-bottom: 0; } th { color: var(--sf-soft); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.name { min-width: 130px; } td:last-child { min-width: 170px; } td.keep { white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; }
dt { color: var(--sf-soft); } dd { margin: 0; min-width: 0; }
.lane { display: grid; grid-template-columns: 200px 1fr 86px; gap: 0 12px; align-items: center; font-size: 14px; }
.lane .what { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.lane .took { text-align: right; font-variant-numeric: tabular-nums; }
.lane svg { width: 100%; height: 18px; display: block; background: var(--sf-box); }
.lane svg.tall { height: 34px; } .axis { margin-top: 4px; color: var(--sf-soft); }
.axis .ends { display: flex; justify-content: space-between; }
.fill-ok, .fill-same { fill: var(--sf-ok); } .fill-failed { fill: var(--sf-failed); }
.fill-running { fill: var(--sf-running); } .fill-stopped, .fill-retry { fill: var(--sf-retry); }
.fill-waiting { fill: var(--sf-waiting); }
.bar { width: 90px; height: 8px; vertical-align: middle; margin-right: 8px; background: var(--sf-edge); }
details { border: 1px solid var(--sf-edge); border-radius: 8px; padding: 8px 14px; margin: 0 0 8px; }
summary { cursor: pointer; padding: 4px 0; } details ul { margin: 4px 0; padding-left: 18px; list-style: none; }
details ul ul { border-left: 1px solid var(--sf-edge); } details li { margin: 6px 0; }
footer { margin-top: 56px; color: var(--sf-soft); font-size: 14px; }
@media (max-width: 640px) { body { padding: 16px 14px 48px; } h1 { font-size: 24px; }
  .tiles { grid-template-columns: 1fr 1fr; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; }
  .lane { grid-template-columns: 1fr 86px; margin-bottom: 8px; } .lane svg, .axis .ends { grid-column: 1 / -1; }
  .lane .what { order: -2; } .lane .took { order: -1; } }
@media print { .wide { overflow: visible; } a { color: inherit; } }
"""


def page(title: str, body: str) -> str:
    """Return a whole document; ``body`` is HTML."""
    # The policy is for whoever opens the file: whatever a name or a log holds, nothing of it can run or call home.
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{PALETTE}{PICTURE}{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def state(word: str, shown: str = "") -> str:
    """Return a state as its sign and a word."""
    name, sign = sign_of(word)
    return f'<span class="state {name}"><span aria-hidden="true">{sign}</span> {escape(shown or word)}</span>'


def section(identity: str, title: str, body: str) -> str:
    """Return a part of the page under a heading, nothing where there is nothing to say."""
    return f'<section id="{identity}">\n<h2>{escape(title)}</h2>\n{body}\n</section>\n' if body else ""


def tile(number: str, word: str, kind: str = "") -> str:
    """Return a number with the word that says what it counts."""
    return f'<div class="tile"><b class="{kind}">{escape(number)}</b>{escape(word)}</div>'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values; what has no value is left out. Values are text, not HTML."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)
    return f"<dl>{items}</dl>"


def table(label: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table that scrolls by itself where it is too wide.

    Args:
        label: what it is called by a screen reader.
        heads: column titles; one that begins with ``>`` is set to the right, with ``=`` not broken.
        rows: cells as HTML.
    """
    kinds = {">": ' class="number"', "=": ' class="keep"'}
    marks = [kinds.get(head[:1], ' class="name"' if at == 0 else "") for at, head in enumerate(heads)]
    top = "".join(
        f'<th scope="col"{mark}>{escape(head.lstrip(">="))}</th>' for head, mark in zip(heads, marks, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{mark}>{cell}</td>" for cell, mark in zip(row, marks, strict=True)) + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" aria-label="{escape(label)}" tabindex="0">'
        f"<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
    )


def bar(share: float, kind: str = "ok") -> str:
    """Return a small bar that is full to ``share`` (0 to 1); the number stands beside it, in text."""
    width = round(100 * min(1.0, max(0.0, share)), 1)
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="fill-{kind}" width="{width}" height="8"/></svg>'
    )
