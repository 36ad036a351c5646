"""What ``doctor`` looks at of a batch system: its commands, what it keeps, and whether one small job comes back.

The job's files lie in a folder of their own beside the flow, so that a disk that nodes do not share is found out.
"""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING

from scriptflow.cli.checks import FAILED, OK, WARNING, Finding
from scriptflow.errors import ScriptflowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scriptflow.core.job import JobReport
    from scriptflow.hpc.batch import BatchExecutor

_LIMIT_S = 60.0
_SET_UP = "load its module, add its folder to PATH, or set what it needs (SLURM_CONF, SGE_ROOT)"


def batch_executor(name: str, options: Mapping[str, object], folder: str) -> Iterator[Finding]:
    """What is found of the batch system behind an executor, and how a small job fares there."""
    import asyncio

    from scriptflow.core.registry import executor_class

    check = f"executor {name}"
    notes: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix=".scriptflow-doctor-", dir=folder, ignore_cleanup_errors=True) as place:
            executor = executor_class(str(options.get("type", name)))(options, folder=place, note=notes.append)
            found, job = asyncio.run(_try(executor, place))
    except (OSError, ScriptflowError) as error:
        what = error.what if isinstance(error, ScriptflowError) else str(error)
        mend = error.do if isinstance(error, ScriptflowError) else ""
        yield Finding(check=check, state=FAILED, detail=what, mend=mend or "scriptflow explain executor")
        return
    if "trouble" in found:
        yield Finding(check=check, state=FAILED, detail=found["trouble"], mend=found["mend"] or _SET_UP)
        return
    version = found.pop("version")
    more = "; ".join(f"{word} {value}" for word, value in found.items() if value)
    yield Finding(check=check, state=OK, detail=f"{version}; {more}" if more else version)
    for note in notes:
        yield Finding(check=check, state=WARNING, detail=note)
    if job is not None:
        yield job


async def _try(executor: BatchExecutor, place: str) -> tuple[dict[str, str], Finding | None]:
    import asyncio

    from scriptflow.core.job import Job

    log = f"{place}/job.log"
    argv = ("/bin/sh", "-c", "echo here")
    job = Job(number=1, run="doctor-1", task="doctor", key="0" * 32, attempt=1, argv=argv, cwd=place, log=log)
    async with executor:
        found = await executor.probe()
        if "trouble" in found:
            return found, None
        began = time.monotonic()
        try:
            job_id = await asyncio.wait_for(executor.submit(job), _LIMIT_S)
        except TimeoutError:
            return found, _bad("its submission was not answered", "is its daemon up? ask your administrator")
        try:
            report = await asyncio.wait_for(executor.wait(job_id), _LIMIT_S)
        except TimeoutError:
            state, reason = executor.seen(job_id) or ("unknown", "")
            await asyncio.wait_for(executor.cancel(job_id), _LIMIT_S)
            told = f"job {job_id} is {state} after {_LIMIT_S:.0f} s{f': {reason}' if reason else ''}; it is cancelled"
            return found, Finding(check="a job there", state=WARNING, detail=told, mend="the queue may just be full")
        return found, _judged(report, job_id, log, time.monotonic() - began)


def _judged(report: JobReport, job_id: str, log: str, seconds: float) -> Finding:
    from pathlib import Path

    if report.state != "succeeded":
        return _bad(f"job {job_id} failed: {report.detail or report.cause}", "scriptflow explain executor")
    try:
        said = Path(log).read_text(encoding="utf-8")
    except OSError:
        said = ""
    if "here" not in said:
        mend = "keep the flow's folder on a disk that all nodes see"
        return _bad(f"job {job_id} ran on {report.host}, but what it wrote is not here", mend)
    return Finding(
        check="a job there", state=OK, detail=f"{job_id} ran on {report.host} and is back in {seconds:.1f} s"
    )


def _bad(detail: str, mend: str) -> Finding:
    return Finding(check="a job there", state=FAILED, detail=detail, mend=mend)
