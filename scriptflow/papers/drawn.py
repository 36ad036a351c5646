"""A lineage, or all tasks of a run, as nodes and edges for a picture.

Knows lineages and the store's jobs. Knows nothing of places or ink.
"""

from __future__ import annotations

from scriptflow.pictures.graph import Node
from scriptflow.store import lineage as found_by
from scriptflow.terminal.words import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.core.records import JobRecord, RunRecord
    from scriptflow.papers.traced import Target
    from scriptflow.pictures.graph import Edge
    from scriptflow.store.lineage import Lineage
    from scriptflow.store.reader import StoreReader


def lineage_graph(target: Target, lineage: Lineage) -> tuple[list[Node], list[Edge]]:
    """Return jobs, the sources that they read, and the file that was asked for."""
    nodes: dict[str, Node] = {}
    edges: dict[Edge, None] = {}
    for number, step in lineage.steps.items():
        nodes[_id(number)] = job_node(step.job)
        for part in step.inputs:
            makers = [maker for maker in part.makers if maker in lineage.steps]
            edges.update({(_id(maker), _id(number)): None for maker in makers})
            if not part.makers:
                source = f"file:{part.seen.path}"
                nodes.setdefault(source, Node(source, part.seen.path, "source"))
                edges[source, _id(number)] = None
    if target.file and target.job is not None:
        wanted = "wanted"
        nodes[wanted] = Node(wanted, target.file, "file", detail=f"copy of {target.copy_of}" if target.copy_of else "")
        edges[_id(target.job), wanted] = None
    return list(nodes.values()), list(edges)


def run_graph(reader: StoreReader, run: RunRecord) -> tuple[list[Node], list[Edge]]:
    """Return the tasks that a run started and, as up to date, those of earlier runs whose outputs they read."""
    last: dict[str, JobRecord] = {}
    for job in reader.jobs(run.id):
        last[job.task] = job
    links = found_by.links(reader, run.id)
    numbers = {job.job for job in last.values()}
    task_of = {job.job: job.task for job in reader.jobs(run.id)}
    earlier = found_by.of_numbers(reader, sorted({maker for maker, _ in links} - task_of.keys()))
    nodes = [job_node(job, job.task) for job in last.values()]
    nodes += [job_node(job, job.task, state="up to date") for job in earlier if job.task not in last]
    task_of.update({job.job: job.task for job in earlier})
    edges = {(task_of[maker], task_of[user]): None for maker, user in links if user in numbers and maker in task_of}
    return nodes, list(edges)


def job_node(job: JobRecord, name: str = "", *, state: str = "") -> Node:
    """Return the box of a job; ``name`` is its id, by default that of the job."""
    seconds = None if job.ended is None or job.began is None else max(0.0, job.ended - job.began)
    return Node(
        name or _id(job.job),
        job.task,
        state or str(job.state),
        group=job.group,
        detail="" if seconds is None or state else duration(seconds),
    )


def _id(job: int) -> str:
    return f"job:{job}"
