"""Write a graph as text for other programs to draw: Mermaid and Graphviz DOT.

Knows nodes and edges. Knows nothing of places.
"""

from __future__ import annotations

import re

from scriptflow.pictures.look import LIGHT, sign_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from scriptflow.pictures.graph import Edge, Node

_INKS = {**LIGHT, "same": LIGHT["ok"], "stopped": LIGHT["retry"], "source": LIGHT["soft"]}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def mermaid(nodes: Iterable[Node], edges: Iterable[Edge], *, down: bool = False) -> str:
    """Return the graph for Mermaid, as GitHub and GitLab draw it inside Markdown."""
    nodes = list(nodes)
    number = {node.id: f"n{at}" for at, node in enumerate(nodes)}
    lines = [f"flowchart {'TD' if down else 'LR'}"]
    used = {}
    for node in nodes:
        name, sign = sign_of(node.state) if node.state else ("", "")
        used[name] = True
        state = f"<br/>{sign} {_for_mermaid(node.state)}" if node.state else ""
        mark = f":::{name}" if name else ""
        lines.append(f'  {number[node.id]}["{_for_mermaid(node.label)}{state}"]{mark}')
    lines += [f"  {number[a]} --> {number[b]}" for a, b in edges if a in number and b in number]
    lines += [f"  classDef {name} stroke:{_INKS[name]},stroke-width:2px" for name in used if name]
    return "\n".join(lines) + "\n"


def dot(nodes: Iterable[Node], edges: Iterable[Edge], *, down: bool = False) -> str:
    """Return the graph for Graphviz."""
    nodes = list(nodes)
    number = {node.id: f"n{at}" for at, node in enumerate(nodes)}
    lines = ["digraph {", f"  rankdir={'TB' if down else 'LR'};", '  node [shape=box, style=rounded, fontname="sans"];']
    for node in nodes:
        name, sign = sign_of(node.state) if node.state else ("", "")
        # "\n" is Graphviz's own line break, so it stands outside what was made harmless.
        label = _for_dot(node.label) + (f"\\n{sign} {_for_dot(node.state)}" if node.state else "")
        ink = f', color="{_INKS[name]}"' if name else ""
        lines.append(f'  {number[node.id]} [label="{label}"{ink}];')
    lines += [f"  {number[a]} -> {number[b]};" for a, b in edges if a in number and b in number]
    return "\n".join([*lines, "}"]) + "\n"


def _for_mermaid(text: str) -> str:
    """Write what means something to Mermaid or to HTML as its entities: ``#35;`` and the like."""
    harmless = _CONTROL.sub(" ", text)
    return "".join(sign if sign.isalnum() or sign in " -_./*(),:=+" else f"#{ord(sign)};" for sign in harmless)


def _for_dot(text: str) -> str:
    return _CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
