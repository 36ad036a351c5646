"""Whatever becomes of the store: the flow is refused with the next step, or runs on, and never takes stale for new."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess

import pytest
from ground import as_user, until

STEPS = 12
SAMPLE = int(os.environ.get("CHAOS_STORE_SAMPLE", "40"))  # 0: every place
FLOW = """
    async def flow_store():
        await sf.bag(*(sf.Task(["sh", "-c", "echo %d >> ran; cat in-%d > out-%d" % (n, n, n)], inputs="in-%d" % n,
                               outputs="out-%d" % n, name="t%d" % n) for n in range({steps})))
"""


@pytest.fixture
def built(ground):
    """A ground whose outputs were made a while ago, and whose store was closed cleanly."""
    ground.flow(FLOW.format(steps=STEPS))
    for n in range(STEPS):
        (ground / f"in-{n}").write_text(f"old {n}\n")
        os.utime(ground / f"in-{n}", (1_700_000_000, 1_700_000_000))
    ground.run("-q")
    return ground


def keep_wal(ground):
    """Kill a head during its run, so that the newest records are in the WAL alone; return the number of its outputs."""
    waits = "[ %d -lt 6 ] || until [ -e go ]; do sleep 0.01; done; cat in"
    ground.flow(FLOW.format(steps=STEPS).replace("cat in", waits).replace("% (n, n, n)", "% (n, n, n, n)"))
    head = ground.start("run", "-j", str(STEPS))
    until(lambda: head.told().count(" ok ") >= 6, what="six ends shown, hence on record", head=head)
    head.kill()
    head.wait()
    ground.assert_no_process()
    (ground / "go").touch()
    assert (ground / ".scriptflow/runs.db-wal").stat().st_size > 0


def snapshot(ground):
    return {path.name: path.read_bytes() for path in (ground / ".scriptflow").glob("runs.db*")}


def restore(ground, files):
    for path in (ground / ".scriptflow").glob("runs.db*"):
        path.unlink()
    for name, data in files.items():
        (ground / ".scriptflow" / name).write_bytes(data)


def assert_copes(ground, damage):
    """After the damage, edit one input as old as the rest; the next run must notice, or refuse with the next step."""
    (ground / "in-0").write_text(f"new {damage} 0\n")
    head = ground.start("run")
    told = head.end()
    assert "Traceback" not in told, (damage, told)
    if head.returncode == 0:
        for n in range(STEPS):
            assert (ground / f"out-{n}").read_text() == (ground / f"in-{n}").read_text(), (damage, n, told)
        assert ground.counts() == (0, STEPS, 0), damage
        assert ground.litter() == [], damage
    else:
        assert head.returncode in (1, 2, 75), (damage, told)
        assert "runs.db" in told, (damage, told)
        assert "help:" in told, (damage, told)
    return head.returncode, told


def places(size, step=512):
    every = list(range(0, size, step))
    return every if SAMPLE == 0 or len(every) <= SAMPLE else sorted(random.Random(size).sample(every, SAMPLE))


def is_kept(ground, damaged, told):
    """Whether the damaged store was set aside with its bytes, and the user told where."""
    aside = [path for path in (ground / ".scriptflow").glob("*.damaged-*") if path.name.startswith("runs.db.damaged")]
    for path in aside:
        if path.read_bytes() == damaged:
            return path.name in told
    return False


@pytest.mark.timeout(900)
def test_a_cut_store_is_set_aside_or_whole(built):
    files = snapshot(built)
    for size in places(len(files["runs.db"])):
        cut = files["runs.db"][:size]
        restore(built, files | {"runs.db": cut})
        code, told = assert_copes(built, f"cut to {size}")
        assert code == 0, (size, told)
        if size and not is_kept(built, cut, told):
            built.assert_sound()
        for path in (built / ".scriptflow").glob("*.damaged-*"):
            path.unlink()


@pytest.mark.timeout(900)
def test_a_cut_wal_is_a_shorter_past(built):
    """What a power cut leaves: commits that did not reach the disk are as if they had not been."""
    keep_wal(built)
    files = snapshot(built)
    outputs = {f"out-{n}": (built / f"out-{n}").read_bytes() for n in range(6)}
    for size in places(len(files["runs.db-wal"])):
        restore(built, files | {"runs.db-wal": files["runs.db-wal"][:size]})
        for name, data in outputs.items():
            (built / name).write_bytes(data)
        (built / "out-7").write_text("half")
        code, told = assert_copes(built, f"WAL cut to {size}")
        assert code == 0, (size, told)
        assert not list((built / ".scriptflow").glob("*.damaged-*")), (size, told)


@pytest.mark.timeout(900)
def test_a_flipped_byte_never_lets_stale_pass(built):
    files = snapshot(built)
    rng = random.Random(5)
    for _ in range(SAMPLE or 200):
        data = bytearray(files["runs.db"])
        place = rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
        restore(built, files | {"runs.db": bytes(data)})
        assert_copes(built, f"flip at {place}")
        for path in (built / ".scriptflow").glob("*.damaged-*"):
            path.unlink()


@pytest.mark.parametrize("kind", ["zeros", "noise", "text", "empty"])
def test_a_store_of_other_content_is_set_aside_with_its_bytes(built, kind):
    size = (built / ".scriptflow/runs.db").stat().st_size
    data = {"zeros": bytes(size), "noise": random.Random(3).randbytes(size), "text": b"a note\n", "empty": b""}[kind]
    (built / ".scriptflow/runs.db").write_bytes(data)
    code, told = assert_copes(built, kind)
    assert code == 0
    assert kind == "empty" or is_kept(built, data, told), told


def test_a_damaged_store_is_told_of_even_when_quiet(built):
    (built / ".scriptflow/runs.db").write_bytes(b"a note")
    assert "damaged" in built.run("-q")


def test_a_missing_wal_never_lets_stale_pass(built):
    keep_wal(built)
    (built / ".scriptflow/runs.db-wal").unlink()
    assert_copes(built, "no WAL")


def test_a_foreign_database_is_refused_and_left_alone(built):
    path = built / ".scriptflow/runs.db"
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
        other.commit()
    data = path.read_bytes()
    code, told = assert_copes(built, "foreign")
    assert path.read_bytes() == data or is_kept(built, data, told), (code, told)


def test_a_newer_schema_is_refused_untouched(built):
    with contextlib.closing(sqlite3.connect(built / ".scriptflow/runs.db")) as rows:
        rows.execute("PRAGMA user_version = 999")
        rows.execute("UPDATE migrations SET version = 999 WHERE version = (SELECT max(version) FROM migrations)")
        rows.commit()
    files = snapshot(built)
    told = built.run(code=2)
    assert "newer" in told
    assert "help:" in told
    assert snapshot(built)["runs.db"] == files["runs.db"]
    for words in (["runs"], ["status"], ["show", "t1"], ["logs", "t1"]):
        head = built.start(*words)
        assert "Traceback" not in head.end()


@pytest.mark.parametrize("name", ["runs.db", "runs.db-wal", "lock"])
def test_a_folder_in_the_place_of_a_file_is_refused_with_the_next_step(built, name):
    path = built / ".scriptflow" / name
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "mine").write_text("mine")
    head = built.start("run")
    told = head.end()
    assert "Traceback" not in told, told
    if head.returncode:
        assert head.returncode in (1, 2), told
        assert name in told
        assert "help:" in told
    kept = list((built / ".scriptflow").rglob("mine"))
    assert kept
    assert kept[0].read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused_with_the_next_step(built):
    shutil.rmtree(built / ".scriptflow")
    (built / ".scriptflow").write_text("mine")
    told = built.run(code=2)
    assert ".scriptflow" in told
    assert "help:" in told
    assert (built / ".scriptflow").read_text() == "mine"


@pytest.mark.parametrize("name", [".scriptflow", ".scriptflow/runs.db", ".scriptflow/lock", ".scriptflow/logs", "."])
@pytest.mark.parametrize("mode", ["000", "read-only"])
def test_no_permission_is_said_in_one_line_before_anything_runs(built, name, mode):
    user = as_user(65534)
    built.give_to(65534)
    path = built.folder / name
    was = path.stat().st_mode
    (built / "in-0").write_text("new\n")
    os.chown(built / "in-0", 65534, 65534)
    path.chmod(0 if mode == "000" else was & 0o555)
    ran = (built / "ran").read_text()
    try:
        head = built.start("-C", str(built.folder), "run", before=user, cwd="/")
        told = head.end()
    finally:
        path.chmod(was)
    assert "Traceback" not in told, told
    assert (built / "ran").read_text() == ran or head.returncode == 0, told
    if head.returncode == 0:  # a file that a good end did not need
        assert (built / "out-0").read_text() == "new\n"
    else:
        assert "ermission" in told, told
        assert head.returncode == (1 if name == "." and mode == "read-only" else 2), told


def test_reading_commands_work_for_a_user_who_may_only_read(built):
    nobody = as_user(65533)
    built.give_to(65534)
    for path in [built / ".scriptflow", *(built / ".scriptflow").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    (built / ".scriptflow").chmod(0o555)
    for words in (["runs"], ["status"], ["show", "t1"], ["list"], ["plan"]):
        told = built.call(*words, before=nobody)
        assert "Traceback" not in told


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_lock_of_another_program_is_waited_out(built, how):
    with contextlib.closing(sqlite3.connect(built / ".scriptflow/runs.db", isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        (built / "in-0").write_text("newer\n")
        head = built.start("run")
        until(lambda: "waiting" in head.told() or "locked" in head.told() or head.poll() is not None, what="a word")
        other.execute("ROLLBACK")
        head.end(0)
    assert (built / "out-0").read_text() == "newer\n"


@pytest.mark.long
def test_a_lock_that_stays_gives_75(built):
    with contextlib.closing(sqlite3.connect(built / ".scriptflow/runs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        told = built.run(code=75, limit=50)
    assert "locked" in told


def test_a_lost_store_together_with_cut_outputs_takes_no_cut_file_for_done(ground):
    """The marker beside each output in flight outlives the store."""
    ground.flow("""
        async def flow_lost():
            words = "echo half > out-%d; [ -e go ] || sleep 99; echo all > out-%d"
            await sf.bag(*(sf.Task(["sh", "-c", words % (n, n)], outputs="out-%d" % n) for n in range(8)))
    """)
    head = ground.start("run", "-j", "8")
    until(lambda: all((ground / f"out-{n}").exists() and (ground / f"out-{n}").read_text() for n in range(8)),
          what="eight halves", head=head)  # fmt: skip
    head.kill()
    head.wait()
    ground.assert_no_process()
    shutil.rmtree(ground / ".scriptflow")
    (ground / "go").touch()
    assert ground.counts()[0] == 8
    assert all((ground / f"out-{n}").read_text() == "all\n" for n in range(8))
    assert ground.counts() == (0, 8, 0)
    assert ground.litter() == []


def test_a_lost_store_means_the_rule_of_make_and_no_more(built):
    shutil.rmtree(built / ".scriptflow")
    assert built.counts() == (0, STEPS, 0)
    shutil.rmtree(built / ".scriptflow")
    (built / "in-3").write_text("newer\n")
    assert built.counts() == (1, STEPS - 1, 0)
    assert (built / "out-3").read_text() == "newer\n"


def test_a_store_put_back_from_a_backup_takes_no_newer_output_for_its_own(built):
    files = snapshot(built)
    (built / "in-0").write_text("second\n")
    built.run()
    (built / "in-0").write_text("third!\n")
    built.run()
    restore(built, files)
    assert built.counts()[0] == 1
    assert (built / "out-0").read_text() == "third!\n"


def test_a_store_that_vanishes_during_a_run_stops_it(ground):
    ground.flow("""
        async def flow_gone():
            await sf.Task(["sh", "-c", "echo > pid; until [ -e go ]; do sleep 0.01; done; echo > out"], outputs="out")
            await sf.Task(["sh", "-c", "echo > out-2"], outputs="out-2")
    """)
    head = ground.start("run")
    until((ground / "pid").exists, what="the task", head=head)
    shutil.rmtree(ground / ".scriptflow")
    (ground / "go").touch()
    told = head.end(limit=20)
    assert "Traceback" not in told, told
    ground.assert_no_process()
    ground.run()
    assert (ground / "out-2").exists()


def test_a_killed_upgrade_of_the_store_leaves_the_old_one(built):
    """A head killed at its very first instants: the store is one that the next can open."""
    for delay in range(1, 13):
        head = built.start("run")
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(delay / 100)
        head.send_signal(signal.SIGKILL)
        head.wait()
    assert built.counts() == (0, STEPS, 0)
    built.assert_sound()
