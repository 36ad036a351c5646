"""A lineage as W3C PROV-JSON: entities (files as jobs saw them), activities (jobs), agents (people).

Knows lineages. Knows nothing of the store or the screen. Says only what is recorded.
Source: PROV-JSON, W3C Member Submission; terms of PROV-DM.
"""

from __future__ import annotations

from scriptflow.papers.called import command_of
from scriptflow.papers.document import iso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptflow.papers.traced import Target
    from scriptflow.store.lineage import Lineage, Part, Step

_OURS = "urn:scriptflow:"


def prov(target: Target, lineage: Lineage) -> dict[str, object]:
    """Return the document; identifiers are short, what a thing is called stands in ``prov:label``."""
    writer = _Writer(lineage)
    for step in lineage.steps.values():
        writer.add(step)
    if target.copy_of and target.job is not None:
        writer.add_copy(target)
    return {"prefix": {"sf": _OURS}, **{kind: rows for kind, rows in writer.parts.items() if rows}}


class _Writer:
    def __init__(self, lineage: Lineage) -> None:
        self._steps = lineage.steps
        self._entities: dict[tuple[int | None, str, str | None], str] = {}
        kinds = ("entity", "activity", "agent", "wasGeneratedBy", "used", "wasAssociatedWith", "wasDerivedFrom")
        self.parts: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}

    def add(self, step: Step) -> None:
        job, run = step.job, step.run
        activity = f"sf:job-{job.job}"
        row = {
            "prov:label": job.task,
            "prov:startTime": iso(job.began or job.started),
            "prov:endTime": iso(job.ended),
            "sf:command": command_of(job.manifest),
            "sf:run": job.run,
            "sf:host": job.host,
            "sf:git": run.git,
            "sf:executor": job.executor,
            "sf:state": str(job.state),
        }
        self.parts["activity"][activity] = {key: value for key, value in row.items() if value}
        agent = f"sf:user-{len(self.parts['agent']) + 1}"
        agent = next((key for key, value in self.parts["agent"].items() if value["prov:label"] == run.user), agent)
        self.parts["agent"][agent] = {
            "prov:label": run.user,
            "prov:type": {"$": "prov:Person", "type": "prov:QUALIFIED_NAME"},
        }
        self._relate("wasAssociatedWith", activity=activity, agent=agent)
        for part in step.inputs:
            makers: list[int | None] = [maker for maker in part.makers if maker in self._steps]
            for maker in [None] if part.changed or not makers else makers:
                self._relate("used", activity=activity, entity=self._entity(maker, part))
        for part in step.outputs:
            entity = self._entity(job.job, part)
            self._relate("wasGeneratedBy", entity=entity, activity=activity)

    def add_copy(self, target: Target) -> None:
        """Say that the file which was asked for is a copy of a recorded one."""
        assert target.job is not None  # noqa: S101 (the caller looked)
        original = self._entities.get((target.job, target.copy_of, None))
        self.parts["entity"]["sf:copy"] = {"prov:label": target.file, "sf:sha256": target.sha256}
        if original:
            self._relate("wasDerivedFrom", generatedEntity="sf:copy", usedEntity=original)

    def _entity(self, maker: int | None, part: Part) -> str:
        """Return the id of a file in one version: as one job made it, or as it was found."""
        seen = part.seen
        key = (maker, seen.path, None if maker is not None else seen.sha256 or str(seen.mtime_ns))
        if key not in self._entities:
            self._entities[key] = name = f"sf:file-{len(self._entities) + 1}"
            row: dict[str, object] = {"prov:label": seen.path, "sf:sha256": seen.sha256}
            if seen.size >= 0:
                row["sf:bytes" if seen.ctime_ns >= 0 else "sf:files"] = seen.size
            self.parts["entity"][name] = {field: value for field, value in row.items() if value is not None}
        return self._entities[key]

    def _relate(self, kind: str, **ends: str) -> None:
        rows = self.parts[kind]
        rows[f"_:{kind}-{len(rows) + 1}"] = {f"prov:{role}": name for role, name in ends.items()}
