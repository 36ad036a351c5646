"""Lay out runs and tasks in full for people; knows records, nothing of the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scriptflow.cli import reading
from scriptflow.terminal import words
from scriptflow.terminal.look import cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.core.records import JobRecord, RunRecord, Seen
    from scriptflow.store.groups import Group
    from scriptflow.terminal.look import Look

_FILES = 20
_LABEL = 10
_HASH = len("sha256:") + 12
_WORST_FIRST = ("failed", "lost", "running", "started", "queued", "cancelled")


def run_lines(look: Look, run: RunRecord, width: int) -> list[str]:
    """Say all that is recorded of a run but its tasks."""
    import shlex

    took = words.duration(reading.run_seconds(run))
    facts = [
        ("started", f"{reading.when(run.started)}, {took}" + ("" if run.ended else " so far")),
        ("tasks", reading.counts_line(run)),
        ("message", run.message),
        ("name", run.name or ""),
        ("tags", " ".join(run.tags)),
        ("params", "  ".join(f"{key}={value}" for key, value in run.params.items())),
        ("command", shlex.join(["scriptflow", *run.argv]) if run.argv else ""),
        ("by", f"{run.user}@{run.host}, process {run.pid}"),
        ("git", run.git),
    ]
    return [*_head(look, run.run, run.status, run.status, width), *_facts(look, facts, width)]


def task_lines(look: Look, jobs: Sequence[JobRecord], width: int) -> list[str]:
    """Say in one line each how tasks ended; the order of columns is that of weight."""
    rows: list[list[reading.Cell]] = []
    for job in jobs:
        sign, style = reading.glyph(job.state, look)
        rows.append(
            [
                (f"{sign} {job.task}", style),
                reading.how_it_ended(job),
                _time(job),
                words.short_reasons(job.reasons, utf8=look.utf8),
                _memory(job.max_rss_bytes),
                "" if job.cpu_s is None else words.duration(job.cpu_s),
                job.executor,
                job.group,
            ]
        )
    titles = [" " * (look.glyph_cells + 1) + "TASK", "ENDED", ">TIME", "WHY", ">MEMORY", ">CPU", "WHERE", "GROUP"]
    return reading.table(look, titles, rows, width=width, soft=(0,))


def group_lines(look: Look, groups: Iterable[Group], width: int) -> list[str]:
    """Say in one line each how the tasks of a group ended."""
    rows: list[list[reading.Cell]] = []
    for group in groups:
        worst = next((state for state in _WORST_FIRST if state in group.states), "succeeded")
        sign, style = reading.glyph(worst, look)
        rows.append(
            [
                (f"{sign} {group.name or '(no group)'}", style),
                words.count(group.tasks),
                (words.count(group.bad), "bold red" if group.bad else ""),
                words.count(group.states.get("succeeded", 0)),
                "" if group.median_s is None else words.duration(group.median_s),
                "" if group.longest_s is None else words.duration(group.longest_s),
            ]
        )
    return reading.table(
        look,
        [" " * (look.glyph_cells + 1) + "GROUP", ">TASKS", ">FAILED", ">OK", ">MEDIAN", ">LONGEST"],
        rows,
        width=width,
        soft=(0,),
    )


def _queue(job: JobRecord) -> str:
    """Say how long a job waited on an executor with a queue of its own, or still does."""
    if job.executor_id is None or (job.began is None and job.state != "queued"):
        return ""
    waited_s = max(0.0, (job.began or time.time()) - job.started)
    return f"{words.duration(waited_s)}" + (" so far" if job.began is None else "")


def job_lines(look: Look, job: JobRecord, run: RunRecord, attempts: Sequence[JobRecord], width: int) -> list[str]:
    """Say all that is recorded of a task in one run."""
    from scriptflow.core.fingerprint import Manifest
    from scriptflow.core.units import size_text
    from scriptflow.papers.called import command_of, is_value, value_of

    manifest = Manifest(job.manifest)
    is_call, folder = "code" in manifest.extra, reading.store_folder_or_fail().parent
    asked = [f"{job.cpus} cpu{'s' * (job.cpus != 1)}"]
    asked += [f"memory {size_text(job.memory_bytes)}"] if job.memory_bytes is not None else []
    asked += [f"{job.gpus} gpu{'s' * (job.gpus != 1)}"] if job.gpus else []
    used = [f"{label} {text}" for label, text in (("time", _time(job)), ("memory", _memory(job.max_rss_bytes))) if text]
    used += [f"cpu {words.duration(job.cpu_s)}"] if job.cpu_s is not None else []
    where = [job.executor, *([f"job {job.executor_id}"] if job.executor_id else []), *([job.host] if job.host else [])]
    facts = [
        ("command", command_of(job.manifest)),
        *((key, value) for key, value in manifest.extra.items() if not (is_call and key.startswith("param "))),
        ("run", f"{run.run}, {reading.when(job.began or job.started)}, by {run.user}"),
        ("where", ", ".join([*where, *([f"process {job.pid}"] if job.pid else [])])),
        ("group", job.group),
        *(("why", words.reason(code, detail)) for code, detail in job.reasons),
        ("detail", job.detail),
        ("asked", ", ".join(asked)),
        ("used", ", ".join(used)),
        ("queue", _queue(job)),
        *(("result", f"{name} = {body}") for name, _, body in job.values),
        *(("value", value_of(folder / seen.path, seen)) for seen in job.files if is_value(seen)),
        ("log", words.shown_path(job.log)),
    ]
    lines = [*_head(look, job.task, job.state, reading.how_it_ended(job), width), *_facts(look, facts, width)]
    for label, role in (("inputs", "in"), ("outputs", "out")):
        lines += _file_lines(look, label, [seen for seen in job.files if seen.role == role], width)
    if len(attempts) > 1:
        rows: list[list[reading.Cell]] = [
            [
                f"    {at.attempt}",
                reading.how_it_ended(at),
                _time(at),
                _memory(at.max_rss_bytes),
                words.shown_path(at.log),
            ]
            for at in attempts
        ]
        lines += [look.paint("  attempts", "dim"), *reading.table(look, [""] * 5, rows, width=width, soft=(1,))]
    return lines


def _head(look: Look, name: str, state: str, ended: str, width: int) -> list[str]:
    """Write the name with its sign and how it ended; a name that is longer than the screen goes on below."""
    sign, style = reading.glyph(state, look)
    first, *rest = reading.wrapped(look.safe(name), max(20, width - look.glyph_cells - 1))
    lines = [f"{look.paint(sign, style)} {look.paint(first, 'bold')}", *(look.paint(part, "bold") for part in rest)]
    if rest or cells(first) + len(ended) + 10 > width:
        return [*lines, f"  {look.paint('ended'.ljust(_LABEL), 'dim')}{ended}"]
    return [f"{lines[0]}  {ended}"]


def _facts(look: Look, facts: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Lay out what is known, one fact a line; a long one goes on below itself, nothing is cut."""
    lines, before = [], ""
    for label, text in facts:
        room = max(20, width - _LABEL - 2)
        shown = reading.wrapped(look.safe(text), room) if text else []
        for at, part in enumerate(shown):
            title = "" if at or label == before else label
            lines.append(f"  {look.paint(f'{title:{_LABEL}}', 'dim')}{' ' * (len(title) >= _LABEL)}{part}")
        before = label if shown else before
    return lines


def _file_lines(look: Look, label: str, files: Sequence[Seen], width: int) -> list[str]:
    from scriptflow.core.units import size_text

    rows: list[list[reading.Cell]] = []
    for seen in files[:_FILES]:
        folder = seen.size >= 0 and not seen.ctime_ns
        size = f"{seen.size} file{'s' * (seen.size != 1)}" if folder else size_text(max(0, seen.size))
        rows.append(
            [
                f"    {seen.path}",
                size if seen.size >= 0 else ("missing", "red"),
                "" if seen.size < 0 else reading.when(seen.mtime_ns / 1e9),
                (seen.sha256 or "")[:_HASH],
            ]
        )
    lines = (
        [look.paint(f"  {label}", "dim"), *reading.table(look, ["", "", "", ""], rows, width=width, soft=(0,))]
        if rows
        else []
    )
    if len(files) > _FILES:
        lines.append(f"  showing {_FILES} of {words.count(len(files))}; --json has all, with whole hashes")
    return lines


def _time(job: JobRecord) -> str:
    seconds = reading.seconds_of(job)
    return "" if seconds is None else words.duration(seconds)


def _memory(size: int | None) -> str:
    from scriptflow.core.units import size_text

    return "" if size is None else size_text(size)
