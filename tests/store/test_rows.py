"""What is written comes back, whatever it is called."""

import os
import sqlite3
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from making import begun, do_jobs, end_of, ended, run_start, start_of

from scriptflow.core.frozen import changed
from scriptflow.core.records import JobEnd, JobStart, RunCounts, Seen
from scriptflow.core.states import Cause, JobState, RunState
from scriptflow.errors import StoreError
from scriptflow.store.reader import StoreReader
from scriptflow.store.sqlite import SqliteStore


def test_folder_is_private_and_unseen_by_git(store, folder):
    begun(store, [start_of(store, store.begin_run(run_start())[0], 1)])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {"runs.db", "runs.db-wal", "lock"} <= {path.name for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_job_comes_back_with_reasons_files_and_end(store):
    run, name = store.begin_run(run_start())
    assert name == "demo-1"
    start = start_of(store, run, store.next_job(), group="g", labels={"a": "b"})
    assert begun(store, [start]) is None
    going = store.job(start.job)
    assert (going.state, going.ended, going.host) == (JobState.STARTED, None, "")
    assert [(seen.role, seen.size) for seen in going.files] == [("in", 4), ("out", -1)]
    end = end_of(start)
    ended(store, end)
    job = store.job(start.job)
    assert (job.run, job.task, job.key, job.manifest, job.group) == (name, start.task, start.key, start.manifest, "g")
    assert (job.started, job.began, job.ended) == (start.started, end.began, end.ended)
    assert (job.state, job.cpu_s, job.max_rss_bytes, job.host) == (JobState.SUCCEEDED, 0.25, 1000, "here")
    assert job.log == start.log
    assert job.reasons == start.reasons
    assert job.files == (*start.inputs, *end.outputs)


def test_start_and_end_within_one_group_are_one_row_with_its_end(store):
    run, _ = store.begin_run(run_start())
    starts = do_jobs(store, run, 500)
    assert all(store.job(start.job).state == JobState.SUCCEEDED for start in starts[::100])
    assert len(store.latest()) == 500


def test_latest_knows_each_output_and_how_its_last_job_ended(folder):
    with_end = SqliteStore.open(folder)
    run, _ = with_end.begin_run(run_start())
    good, bad, cut = (start_of(with_end, run, with_end.next_job()) for _ in range(3))
    bare = start_of(with_end, run, with_end.next_job(), outputs=())
    assert begun(with_end, [good, bad, cut, bare]) is None
    with_end.flush()
    with_end.ended(end_of(good))
    with_end.ended(end_of(bad, state=JobState.FAILED, exit_code=1, cause=Cause.EXIT, signature=0, outputs=()))
    with_end.ended(end_of(bare))
    with_end.close()
    again = SqliteStore.open(folder)
    latest = again.latest()
    assert {path: (found.ok, found.signature, found.job) for path, found in latest.items()} == {
        good.outputs[0]: (True, 12345, good.job),
        bad.outputs[0]: (False, 0, bad.job),
        cut.outputs[0]: (False, 0, cut.job),
        "\0" + bare.key: (True, 12345, bare.job),
    }
    assert latest[good.outputs[0]].manifest == good.manifest
    assert {found.job for found in again.latest().values()} == {good.job, bad.job, cut.job, bare.job}
    again.close()


def test_outputs_known_only_at_the_end_are_in_latest(store):
    run, _ = store.begin_run(run_start())
    start = start_of(store, run, store.next_job(), outputs=())
    assert begun(store, [start]) is None
    store.flush()
    path = str(store.folder.parent / "part-7.csv")
    ended(store, end_of(start, outputs=(Seen(path=path, role="out", size=1),)))
    assert store.latest()[path].ok


def test_a_late_end_does_not_hide_the_next_try(store):
    run, _ = store.begin_run(run_start())
    first = start_of(store, run, store.next_job(), task="t")
    second = start_of(store, run, store.next_job(), task="t", attempt=2, key=first.key)
    assert begun(store, [first]) is None
    store.flush()
    assert begun(store, [second]) is None
    ended(store, end_of(first, state=JobState.FAILED, cause=Cause.EXIT, exit_code=2))
    assert store.latest()[first.outputs[0]].job == second.job


def test_a_moved_project_keeps_its_records(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    store = SqliteStore.open(old / ".scriptflow")
    run, _ = store.begin_run(run_start())
    outside = start_of(store, run, store.next_job(), outputs=(str(old / "out.txt"), "/elsewhere/out.txt"))
    assert begun(store, [outside]) is None
    store.close()
    old.rename(new)
    store = SqliteStore.open(new / ".scriptflow")
    assert set(store.latest()) == {str(new / "out.txt"), "/elsewhere/out.txt"}
    store.close()
    store = SqliteStore.open(new / ".scriptflow", relative=True)
    assert set(store.latest()) == {"out.txt", "/elsewhere/out.txt"}
    store.close()


def test_runs_are_numbered_per_flow_and_never_into_old_logs(folder):
    store = SqliteStore.open(folder)
    assert [store.begin_run(run_start(flow))[1] for flow in ("a", "b", "a")] == ["a-1", "b-1", "a-2"]
    (folder / "logs" / "c-1").mkdir(parents=True)
    assert store.begin_run(run_start("c"))[1] == "c-2"
    store.close()


def test_job_numbers_go_on_in_the_next_session(folder):
    store = SqliteStore.open(folder)
    do_jobs(store, store.begin_run(run_start())[0], 3)
    store.close()
    store = SqliteStore.open(folder)
    assert store.next_job() == 4
    store.close()


def test_run_row_tells_all_it_was_given(folder):
    store = SqliteStore.open(folder)
    given = run_start(name="paper", tags=("x", 'y"z'), params={"n": 3, "s": "é"}, argv=("a", "b c\n"))
    store.begin_run(given)
    store.progress(RunCounts(queued=3, running=1))
    counts = RunCounts(ran=3, skipped=2, failed=1, cancelled=5)
    store.end_run(RunState.FAILED, changed(counts, capacity=4), "one failed")
    store.close()
    with StoreReader(folder) as reader:
        run = reader.find_run("paper")
    assert (run.run, run.tags, run.params, run.argv) == ("demo-1", given.tags, given.params, given.argv)
    assert (run.status, run.counts, run.message, run.capacity) == (RunState.FAILED, counts, "one failed", 4)


def test_progress_reaches_readers_while_the_run_goes(store, folder):
    run, _ = store.begin_run(run_start())
    begun(store, [start_of(store, run, 1)])
    store.progress(RunCounts(ran=1))
    store.progress(RunCounts(ran=2, running=7))
    store.flush()
    with StoreReader(folder) as reader:
        assert reader.find_run("last").counts == RunCounts(ran=2, running=7)


def test_executor_id_and_hash_are_written_later(store):
    run, _ = store.begin_run(run_start())
    start = start_of(store, run, store.next_job(), executor="slurm")
    begun(store, [start])
    digest = "sha256:" + "ab" * 32
    store.submitted(start.job, "4711")
    store.hashed([(start.job, start.inputs[0].path, "in", digest)])
    job = store.job(start.job)
    assert job.executor_id == "4711"
    assert job.files[0].sha256 == digest


def test_a_then_that_raises_stops_nothing(store):
    run, _ = store.begin_run(run_start())

    def then(error):
        raise RuntimeError("the loop is closed")

    store.started([start_of(store, run, 1)], then)
    assert begun(store, [start_of(store, run, 2)]) is None
    store.flush()
    assert store.job(2) is not None


def test_a_run_without_jobs_begins_no_thread(folder):
    before = threading.active_count()
    store = SqliteStore.open(folder)
    store.begin_run(run_start())
    store.latest()
    store.progress(RunCounts(skipped=3))
    store.end_run("succeeded", RunCounts(skipped=3), "")
    store.flush()
    assert threading.active_count() == before
    store.close()
    with StoreReader(folder) as reader:
        assert reader.find_run().counts.skipped == 3


def test_a_record_that_cannot_be_written_takes_no_other_with_it(folder):
    store = SqliteStore.open(folder)
    run, _ = store.begin_run(run_start())
    failures = []
    store.on_failure = failures.append
    first, second = start_of(store, run, 1), start_of(store, run, 2)
    assert begun(store, [first, second]) is None
    store.ended(end_of(first, max_rss_bytes=1 << 80))
    store.ended(end_of(second))
    with pytest.raises(StoreError, match="too large"):
        store.close()
    assert len(failures) == 1
    with StoreReader(folder) as reader:
        assert [reader.job(number).state for number in (1, 2)] == [JobState.STARTED, JobState.SUCCEEDED]


def test_group_commits_come_by_themselves(store, folder):
    run, _ = store.begin_run(run_start())
    start = start_of(store, run, 1)
    begun(store, [start])
    told = threading.Event()
    store.ended(end_of(start), told.set)
    assert told.wait(5)
    with StoreReader(folder) as reader:
        assert reader.job(1).state == JobState.SUCCEEDED


def test_store_removed_under_a_run_is_said(folder):
    store = SqliteStore.open(folder)
    run, _ = store.begin_run(run_start())
    begun(store, [start_of(store, run, 1)])
    store.flush()
    (folder / "runs.db").unlink()
    store.ended(end_of(start_of(store, run, 1)))
    with pytest.raises(StoreError, match="moved or removed"):
        store.close()


# --- any text, any number ---------------------------------------------------------------------------

_TEXT = some.text(some.characters(exclude_characters="\0"), min_size=1, max_size=20)
_NAME = some.one_of(_TEXT, some.binary(min_size=1, max_size=12).map(os.fsdecode).filter(lambda name: "\0" not in name))
_INT = some.integers(-(2**63), 2**63 - 1)
_PATH = some.tuples(some.sampled_from(["/elsewhere/", "ROOT/", "ROOT/a/b/"]), _NAME.filter(lambda n: n[0] != "/"))


def _seen(role):
    return some.builds(
        Seen, path=_PATH.map("".join), role=some.just(role), size=some.integers(0, 2**62), mtime_ns=_INT,
        ctime_ns=_INT, inode=some.integers(-(2**63), 2**64 - 1), racy=some.booleans(),
        sha256=some.one_of(some.none(), some.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)),
    )  # fmt: skip


_STARTS = some.builds(
    JobStart, job=some.just(1), run=some.just(1), task=_NAME, key=some.binary(min_size=16, max_size=16).map(bytes.hex),
    manifest=_NAME, attempt=some.integers(1, 9), executor=_TEXT, started=some.integers(0, 10**10).map(float),
    log=_NAME.map("/somewhere/".__add__), reasons=some.lists(some.tuples(_TEXT, _NAME), max_size=3).map(tuple),
    inputs=some.lists(_seen("in"), max_size=4, unique_by=lambda seen: seen.path).map(tuple),
    outputs=some.lists(_PATH.map("".join), max_size=2, unique=True).map(tuple), group=_NAME,
    labels=some.dictionaries(_TEXT, _NAME, max_size=2), cpus=some.integers(1, 99), gpus=some.integers(0, 9),
    memory_bytes=some.none() | some.integers(0, 2**50),
)  # fmt: skip
_ENDS = some.builds(
    JobEnd, job=some.just(1), state=some.sampled_from(JobState),
    began=some.none() | some.integers(0, 10**10).map(float),
    ended=some.integers(0, 10**10).map(float), exit_code=some.none() | some.integers(0, 255),
    signal=some.none() | some.integers(1, 64), cause=some.none() | some.sampled_from(Cause),
    max_rss_bytes=some.none() | some.integers(0, 2**50), cpu_s=some.none() | some.integers(0, 10**6).map(float),
    host=_TEXT, pid=some.none() | some.integers(0, 2**31), detail=_NAME, signature=_INT,
    outputs=some.lists(_seen("out"), max_size=3, unique_by=lambda seen: seen.path).map(tuple),
)  # fmt: skip


def _below(record, root):
    """Put ROOT in a record's paths in the place of the project's folder."""

    def moved(value):
        return (
            changed(value, path=value.path.replace("ROOT", root, 1))
            if isinstance(value, Seen)
            else value.replace("ROOT", root, 1)
        )

    lists = {name: tuple(map(moved, getattr(record, name))) for name in ("inputs", "outputs") if hasattr(record, name)}
    return changed(record, **lists)


@given(start=_STARTS, end=_ENDS, apart=some.booleans(), noted=some.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_record_comes_back_as_it_was(start, end, apart, noted):
    with tempfile.TemporaryDirectory() as root:
        start, end = _below(start, root), _below(end, root)
        store = SqliteStore.open(f"{root}/.scriptflow")
        store.begin_run(run_start())
        if noted:  # only what is noted before the job exists, as a killed head leaves it
            store._writer.intend([start])
            store._writer.replay()
        else:
            assert begun(store, [start]) is None
        if apart:
            store.flush()
        store.ended(end)
        store.close()
        store = SqliteStore.open(f"{root}/.scriptflow")
        job = store.job(1)
        for name in (
            "task",
            "key",
            "manifest",
            "attempt",
            "executor",
            "started",
            "log",
            "reasons",
            "group",
            "cpus",
            "gpus",
            "memory_bytes",
        ):
            assert getattr(job, name) == getattr(start, name), name
        for name in (
            "state",
            "exit_code",
            "signal",
            "cause",
            "max_rss_bytes",
            "cpu_s",
            "host",
            "pid",
            "detail",
            "began",
            "ended",
        ):
            assert getattr(job, name) == getattr(end, name), name
        files = {(seen.role, seen.path): seen for seen in job.files}
        expected = {("out", path): Seen(path=path, role="out", size=-1) for path in start.outputs}
        expected.update({(seen.role, seen.path): seen for seen in (*start.inputs, *end.outputs)})
        assert files == expected
        for path in {seen.path for seen in end.outputs}:
            found = store.latest()[path]
            assert (found.manifest, found.signature, found.ok) == (
                start.manifest,
                end.signature,
                end.state == "succeeded",
            )
        store.close()


def test_memory_stays_flat_over_many_files(store):
    run, _ = store.begin_run(run_start())
    from scriptflow.store import writing

    limit, writing._KNOWN_FILES = writing._KNOWN_FILES, 100
    try:
        do_jobs(store, run, 400)
        do_jobs(store, run, 400)
    finally:
        writing._KNOWN_FILES = limit
    assert len(store._writer._files) <= 100 + 2 * 400
    connection = sqlite3.connect(store.folder / "runs.db")
    assert connection.execute("SELECT count(*), count(DISTINCT path) FROM files").fetchone() == (801, 801)
    connection.close()


def test_clean_close_leaves_one_file(folder):
    store = SqliteStore.open(folder)
    do_jobs(store, store.begin_run(run_start())[0], 5)
    store.close()
    assert sorted(path.name for path in Path(folder).iterdir()) == [".gitignore", "lock", "runs.db"]
