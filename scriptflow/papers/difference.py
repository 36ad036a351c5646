"""What differs between two lineages of one file: tasks, commands, inputs, machines.

Knows lineages. Knows nothing of the store or the screen.
"""

from __future__ import annotations

from dataclasses import dataclass

from scriptflow.core.fingerprint import differences

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.records import Seen
    from scriptflow.store.lineage import Lineage, Step

_MACHINE = (("host", "host"), ("user", "user"), ("git", "git"))


@dataclass(frozen=True, slots=True)
class Change:
    """How one task of a lineage differs from what it was.

    Attributes:
        task: its name.
        kind: ``added``, ``gone``, ``changed``, or ``repeated``: it ran again and nothing is known to differ.
        before, after: the runs it ran in, None where it did not.
        reasons: pairs of a code and a detail with old and new value.
    """

    task: str
    kind: str
    before: str | None
    after: str | None
    reasons: tuple[tuple[str, str], ...] = ()


def difference(before: Lineage, after: Lineage) -> list[Change]:
    """Return what was added, is gone, or ran anew, the farthest from the file first: causes before effects."""
    old = {step.job.task: step for step in reversed(before.steps.values())}
    new = {step.job.task: step for step in reversed(after.steps.values())}
    found = []
    for task, now in new.items():
        was = old.get(task)
        if was is None:
            found.append(Change(task, "added", None, now.job.run))
        elif was.job.job != now.job.job:
            reasons = tuple(_reasons(was, now))
            found.append(Change(task, "changed" if reasons else "repeated", was.job.run, now.job.run, reasons))
    found += [Change(task, "gone", was.job.run, None) for task, was in old.items() if task not in new]
    return found


def _reasons(was: Step, now: Step) -> list[tuple[str, str]]:
    found = list(differences(was.job.manifest, now.job.manifest))
    before = {part.seen.path: part.seen for part in was.inputs}
    for part in now.inputs:
        old = before.get(part.seen.path)
        if old is not None and (change := _change(old, part.seen)):
            found.append(("input-changed", f"{part.seen.path}: {change}"))
    for code, name in _MACHINE:
        one, other = (getattr(step.job if name == "host" else step.run, name) for step in (was, now))
        if one != other:
            found.append((code, f"{one or '(none)'} -> {other or '(none)'}"))
    return found


def _change(old: Seen, new: Seen) -> str:
    """Say how the content of a file differs, as far as is known; a newer time alone is no difference."""
    if old.sha256 and new.sha256:
        return "" if old.sha256 == new.sha256 else f"{old.sha256[:19]} -> {new.sha256[:19]}"
    if old.size != new.size:
        return f"{old.size} bytes -> {new.size} bytes"
    return "" if old.mtime_ns == new.mtime_ns else "its time differs, and no hash is recorded"
