"""What counts as a change, by time and by content: one line of the command line for each."""

import os
import subprocess
import time

import pytest

WAVE = """
async def flow_demo():
    await sf.Task("sh -c 'head -c {size} in.txt > a.txt'", inputs="in.txt", outputs="a.txt", name="a")
    await sf.Task("sh -c 'cat a.txt > b.txt'", inputs="a.txt", outputs="b.txt", name="b")
    await sf.Task("sh -c 'cat b.txt > c.txt'", inputs="b.txt", outputs="c.txt", name="c")
"""
SIZES = [3, 300_000]
each_check = pytest.mark.parametrize("check", ["mtime", "content"])


def ago(path, seconds=3600):
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


@pytest.fixture(params=SIZES, ids=["small", "large"])
def wave(asked, request):
    """Three tasks in a row; only the first bytes of the input reach the second."""
    (asked / "in.txt").write_text("x" * request.param + "tail\n")
    ago(asked / "in.txt")
    asked.size = request.param
    asked.flow(WAVE.replace("{size}", str(request.param)))
    return asked


@each_check
def test_touched_but_equal_input(wave, check):
    wave("run", "--check", check)
    (wave / "in.txt").touch()
    expected = 3 if check == "mtime" else 0
    assert len(wave.planned("--check", check)) == expected
    assert wave.run("--check", check)["ran"] == expected
    assert wave.run("--check", check)["ran"] == 0


@each_check
def test_equal_output_stops_the_wave(wave, check):
    wave("run", "--check", check)
    with open(wave / "in.txt", "a") as file:
        file.write("more\n")
    assert wave.run("--check", check)["ran"] == (3 if check == "mtime" else 1)
    assert wave.run("--check", check)["ran"] == 0


@each_check
def test_other_content_goes_all_the_way(wave, check):
    wave("run", "--check", check)
    (wave / "in.txt").write_text("y" * wave.size + "tail\n")
    assert wave.run("--check", check)["ran"] == 3


@each_check
def test_output_edited_by_hand_to_equal_size_is_noticed(wave, check):
    wave("run", "--check", check)
    (wave / "b.txt").write_text("z" * wave.size)
    reasons = wave.json("why", "b", "--check", check)["reasons"]
    assert reasons == [{"code": "outputs-changed", "detail": "b.txt: other content than the task left"}]
    assert wave.run("--check", check)["ran"] == (2 if check == "mtime" else 1)


def test_check_is_told_by_task_setting_and_environment(asked):
    (asked / "in.txt").write_text("x\n")
    ago(asked / "in.txt")
    text = """
        async def flow_demo():
            await sf.Task("sh -c 'cat in.txt > a.txt'", inputs="in.txt", outputs="a.txt", name="a", check="content")
            await sf.Task("sh -c 'cat in.txt > b.txt'", inputs="in.txt", outputs="b.txt", name="b")
    """
    asked.flow(text)("run")
    (asked / "in.txt").touch()
    assert [task for task, _ in asked.planned()] == ["b"]
    assert asked.plan(SCRIPTFLOW_CHECK="content")["would_run"] == []
    (asked / "scriptflow.toml").write_text('check = "content"\n')
    assert asked.planned() == []


def test_flow_says_its_check_for_all_its_tasks(asked):
    (asked / "in.txt").write_text("x\n")
    ago(asked / "in.txt")
    text = """
        @sf.flow(check="content")
        async def demo():
            await sf.Task("sh -c 'cat in.txt > a.txt'", inputs="in.txt", outputs="a.txt", name="a")
            await sf.Task("sh -c 'cat in.txt > b.txt'", inputs="in.txt", outputs="b.txt", name="b", check="mtime")
    """
    asked.flow(text)("run")
    (asked / "in.txt").touch()
    assert [task for task, _ in asked.planned()] == ["b"]
    assert [task for task, _ in asked.planned("--check", "mtime")] == ["a", "b"]
    assert asked.run()["ran"] == 1


def test_files_of_any_size_are_hashed_where_content_decides(asked):
    """By default a file of more than 64 MB is not hashed: where content decides it is."""
    with open(asked / "in.bin", "wb") as file:
        file.truncate(65_000_000)
    ago(asked / "in.bin")
    asked.flow("""
        async def flow_demo():
            await sf.Task("sh -c 'wc -c < in.bin > a.txt'", inputs="in.bin", outputs="a.txt", name="a")
    """)
    asked("run", "--check", "content")
    (asked / "in.bin").touch()
    assert asked.run("--check", "content")["ran"] == 0


def test_large_files_are_hashed_while_others_run(asked):
    """The loop goes on meanwhile: the flow's own clock is not held up by hashing."""
    with open(asked / "in.bin", "wb") as file:
        file.truncate(300_000_000)
    ago(asked / "in.bin")
    asked.flow("""
        import asyncio, time

        async def flow_demo():
            beats = [0]

            async def beat():
                while True:
                    await asyncio.sleep(0.01)
                    beats[0] += 1

            beating = asyncio.ensure_future(beat())
            await asyncio.sleep(0.05)
            before, heard = time.process_time(), beats[0]
            await sf.Task("sh -c 'wc -c < in.bin > a.txt'", inputs="in.bin", outputs="a.txt", name="a")
            hashing = time.process_time() - before
            beating.cancel()
            print(beats[0] - heard > 2 if hashing > 0.1 else "quick")
    """)
    asked("run", "--check", "content")
    (asked / "in.bin").touch()
    assert "True" in asked("run", "--check", "content").stdout


# --- folders and globs --------------------------------------------------------------------------------

FOLDER = """
async def flow_demo():
    await sf.Task(
        "sh -c 'cat parts/* > all.txt'", inputs=sf.directory("parts"), outputs="all.txt", name="all"
    )
"""


@pytest.fixture
def folder(asked):
    (asked / "parts").mkdir()
    for name in ("1", "2"):
        (asked / "parts" / name).write_text(f"{name}\n")
        ago(asked / "parts" / name)
    return asked.flow(FOLDER)


def details(asked, *words):
    return [reason["detail"] for reason in asked.json("why", "all", *words)["reasons"]]


@each_check
def test_folder_counts_by_its_listing(folder, check):
    folder("run", "--check", check)
    (folder / "parts").touch()  # its own time says nothing
    assert folder.run("--check", check)["ran"] == 0
    (folder / "parts" / "3").write_text("3\n")
    assert details(folder, "--check", check) == ["parts: number of files 2 -> 3"]
    assert folder.run("--check", check)["ran"] == 1
    (folder / "parts" / "3").rename(folder / "parts" / "4")
    assert folder.run("--check", check)["ran"] == 1
    (folder / "parts" / "1").write_text("one\n")
    assert folder.run("--check", check)["ran"] == 1
    assert folder.run("--check", check)["ran"] == 0


@each_check
def test_touched_file_of_a_folder(folder, check):
    folder("run", "--check", check)
    (folder / "parts" / "1").touch()
    assert folder.run("--check", check)["ran"] == (check == "mtime")
    (folder / "parts" / "1").write_text("X\n")
    assert folder.run("--check", check)["ran"] == 1


@each_check
def test_glob_names_what_came_and_what_went(folder, check):
    folder.flow(FOLDER.replace('sf.directory("parts")', 'sf.glob("parts/*")'))
    folder("run", "--check", check)
    (folder / "parts" / "3").write_text("3\n")
    ago(folder / "parts" / "3", 7200)
    assert details(folder, "--check", check) == ["added parts/3"]
    folder("run", "--check", check)
    (folder / "parts" / "1").unlink()
    assert folder.json("why", "all", "--check", check)["reasons"] == [
        {"code": "inputs-changed", "detail": "gone parts/1"}
    ]
    assert folder.run("--check", check)["ran"] == 1
    assert folder.run("--check", check)["ran"] == 0


# --- changed while it ran -----------------------------------------------------------------------------


@each_check
def test_input_changed_during_the_job_is_stale_at_birth(asked, check):
    (asked / "in.txt").write_text("one\n")
    ago(asked / "in.txt")
    asked.flow("""
        async def flow_demo():
            await sf.Task(
                ["sh", "-c", "cat in.txt > a.txt; test -e done || echo two > in.txt; touch done"],
                inputs="in.txt", outputs="a.txt", name="a",
            )
    """)
    assert "changed while a ran" in asked("run", "--check", check).stderr
    assert [task for task, _ in asked.planned("--check", check)] == ["a"]
    assert asked.run("--check", check)["ran"] == 1
    assert asked.run("--check", check)["ran"] == 0
    assert subprocess.check_output(["cat", asked / "a.txt"], text=True) == "two\n"
