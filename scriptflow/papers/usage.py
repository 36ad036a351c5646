"""What tasks asked for against what they used, by group; knows job records, nothing of the store."""

from __future__ import annotations

from statistics import median

from scriptflow.core.units import size_text
from scriptflow.papers.page import bar, table
from scriptflow.papers.timeline import lanes_of
from scriptflow.pictures.markup import escape
from scriptflow.terminal.words import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.records import JobRecord

_MOST = 60
_NEARLY_ALL = 0.9


def usage_table(jobs: Sequence[JobRecord]) -> str:
    """Return a table of groups: times, processors and memory, asked for and used."""
    groups = lanes_of(job for job in jobs if job.ended is not None and job.began is not None)
    by_time = sorted(groups.items(), key=lambda group: -sum(_seconds(job) for job in group[1]))
    if not by_time:
        return ""
    rows = [_row(name, some) for name, some in by_time[:_MOST]]
    found = table("Resources", ["Tasks", ">Jobs", ">Median time", ">Longest", "=Processors", "=Memory"], rows)
    left = len(by_time) - _MOST
    return found + (f'<p class="soft small">and {left:,} more groups</p>' if left > 0 else "")


def _row(name: str, jobs: Sequence[JobRecord]) -> list[str]:
    times = [_seconds(job) for job in jobs]
    return [
        escape(name),
        f"{len(jobs):,}",
        duration(median(times)),
        duration(max(times)),
        _processors(jobs),
        _memory(jobs),
    ]


def _processors(jobs: Sequence[JobRecord]) -> str:
    asked = max(job.cpus for job in jobs)
    used = [job.cpu_s / _seconds(job) for job in jobs if job.cpu_s is not None and _seconds(job) > 0]
    if not used:
        return f"{asked} asked for"
    return f"{bar(median(used) / asked)}{median(used):.1f} of {asked}"


def _memory(jobs: Sequence[JobRecord]) -> str:
    peaks = [job.max_rss_bytes for job in jobs if job.max_rss_bytes is not None]
    asked = max((job.memory_bytes or 0 for job in jobs), default=0)
    if not peaks:
        return f"{size_text(asked)} asked for" if asked else ""
    peak = max(peaks)
    if not asked:
        return f"{size_text(peak)}, none asked for"
    share = peak / asked
    return f"{bar(share, 'failed' if share > _NEARLY_ALL else 'ok')}{size_text(peak)} of {size_text(asked)}"


def _seconds(job: JobRecord) -> float:
    return max(0.0, (job.ended or 0.0) - (job.began or 0.0))
