"""Make the job that is a life's next try.

Knows lives and what their tasks ask for. Knows nothing of when and where the job runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.command import argv_of
from scriptflow.core.job import Job
from scriptflow.core.units import seconds_of

if TYPE_CHECKING:
    from scriptflow.engine.life import Life


def job_of(life: Life, number: int, run: str, log: str) -> Job:
    """Return the job; the life has its pool, gpus, attempt, key and inputs.

    Raises:
        TaskError: the command cannot be made.
    """
    head, task, pool = life.head, life.task, life.pool
    assert pool is not None  # noqa: S101 (it has been given room)
    get = task.get
    env = {str(name): str(value) for name, value in given.items()} if (given := get("env")) else {}
    if pool.env is not None:
        env = {**pool.env, "SCRIPTFLOW_JOB": f"{run}:{number}", **env}
    if life.gpus:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(life.gpus)
    timeout, cwd, call, container = get("timeout"), get("cwd"), get("call"), get("container")
    # What is set for a whole process, a container or the GPUs, cannot be had from one that runs already.
    warm = call and call.begin(head.folder, warm=pool.warm and not life.gpus and not container)
    return Job(
        number=number, run=run, task=life.name, key=life.key, attempt=life.attempt,
        argv=argv_of(task, head.folder), cwd=head.files.absolute(str(cwd)) if cwd else head.folder,
        env=env, log=log,
        inputs=tuple([seen.path for seen in life.inputs]),
        outputs=tuple([head.files.absolute(path) for path in life.outputs]),
        resources=life.asked, timeout_s=None if timeout is None else seconds_of(timeout),
        grace_s=head.settings.grace, container=container, warm=warm,
    )  # fmt: skip
