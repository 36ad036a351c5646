"""Give the nodes of a graph places: layers along one axis, few crossings, lines that go around boxes.

Sugiyama's way: break loops, layer by longest path, order layers by barycentres, then move boxes towards their
neighbours as far as the order lets them. Knows nothing of colours or of SVG.
"""

from __future__ import annotations

from dataclasses import dataclass
from unicodedata import east_asian_width

from scriptflow.pictures.layers import Layered, layered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.pictures.graph import Edge, Node

    Point = tuple[float, float]

LONGEST = 34
"""How many signs of a label are shown."""
MARGIN = 12.0
_SIGN, _WIDE_SIGN, _PADDING = 7.3, 13.5, 24.0
_SMALL_SIGN = 6.4
_LEAST_WIDTH = 84.0
_ONE_LINE, _TWO_LINES = 30.0, 46.0
_BETWEEN_LAYERS, _BETWEEN_BOXES, _BETWEEN_LINES = 56.0, 14.0, 10.0
_SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Box:
    """A node and its place: the upper left corner, width and height, in pixels."""

    node: Node
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class Line:
    """An edge and the points it passes, from the edge of one box to that of the other."""

    source: str
    target: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes and lines with their places; ``down`` says that layers follow one another downwards."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    down: bool = False


def layout(nodes: Iterable[Node], edges: Iterable[Edge], *, down: bool = False) -> Drawing:
    """Place boxes and lines so that edges lead to the right, or with ``down`` downwards.

    Loops are drawn with one line of theirs leading back. Edges of nodes that are not there, edges from a node to
    itself and repeated edges are left out; of two nodes with one id the first is shown. 2,000 nodes take about a
    quarter of a second.
    """
    unique = {node.id: node for node in reversed(list(nodes))}
    shown = list(reversed(unique.values()))
    number = {node.id: at for at, node in enumerate(shown)}
    pairs = dict.fromkeys((number[a], number[b]) for a, b in edges if a in number and b in number and a != b)
    sizes = [_size(node) for node in shown]
    graph = layered(len(shown), list(pairs))
    deep = [size[1] if down else size[0] for size in sizes]  # along the layers' axis
    broad = [size[0] if down else size[1] for size in sizes]  # across it
    across = _across(graph, broad)
    along = _along(graph, deep)
    width, height = _extent(graph, along, across, broad, down=down)
    boxes = tuple(
        Box(node, *_corner(along[at][0], across[at] - broad[at] / 2, down=down), *sizes[at])
        for at, node in enumerate(shown)
    )
    lines = tuple(Line(shown[a].id, shown[b].id, _points(graph, (a, b), along, across, down=down)) for a, b in pairs)
    return Drawing(width, height, boxes, lines, down)


def text_width(text: str, *, small: bool = False) -> float:
    """Estimate how many pixels a text takes."""
    sign = _SMALL_SIGN if small else _SIGN
    return sum(_WIDE_SIGN if not letter.isascii() and east_asian_width(letter) in "WF" else sign for letter in text)


def shortened(text: str) -> str:
    """Cut a label that is too long in its middle, where names differ least."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2 - 1]}…{text[-LONGEST // 2 :]}"


def second_line(node: Node) -> str:
    """Return the small text below a node's label: its state's word and its detail."""
    return shortened(
        node.detail if node.count > 1 and node.detail else " · ".join(filter(None, (node.state, node.detail)))
    )


def _size(node: Node) -> tuple[float, float]:
    below = second_line(node)
    sign = 16.0 if node.state else 0.0
    width = max(text_width(shortened(node.label)), text_width(below, small=True) + sign) + _PADDING
    return max(_LEAST_WIDTH, round(width, 1)), _TWO_LINES if below else _ONE_LINE


def _corner(along: float, across: float, *, down: bool) -> Point:
    return (across, along) if down else (along, across)


def _along(graph: Layered, deep: Sequence[float]) -> list[Point]:
    """Return where each node begins and ends along the axis; a layer's begin together, a bend is as deep as it."""
    spans, at = [], MARGIN
    for layer in graph.layers:
        end = at + max((deep[node] for node in layer if node < len(deep)), default=0.0)
        spans.append((at, end))
        at = end + _BETWEEN_LAYERS
    found = [spans[layer] for layer in graph.layer_of]
    found[: len(deep)] = [(start, start + size) for (start, _), size in zip(found, deep, strict=False)]
    return found


def _across(graph: Layered, broad: Sequence[float]) -> list[float]:
    """Return the middle of each node across the axis."""
    middles = [0.0] * len(graph.layer_of)
    half = [broad[node] / 2 if node < len(broad) else 0.0 for node in range(len(middles))]
    offsets = []
    for layer in graph.layers:
        row, at = [], 0.0
        for before, node in zip((None, *layer), layer, strict=False):
            if before is not None:
                gap = _BETWEEN_BOXES if node < len(broad) or before < len(broad) else _BETWEEN_LINES
                at += half[before] + gap + half[node]
            row.append(at)
        offsets.append(row)
        for node, place in zip(layer, row, strict=True):
            middles[node] = place - row[-1] / 2
    forth = range(1, len(graph.layers))
    back = range(len(graph.layers) - 2, -1, -1)
    for sweep in range(_SWEEPS):
        ahead = sweep % 2 == 0
        for at in forth if ahead else back:
            layer = graph.layers[at]
            near = graph.before if ahead else graph.after
            wanted = [_middle([middles[other] for other in near[node]], middles[node]) for node in layer]
            weights = [8.0 if node >= len(broad) else 1.0 + len(near[node]) for node in layer]
            for node, place in zip(layer, _apart(wanted, offsets[at], weights), strict=True):
                middles[node] = place
    least = min((middles[node] - half[node] for node in range(len(middles))), default=0.0)
    return [middle - least + MARGIN for middle in middles]


def _middle(places: list[float], otherwise: float) -> float:
    if not places:
        return otherwise
    places.sort()
    return (places[(len(places) - 1) // 2] + places[len(places) // 2]) / 2


def _apart(wanted: Sequence[float], offsets: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return places as near to the wanted ones as the order and the offsets between neighbours allow.

    Pools neighbours that would come too near, each pool at its weighted mean: the exact least-squares answer.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        mean, total, size = want - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, more, many = pools.pop()
            mean = (mean * total + other * more) / (total + more)
            total, size = total + more, size + many
        pools.append((mean, total, size))
    means = [mean for mean, _, size in pools for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _points(
    graph: Layered, edge: tuple[int, int], along: Sequence[Point], across: Sequence[float], *, down: bool
) -> tuple[Point, ...]:
    """Return where a line leaves its box, where it passes between others, and where it enters its second box."""
    source, target = edge
    forth = graph.layer_of[source] <= graph.layer_of[target]
    places = [(along[source][1 if forth else 0], across[source])]
    for bend in graph.bends.get(edge, ()):
        begin, end = along[bend] if forth else along[bend][::-1]
        places += [(begin, across[bend]), (end, across[bend])]
    places.append((along[target][0 if forth else 1], across[target]))
    return tuple([_corner(*place, down=down) for place in places])


def _extent(
    graph: Layered, along: Sequence[Point], across: Sequence[float], broad: Sequence[float], *, down: bool
) -> Point:
    far = max((end for _, end in along), default=0.0) + MARGIN
    halves = [size / 2 for size in broad] + [0.0] * (len(graph.layer_of) - len(broad))
    wide = max((middle + half for middle, half in zip(across, halves, strict=True)), default=0.0) + MARGIN
    return _corner(far, wide, down=down)
