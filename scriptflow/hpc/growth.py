"""Ask for more when a job ran out of it, and stay away from nodes that failed.

Knows jobs, reports and what is asked for; knows no batch system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.frozen import changed
from scriptflow.core.states import Cause

if TYPE_CHECKING:
    from scriptflow.core.job import Job, JobReport
    from scriptflow.hpc.options import Ask

_MOST_NODES = 20  # a batch system's line is not endless, and so many failed nodes are another trouble


class Growth:
    """What the jobs of one executor learn from their ends, by their tasks' keys.

    Args:
        memory, walltime: by how much more of each is asked after a job ran out of it, 1 for no more.
    """

    def __init__(self, memory: float, walltime: float) -> None:
        self._factors = {Cause.OUT_OF_MEMORY: memory, Cause.WALLTIME: walltime}
        self._keys: dict[int, str] = {}
        self._grown: dict[tuple[str, Cause], float] = {}
        self._bad_nodes: list[str] = []

    def asked(self, job: Job, ask: Ask) -> Ask:
        """Return what a job asks for, after what earlier jobs of its task met."""
        self._keys[job.number] = job.key
        memory = self._grown.get((job.key, Cause.OUT_OF_MEMORY), 1.0)
        walltime = self._grown.get((job.key, Cause.WALLTIME), 1.0)
        if memory == walltime == 1.0 and not (self._bad_nodes and job.attempt > 1):
            return ask
        return changed(
            ask,
            memory_bytes=None if ask.memory_bytes is None else round(ask.memory_bytes * memory),
            walltime_s=None if ask.walltime_s is None else ask.walltime_s * walltime,
            not_on=tuple(self._bad_nodes) if job.attempt > 1 else (),
        )

    def ended(self, number: int, report: JobReport) -> None:
        """Learn from a job's end."""
        key = self._keys.pop(number, None)
        if key is None or report.cause is None:
            return
        if report.cause in self._factors:
            place = (key, report.cause)
            self._grown[place] = self._grown.get(place, 1.0) * self._factors[report.cause]
        elif report.cause is Cause.NODE_FAILURE and report.host and report.host not in self._bad_nodes:
            self._bad_nodes = [*self._bad_nodes, report.host][-_MOST_NODES:]
