"""Every example runs as its README says, and a second time there is nothing left to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/sflow.py"))


def copy_of(name: str, tmp_path: Path) -> Path:
    """Copy an example as a fresh clone has it: without what an earlier run in the checkout left."""
    left = shutil.ignore_patterns(
        ".scriptflow", "build", "results", "__pycache__", "*.txt", "*.count", "upper", "index"
    )
    return Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=left))


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCRIPTFLOW_")}
    return subprocess.run(
        [sys.executable, "-m", "scriptflow", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def run(folder: Path, *arguments: str) -> dict[str, object]:
    """Run the example's flow; return what `--json` says, without the flow's own prints before it."""
    done = command(folder, "run", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    start = done.stdout.rindex("\n{") if "\n{" in done.stdout else 0
    return json.loads(done.stdout[start:])


def planned(folder: Path, *arguments: str) -> set[str]:
    done = command(folder, "run", "-n", "--json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return {task["task"] for task in json.loads(done.stdout[done.stdout.index("{") :])["would_run"]}


@pytest.fixture(scope="module")
def co2_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_of("co2", tmp_path_factory.mktemp("examples"))
    first = run(folder, "--bootstrap", "20")
    assert (first["status"], first["ran"], first["failed"]) == ("succeeded", 14, 0)
    return folder


@pytest.fixture
def co2(co2_done: Path, tmp_path: Path) -> Path:
    """A copy of the example and its record, times kept: as up to date as the original."""
    return Path(shutil.copytree(co2_done, tmp_path / "co2"))


def test_co2_makes_a_table_and_a_picture(co2: Path) -> None:
    table = (co2 / "results" / "trends.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in table] == ["decade", "1950s", "1960s", "1970s", "1980s", "1990s", "2000s"]
    rates = {row.split(",")[0]: float(row.split(",")[2]) for row in table[1:]}
    published = {"1960s": 0.86, "1970s": 1.28, "1980s": 1.58, "1990s": 1.52}
    assert {decade: rates[decade] for decade in published} == pytest.approx(published, abs=0.1)
    picture = ET.parse(co2 / "results" / "co2.svg").getroot()
    words = "".join(picture.itertext())
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "1990s" in words
    assert "Whorf" in words


def test_co2_has_nothing_to_do_a_second_time(co2: Path) -> None:
    again = run(co2, "--bootstrap", "20")
    assert (again["ran"], again["skipped"]) == (0, 14)


def test_co2_one_corrected_year_runs_only_what_depends_on_it(co2: Path) -> None:
    year = co2 / "data" / "1963.csv"
    year.write_text(year.read_text().replace("1963-06-01,3,322.3", "1963-06-01,3,322.1"))
    assert "322.1" in year.read_text()
    dependents = {"clean-1960s", "trend-1960s", "table", "picture"}
    assert planned(co2, "--bootstrap", "20") == dependents
    before = {path: path.stat().st_mtime_ns for path in (co2 / "build").iterdir()}
    report = run(co2, "--bootstrap", "20")
    assert (report["ran"], report["skipped"]) == (4, 10)
    written = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert written == {"weeks-1960s.csv", "trend-1960s.json"}


def test_co2_another_parameter_runs_the_trends_and_what_follows(co2: Path) -> None:
    assert len(planned(co2, "--bootstrap", "21")) == 8
    report = run(co2, "--bootstrap", "21")
    assert (report["ran"], report["skipped"]) == (8, 6)


def test_co2_data_are_the_whole_record() -> None:
    rows = [
        line.split(",")
        for file in sorted((EXAMPLES / "co2" / "data").glob("*.csv"))
        for line in file.read_text().splitlines()[2:]
    ]
    assert len(rows) == 2284
    assert sum(row[2] == "" for row in rows) == 59
    assert (rows[0], rows[-1]) == (["1958-03-29", "4", "316.1"], ["2001-12-29", "6", "371.5"])


def test_first_flow_is_as_it_was_published_and_adds_five_and_four(tmp_path: Path) -> None:
    folder = copy_of("first-flow", tmp_path)
    flow = folder / "sflow.py"
    assert flow.read_text().count("time.sleep(5)") == 2
    flow.write_text(flow.read_text().replace("time.sleep(5)", "time.sleep(0.1)"))
    first = run(folder, "sleepit")
    assert (first["status"], first["ran"]) == ("succeeded", 3)
    assert (folder / "final.txt").read_text() == "9\n"
    again = run(folder, "sleepit")
    assert (again["ran"], again["skipped"]) == (0, 3)


def test_params_become_options(tmp_path: Path) -> None:
    folder = copy_of("params", tmp_path)
    run(folder, "--n", "2", "--step", "1", "--shape", "cube", "--no-header")
    assert (folder / "table.txt").read_text().split() == ["1.0", "1.0", "2.0", "8.0"]
    run(folder)
    assert (folder / "table.txt").read_text().splitlines()[0] == "x square"
    wrong = command(folder, "run", "--n", "three")
    assert wrong.returncode == 2
    assert "param-type" in wrong.stderr


def test_files_counts_notes_and_sees_a_new_one(tmp_path: Path) -> None:
    folder = copy_of("files", tmp_path)
    assert run(folder)["ran"] == 3
    assert (folder / "index" / "total.txt").read_text().strip() == "5"
    assert run(folder)["ran"] == 0
    (folder / "notes" / "wednesday.md").write_text("rest\n")
    assert run(folder)["ran"] == 3
    assert (folder / "index" / "names.txt").read_text().split() == ["monday.md", "tuesday.md", "wednesday.md"]


def test_functions_run_again_where_their_code_arguments_or_values_changed(tmp_path: Path) -> None:
    folder = copy_of("functions", tmp_path)
    assert run(folder)["ran"] == 6
    text = (folder / "report.txt").read_text()
    assert text.startswith("the median lies between 5")
    assert run(folder)["ran"] == 0
    samples = folder / "samples.py"
    samples.write_text(samples.read_text().replace("not used", "still not used"))
    assert planned(folder) == set()
    assert planned(folder, "--level", "0.95") == {"interval", "report"}
    samples.write_text(samples.read_text().replace("512, 633", "312, 633"))
    assert len(planned(folder)) == 6
    assert run(folder)["ran"] == 6


def test_plain_asyncio_program_needs_no_head_in_sight(tmp_path: Path) -> None:
    folder = copy_of("plain-asyncio", tmp_path)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "count_words.py"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "11 words in 2 texts" in done.stdout


@pytest.mark.parametrize("name", FOLDERS)
def test_index_names_every_example(name: str) -> None:
    assert f"]({name}/)" in (EXAMPLES / "README.md").read_text()
