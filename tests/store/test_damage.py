"""A file that is not as it should be is never taken for one that is, never lost, never a traceback."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys

import pytest
from making import HEAD, do_jobs, run_start

from scriptflow.core.records import RunCounts
from scriptflow.errors import NotFound, ScriptflowError, StoreDamaged, StoreNewer, StoreUnwritable
from scriptflow.store.reader import StoreReader
from scriptflow.store.sqlite import SqliteStore


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A closed store of 60 jobs, and the same with its last rows in the -wal and its head dead."""
    folder = tmp_path_factory.mktemp("sound") / ".scriptflow"
    store = SqliteStore.open(folder)
    do_jobs(store, store.begin_run(run_start())[0], 60)
    store.end_run("succeeded", RunCounts(ran=60), "")
    store.close()
    cut = tmp_path_factory.mktemp("cut") / ".scriptflow"
    shutil.copytree(folder, cut)
    tests = os.path.dirname(__file__)
    body = HEAD.format(tests=tests, options={}) + "do_jobs(store, run, 5)\nimport os\nos._exit(0)\n"
    subprocess.run([sys.executable, "-c", body, cut], check=True)
    assert (cut / "runs.db-wal").stat().st_size
    return folder, cut


def usable(folder):
    """Open, use and close a store, and let a reader look before: no error but ours, a sound file after."""
    try:
        with StoreReader(folder) as reader:
            reader.runs()
            reader.latest()
    except ScriptflowError:
        pass
    said = []
    store = SqliteStore.open(folder, notice=said.append)
    run, _ = store.begin_run(run_start())
    do_jobs(store, run, 2)
    assert sum(found.ok for found in store.latest().values()) >= 2
    store.end_run("succeeded", RunCounts(ran=2), "")
    store.close()
    return said


def fresh_copy(source, tmp_path):
    target = tmp_path / ".scriptflow"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def test_cut_at_any_place_it_is_set_aside_and_work_goes_on(sound, tmp_path):
    size = (sound[0] / "runs.db").stat().st_size
    for cut in range(512, size, 512 * max(1, size // 512 // 40)):
        folder = fresh_copy(sound[0], tmp_path)
        os.truncate(folder / "runs.db", cut)
        kept = (folder / "runs.db").read_bytes()
        said = usable(folder)
        if not said:  # the cut went through a page that was free
            with StoreReader(folder) as reader:
                assert len(reader.jobs(1)) == 60
            continue
        (aside,) = folder.glob("runs.db.damaged-*[Z0-9]")
        assert aside.read_bytes() == kept
        assert aside.name in said[0]


def test_cut_to_nothing_it_is_a_new_store(sound, tmp_path):
    folder = fresh_copy(sound[0], tmp_path)
    os.truncate(folder / "runs.db", 0)
    assert usable(folder) == []


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_cut_of_a_killed_head_is_survived(sound, tmp_path, suffix):
    size = (sound[1] / f"runs.db{suffix}").stat().st_size
    for cut in range(0, size, 512 * max(1, size // 512 // 25)):
        folder = fresh_copy(sound[1], tmp_path)
        os.truncate(folder / f"runs.db{suffix}", cut)
        usable(folder)


def test_a_lost_wal_is_survived(sound, tmp_path):
    folder = fresh_copy(sound[1], tmp_path)
    (folder / "runs.db-wal").unlink()
    usable(folder)


@pytest.mark.parametrize("which", [0, 1])
def test_flipped_bytes_are_survived(sound, tmp_path, which):
    chance = random.Random(which)
    size = (sound[which] / "runs.db").stat().st_size
    for _ in range(60):
        folder = fresh_copy(sound[which], tmp_path)
        at, flip = chance.randrange(size), 1 << chance.randrange(8)
        with open(folder / "runs.db", "r+b") as file:
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ flip]))
        try:
            usable(folder)
        except (StoreNewer, StoreDamaged) as error:
            assert str(folder) in str(error), (at, flip)
            assert error.do


@pytest.mark.parametrize("junk", [b"\0" * 4096, b"noise" * 5000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_zeros_and_noise_are_set_aside(sound, tmp_path, junk):
    folder = fresh_copy(sound[0], tmp_path)
    (folder / "runs.db").write_bytes(junk)
    said = usable(folder)
    assert "damaged" in said[0]


def test_what_can_still_be_read_is_saved(sound, tmp_path):
    folder = fresh_copy(sound[0], tmp_path)
    connection = sqlite3.connect(folder / "runs.db")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'reasons'").fetchone()
    connection.execute("UPDATE lease SET pid = 4194303, boot = 'x', host = 'x', process_start = 1, since = 1")
    connection.commit()
    connection.close()
    with open(folder / "runs.db", "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    said = []
    store = SqliteStore.open(folder, notice=said.append)
    assert "60 of its jobs could be saved" in said[0]
    assert len(store.latest()) == 60
    assert store.next_job() == 61
    assert store.begin_run(run_start())[1] == "demo-2"
    store.close()


def test_a_newer_store_is_refused_and_not_touched(sound, tmp_path):
    folder = fresh_copy(sound[0], tmp_path)
    connection = sqlite3.connect(folder / "runs.db")
    connection.execute("PRAGMA user_version=999")
    connection.close()
    before = (folder / "runs.db").read_bytes()
    for attempt in (SqliteStore.open, StoreReader):
        with pytest.raises(StoreNewer) as caught:
            attempt(folder)
        assert caught.value.exits_with == 2
        assert "999" in str(caught.value)
        assert "version 1" in str(caught.value)
    assert (folder / "runs.db").read_bytes() == before


def test_another_programs_file_is_refused_and_not_touched(folder):
    SqliteStore.open(folder).close()
    (folder / "runs.db").unlink()
    connection = sqlite3.connect(folder / "runs.db")
    connection.execute("CREATE TABLE photos (id)")
    connection.commit()
    connection.close()
    before = (folder / "runs.db").read_bytes()
    with pytest.raises(StoreDamaged, match="another program") as caught:
        SqliteStore.open(folder)
    assert "runs.db" in caught.value.do
    with pytest.raises(StoreDamaged):
        StoreReader(folder)
    assert (folder / "runs.db").read_bytes() == before


def test_a_folder_in_its_place_is_named(folder):
    folder.mkdir(mode=0o700)
    (folder / "runs.db").mkdir()
    for attempt in (SqliteStore.open, StoreReader):
        with pytest.raises(StoreDamaged, match="is a folder"):
            attempt(folder)


def test_a_file_in_the_folders_place_is_named(folder):
    folder.write_text("")
    with pytest.raises(StoreUnwritable, match=str(folder)):
        SqliteStore.open(folder)


def test_no_store_is_no_damage(folder):
    with pytest.raises(NotFound, match="no run"):
        StoreReader(folder)
    assert not folder.exists()


AS_USER = """
import datetime, json, os, sys, zlib
import scriptflow.core.logs, scriptflow.core.records, scriptflow.core.states
from scriptflow.errors import ScriptflowError
from scriptflow.store.reader import StoreReader
from scriptflow.store.sqlite import SqliteStore
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    SqliteStore.open(sys.argv[1]).close()
    print("opened")
except ScriptflowError as error:
    print(type(error).__name__, error)
with StoreReader(sys.argv[1]) as reader:
    print(len(reader.jobs(1)), len(reader.runs()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root steps down to a plain user")
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("locked", [False, True])
def test_a_read_only_folder_is_refused_for_writing_and_read_all_the_same(sound, tmp_path, killed, locked):
    folder = fresh_copy(sound[killed], tmp_path)
    if not locked:
        (folder / "lock").unlink()
    for path in (folder, *folder.iterdir()):
        os.chown(path, 65534, 65534)
        os.chmod(path, 0o500 if path.is_dir() else 0o600 if path.name == "lock" else 0o400)
    for parent in (tmp_path, *tmp_path.parents[:3]):  # pytest's own folders, closed to others
        os.chmod(parent, 0o755)
    done = subprocess.run([sys.executable, "-c", AS_USER, folder], capture_output=True, text=True)
    refused, _, read = done.stdout.strip().rpartition("\n")
    assert refused.startswith("StoreUnwritable"), done
    assert str(folder) in refused
    # Beside a killed head lies a -wal whose newest rows nobody can read here; the rest is there.
    assert read in ({"60 1", "60 2"} if killed else {"60 1"}), done


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_a_folder_open_to_others_is_closed(folder):
    SqliteStore.open(folder).close()
    os.chmod(folder, 0o777)
    SqliteStore.open(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700
