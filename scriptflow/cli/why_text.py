"""Put the explanation of tasks into lines and documents: reasons, what differs, what it was compared with.

Knows explanations and records. Knows nothing of flows, heads or how an explanation is found.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.cli import reading
from scriptflow.core.fingerprint import Manifest
from scriptflow.terminal import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scriptflow.core.records import JobRecord, RunRecord, Seen
    from scriptflow.outcome import Explained
    from scriptflow.store.reader import StoreReader
    from scriptflow.terminal.look import Look

_LONG_COMMAND = 60
_FEW = 3
_HASH = len("sha256:") + 8


def document(one: Explained, store: str) -> dict[str, object]:
    """Return one task's explanation for JSON."""
    last = one.last
    compared = None if last is None else {"run": last.run, "job": last.job, "ended": reading.iso(last.ended)}
    return {
        "task": one.task,
        "run": one.run,
        "reasons": [{"code": code, "detail": detail} for code, detail in one.reasons],
        "notes": list(_notes(one)),
        "diff": "\n".join(line for title, lines in _diffs(one, store) for line in (title, *lines)),
        "compared_with": compared,
        "inputs": sum(seen.role == "in" for seen in one.files),
        "outputs": sum(seen.role == "out" for seen in one.files),
        "check": "content" if one.by_content else "mtime",
    }


def past(reader: StoreReader, job: JobRecord) -> Explained:
    """Return why a job of the past ran, beside the job of that task before it."""
    from scriptflow.outcome import Explained

    whole = reader.job(job.job) or job
    return Explained(
        task=whole.task, run=True, reasons=whole.reasons, last=reader.job_before(whole.task, whole.job),
        manifest=whole.manifest, files=whole.files, place=None, by_content=False, content=lambda seen: seen.sha256,
    )  # fmt: skip


def past_run(reader: StoreReader, run: RunRecord) -> list[Explained]:
    """Return why every task of a past run ran; what they were compared with is left out."""
    from scriptflow.outcome import Explained

    reasons = reader.reasons(run.id)
    return [
        Explained(
            task=job.task, run=True, reasons=reasons.get(job.job, ()), last=None, manifest=job.manifest, files=(),
            place=None, by_content=False, content=lambda seen: seen.sha256,
        )
        for job in reader.jobs(run.id)
        if job.attempt == 1
    ]  # fmt: skip


def full_lines(look: Look, one: Explained, store: str, width: int, *, of_run: str = "") -> list[str]:
    """Say all there is to say of one task."""
    number = len(one.reasons)
    verb = f"ran in {of_run}" if of_run else "would run"
    told = f"{verb}: {number} reason{'s' * (number != 1)}" if one.run else "up to date"
    sign, style = (look.running, "cyan") if one.run else (look.same, "green")
    place = f"  {look.paint(look.safe(words.shown_path(str(one.place))), 'dim')}" if one.place else ""
    lines = [f"{look.paint(sign, style)} {look.paint(look.safe(one.task), 'bold')}  {told}{place}"]
    diffs = _diffs(one, store)
    for code, detail in one.reasons:
        shown = "" if code in ("command-changed", "code-changed") and _is_in(detail, diffs) else detail
        lines += [f"  {part}" for part in reading.wrapped(look.safe(words.reason(code, shown)), max(40, width - 2))]
    for title, changes in diffs:
        lines.append(look.paint(f"  {title}", "dim"))
        lines += [f"    {look.paint(look.safe(line), _color(line))}" for line in changes]
    lines += [f"  {look.paint(look.safe(note), 'dim')}" for note in _notes(one)]
    return [*lines, look.paint(f"  {_compared(one, of_run)}", "dim")]


def short_lines(look: Look, explained: Sequence[Explained], width: int, *, of_run: str = "") -> list[str]:
    """Say one line of each task."""
    names = min(max((len(one.task) for one in explained), default=0), 40)
    lines = []
    for one in explained:
        sign, style = (look.running, "cyan") if one.run else (look.same, "green")
        why = words.short_reasons(one.reasons, utf8=look.utf8) if one.run else "up to date"
        said = look.paint(look.fit(why, max(20, width - names - 4)), "dim")
        lines.append(f"{look.paint(sign, style)} {look.safe(one.task):<{names}}  {said}")
    due = sum(one.run for one in explained)
    verb = f"ran in {of_run}" if of_run else "would run"
    return [*lines, f"{words.count(due)} of {words.count(len(explained))} {verb}"]


# --- what differs -----------------------------------------------------------------------------------


def _diffs(one: Explained, store: str) -> list[tuple[str, list[str]]]:
    """Return what differs in the command, the code and a long list of inputs, each with its title."""
    if one.last is None or one.last.manifest == one.manifest:
        return []
    before, now, run = Manifest(one.last.manifest), Manifest(one.manifest), one.last.run
    found = []
    if before.command != now.command:
        found.append((f"command, {run} -> now", _diff(*_as_lines(before.command, now.command))))
    codes = [_code(store, before.extra.get("code", "")), one.code or _code(store, now.extra.get("code", ""))]
    if codes[0] and codes[1] and codes[0] != codes[1]:
        found.append((f"code, {run} -> now", _diff(codes[0].rstrip().splitlines(), codes[1].rstrip().splitlines())))
    if len(set(before.inputs) ^ set(now.inputs)) > _FEW:
        found.append((f"inputs, {run} -> now", _diff(sorted(before.inputs), sorted(now.inputs))))
    return found


def _diff(before: Sequence[str], now: Sequence[str]) -> list[str]:
    from difflib import unified_diff

    lines = list(unified_diff(before, now, lineterm="", n=2))[2:]
    # One hunk needs no numbers to tell it from others.
    return lines[1:] if sum(line.startswith("@@") for line in lines) == 1 else lines


def _as_lines(before: str, now: str) -> tuple[list[str], list[str]]:
    """Return two commands as lines; of a long one that is one line, a word a line."""
    if "\n" in before + now or max(len(before), len(now)) <= _LONG_COMMAND:
        return before.splitlines(), now.splitlines()
    import shlex

    try:
        return [shlex.quote(word) for word in shlex.split(before)], [shlex.quote(word) for word in shlex.split(now)]
    except ValueError:
        return [before], [now]


def _code(store: str, digest: str) -> str:
    """Return the text of a function's code, as far as it was kept."""
    if not digest.replace(":", "").isalnum():
        return ""
    try:
        return Path(store, "values", "code", f"{digest}.py").read_text(encoding="utf-8")
    except OSError:
        return ""


def _is_in(detail: str, diffs: Sequence[tuple[str, list[str]]]) -> bool:
    """Whether a reason says what a diff shows better: a change of the command itself, or of the code."""
    titles = " ".join(title for title, _ in diffs)
    fields = ("env ", "cwd: ", "outputs: ", "shell=", "groups_in ", "groups_out ")
    return ("code," in titles and detail.startswith("code: ")) or (
        "command," in titles and not detail.startswith(fields)
    )


def _color(line: str) -> str:
    return {"+": "green", "-": "red"}.get(line[:1], "dim")


# --- facts about files ------------------------------------------------------------------------------


def _notes(one: Explained) -> Iterator[str]:
    """Say of the files what the reasons do not: hashes, and which output an input is newer than."""
    codes = {code for code, _ in one.reasons}
    if "input-newer" in codes:
        made = [seen for seen in one.files if seen.role == "out" and seen.size >= 0]
        if made:
            oldest = min(made, key=lambda seen: seen.mtime_ns)
            yield f"no record to compare with; the oldest output, {oldest.path}, is of {_time(oldest)}"
        for seen in one.files:
            if ("input-newer", seen.path) in one.reasons:
                yield f"{seen.path} is of {_time(seen)}"
    recorded = {} if one.last is None else {(seen.role, seen.path): seen for seen in one.last.files}
    if codes & {"input-changed", "outputs-changed"}:
        for now in one.files:
            before = recorded.get((now.role, now.path))
            if before is not None and before.sha256 and before.size == now.size:
                yield from _content_note(one, before, now)


def _content_note(one: Explained, before: Seen, now: Seen) -> Iterator[str]:
    if (before.mtime_ns, before.ctime_ns, before.inode) == (now.mtime_ns, now.ctime_ns, now.inode):
        return
    digest = one.content(now)
    if digest == before.sha256 and now.role == "in":
        yield f"{now.path}: its content is the same; with --check content that would be no reason"
    elif digest and before.sha256 and digest != before.sha256:
        yield f"{now.path}: content {before.sha256[:_HASH]}… -> {digest[:_HASH]}…"


def _time(seen: Seen) -> str:
    return reading.iso(seen.mtime_ns / 1e9) or ""


def _compared(one: Explained, of_run: str) -> str:
    """Say what a task was compared with."""
    counted = []
    for role, word in (("in", "input"), ("out", "output")):
        number = sum(seen.role == role for seen in one.files)
        counted.append(f"{words.count(number)} {word}{'s' * (number != 1)}")
    what = " and ".join(counted)
    if one.last is None and of_run:
        return f"no job of it before {of_run} to compare it with"
    if one.last is None:
        return f"no record of it; its {what} were compared with each other"
    how = reading.how_it_ended(one.last)
    when = reading.when(one.last.ended or one.last.started)
    by = ", by content where times differ" if one.by_content else ""
    return f"compared with {one.last.run} ({how}, {when}): command and settings, {what}{by}"
