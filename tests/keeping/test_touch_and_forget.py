"""Accept outputs as they are, and forget that they were made."""

FLOW = """import scriptflow as sf


async def flow_demo(n: int = 1):
    a = sf.Task(["sh", "-c", f"echo {n} > a.txt"], inputs="src.txt", outputs="a.txt", name="a")
    b = sf.Task("cp a.txt b.txt", inputs="a.txt", outputs="b.txt", name="b")
    await sf.bag(a, b, sf.Task(["sh", "-c", "echo >> always"], name="always"))
"""


def made(project):
    project.write("src\n", "src.txt").write(FLOW)("run")
    return project


def would_run(project, *words):
    return [task["task"] for task in project.json("plan", *words)["would_run"]]


def test_a_touched_task_is_up_to_date_whatever_changed(project):
    made(project).write("other\n", "src.txt").write(FLOW.replace("echo {n}", "echo  {n}"))
    assert would_run(project) == ["a", "b", "always"]
    found = project.json("touch", "a")
    assert (found["accepted"], found["refused"], found["up_to_date"]) == (["a"], [], [])
    assert would_run(project) == ["always"]
    assert project.read("a.txt") == "1\n"


def test_touch_all_after_a_fresh_clone_makes_records(project):
    made(project)
    import os
    import shutil

    shutil.rmtree(project.store)
    os.utime(project.folder / "src.txt")  # a clone writes files in any order
    assert would_run(project)[:1] == ["a"]
    said = project("touch", "-a").stdout
    assert said.splitlines() == ["accepted  a", "accepted  b"]
    assert would_run(project) == ["always"]
    project.write(FLOW.replace("cp a.txt", "cp  -p a.txt"))
    assert would_run(project) == ["b", "always"]  # there is a record to compare with


def test_touch_twice_finds_nothing_more(project):
    made(project)
    assert project("touch", "-a").stdout == "2 up to date already\n"
    assert len(project.json("runs")) == 1


def test_what_is_missing_is_refused_and_the_rest_accepted(project):
    made(project).write("other\n", "src.txt")
    (project.folder / "b.txt").unlink()
    found = project.json("touch", "-a", code=1)
    assert (found["accepted"], found["refused"]) == (["a"], [{"task": "b", "why": "b.txt is missing"}])
    assert would_run(project) == ["b", "always"]


def test_a_task_without_outputs_cannot_be_accepted(project):
    assert "it declares no outputs" in made(project)("touch", "always", code=1).stdout


def test_a_result_mended_by_hand_after_a_failure_is_accepted_with_its_marker(project):
    made(project).write(FLOW.replace("cp a.txt b.txt", "false"))("run", code=1)
    project.write("by hand\n", "b.txt")
    assert list(project.folder.glob(".b.txt.sf-part"))
    project("touch", "b.txt")
    assert not list(project.folder.glob(".b.txt.sf-part"))
    assert would_run(project) == ["always"]
    assert project.read("b.txt") == "by hand\n"


def test_touch_takes_the_parameters_of_the_newest_run_or_its_own(project):
    made(project)("run", "--n", "5")
    project.write("other\n", "src.txt")
    project("touch", "a")
    assert would_run(project, "--n", "5") == ["always"]
    project("touch", "a", "-p", "n=6")
    assert would_run(project, "--n", "6") == ["always"]


def test_the_record_says_that_nothing_was_run(project):
    made(project).write("other\n", "src.txt")("touch", "a")
    newest = project.json("runs")[0]
    assert (newest["ran"], newest["skipped"], newest["status"]) == (0, 1, "succeeded")
    assert "accepted as they are" in project("show", "a").stdout


def test_wrong_words_of_touch_are_named(project):
    made(project)
    for words in ((), ("a", "-a"), ("zz",), ("a", "--flow", "dmeo"), ("a", "-p", "m=3")):
        assert "error[" in project("touch", *words, code=2).stderr


def test_forgotten_tasks_are_judged_by_their_files_times_alone(project):
    made(project).write(FLOW.replace("cp a.txt", "cp  -p a.txt"))
    assert would_run(project) == ["b", "always"]
    assert project("forget", "b").stdout == "forgotten  b\n"
    assert would_run(project) == ["always"]
    assert project.has("b.txt")


def test_forget_takes_patterns_outputs_and_says_what_had_no_record(project):
    made(project)
    assert project.json("forget", "a.txt", "always") == {
        "schema": 1, "forgotten": ["a", "always"], "unknown": [],
    }  # fmt: skip
    assert project.json("forget", "[ab]")["unknown"] == ["a"]
    assert [file["path"] for file in project.json("clean")["files"]] == []
    assert "error[not-found]" in project("forget", "zz", code=2).stderr
