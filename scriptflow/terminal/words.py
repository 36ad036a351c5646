"""Put reasons, causes, times, counts and errors into words.

The only place of the screen that does; knows no display. What comes back is harmless to a terminal, except where it
says that the text is raw: ``Look.safe`` mends that.
"""

from __future__ import annotations

from scriptflow.terminal.look import Look, cells, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scriptflow.core.events import Message, TaskEnded
    from scriptflow.core.job import JobReport
    from scriptflow.errors import Place, ScriptflowError


TAIL_LINES = 10
_LOG_LINE_CHARS = 400

# Without its detail, with it, and whether one line of a screen has room for it.
_REASONS = {
    "forced": ("forced", "forced by {}", False),
    "no-outputs": ("no outputs declared", "no outputs declared", False),
    "output-missing": ("output missing", "output missing: {}", True),
    "last-failed": ("failed last time", "failed last time: {}", False),
    "interrupted": ("interrupted last time", "interrupted last time: {}", False),
    "upstream": ("upstream changed", "after {}", True),
    "command-changed": ("command changed", "command changed: {}", False),
    "code-changed": ("code changed", "code changed", False),  # its detail is two digests
    "params-changed": ("parameters changed", "parameters changed: {}", False),
    "container-changed": ("container changed", "container changed: {}", False),
    "inputs-changed": ("list of inputs changed", "list of inputs changed: {}", False),
    "input-newer": ("input newer", "input newer: {}", True),
    "input-changed": ("input changed", "input changed: {}", True),
    "outputs-changed": ("output changed", "output changed: {}", True),
}

_VALUES = ".scriptflow/values/"
_NEAR_THE_END = 5
_CAUSES = {
    "timeout": "timeout",
    "walltime": "walltime reached",
    "out-of-memory": "out of memory",
    "node-failure": "node failed",
    "preempted": "preempted",
    "output-missing": "exit 0, output missing",
    "cancelled": "cancelled",
    "lost": "lost, nothing says how it ended",
}


def reason(code: str, detail: str = "", *, utf8: bool = True) -> str:
    """Say one reason in full: ``input newer: a.csv``."""
    if code == "output-missing" and detail.startswith(_VALUES):
        return "no value stored"
    bare, full, _ = _REASONS.get(code, (code.replace("-", " "), code.replace("-", " ") + ": {}", True))
    return escape(full.format(detail) if detail else bare, utf8=utf8)


def short_reasons(reasons: Iterable[tuple[str, str]], *, utf8: bool = True) -> str:
    """Say several reasons on part of a line: the first, and how many more there are."""
    reasons = tuple(reasons)
    if not reasons:
        return ""
    code, detail = reasons[0]
    if code == "input-changed":
        head, again, _ = detail.partition("written again, ")  # the times are for `why`
        detail = f"{head}written again" if again else detail
    first = reason(code, detail if _REASONS.get(code, ("", "", True))[2] else "", utf8=utf8)
    return f"{first} (+{len(reasons) - 1})" if len(reasons) > 1 else first


def cause(report: JobReport) -> str:
    """Say how a job ended: ``exit 1``, ``killed by SIGKILL``, ``out of memory``."""
    if report.cause is None:
        return "ok"
    if report.cause in _CAUSES:
        return _CAUSES[report.cause]
    if report.signal is not None:
        return f"killed by {signal_name(report.signal)}"
    return "failed" if report.exit_code is None else f"exit {report.exit_code}"


def signal_name(number: int) -> str:
    """Return ``SIGKILL`` for 9; a number that has no name stays a number."""
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def stop_cause(signal: str) -> str:
    """Say what stopped a run, as the user knows it: ``Ctrl-C`` for ``SIGINT``."""
    return "Ctrl-C" if signal == "SIGINT" else signal


def failure(ended: TaskEnded) -> str:
    """Say in a few words what became of a task that did not end well; names neither task nor time. Raw."""
    report = ended.report
    known = report is not None and (report.exit_code is not None or report.cause not in (None, "exit"))
    if ended.message and (not known or ended.slug not in ("", "task-failed")):
        for start in (f"task {ended.task}", ended.task):
            if ended.message.startswith((f"{start} ", f"{start}: ")):
                return ended.message[len(start) :].lstrip(": ")
        return ended.message
    return cause(report) if report is not None else ended.state


def log_lines(tail: Iterable[str], limit: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log that say something, raw.

    Of a line that a progress bar rewrote only what stood there at the end is kept, as on a terminal.
    """
    lines = []
    for raw in tail:
        line = raw.rstrip().rpartition("\r")[2].expandtabs(4).rstrip()
        if line:
            lines.append(line[:_LOG_LINE_CHARS])
    return lines[-limit:]


def root_cause(ended: TaskEnded) -> str:
    """Return what failures of one cause have in common: their last log line, else how they ended. Raw."""
    return shared_cause(failure(ended), ended.tail)


def shared_cause(said: str, tail: Iterable[str]) -> str:
    """Return what failures of one cause have in common: the last line of the log where ``said`` is only an exit code.

    Raw.
    """
    if not said.startswith("exit "):
        return said
    lines = log_lines(tail, _NEAR_THE_END)
    lines = [line for line in lines if not line.lstrip().startswith(("note: ", "help: "))]  # an error of ours, in a job
    if not lines:
        return said
    kind, colon, rest = lines[-1].partition(":")
    last = kind.rpartition(".")[2]
    if colon and last[:1].isupper() and kind.replace(".", "").isidentifier():
        return last + colon + rest  # numpy.linalg.LinAlgError: -> LinAlgError:
    return lines[-1]


def count(number: int) -> str:
    """Write a count with thousands marked: ``34,238``."""
    return f"{number:,}"


def duration(seconds: float, *, tenths: bool = True) -> str:
    """Write a time that has passed: ``5.0s``, ``41:02``, ``1:32:10``, ``2d 03:00:00``."""
    if seconds < 59.95 and tenths:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds) if tenths else int(seconds)
    if whole < 60:
        return f"{max(0, whole)}s"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}:{second:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def about(seconds: float) -> str:
    """Write a time that is guessed, no finer than the guess: ``~20 s``, ``~31 min``, ``~2 h``, ``~3 days``."""
    if seconds < 55:
        return f"~{max(10, 10 * round(seconds / 10))} s"
    minutes = seconds / 60
    if minutes < 57.5:
        return f"~{round(minutes) if minutes < 45 else 5 * round(minutes / 5)} min"
    hours = minutes / 60
    return f"~{round(hours)} h" if hours < 47.5 else f"~{round(hours / 24)} days"


def clock(at: float) -> str:
    """Write the local time of day: ``02:10:07``."""
    from time import localtime, strftime

    return strftime("%H:%M:%S", localtime(at))


def shown_path(path: str, *, utf8: bool = True) -> str:
    """Shorten a path that lies under the current folder to what one would type."""
    from pathlib import Path

    try:
        here = str(Path.cwd())
    except OSError:  # the folder was deleted under us
        return escape(path, utf8=utf8)
    inside = path.startswith(here) and path[len(here) : len(here) + 1] in "/\\"
    return escape(path[len(here) + 1 :] if inside else path, utf8=utf8)


def message_lines(look: Look, message: Message) -> list[str]:
    """Lay out a warning or a note of the run."""
    head = f"{message.level}[{message.slug}]" if message.level != "note" and message.slug else message.level
    style = "yellow" if message.level == "warning" else "dim"
    return _sentence(look, head, style, message.text, None, message.notes, message.help, 0)


def error_text(error: ScriptflowError, *, color: bool, width: int, utf8: bool = True) -> str:
    """Lay an error out: what happened, where (with the line and a caret), facts, the next step."""
    look = Look(utf8=utf8, color=color)
    head = f"error[{error.slug}]"
    return "\n".join(_sentence(look, head, "bold red", error.what, error.place, error.why, error.do, width))


def _sentence(
    look: Look, head: str, style: str, text: str, place: Place | None, notes: Sequence[str], do: str, width: int
) -> list[str]:
    lines = [f"{look.paint(head, style)}: {look.paint(look.safe(text), 'bold' if place or notes or do else '')}"]
    if place is not None:
        lines += _place_lines(look, place, width)
    return lines + note_lines(look, notes, do, indent="  ")


def note_lines(look: Look, notes: Iterable[str], do: str, *, indent: str) -> list[str]:
    """Lay out facts and the next step; a further line of a fact is indented, so it cannot pose as one of ours."""
    lines = []
    for name, style, text in [*(("note", "cyan", note) for note in notes), *([("help", "green", do)] if do else [])]:
        first, *rest = [look.safe(line.expandtabs(4)) for line in text.splitlines()] or [""]
        lines.append(f"{indent}{look.paint(name, style)}: {first}")
        lines += [f"{indent}      {line}" for line in rest]
    return lines


def _place_lines(look: Look, place: Place, width: int) -> list[str]:
    lines = [f"  {look.paint('-->', 'cyan')} {look.safe(str(place))}"]
    source = place.text.rstrip()
    if not source:
        return lines
    number, before = str(place.line), source[: max(0, place.column - 1)]
    shown, before = (look.safe(part.expandtabs(4)) for part in (source, before))
    dent = len(shown) - len(shown.lstrip())
    shown, before = shown[dent:], before[dent:]
    room = max(20, width - len(number) - 6)
    if cells(before) >= room:  # the caret matters, not the start of the line
        hidden = len(before) - room // 2
        shown, before = look.more + shown[hidden:], look.more + before[hidden:]
    bar = look.paint("|", "cyan")
    lines.append(f"  {look.paint(number, 'cyan')} {bar} {look.fit(shown, room)}")
    if place.column:
        lines.append(f"  {' ' * len(number)} {bar} {' ' * cells(before)}{look.paint('^', 'bold red')}")
    return lines


def github_error(ended: TaskEnded) -> str:
    """Write a failure as the annotation that GitHub Actions shows beside the line."""
    place = [f"file={_github(ended.place.file)}", f"line={ended.place.line}"] if ended.place is not None else []
    said, root = failure(ended), root_cause(ended)
    text = said if said == root else f"{said}: {root}"
    title = ",".join([*place, f"title={_github(escape(ended.task))}"])
    return f"::error {title}::{escape(text).replace('%', '%25')}"


def _github(value: str) -> str:
    for char in "%\r\n:,":
        value = value.replace(char, f"%{ord(char):02X}")
    return value
