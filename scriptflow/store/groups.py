"""How the tasks of a run ended, counted by group: one query, however many tasks there are.

Knows the tables. Knows nothing of screens.
"""

from __future__ import annotations

from scriptflow.core.frozen import frozen
from scriptflow.store.text import from_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from scriptflow.store.reader import StoreReader


@frozen
class Group:
    """The tasks of one group of a run, each by its last job.

    Attributes:
        name: the group's, "" for tasks of none.
        states: how many are in which state.
        median_s, longest_s: of those that have ended; None where none has.
    """

    name: str
    states: Mapping[str, int]
    median_s: float | None
    longest_s: float | None

    @property
    def tasks(self) -> int:
        """How many there are."""
        return sum(self.states.values())

    @property
    def bad(self) -> int:
        """How many of them failed."""
        return self.states.get("failed", 0) + self.states.get("lost", 0)


def groups_of(reader: StoreReader, run_id: int) -> list[Group]:
    """Return the groups of a run, the one with most failures first."""
    states: dict[str, dict[str, int]] = {}
    times: dict[str, list[int]] = {}
    for group, state, took in reader._rows(
        "SELECT t.task_group, j.state, j.ended - j.began FROM runs r "
        "JOIN jobs j ON j.id BETWEEN r.first_job AND coalesce(r.last_job, 9223372036854775807) AND j.run = r.id "
        "JOIN tasks t ON t.id = j.task WHERE r.id = ? AND NOT EXISTS "
        "(SELECT 1 FROM jobs k WHERE k.run = j.run AND k.task = j.task AND k.id > j.id AND k.attempt > 1)",
        (run_id,),
    ):
        counts = states.setdefault(group, {})
        counts[state] = counts.get(state, 0) + 1
        if took is not None:
            times.setdefault(group, []).append(took)
    found = []
    for group, counts in states.items():
        ordered = sorted(times.get(group, ()))
        found.append(
            Group(
                name=from_column(group or ""), states=counts,
                median_s=ordered[len(ordered) // 2] / 1e6 if ordered else None,
                longest_s=ordered[-1] / 1e6 if ordered else None,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: -one.bad)
