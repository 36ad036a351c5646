"""One SQLite file: opened, moved up, written in groups."""

import sqlite3
import stat
import threading

import pytest

from scriptflow import database
from scriptflow.errors import StoreNewer
from scriptflow.writethread import WriteThread


@pytest.fixture
def steps(tmp_path):
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "0001_start.sql").write_text(
        "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT, applied INTEGER, shape INTEGER);"
        "CREATE TABLE t (a); INSERT INTO t VALUES (1);"
    )
    return folder


def opened(path):
    return database.connect(str(path), network=False, busy_s=5)


def version_of(connection):
    return connection.execute("PRAGMA user_version").fetchone()[0]


def test_an_older_file_is_copied_and_moved_up(tmp_path, steps):
    path = tmp_path / "x.db"
    connection = opened(path)
    database.migrate(connection, str(path), str(steps), application_id=7)
    assert not list(tmp_path.glob("x.db.schema-*"))
    (steps / "0002_more.sql").write_text("ALTER TABLE t ADD COLUMN b; UPDATE t SET b = a;")
    database.migrate(connection, str(path), str(steps), application_id=7)
    assert connection.execute("SELECT * FROM t").fetchall() == [(1, 1)]
    assert [row[0] for row in connection.execute("SELECT name FROM migrations")] == ["0001_start.sql", "0002_more.sql"]
    (copy,) = tmp_path.glob("x.db.schema-1-*")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    before = sqlite3.connect(copy)
    assert before.execute("SELECT * FROM t").fetchall() == [(1,)]
    before.close()
    connection.close()


def test_a_step_that_fails_leaves_the_step_before(tmp_path, steps):
    path = tmp_path / "x.db"
    (steps / "0002_bad.sql").write_text("CREATE TABLE u (a); CREATE TABLE t (a);")
    connection = opened(path)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        database.migrate(connection, str(path), str(steps), application_id=7)
    assert version_of(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'u'").fetchall() == []
    connection.close()


def test_a_newer_file_is_refused(tmp_path, steps):
    path = tmp_path / "x.db"
    connection = opened(path)
    connection.execute("PRAGMA user_version=2")
    with pytest.raises(StoreNewer, match="version 2"):
        database.migrate(connection, str(path), str(steps), application_id=7)
    connection.close()


def test_atomic_writes_all_or_nothing(tmp_path):
    connection = opened(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (a)")
    with pytest.raises(ZeroDivisionError), database.atomic(connection):
        connection.execute("INSERT INTO t VALUES (1)")
        raise ZeroDivisionError
    with database.atomic(connection):
        connection.execute("INSERT INTO t VALUES (2)")
    assert connection.execute("SELECT a FROM t").fetchall() == [(2,)]
    connection.close()


def test_a_reading_connection_writes_nothing(tmp_path):
    connection = opened(tmp_path / "a?b#c%20.db")
    connection.execute("CREATE TABLE t (a)")
    reader = database.connect_read_only(str(tmp_path / "a?b#c%20.db"))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO t VALUES (1)")
    reader.close()
    connection.close()


def test_this_machines_disks_are_local_and_unknown_ones_too(tmp_path):
    assert not database.is_network(str(tmp_path))
    assert not database.is_network("/proc")
    assert not database.is_network(str(tmp_path / "absent"))


def test_what_fails_is_kept_and_tried_again_and_a_flush_never_hangs():
    refuse = threading.Event()
    refuse.set()
    groups, failures, done = [], [], threading.Event()

    def group(items):
        if refuse.is_set():
            raise database.StoreError("full")
        groups.append(items)

    thread = WriteThread(now=lambda items: False, group=group, failed=failures.append)
    thread.put("a", done.set)
    thread.flush()
    assert isinstance(thread.error, database.StoreError)
    assert not done.is_set()
    thread.put("b")
    refuse.clear()
    assert done.wait(10)
    thread.stop()
    assert groups[0] == ["a", "b"]
    assert thread.error is None


def test_items_keep_their_order_and_many_share_a_group():
    seen, sizes = [], []

    def group(items):
        seen.extend(items)
        sizes.append(len(items))

    thread = WriteThread(now=lambda items: False, group=group, failed=seen.append)
    for number in range(5000):
        thread.put(number)
    thread.stop()
    assert seen == list(range(5000))
    assert len(sizes) < 500
