"""What a picture shows: nodes, edges, and the folding of many nodes into few.

Knows nothing of what a node stands for, of places or of ink.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Edge = tuple[str, str]
"""The ids of two nodes: from, to."""

_GRAVEST_FIRST = ("failed", "lost", "interrupted", "cancelled", "running", "started", "would run", "queued", "waiting")
_NUMBER = re.compile(r"\d+")
_HEAD = re.compile(r"^([^-_./: ]+[-_./: ]).*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Node:
    """One box of a picture.

    Attributes:
        id: names it in edges.
        label: its text.
        state: a word such as ``failed``, ``succeeded``, ``running``; shown as a sign and the word.
        group: what it is folded with first.
        detail: a second, smaller text.
        href: where a click leads.
        count: how many nodes were folded into it.
    """

    id: str
    label: str
    state: str = ""
    group: str = ""
    detail: str = ""
    href: str = ""
    count: int = 1


def fold(nodes: Iterable[Node], edges: Iterable[Edge], above: int = 150) -> tuple[list[Node], list[Edge]]:
    """Return the graph as it is, or where it has more than ``above`` nodes, one node per group or family of names.

    Groups fold first, then names that differ in numbers only (``fit-1`` and ``fit-2`` to ``fit-*``), then names with
    one first word, each step only where the one before left too many. A folded node has the gravest state of
    what it stands for and counts all states in its ``detail``; its id is ``group:NAME`` or ``family:NAME``.
    """
    nodes, edges = list(nodes), list(edges)
    members = {node.id: [node] for node in nodes}
    for key in (_group, _numbered, _headed):
        if len(nodes) <= above:
            break
        nodes, edges, members = _folded(nodes, edges, members, key)
    return nodes, edges


def _group(node: Node) -> str:
    return f"group:{node.group}" if node.group else ""


def _numbered(node: Node) -> str:
    return "" if node.count > 1 else f"family:{_NUMBER.sub('*', node.label)}"


def _headed(node: Node) -> str:
    if node.id.startswith("group:"):
        return ""
    name = node.id.removeprefix("family:") if node.count > 1 else node.label
    return "family:" + _HEAD.sub(r"\1*", name)


def _folded(
    nodes: Sequence[Node], edges: Sequence[Edge], members: dict[str, list[Node]], key: Callable[[Node], str]
) -> tuple[list[Node], list[Edge], dict[str, list[Node]]]:
    together: dict[str, list[Node]] = {}
    for node in nodes:
        together.setdefault(key(node) or f"\0{node.id}", []).append(node)
    found, of, inside = [], {}, {}
    for name, some in together.items():
        all_of_it = [member for node in some for member in members[node.id]]
        node = some[0] if len(some) == 1 else _one(name, all_of_it)
        found.append(node)
        inside[node.id] = all_of_it
        of.update({other.id: node.id for other in some})
    moved = ((of.get(source, source), of.get(target, target)) for source, target in edges)
    # An edge inside a folded node says nothing any more.
    return found, list(dict.fromkeys(edge for edge in moved if edge[0] != edge[1])), inside


def _one(name: str, members: Sequence[Node]) -> Node:
    counts = Counter(member.state for member in members if member.state)
    gravest = next((state for state in _GRAVEST_FIRST if state in counts), next(iter(counts), ""))
    groups = {member.group for member in members}
    return Node(
        id=name,
        label=f"{name.partition(':')[2]} ({len(members)})",
        state=gravest,
        group=groups.pop() if len(groups) == 1 else "",
        detail=", ".join(f"{number} {state}" for state, number in counts.most_common()) if len(counts) > 1 else "",
        count=len(members),
    )
