"""Exactly the recorded outputs go: never an input, never what somebody changed, nothing behind a link."""

import os
import shutil

FLOW = """import scriptflow as sf


async def flow_demo(n: int = 2, last: bool = True):
    parts = [
        sf.Task(f"sh -c 'cat data.txt > part_{i}.txt'", inputs="data.txt", outputs=f"part_{i}.txt", name=f"part-{i}")
        for i in range(n)
    ]
    await sf.bag(*parts)
    if last:
        await sf.Task("sh -c 'cat part_*.txt > out/all.txt'", inputs=[p.output_file for p in parts],
                      outputs="out/all.txt", name="total")
"""


ONE = "import scriptflow as sf\n\n\nasync def flow_a():\n    "


def made(project):
    project.write("data\n", "data.txt").write(FLOW)("run")
    return project


def test_clean_lists_and_removes_nothing(project):
    found = made(project).json("clean")
    assert (found["removed"], [file["path"] for file in found["files"]], found["bytes"]) == (
        False, ["out/all.txt", "part_0.txt", "part_1.txt"], 20,
    )  # fmt: skip
    assert found["files"][0] == {"path": "out/all.txt", "bytes": 10, "task": "total", "run": "demo-1"}
    assert project.has("out/all.txt")
    said = project("clean")
    assert said.stdout.startswith("would remove 3 outputs, 20B\n")
    assert "--yes" in said.stderr


def test_clean_yes_removes_the_outputs_and_the_next_run_makes_them_again(project):
    made(project)
    project.write("mine", "out/notes.txt")
    assert project("clean", "--yes").stdout.startswith("removed 3 outputs, 20B\n")
    assert [project.has(name) for name in ("data.txt", "out/notes.txt", "part_0.txt", "out/all.txt")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert project.json("run")["ran"] == 3


def test_what_was_changed_by_hand_goes_only_by_force(project):
    made(project)
    project.write("edited\n", "part_0.txt")
    found = project.json("clean", "--yes")
    assert found["kept"] == [
        {"path": "part_0.txt", "bytes": 7, "task": "part-0", "run": "demo-1", "why": "changed since demo-1"}
    ]
    assert project.has("part_0.txt")
    assert project.json("clean", "--yes", "--force")["files"][0]["path"] == "part_0.txt"
    assert not project.has("part_0.txt")


def test_an_edit_that_keeps_size_and_time_is_seen_by_its_content(project):
    made(project)
    path = project.folder / "part_0.txt"
    before = path.stat()
    path.write_text("atad\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [file["path"] for file in project.json("clean")["kept"]] == ["part_0.txt"]


def test_a_copied_project_can_be_cleaned_without_force(project, tmp_path):
    made(project)
    shutil.copytree(project.folder, tmp_path / "copy")
    assert len(project.json("clean", cwd=tmp_path / "copy")["files"]) == 3


def test_a_file_that_was_there_before_a_task_changed_it_stays(project):
    project.write("a\n", "mine.txt").write(
        "import scriptflow as sf\n\n\nasync def flow_add():\n"
        "    await sf.Task(['sh', '-c', 'echo b >> mine.txt'], inputs='mine.txt', outputs='mine.txt', "
        "update_in_place=True)\n"
    )
    project("run", "--force", "*")
    found = project.json("clean", "--yes", "--force")
    assert [file["why"] for file in found["kept"]] == ["it was there before a task made it"]
    assert project.has("mine.txt")


def test_an_input_that_a_task_made_later_stays(project):
    one = f"{ONE}await sf.Task('cp x.txt y.txt', inputs='x.txt', outputs='y.txt')\n"
    project.write("x\n", "x.txt").write(one)("run")
    project.write(one + "    await sf.Task(['sh', '-c', 'echo z > x.txt'], outputs='x.txt', name='x')\n")
    project.write(project.read("sflow.py").replace("inputs='x.txt', ", ""))
    project("run", "--force", "x")
    assert [file["path"] for file in project.json("clean", "--yes")["kept"]] == ["x.txt"]
    assert project.has("x.txt")


def test_nothing_behind_a_link_out_of_the_project_is_removed(project, tmp_path):
    made(project)
    outside = tmp_path / "outside"
    shutil.move(project.folder / "out", outside)
    (project.folder / "out").symlink_to(outside)
    found = project.json("clean", "--yes", "--force")
    assert [file["why"] for file in found["kept"]] == ["a link on its path leads out of the project"]
    assert (outside / "all.txt").exists()


def test_of_an_output_that_is_a_link_only_the_link_goes(project, tmp_path):
    target = tmp_path / "target.txt"
    target.write_text("precious\n")
    project.write(f"{ONE}await sf.Task(['ln', '-s', '{target}', 'l.txt'], outputs='l.txt')\n")("run")
    project("clean", "--yes")
    assert (target.read_text(), os.path.lexists(project.folder / "l.txt")) == ("precious\n", False)


def test_an_output_outside_the_project_goes_only_by_force(project, tmp_path):
    far = tmp_path / "far.txt"
    project.write(f"{ONE}await sf.Task(['sh', '-c', 'echo > {far}'], outputs='{far}')\n")("run")
    assert [file["why"] for file in project.json("clean", "--yes")["kept"]] == ["outside the project"]
    assert far.exists()
    project("clean", "--yes", "--force")
    assert not far.exists()


def test_a_folder_goes_only_while_it_holds_what_the_task_left(project):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_a():\n"
        "    await sf.Task(['sh', '-c', 'echo 1 > d/1; echo 2 > d/2'], outputs=sf.directory('d'))\n"
    )("run")
    project.write("mine", "d/notes")
    found = project.json("clean", "--yes", "--force")
    assert [file["why"] for file in found["kept"]] == ["the folder holds other files than the task left"]
    (project.folder / "d" / "notes").unlink()
    assert project.json("clean", "--yes")["files"][0]["path"] == "d"
    assert not project.has("d")


def test_what_is_no_file_any_more_is_left_alone(project):
    made(project)
    (project.folder / "part_0.txt").unlink()
    os.mkfifo(project.folder / "part_0.txt")
    found = project.json("clean", "--yes", "--force")
    assert [file["why"] for file in found["kept"]] == ["neither a file nor a folder"]


def test_clean_of_one_flow_and_of_some_tasks(project):
    made(project)
    project.write(
        FLOW + "\n\nasync def flow_other():\n    await sf.Task(['sh', '-c', 'echo > o.txt'], outputs='o.txt')\n"
    )
    project("run", "other")
    assert [file["path"] for file in project.json("clean", "other")["files"]] == ["o.txt"]
    assert [file["path"] for file in project.json("clean", "demo", "--only", "part-*")["files"]] == [
        "part_0.txt", "part_1.txt",
    ]  # fmt: skip
    assert "near" not in project("clean", "zz", code=2).stderr


def test_orphans_are_what_no_task_declares_any_more(project):
    made(project)
    assert project.json("clean", "--orphans")["files"] == []
    project("run", "--n", "3")
    project("run", "--n", "1")  # parameters of the newest run count
    assert [file["path"] for file in project.json("clean", "--orphans", "--yes")["files"]] == [
        "part_1.txt",
        "part_2.txt",
    ]
    assert project.has("part_0.txt")


def test_orphans_cannot_be_told_where_the_flow_cannot_be_looked_through(project):
    project.write(FLOW + "    assert open('out/all.txt').read()\n    await sf.Task('true', outputs='never.txt')\n")
    project.write("data\n", "data.txt")("run", code=1)
    project("clean", "--yes")
    said = project("clean", "--orphans", code=2).stderr
    assert "not known in full" in said


def test_nothing_is_removed_while_a_run_is_live(project):
    made(project).write("", "empty").write(
        FLOW + "\n\nasync def flow_long():\n    await sf.Task(['sh', '-c', 'touch here.x; sleep 60'], name='x')\n"
    )
    run = project.live("long")
    assert project.json("clean")["bytes"] == 20
    for words in (("clean",), ("clean", "--runs"), ("clean", "--logs")):
        assert "error[store-locked]" in project(*words, "--yes", code=75).stderr
    for words in (("touch", "-a", "--flow", "demo"), ("forget", "total")):
        assert "error[store-locked]" in project(*words, code=75).stderr
    assert project.has("out/all.txt")
    project("cancel")
    project.end(run, 130)


def test_old_runs_go_but_not_what_the_newest_outputs_need(project):
    made(project)
    for n in range(3):
        project.write(f"data {n}\n", "data.txt")
        project("run", "--n", "1")
    project("run", "--n", "1")
    found = project.json("clean", "--runs", "--keep", "1", "--yes")
    assert (found["runs"], found["stay"], found["jobs"]) == (["demo-2", "demo-3"], ["demo-1", "demo-4"], 6)
    assert [run["run"] for run in project.json("runs")] == ["demo-5", "demo-4", "demo-1"]
    assert not (project.store / "logs" / "demo-2").exists()
    assert project.json("run", "--n", "1")["ran"] == 0
    assert project.json("run", "--n", "2")["ran"] == 2  # part-1 is older than its input; its record is there
    assert "part-0" in project("show", "part-0").stdout


def test_old_logs_go_and_records_stay(project):
    made(project)
    project("run", "--force", "*")
    found = project.json("clean", "--logs", "--keep", "1", "--yes")
    assert len(found["files"]) == 3
    assert (project.has(".scriptflow/logs/demo-1"), project.has(".scriptflow/logs/demo-2/total.1.log")) == (False, True)
    assert len(project.json("runs")) == 2


def test_wrong_words_of_clean_are_named(project):
    made(project)
    for words in (("--runs", "--orphans"), ("--keep", "3"), ("--runs", "--logs"), ("--runs", "--keep", "0")):
        assert "help:" in project("clean", *words, code=2).stderr


FUNCTIONS = """
import scriptflow as sf

SIZE = 1


class Big:
    pass


@sf.task
def make(n, seed):
    made = Big()
    made.n = n * SIZE
    return made


@sf.task
def read(made):
    return made.n


async def flow_main(seed: int = 0):
    for n in (1, 2):
        await read.task(make.task(n, object.__new__(Big) if seed else None, name=f"make-{n}"), name=f"read-{n}")
"""


def files_of_values(project):
    values = project.store / "values"
    return {str(path.relative_to(values)) for path in values.rglob("*") if path.is_file()}


def test_values_parts_and_code_that_no_record_needs_go_with_the_old_runs(project):
    project.write(FUNCTIONS)
    project("run")
    first = files_of_values(project)
    assert project.json("clean", "--runs", "--yes")["values"] == 0
    assert files_of_values(project) == first
    project.write(FUNCTIONS.replace("SIZE = 1", "SIZE = 2"))
    project("run")
    project.write(FUNCTIONS.replace("SIZE = 1", "SIZE = 1.5"))
    project("run")
    (project.store / "values" / "make-0123456789abcdef.json.77.part").write_text("{")
    every = files_of_values(project)
    assert sum(name.startswith("code/") for name in every) == 4
    listed = project.json("clean", "--runs", "--keep", "1")
    assert files_of_values(project) == every
    removed = project.json("clean", "--runs", "--keep", "1", "--yes")
    assert listed["values"] == removed["values"] == len(every) - len(files_of_values(project)) > 0
    assert len(files_of_values(project)) == len(first)
    assert project.json("run")["ran"] == 0


def test_values_of_forgotten_tasks_go_and_the_others_stay(project):
    project.write(FUNCTIONS)
    project("run")
    project("forget", "make-1")
    before = files_of_values(project)
    assert project.json("clean", "--runs", "--yes")["values"] == 2
    gone = before - files_of_values(project)
    assert {name.partition("/")[0].partition("-")[0] for name in gone} == {"make", "blobs"}
    assert project.json("run", "--force", "make-2")["failed"] == 0
