"""Write down a bug of ours so that it can be reported, with nothing of the user's in it."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OURS = Path(__file__).parent.parent


def internal_error(error: Exception, words: Sequence[str]) -> InternalError:
    """Return what the user is told about ``error``; the details lie in a file of the nearest store, if there is one."""
    story = "\n".join(_story(error, words)) + "\n"
    file = _write(story)
    return InternalError(
        f"this is a bug in scriptflow, not in your flow ({type(error).__name__})",
        why=[f"details in {file} (no data of yours in it)"] if file else story.splitlines()[-3:],
        do="`scriptflow run` resumes; attach the details to a report, `scriptflow --debug` shows more",
    )


def _story(error: BaseException, words: Sequence[str]) -> Iterator[str]:
    from importlib.metadata import version

    yield f"scriptflow {version('scriptflow')}, Python {platform.python_version()}, {platform.system()}"
    # The command alone: its arguments, and the texts of exceptions, may hold the user's own names.
    yield f"command: {next((word for word in words if word.isalpha()), 'none')}"
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.insert(0, link)
        link = link.__cause__ or link.__context__
    for one in links:
        trace = one.__traceback__
        while trace is not None:
            yield f"  {_where(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno} {trace.tb_frame.f_code.co_name}"
            trace = trace.tb_next
        yield type(one).__name__


def _where(file: str) -> str:
    path = Path(file)
    for root in (_OURS.parent, *map(Path, sys.path)):
        installed = root == _OURS.parent or root.name in ("site-packages", "dist-packages") or root == Path(sys.prefix)
        if installed and path.is_relative_to(root) and (root != _OURS.parent or path.is_relative_to(_OURS)):
            return str(path.relative_to(root))
    return path.name if path.is_relative_to(sys.base_prefix) else "the flow's own code"


def _write(story: str) -> str:
    here = Path.cwd()
    for folder in (here, *here.parents):
        store = folder / ".scriptflow"
        if store.is_dir():
            file = store / f"crash-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.txt"
            try:
                file.touch(mode=0o600)
                file.write_text(story, encoding="utf-8")
            except OSError:
                return ""
            return str(file)
    return ""
