"""What the pages of files show, as documents: which files there are, who made one, from what, and what used it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.fingerprint import Manifest
from scriptflow.errors import NotFound
from scriptflow.pictures.graph import Node, fold
from scriptflow.pictures.layout import layout
from scriptflow.pictures.svg import svg
from scriptflow.store import lineage
from scriptflow.store.documents import job_row
from scriptflow.web.data import name_in_address
from scriptflow.web.task_data import file_rows, steps_of

if TYPE_CHECKING:
    from typing import Any

    from scriptflow.core.records import JobRecord
    from scriptflow.store.lineage import Lineage
    from scriptflow.web.views import Asked

    Document = dict[str, Any]

_MAKERS = 10
_USERS = 50
_STEPS = 400
"""How many jobs of a lineage are looked at, each way."""
_BOXES = 60


def files(asked: Asked) -> Document:
    """Show the files that tasks read and made, by path."""
    made = {"made": True, "source": False}.get(asked["kind"])
    found, total = asked.reader.files_page(text=asked["q"], made=made, limit=asked["limit"], offset=asked["offset"])
    return {
        "files": [
            {"file": path, "made_by": task, "page": asked.link("files", *steps_of(path))} for path, task, _ in found
        ],
        "total": total,
        "offset": asked["offset"],
        "limit": asked["limit"],
    }


def file(asked: Asked) -> Document:
    """Show how a file was made, from what, and what it went into."""
    path = asked.path["path"]
    came = lineage.made(asked.reader, path)
    up, down = _both_ways(asked, path, None if came is None else came.job)
    makers = asked.reader.jobs_of_file(path, made=True, limit=_MAKERS)
    users = asked.reader.jobs_of_file(path, made=False, limit=_USERS)
    if makers is None or users is None:
        raise NotFound(f"no task read or made {path}", do="scriptflow trace FILE  # also finds copies by their content")
    maker = came.job if came is not None else None
    made = asked.reader.job(maker) if maker is not None else None
    inputs = [seen for seen in made.files if seen.role == "in"] if made else []
    self_seen = [seen for seen in made.files if seen.role == "out" and seen.path == path] if made else []
    return {
        "file": path,
        "seen": file_rows(asked, self_seen, with_makers=False)[0] if self_seen else None,
        "made_by": _maker(asked, made) if made else None,
        "inputs": file_rows(asked, inputs, with_makers=True),
        "inputs_total": len(inputs),
        "makers": [_job(asked, job) for job in makers[0]],
        "makers_total": makers[1],
        "used_by": [_job(asked, job) for job in users[0]],
        "used_by_total": users[1],
        "ancestors": len(up.steps),
        "descendants": len(down.steps),
        "complete": up.complete and down.complete,
        **_drawn(asked, path, maker, up, down),
    }


def _both_ways(asked: Asked, path: str, maker: int | None) -> tuple[Lineage, Lineage]:
    """Return the jobs that a file comes from, and those that it went into, at first or last hand."""
    users = [job for job in lineage.readers(asked.reader, path, _STEPS) if maker is None or job > maker]
    return (
        lineage.up(asked.reader, [] if maker is None else [maker], _STEPS),
        lineage.down(asked.reader, users, _STEPS),
    )


def _drawn(asked: Asked, path: str, maker: int | None, up: Lineage, down: Lineage) -> Document:
    """Draw a lineage: tasks and the files that none of them made, folded where there are many."""
    here = f"file {path}"
    nodes = {here: Node(id=here, label=path, state="file")}
    edges: dict[tuple[str, str], None] = {}
    steps = {**down.steps, **up.steps}
    for number, step in steps.items():
        name = f"job {number}"
        nodes[name] = Node(
            id=name, label=step.job.task, group=step.job.group, state=str(step.job.state), detail=step.run.run,
            href=asked.link("r", step.run.run, "t", name_in_address(step.job)),
        )  # fmt: skip
        for part in step.inputs:
            makers = [job for job in part.makers if job in steps]
            if part.seen.path == path and number not in up.steps:
                edges[here, name] = None
            elif makers:
                edges |= {(f"job {job}", name): None for job in makers}
            elif not part.makers and number in up.steps:
                source = f"file {part.seen.path}"
                href = asked.link("files", *steps_of(part.seen.path))
                nodes.setdefault(source, Node(id=source, label=part.seen.path, state="source", href=href))
                edges[source, name] = None
    if maker is not None:
        edges[f"job {maker}", here] = None
    shown, lines = fold(nodes.values(), edges, _BOXES)
    if len(shown) < 2:
        return {"svg": "", "nodes": [], "edges": []}
    return {
        "svg": svg(layout(shown, lines), standalone=False, title=f"Lineage of {path}"),
        "nodes": [{"id": n.id, "label": n.label, "state": n.state, "detail": n.detail, "page": n.href} for n in shown],
        "edges": [{"from": source, "to": target} for source, target in lines],
    }


def _job(asked: Asked, job: JobRecord) -> Document:
    row = job_row(job)
    kept = ("task", "run", "attempt", "state", "started", "seconds")
    return {**{key: row[key] for key in kept}, "page": asked.link("r", job.run, "t", job.task)}


def _maker(asked: Asked, job: JobRecord) -> Document:
    run = asked.reader.find_run(job.run)
    return {
        **_job(asked, job),
        "command": Manifest(job.manifest).command,
        "host": job.host,
        "user": run.user,
        "git": run.git,
        "ended": job_row(job)["ended"],
    }
