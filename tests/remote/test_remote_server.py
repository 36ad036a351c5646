"""The server's side: who may send what, each batch once, and five counts by one line of curl."""

import shutil
import subprocess

import pytest
from parties import TOKEN, wait_until

from scriptflow.store import inbox

HEAD = "0123456789abcdef" * 2
BATCH = {
    "schema": 1, "head": HEAD, "store": "f" * 32, "project": "paper", "batch": 1,
    "run": {"flow": "fit", "number": 7, "started": 1_700_000_000.0, "host": "node17"}, "status": "running",
    "counts": {"ran": 1, "running": 1}, "started": [], "ended": [],
}  # fmt: skip


def started(job, **more):
    return {"job": job, "task": f"t-{job}", "executor": "local", "at": 1_700_000_000.0 + job, **more}


def done(job):
    return {"job": job, "state": "succeeded", "began": 1_700_000_001.0, "ended": 1_700_000_002.0, "exit_code": 0}


def test_batch_sent_twice_counts_once(server):
    server.start()
    batch = BATCH | {"started": [started(1), started(2)], "ended": [done(1)]}
    assert server.post("/api/v1/ingest", batch) == (200, {"schema": 1, "batch": 1, "new": True})
    assert server.post("/api/v1/ingest", batch) == (200, {"schema": 1, "batch": 1, "new": False})
    (run,) = server.runs("paper")
    assert run.run == "fit-7"
    assert [(job.task, str(job.state)) for job in server.jobs(run, "paper")] == [
        ("t-1", "succeeded"),
        ("t-2", "started"),
    ]


def test_batch_sent_again_after_a_kill_counts_once(server):
    server.start()
    server.post("/api/v1/ingest", BATCH | {"started": [started(1)]})
    server.stop(9)
    server.start()
    assert server.post("/api/v1/ingest", BATCH | {"started": [started(1)]})[1]["new"] is False
    assert server.post("/api/v1/ingest", BATCH | {"batch": 2, "ended": [done(1)]})[1]["new"] is True
    (run,) = server.runs("paper")
    assert [str(job.state) for job in server.jobs(run, "paper")] == ["succeeded"]


def test_several_projects_and_heads_have_stores_of_their_own(server):
    server.start()
    for number, project in enumerate(("paper", "paper", "thesis")):
        batch = BATCH | {"head": f"{number}" * 32, "store": f"{number}" * 32, "project": project}
        assert server.post("/api/v1/ingest", batch)[0] == 200
    assert sorted(server.stores()) == ["paper-00000000", "paper-11111111", "thesis"]


def test_five_counts_come_by_one_line_of_curl(server):
    server.start()
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    line = (
        f"curl -sf -H 'Authorization: Bearer {TOKEN}' {server.url}/api/v1/ingest/paper "
        "-d 'running=3&queued=2&completed=10&failed=1&retry=0'"
    )
    assert subprocess.run(line, shell=True, check=False).returncode == 0
    (run,) = server.runs("paper")
    assert (run.run, str(run.status)) == ("paper-1", "running")
    assert (run.counts.running, run.counts.queued, run.counts.ran, run.counts.failed) == (3, 2, 10, 1)


def test_five_counts_end_a_run_when_nothing_is_left_and_the_next_post_begins_another(server):
    server.start()
    form = "application/x-www-form-urlencoded"
    post = "/api/v1/ingest/paper"
    assert server.post(post, b"running=1&queued=0", kind=form)[1]["status"] == "running"
    assert server.post(post, b"running=0&queued=0&completed=4", kind=form)[1] == {
        "schema": 1, "run": "paper-1", "status": "succeeded"
    }  # fmt: skip
    assert server.post(post, {"running": 2})[1]["run"] == "paper-2"
    server.stop()
    server.start()
    assert server.post(post + "?failed=1&completed=0", b"", kind=form)[1]["status"] == "failed"
    assert [run.run for run in server.runs("paper")] == ["paper-2", "paper-1"]


@pytest.mark.parametrize("token", ["", "wrong", "t0ken-of-a-hea", "ü"])
def test_wrong_token_is_refused(server, token):
    server.start()
    try:
        status = server.post("/api/v1/ingest", BATCH, token=token)[0]
    except UnicodeEncodeError:
        return
    assert status == 401
    assert server.stores() == {}


@pytest.mark.parametrize(
    "change",
    [
        {"head": "../../etc"}, {"project": "../x"}, {"project": ".."}, {"store": "F" * 32}, {"batch": -1},
        {"batch": 1 << 60}, {"status": "fine"}, {"unknown": 1}, {"counts": {"ran": -1}}, {"counts": {"ran": "1"}},
        {"run": {"flow": "../x", "number": 1, "started": 0.0, "host": "h"}},
        {"run": {"flow": "a/b", "number": 1, "started": 0.0, "host": "h"}},
        {"run": {"flow": "fit", "number": 1, "started": float("nan"), "host": "h"}},
        {"started": [{"job": 1}]}, {"started": [started(1)] * 5001}, {"ended": [{"job": 0, "state": "succeeded"}]},
    ],
)  # fmt: skip
def test_batch_that_is_none_is_refused_in_one_sentence(server, change):
    server.start()
    status, said = server.post("/api/v1/ingest", BATCH | change)
    assert status == 422
    assert "Traceback" not in said
    assert server.stores() == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_body_that_is_no_batch_is_refused(server, body):
    server.start()
    assert server.post("/api/v1/ingest", body)[0] == 422
    assert server.post("/api/v1/ingest", BATCH)[0] == 200


@pytest.mark.parametrize("form", [b"", b"running=-1", b"running=x", b"colour=red", b"running=1&status=fine"])
def test_counts_that_are_none_are_refused(server, form):
    server.start()
    assert server.post("/api/v1/ingest/paper", form, kind="application/x-www-form-urlencoded")[0] == 422
    assert server.stores() == {}


def test_project_of_five_counts_cannot_leave_the_data_folder(server):
    server.start()
    for name in ("..", "%2e%2e", "a%2fb", ".hidden", "x" * 65):
        assert server.post(f"/api/v1/ingest/{name}", b"running=1", kind="application/x-www-form-urlencoded")[0] >= 400
    assert server.stores() == {}


def test_body_that_is_too_long_is_refused(server):
    server.start()
    assert server.post("/api/v1/ingest", b" " * (3 << 20))[0] == 413


def test_too_many_requests_are_told_to_wait(server):
    server.start()
    answers = {server.post("/api/v1/ingest", b"{", token="wrong")[0] for _ in range(400)}
    assert 429 in answers
    wait_until(lambda: server.post("/api/v1/ingest", BATCH)[0] == 200)


def test_jobs_that_come_without_their_start_harm_nothing(server):
    server.start()
    assert server.post("/api/v1/ingest", BATCH | {"ended": [done(99)]})[0] == 200
    assert server.jobs(server.runs("paper")[0], "paper") == []


def test_batch_that_contradicts_what_is_known_is_refused_for_good_and_the_rest_goes_on(server):
    server.start()
    assert server.post("/api/v1/ingest", BATCH | {"started": [started(1)]})[0] == 200
    assert server.post("/api/v1/ingest", BATCH | {"batch": 2, "started": [started(1)]})[0] == 409
    assert (
        server.post("/api/v1/ingest", BATCH | {"batch": 3, "status": "succeeded", "ended_at": 1_700_000_100.0})[0]
        == 200
    )
    assert str(server.runs("paper")[0].status) == "succeeded"


def test_hostile_names_are_kept_as_text(server):
    server.start()
    name = "<script>alert(1)</script>\x1b]0;x\x07/../../x"
    batch = BATCH | {"started": [started(1, **{"task": name})], "ended": [done(1) | {"log": "\x1b[31mred"}]}
    assert server.post("/api/v1/ingest", batch)[0] == 200
    (job,) = server.jobs(server.runs("paper")[0], "paper")
    assert job.task == name
    assert str(server.folder) in job.log
    assert "/../" not in job.log


def test_what_is_asked_of_a_head_is_told_until_it_says_that_it_has_heard_it(server):
    server.start()
    server.post("/api/v1/ingest", BATCH)
    folder = server.stores()["paper"]
    number = inbox.post(folder, "cancel", {"run": True})
    for batch in (2, 3):
        told = server.post("/api/v1/ingest", BATCH | {"batch": batch})[1]["wishes"]
        assert told == [{"id": number, "kind": "cancel", "body": {"run": True}}]
    assert inbox.wait_answer(folder, number, 0.0) is None
    assert "wishes" not in server.post("/api/v1/ingest", BATCH | {"batch": 0}, heard=number)[1]
    assert inbox.wait_answer(folder, number, 0.0)["ok"] is True


def test_what_is_asked_of_a_run_that_is_over_is_refused(server):
    server.start()
    server.post("/api/v1/ingest", BATCH)
    folder = server.stores()["paper"]
    number = inbox.post(folder, "cancel", {"run": True})
    server.post("/api/v1/ingest", BATCH | {"batch": 2, "status": "succeeded"})
    assert inbox.wait_answer(folder, number, 0.0)["ok"] is False
