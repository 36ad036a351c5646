"""Find recorded outputs that no task of any flow declares any more.

Knows flows by what their plans declare. Knows nothing of what lies on disk.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from scriptflow.cli.planning import as_run_last, looked_through, needs_parameters
from scriptflow.core.paths import Directory, Glob
from scriptflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.engine.head import Head
    from scriptflow.engine.life import Life
    from scriptflow.store.keeping import Made
    from scriptflow.store.reader import StoreReader


class _Homes:
    """What flows declare: paths, patterns, folders, and names of tasks."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.patterns: set[str] = set()
        self.folders: set[str] = set()
        self.tasks: set[str] = set()

    def take_in(self, head: Head, _lives: Sequence[Life]) -> None:
        """Note all that the tasks of one flow declare."""
        for task in head.known():
            self.tasks.add(str(task.name))
            for output in task._outputs:
                if isinstance(output, Glob):
                    self.patterns.add(output.pattern)
                else:
                    path = head.files.relative(str(output))
                    self.paths.add(path)
                    if isinstance(output, Directory):
                        self.folders.add(path + "/")

    def has(self, path: str) -> bool:
        """Whether a task declares the path."""
        return (
            path in self.paths
            or any(fnmatchcase(path, pattern) for pattern in self.patterns)
            or any(path.startswith(folder) for folder in self.folders)
        )


def without_home(made: Sequence[Made], reader: StoreReader, file: str | None) -> list[Made]:
    """Return those outputs that no flow declares, each flow called with the parameters of its newest run.

    What a job submitted belongs to the task whose job that was.

    Raises:
        UsageError: a flow cannot be looked through to its end, so what it declares is not known.
    """
    from scriptflow.cli.launch import load_flow_file

    homes = _Homes()
    newest = reader.flows()
    for flow in load_flow_file(file).flows:
        last = newest.get(flow.name)
        if last is None and needs_parameters(flow):
            continue
        plan, _ = looked_through(as_run_last(flow.name, last, file=file), homes.take_in)
        if not plan.complete:
            raise UsageError(
                f"what flow `{flow.name}` declares is not known in full",
                why=f"its plan ends at {plan.stopped_at}",
                do=f"scriptflow run {flow.name}  # and then again",
            )
    submitters = {one.task: one.submitted_by for one in made if one.submitted_by}
    return [one for one in made if not homes.has(one.seen.path) and not _is_submitted(one, submitters, homes.tasks)]


def _is_submitted(made: Made, submitters: dict[str, str], tasks: set[str]) -> bool:
    """Whether a task that a flow declares submitted this output's task, perhaps through others."""
    by, met = made.submitted_by, set[str]()
    while by and by not in met:
        if by in tasks:
            return True
        met.add(by)
        by = submitters.get(by, "")
    return False
