"""``why`` tells every cause apart, with old and new values, and says what an up-to-date task was compared with."""

import os
import signal
import time

import pytest
from asking import project_files

from scriptflow.store.lock import is_locked

COPY = """
async def flow_demo():
    await sf.Task(
        ["sh", "-c", "cat in.txt > a.txt; cat in.txt > b.txt"], inputs="in.txt", outputs=["a.txt", "b.txt"], name="copy"
    )
"""


@pytest.fixture
def done(asked):
    """A flow that has run, with an input that is old enough to be told by its time."""
    (asked / "in.txt").write_text("one\n")
    an_hour_ago = time.time() - 3600
    os.utime(asked / "in.txt", (an_hour_ago, an_hour_ago))
    asked.flow(COPY)("run")
    return asked


def why(asked, *words):
    """Ask about a task: see that nothing was written, that the plan says the same, and that the next run does."""
    before = project_files(asked.folder)
    document = asked.json("why", "copy", *words)
    assert project_files(asked.folder) == before
    codes = [reason["code"] for reason in document["reasons"]]
    assert document["task"] == "copy"
    assert document["run"] == bool(codes)
    assert asked.planned(*words) == ([("copy", codes)] if codes else [])
    assert asked.run(*words)["ran"] == bool(codes)
    if codes:
        assert asked.json("why", "copy", "--run", "last")["reasons"] == document["reasons"]
    return {reason["code"]: reason["detail"] for reason in document["reasons"]}, document


def test_up_to_date_says_what_was_compared(done):
    reasons, document = why(done)
    assert reasons == {}
    assert document["compared_with"]["run"] == "demo-1"
    assert (document["inputs"], document["outputs"]) == (1, 2)
    lines = done("why", "copy").stdout.splitlines()
    assert lines[0] == "= copy  up to date  sflow.py:5"
    assert lines[1].startswith("  compared with demo-1 (ok, ")
    assert lines[1].endswith("): command and settings, 1 input and 2 outputs")


def test_touched_but_equal_input(done):
    os.utime(done / "in.txt")
    reasons, document = why(done)
    assert list(reasons) == ["input-changed"]
    assert reasons["input-changed"].startswith("in.txt: written again, ")
    assert " -> " in reasons["input-changed"]
    assert document["notes"] == ["in.txt: its content is the same; with --check content that would be no reason"]
    os.utime(done / "in.txt")
    assert why(done, "--check", "content")[0] == {}


def test_edited_input_of_equal_size(done):
    (done / "in.txt").write_text("two\n")
    reasons, document = why(done)
    assert list(reasons) == ["input-changed"]
    (note,) = document["notes"]
    assert note.startswith("in.txt: content sha256:")


def test_edited_input_of_another_size(done):
    (done / "in.txt").write_text("seven\n")
    assert why(done)[0] == {"input-changed": "in.txt: size 4 -> 6"}


def test_older_input_in_place_of_a_newer_one(done):
    (done / "old").write_text("old\n")
    long_ago = time.time() - 86400
    os.utime(done / "old", (long_ago, long_ago))
    (done / "old").replace(done / "in.txt")
    assert why(done)[0]["input-changed"].endswith(", and it is older now")


def test_changed_command_as_a_diff(done):
    done.flow(COPY.replace("> b.txt", "| tac > b.txt"))
    reasons, document = why(done)
    assert reasons == {
        "command-changed": "sh -c 'cat in.txt > a.txt; cat in.txt > b.txt' -> "
        "sh -c 'cat in.txt > a.txt; cat in.txt | tac > b.txt'"
    }
    assert document["diff"].splitlines() == [
        "command, demo-1 -> now",
        "-sh -c 'cat in.txt > a.txt; cat in.txt > b.txt'",
        "+sh -c 'cat in.txt > a.txt; cat in.txt | tac > b.txt'",
    ]


def test_long_command_shows_the_word_that_differs(asked):
    words = [f"word-{number}" for number in range(30)]
    asked.flow(
        f"async def flow_demo():\n    await sf.Task(['sh', '-c', ': > o', {words!r}[0], *{words!r}], outputs='o')"
    )
    asked("run")
    words[17] = "other"
    asked.flow(
        f"async def flow_demo():\n    await sf.Task(['sh', '-c', ': > o', {words!r}[0], *{words!r}], outputs='o')"
    )
    shown = [line.strip() for line in asked("why", "o").stdout.splitlines()]
    assert shown[3:8] == ["word-15", "word-16", "-word-17", "+other", "word-18"]


def test_added_input(done):
    (done / "more.txt").write_text("more\n")
    done.flow(COPY.replace('inputs="in.txt"', 'inputs=["in.txt", "more.txt"]'))
    assert why(done)[0] == {"inputs-changed": "added more.txt"}


def test_one_of_two_outputs_deleted(done):
    (done / "b.txt").unlink()
    assert why(done)[0] == {"output-missing": "b.txt"}


def test_output_edited_by_hand(done):
    (done / "b.txt").write_text("by hand\n")
    assert why(done)[0] == {"outputs-changed": "b.txt: size 4 -> 8"}
    (done / "b.txt").write_text("han\n")
    assert why(done)[0] == {"outputs-changed": "b.txt: other content than the task left"}


def test_failed_job(done):
    done.flow(COPY.replace("cat in.txt > a.txt", "test -e fine || exit 3; cat in.txt > a.txt"))("run", code=1)
    (done / "fine").touch()
    assert why(done)[0] == {"output-missing": "b.txt", "last-failed": "demo-2: exit 3"}


def until_free(asked, limit):
    """Wait for the end of what a killed head left behind."""
    while is_locked(str(asked / ".scriptflow")):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_killed_head_leaves_an_interrupted_job(done):
    done.flow(COPY.replace("cat in.txt > a.txt", "echo > begun; test -e go || sleep 60; cat in.txt > a.txt"))
    head = done.popen("run")
    limit = time.monotonic() + 20
    while not (done / "begun").exists():
        assert time.monotonic() < limit
        time.sleep(0.01)
    head.send_signal(signal.SIGKILL)
    head.communicate()
    until_free(done, limit)
    (done / "go").touch()
    reasons, _ = why(done)
    assert reasons["interrupted"] == "demo-2: its last job never ended"


@pytest.mark.parametrize(
    ("option", "code", "detail"),
    [
        ('env={"LEVEL": "2"}', "command-changed", "env LEVEL: (not set) -> 2"),
        ('cwd="."', "command-changed", "cwd: (not set) -> ."),
        ('container="alpine"', "container-changed", "container: (not set) -> alpine"),
    ],
)
def test_changed_settings_are_named(done, option, code, detail):
    done.flow(COPY.replace('name="copy"', f'name="copy", {option}'))
    assert done.json("why", "copy")["reasons"] == [{"code": code, "detail": detail}]


def test_forced(done):
    assert why(done, "--force", "co*")[0] == {"forced": "co*"}


def test_without_a_record_times_alone_decide(done):
    for path in sorted((done / ".scriptflow").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    os.utime(done / "in.txt")
    document = done.json("why", "copy")
    assert document["reasons"] == [{"code": "input-newer", "detail": "in.txt"}]
    assert document["compared_with"] is None
    assert "oldest output, a.txt" in document["notes"][0]


# --- who is meant -----------------------------------------------------------------------------------

FAMILY = """
async def flow_demo(n: int = 2):
    async with sf.group("fits"):
        fits = [
            sf.Task(["sh", "-c", f"echo > out/fit_{i}"], inputs="in.txt", outputs=f"out/fit_{i}", name=f"fit-{i}")
            for i in range(n)
        ]
    await sf.bag(fits)
    await sf.Task("sh -c 'cat out/* > all'", inputs=fits, outputs="all", name="sum")
"""


@pytest.fixture
def family(asked):
    (asked / "in.txt").write_text("one\n")
    asked.flow(FAMILY)("run", "--n", "4")
    return asked


def named(asked, *words):
    document = asked.json("why", *words)
    return [task["task"] for task in document.get("tasks", [document])]


def test_task_is_named_by_name_output_input_glob_group_and_state(family):
    fits = [f"fit-{number}" for number in range(4)]
    assert named(family, "sum") == ["sum"]
    assert named(family, "out/fit_2") == ["fit-2"]
    assert named(family, str(family / "out/fit_2")) == ["fit-2"]
    assert named(family, "in.txt") == fits
    assert named(family, "fit-*") == fits
    assert named(family, "out/*") == fits
    assert named(family, "group:fits") == fits
    assert named(family, "state:succeeded") == [*fits, "sum"]
    assert named(family, "-a") == [*fits, "sum"]


def test_flow_is_asked_with_the_parameters_of_its_last_run_unless_others_are_given(family):
    assert named(family, "fit-3") == ["fit-3"]
    assert "near it: fit-" in family("why", "fit-3", "-p", "n=3", code=2).stderr


def test_path_is_read_from_where_it_was_typed(family):
    done = family("-C", "out", "why", "fit_1", "--json")
    assert '"task": "fit-1"' in done.stdout


def test_unknown_names_say_what_is_near(family):
    assert "near it: fit-" in family("why", "fit-99", code=2).stderr
    assert "scriptflow why 'out/*'" in family("why", "out", code=2).stderr
    assert "scriptflow why TASK" in family("why", code=2).stderr
    assert "no run" in family("why", "fit-1", "--run", "demo-9", code=2).stderr


def test_task_that_had_no_job_in_a_run_is_told_so(family):
    (family / "out/fit_1").unlink()
    family("run", "--n", "4")
    assert named(family, "-a", "--run", "last") == ["fit-1", "sum"]
    assert "had no job in demo-2" in family("why", "fit-0", "--run", "demo-2", code=2).stderr
    assert family.json("why", "fit-0", "--run", "demo-1")["reasons"][0]["code"] == "output-missing"


def test_wrong_graph_is_said_as_a_run_would(asked):
    asked.flow('async def flow_demo():\n    await sf.Task("cp a b", inputs="a", outputs="b")')
    assert "error[missing-input]" in asked("why", "b", code=2).stderr
    assert not (asked / ".scriptflow").exists()
