"""``scriptflow graph`` draws a flow as it is planned and a run as it went."""

import xml.etree.ElementTree as ElementTree

import pytest


def test_a_flow_is_planned_and_nothing_is_run(project):
    text = project("graph", "paper", "--format", "mermaid")
    assert 'n0["clean<br/>▶ would run"]' in text
    assert text.count("-->") == 4
    assert not (project.folder / ".scriptflow").exists()
    assert not (project.folder / "clean.csv").exists()


def test_a_flow_says_which_tasks_are_up_to_date(paper):
    (paper.folder / "fig.txt").unlink()
    text = paper("graph", "--format", "dot")
    assert "clean\\n= up to date" in text
    assert "fig\\n▶ would run" in text


def test_a_run_shows_how_its_tasks_ended_and_what_they_were_built_on(paper):
    (paper.folder / "fig.txt").unlink()
    paper("run", "-q")
    text = paper("graph", "paper-2", "--format", "mermaid")
    assert "fig<br/>✓ succeeded" in text
    assert "fit-1<br/>= up to date" in text


def test_svg_is_the_default_and_the_files_ending_decides_otherwise(paper):
    root = ElementTree.fromstring(paper("graph", "last"))
    assert root.get("aria-label") == "Run paper-1"
    paper("graph", "-o", "flow.svg")
    ElementTree.parse(paper.folder / "flow.svg")
    paper("graph", "-o", "flow.dot")
    assert (paper.folder / "flow.dot").read_text().startswith("digraph")


def test_many_tasks_are_folded_unless_all_are_wanted(project):
    text = project("graph", "paper", "-p", "n=400", "--format", "mermaid")
    assert "fit-* (400)" in text
    assert "403" not in text
    assert "402 tasks folded to 3" in project.talk
    assert len(project("graph", "paper", "-p", "n=400", "--format", "mermaid", "--all").splitlines()) > 1000


def test_a_flow_that_reads_what_is_not_there_yet_is_drawn_as_far_as_is_known(project):
    project.write(
        "sflow.py",
        "import scriptflow as sf\n"
        "async def flow_f():\n"
        "    await sf.Task('sh -c \"echo 1 > a.txt\"', outputs='a.txt', name='a')\n"
        "    for n in range(int(open('a.txt').read())):\n"
        "        await sf.Task(f'touch {n}.txt', outputs=f'{n}.txt')\n",
    )
    assert "a<br/>▶ would run" in project("graph", "--format", "mermaid")
    assert "what is known up to sflow.py:4" in project.talk


@pytest.mark.parametrize("word", ["nix", "paper-99"])
def test_a_word_that_is_neither_flow_nor_run_is_an_error(paper, word):
    paper("graph", word, code=2)
    assert f"no flow and no run is called {word!r}" in paper.talk


def test_a_file_that_cannot_be_written_is_an_error(paper):
    paper("graph", "-o", "no/such/folder/g.svg", code=2)
    assert "cannot write no/such/folder/g.svg" in paper.talk
