"""The moment of a start: outputs made ready and jobs handed over, on the store's write thread, never past a stop.

Knows lives with a job, and executors in use. Knows nothing of pools, turns or ends.
"""

from __future__ import annotations

import threading
from time import time
from typing import TYPE_CHECKING

from scriptflow.core.job import JobReport
from scriptflow.core.states import Cause, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scriptflow.core.job import Job
    from scriptflow.engine.life import Life
    from scriptflow.engine.opened import Opened


class Launcher:
    """Starts jobs until it is told to stop.

    Args:
        opened: gives the executors in use; called when there is something to start or stop.
    """

    def __init__(self, opened: Callable[[], Opened]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._stopped = False

    def start(self, lives: Sequence[Life]) -> list[tuple[Job, JobReport]]:
        """Start lives whose start is recorded; return those that cannot be, or were stopped meanwhile."""
        with self._lock:
            ready: dict[str, list[Job]] = {}
            refused: list[tuple[Job, JobReport]] = []
            for life in lives:
                job, pool = life.job, life.pool
                if job is None or pool is None:
                    continue
                report = self._make_ready(life)
                if report is None:
                    ready.setdefault(pool.name, []).append(job)
                else:
                    refused.append((job, report))
            for name, jobs in ready.items():
                self._opened().start(name, jobs)
            return refused

    def stop(self, lives: Iterable[Life], grace_s: float) -> None:
        """Start nothing more, and stop these jobs: what is being started right now is either stopped or not started."""
        numbers: dict[str, list[int]] = {}
        for life in lives:
            if life.pool is not None and life.job is not None:
                numbers.setdefault(life.pool.name, []).append(life.job.number)
        with self._lock:
            self._stopped = True
            if numbers:
                self._opened().stop(numbers, grace_s)

    def _make_ready(self, life: Life) -> JobReport | None:
        """Return why a life is not started, None when it can be."""
        if self._stopped:
            return JobReport(state=JobState.CANCELLED, cause=Cause.CANCELLED, ended=time())
        try:
            life.make_ready()
        except Exception as problem:  # noqa: BLE001 (nobody waits on this thread: it must be told on the loop's)
            detail = f"its outputs cannot be written: {problem}"
            return JobReport(state=JobState.FAILED, cause=Cause.EXIT, exit_code=126, ended=time(), detail=detail)
        return None
