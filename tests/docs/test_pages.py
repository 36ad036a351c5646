"""README and docs: every block that can run is run, every link leads somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from blocks import PageError, blocks_of, compare, run_page

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
PAGES = [page for page in PAGES if ".scriptflow" not in page.parts and "notes" not in page.parts]
each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
LANGUAGES = {"python", "console", "sh", "text", "toml", "json", "mermaid", "yaml"}


@each_page
def test_blocks_of_the_page_run_as_it_says(page: Path, tmp_path: Path) -> None:
    if page.is_relative_to(ROOT / "examples") and (page.parent / "sflow.py").exists():
        shutil.copytree(page.parent, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".scriptflow"))
    run_page(page, tmp_path)


@each_page
def test_every_block_has_a_language_we_know(page: Path) -> None:
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


@each_page
def test_links_lead_to_files(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert broken == []


def test_docs_are_run_and_not_only_compiled() -> None:
    assert sum(block.language == "console" for page in PAGES for block in blocks_of(page)) >= 10


@pytest.mark.parametrize("name", ["try", "test"])
def test_readme_has_its_two_commands_as_one_line_each(name: str) -> None:
    blocks = [block for block in blocks_of(ROOT / "README.md") if (block.language, block.words) == ("sh", (name,))]
    assert len(blocks) == 1
    assert len(blocks[0].text.splitlines()) == 1


def test_runner_sees_a_wrong_output() -> None:
    compare("a … c\n…\nlast 1.5s", "a b c\nx\ny\nlast 22.0s", "page:1", "true")
    with pytest.raises(PageError):
        compare("a … c", "a b d", "page:1", "true")
    with pytest.raises(PageError):
        compare("", "fine\n[exit 1]", "page:1", "false")
