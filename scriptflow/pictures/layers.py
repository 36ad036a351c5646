"""Put the nodes of a graph into layers and order each layer so that few edges cross.

Nodes are numbers from 0. Knows nothing of sizes or places.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Pair = tuple[int, int]

_SWEEPS = 8
_BENDS_PER_NODE = 4
_MANY_EDGES = 6_000
"""With more, an order is taken as it comes: counting its crossings would cost more than it saves."""


@dataclass(frozen=True, slots=True)
class Layered:
    """A graph in layers.

    Attributes:
        layers: the nodes of each layer in order, bends of long edges among them (numbers after those of all nodes).
        layer_of: maps each node and bend to its layer.
        before: maps each node and bend to its neighbours one layer before.
        after: the same one layer after.
        bends: maps an edge to the bends it passes, from its source on.
    """

    layers: list[list[int]]
    layer_of: list[int]
    before: list[list[int]]
    after: list[list[int]]
    bends: Mapping[Pair, Sequence[int]]


def layered(count: int, edges: Sequence[Pair]) -> Layered:
    """Put nodes 0 to ``count`` - 1 into layers so that edges lead forth; of each loop one edge leads back."""
    back = _leading_back(count, edges)
    forth = [(b, a) if (a, b) in back else (a, b) for a, b in edges]
    layer_of = _layers(count, forth)
    _place_unconnected(layer_of, forth)
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    bends: dict[Pair, list[int]] = {}
    left = _BENDS_PER_NODE * count
    for edge in sorted(range(len(edges)), key=lambda at: layer_of[forth[at][1]] - layer_of[forth[at][0]]):
        source, target = forth[edge]
        between = layer_of[target] - layer_of[source] - 1
        left -= between
        if left < 0:  # very long edges of a big graph go straight
            continue
        chain = [source]
        for step in range(between):
            layer_of.append(layer_of[source] + 1 + step)
            before.append([])
            after.append([])
            chain.append(len(layer_of) - 1)
        chain.append(target)
        for one, next_one in pairwise(chain):
            after[one].append(next_one)
            before[next_one].append(one)
        inner = chain[1:-1]
        bends[edges[edge]] = inner if forth[edge] == edges[edge] else inner[::-1]
    layers: list[list[int]] = [[] for _ in range(max(layer_of, default=-1) + 1)]
    for node, layer in enumerate(layer_of):
        layers[layer].append(node)
    found = Layered(layers, layer_of, before, after, bends)
    _order(found, few=len(edges) <= _MANY_EDGES)
    return found


def _leading_back(count: int, edges: Sequence[Pair]) -> set[Pair]:
    """Return edges without which there is no loop: those that a walk in depth meets again on its own way."""
    after: list[list[int]] = [[] for _ in range(count)]
    entered = [False] * count
    for a, b in edges:
        after[a].append(b)
        entered[b] = True
    unseen, on_the_way, done = 0, 1, 2
    state = [unseen] * count
    found: set[Pair] = set()
    for start in sorted(range(count), key=entered.__getitem__):  # from the sources, where there are any
        if state[start] != unseen:
            continue
        state[start] = on_the_way
        way = [(start, iter(after[start]))]
        while way:
            node, rest = way[-1]
            for other in rest:
                if state[other] == on_the_way:
                    found.add((node, other))
                elif state[other] == unseen:
                    state[other] = on_the_way
                    way.append((other, iter(after[other])))
                    break
            else:
                state[node] = done
                way.pop()
    return found


def _layers(count: int, edges: Sequence[Pair]) -> list[int]:
    """Return each node's layer: the longest way to it; what only leads forth stands right before what it leads to."""
    after: list[list[int]] = [[] for _ in range(count)]
    missing = [0] * count
    for a, b in edges:
        after[a].append(b)
        missing[b] += 1
    sources = [node for node in range(count) if not missing[node]]
    layer_of, ready = [0] * count, list(sources)
    while ready:
        node = ready.pop()
        for other in after[node]:
            layer_of[other] = max(layer_of[other], layer_of[node] + 1)
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    for node in sources:
        if after[node]:
            layer_of[node] = min(layer_of[other] for other in after[node]) - 1
    return layer_of


def _place_unconnected(layer_of: list[int], edges: Sequence[Pair]) -> None:
    """Spread nodes without edges over layers, about as many beside as below one another, instead of in one row."""
    connected = {node for edge in edges for node in edge}
    alone = [node for node in range(len(layer_of)) if node not in connected]
    if len(alone) < 4:  # few stand well in one row
        return
    # A box is about three times as broad as high.
    columns = max(max((layer_of[node] for node in connected), default=0) + 1, round((len(alone) / 3) ** 0.5))
    for at, node in enumerate(alone):
        layer_of[node] = at % columns


def _order(graph: Layered, *, few: bool) -> None:
    """Order each layer by the mean places of its neighbours, forth and back, and keep the order that crosses least."""
    layers = graph.layers
    best, least = [list(layer) for layer in layers], None
    for sweep in range(_SWEEPS):
        ahead = sweep % 2 == 0
        near = graph.before if ahead else graph.after
        place = [0.0] * len(graph.layer_of)
        for layer in layers if ahead else reversed(layers):
            for at, node in enumerate(layer):
                place[node] = at
            mean = {
                node: sum([place[other] for other in near[node]]) / len(near[node]) if near[node] else place[node]
                for node in layer
            }
            layer.sort(key=mean.__getitem__)
            for at, node in enumerate(layer):
                place[node] = at
        if few:
            crossing = sum(_crossings(graph, at, place) for at in range(len(layers) - 1))
            if least is None or crossing < least:
                best, least = [list(layer) for layer in layers], crossing
            if crossing == 0:
                break
    if few:
        layers[:] = best


def _crossings(graph: Layered, at: int, place: Sequence[float]) -> int:
    """Count the edges between a layer and the next that cross."""
    found, seen = 0, []  # type: int, list[float]
    for node in graph.layers[at]:
        ends = sorted([place[other] for other in graph.after[node]])
        found += sum([len(seen) - bisect_right(seen, end) for end in ends])
        for end in ends:
            insort(seen, end)
    return found
