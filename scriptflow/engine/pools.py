"""Room on executors: who may start now, by slots, cpus, memory and gpus; first come first served within a priority.

Knows requests and capacities. Knows nothing of tasks, jobs or how anything is run.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scriptflow.core.job import Resources

Item = TypeVar("Item")

# So often may later requests pass one that does not fit; then room is kept for it.
_PATIENCE = 64


class Pool:
    """What one executor has, and what of it is taken; ``env`` is for its jobs, which do not inherit ours."""

    __slots__ = ("cpus", "env", "fits", "gpu_ids", "memory", "name", "slots", "slots_total", "warm")

    def __init__(
        self,
        name: str,
        slots: int,
        fits: Callable[[Resources], bool],
        *,
        cpus: float | None = None,
        memory: int | None = None,
        gpu_ids: Sequence[str] | None = None,
        warm: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.warm = warm  # whether it has resident workers
        self.env = env
        self.slots = self.slots_total = slots
        self.fits = fits
        self.cpus = cpus
        self.memory = memory
        self.gpu_ids = None if gpu_ids is None else list(gpu_ids)

    def has_room(self, asked: Resources) -> bool:
        """Whether a job that asks so much can start now."""
        return (
            self.slots > 0
            and (self.cpus is None or asked.cpus <= self.cpus)
            and (self.memory is None or (asked.memory_bytes or 0) <= self.memory)
            and (self.gpu_ids is None or asked.gpus <= len(self.gpu_ids))
        )

    def take(self, asked: Resources) -> tuple[str, ...]:
        """Take the room; returns the ids of the gpus given."""
        self.slots -= 1
        if self.cpus is not None:
            self.cpus -= asked.cpus
        if self.memory is not None:
            self.memory -= asked.memory_bytes or 0
        if not asked.gpus or self.gpu_ids is None:
            return ()
        given, self.gpu_ids = self.gpu_ids[: asked.gpus], self.gpu_ids[asked.gpus :]
        return tuple(given)

    def give_back(self, asked: Resources, gpus: tuple[str, ...]) -> None:
        """Return the room."""
        self.slots += 1
        if self.cpus is not None:
            self.cpus += asked.cpus
        if self.memory is not None:
            self.memory += asked.memory_bytes or 0
        if gpus and self.gpu_ids is not None:
            self.gpu_ids = sorted([*self.gpu_ids, *gpus])


class _Line(Generic[Item]):
    """Those who wait for one shape of room."""

    __slots__ = ("asked", "heap", "passed", "pools")

    def __init__(self, asked: Resources, pools: list[Pool]) -> None:
        self.asked = asked
        self.pools = pools
        self.heap: list[tuple[int, int, Item]] = []
        self.passed = 0


class Pools(Generic[Item]):
    """All executors' pools and everyone who waits."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = {pool.name: pool for pool in pools}
        self._lines: dict[tuple[object, ...], _Line[Item]] = {}
        self._count = 0
        self.waiting = 0

    @property
    def capacity(self) -> int:
        """How many jobs may be in flight at once."""
        return sum(pool.slots_total for pool in self.pools.values())

    def candidates(self, asked: Resources, executor: str | None) -> list[Pool]:
        """Return the pools that could ever hold such a job, none when no executor can."""
        named = [self.pools[executor]] if executor is not None else list(self.pools.values())
        return [pool for pool in named if pool.slots_total > 0 and pool.fits(asked)]

    def add(self, item: Item, asked: Resources, executor: str | None, priority: int, place: int = 0) -> int:
        """Let ``item`` wait for room; returns its place among its equals, to be given when it comes back to wait."""
        shape = (executor, asked.cpus, asked.memory_bytes, asked.gpus, asked.walltime_s)
        line = self._lines.get(shape)
        if line is None:
            line = self._lines[shape] = _Line(asked, self.candidates(asked, executor))
        self._count += 1
        self.waiting += 1
        place = place or self._count
        heappush(line.heap, (-priority, place, item))
        return place

    def take(self) -> list[tuple[Item, Pool, tuple[str, ...]]]:
        """Return everyone who can start now, with pool and gpu ids; their room is taken."""
        started: list[tuple[Item, Pool, tuple[str, ...]]] = []
        while True:
            lines = [line for line in self._lines.values() if line.heap]
            if len(lines) > 1:
                lines.sort(key=lambda line: line.heap[0][:2])
            if not lines or not self._take_first(lines, started):
                return started

    def drain(self) -> list[Item]:
        """Take everyone out of the lines; nobody of them will start."""
        left = [item for line in self._lines.values() for _, _, item in sorted(line.heap, key=lambda e: e[:2])]
        for line in self._lines.values():
            line.heap.clear()
        self.waiting = 0
        return left

    def _take_first(self, lines: list[_Line[Item]], started: list[tuple[Item, Pool, tuple[str, ...]]]) -> bool:
        """Start from the first line that has room, as many of it as come before the next line's first."""
        kept: set[str] = set()
        skipped: list[_Line[Item]] = []
        for place, line in enumerate(lines):
            pool = next((pool for pool in line.pools if pool.name not in kept and pool.has_room(line.asked)), None)
            if pool is None:
                skipped.append(line)
                if line.passed > _PATIENCE:
                    kept.update(pool.name for pool in line.pools)
                continue
            line.passed = 0
            limit = lines[place + 1].heap[0][:2] if place + 1 < len(lines) else None
            while line.heap and pool.has_room(line.asked) and (limit is None or line.heap[0][:2] < limit):
                item = heappop(line.heap)[2]
                self.waiting -= 1
                started.append((item, pool, pool.take(line.asked)))
                for other in skipped:
                    other.passed += 1
            return True
        return False
