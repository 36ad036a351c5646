"""What reading commands ask, while a head writes or after it."""

import time

import pytest
from making import begun, do_jobs, end_of, run_start, start_of

from scriptflow.core.records import RunCounts
from scriptflow.core.states import Cause, JobState, RunState
from scriptflow.errors import NotFound
from scriptflow.store.reader import StoreReader
from scriptflow.store.sqlite import SqliteStore


@pytest.fixture
def filled(folder):
    """Three runs: demo-1 (paper), other-1, demo-2; in demo-2 one task fails for good and one recovers."""
    store = SqliteStore.open(folder)
    run, _ = store.begin_run(run_start(name="paper"))
    do_jobs(store, run, 3)
    store.end_run("succeeded", RunCounts(ran=3), "")
    store.begin_run(run_start("other"))
    store.end_run("succeeded", RunCounts(skipped=1), "")
    run, _ = store.begin_run(run_start())
    bad = start_of(store, run, store.next_job(), task="bad", group="g", run_name="demo-2")
    first = start_of(store, run, store.next_job(), task="shaky", run_name="demo-2")
    second = start_of(store, run, store.next_job(), task="shaky", key=first.key, attempt=2, run_name="demo-2")
    begun(store, [bad, first])
    store.ended(end_of(bad, state=JobState.FAILED, exit_code=3, cause=Cause.EXIT, outputs=()))
    store.ended(end_of(first, state=JobState.FAILED, exit_code=1, cause=Cause.EXIT, outputs=()))
    begun(store, [second])
    store.ended(end_of(second))
    store.end_run("failed", RunCounts(ran=1, failed=1), "one failed")
    store.close()
    with StoreReader(folder) as reader:
        yield reader


def test_runs_come_newest_first_in_pages(filled):
    assert [run.run for run in filled.runs()] == ["demo-2", "other-1", "demo-1"]
    assert [run.run for run in filled.runs(limit=1, offset=1)] == ["other-1"]
    assert [run.run for run in filled.runs(flow="demo")] == ["demo-2", "demo-1"]
    assert filled.runs(flow="demo", offset=2) == []


@pytest.mark.parametrize(
    ("selector", "run"),
    [(None, "demo-2"), ("last", "demo-2"), ("last~1", "other-1"), ("last~2", "demo-1"), ("demo-1", "demo-1"),
     ("paper", "demo-1"), ("1", "other-1"), ("2", "demo-2")],
)  # fmt: skip
def test_a_run_is_found_by_any_of_its_names(filled, selector, run):
    assert filled.find_run(selector).run == run


@pytest.mark.parametrize("selector", ["demo-9", "last~3", "pape", "7", "last~x", "-", "9" * 40])
def test_a_run_that_is_not_there_is_said_with_a_near_one(filled, selector):
    with pytest.raises(NotFound) as caught:
        filled.find_run(selector)
    assert selector in caught.value.what
    assert "demo-2" in str(caught.value)


def test_near_names_are_named(filled):
    with pytest.raises(NotFound, match="paper"):
        filled.find_run("papre")


def test_failures_are_the_last_words_of_failed_tasks(filled):
    run = filled.find_run("last")
    assert [job.task for job in filled.failures(run.id)] == ["bad"]
    assert filled.failures(filled.find_run("paper").id) == []


def test_attempts_are_in_order(filled):
    run = filled.find_run("last")
    assert [(job.attempt, job.state) for job in filled.attempts(run.id, "shaky")] == [(1, "failed"), (2, "succeeded")]


def test_jobs_are_picked_by_state_and_name(filled):
    run = filled.find_run("last").id
    assert [job.task for job in filled.jobs(run)] == ["bad", "shaky", "shaky"]
    assert [job.task for job in filled.jobs(run, state="failed")] == ["bad", "shaky"]
    assert [job.task for job in filled.jobs(run, state="succeeded")] == ["shaky"]
    assert [job.task for job in filled.jobs(run, name_glob="b*")] == ["bad"]
    assert len(filled.jobs(run, limit=2)) == 2
    assert filled.job(99) is None


def test_tasks_are_found_by_every_form(filled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, last = filled.find_run("paper").id, filled.find_run("last").id
    assert filled.find_tasks("bad") == ["bad"]
    assert filled.find_tasks("bad", first) == []
    assert filled.find_tasks("task-*") == ["task-1", "task-2", "task-3"]
    assert filled.find_tasks("task-2.txt") == ["task-2"]
    assert filled.find_tasks(str(tmp_path / "task-2.txt")) == ["task-2"]
    assert filled.find_tasks("*-3.txt") == ["task-3"]
    assert filled.find_tasks("group:g") == ["bad"]
    assert filled.find_tasks("state:failed") == ["bad"]
    assert filled.find_tasks("state:failed", last) == ["bad"]
    assert filled.find_tasks("state:succeeded", last) == ["shaky"]
    assert filled.find_tasks("nothing") == []


def test_last_job_has_reasons_and_files(filled):
    job = filled.last_job("shaky")
    assert (job.attempt, job.run) == (2, "demo-2")
    assert job.reasons
    assert {seen.role for seen in job.files} == {"in", "out"}
    assert filled.last_job("nobody") is None


def test_names_flows_counts_and_durations(filled):
    assert filled.task_names("task-", limit=2) == ["task-1", "task-2"]
    assert filled.task_names() == ["bad", "shaky", "task-1", "task-2", "task-3"]
    assert filled.task_names(flow="other") == []
    assert {flow: run.run for flow, run in filled.flows().items()} == {"demo": "demo-2", "other": "other-1"}
    assert filled.durations("demo") == {"": 1.5}
    assert filled.durations("nobody") == {}


def test_a_reader_sees_a_live_run_and_latest_without_the_lock(store, folder):
    run, _ = store.begin_run(run_start())
    starts = do_jobs(store, run, 2)
    with StoreReader(folder, relative=True) as reader:
        assert reader.find_run().status == RunState.RUNNING
        assert set(reader.latest()) == {f"{start.task}.txt" for start in starts}


def test_every_question_but_lists_uses_no_scan_of_all_jobs(filled):
    plans = []
    filled._connection.set_trace_callback(plans.append)
    filled.failures(1)
    filled.jobs(1, state="running")
    filled.jobs(1)
    filled.attempts(1, "bad")
    filled.job(1)
    filled._connection.set_trace_callback(None)
    for text in plans:
        steps = [row[3] for row in filled._connection.execute(f"EXPLAIN QUERY PLAN {text}")]
        assert not any(step.startswith(("SCAN j", "SCAN edges", "SCAN reasons")) for step in steps), (text, steps)


def test_an_empty_store_answers(folder):
    SqliteStore.open(folder).close()
    with StoreReader(folder) as reader:
        assert reader.runs() == []
        assert reader.flows() == {}
        with pytest.raises(NotFound, match="no run is recorded yet"):
            reader.find_run()


def test_what_was_written_is_read_at_once(store, folder):
    run, _ = store.begin_run(run_start())
    start = start_of(store, run, 1)
    begun(store, [start])
    with StoreReader(folder) as reader:
        deadline = time.monotonic() + 5
        while not reader.jobs(run):
            assert time.monotonic() < deadline
        store.ended(end_of(start))
        while not reader.jobs(run, state="succeeded"):
            assert time.monotonic() < deadline
