"""Runs with calls on paper: trace, report, archive and show name arguments and values as people write them."""

import json
import subprocess
import sys
import zipfile

import pytest

FLOW = """
from pathlib import Path
import scriptflow as sf


@sf.task
def count(path):
    return len(Path(path).read_text())


@sf.task(memory="1GB")
def add(a, b, pair=(1, "x")):
    print("adding")
    return {"sum": a + b}


async def flow_main():
    made = sf.Task("sh -c 'echo hi > a.txt'", outputs="a.txt", name="make")
    await add.task(count.task(made, name="count"), 3, pair=(2, "y"), name="add")
"""


@pytest.fixture
def ran(tmp_path):
    (tmp_path / "sflow.py").write_text(FLOW)

    def call(*words, folder=tmp_path):
        done = subprocess.run(
            [sys.executable, "-m", "scriptflow", *words], cwd=folder, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        return done.stdout

    call("run")
    call.folder = tmp_path
    return call


def test_trace_and_show_name_function_arguments_and_value(ran):
    (value,) = (ran.folder / ".scriptflow/values").glob("add-*.json")
    made = json.loads(ran("trace", str(value), "--json"))["made_by"]
    assert made["command"].startswith("sflow:add(a=value of count-") and made["command"].endswith('b=3, pair=(2, "y"))')
    assert made["inputs"][0]["made_by"]["command"] == "sflow:count(path=a.txt)"
    assert "sflow:count(path=a.txt)" in ran("trace", "add")
    shown = ran("show", "add")
    assert 'value     {"sum": 6}' in shown and "no value stored" in shown


def test_a_value_that_is_not_the_recorded_one_is_not_shown(ran):
    (value,) = (ran.folder / ".scriptflow/values").glob("add-*.json")
    value.write_text('{"schema": 1, "value": {"sum": 7}}')
    assert "  value  " not in ran("show", "add")


def test_report_has_arguments_and_resources_of_resident_workers(ran):
    ran("report", "last", "-o", "run.html")
    page = (ran.folder / "run.html").read_text()
    assert "sflow:count(path=a.txt)" in page and "of 1GB" in page
    rows = json.loads(ran("show", "last", "--json"))["tasks"]
    assert all(row["max_rss_bytes"] > 1e6 and row["cpu_s"] >= 0 for row in rows)


def test_archive_takes_small_values_and_shows_them_where_it_is_opened(ran):
    ran("archive", "last", "-o", "run.zip")
    assert (
        sum(name.startswith(".scriptflow/values/") for name in zipfile.ZipFile(ran.folder / "run.zip").namelist()) == 2
    )
    ran("open", "run.zip", "-o", "there")
    assert 'value     {"sum": 6}' in ran("show", "add", folder=ran.folder / "there")
    assert "sflow:add(" in ran("trace", "add", folder=ran.folder / "there")
