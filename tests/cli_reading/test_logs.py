import json
import os
import pty
import re
import resource
import subprocess
import sys

import pytest


@pytest.fixture
def failed(head):
    head.begin()
    head.did("good", log=b"all is well\n")
    head.fail(head.start("bad-1", log=b"one\ntwo\nLinAlgError: Singular matrix\n"))
    head.fail(head.start("bad-2", log=b"".join(b"line %d\n" % n for n in range(300))), code=3)
    head.finish("failed", ran=3, failed=2)
    return head


def on_terminal(cli, *words):
    """Run a command with a terminal for stdout; return what it shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "scriptflow", *words], cwd=cli.folder, env=cli.env, stdout=theirs
    ) as run:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # how a terminal says that nobody writes to it any more
            pass
        assert run.wait(20) == 0
    os.close(ours)
    return shown.decode()


def test_where_nothing_was_run_logs_is_an_error(cli):
    assert "error[not-found]" in cli("logs", code=2).talk
    assert "error[not-found]" in cli("logs", "solve-1", code=2).talk


def test_without_a_name_the_failed_ones_of_the_last_run_are_printed(cli, failed):
    done = cli("logs")
    assert "Singular matrix" in done.text
    assert "all is well" not in done.text
    assert done.talk.count("==> ") == 2
    assert re.search(r"==> bad-1 +demo-1 +exit 1, attempt 1, \.scriptflow/logs/demo-1/bad-1\.1\.log", done.talk)


def test_of_several_logs_the_last_lines_are_printed_and_it_says_so(cli, failed):
    done = cli("logs")
    assert "line 200\n" in done.text
    assert "line 199\n" not in done.text
    assert "the last 100 lines" in done.talk
    assert cli("logs", "bad-*", "-n", "300").text.count("line ") == 300


def test_of_one_log_all_is_printed_byte_for_byte(cli, head):
    odd = b"\x1b[31mred\xff\x00\r\nno end"
    head.begin()
    head.did("odd", log=odd)
    head.finish()
    done = cli("logs", "odd")
    assert done.stdout == odd
    assert done.talk == ""


def test_on_a_terminal_the_bytes_are_signs(cli, head):
    head.begin()
    head.did("odd", log=b"\x1b[31mred\xff\x00\n10%\r100%\nno end")
    head.finish()
    shown = on_terminal(cli, "logs", "odd")
    assert "\x1b" not in shown
    assert "␛[31mred\ufffd␀" in shown
    assert "10%" not in shown.replace("100%", "")
    assert shown.endswith("no end\r\n")


def test_the_last_lines_only(cli, failed):
    assert cli("logs", "bad-2", "-n", "2").text == "line 298\nline 299\n"


def test_grep_keeps_matching_lines(cli, failed):
    assert cli("logs", "bad-2", "--grep", r"line 2\d$").text.splitlines() == [f"line {n}" for n in range(20, 30)]
    assert cli("logs", "bad-2", "--grep", "line", "-n", "1").text == "line 299\n"
    assert "error[usage]" in cli("logs", "bad-2", "--grep", "(", code=2).talk


def test_path_prints_where_the_logs_lie(cli, failed):
    paths = cli("logs", "--path").text.splitlines()
    assert [os.path.basename(path) for path in paths] == ["bad-1.1.log", "bad-2.1.log"]
    assert all(os.path.isfile(path) for path in paths)


def test_a_run_may_stand_for_its_failed_tasks(cli, failed):
    failed.begin()
    failed.finish(ran=1)
    done = cli("logs")
    assert done.text == ""
    assert "no task failed in demo-2" in done.talk
    assert "Singular matrix" in cli("logs", "demo-1").text
    assert "Singular matrix" in cli("logs", "--run", "demo-1").text


def test_the_attempt_can_be_chosen(cli, head):
    head.begin()
    head.fail(head.start("fit", log=b"first\n"))
    head.end(head.start("fit", attempt=2, log=b"second\n"))
    head.finish()
    assert cli("logs", "fit").text == "second\n"
    assert cli("logs", "fit", "--attempt", "1").text == "first\n"
    assert "no attempt 7" in cli("logs", "fit", "--attempt", "7", code=2).talk


def test_failed_narrows_a_pattern(cli, failed):
    assert cli("logs", "*", "--failed", "--path").text.count("bad-") == 2
    assert "good" not in cli("logs", "*", "--failed", "--path").text


def test_a_log_that_is_gone_is_named(cli, failed):
    os.unlink(cli("logs", "good", "--path").text.strip())
    done = cli("logs", "good", code=2)
    assert "error[not-found]" in done.talk
    assert "good.1.log" in done.talk
    done = cli("logs", "*")
    assert "log of good cannot be read" in done.talk
    assert "Singular matrix" in done.text


def test_logs_as_json(cli, failed):
    doc = json.loads(cli("logs", "--json", "-n", "1").text)
    assert doc["schema"] == 1
    assert [(log["task"], log["lines"], log["truncated"]) for log in doc["logs"]] == [
        ("bad-1", ["LinAlgError: Singular matrix"], True), ("bad-2", ["line 299"], True),
    ]  # fmt: skip


def test_follow_prints_what_is_written_until_the_job_ends(cli, head):
    head.begin()
    start = head.start("slow", log=b"begun\n")
    with subprocess.Popen(
        [sys.executable, "-m", "scriptflow", "logs", "-f"],
        cwd=cli.folder, env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as follower:  # fmt: skip
        line = follower.stdout.readline()
        assert line == "begun\n", follower.stderr.read()
        with open(start.log, "a") as log:
            log.write("more\n")
        assert follower.stdout.readline() == "more\n"
        with open(start.log, "a") as log:
            log.write("end")
        head.fail(start)
        assert follower.stdout.read() == "end"
        assert "slow: exit 1" in follower.stderr.read()
        assert follower.wait(20) == 0


def test_follow_waits_for_a_log_that_is_not_there_yet(cli, head):
    head.begin()
    start = head.start("slow", log=None)
    with subprocess.Popen(
        [sys.executable, "-m", "scriptflow", "logs", "slow", "-f"], cwd=cli.folder, env=cli.env, stdout=subprocess.PIPE
    ) as follower:
        with open(start.log, "w") as log:
            log.write("begun\n")
        assert follower.stdout.readline() == b"begun\n"
        head.end(start)
        assert follower.wait(20) == 0


def test_follow_takes_one_task(cli, failed):
    assert "only one log can be followed" in cli("logs", "bad-*", "-f", code=2).talk
    assert "no task is running" in cli("logs", "-f", code=2).talk


def test_follow_of_an_ended_task_prints_it_and_ends(cli, failed):
    assert cli("logs", "good", "-f").text == "all is well\n"


def test_a_huge_log_needs_little_memory(cli, head):
    head.begin()
    start = head.start("huge")
    with open(start.log, "wb") as log:  # sparse: 5 GB of NULs, which is one line, and an end
        log.seek(5 * 1024**3)
        log.write(b"\nthe end\n")
    head.end(start)
    head.finish()

    def little():
        resource.setrlimit(resource.RLIMIT_AS, (1024**3, 1024**3))

    done = subprocess.run(
        [sys.executable, "-m", "scriptflow", "logs", "huge", "-n", "1"],
        cwd=cli.folder, env=cli.env, capture_output=True, timeout=60, preexec_fn=little, check=True,
    )  # fmt: skip
    assert done.stdout == b"the end\n"


def test_a_reader_that_goes_away_is_no_error(cli, head):
    head.begin()
    head.did("long", log=b"x" * 80 + b"\n" + b"y\n" * 2_000_000)
    head.finish()
    done = subprocess.run(
        f"{sys.executable} -m scriptflow logs long | head -n 1",
        shell=True, cwd=cli.folder, env=cli.env, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == b"x" * 80 + b"\n"
    assert done.stderr == b""
