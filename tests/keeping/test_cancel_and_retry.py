"""Stop a run or its tasks from another shell; run again only what did not end well; watch; run on one's own."""

import os
import signal

from projects import until

LIVE = """import scriptflow as sf


async def flow_long():
    a = sf.Task(["sh", "-c", "touch here.a; sleep 60; echo a > a.txt"], outputs="a.txt", name="a")
    b = sf.Task(["sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; echo b > b.txt"], outputs="b.txt", name="b")
    await sf.bag(a, b, sf.Task("cp a.txt c.txt", inputs="a.txt", outputs="c.txt", name="c"))
"""
PARTLY = """import scriptflow as sf


async def flow_partly(n: int = 1, word: str = "none"):
    log = sf.Task(["sh", "-c", f"echo {word} >> log"], name="log")
    good = sf.Task(["sh", "-c", f"echo {n} > good.txt; echo >> goods"], outputs="good.txt", name="good")
    bad = sf.Task(["sh", "-c", "[ -e fine ] && cp good.txt bad.txt"], inputs="good.txt", outputs="bad.txt", name="bad")
    await sf.bag(log, good, bad, sf.Task("cp bad.txt after.txt", inputs="bad.txt", outputs="after.txt", name="after"))
"""


def test_a_run_is_stopped_from_another_shell(project):
    run = project.write(LIVE).live()
    said = project("cancel", "long-1").stdout
    assert said.splitlines() == ["long-1 was stopped  2 jobs told to end", "  go on: scriptflow run long"]
    project.end(run, 130)


def test_cancel_alone_means_the_live_run_and_tells_it_as_json(project):
    run = project.write(LIVE).live("--name", "night")
    assert project.json("cancel", "night") == {"schema": 1, "run": "long-1", "running": 2, "ended": True}
    project.end(run, 130)


def test_tasks_are_stopped_by_name_and_pattern(project):
    run = project.write(LIVE).live()
    found = project.json("cancel", "a", "c.*")
    assert (found["run"], found["stopped"], found["called_off"]) == ("long-1", ["a"], ["c"])
    project.write("", "go")
    assert "1 ran" in project.end(run, 1)
    assert project.has("b.txt")


def test_nothing_is_live_is_said(project):
    project.write(PARTLY)
    assert "nothing has been run here yet" in project("cancel", code=2).stderr
    project("run", code=1)
    assert "error[no-live-run]" in project("cancel", code=2).stderr


def test_another_run_or_an_unknown_task_is_named(project):
    project.write(PARTLY + LIVE.partition("\n\n\n")[2])("run", "partly", code=1)
    run = project.live("long")
    assert "partly-1 is over" in project("cancel", "partly-1", code=2).stderr
    assert "no task of long-1 is called 'zz'" in project("cancel", "zz", code=2).stderr
    project("cancel")
    project.end(run, 130)


def test_a_head_that_does_not_look_is_told_apart_from_a_dead_one(project):
    project.write(
        "import time\nimport scriptflow as sf\n\n\nasync def flow_deaf():\n"
        "    open('here.x', 'w').close()\n    time.sleep(300)\n"
    )
    run = project.live()
    asking = project.start("cancel")
    until(lambda: list((project.store / "inbox").glob("*.request")), "the request")
    run.kill()
    assert "ended before it answered" in project.end(asking, 2)
    assert list((project.store / "inbox").iterdir()) == []


def test_retry_runs_what_failed_and_what_needed_it_with_the_same_parameters(project):
    project.write(PARTLY)("run", "--n", "7", "--word", "3", code=1)
    project.write("", "fine")
    found = project.json("retry")
    assert (found["run"], found["ran"], found["failed"]) == ("partly-2", 2, 0)
    assert (project.read("after.txt"), project.read("log"), project.read("goods")) == ("7\n", "3\n", "\n")


def test_retry_leaves_out_what_ended_well_even_if_it_changed_since(project):
    project.write(PARTLY)("run", code=1)
    project.write(PARTLY.replace("echo {word} >> log", "echo other >> log"))
    project.write("", "fine")
    said = project("retry").stderr
    assert "retry of partly-1: 1 failed, 1 not started; 2 that ended well are left out" in said
    assert project.read("log") == "none\n"


def test_retry_makes_again_what_a_failed_task_needs(project):
    project.write(PARTLY)("run", code=1)
    (project.folder / "good.txt").unlink()
    project.write("", "fine")
    assert project.json("retry")["ran"] == 3


def test_retry_of_a_retry_leaves_out_what_ended_well_in_either(project):
    project.write(PARTLY)("run", code=1)
    project("retry", code=1)
    project.write("", "fine")
    assert project.json("retry")["ran"] == 2
    assert project.read("log") == "none\n"
    assert "nothing to retry" in project("retry").stderr
    assert project.json("retry")["run"] is None


def test_retry_shows_what_it_would_run_and_starts_nothing(project):
    project.write(PARTLY)("run", code=1)
    found = project.json("retry", "-n")
    assert [task["task"] for task in found["would_run"]] == ["bad", "after"]
    assert len(project.json("runs")) == 1


def test_retry_beside_a_live_run_is_refused(project):
    project.write(PARTLY + LIVE.partition("\n\n\n")[2])("run", "partly", code=1)
    run = project.live("long")
    assert "error[store-locked]" in project("retry", "partly-1", code=75).stderr
    project("cancel")
    project.end(run, 130)


def test_retry_of_an_unknown_run_names_the_next_step(project):
    project.write(PARTLY)("run", code=1)
    assert "no run partly-9" in project("retry", "partly-9", code=2).stderr


def test_runs_are_found_by_flow_tag_and_name(project):
    project.write(PARTLY + LIVE.partition("\n\n\n")[2].replace("sleep 60", ":"))
    project.write("", "go").write("", "fine")
    project("run", "partly", "--name", "first", "--tag", "x", "--tag", "y")
    project("run", "long", "--tag", "y")
    for words, runs in [
        (("--tag", "x"), ["partly-1"]), (("--tag", "y"), ["long-1", "partly-1"]), (("--flow", "long"), ["long-1"]),
        (("--name", "fir*"), ["partly-1"]), (("--name", "zz"), []),
    ]:  # fmt: skip
        assert [run["run"] for run in project.json("runs", *words)] == runs
    for command in ("status", "show", "watch"):
        assert "partly-1" in project(command, "first").stdout


def test_watch_waits_for_the_end_and_has_the_runs_exit_code(project):
    run = project.write(LIVE).live()
    watching = project.start("watch", "--json")
    project("cancel", "a")
    project.write("", "go")
    project.end(run, 1)
    assert '"status": "failed"' in project.end(watching, 1)


def test_detached_names_its_run_and_goes_on_alone(project):
    project.write(LIVE)
    said = project("run", "--detach").stderr
    assert "long-1 runs on its own" in said
    assert "scriptflow watch long-1" in said
    until(lambda: project.has("here.a"), "its first job")
    project("cancel", "long-1")
    project("watch", "long-1", code=130)


def test_detached_beside_a_live_run_fails_at_once(project):
    run = project.write(LIVE).live()
    assert "error[store-locked]" in project("run", "--detach", code=75).stderr
    run.send_signal(signal.SIGINT)
    project.end(run, 130)
    assert os.listdir(project.store / "logs") == ["long-1"]


def test_retry_goes_on_with_a_run_that_was_cut_short(project):
    run = project.write(LIVE.replace("sleep 60", "[ -e go ] || sleep 60")).live()
    run.kill()
    run.communicate()
    project.write("", "go")
    done = project("retry", "--json")
    assert "retry of long-1: it was cut short" in done.stderr
    assert '"ran": 3' in done.stdout
