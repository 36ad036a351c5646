"""Decide whether a task must run, and say why.

Pure: knows a task's manifest, its last record and what is on disk, all given.
Knows nothing of heads, executors, the store or the screen.
"""

from __future__ import annotations

from time import gmtime, strftime

from scriptflow.core.fingerprint import differences

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scriptflow.core.records import JobRecord, Seen

MISSING = -1


class Reason:
    """One reason to run: a ``code`` of the table in docs/explanation/up-to-date.md and what it is about."""

    __slots__ = ("code", "detail")

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reason) and (other.code, other.detail) == (self.code, self.detail)

    def __hash__(self) -> int:
        return hash((self.code, self.detail))

    def __repr__(self) -> str:
        return f"{self.code}: {self.detail}"


class Decision:
    """Whether a task must run, with all the reasons; none when it is up to date."""

    __slots__ = ("reasons",)

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self.reasons = tuple(reasons)

    @property
    def run(self) -> bool:
        """Whether it must run."""
        return bool(self.reasons)

    def __repr__(self) -> str:
        return f"Decision(run={self.run}, reasons={self.reasons})"


def decide(
    *,
    manifest: str,
    last: JobRecord | None,
    inputs: Sequence[Seen],
    outputs: Sequence[Seen],
    declares_outputs: bool,
    forced_by: str = "",
    makers: Mapping[str, str] | None = None,
    unfinished: Sequence[str] = (),
    by_content: bool = False,
    same_content: Callable[[Seen, Seen], bool | None] = lambda _recorded, _now: None,
) -> Decision:
    """Return the decision and every reason for it, in the order of the table.

    Args:
        manifest: the task's manifest now.
        last: its last job, with files as seen just before it started (inputs) and after it ended (outputs).
        inputs: the inputs as they are now.
        outputs: the outputs as they are now.
        declares_outputs: False for a task that declares none: it always runs.
        forced_by: the pattern of ``--force`` that matches its name.
        makers: maps an input to the task of this run that ran and wrote it.
        unfinished: outputs with a marker of a job that never ended beside them.
        by_content: ``check="content"``: a differing stat is no reason when the content is the same.
        same_content: compares a recorded file with the file now; None when no hash is recorded.
    """
    makers = makers or {}
    reasons: list[Reason] = []
    if forced_by:
        reasons.append(Reason("forced", forced_by))
    if not declares_outputs:
        reasons.append(Reason("no-outputs", "it declares no outputs"))
    missing = [seen.path for seen in outputs if seen.size == MISSING]
    # Without a record nothing but the marker tells a cut file from a whole one.
    cut = [path for path in unfinished if last is None and path not in missing]
    reasons += [Reason("output-missing", path) for path in missing]
    reasons += [Reason("output-missing", f"{path} (a job that made it never ended)") for path in cut]
    if last is not None and last.state != "succeeded":
        reasons.append(_bad_end(last))
    reasons += _changes(manifest, last)
    if last is None:
        reasons += _older_than_inputs(inputs, outputs, makers)
    else:
        recorded = {(seen.role, seen.path): seen for seen in last.files}
        for now in inputs:
            before = recorded.get(("in", now.path))
            if before is not None and (change := _input_change(before, now, by_content, same_content)):
                maker = makers.get(now.path)
                reasons.append(
                    Reason("upstream", f"{maker} made {now.path}") if maker else Reason("input-changed", change)
                )
        for now in outputs:
            left = recorded.get(("out", now.path)) if last.state == "succeeded" else None
            if left is not None and now.size != MISSING and (change := _output_change(left, now, same_content)):
                reasons.append(Reason("outputs-changed", change))
    return Decision(in_order(reasons))


def in_order(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Return reasons in the order of the table."""
    order = {code: place for place, code in enumerate(ORDER)}
    return tuple(sorted(reasons, key=lambda reason: order[reason.code]))


ORDER = (
    "forced", "no-outputs", "output-missing", "last-failed", "interrupted", "upstream", "command-changed",
    "code-changed", "params-changed", "container-changed", "inputs-changed", "input-newer", "input-changed",
    "outputs-changed",
)  # fmt: skip


def _bad_end(last: JobRecord) -> Reason:
    if last.state != "failed":
        how = "was stopped" if last.state == "cancelled" else "never ended"
        return Reason("interrupted", f"{last.run}: its last job {how}")
    how = f"signal {last.signal}" if last.signal else f"exit {last.exit_code}"
    more = "" if last.cause in ("exit", "signal") else f" ({last.cause})"
    return Reason("last-failed", f"{last.run}: {how}{more}")


def _changes(manifest: str, last: JobRecord | None) -> list[Reason]:
    if last is None or last.manifest == manifest:
        return []
    return [Reason(code, detail) for code, detail in differences(last.manifest, manifest)]


def _older_than_inputs(inputs: Sequence[Seen], outputs: Sequence[Seen], makers: Mapping[str, str]) -> list[Reason]:
    """Make's rule: an input strictly newer than the oldest output; equal times count as fresh."""
    times = [seen.mtime_ns for seen in outputs if seen.size != MISSING]
    if not times:
        return []
    oldest = min(times)
    newer = [seen.path for seen in inputs if seen.mtime_ns > oldest]
    return [
        Reason("upstream", f"{makers[path]} made {path}") if path in makers else Reason("input-newer", path)
        for path in newer
    ]


def _input_change(before: Seen, now: Seen, by_content: bool, same_content: Callable[[Seen, Seen], bool | None]) -> str:
    """Return what is different about an input since just before the last start, "" when nothing is."""
    if now.size == MISSING:
        return f"{now.path} is gone"
    if now.size != before.size:
        return _sizes(before, now)
    if now.mtime_ns != before.mtime_ns or (now.ctime_ns < 0 and now.inode != before.inode):
        if (same := same_content(before, now) if by_content else None) is True:
            return ""
        if now.mtime_ns == before.mtime_ns:
            return f"{now.path}: its listing differs"
        times = f"{_moment(before.mtime_ns)} -> {_moment(now.mtime_ns)}"
        times += ", and it is older now" if now.mtime_ns < before.mtime_ns else ""
        return f"{now.path}: {'other content' if same is False else 'written again'}, {times}"
    # A copied or restored tree, or a file as young as the clock's tick when it was looked at: only
    # the content can tell, and without a recorded hash equal size and time count as unchanged.
    doubtful = (now.ctime_ns, now.inode) != (before.ctime_ns, before.inode) or before.racy
    if doubtful and same_content(before, now) is False:
        return f"{now.path}: other content of the same size and time"
    return ""


def _output_change(left: Seen, now: Seen, same_content: Callable[[Seen, Seen], bool | None]) -> str:
    if now.size != left.size:
        return _sizes(left, now)
    if now.ctime_ns < 0:
        return f"{now.path}: its listing differs" if now.ctime_ns != left.ctime_ns else ""
    stamps = (now.mtime_ns, now.ctime_ns, now.inode) != (left.mtime_ns, left.ctime_ns, left.inode)
    if (stamps or left.racy) and same_content(left, now) is False:
        return f"{now.path}: other content than the task left"
    return ""


def _sizes(before: Seen, now: Seen) -> str:
    return f"{now.path}: {'number of files' if now.ctime_ns < 0 else 'size'} {before.size} -> {now.size}"


def _moment(time_ns: int) -> str:
    """Write a file's time as ISO 8601 in UTC, to the millisecond."""
    whole = strftime("%Y-%m-%dT%H:%M:%S", gmtime(max(0, time_ns) // 1_000_000_000))
    return f"{whole}.{time_ns // 1_000_000 % 1000:03}Z"
