"""Print the long text of an error; knows the pages beside it, nothing of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scriptflow.cli.options import Command, option

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SUFFIX = ".md"


def slugs() -> list[str]:
    """Return the slug of every error that has a page, sorted."""
    return sorted(page.name.removesuffix(_SUFFIX) for page in _pages().iterdir() if page.name.endswith(_SUFFIX))


def text_of(slug: str) -> str:
    """Return the page of a slug as Markdown.

    Raises:
        NotFound: there is no such page; the message names the nearest one.
    """
    known = slugs()
    if slug not in known:
        from scriptflow.core.nearest import nearest
        from scriptflow.errors import NotFound

        close = nearest(slug, known)
        raise NotFound(
            f"no error is called {slug!r}",
            why=f"the nearest one is {close!r}" if close else (),
            do=f"scriptflow explain {close}".rstrip(),
        )
    return (_pages() / f"{slug}{_SUFFIX}").read_text(encoding="utf-8")


def summary_of(slug: str) -> str:
    """Return the one sentence that a page begins with."""
    return text_of(slug).splitlines()[2]


def _pages() -> Traversable:
    from importlib.resources import files

    return files("scriptflow.cli") / "explain"


def _complete(_context: click.Context, _argument: click.Parameter, incomplete: str) -> list[str]:
    return [slug for slug in slugs() if slug.startswith(incomplete)]


@click.command("explain", cls=Command, short_help="Print the long text of an error.")
@click.argument("slug", required=False, metavar="[SLUG]", shell_complete=_complete)
@option("Output", "--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def command(slug: str | None, as_json: bool) -> None:
    """Print what an error means, an example that causes it, and how to mend it.

    SLUG is the word in brackets of a message: error[missing-input]. Without it, all are listed.

    \b
    Examples:
      scriptflow explain
      scriptflow explain missing-input
    """  # noqa: D301 (\b keeps click from refilling the examples)
    if slug is None:
        _list(as_json)
        return
    # The word as it stands in the message is welcome too: error[missing-input].
    slug = slug.rpartition("[")[2].rstrip("]:")
    text = text_of(slug)
    if as_json:
        import json

        click.echo(json.dumps({"schema": 1, "slug": slug, "summary": summary_of(slug), "text": text}))
    else:
        click.echo(text, nl=False)


def _list(as_json: bool) -> None:
    known = {slug: summary_of(slug) for slug in slugs()}
    if as_json:
        import json

        rows = [{"slug": slug, "summary": summary} for slug, summary in known.items()]
        click.echo(json.dumps({"schema": 1, "errors": rows}))
        return
    width = max(map(len, known))
    for slug, summary in known.items():
        click.echo(f"{slug:{width}}  {summary}")
