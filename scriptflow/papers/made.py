"""How the results of a run were made, as folded lists of HTML; knows lineages, nothing of the store."""

from __future__ import annotations

from scriptflow.papers.called import command_of
from scriptflow.pictures.markup import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.store.lineage import Lineage, Part, Step

_MOST_RESULTS = 25
_MOST_ITEMS = 600
_DEEPEST = 25
_MOST_INPUTS = 12


def results_of(lineage: Lineage, jobs: Sequence[int]) -> list[tuple[int, Part]]:
    """Return the files that these jobs made and that none of them read."""
    steps = [lineage.steps[job] for job in jobs if job in lineage.steps]
    read = {part.seen.path for step in steps for part in step.inputs}
    return [(step.job.job, part) for step in steps for part in step.outputs if part.seen.path not in read]


def made_lists(lineage: Lineage, results: Sequence[tuple[int, Part]]) -> str:
    """Return a folded list for each result, back to its sources."""
    writer = _Writer(lineage)
    found = "\n".join(writer.result(job, part) for job, part in results[:_MOST_RESULTS])
    if len(results) > _MOST_RESULTS:
        found += f'\n<p class="soft">and {len(results) - _MOST_RESULTS:,} more files: scriptflow trace FILE</p>'
    return found


class _Writer:
    """Writes each job once; where it comes again it is only named."""

    def __init__(self, lineage: Lineage) -> None:
        self._steps = lineage.steps
        self._written: set[int] = set()
        self._items = 0

    def result(self, job: int, part: Part) -> str:
        digest = f' <code class="soft">{escape((part.seen.sha256 or "")[:19])}</code>' if part.seen.sha256 else ""
        return (
            f"<details><summary><b>{escape(part.seen.path)}</b>{digest}</summary>\n"
            f"<ul>{self._job(self._steps[job], 0)}</ul></details>"
        )

    def _job(self, step: Step, depth: int) -> str:
        job, run = step.job, step.run
        head = f"from <b>{escape(job.task)}</b>"
        self._items += 1
        if job.job in self._written:
            return f'<li>{head} <span class="soft">see above</span></li>'
        if depth > _DEEPEST or self._items > _MOST_ITEMS:
            return f'<li>{head} <span class="soft">and what it read: scriptflow trace</span></li>'
        self._written.add(job.job)
        who = f"{job.run}, {run.user}@{job.host}"
        command = command_of(job.manifest)
        inputs = sorted(step.inputs, key=lambda part: not part.makers)
        items = "".join(self._input(part, depth) for part in inputs[:_MOST_INPUTS])
        if len(inputs) > _MOST_INPUTS:
            items += f'<li class="soft">and {len(inputs) - _MOST_INPUTS:,} more inputs</li>'
        return (
            f'<li>{head} <span class="soft">({escape(who)})</span><br><code>{escape(command)}</code>'
            f"{f'<ul>{items}</ul>' if items else ''}</li>"
        )

    def _input(self, part: Part, depth: int) -> str:
        makers = [self._steps[job] for job in part.makers if job in self._steps]
        note = ' <span class="soft">source</span>' if not part.makers else ""
        if part.changed:
            note = ' <span class="retry">changed by hand before it was read</span>'
        inner = "".join(self._job(maker, depth + 1) for maker in makers[:_MOST_INPUTS])
        return f"<li>{escape(part.seen.path)}{note}{f'<ul>{inner}</ul>' if inner else ''}</li>"
