"""An archive is the whole run, the same bytes each time, read anywhere; a bad one leaves nothing behind."""

import hashlib
import json
import os
import shutil
import sqlite3
import zipfile

import pytest

MANIFEST = "scriptflow-archive.json"


@pytest.fixture
def archive(paper):
    paper("archive", "-o", "a.zip", "--outputs")
    return paper.folder / "a.zip"


def rewritten(archive, tmp_path, *, change=None, manifest=True):
    """Return a copy of an archive whose files ``change`` has changed, with a manifest that agrees."""
    with zipfile.ZipFile(archive) as file:
        files = {name: file.read(name) for name in file.namelist()}
    document = json.loads(files.pop(MANIFEST))
    change(files, document)
    if manifest:
        document["files"] = [
            {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        ]
    copy = tmp_path / "forged.zip"
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
        file.writestr(MANIFEST, json.dumps(document))
    return copy


def test_the_same_run_gives_the_same_bytes(archive, paper):
    for name in ("a.zip", "data/raw.csv"):
        os.utime(paper.folder / name, (1, 1))
    paper("archive", "paper-1", "-o", "b.zip", "--outputs")
    assert (paper.folder / "b.zip").read_bytes() == archive.read_bytes()


def test_an_opened_archive_answers_as_the_project_did(archive, paper, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    asked = [
        ("status", "--json"),
        ("show", "fig"),
        ("logs", "fit-1"),
        ("trace", "fig.txt", "--json"),
        ("report", "-o", "-"),
    ]
    before = [paper(*words) for words in asked]
    shutil.move(archive, away / "a.zip")
    shutil.rmtree(paper.folder / ".scriptflow")
    said = paper("open", "a.zip", cwd=away)
    assert "scriptflow -C paper-1 status" in said
    after = [paper(*words, cwd=away / "paper-1") for words in asked]
    assert after == before
    assert (away / "paper-1" / "fig.txt").read_text() == (paper.folder / "fig.txt").read_text()
    assert json.loads((away / "paper-1" / "lineage.json").read_text())["results"][0]["file"] == "fig.txt"
    assert oct((away / "paper-1").stat().st_mode & 0o777) == "0o700"


def test_what_a_run_was_built_on_in_earlier_runs_goes_with_it(paper, tmp_path):
    (paper.folder / "fig.txt").unlink()
    paper("run", "-q")
    paper("run", "-q", "-f", "clean")
    paper("archive", "paper-2", "-o", "b.zip")
    paper("open", "b.zip", "-o", tmp_path / "there")
    found = json.loads(paper("trace", "fig", "--json", cwd=tmp_path / "there"))["made_by"]
    assert found["run"] == "paper-2"
    assert found["inputs"][0]["made_by"]["run"] == "paper-1"
    assert json.loads(paper("status", "--json", cwd=tmp_path / "there"))["run"] == "paper-2"
    assert not (tmp_path / "there" / "fig.txt").exists()


def test_outputs_that_are_not_what_the_run_left_are_left_out_and_named(paper):
    paper.write("fig.txt", "by hand\n")
    (paper.folder / "clean.csv").unlink()
    paper("archive", "-o", "a.zip", "--outputs")
    assert "left out 2 outputs" in paper.talk
    assert "fig.txt" not in zipfile.ZipFile(paper.folder / "a.zip").namelist()


def leads_out(files, _):
    files["../outside.txt"] = b"gone"


def is_absolute(files, _):
    files["/tmp/outside.txt"] = b"gone"


def leads_out_backwards(files, _):
    files["a\\..\\..\\outside.txt"] = b"gone"


def has_no_store(files, _):
    del files[".scriptflow/runs.db"]


def has_a_broken_store(files, _):
    files[".scriptflow/runs.db"] = b"SQLite format 3\x00" + b"\xff" * 5000


def with_store(statement):
    def change(files, _):
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/runs.db"
            with open(path, "wb") as file:
                file.write(files[".scriptflow/runs.db"])
            connection = sqlite3.connect(path)
            connection.executescript(statement)
            connection.commit()
            connection.close()
            with open(path, "rb") as file:
                files[".scriptflow/runs.db"] = file.read()

    return change


BAD = {
    "a name that leads out": (leads_out, "outside its folder"),
    "an absolute name": (is_absolute, "outside its folder"),
    "a name that leads out on Windows": (leads_out_backwards, "outside its folder"),
    "no store": (has_no_store, "no store"),
    "a broken store": (has_a_broken_store, "cannot be read"),
    "a store with a trigger": (with_store("CREATE TRIGGER t AFTER INSERT ON runs BEGIN SELECT 1; END"), "a trigger t"),
    "a store with a view": (with_store("CREATE VIEW v AS SELECT 1"), "a view v"),
    "a log elsewhere": (with_store("UPDATE jobs SET log = '/etc/passwd'"), "a log of it lies outside"),
    "a log above": (with_store("UPDATE jobs SET log = 'logs/../../secret'"), "a log of it lies outside"),
    "a flow like a path": (with_store("UPDATE runs SET flow = '../../etc'"), "called like a path"),
    "a pickled value": (
        with_store("INSERT INTO \"values\" SELECT id, 'value', 'pickle', 'x' FROM jobs"),
        "could run code",
    ),
}


@pytest.mark.parametrize("change", BAD)
def test_a_forged_archive_is_refused_and_nothing_of_it_is_kept(archive, paper, tmp_path, change):
    forged = rewritten(archive, tmp_path, change=BAD[change][0])
    away = tmp_path / "away"
    away.mkdir()
    paper("open", forged, code=2, cwd=away)
    assert "error[archive]" in paper.talk
    assert BAD[change][1] in paper.talk
    assert list(away.iterdir()) == []
    assert not (tmp_path / "outside.txt").exists()


def test_a_link_is_not_unpacked(archive, paper, tmp_path):
    forged = tmp_path / "forged.zip"
    with zipfile.ZipFile(archive) as file, zipfile.ZipFile(forged, "w") as copy:
        for info in file.infolist():
            if info.filename == "sflow.py":
                info.external_attr = 0o120777 << 16
            copy.writestr(info, file.read(info.filename))
    paper("open", forged, code=2, cwd=tmp_path)
    assert "outside its folder: 'sflow.py'" in paper.talk


def test_changed_and_missing_files_are_noticed(archive, paper, tmp_path):
    def change(files, _):
        files["report.html"] = files["report.html"].replace(b"succeeded", b"s5cceeded")

    paper("open", rewritten(archive, tmp_path, change=change, manifest=False), code=2, cwd=tmp_path)
    assert "'report.html' is not what was put in" in paper.talk
    gone = rewritten(archive, tmp_path, change=lambda files, _: files.pop("report.html"), manifest=False)
    paper("open", gone, code=2, cwd=tmp_path)
    assert f"its files are not those that {MANIFEST} lists" in paper.talk


@pytest.mark.parametrize("part", [0, 10, 0.5, 0.98])
def test_a_cut_archive_is_refused(archive, paper, tmp_path, part):
    data = archive.read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(data[: int(part * len(data)) if isinstance(part, float) else part])
    paper("open", cut, code=2, cwd=tmp_path)
    assert "no sound archive of a run" in paper.talk


def test_flipped_bytes_never_pass(archive, paper, tmp_path):
    data = archive.read_bytes()
    for at in range(40, len(data) - 200, max(1, len(data) // 6)):
        bad = tmp_path / "bad.zip"
        bad.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        paper("open", bad, "-o", f"out-{at}", code=None, cwd=tmp_path)
        assert "error[" in paper.talk or (tmp_path / f"out-{at}").is_dir()


def test_a_bomb_is_not_unpacked_unasked(archive, paper, tmp_path):
    def swell(files, _):
        files["zeros"] = bytes(30_000_000)

    bomb = rewritten(archive, tmp_path, change=swell)
    paper("open", bomb, "--limit", "10MB", code=2, cwd=tmp_path)
    assert "would unpack to 28" in paper.talk
    assert "--limit" in paper.talk
    paper("open", bomb, "--limit", "40MB", "-o", "large", cwd=tmp_path)
    assert (tmp_path / "large" / "zeros").stat().st_size == 30_000_000


def test_an_archive_of_a_newer_form_is_said_to_be_so(archive, paper, tmp_path):
    def newer(_, document):
        document["schema"] = 7

    paper("open", rewritten(archive, tmp_path, change=newer), code=2, cwd=tmp_path)
    assert "written by a newer scriptflow" in paper.talk


def test_what_is_there_is_not_written_over(archive, paper):
    paper("open", "a.zip")
    paper("open", "a.zip", code=2)
    assert "paper-1 is there already" in paper.talk
    paper("open", "nowhere.zip", code=2)
    assert "cannot open nowhere.zip" in paper.talk
    paper("archive", "paper-9", code=2)
    assert "no run paper-9" in paper.talk


def test_a_run_that_still_goes_on_is_not_archived(project):
    from filling import Head

    head = Head(project.folder)
    head.begin("demo")
    head.start("long")
    project("archive", code=2)
    assert "demo-1 is still running" in project.talk
    head.finish()
    head.store.close()
