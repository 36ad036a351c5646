"""Another process asks a live run for something, and gets its answer; nothing that it writes harms the run."""

import json
import os
import threading

import pytest
from conftest import until

from scriptflow.errors import UsageError
from scriptflow.store import inbox
from scriptflow.store.inbox import Inbox, post, wait_answer, withdraw

LONG = """import scriptflow as sf


async def flow_long():
    a = sf.Task(["sh", "-c", "touch here.a; sleep 60; echo a > a.txt"], outputs="a.txt", name="a")
    b = sf.Task(["sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; echo b > b.txt"], outputs="b.txt", name="b")
    c = sf.Task("cp a.txt c.txt", inputs="a.txt", outputs="c.txt", name="c")
    await sf.bag(a, b, c)
"""
ANSWERS_S = 10


def ask(project, kind, body):
    answer = wait_answer(str(project.store), post(str(project.store), kind, body), ANSWERS_S)
    assert answer is not None
    return answer


def test_what_is_asked_is_taken_once_and_in_order(tmp_path):
    box = Inbox(str(tmp_path))
    assert box.take() == []
    ids = [post(str(tmp_path), "cancel", {"n": n}) for n in range(20)]
    taken = box.take()
    assert [request.id for request in taken] == ids
    assert [request.body["n"] for request in taken] == list(range(20))
    assert box.take() == []


def test_an_answer_comes_back_whole_and_leaves_nothing(tmp_path):
    box = Inbox(str(tmp_path))
    asked = post(str(tmp_path), "cancel", {"run": True})

    def head():
        until(lambda: [box.answer(request.id, {"ok": True, "run": "a-1"}) for request in box.take()])

    thread = threading.Thread(target=head)
    thread.start()
    assert wait_answer(str(tmp_path), asked, ANSWERS_S) == {"ok": True, "run": "a-1"}
    thread.join()
    assert os.listdir(tmp_path / "inbox") == []


def test_requests_are_for_the_owner_alone(tmp_path):
    post(str(tmp_path), "cancel", {})
    (file,) = (tmp_path / "inbox").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_request_that_was_taken_back_is_not_done(tmp_path):
    asked = post(str(tmp_path), "cancel", {})
    assert withdraw(str(tmp_path), asked)
    assert Inbox(str(tmp_path)).take() == []
    assert not withdraw(str(tmp_path), asked)


def test_nobody_answers_means_none_after_the_limit(tmp_path):
    assert wait_answer(str(tmp_path), post(str(tmp_path), "cancel", {}), 0.05) is None


def test_a_request_that_is_too_long_is_refused_where_it_is_made(tmp_path):
    with pytest.raises(UsageError, match="too long"):
        post(str(tmp_path), "submit", {"cmd": "x" * inbox.MOST_BYTES})


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[]", b'{"kind": 3, "body": {}}', b'{"kind": "cancel"}', b"[" * 100_000, b" " * 10**6],
)
def test_a_damaged_request_is_answered_and_gone(tmp_path, content):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "1.request").write_bytes(content)
    assert Inbox(str(tmp_path)).take() == []
    assert wait_answer(str(tmp_path), "1", 0) == {"ok": False, "error": "the request is damaged"}
    assert os.listdir(tmp_path / "inbox") == []


def test_links_pipes_and_folders_are_not_read(tmp_path):
    box = tmp_path / "inbox"
    box.mkdir()
    (tmp_path / "secret").write_text(json.dumps({"kind": "cancel", "body": {}}))
    (box / "1.request").symlink_to(tmp_path / "secret")
    os.mkfifo(box / "2.request")
    (box / "3.request").mkdir()
    assert Inbox(str(tmp_path)).take() == []
    assert (tmp_path / "secret").exists()


def test_a_task_is_stopped_what_needs_it_is_not_started_and_the_rest_goes_on(project):
    run = project.write(LONG).live()
    answer = ask(project, "cancel", {"tasks": ["a"]})
    assert (answer["ok"], answer["stopped"], answer["called_off"]) == (True, ["a"], [])
    project.write("", "go")
    said = project.end(run, 1)
    assert "1 ran" in said
    assert (project.has("b.txt"), project.has("a.txt"), project.has("c.txt")) == (True, False, False)


def test_a_task_that_waits_is_called_off(project):
    run = project.write(LONG).live()
    assert ask(project, "cancel", {"tasks": ["c.txt"]})["called_off"] == ["c"]
    assert ask(project, "cancel", {"tasks": ["[ab]"]})["stopped_count"] == 2
    project.end(run, 1)


def test_the_whole_run_is_stopped_as_by_ctrl_c(project):
    run = project.write(LONG).live()
    answer = ask(project, "cancel", {"run": True})
    assert answer == {"ok": True, "run": "long-1", "running": 2}
    said = project.end(run, 130)
    assert "stopped (scriptflow cancel)" in said
    assert project.json("runs")[0]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("cancel", {"tasks": ["zz"]}, "no task of long-1 is called 'zz'"),
        ("cancel", {"tasks": []}, "takes a list of tasks"),
        ("cancel", {"tasks": [3]}, "takes a list of tasks"),
        ("cancel", {}, "takes a list of tasks"),
        ("retry", {"tasks": ["b"]}, "did not fail"),
        ("dance", {}, "knows no request 'dance'"),
        ("submit", {}, "has no cmd"),
        ("submit", {"cmd": []}, "the command is empty"),
        ("submit", {"cmd": "true", "colour": "red"}, "no option 'colour'"),
        ("submit", {"cmd": "true", "outputs": {"glob": 3}}, "is no path"),
        ("submit", {"cmd": "true", "outputs": ".scriptflow/runs.db"}, "is the run store's"),
        ("submit", {"cmd": "echo", "outputs": "a.txt"}, "a.txt is the output of a"),
        ("submit", {"cmd": "true", "cpus": 10**6}, "more than any executor has"),
        ("wait", {"submitted": "nobody"}, "no such task"),
        ("submit", {"cmd": {"a": {}}, "name": []}, ""),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_reason_and_the_run_goes_on(project, kind, body, said):
    run = project.write(LONG).live()
    answer = ask(project, kind, body)
    assert not answer["ok"]
    assert said in answer["error"]
    assert "bug" not in answer["error"]
    assert ask(project, "cancel", {"run": True})["ok"]
    project.end(run, 130)


def test_what_was_asked_while_no_run_was_live_is_answered_by_the_next(project):
    project.write("import scriptflow as sf\n\n\nasync def flow_none():\n    pass\n")("run")
    asked = post(str(project.store), "cancel", {"run": True})
    project("run")
    answer = wait_answer(str(project.store), asked, 0)
    assert (answer["ok"], answer["error"]) == (False, "no run was live when this was asked")


def test_a_failed_task_is_not_tried_again_behind_the_flows_back(project):
    run = project.write(LONG.replace("touch here.a; sleep 60; echo a > a.txt", "touch here.a; exit 3")).live()
    until(lambda: project.json("status")["failures"], "the failure")
    answer = ask(project, "retry", {"tasks": ["a"]})
    assert (answer["ok"], "cannot run again in this run" in answer["error"]) == (False, True)
    assert answer["do"].startswith("scriptflow retry")
    project.write("", "go")
    project.end(run, 1)


def test_a_task_that_waits_for_its_next_try_is_tried_now(project):
    run = project.write(
        "import scriptflow as sf\n\n\nasync def flow_again():\n"
        "    await sf.Task(['sh', '-c', '[ -e fine ] || { touch here.a; exit 1; }'], name='a', retries=1, "
        "retry_delay='1h')\n"
    ).live()
    project.write("", "fine")
    until(lambda: project.json("status")["queued"] == 1, "the wait for the next try")
    assert ask(project, "retry", {"tasks": ["a"]})["again"] == ["a"]
    project.end(run, 0)
