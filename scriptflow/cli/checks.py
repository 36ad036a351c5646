"""What ``doctor`` looks at: each check looks at one thing and returns what it found, and the mend.

Starts one small job, writes one small file and removes it; leaves everything else as it is, and tells nobody.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.cli import reading
from scriptflow.errors import NoFlowFile, ScriptflowError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from scriptflow.core.config import Settings
    from scriptflow.executors.local import LocalExecutor

OK, WARNING, FAILED = "ok", "warning", "failed"
_GB = 1024**3
_LOW_DISK_BYTES = _GB
_NO_DISK_BYTES = 50 * 1024**2
_SKEW_S = 2.0
_COARSE_NS = 1_000_000_000
_JOB_LIMIT_S = 20.0
BATCH = ("slurm", "sge", "pbs", "hpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found: ``state`` is ``ok``, ``warning`` or ``failed``; ``mend`` says what to do about it."""

    check: str
    state: str
    detail: str
    mend: str = ""


def all_findings(file: str | None) -> Iterator[Finding]:
    """Look at everything that a run needs here; ``file`` is the flow file, when it was named."""
    yield from python()
    folder = None
    for finding in flow_file(file):
        yield finding
        if finding.check == "flow file" and finding.state == OK:
            folder = Path(finding.detail).parent
    loaded = None
    if folder is not None:
        found, loaded = settings(folder)
        yield found
    executors = {"local": {}} if loaded is None else {name: dict(options) for name, options in loaded.executors.items()}
    # Without a flow file, what can be said of the nearest store, or of this folder, is still worth it.
    store = folder / reading.STORE if folder is not None else reading.store_folder() or reading.here() / reading.STORE
    yield from place(store)
    yield from database(store)
    for name, options in executors.items():
        kind = options.get("type", name)
        if kind == "local":
            yield from local_executor(name, options)
        elif kind in BATCH:
            from scriptflow.cli.cluster_checks import batch_executor

            yield from batch_executor(name, options, str(store.parent))
    if loaded is not None and (loaded.notify or loaded.server):
        from scriptflow.cli import telling_checks

        yield from telling_checks.channels(loaded)
        yield from telling_checks.server(loaded, str(store.parent))


def python() -> Iterator[Finding]:
    """Which Python and which scriptflow answer."""
    import platform
    from importlib.metadata import version

    import scriptflow.errors

    yield Finding(check="python", state=OK, detail=f"{platform.python_version()}, {sys.executable}")
    where = Path(scriptflow.errors.__file__).parent
    yield Finding(check="scriptflow", state=OK, detail=f"{version('scriptflow')}, {where}")


def flow_file(file: str | None) -> Iterator[Finding]:
    """Whether there is a flow file, and whether it loads."""
    from scriptflow.flowfile.discover import find_flow_file, load

    try:
        path = find_flow_file(str(reading.here()), file)
    except NoFlowFile as error:
        state = WARNING if file is None else FAILED
        yield Finding(check="flow file", state=state, detail=error.what, mend="scriptflow init")
        return
    yield Finding(check="flow file", state=OK, detail=path)
    try:
        loaded = load(path)
    except ScriptflowError as error:
        yield failed("flows", error)
        return
    names = ", ".join(flow.name for flow in loaded.flows)
    late = next((flow for flow in loaded.flows if not flow.is_async), None)
    if late is not None:
        yield Finding(
            check="flows",
            state=FAILED,
            detail=f"{late.name} is a plain function",
            mend="scriptflow explain flow-not-async",
        )
    elif names:
        yield Finding(check="flows", state=OK, detail=names)
    else:
        yield Finding(check="flows", state=WARNING, detail="there is none", mend="write `async def flow_NAME():`")


def settings(folder: Path) -> tuple[Finding, Settings | None]:
    """Whether all settings are valid, and the settings when they are."""
    from scriptflow.settings_files import load_settings

    try:
        loaded = load_settings(str(folder))
    except ScriptflowError as error:
        return failed("settings", error), None
    sources = sorted(set(loaded.origins.values()))
    return Finding(check="settings", state=OK, detail=", ".join(sources) or "all defaults"), loaded


# --- the folder and its disk ----------------------------------------------------------------------


def place(store: Path) -> Iterator[Finding]:
    """The disk under the store: its type, its room, whether it can be written, its times."""
    from scriptflow.core.units import size_text
    from scriptflow.database import is_network

    folder = store if store.is_dir() else store.parent
    kind = _file_system(folder)
    if is_network(str(folder)):
        yield Finding(
            check="file system",
            state=WARNING,
            detail=f"{kind}, a network disk; the store uses the slower, safe journal there",
            mend="keep the flow's folder on a local disk if all its jobs run on this machine",
        )
    else:
        yield Finding(check="file system", state=OK, detail=f"{kind}, local")
    free = _free_bytes(folder)
    state = FAILED if free < _NO_DISK_BYTES else WARNING if free < _LOW_DISK_BYTES else OK
    mend = "" if state == OK else "free some space, or look at your quota"
    yield Finding(check="disk", state=state, detail=f"{size_text(free)} free", mend=mend)
    yield from _times(folder)


def _times(folder: Path) -> Iterator[Finding]:
    """Write a file, and see whether that works, what the disk's clock says, and how fine its times are."""
    try:
        before = time.time()
        handle, name = tempfile.mkstemp(prefix=".scriptflow-doctor-", dir=folder)
        try:
            os.write(handle, b"x")
            after = time.time()
            stamp = os.fstat(handle).st_mtime
            fine_ns = _granularity_ns(name)
        finally:
            os.close(handle)
            os.unlink(name)  # noqa: PTH108 (the name is a string from mkstemp)
    except OSError as error:
        yield Finding(
            check="writable",
            state=FAILED,
            detail=f"{folder}: {error.strerror}",
            mend=f"make it writable (ls -ld {folder}), or work in a folder of your own",
        )
        return
    yield Finding(check="writable", state=OK, detail=str(folder))
    # The kernel stamps files by a coarser clock, a few milliseconds behind; whole seconds are cut off.
    skew = max(stamp - after, before - stamp - fine_ns / 1e9, 0.0)
    if skew > _SKEW_S:
        detail = f"files written here are stamped {skew:.1f} s {'ahead of' if stamp > after else 'behind'} this machine"
        mend = "synchronise the clocks of this machine and the file server (chronyd, ntpd)"
        yield Finding(check="clock", state=WARNING, detail=detail, mend=mend)
    else:
        yield Finding(check="clock", state=OK, detail="agrees with the file system's")
    if fine_ns >= _COARSE_NS:
        detail = f"kept to {fine_ns / 1e9:g} s; files younger than that are hashed to tell them apart"
        yield Finding(check="file times", state=WARNING, detail=detail, mend="nothing to do, it is only slower")
    else:
        yield Finding(check="file times", state=OK, detail=f"kept to {fine_ns:,} ns")


def _granularity_ns(path: str) -> int:
    """Return the step in which the file system keeps times, by setting one that has every digit."""
    odd = 1_700_000_001_111_111_111
    os.utime(path, ns=(odd, odd))
    kept = os.stat(path).st_mtime_ns  # noqa: PTH116 (as above)
    for step in (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000):
        if kept == odd // step * step:
            return step
    return abs(kept - odd)


def _file_system(folder: Path) -> str:
    """Return the type of the file system that ``folder`` is on, as the system calls it."""
    import psutil  # type: ignore[import-untyped]  # it comes without types

    where = folder.resolve()
    mounts = [part for part in psutil.disk_partitions(all=True) if where.is_relative_to(part.mountpoint)]
    # Of several mounts on one point the last hides the others.
    nearest = max(enumerate(mounts), key=lambda item: (len(item[1].mountpoint), item[0]), default=None)
    return nearest[1].fstype if nearest is not None else "unknown"


def _free_bytes(folder: Path) -> int:
    import shutil

    return shutil.disk_usage(folder).free


# --- the store ------------------------------------------------------------------------------------


def database(store: Path) -> Iterator[Finding]:
    """The run store: its file, whether it is sound, and who holds it."""
    import sqlite3

    from scriptflow.core.units import size_text
    from scriptflow.database import connect_read_only, explain
    from scriptflow.store.reader import StoreReader

    file = store / "runs.db"
    if store.exists() and not store.is_dir():
        yield Finding(
            check="run store", state=FAILED, detail=f"{store} is not a folder", mend=f"mv {store} {store}.old"
        )
        return
    if not file.exists():
        yield Finding(check="run store", state=OK, detail=f"none yet; the first run makes {store}")
        return
    size = sum(part.stat().st_size for part in store.glob("runs.db*"))
    try:
        StoreReader(store).close()
        connection = connect_read_only(str(file))
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            yield Finding(check="run store", state=OK, detail=f"{file}, {size_text(size)}, sound")
            yield _holder(store, connection)
        finally:
            connection.close()
    except ScriptflowError as error:
        yield failed("run store", error)
    except sqlite3.Error as error:
        yield failed("run store", explain(error, str(file)))


def _holder(store: Path, connection: sqlite3.Connection) -> Finding:
    from scriptflow.store.lock import is_locked, read_owner

    if not is_locked(str(store)):
        return Finding(check="lock", state=OK, detail="free")
    owner = read_owner(connection)
    if owner is None:
        return Finding(check="lock", state=OK, detail="held by a run that is starting or ending")
    detail = f"held by {owner.run or 'a run'}, process {owner.pid} on {owner.host}"
    return Finding(check="lock", state=OK, detail=f"{detail}: see scriptflow status")


# --- jobs -----------------------------------------------------------------------------------------


def local_executor(name: str, options: dict[str, object]) -> Iterator[Finding]:
    """What the local executor may use, and whether a job really runs there."""
    from scriptflow.core.units import size_text
    from scriptflow.executors.local import LocalExecutor

    try:
        executor = LocalExecutor({key: value for key, value in options.items() if key != "type"})
    except ScriptflowError as error:
        yield failed(f"executor {name}", error)
        return
    totals = executor.totals
    memory = "" if totals.memory_bytes is None else f", {size_text(totals.memory_bytes)} memory"
    gpus = f", gpus {' '.join(executor.gpu_ids)}" if executor.gpu_ids else ", no gpus"
    yield Finding(
        check=f"executor {name}", state=OK, detail=f"{executor.slots} slots, {totals.cpus} cpus{memory}{gpus}"
    )
    yield _one_job(executor)


def _one_job(executor: LocalExecutor) -> Finding:
    """Run a command that says a word through the real door, reaper and all, and see its word in the log."""
    import asyncio

    from scriptflow.core.job import Job
    from scriptflow.core.states import JobState

    async def run(log: str, folder: str) -> tuple[str, float]:
        argv = (sys.executable, "-c", "print('here')")
        job = Job(number=1, run="doctor-1", task="doctor", key="0" * 32, attempt=1, argv=argv, cwd=folder, log=log)
        began = time.perf_counter()
        async with asyncio.timeout(_JOB_LIMIT_S), executor:
            report = await executor.wait(await executor.submit(job))
        if report.state is not JobState.SUCCEEDED:
            return report.detail or f"it ended with {report.exit_code}", 0.0
        return "", time.perf_counter() - began

    mend = "scriptflow explain executor"
    with tempfile.TemporaryDirectory(prefix="scriptflow-doctor-") as folder:
        log = Path(folder) / "job.log"
        try:
            fault, seconds = asyncio.run(run(str(log), folder))
        except TimeoutError:
            fault, seconds = f"it did not end within {_JOB_LIMIT_S:.0f} s", 0.0
        except (OSError, ImportError, ScriptflowError) as error:  # ImportError: half an installation
            fault, seconds = str(error), 0.0
        if not fault and "here" not in log.read_text(encoding="utf-8"):
            fault = "what it printed did not reach its log"
    if fault:
        return Finding(check="a job", state=FAILED, detail=f"a small command was started, but {fault}", mend=mend)
    return Finding(check="a job", state=OK, detail=f"started, ended and reaped in {seconds * 1000:.0f} ms")


def failed(check: str, error: ScriptflowError) -> Finding:
    """Return what one of our errors says, as a finding."""
    detail = f"error[{error.slug}]: {'; '.join([error.what, *error.why])}"
    return Finding(check=check, state=FAILED, detail=detail, mend=error.do or f"scriptflow explain {error.slug}")


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.state != FAILED for finding in findings)
