"""``serve --ingest``: runs of other machines beside those of this one, and which token may do what."""

import json
import subprocess
import sys
import threading
import time

import pytest
from serving import Server

HEAD = "0123456789abcdef" * 2
BATCH = {
    "schema": 1, "head": HEAD, "store": "f" * 32, "project": "paper", "batch": 1, "detail": "tasks",
    "run": {"flow": "fit", "number": 7, "started": 1_700_000_000.0, "host": "node17"}, "status": "running",
    "counts": {"ran": 1, "running": 1}, "started": [], "ended": [],
}  # fmt: skip
FLOW = """import scriptflow as sf


async def flow_far():
    again = sf.Task(["sh", "-c", "echo try >> tries; test -e go"], name="fit [1]", retries=1, retry_delay=600)
    await sf.bag(again, sf.Task(["sh", "-c", "while test ! -e end; do sleep 0.05; done"], name="long"))
"""


class Collecting(Server):
    """A server that takes in runs, with the token of those who send."""

    def __init__(self, folder, *words, data="data"):
        super().__init__(folder, "--ingest", str(data), *words)
        lines = (folder / data / "web.tokens").read_text().splitlines()
        self.ingest_token = dict(line.split() for line in lines)["ingest"]

    def send(self, batch, path="/api/v1/ingest", **more):
        headers = {"Content-Type": "application/json"}
        given = {"token": self.ingest_token, "method": "POST", "body": json.dumps(batch), "headers": headers}
        return self.ask(path, **(given | more))


@pytest.fixture
def collecting(tmp_path):
    with Collecting(tmp_path) as server:
        yield server


def wait_until(question, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not (answer := question()):
        assert time.monotonic() < end, f"not within {limit_s} s"
        threading.Event().wait(0.05)
    return answer


def test_server_begins_in_a_folder_without_a_run_store_and_says_how_to_send(collecting):
    assert "for projects elsewhere: server = " in collecting.said
    assert collecting.ingest_token not in collecting.said
    assert "Nothing has been sent here yet" in collecting.ask("/").text
    assert collecting.json("/projects") == {"schema": 1, "projects": [], "total": 0}
    missing = collecting.ask("/api/v1/runs")
    assert missing.status == 404
    assert "nothing has been sent here yet" in missing.text


def test_run_that_was_sent_is_on_the_page_at_once(collecting):
    assert collecting.send(BATCH).status == 200
    assert collecting.json("/runs/last")["run"] == "fit-7"
    (row,) = collecting.json("/projects")["projects"]
    assert (row["project"], row["run"]["run"], row["run"]["host"], row["page"]) == (
        "paper", "fit-7", "node17", "/p/paper/"
    )  # fmt: skip
    assert "fit-7" in collecting.ask("/").text
    assert collecting.ask(row["page"]).status == 200


def test_project_that_is_not_named_is_not_guessed_when_a_second_one_comes(collecting):
    collecting.send(BATCH)
    assert collecting.ask("/api/v1/runs").status == 200
    collecting.send(BATCH | {"head": "1" * 32, "project": "thesis"})
    assert "several projects" in collecting.ask("/api/v1/runs").text
    assert collecting.json("/p/thesis/runs")["total"] == 1


def test_five_counts_of_the_old_form_are_a_run(collecting):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    sent = collecting.send({}, "/api/v1/ingest/old", body="running=3&queued=2&completed=10&failed=0", headers=headers)
    assert sent.status == 200
    assert collecting.json("/p/old/runs/last")["running"] == 3


def test_local_project_is_shown_beside_what_was_sent_under_the_same_name(project, tmp_path):
    with Collecting(project, data=tmp_path / "data") as server:
        server.send(BATCH | {"project": project.name})
        shown = {row["project"]: row["run"]["run"] for row in server.json("/projects")["projects"]}
    assert shown.pop(project.name).startswith("paper-")
    assert shown == {f"{project.name}-ffffffff": "fit-7"}


def test_folder_for_what_is_sent_is_beside_the_store_unless_it_is_named(project):
    with Server(project, "--ingest"):
        pass
    kept = project / ".scriptflow" / "collected"
    assert [line.split()[0] for line in (kept / "web.tokens").read_text().splitlines()] == ["view", "ingest"]
    assert kept.stat().st_mode & 0o077 == 0


def test_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "scriptflow", "serve", "--ingest", "file/data"], cwd=tmp_path, capture_output=True,
        text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "cannot make" in done.stderr
    assert "Traceback" not in done.stderr


def test_token_for_sending_opens_nothing_else(collecting):
    collecting.send(BATCH)
    for path in (
        "/", "/p/paper/", "/api/v1/runs", "/api/v1/projects", "/api/v1/openapi.json", "/api/v1/p/paper/runs/last",
        "/api/v1/events", "/settings", "/api/v1/ingest/../runs", "/api/v1/ingests",
    ):  # fmt: skip
        for asked in (
            collecting.ask(path, token=collecting.ingest_token),
            collecting.ask(f"{path}?token={collecting.ingest_token}", token=None),
        ):
            assert asked.status == (404 if "/ingest/" in path else 401), path
            assert "fit-7" not in asked.text


def test_tokens_for_looking_and_acting_send_nothing(tmp_path):
    with Collecting(tmp_path, "--allow-actions") as server:
        for token in (server.token, server.action_token, "wrong" * 8, None):
            assert server.send(BATCH, token=token).status == 401
            assert server.send({}, "/api/v1/ingest/old", body="running=1", token=token).status == 401
        assert server.json("/projects")["total"] == 0


def test_cookie_of_who_looks_sends_nothing(collecting):
    cookie = collecting.ask(f"/?token={collecting.token}", token=None).headers["Set-Cookie"].partition(";")[0]
    assert collecting.ask("/", token=None, headers={"Cookie": cookie}).status == 200
    headers = {"Cookie": cookie, "Content-Type": "application/json"}
    assert collecting.send(BATCH, token=None, headers=headers).status == 401


# --- what is asked here is done over there -----------------------------------------------------------


@pytest.fixture
def far(tmp_path):
    """A live run of a project that sends to a server elsewhere, which may be asked to act."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with Collecting(here, "--allow-actions") as server:
        (there / "sflow.py").write_text(FLOW)
        (there / "scriptflow.toml").write_text(
            f'server = {{url = "{server.url}", detail = "tasks", project = "far", token_file = "{there}/token"}}\n'
        )
        (there / "token").write_text(server.ingest_token)
        (there / "token").chmod(0o600)
        run = subprocess.Popen(
            [sys.executable, "-m", "scriptflow", "run"], cwd=there, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield server, there, run
        finally:
            if run.poll() is None:
                run.kill()
            run.wait()


def act(server, kind, body):
    return server.ask(
        f"/api/v1/p/far/runs/last/{kind}", method="POST", token=server.action_token, body=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip


def failed_tasks(server):
    if server.ask("/api/v1/p/far/runs/last").status != 200:
        return []
    return [row["task"] for row in server.json("/p/far/runs/last/tasks?state=failed")["tasks"]]


def test_retry_and_cancel_asked_on_the_server_reach_the_head(far):
    server, there, run = far
    assert wait_until(lambda: failed_tasks(server)) == ["fit [1]"]
    (there / "go").touch()
    asked = act(server, "retry", {"tasks": ["fit [1]"]})
    assert asked.status == 202, asked.text
    wait_until(lambda: len((there / "tries").read_text().split()) == 2)
    wait_until(lambda: not failed_tasks(server))
    asked = act(server, "cancel", {"run": True})
    assert asked.status == 202, asked.text
    assert run.wait(20) == 130
    wait_until(lambda: server.json("/p/far/runs/last")["status"] == "cancelled")


def test_retry_of_a_whole_run_tries_now_what_waits(far):
    server, there, _ = far
    wait_until(lambda: failed_tasks(server))
    (there / "go").touch()
    assert act(server, "retry", {"run": True}).status == 202
    wait_until(lambda: len((there / "tries").read_text().split()) == 2)


def test_who_may_only_look_asks_a_run_elsewhere_for_nothing(far):
    server, _, run = far
    wait_until(lambda: failed_tasks(server))
    refused = server.ask(
        "/api/v1/p/far/runs/last/cancel", method="POST", body='{"run": true}',
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert refused.status == 403
    assert run.poll() is None
