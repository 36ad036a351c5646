import ast
import json
import re

import pytest

from scriptflow import errors
from scriptflow.cli import explain
from scriptflow.cli.main import COMMANDS

# Warnings and causes have a page too, but are no exceptions.
WITHOUT_CLASS = {
    "never-awaited",
    "loop-blocked",
    "stale-output",
    "input-changed-while-running",
    "killed",
    "hook-failed",
    "interrupted",
    "jobs-left",
    "no-head",
    "no-match",
    "not-allowed",
    "notify-failed",
    "parameter",
    "refused",
    "server",
}


# What the screen says in words of its own, after the run: its slug stands in no line.
UNNAMED = {"killed", "tasks-failed", "interrupted"}


def slugs_of(kind):
    return {kind.slug}.union(*map(slugs_of, kind.__subclasses__()))


def test_every_slug_has_its_page_and_every_page_its_slug():
    assert slugs_of(errors.ScriptflowError) | WITHOUT_CLASS == set(explain.slugs())


@pytest.mark.parametrize("slug", explain.slugs())
def test_a_page_says_what_it_means_shows_an_example_and_the_mend(slug):
    text = explain.text_of(slug)
    lines = text.splitlines()
    assert lines[0] == f"# {slug}"
    assert lines[1] == lines[3] == ""
    assert lines[2].endswith(".")
    assert len(lines[2]) <= 80
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["What it means", "An example", "How to mend it"]
    assert 15 <= len(lines) <= 45
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("slug", explain.slugs())
def test_python_in_a_page_is_python(slug):
    for block in re.findall(r"```python\n(.*?)```", explain.text_of(slug), re.DOTALL):
        ast.parse(block)


@pytest.mark.parametrize("slug", explain.slugs())
def test_a_page_speaks_only_of_commands_that_exist(slug):
    text = explain.text_of(slug)
    named = re.findall(r"(?:`|\$ (?:\S*/)?|-m )scriptflow (?:[^`\n]*?)?([a-z]+)", text)
    assert set(named) <= set(COMMANDS), named


def example_of(slug):
    """Return the flow file of a page's example and the commands to call."""
    example = explain.text_of(slug).partition("## An example")[2].partition("## ")[0]
    flow = re.search(r"```(?:python|text)\n(.*?)```", example, re.DOTALL)
    return flow and flow[1], re.findall(r"^\$ scriptflow (.*)$", example, re.MULTILINE) or ["run"]


@pytest.mark.parametrize("slug", [slug for slug in explain.slugs() if example_of(slug)[0] and slug not in UNNAMED])
def test_an_example_causes_its_error(cli, slug):
    flow, commands = example_of(slug)
    (cli.folder / "sflow.py").write_text(flow)
    (cli.folder / "fit.R").write_text("")
    for name in ("fit", "broken", "total", "solve", "a", "b"):
        (cli.folder / f"{name}.py").write_text("raise SystemExit(1)\n")
    for command in commands:
        done = cli(*command.split(), "--events", "-", "--progress", "plain", code=None)
        assert f"[{slug}]" in done.talk or f'"slug": "{slug}"' in done.text, done.talk


def test_explain_prints_the_page(cli):
    assert cli("explain", "missing-input").text == explain.text_of("missing-input")


def test_the_slug_may_be_copied_as_it_stands_in_the_message(cli):
    assert cli("explain", "error[missing-input]:").text == explain.text_of("missing-input")


def test_explain_alone_lists_all(cli):
    lines = cli("explain").text.splitlines()
    assert [line.split()[0] for line in lines] == explain.slugs()
    assert all(len(line) <= 120 for line in lines)


def test_an_unknown_slug_names_the_nearest(cli):
    done = cli("explain", "mising-input", code=2)
    assert "missing-input" in done.talk
    assert done.text == ""


def test_explain_as_json(cli):
    page = json.loads(cli("explain", "cycle", "--json").text)
    assert page["schema"] == 1
    assert page["slug"] == "cycle"
    assert page["text"].startswith("# cycle")
    rows = json.loads(cli("explain", "--json").text)["errors"]
    assert {row["slug"] for row in rows} == set(explain.slugs())
