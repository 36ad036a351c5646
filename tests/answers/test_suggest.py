"""``suggest``: what past runs took, by tasks that are called alike, with a margin, as keywords to paste."""

import os
import socket
import threading
import time

import pytest

from scriptflow.core.fingerprint import digest, manifest_text
from scriptflow.core.records import JobEnd, JobStart, RunCounts, RunStart
from scriptflow.core.states import Cause, JobState
from scriptflow.store.sqlite import SqliteStore

MB = 1024**2
GB = 1024**3


@pytest.fixture
def store(asked):
    store = SqliteStore.open(asked / ".scriptflow")
    store.run, _ = store.begin_run(
        RunStart(
            flow="demo", name=None, tags=(), params={}, argv=(), started=time.time(), host="h", user="u",
            pid=os.getpid(), git="", python="3.11", version="1",
        )
    )  # fmt: skip
    yield store
    store.close()


def did(store, task, seconds, memory, cpu_s, *, state="succeeded", cause=None, **asked):
    number, done = store.next_job(), threading.Event()
    manifest = manifest_text(("run", task), False, (), (f"{task}.out",), None)
    start = JobStart(
        job=number, run=store.run, task=task, key=digest(manifest), manifest=manifest, attempt=1, executor="local",
        started=1.7e9, log="", reasons=(), inputs=(), outputs=(f"{task}.out",), **asked,
    )  # fmt: skip
    store.started([start], lambda _: done.set())
    assert done.wait(10)
    store.ended(
        JobEnd(
            job=number, state=JobState(state), began=1.7e9, ended=1.7e9 + seconds, exit_code=0, signal=None,
            cause=cause, max_rss_bytes=memory, cpu_s=cpu_s, host=socket.gethostname(), pid=1, detail="", signature=1,
            outputs=(),
        )
    )  # fmt: skip


def finish(store):
    store.end_run("succeeded", RunCounts(), "")
    store.close()


def test_family_is_one_row_with_its_worst_and_a_margin(asked, store):
    did(store, "fit-1", 100.0, 700 * MB, 390.0, cpus=2, memory_bytes=8 * GB)
    did(store, "fit-2", 200.0, 900 * MB, 780.0, cpus=2, memory_bytes=8 * GB)
    did(store, "plot", 5.0, 90 * MB, 4.0)
    finish(store)
    fit, plot = asked.json("suggest")["tasks"]
    assert fit == {
        "task": "fit-*",
        "jobs": 2,
        "seconds": {"median": 200.0, "max": 200.0},
        "cpus_used": 3.9,
        "max_rss_bytes": 900 * MB,
        "asked": {"cpus": 2, "memory_bytes": 8 * GB},
        "suggested": {"cpus": 4, "memory": "1.5GB", "walltime": "5m"},
    }
    assert (plot["task"], plot["suggested"]) == ("plot", {"cpus": 1, "memory": "150MB", "walltime": "1m"})
    assert 'cpus=4, memory="1.5GB", walltime="5m"' in asked("suggest", "demo").stdout


def test_what_was_killed_for_lack_of_it_asks_for_more(asked, store):
    did(store, "big", 50.0, 1900 * MB, 40.0, state="failed", cause=Cause.OUT_OF_MEMORY, memory_bytes=2 * GB)
    did(store, "slow", 3600.0, 10 * MB, 40.0, state="failed", cause=Cause.WALLTIME)
    finish(store)
    suggested = {task["task"]: task["suggested"] for task in asked.json("suggest")["tasks"]}
    assert suggested["big"]["memory"] == "4GB"
    assert suggested["slow"]["walltime"] == "2h"


def test_suggested_keywords_are_keywords_of_a_task(asked, store):
    did(store, "one", 20000.0, 30 * GB, None)
    finish(store)
    (one,) = asked.json("suggest")["tasks"]
    assert one["suggested"] == {"cpus": 1, "memory": "38GB", "walltime": "8h30m"}
    asked.flow(f"""
        async def flow_demo():
            await sf.Task("touch a", outputs="a", memory={one["suggested"]["memory"]!r}, walltime="8h30m")
    """)
    assert "asks for more than any executor has" in asked("run", code=2).stderr


def test_nothing_measured_is_said(asked, store):
    finish(store)
    done = asked("suggest")
    assert done.stdout == ""
    assert "no task of demo has run" in done.stderr
    assert "no run of flow nix" in asked("suggest", "nix", code=2).stderr
