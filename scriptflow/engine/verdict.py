"""Look at a task's files, and say whether it must run: the facts that ``freshness`` decides by, gathered.

Knows lives, their tasks and records. Knows nothing of what follows from a decision.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from scriptflow.core.command import manifest_of, paths_in, paths_out
from scriptflow.core.fingerprint import digest
from scriptflow.core.freshness import MISSING, Reason, decide, in_order
from scriptflow.core.paths import Glob
from scriptflow.engine import outputs as files_out
from scriptflow.engine.hashing import is_coarse, signature_of
from scriptflow.engine.story import near_files
from scriptflow.errors import InputMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.records import JobRecord, Seen
    from scriptflow.core.task import Task
    from scriptflow.engine.life import Life


def look(life: Life, changed: Sequence[Task] = ()) -> None:
    """Look at a task's files as they are now; ``changed`` are the tasks before it that were not simply up to date."""
    head, task = life.head, life.task
    paths = _input_paths(life)
    life.outputs = paths_out(task, head.folder)
    life.makers = {path: str(up.name) for up in changed for path in paths_out(up, head.folder)}
    life.manifest = manifest_of(task, paths, head.folder)
    life.looked_at = time()
    life.inputs = tuple([head.files.seen(path, "in") for path in paths])


def reasons_of(life: Life) -> tuple[Reason, ...]:
    """Return why a task that was looked at must run; what only a large file's hash can tell is left for later."""
    head, task = life.head, life.task
    last = last_job(life)
    outputs = [head.files.seen(path, "out") for path in life.outputs]
    unfinished: tuple[str, ...] = ()
    if last is None:
        unfinished = tuple([path for path in life.outputs if files_out.is_marked(head.files.absolute(path))])
    decision = decide(
        manifest=life.manifest,
        last=last,
        inputs=life.inputs,
        outputs=outputs,
        declares_outputs=bool(task._outputs),
        forced_by=head.selection.forced_by(task),
        makers=life.makers,
        unfinished=unfinished,
        by_content=life.by_content,
        same_content=lambda before, now: _same_content(life, before, now),
    )
    reasons = decision.reasons
    if not life.outputs and task._outputs and not decision.run:
        patterns = ", ".join(item.pattern for item in task._outputs if isinstance(item, Glob))
        return (Reason("output-missing", f"nothing matches {patterns}"),)
    if life.unhashed:
        return ()
    racy = any(seen.racy for seen in life.inputs) or any(map(is_coarse, outputs))
    if not reasons and last is not None and not racy:
        head.dispatcher.looked(last.job, life.outputs, signature_of((*life.inputs, *outputs)))
    # Where nothing is there to be older than an input, that nothing is there is the reason; so a run sees it, too.
    known = last is not None or any(seen.size != MISSING for seen in outputs)
    planned = head.dispatcher.extra_reasons(life) if known else ()
    return in_order((*planned, *[reason for reason in reasons if not planned or reason.code != "upstream"]))


def _input_paths(life: Life) -> tuple[str, ...]:
    """Return the inputs' paths; of a glob what matches now, and in a plan what will."""
    paths = paths_in(life.task, life.head.folder)
    globs = [item.pattern for item in life.task._inputs if isinstance(item, Glob)]
    planned = [path for pattern in globs for path in life.head.dispatcher.planned_files(pattern)]
    return (*paths, *sorted({path for path in planned if path not in paths})) if planned else paths


def last_job(life: Life) -> JobRecord | None:
    """Return the record of the job that last made the outputs."""
    head = life.head
    for path in life.outputs or ("\0" + digest(life.manifest),):
        latest = head.latest.get(path)
        if latest is not None and head.store is not None:
            return head.store.job(latest.job)
    return None


def _same_content(life: Life, before: Seen, now: Seen) -> bool | None:
    if before.sha256 is None:
        return None
    if life.unhashed is not None and not life.head.hashes.is_cheap(now):
        life.unhashed.append(now)
        return None
    return life.head.hashes.of(now) == before.sha256


def refuse_missing(life: Life) -> None:
    """Raise when an input is not there, and nobody will make it.

    Raises:
        InputMissing: names the task, the file, and one like it.
    """
    for seen in life.inputs:
        if seen.size == MISSING and not life.head.dispatcher.will_exist(seen.path):
            near = near_files(life.head.files.absolute(seen.path))
            raise InputMissing(
                f"{life.name} needs {seen.path}: it does not exist and no task makes it",
                do=f"a similar file exists: {near[0]}" if near else "make it, or correct inputs=",
                place=life.task.place,
            )
