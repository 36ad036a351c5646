import json
import re
import subprocess
import sys

import pytest

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEYS = ["run", "name", "flow", "status", "started", "ended", "ran", "skipped", "failed"]


def test_where_nothing_was_run_the_list_is_empty_and_that_is_no_error(cli):
    done = cli("runs")
    assert done.text == ""
    assert "nothing has been run here yet" in done.talk
    assert json.loads(cli("runs", "--json").text) == []


def test_runs_are_listed_newest_first_with_the_keys_of_the_design(cli, head):
    head.begin("demo", name="first try", tags=("night",))
    head.finish(ran=3, skipped=1)
    head.begin("paper")
    head.finish("failed", ran=2, failed=1)
    rows = json.loads(cli("runs", "--json").text)
    assert [list(row) for row in rows] == [KEYS, KEYS]
    assert [row["run"] for row in rows] == ["paper-1", "demo-1"]
    assert rows[0]["status"] == "failed"
    assert rows[0]["failed"] == 1
    assert rows[1]["name"] == "first try"
    assert (rows[1]["ran"], rows[1]["skipped"]) == (3, 1)
    assert all(ISO.fullmatch(row[key]) for row in rows for key in ("started", "ended"))


def test_runs_can_be_chosen_by_flow_state_tag_and_number(cli, head):
    for number in range(5):
        head.begin("demo" if number % 2 else "paper", tags=("odd",) if number % 2 else ())
        head.finish("failed" if number == 3 else "succeeded")

    def names(*words):
        return [row["run"] for row in json.loads(cli("runs", "--json", *words).text)]

    assert names("--flow", "demo") == ["demo-2", "demo-1"]
    assert names("--state", "failed") == ["demo-2"]
    assert names("--tag", "odd") == ["demo-2", "demo-1"]
    assert names("-L", "2") == ["paper-3", "demo-2"]
    assert names("--flow", "nothing") == []


def test_a_short_list_says_that_there_is_more(cli, head):
    for _ in range(3):
        head.begin()
        head.finish()
    assert "newest 2" in cli("runs", "-L", "2").talk
    assert cli("runs", "-L", "3").talk == ""


def test_a_run_that_goes_on_is_running_and_has_no_end(cli, head):
    head.begin()
    (row,) = json.loads(cli("runs", "--json").text)
    assert (row["status"], row["ended"]) == ("running", None)


def test_a_run_whose_head_was_killed_is_interrupted(cli):
    code = """
import os, sys
sys.path.insert(0, sys.argv[2])
from conftest import Head
from pathlib import Path
Head(Path(sys.argv[1])).begin()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, cli.folder, __file__.rpartition("/")[0]], check=False)
    (row,) = json.loads(cli("runs", "--json").text)
    assert row["status"] == "interrupted"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_table_fits(cli, head, columns):
    for name in ("a very long name of a run that nobody would type twice, " * 4, None):
        head.begin("a_flow_with_a_rather_long_name_as_people_write_them", name=name, tags=("tag", "another"))
        head.finish("cancelled", ran=50_000, skipped=123_456, failed=13)
    lines = cli("runs", COLUMNS=str(columns)).text.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= columns
    assert "cancelled" in lines[1]
    assert "13" in lines[1]


def test_foreign_text_cannot_move_the_cursor(cli, head):
    head.begin("demo", name="\x1b[2Jgone\nand a \u202eline")
    head.finish()
    text = cli("runs").text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 2


def test_runs_are_found_from_a_folder_below(cli, head):
    head.begin()
    head.finish()
    below = cli.folder / "a/b"
    below.mkdir(parents=True)
    assert "demo-1" in cli("runs", "-C", below).text


@pytest.mark.parametrize("command", ["status", "runs", "show", "logs", "doctor", "init"])
def test_in_a_folder_that_was_deleted_a_clear_error_is_said(cli, command):
    script = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -P -m scriptflow {command}"
    done = subprocess.run(script, shell=True, cwd=cli.folder, env=cli.env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error[usage]" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_flow_file_is_loaded_and_none_is_needed(cli, head):
    (cli.folder / "sflow.py").write_text("raise SystemExit('loaded')\n")
    head.begin()
    head.finish()
    assert "demo-1" in cli("runs").text
    assert "demo-1" in cli("status").text
    assert "demo-1" in cli("show").text
