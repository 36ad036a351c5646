"""A run as one self-contained HTML file: what came of it, what failed and why, when, how, and at what cost.

Knows the store and reads the ends of logs. Writes nothing: what it returns is the file.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from time import time

from scriptflow.core.job import JobReport
from scriptflow.core.logs import tail
from scriptflow.core.units import size_text
from scriptflow.papers import page
from scriptflow.papers.drawn import run_graph
from scriptflow.papers.made import made_lists, results_of
from scriptflow.papers.timeline import timeline
from scriptflow.papers.usage import usage_table
from scriptflow.pictures.graph import fold
from scriptflow.pictures.layout import layout
from scriptflow.pictures.markup import escape
from scriptflow.pictures.svg import svg
from scriptflow.store import lineage
from scriptflow.terminal import words
from scriptflow.terminal.look import escape as visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.records import JobRecord, RunRecord
    from scriptflow.store.reader import StoreReader

_MOST_FAILURES = 40
_LOG_LINES = 20
_MOST_TASKS = 400
_WITH_REASONS = 200
_FOLDED_ABOVE = 60
_BAD = ("failed", "lost")


def report(reader: StoreReader, run: RunRecord) -> str:
    """Return the report of a run as HTML; a reader with relative paths makes the nicer one."""
    jobs = reader.jobs(run.id)
    last: dict[str, JobRecord] = {}
    for job in jobs:
        last[job.task] = job
    tasks = list(last.values())
    sections = [
        ("failures", "Failures", _failures(tasks)),
        ("timeline", "Timeline", timeline(jobs, run.started, run.ended or time())),
        ("graph", "Graph", _graph(reader, run) if tasks else ""),
        ("tasks", "Tasks", _tasks(reader, tasks)),
        ("resources", "Asked for against used", usage_table(jobs)),
        ("results", "How the results were made", _results(reader, tasks)),
        ("settings", "Settings", _settings(run)),
        ("environment", "Environment", _environment(reader, run, jobs)),
    ]
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, body in sections if body)
    body = _summary(run, tasks) + f'<nav aria-label="Parts of this report">{links}</nav>\n'
    body += "".join(page.section(*section) for section in sections)
    body += f"<footer>Made by scriptflow from the record of {escape(run.run)}.</footer>\n"
    return page.page(f"{run.run}: {run.status}", body)


def _summary(run: RunRecord, tasks: Sequence[JobRecord]) -> str:
    counts = run.counts
    took = words.duration(max(0.0, (run.ended or time()) - run.started))
    failed = max(counts.failed, sum(job.state in _BAD for job in tasks))
    tiles = [page.tile(words.count(failed), "failed", "failed")] if failed else []
    tiles += [page.tile(words.count(counts.ran), "ran", "ok"), page.tile(words.count(counts.skipped), "up to date")]
    if counts.cancelled:
        tiles.append(page.tile(words.count(counts.cancelled), "cancelled", "stopped"))
    tiles.append(page.tile(took, "so far" if run.ended is None and run.status == "running" else "in all"))
    name = f" <span class='soft'>{escape(run.name)}</span>" if run.name else ""
    told = f"Flow {run.flow}, started {_moment(run.started)} by {run.user}@{run.host}"
    message = f'<p class="small">{escape(run.message)}</p>' if run.message else ""
    if not tasks:
        message += "<p>Nothing had to run: everything was up to date.</p>" if run.status == "succeeded" else ""
    return (
        f"<header><h1>{escape(run.run)}{name}</h1>\n<p>{page.state(str(run.status))} "
        f'<span class="soft">{escape(told)}</span></p>{message}\n<div class="tiles">{"".join(tiles)}</div></header>\n'
    )


def _failures(tasks: Sequence[JobRecord]) -> str:
    bad = [job for job in tasks if job.state in _BAD]
    cards = [_card(job) for job in bad[:_MOST_FAILURES]]
    if len(bad) > _MOST_FAILURES:
        names = ", ".join(job.task for job in bad[_MOST_FAILURES : _MOST_FAILURES + 200])
        cards.append(f"<p>and {len(bad) - _MOST_FAILURES:,} more: {escape(visible(names))}</p>")
    return "\n".join(cards)


def _card(job: JobRecord) -> str:
    from scriptflow.papers.called import command_of

    lines = words.log_lines(tail(job.log, _LOG_LINES), _LOG_LINES)
    log = "\n".join(visible(line) for line in lines)
    where = f"{_ended(job)}, attempt {job.attempt}, {job.executor} on {job.host}"
    detail = f"<p>{escape(visible(job.detail))}</p>" if job.detail else ""
    shown = f"<pre>{escape(log)}</pre>" if log else '<p class="soft">It wrote nothing to its log.</p>'
    return (
        f'<article class="card"><h3>{page.state(str(job.state), visible(job.task))}</h3>'
        f'<p class="soft small">{escape(where)}</p><code>{escape(visible(command_of(job.manifest)))}</code>'
        f"{detail}{shown}</article>"
    )


def _graph(reader: StoreReader, run: RunRecord) -> str:
    nodes, edges = run_graph(reader, run)
    folded, edges = fold(nodes, edges)
    drawing = svg(layout(folded, edges), standalone=False, title=f"Tasks of {run.run}")
    note = f'<p class="soft small">{len(nodes):,} tasks, folded to {len(folded)}</p>' if folded != nodes else ""
    return f'<div class="wide" role="region" aria-label="Graph" tabindex="0">{drawing}</div>{note}'


def _tasks(reader: StoreReader, tasks: Sequence[JobRecord]) -> str:
    """Return a table of tasks, those that did not end well first."""
    ordered = sorted(tasks, key=lambda job: (job.state == "succeeded", job.state not in _BAD))
    rows = []
    for at, job in enumerate(ordered[:_MOST_TASKS]):
        whole = (reader.job(job.job) or job) if at < _WITH_REASONS else job
        memory = "" if job.max_rss_bytes is None else size_text(job.max_rss_bytes)
        seconds = None if job.ended is None or job.began is None else max(0.0, job.ended - job.began)
        rows.append(
            [
                escape(visible(job.task)),
                page.state(str(job.state), _ended(job)),
                "" if seconds is None else words.duration(seconds),
                memory,
                "" if job.cpu_s is None else words.duration(job.cpu_s),
                escape(words.short_reasons(whole.reasons)),
            ]
        )
    if not rows:
        return ""
    left = len(ordered) - _MOST_TASKS
    note = f'<p class="soft small">showing {_MOST_TASKS} of {len(ordered):,}</p>' if left > 0 else ""
    found = page.table("Tasks", ["Task", "=Ended", ">Time", ">Memory", ">CPU", "Why it ran"], rows) + note
    if len(rows) <= _FOLDED_ABOVE:
        return found
    return f"<details><summary>{len(ordered):,} tasks</summary>{found}</details>"


def _results(reader: StoreReader, tasks: Sequence[JobRecord]) -> str:
    good = [job.job for job in tasks if job.state == "succeeded"]
    if not good:
        return ""
    found = lineage.up(reader, good)
    return made_lists(found, results_of(found, good))


def _settings(run: RunRecord) -> str:
    return page.facts(
        [
            ("command", shlex.join(["scriptflow", *run.argv]) if run.argv else ""),
            *((f"parameter {name}", str(value)) for name, value in run.params.items()),
            ("name", run.name or ""),
            ("tags", " ".join(run.tags)),
            ("jobs at once", str(run.capacity or "")),
        ]
    )


def _environment(reader: StoreReader, run: RunRecord, jobs: Sequence[JobRecord]) -> str:
    python, version = reader.software(run.id)
    hosts = list(dict.fromkeys(job.host for job in jobs if job.host))
    executors = dict.fromkeys(job.executor for job in jobs)
    more = f" and {len(hosts) - 10:,} more" if len(hosts) > 10 else ""
    return page.facts(
        [
            ("scriptflow", version),
            ("Python", python),
            ("git commit", run.git),
            ("head", f"{run.user}@{run.host}, process {run.pid}"),
            ("executors", ", ".join(executors)),
            ("hosts of jobs", ", ".join(hosts[:10]) + more),
        ]
    )


def _ended(job: JobRecord) -> str:
    if job.cause is None:
        return {"succeeded": "ok", "started": "running"}.get(str(job.state), str(job.state))
    return words.cause(JobReport(state=job.state, exit_code=job.exit_code, signal=job.signal, cause=job.cause))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
