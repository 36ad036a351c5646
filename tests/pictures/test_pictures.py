"""Graphs are folded, laid out and written so that anybody can read them and nobody's name can break them."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptflow.pictures.graph import Node, fold
from scriptflow.pictures.layout import Drawing, layout
from scriptflow.pictures.look import DARK, LIGHT, SIGNS
from scriptflow.pictures.svg import svg
from scriptflow.pictures.text import dot, mermaid

HOSTILE = '</text><script>alert("1")</script>\x00\x1b[31m\ud800 & \u202egnp.exe'
SVG = "{http://www.w3.org/2000/svg}"


def named(count: int) -> list[Node]:
    return [Node(str(number), f"node-{number}") for number in range(count)]


graphs = st.integers(0, 25).flatmap(
    lambda count: st.tuples(
        st.just(named(count)),
        st.lists(st.tuples(st.integers(0, count + 1).map(str), st.integers(0, count + 1).map(str)), max_size=60),
    )
)


@given(graphs, st.booleans())
@settings(deadline=None)
def test_no_two_boxes_overlap_and_all_stand_within_the_drawing(
    graph: tuple[list[Node], list[tuple[str, str]]], down: bool
) -> None:
    drawing = layout(*graph, down=down)
    assert [box.node for box in drawing.boxes] == graph[0]
    for one, other in combinations(drawing.boxes, 2):
        apart_x = one.x + one.w < other.x or other.x + other.w < one.x
        apart_y = one.y + one.h < other.y or other.y + other.h < one.y
        assert apart_x or apart_y
    for box in drawing.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.w <= drawing.width + 0.01
        assert box.y + box.h <= drawing.height + 0.01


@given(graphs)
@settings(deadline=None)
def test_each_edge_is_drawn_once_from_its_box_to_the_other(graph: tuple[list[Node], list[tuple[str, str]]]) -> None:
    nodes, edges = graph
    drawing = layout(nodes, edges)
    ids = {node.id for node in nodes}
    assert {(line.source, line.target) for line in drawing.lines} == {
        (a, b) for a, b in edges if a != b and {a, b} <= ids
    }
    boxes = {box.node.id: box for box in drawing.boxes}
    for line in drawing.lines:
        source, target = boxes[line.source], boxes[line.target]
        assert line.points[0][0] in (source.x, source.x + source.w)
        assert line.points[-1][0] in (target.x, target.x + target.w)


def test_without_loops_every_edge_leads_right_or_down() -> None:
    edges = [("0", "1"), ("1", "2"), ("0", "2"), ("2", "3"), ("0", "3")]
    for down in (False, True):
        along = {box.node.id: box.y if down else box.x for box in layout(named(4), edges, down=down).boxes}
        assert all(along[a] < along[b] for a, b in edges)


def test_a_loop_is_drawn_with_one_line_leading_back() -> None:
    drawing = layout(named(3), [("0", "1"), ("1", "2"), ("2", "0"), ("1", "1")])
    assert len(drawing.lines) == 3
    assert svg(drawing).count("sf-line sf-back") == 1


def test_lines_that_need_not_cross_do_not() -> None:
    crossed = [("0", "5"), ("1", "4"), ("2", "3")]
    assert crossings(layout(named(6), crossed)) == 0
    tree = [(str((number - 1) // 2), str(number)) for number in range(1, 31)]
    assert crossings(layout(named(31), tree[::-1])) == 0


def crossings(drawing: Drawing) -> int:
    ends = [(line.points[0], line.points[-1]) for line in drawing.lines if len(line.points) == 2]
    return sum(
        (a[1] - c[1]) * (b[1] - d[1]) < 0
        for (a, b), (c, d) in combinations(ends, 2)
        if a[0] // 300 == c[0] // 300 and b[0] == d[0]
    )


@pytest.mark.parametrize(
    "edges",
    [
        [(str(number), str(number + 1)) for number in range(1999)] + [("0", str(number)) for number in range(2, 2000)],
        [("0", str(number)) for number in range(1, 2000)],
        [(str(number * 7919 % 2000), str(number * 104729 % 2000)) for number in range(8000)],
        [],
    ],
    ids=["chain", "star", "tangle", "alone"],
)
def test_two_thousand_nodes_are_drawn_within_a_second(edges: list[tuple[str, str]]) -> None:
    begun = time.process_time()
    svg(layout(named(2000), edges))
    assert time.process_time() - begun < 1.0


def test_a_small_graph_is_not_folded() -> None:
    nodes, edges = named(150), [("0", "1")]
    assert fold(nodes, edges) == (nodes, edges)


def test_groups_fold_first_and_families_of_names_only_when_that_leaves_too_many() -> None:
    nodes = [Node(f"g{number}", f"sim-{number}", "succeeded", group="simulate") for number in range(100)]
    nodes += [Node(f"f{number}", f"fit-{number}", "failed" if number == 7 else "succeeded") for number in range(60)]
    nodes += [Node("end", "report")]
    edges = [(f"g{number}", "f7") for number in range(100)] + [(f"f{number}", "end") for number in range(60)]
    folded, between = fold(nodes, edges, above=100)
    assert [node.label for node in folded][:2] == ["simulate (100)", "fit-0"]
    assert len(folded) == 62
    folded, between = fold(nodes, edges, above=50)
    assert [(node.label, node.state, node.count) for node in folded] == [
        ("simulate (100)", "succeeded", 100),
        ("fit-* (60)", "failed", 60),
        ("report", "", 1),
    ]
    assert folded[1].detail == "59 succeeded, 1 failed"
    assert between == [("group:simulate", "family:fit-*"), ("family:fit-*", "end")]


def test_names_that_differ_in_more_than_numbers_fold_by_their_first_word() -> None:
    nodes = [Node(str(number), f"align-{'abc'[number % 3]}{chr(97 + number // 3)}x") for number in range(60)]
    assert [node.label for node in fold(nodes, [], above=10)[0]] == ["align-* (60)"]


def test_every_state_is_a_sign_and_a_word_and_not_only_a_colour() -> None:
    drawing = layout([Node(state, "x", state) for state in (*SIGNS, "queued")], [])
    root = ElementTree.fromstring(svg(drawing))
    shown = {"".join(text.itertext()) for text in root.iter(f"{SVG}text")}
    assert {f"{sign} {state}" for state, (_, sign) in SIGNS.items()} <= shown
    assert "· queued" in shown


def test_svg_is_sound_whatever_the_names_hold_and_runs_nothing() -> None:
    nodes = [Node("a", HOSTILE, "failed", detail=HOSTILE, href="javascript:alert(1)"), Node("b", "b", href='/t?"x')]
    for standalone in (True, False):
        text = svg(layout(nodes, [("a", "b")]), standalone=standalone, title=HOSTILE)
        root = ElementTree.fromstring(text.encode())
        assert not list(root.iter(f"{SVG}script"))
        assert [link.get("href") for link in root.iter(f"{SVG}a")] == ['/t?"x']
        assert ("<style>" in text) == standalone
        assert " style=" not in text


def test_a_screen_reader_hears_a_title_what_is_there_and_each_name_in_full() -> None:
    name = "a-very-long-name-" * 5
    root = ElementTree.fromstring(svg(layout([Node("a", name, "failed")], []), title="Run demo-7"))
    assert root.get("aria-label") == "Run demo-7"
    assert root.findtext(f"{SVG}desc", "").startswith("1 boxes, 0 arrows: 1 failed.")
    assert f"{name} · failed" in [title.text for title in root.iter(f"{SVG}title")]


def test_mermaid_and_dot_name_every_node_and_edge_and_quote_what_is_special() -> None:
    nodes = [Node("a", 'say "hi" [end]\n#1 <b>\\', "failed"), Node("end", "end")]
    edges = [("a", "end"), ("a", "nobody")]
    assert mermaid(nodes, edges).splitlines() == [
        "flowchart LR",
        '  n0["say #34;hi#34; #91;end#93; #35;1 #60;b#62;#92;<br/>✗ failed"]:::failed',
        '  n1["end"]',
        "  n0 --> n1",
        "  classDef failed stroke:#b3261e,stroke-width:2px",
    ]
    text = dot(nodes, edges, down=True)
    assert "rankdir=TB" in text
    assert '  n0 [label="say \\"hi\\" [end] #1 <b>\\\\\\n✗ failed", color="#b3261e"];' in text
    assert "  n0 -> n1;" in text


def test_texts_stand_out_from_their_ground_in_light_and_in_dark() -> None:
    for palette in (LIGHT, DARK):
        for ink in ("ink", "soft", "ok", "failed", "running", "retry", "waiting"):
            for ground in ("ground", "box"):
                assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)


def contrast(one: str, other: str) -> float:
    def brightness(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)
