"""``scriptflow report`` writes one file that needs nothing else and that no name or log can turn against its reader."""

import re
from html.parser import HTMLParser

import pytest

from scriptflow.papers.report import report
from scriptflow.store.reader import StoreReader

HOSTILE = "x<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
VOID = {"meta", "br", "rect", "path", "polygon"}


class Page(HTMLParser):
    """Reads a page as a browser does: tags that open and close, and what they name."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def test_a_report_has_all_its_parts_in_one_file_without_scripts_or_addresses(paper):
    paper("report", "-o", "r.html")
    text = (paper.folder / "r.html").read_text()
    page = Page(text)
    assert page.ids == ["timeline", "graph", "tasks", "resources", "results", "settings", "environment"]
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style")]
    assert [value for name, value in page.attributes if name == "href" and not value.startswith("#")] == []
    assert "default-src 'none'" in text
    assert "sort data/raw.csv" in text
    assert "prefers-color-scheme: dark" in text


def test_failures_stand_first_with_the_ends_of_their_logs(project):
    project.write(
        "sflow.py",
        "import scriptflow as sf\n"
        "async def flow_f():\n"
        "    await sf.bag(sf.Task('true', name='good'), "
        "sf.Task('sh -c \"echo reading; echo Singular matrix >&2; exit 3\"', name='bad'))\n",
    )
    project("run", "-q", code=1)
    project("report", "last", "-o", "r.html")
    text = (project.folder / "r.html").read_text()
    assert Page(text).ids[0] == "failures"
    assert "exit 3, attempt 1, local on" in text
    assert "Singular matrix</pre>" in text


@pytest.fixture
def head(project):
    from filling import Head

    head = Head(project.folder)
    yield head
    head.store.close()


def page_of(project):
    with StoreReader(project.folder / ".scriptflow", relative=True) as reader:
        return report(reader, reader.find_run())


def test_hostile_names_commands_and_logs_stay_text(project, head):
    head.begin("demo", name=HOSTILE, tags=(HOSTILE,), params={"p": HOSTILE})
    start = head.start(HOSTILE, command=("sh", HOSTILE), group=HOSTILE, log=HOSTILE.encode() + b"\x1b[31m\x00\xff\n")
    head.fail(start, detail=HOSTILE)
    head.did("b" + HOSTILE, outputs=[f"{project.folder}/{HOSTILE}"], group=HOSTILE)
    head.finish("failed", failed=1, ran=1)
    text = page_of(project)
    tags = set(Page(text).tags)
    assert not {"script", "img"} & tags
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text
    assert "\x00" not in text


def test_a_run_without_jobs_says_that_nothing_had_to_run(paper):
    paper("run", "-q")
    text = paper("report", "-o", "-")
    assert "everything was up to date" in text
    assert Page(text).ids == ["settings", "environment"]


def test_a_large_run_is_told_by_groups_and_stays_small(project, head):
    head.begin("large")
    for number in range(300):
        start = head.start(f"sim-{number}", log=b"lost\n" * 50, cpus=2, memory_bytes=4 * 1024**2)
        (head.fail if number % 3 == 0 else head.end)(start)
        head.at += 0.2
    head.finish("failed", ran=200, failed=100)
    text = page_of(project)
    assert len(text) < 500_000
    assert "300, 100 failed" in text
    assert "sim-* (300)" in text
    assert "3MB of 4MB" in text
    assert re.search(r"and 60 more: sim-", text)


def test_a_run_that_is_not_there_and_a_folder_that_is_not_there_are_errors(paper):
    paper("report", "paper-9", code=2)
    assert "no run paper-9" in paper.talk
    paper("report", "-o", "nowhere/r.html", code=2)
    assert "cannot write nowhere/r.html" in paper.talk
