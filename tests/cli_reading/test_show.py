import json

import pytest

from scriptflow.core.records import Seen
from scriptflow.terminal.look import cells


def seen(head, name, role, size=12, **more):
    return Seen(path=str(head.folder / name), role=role, size=size, mtime_ns=10**18, ctime_ns=10**18, inode=7, **more)


def test_where_nothing_was_run_show_is_an_error_with_a_next_step(cli):
    done = cli("show", "solve-1", code=2)
    assert "error[not-found]: nothing has been run here yet" in done.talk
    assert "help: scriptflow run" in done.talk


def test_show_of_a_run_has_all_that_is_recorded(cli, head):
    head.begin(params={"n": 3}, tags=("night",), name="try")
    head.did("solve-1", reasons=(("output-missing", "test_1.txt"),))
    head.finish(ran=1)
    doc = json.loads(cli("show", "demo-1", "--json").text)
    assert doc["schema"] == 1
    assert doc["run"] == "demo-1"
    assert doc["params"] == {"n": 3}
    assert doc["argv"] == ["run", "demo"]
    assert (doc["git"], doc["user"], doc["tags"]) == ("3fa21c0", "ada", ["night"])
    assert [(task["task"], task["state"], task["seconds"]) for task in doc["tasks"]] == [("solve-1", "succeeded", 2.0)]
    text = cli("show", "demo-1").text
    for part in (
        "demo-1",
        "succeeded",
        "n=3",
        "scriptflow run demo",
        "ada@",
        "3fa21c0",
        "night",
        "solve-1",
        "test_1.txt",
    ):
        assert part in text


@pytest.mark.parametrize("selector", ["last", "demo-2", "2", "best"])
def test_a_run_is_named_in_each_way(cli, head, selector):
    head.begin()
    head.finish()
    head.begin(name="best")
    head.finish()
    assert json.loads(cli("show", selector, "--json").text)["run"] == "demo-2"


def test_the_run_before_the_last_is_last_tilde_one(cli, head):
    for _ in range(2):
        head.begin()
        head.finish()
    assert json.loads(cli("show", "last~1", "--json").text)["run"] == "demo-1"


def test_many_tasks_are_folded_by_group_unless_all_are_wanted(cli, head):
    head.begin()
    for number in range(60):
        head.did(f"fit-{number}", group="fit")
    head.fail(head.start("draw", group="draw"))
    text = cli("show", "last").text
    assert "fit-1" not in text
    assert "60" in text
    assert "--all" in text
    assert "fit-1" in cli("show", "last", "--all").text


def test_show_of_a_task_has_its_command_files_reasons_and_attempts(cli, head):
    head.begin()
    head.fail(head.start("fit", reasons=(("output-missing", "out.csv"),)), code=3)
    start = head.start(
        "fit", attempt=2, command=("python", "fit it.py"), inputs=[seen(head, "in.csv", "in")],
        outputs=[str(head.folder / "out.csv")],
        reasons=(("input-changed", "in.csv"), ("output-missing", "out.csv")), cpus=4, memory_bytes=2 * 1024**3,
    )  # fmt: skip
    sha = "sha256:" + "ab" * 32
    head.end(start, outputs=[seen(head, "out.csv", "out", size=2048, sha256=sha)])
    head.finish(ran=1)
    doc = json.loads(cli("show", "fit", "--json").text)
    assert doc["task"] == "fit"
    assert doc["command"] == "python 'fit it.py'"
    assert [reason["code"] for reason in doc["reasons"]] == ["input-changed", "output-missing"]
    assert [(file["file"], file["bytes"]) for file in doc["inputs"]] == [("in.csv", 12)]
    assert [(file["bytes"], file["sha256"]) for file in doc["outputs"]] == [(2048, sha)]
    assert [(job["attempt"], job["state"], job["exit_code"]) for job in doc["attempts"]] == [
        (1, "failed", 3), (2, "succeeded", 0),
    ]  # fmt: skip
    assert doc["asked"] == {"cpus": 4, "memory_bytes": 2 * 1024**3, "gpus": 0}
    assert (doc["max_rss_bytes"], doc["cpu_s"]) == (3 * 1024**2, 0.5)
    assert doc["log"].endswith("logs/demo-1/fit.2.log")
    text = cli("show", "fit").text
    for part in (
        "python 'fit it.py'",
        "in.csv",
        "2KB",
        "sha256:abab",
        "exit 3",
        "memory 3MB",
        "memory 2GB",
        "fit.2.log",
    ):
        assert part in text


def test_a_task_is_shown_as_it_was_in_a_chosen_run(cli, head):
    head.begin()
    head.fail(head.start("fit"))
    head.finish("failed", failed=1)
    head.begin()
    head.did("fit")
    head.finish(ran=1)
    assert json.loads(cli("show", "fit", "--json").text)["state"] == "succeeded"
    assert json.loads(cli("show", "fit", "--run", "demo-1", "--json").text)["state"] == "failed"
    assert "demo-9" in cli("show", "fit", "--run", "demo-9", code=2).talk


def test_a_pattern_shows_each_task(cli, head):
    head.begin()
    for number in range(3):
        head.did(f"fit-{number}")
    doc = json.loads(cli("show", "fit-*", "--json").text)
    assert [task["task"] for task in doc["tasks"]] == ["fit-0", "fit-1", "fit-2"]
    assert "fit-2" in cli("show", "fit-*").text


def test_a_misspelled_task_names_the_nearest(cli, head):
    head.begin()
    head.did("solve-1")
    head.finish()
    done = cli("show", "slove-1", code=2)
    assert "error[not-found]" in done.talk
    assert "solve-1" in done.talk


def test_odd_names_are_shown_and_obeyed_by_nothing(cli, head):
    name = "a\n\x1b[31m\u202e😀 'q' \udce9"
    head.begin()
    head.did(name, log=b"x", command=("rm", name))
    head.finish()
    for words in (("show",), ("show", "last", "--all"), ("show", name)):
        text = cli(*words).text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "😀" in text
    assert json.loads(cli("show", "--json").text)["tasks"][0]["task"] == name
    assert cli("logs", name).stdout == b"x"


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_everything_fits(cli, head, columns):
    head.begin(params={"n": "x" * 300})
    head.did("名" * 90, command=("echo", "y " * 200), inputs=[seen(head, "d/" * 90 + "in.csv", "in")])
    head.did("b" * 90, reasons=(("input-changed", "c" * 90),), group="g" * 70)
    head.finish()
    for words in (("show",), ("show", "b*"), ("show", "名*")):
        lines = cli(*words, COLUMNS=str(columns)).text.splitlines()
        assert max(map(cells, lines)) <= columns
