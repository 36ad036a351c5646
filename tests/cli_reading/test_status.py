import json
import subprocess
import sys
import time

from test_runs import KEYS


def test_where_nothing_was_run_status_says_so_and_that_is_no_error(cli):
    done = cli("status")
    assert done.text == ""
    assert "nothing has been run here yet" in done.talk
    assert json.loads(cli("status", "--json").text) == {"schema": 1, "run": None}


def test_a_run_that_is_named_and_is_not_there_is_an_error(cli, head):
    assert "error[not-found]" in cli("status", "demo-9", code=2).talk
    head.begin()
    head.finish()
    assert "error[not-found]" in cli("status", "demo-9", code=2).talk


def test_status_has_the_keys_of_a_runs_row_and_what_goes_on(cli, head):
    head.begin()
    head.did("solve-1", group="solve")
    head.fail(head.start("solve-2", group="solve"), code=3)
    head.start("solve-3", group="solve")
    head.counts(ran=2, failed=1, running=1, queued=4, waiting=2, skipped=7)
    doc = json.loads(cli("status", "--json").text)
    assert doc["schema"] == 1
    assert set(KEYS) <= set(doc)
    assert (doc["status"], doc["queued"], doc["running"], doc["waiting"]) == ("running", 4, 1, 2)
    assert isinstance(doc["capacity"], int)
    assert [job["task"] for job in doc["running_jobs"]] == ["solve-3"]
    assert [(job["task"], job["exit_code"], job["cause"]) for job in doc["failures"]] == [("solve-2", 3, "exit")]


def test_the_time_left_comes_from_how_long_tasks_took(cli, head):
    head.begin()
    for number in range(4):
        head.did(f"solve-{number}")
    head.counts(ran=4, queued=10)
    assert json.loads(cli("status", "--json").text)["eta_s"] == 20


def test_without_any_ended_task_there_is_no_guess(cli, head):
    head.begin()
    head.start("solve-1")
    head.counts(running=1, queued=10)
    assert json.loads(cli("status", "--json").text)["eta_s"] is None


def test_people_see_counts_what_runs_and_what_failed(cli, head):
    head.begin()
    head.fail(head.start("bad"), code=3)
    head.start("slow")
    head.counts(ran=1, failed=1, running=1, queued=4, skipped=1200)
    text = cli("status").text
    assert "demo-1  running" in text
    assert "1 ran  1,200 up to date  1 failed  1 running  4 queued" in text
    assert "bad" in text
    assert "exit 3" in text
    assert "slow" in text
    assert "scriptflow logs" in text


def test_failed_and_running_filter_and_are_not_cut(cli, head):
    head.begin()
    for number in range(30):
        head.fail(head.start(f"bad-{number}", group="odd" if number % 2 else "even"))
    head.start("slow")
    text = cli("status").text
    assert "showing 10 of 30" in text
    text = cli("status", "--failed").text
    assert text.count("bad-") == 30
    assert "slow" not in text
    assert cli("status", "--failed", "--group", "odd").text.count("bad-") == 15
    assert "bad-" not in cli("status", "--running").text


def test_watch_follows_a_run_to_its_end_in_plain_lines(cli, head):
    head.begin()
    start = head.start("solve-1")
    head.counts(running=1)
    with subprocess.Popen(
        [sys.executable, "-m", "scriptflow", "status", "--watch"],
        cwd=cli.folder, env=cli.env | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True,
    ) as watcher:  # fmt: skip
        assert "1 running" in watcher.stdout.readline()
        head.end(start)
        head.finish(ran=1)
        rest = watcher.stdout.read()
        assert watcher.wait(20) == 0
    assert "demo-1  succeeded" in rest
    assert "\x1b" not in rest


def test_watch_of_an_ended_run_shows_it_once(cli, head):
    head.begin()
    head.finish(ran=1)
    assert cli("status", "--watch").text == cli("status").text


def test_status_is_quick_with_many_tasks(cli, head):
    head.begin()
    for number in range(300):
        head.start(f"solve-{number}")
    head.counts(running=300, queued=50_000)
    began = time.monotonic()
    cli("status")
    assert time.monotonic() - began < 5


def test_status_fits_sixty_columns(cli, head):
    head.begin("a_flow_with_a_rather_long_name_as_people_write_them")
    head.fail(head.start("a-task-with-a-name-that-is-much-longer-than-any-screen-" * 3))
    head.start("dünn 🧪 " * 20)
    head.counts(ran=50_000, failed=1, running=64, queued=12_345, waiting=99_999, cancelled=3)
    lines = cli("status", COLUMNS="60").text.splitlines()
    from scriptflow.terminal.look import cells

    assert max(map(cells, lines)) <= 60
