"""When jobs ran, as lanes of HTML and SVG: a bar for each task, or where they are many, how many ran at once by group.

Knows job records. Knows nothing of the store.
"""

from __future__ import annotations

from scriptflow.pictures.graph import family
from scriptflow.pictures.look import sign_of
from scriptflow.pictures.markup import escape
from scriptflow.terminal.words import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.core.records import JobRecord

_MOST_TASKS = 60
_MOST_LANES = 30
_BINS = 240
_WIDE = 1000
_THIN = 2.0
"""The narrowest bar, of a thousand parts of the width: a job of a moment is still seen."""


def timeline(jobs: Sequence[JobRecord], begin: float, end: float) -> str:
    """Return the lanes of jobs between two moments, as HTML; nothing without jobs."""
    if not jobs:
        return ""
    span = max(end - begin, 0.001)
    by_task = len({job.task for job in jobs}) <= _MOST_TASKS
    lanes: dict[str, list[JobRecord]] = {}
    if by_task:
        for job in jobs:
            lanes.setdefault(job.task, []).append(job)
    else:
        lanes = lanes_of(jobs)
    ordered = sorted(lanes.items(), key=lambda lane: min(_begin(job) for job in lane[1]))
    shown = ordered if by_task else ordered[:_MOST_LANES]
    draw = _bars if by_task else _crowd
    rows = [draw(name, some, begin, span, end) for name, some in shown]
    if len(ordered) > len(shown):
        rows.append(f'<p class="soft">and {len(ordered) - len(shown):,} more groups</p>')
    middle = duration(span / 2) if span >= 1 else ""
    axis = f'<span class="ends"><span>0</span><span>{middle}</span><span>{duration(span)}</span></span>'
    return "\n".join(rows) + f'\n<div class="lane axis"><span class="what"></span>{axis}<span></span></div>'


def lanes_of(jobs: Iterable[JobRecord]) -> dict[str, list[JobRecord]]:
    """Map what jobs are counted under among many to them: their group, or what their names have in common."""
    lanes: dict[str, list[JobRecord]] = {}
    for job in jobs:
        lanes.setdefault(job.group or family(job.task), []).append(job)
    alone = {name: some[0].task for name, some in lanes.items() if len({job.task for job in some}) == 1}
    return {name if some[0].group else alone.get(name, name): some for name, some in lanes.items()}


def _begin(job: JobRecord) -> float:
    return job.began or job.started


def _bars(name: str, jobs: Sequence[JobRecord], begin: float, span: float, end: float) -> str:
    """Return a lane of one task, with a bar for each attempt."""
    bars = []
    for job in jobs:
        left = _WIDE * (_begin(job) - begin) / span
        width = max(_THIN, _WIDE * ((job.ended or end) - _begin(job)) / span)
        left = min(max(0.0, left), _WIDE - width)
        told = f"{job.task}: {job.state}, {duration(max(0.0, (job.ended or end) - _begin(job)))}"
        bars.append(
            f'<rect class="fill-{sign_of(str(job.state))[0]}" x="{left:.1f}" y="3" width="{width:.1f}" height="12">'
            f"<title>{escape(told)}</title></rect>"
        )
    last = jobs[-1]
    took = duration(max(0.0, (last.ended or end) - _begin(last)))
    kind, sign = sign_of(str(last.state))
    return _lane(name, "".join(bars), took, height=18, mark=f'<span class="{kind}">{sign}</span> ')


def _crowd(name: str, jobs: Sequence[JobRecord], begin: float, span: float, end: float) -> str:
    """Return a lane of many tasks: how many ran at once, as an area, and below it those that failed."""
    running = [0.0] * (_BINS + 1)
    failed = [0] * _BINS
    for job in jobs:
        first = min(_BINS - 1, max(0, int(_BINS * (_begin(job) - begin) / span)))
        last = min(_BINS - 1, max(first, int(_BINS * ((job.ended or end) - begin) / span)))
        running[first] += 1
        running[last + 1] -= 1
        if job.state in ("failed", "lost"):
            failed[last] += 1
    level, peak, levels = 0.0, 1.0, []
    for change in running[:_BINS]:
        level += change
        peak = max(peak, level)
        levels.append(level)
    step = _WIDE / _BINS
    points = " ".join(f"{at * step:.1f},{28 - 27 * level / peak:.1f}" for at, level in enumerate(levels))
    area = f'<polygon class="fill-ok" points="0,28 {points} {_WIDE},28"/>'
    area += "".join(
        f'<rect class="fill-failed" x="{at * step:.1f}" y="29" width="{max(step, 4):.1f}" height="5"/>'
        for at, many in enumerate(failed)
        if many
    )
    bad = sum(failed)
    told = f"{len(jobs):,}" + (f", {bad:,} failed" if bad else "")
    return _lane(name, f"<title>{escape(name)}: {told}, at most {peak:.0f} at once</title>{area}", told, height=34)


def _lane(name: str, inside: str, took: str, *, height: int, mark: str = "") -> str:
    tall = ' class="tall"' if height > 18 else ""
    return (
        f'<div class="lane"><span class="what" title="{escape(name)}">{mark}{escape(name)}</span>'
        f'<svg{tall} viewBox="0 0 {_WIDE} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(name)}: {escape(took)}">{inside}</svg><span class="took">{escape(took)}</span></div>'
    )
