"""The reference pages name every command, option, setting, event, reason and error that the code has."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click
import pytest

from scriptflow import errors
from scriptflow.cli.main import COMMANDS
from scriptflow.core import events, freshness
from scriptflow.core.config import SETTINGS

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text()


generate = runpy.run_path(str(DOCS / "reference" / "generate.py"))


@pytest.mark.parametrize("name", sorted(generate["PAGES"]))
def test_generated_page_is_what_the_code_says(name: str) -> None:
    assert page(f"reference/{name}") == generate["PAGES"][name](), "run: python docs/reference/generate.py"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_and_option_is_in_the_reference(name: str) -> None:
    text = page("reference/cli.md")
    section = text.partition(f"## `scriptflow {name}`\n")[2].partition("\n## ")[0]
    options = [option for option in generate["command_of"](name).params if isinstance(option, click.Option)]
    assert section
    assert [opt for option in options if not option.hidden for opt in option.opts if opt not in section] == []


def test_settings_page_has_exactly_the_settings() -> None:
    settings = page("reference/settings.md").partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", settings, re.M)) == set(SETTINGS)


def test_events_page_has_every_event_with_its_fields() -> None:
    kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", page("reference/events.md"), re.M))
    assert set(rows) == {kind.__name__ for kind in kinds} - {"Event"}
    for kind in kinds:
        fields = [name for name in kind.__annotations__ if name != "at"]
        assert [name for name in fields if f"`{name}`" not in rows.get(kind.__name__, "")] == []


def test_up_to_date_page_has_every_reason_in_the_order_of_the_code() -> None:
    told = re.findall(r"^\| `([a-z-]+)`(?:, `([a-z-]+)`)? \|", page("explanation/up-to-date.md"), re.M)
    assert [code for row in told for code in row if code] == list(freshness.ORDER)


def every_error() -> dict[str, type[errors.ScriptflowError]]:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ScriptflowError)
    ]
    return {kind.slug: kind for kind in kinds}


def test_errors_page_has_every_error() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page("reference/errors.md"), re.M)) >= set(every_error()) - {"error"}


def test_exit_codes_page_has_every_code_of_the_errors() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page("reference/exit-codes.md"), re.M)}
    assert told == {0, 1, 2, 3, 70, 75, 130, 141, 143}
    assert {kind.exits_with for kind in every_error().values()} <= told
