"""Scarce machines and strange files: a clear error or a working run, never a hang or a half-made file."""

import contextlib
import os
import shutil
import stat
import subprocess
import time

import pytest
from disks import even_seconds, small, whole_seconds
from ground import as_user, until
from point import command

MANY = """
    async def flow_many():
        await sf.bag(*(sf.Task(["sh", "-c", "echo %d > out-%d; exec sleep 0.05" % (n, n)], outputs="out-%d" % n)
                       for n in range({count})))
"""


def assert_many(ground, count):
    assert all((ground / f"out-{n}").read_text() == f"{n}\n" for n in range(count))
    ground.assert_sound()
    ground.assert_no_process()
    assert ground.counts() == (0, count, 0)


# --- scarce ---


def test_500_tasks_with_64_descriptors_are_all_done(ground):
    ground.flow(MANY.format(count=500))
    ground.run("-q", "-j", "100", before=["prlimit", "--nofile=64"])
    assert_many(ground, 500)


def test_tasks_with_20_processes_for_the_user_are_all_done(ground):
    user = as_user(65501)
    ground.flow(MANY.format(count=60))
    ground.give_to(65501)
    nobody = ["prlimit", "--nproc=20", *user]
    told = ground.run("-j", "40", before=nobody)
    assert "no room for another process" in told
    assert_many(ground, 60)


def test_a_head_with_little_memory_works_or_says_so(ground):
    ground.flow(MANY.format(count=100))
    ground.run("-q", before=["prlimit", "--as=400000000"])
    assert_many(ground, 100)


def test_a_task_that_eats_all_its_memory_fails_alone(ground):
    ground.flow("""
        async def flow_memory():
            words = "ulimit -v 200000; python3 -c 'x = bytearray(10**9)'"
            eats = sf.Task(words, shell=True, outputs="never", name="eats")
            rest = [sf.Task("echo > out-%d" % n, shell=True, outputs="out-%d" % n) for n in range(10)]
            await sf.bag(eats, *rest)
    """)
    assert "MemoryError" in ground.call("run", code=1)
    assert ground.counts(code=1) == (0, 10, 1)


def test_a_command_that_is_too_long_fails_alone_with_its_reason(ground):
    ground.flow("""
        async def flow_long():
            long = sf.Task(["true", "x" * 3_000_000], outputs="never", name="long")
            await sf.bag(long, sf.Task("touch out", outputs="out"))
    """)
    told = ground.run(code=1)
    assert "3000006 bytes is longer than the system takes" in told, told[-500:]
    assert (ground / "out").exists()


# --- time ---


@pytest.mark.parametrize("shift", ["-2h", "+2h"])
def test_a_clock_that_was_set_between_runs_skips_nothing_wrongly(ground, shift):
    if not shutil.which("faketime"):
        pytest.skip("faketime is not here: apt-get install faketime")
    (ground / "in").write_text("one\n")
    ground.flow('async def flow_time(): await sf.Task("cp in out", inputs="in", outputs="out")')
    ground.run()
    (ground / "in").write_text("two\n")
    assert ground.counts(before=["faketime", "-f", shift]) == (1, 0, 0)
    assert (ground / "out").read_text() == "two\n"
    assert ground.counts() == (0, 1, 0)
    assert all(run["ended"] >= run["started"] for run in ground.answer("runs"))


def test_a_command_that_dates_its_output_ahead_is_not_run_for_ever(ground):
    (ground / "in").write_text("one\n")
    ground.flow(
        'async def flow_time(): await sf.Task("cp in out; touch -d +1hour out", shell=True, inputs="in", outputs="out")'
    )
    assert ground.counts() == (1, 0, 0)
    assert ground.counts() == (0, 1, 0)
    (ground / "in").write_text("two\n")
    assert ground.counts() == (1, 0, 0)
    assert (ground / "out").read_text() == "two\n"


@pytest.mark.parametrize("tick", ["1 s", "2 s"])
def test_an_edit_in_the_same_tick_runs_where_times_are_coarse(ground, tick, tmp_path):
    with contextlib.ExitStack() as stack:
        if tick == "1 s":
            stack.enter_context(whole_seconds(ground.folder))
        else:
            ground.env |= even_seconds(tmp_path)
        ground.flow('async def flow_time(): await sf.Task("cp in out", inputs="in", outputs="out")')
        for n in range(10):
            (ground / "in").write_text(f"{n}\n")
            assert ground.counts() == (1, 0, 0), n
            assert (ground / "out").read_text() == f"{n}\n"
        assert ground.counts() == (0, 1, 0)


# --- files ---

WAITS = """
    async def flow_files():
        await sf.Task(["sh", "-c", "cat in > out || exit 1; echo > up; until [ -e go ]; do sleep 0.01; done"],
                      inputs="in", outputs="out", name="waits")
"""


@pytest.mark.parametrize("how", ["removed", "replaced by a rename", "replaced by a folder"])
def test_an_input_that_goes_while_a_command_runs_makes_the_result_stale(ground, how):
    (ground / "in").write_text("old\n")
    ground.flow(WAITS)
    head = ground.start("run")
    until((ground / "up").exists, what="the task", head=head)
    if how == "replaced by a rename":
        (ground / "new").write_text("new\n")
        (ground / "new").rename(ground / "in")
    else:
        (ground / "in").unlink()
        if how == "replaced by a folder":
            (ground / "in").mkdir()
    (ground / "go").touch()
    told = head.end()
    assert "Traceback" not in told
    if how == "replaced by a rename":
        assert ground.counts() == (1, 0, 0)
        assert (ground / "out").read_text() == "new\n"
    else:
        assert ground.start("run").end() is not None
        assert ground.heads[-1].wait() != 0, "a task whose input is gone was said to be fine"


def test_an_output_that_is_a_link_is_made_and_kept(ground):
    (ground / "in").write_text("one\n")
    ground.flow(
        'async def flow_link(): await sf.Task("cp in real; ln -sf real out", shell=True, inputs="in", outputs="out")'
    )
    assert ground.counts() == (1, 0, 0)
    assert ground.counts() == (0, 1, 0)
    (ground / "in").write_text("two!\n")
    assert ground.counts() == (1, 0, 0)
    assert (ground / "out").is_symlink()
    assert (ground / "out").read_text() == "two!\n"
    (ground / "real").write_text("by hand\n")
    assert ground.counts()[0] == 1


def test_an_old_output_that_links_elsewhere_is_set_aside_and_its_target_left_alone(ground):
    (ground / "precious").write_text("precious\n")
    (ground / "out").symlink_to("precious")
    ground.flow('async def flow_link(): await sf.Task("echo new > out; exit 1", shell=True, outputs="out")')
    ground.run("--force", "*", code=1)
    assert (ground / "precious").read_text() == "precious\n"


def test_a_dangling_link_is_a_missing_output(ground):
    ground.flow('async def flow_link(): await sf.Task("ln -s nowhere out", shell=True, outputs="out")')
    told = ground.run(code=1)
    assert "out" in told


def test_a_pipe_as_an_output_never_hangs(ground):
    os.mkfifo(ground / "out")
    ground.flow('async def flow_pipe(): await sf.Task(["true"], outputs="out")')
    told = ground.start("run").end(limit=15)
    assert "Traceback" not in told
    ground.flow('async def flow_pipe(): await sf.Task(["mkfifo", "out-2"], outputs="out-2")')
    told = ground.start("run").end(limit=15)
    assert "Traceback" not in told


def test_a_pipe_as_an_input_never_hangs(ground):
    os.mkfifo(ground / "in")
    ground.flow('async def flow_pipe(): await sf.Task(["touch", "out"], inputs="in", outputs="out")')
    for check in ("mtime", "content"):
        told = ground.start("run", "--check", check).end(limit=15)
        assert "Traceback" not in told


def test_a_device_as_an_output_is_refused_and_stays(ground):
    """A device of the test's own: one of the machine's would be moved away if this failed."""
    try:
        os.mknod(ground / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device needs root")
    ground.flow('async def flow_device(): await sf.Task("echo > device; exit 1", shell=True, outputs="device")')
    told = ground.start("run", "--force", "*").end(limit=15)
    assert "Traceback" not in told
    assert stat.S_ISCHR((ground / "device").lstat().st_mode), told


def test_a_folder_as_an_output_is_made_again_when_a_file_of_it_goes(ground):
    ground.flow("""
        async def flow_folder():
            await sf.Task("mkdir out; echo a > out/a; echo b > out/b", shell=True, outputs=sf.directory("out/"))
            await sf.Task("cat out/* > all", shell=True, inputs=sf.directory("out/"), outputs="all")
    """)
    assert ground.counts() == (2, 0, 0)
    assert ground.counts() == (0, 2, 0)
    (ground / "out/b").unlink()
    assert ground.counts()[0] >= 1
    assert (ground / "all").read_text() == "a\nb\n"
    assert ground.litter() == []


def test_a_folder_half_made_by_a_killed_head_is_made_again(ground):
    ground.flow("""
        async def flow_folder():
            await sf.Task("mkdir out; echo a > out/a; [ -e go ] || sleep 99; echo b > out/b", shell=True,
                          outputs=sf.directory("out/"))
    """)
    head = ground.start("run")
    until((ground / "out/a").exists, what="half a folder", head=head)
    head.kill()
    (ground / "go").touch()
    ground.run()
    assert sorted(os.listdir(ground / "out")) == ["a", "b"]
    assert ground.litter() == []


def test_an_output_on_another_disk_is_set_aside_there(ground):
    with small(ground / "disk", "1m"):
        (ground / "in").write_text("one\n")
        (ground / "out").symlink_to("disk")
        ground.flow('async def flow_disk(): await sf.Task("cp in out/x", inputs="in", outputs="out/x")')
        assert ground.counts() == (1, 0, 0)
        (ground / "in").write_text("two\n")
        assert ground.counts() == (1, 0, 0)
        assert (ground / "disk/x").read_text() == "two\n"
        assert os.listdir(ground / "disk") == ["x"]


@pytest.mark.parametrize(
    "outputs", ["['out', './out']", "['out', 'sub/../out']", "['in']", "'.'", "['.scriptflow/runs.db']"]
)
def test_outputs_that_make_no_sense_are_refused_and_nothing_runs(ground, outputs):
    (ground / "in").write_text("in\n")
    (ground / "sub").mkdir()
    ground.flow(f"""
        async def flow_outputs():
            await sf.bag(*(sf.Task(["sh", "-c", "echo >> ran; : %d" % n], inputs="in", outputs=out, name="t%d" % n)
                           for n, out in enumerate({outputs if outputs.startswith("[") else [outputs]})))
    """)
    head = ground.start("run")
    told = head.end()
    assert "Traceback" not in told, told
    assert head.returncode != 0, told
    assert (ground / "in").read_text() == "in\n"


# --- logs ---


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    "what", ["head -c 200000000 /dev/zero", "head -c 20000000 /dev/urandom", "yes | head -c 50000000"]
)
def test_a_huge_log_takes_no_memory_of_the_head(ground, what):
    ground.flow(f"""
        async def flow_log():
            words = "{what}; until [ -e go ]; do sleep 0.01; done; exit 1"
            await sf.Task(words, shell=True, outputs="out", name="talks")
    """)
    head = ground.start("run")
    log = ground / ".scriptflow/logs/log-1/talks.1.log"
    until(lambda: log.exists() and log.stat().st_size >= 20_000_000, what="the log", head=head)
    (ground / "go").touch()
    peak = 0
    while head.poll() is None:
        try:
            peak = max(peak, rss_kb(head.pid))
        except (OSError, StopIteration):
            break
        time.sleep(0.02)
    told = head.end(1)
    assert peak < 80_000
    assert "Traceback" not in told
    assert len(told) < 100_000
    assert all(char.isprintable() or char == "\n" for char in told), "raw bytes on the screen"


def test_a_sparse_log_of_5_gb_is_shown_by_its_end(ground):
    ground.flow("""
        async def flow_log():
            await sf.Task("truncate -s 5G /dev/stdout; echo; echo the end; exit 1", shell=True, name="big")
    """)
    began = time.monotonic()
    told = ground.run(code=1, limit=20)
    assert "the end" in told
    assert time.monotonic() - began < 5


def test_a_log_of_5_gb_is_read_from_its_end_in_little_memory(ground):
    ground.flow("""
        async def flow_log():
            await sf.Task("truncate -s 5G /dev/stdout; echo; echo the end", shell=True, name="big")
    """)
    little = ["prlimit", "--as=400000000"]
    ground.run(before=little)
    assert (ground / ".scriptflow/logs/log-1/big.1.log").stat().st_size > 5 << 30
    assert ground.call("logs", "-n", "1", "big", before=little, limit=20).endswith("the end\n")


TALK = "\\033[2J\\033]0;title\\007\\033[31mred \\xff\\xfe \\342\\200\\256 no newline"


def test_what_a_job_says_reaches_the_log_as_it_is_and_the_screen_as_text(ground):
    ground.flow(f"""
        async def flow_log():
            await sf.Task(["printf", {TALK!r}], name="talks")
            await sf.Task("printf '{TALK}'; exit 1", shell=True, name="fails")
    """)
    told = ground.run(code=1)
    raw = (ground / ".scriptflow/logs/log-1/talks.1.log").read_bytes()
    assert raw.startswith(b"\x1b[2J\x1b]0;title\x07")
    assert raw.endswith(b"no newline")
    on_terminal = ["script", "-qec", 'exec "$SCRIPTFLOW" logs talks', "/dev/null"]
    shown = subprocess.run(
        on_terminal, cwd=ground.folder, env=ground.env | {"SCRIPTFLOW": command()[0]}, capture_output=True, text=True
    ).stdout
    for text in (told, shown):
        assert "no newline" in text, text
        assert not set(text) & {"\x1b", "\x07", "\u202e"}, ascii(text)


def test_a_command_that_closes_its_output_ends_well(ground):
    ground.flow('async def flow_log(): await sf.Task("exec >&- 2>&-; touch out", shell=True, outputs="out")')
    ground.run()


def test_a_head_whose_screen_is_closed_goes_on(ground):
    ground.flow(MANY.format(count=20))
    ground.run(before=["sh", "-c", 'exec "$@" >&- 2>&-', "sh"])
    assert_many(ground, 20)


def test_a_head_whose_screen_is_full_goes_on(ground):
    ground.flow(MANY.format(count=20))
    ground.run(before=["sh", "-c", 'exec "$@" >/dev/full 2>/dev/full', "sh"])
    assert_many(ground, 20)


def test_a_head_whose_screen_is_a_closed_pipe_goes_on(ground):
    ground.flow(MANY.format(count=20))
    ground.call("run", before=["bash", "-c", 'set -o pipefail; "$@" 2>&1 | true', "sh"], code=None)
    assert_many(ground, 20)


def test_a_command_that_reads_its_input_ends(ground):
    ground.flow('async def flow_stdin(): await sf.Task("cat > out", shell=True, outputs="out")')
    ground.run(limit=10)
