"""Draw a laid-out graph as SVG: no script, no outside address, readable by eye, by screen reader and in the dark.

Knows drawings. Knows nothing of what the boxes stand for.
"""

from __future__ import annotations

from scriptflow.pictures.layout import second_line, shortened
from scriptflow.pictures.look import PALETTE, PICTURE, sign_of
from scriptflow.pictures.markup import escape, link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.pictures.layout import Box, Drawing, Line, Point

_HEAD = 6.0
"""How long an arrow's head is, in pixels."""
_TOLD = 12
"""How many boxes a description names."""


def svg(drawing: Drawing, *, standalone: bool = True, title: str = "Graph", description: str = "") -> str:
    """Return the drawing as SVG.

    Args:
        drawing: what ``layout`` gave.
        standalone: a file of its own, with its style inside. Otherwise an element for an HTML page that has the
            rules of ``look.PALETTE`` and ``look.PICTURE``; nothing in it needs a style of its own.
        title: what a screen reader says first.
        description: what it says then; by default how many boxes and arrows there are, and of which states.
    """
    description = description or _told(drawing)
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    role = "group" if any(box.node.href for box in drawing.boxes) else "img"
    parts = []
    if standalone:
        parts.append('<?xml version="1.0" encoding="UTF-8"?>\n')
    parts.append(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="sf-picture" role="{role}" aria-label="{escape(title)}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n"
    )
    if standalone:
        parts.append(f"<style>\n{PALETTE}{PICTURE}svg {{ background: var(--sf-ground); }}\n</style>\n")
    parts += [_line(line, down=drawing.down) for line in drawing.lines]
    parts += [_box(box) for box in drawing.boxes]
    parts.append("</svg>\n")
    return "".join(parts)


def _told(drawing: Drawing) -> str:
    counts: dict[str, int] = {}
    for box in drawing.boxes:
        if box.node.state:
            counts[box.node.state] = counts.get(box.node.state, 0) + 1
    states = ", ".join(f"{number} {state}" for state, number in counts.items())
    names = ", ".join(box.node.label for box in drawing.boxes[:_TOLD]) + (", …" if len(drawing.boxes) > _TOLD else "")
    return f"{len(drawing.boxes)} boxes, {len(drawing.lines)} arrows{': ' if states else ''}{states}. {names}"


def _box(box: Box) -> str:
    node = box.node
    name, sign = sign_of(node.state) if node.state else ("plain", "")
    below = second_line(node)
    middle = box.x + box.w / 2
    shapes = ""
    if node.count > 1:  # a second sheet behind it
        shapes += f'<rect x="{box.x + 4:.1f}" y="{box.y + 4:.1f}" width="{box.w:.1f}" height="{box.h:.1f}" rx="6"/>'
    shapes += f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.w:.1f}" height="{box.h:.1f}" rx="6"/>'
    texts = _text(shortened(node.label), middle, box.y + (box.h / 2 + 4.5 if not below else 19))
    if below:
        sign = f'<tspan class="sf-sign">{sign}</tspan> ' if sign else ""
        texts += _text(below, middle, box.y + 36, small=True, sign=sign)
    whole = " · ".join(filter(None, (node.label, node.state, node.detail)))
    inner = f"<title>{escape(whole)}</title>{shapes}{texts}"
    address = link(node.href)
    if address:
        inner = f'<a href="{address}">{inner}</a>'
    return f'<g class="sf-box sf-{name}">{inner}</g>\n'


def _text(text: str, x: float, y: float, *, small: bool = False, sign: str = "") -> str:
    kind = ' class="sf-small"' if small else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{sign}{escape(text)}</text>'


def _line(line: Line, *, down: bool) -> str:
    """Draw a line as one soft curve and its head."""
    *way, (x, y) = line.points
    before = way[-1]
    forth = (y >= before[1]) if down else (x >= before[0])
    sign = 1 if forth else -1
    # The head stands straight on the box, and the curve ends at its back.
    end = (x, y - sign * _HEAD) if down else (x - sign * _HEAD, y)
    half = _HEAD * 0.6
    corners = (
        [(x, y), (x - half, end[1]), (x + half, end[1])] if down else [(x, y), (end[0], y - half), (end[0], y + half)]
    )
    back = "" if forth else " sf-back"
    return (
        f'<path class="sf-line{back}" d="{_curve([*way, end], down=down)}"/>'
        f'<path class="sf-head" d="M{" L".join(f"{a:.1f} {b:.1f}" for a, b in corners)} Z"/>\n'
    )


def _curve(points: Sequence[Point], *, down: bool) -> str:
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for a, b in rest:
        if (a == x) if down else (b == y):
            parts.append(f"L{a:.1f} {b:.1f}")
        elif down:
            middle = (y + b) / 2
            parts.append(f"C{x:.1f} {middle:.1f} {a:.1f} {middle:.1f} {a:.1f} {b:.1f}")
        else:
            middle = (x + a) / 2
            parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {b:.1f} {a:.1f} {b:.1f}")
        x, y = a, b
    return " ".join(parts)
