"""A lineage as one JSON document: files within the jobs that made them, back to the sources or on to the ends.

Knows lineages. Knows nothing of the store or the screen.
"""

from __future__ import annotations

from datetime import UTC, datetime

from scriptflow.papers.called import command_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.papers.traced import Target
    from scriptflow.store.lineage import Lineage, Part, Step

_IN_FULL = 1_000
"""How many jobs are written out at each place where they occur; beyond, once each."""
_DEEPEST = 150
"""How many jobs stand within one another; a reader of JSON has its limits too."""


def document(target: Target, lineage: Lineage, *, down: bool = False) -> dict[str, object]:
    """Return ``{"file", "sha256", "made_by": {..., "inputs": [...]}}``, with ``down`` also ``"used_by": [...]``.

    Keys that most answers do not need are there only when they say something: ``copy_of``, ``changed``, ``repeated``
    (its inputs stand elsewhere in the document), ``deeper`` and ``complete`` (false: there is more).
    """
    found: dict[str, object] = {
        "schema": 1,
        "file": target.file or None,
        "sha256": target.sha256,
        "made_by": None,
    }
    writer = _Writer(lineage)
    step = lineage.steps.get(target.job) if target.job is not None else None
    if step is not None:
        found["made_by"] = made_by(step) | {"inputs": []} if down else writer.made_by(step, 0)
    if down:
        first, writer.users = users(lineage, target)
        found["used_by"] = [writer.user(user, 0) for user in first]
    if target.copy_of:
        found["copy_of"] = target.copy_of
    if target.changed:
        found["changed"] = True
    if not lineage.complete:
        found["complete"] = False
    return found


def iso(seconds: float | None) -> str | None:
    """Write seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def made_by(step: Step) -> dict[str, object]:
    """Return what is known of a job, without its files."""
    job, run = step.job, step.run
    return {
        "task": job.task,
        "command": command_of(job.manifest),
        "run": job.run,
        "started": iso(job.began or job.started),
        "ended": iso(job.ended),
        "host": job.host,
        "user": run.user,
        "git": run.git,
    }


def users(lineage: Lineage, target: Target) -> tuple[list[Step], dict[int, list[Step]]]:
    """Return the jobs that read what is traced, and a map from each job to those that read what it made.

    Of the jobs of one task the newest counts.
    """
    of: dict[int, list[Step]] = {}
    of_target = []
    for step in sorted(lineage.steps.values(), key=lambda step: step.job.job):
        for maker in {maker for part in step.inputs for maker in part.makers}:
            of.setdefault(maker, []).append(step)
        if target.job is None and any(part.seen.path == target.file for part in step.inputs):
            of_target.append(step)
    of = {maker: _newest(steps) for maker, steps in of.items()}
    return (_newest(of_target) if target.job is None else of.get(target.job, [])), of


def _newest(steps: list[Step]) -> list[Step]:
    return list({step.job.task: step for step in steps}.values())


class _Writer:
    """Writes jobs within one another; what would not end, or grow without bounds, is written once."""

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._written: set[int] = set()
        self._count = 0
        self.users: dict[int, list[Step]] = {}

    def made_by(self, step: Step, depth: int) -> dict[str, object]:
        found = made_by(step)
        if not self._may_go_on(found, step, depth):
            return found | {"inputs": []}
        return found | {"inputs": [self._input(part, depth + 1) for part in step.inputs]}

    def _input(self, part: Part, depth: int) -> dict[str, object]:
        makers = [self._lineage.steps[job] for job in part.makers if job in self._lineage.steps]
        found: dict[str, object] = {"file": part.seen.path, "sha256": part.seen.sha256, "made_by": None}
        if len(makers) == 1:
            found["made_by"] = self.made_by(makers[0], depth)
        elif makers:  # a folder that several filled
            found["made_by_each"] = [self.made_by(maker, depth) for maker in makers]
        if part.changed:
            found["changed"] = True
        return found

    def user(self, step: Step, depth: int) -> dict[str, object]:
        found = made_by(step)
        found["outputs"] = [{"file": part.seen.path, "sha256": part.seen.sha256} for part in step.outputs]
        if not self._may_go_on(found, step, depth):
            return found | {"used_by": []}
        return found | {"used_by": [self.user(user, depth + 1) for user in self.users.get(step.job.job, ())]}

    def _may_go_on(self, found: dict[str, object], step: Step, depth: int) -> bool:
        self._count += 1
        repeated = step.job.job in self._written and self._count > _IN_FULL
        self._written.add(step.job.job)
        if repeated or depth > _DEEPEST:
            found["repeated" if repeated else "deeper"] = True
            return False
        return True
