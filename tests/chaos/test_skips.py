"""Eighteen ways to change files between and during runs: a task is never skipped wrongly, and seldom run in vain."""

import contextlib
import os
import shutil
import signal
import time

import pytest
from disks import even_seconds, shared, whole_seconds
from ground import until

COPY = """
    async def flow_skip():
        await sf.Task(["sh", "-c", "echo >> ran; cat in > out"], inputs="in", outputs="out")
"""
# The first half at once, the rest when the file ``go`` is there.
HALVES = """
    async def flow_skip():
        await sf.Task(["sh", "-c", "echo $$ >> ran; head -c 4 in > out; until [ -e go ]; do sleep 0.01; done; "
                                   "[ -e bad ] && exit 1; cat in > out"], inputs="in", outputs="out")
"""
READ_FIRST = """
    async def flow_skip():
        await sf.Task(["sh", "-c", "cat in > out; echo >> ran; until [ -e go ]; do sleep 0.01; done"],
                      inputs="in", outputs="out")
"""
OLD, NEW = "first text\n", "other text\n"  # of one size
HOUR_NS = 3600 * 10**9

pytestmark = pytest.mark.parametrize("check", ["mtime", "content"])


@pytest.fixture(
    params=[
        "here",
        *(pytest.param(kind, marks=pytest.mark.long) for kind in ("times of 1 s", "times of 2 s", "shared")),
    ]
)
def ground(request, ground, tmp_path):
    """Put the ground on disks whose times are coarse, and on one that caches what it knows for a minute."""
    with contextlib.ExitStack() as stack:
        if request.param == "times of 2 s":
            ground.env |= even_seconds(tmp_path)
        elif request.param != "here":
            disk = tmp_path / "disk"
            mount = whole_seconds(disk) if "1 s" in request.param else shared(tmp_path / "server", disk, cache_s=60)
            stack.enter_context(mount)
            ground.folder = disk / "ground"
            ground.folder.mkdir()
        yield ground


@pytest.fixture
def built(ground, check):
    """A ground where ``out`` was made from ``in`` a while ago, by the file system's clock."""
    ground.env["SCRIPTFLOW_CHECK"] = check
    (ground / "in").write_text(OLD)
    ground.flow(COPY)
    assert ground.counts() == (1, 0, 0)
    return ground


def set_time(path, ns):
    os.utime(path, ns=(ns, ns))


def assert_runs(ground, *, text=NEW):
    """The next run runs the task, and the one after it does not."""
    assert ground.counts() == (1, 0, 0)
    assert (ground / "out").read_text() == text
    assert ground.counts() == (0, 1, 0)
    assert ground.litter() == []


def begin_halves(ground):
    """Start a run whose command has written half of its output; return the head and the command's process."""
    ground.flow(HALVES)
    (ground / "ran").unlink(missing_ok=True)
    head = ground.start("run")
    until(lambda: (ground / "out").exists() and (ground / "out").read_text() == NEW[:4], what="half", head=head)
    return head, int((ground / "ran").read_text())


def test_noop_nothing_changed_runs_nothing(built):
    assert built.counts() == (0, 1, 0)
    assert built.counts() == (0, 1, 0)


def test_edit_a_changed_input_runs(built):
    (built / "in").write_text("a longer text\n")
    assert_runs(built, text="a longer text\n")


def test_same_tick_an_input_as_old_as_the_output_runs(built):
    (built / "in").write_text(NEW)
    set_time(built / "in", (built / "out").stat().st_mtime_ns)
    assert_runs(built)


def test_older_input_an_input_replaced_by_an_older_one_runs(built):
    (built / "in").write_text(NEW)
    set_time(built / "in", time.time_ns() - HOUR_NS)
    assert_runs(built)


def test_same_stat_an_input_with_its_size_and_time_put_back_runs(built):
    was = (built / "in").stat().st_mtime_ns
    (built / "in").write_text(NEW)
    set_time(built / "in", was)
    assert_runs(built)


def test_symlink_retarget_an_input_that_points_elsewhere_runs(ground, check):
    ground.env["SCRIPTFLOW_CHECK"] = check
    for name, text in (("a", OLD), ("b", NEW)):
        (ground / name).write_text(text)
        set_time(ground / name, time.time_ns() - HOUR_NS)
    (ground / "in").symlink_to("a")
    ground.flow(COPY)
    assert ground.counts() == (1, 0, 0)
    (ground / "in").unlink()
    (ground / "in").symlink_to("b")
    assert_runs(ground)


def test_out_deleted_a_missing_output_is_made_again(built):
    (built / "out").unlink()
    assert_runs(built, text=OLD)


@pytest.mark.parametrize("size", [0, 5])
def test_out_truncated_a_cut_output_is_made_again_whatever_its_time(built, size):
    was = (built / "out").stat().st_mtime_ns
    os.truncate(built / "out", size)
    set_time(built / "out", was)
    assert_runs(built, text=OLD)


def test_out_edited_an_output_of_another_size_is_made_again(built):
    (built / "out").write_text("by hand, and longer\n")
    assert_runs(built, text=OLD)


@pytest.mark.parametrize("time_put_back", [False, True])
def test_out_edited_an_output_of_the_same_size_is_made_again(built, time_put_back):
    was = (built / "out").stat().st_mtime_ns
    (built / "out").write_text(NEW)
    if time_put_back:
        set_time(built / "out", was)
    assert_runs(built, text=OLD)


def test_command_changed_another_command_runs(built):
    built.flow(COPY.replace("cat in", "rev in"))
    assert_runs(built, text="txet tsrif\n")


def test_touch_a_touched_input_runs_at_most_once_and_never_by_content(built, check):
    (built / "in").touch()
    if check == "content":
        assert built.counts() == (0, 1, 0)
    else:  # within the same tick of a coarse clock nothing is to be seen, and nothing changed
        assert built.counts() in ((1, 0, 0), (0, 1, 0))
        assert built.counts() == (0, 1, 0)
        assert (built / "out").read_text() == OLD


def test_future_an_input_dated_ahead_does_not_run_for_ever(built):
    (built / "in").write_text(NEW)
    set_time(built / "in", time.time_ns() + 24 * HOUR_NS)
    assert_runs(built)
    (built / "in").write_text("and now another\n")
    assert_runs(built, text="and now another\n")


@pytest.mark.parametrize("time_put_back", [False, True])
def test_edit_during_run_an_input_changed_after_it_was_read_makes_the_result_stale(built, time_put_back):
    was = (built / "in").stat().st_mtime_ns
    (built / "ran").unlink()
    built.flow(READ_FIRST)
    head = built.start("run")
    until((built / "ran").exists, what="read", head=head)
    (built / "in").write_text(NEW)
    if time_put_back:
        set_time(built / "in", was)
    (built / "go").touch()
    head.end(0)
    assert (built / "out").read_text() == OLD
    assert_runs(built)


def test_failed_half_a_failed_command_leaves_no_output_and_runs_again(ground, check):
    ground.env["SCRIPTFLOW_CHECK"] = check
    (ground / "in").write_text(NEW)
    (ground / "bad").touch()
    head, _ = begin_halves(ground)
    (ground / "go").touch()
    head.end(1)
    assert not (ground / "out").exists()
    (ground / "bad").unlink()
    assert_runs(ground)


def test_killed_half_a_killed_command_leaves_no_output_and_runs_again(ground, check):
    ground.env["SCRIPTFLOW_CHECK"] = check
    (ground / "in").write_text(NEW)
    head, pid = begin_halves(ground)
    os.kill(pid, signal.SIGKILL)
    head.end(1)
    assert not (ground / "out").exists()
    (ground / "go").touch()
    assert_runs(ground)


def test_failed_half_2nd_a_failed_second_command_never_passes_for_the_first(built):
    (built / "in").write_text(NEW)
    (built / "bad").touch()
    head, _ = begin_halves(built)
    (built / "go").touch()
    head.end(1)
    assert not (built / "out").exists()
    (built / "bad").unlink()
    assert_runs(built)


def test_killed_half_2nd_a_killed_second_command_never_passes_for_the_first(built):
    (built / "in").write_text(NEW)
    head, pid = begin_halves(built)
    os.kill(pid, signal.SIGKILL)
    head.end(1)
    assert not (built / "out").exists()
    (built / "go").touch()
    assert_runs(built)


def test_failed_half_2nd_going_back_to_the_first_input_runs(built):
    """The record of the first result is no excuse: the output is not there, or not what it was."""
    (built / "in").write_text(NEW)
    (built / "bad").touch()
    head, _ = begin_halves(built)
    (built / "go").touch()
    head.end(1)
    built.flow(COPY)
    (built / "in").write_text(OLD)
    assert_runs(built, text=OLD)


def test_two_heads_at_once_run_a_command_once(ground, check):
    ground.env["SCRIPTFLOW_CHECK"] = check
    (ground / "in").write_text(NEW)
    head, _ = begin_halves(ground)
    told = ground.call("run", code=75)
    assert str(head.pid) in told
    (ground / "go").touch()
    head.end(0)
    assert len((ground / "ran").read_text().splitlines()) == 1
    assert ground.counts() == (0, 1, 0)


def test_a_copied_tree_with_its_times_runs_nothing(built):
    other = built.folder.parent / "other"
    shutil.copytree(built.folder, other, symlinks=True)
    built.folder.rename(built.folder.parent / "away")
    other.rename(built.folder)
    assert built.counts() == (0, 1, 0)
