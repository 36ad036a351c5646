"""The wrapper writes the truth in every shell: dash, bash, busybox."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptflow.core.job import Job
from scriptflow.hpc import script

WRAPPER = Path(script.__file__).with_name("wrapper.sh")
SHELLS = [["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]]


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request):
    if not shutil.which(request.param[0]):
        pytest.skip(f"no {request.param[0]} here: apt-get install {request.param[0]}")
    return request.param


class Wrapped:
    """A job's folder, and the wrapper in it under one shell."""

    def __init__(self, shell, folder, *argv, **changes):
        self.shell, self.folder = shell, folder
        prologue = changes.pop("prologue", "")
        parts = {
            "number": 1, "run": "demo-1", "task": "t", "key": "ab" * 32, "attempt": 1, "argv": argv,
            "cwd": str(folder), "log": str(folder / "log"), "grace_s": 0.3,
        }  # fmt: skip
        command, text = script.command_file(Job(**(parts | changes)), prologue=prologue)
        (folder / "command.sh").write_bytes(os.fsencode(command))
        (folder / "text.sh").write_bytes(os.fsencode(text))
        (folder / "limits").write_text(script.limits_file(Job(**(parts | changes))))
        if prologue:
            (folder / "bash").touch()
        # The wrapper asks for /bin/sh by name: here that is the shell under test.
        inner = WRAPPER.read_text().replace("sf_shell=/bin/sh", f"sf_shell='{' '.join(shell)}'")
        (folder / "wrapper.sh").write_text(inner)

    def start(self, job_id="77"):
        return subprocess.Popen(
            [*self.shell, str(self.folder / "wrapper.sh"), str(self.folder), job_id],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def run(self):
        self.start().wait(timeout=60)
        return self.ending()

    def ending(self):
        detail, times = self.folder / "detail", self.folder / "times"
        return script.read_ending(
            (self.folder / "exit").read_text(),
            detail=detail.read_text() if detail.exists() else "",
            times=times.read_text(),
        )


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


@pytest.mark.parametrize("code", [0, 3, 99, 100, 128, 137, 139, 255])
def test_exit_code_is_no_signal_whatever_it_is(shell, tmp_path, code):
    ending = Wrapped(shell, tmp_path, "/bin/sh", "-c", f"exit {code}").run()
    assert (ending.code, ending.signal, ending.told) == (code, None, ())


@pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM", "INT", "PIPE"])
def test_signal_is_told_as_one(shell, tmp_path, name):
    ending = Wrapped(shell, tmp_path, "/bin/sh", "-c", f"kill -s {name} $$").run()
    assert ending.signal == getattr(signal, f"SIG{name}")


@pytest.mark.parametrize("code", [99, 100])
def test_codes_that_mean_something_to_grid_engine_are_kept_from_it(shell, tmp_path, code):
    wrapped = Wrapped(shell, tmp_path, "/bin/sh", "-c", f"exit {code}")
    assert wrapped.start().wait(timeout=60) == 1
    assert wrapped.ending().code == code


def test_record_says_where_and_when(shell, tmp_path):
    before = time.time()
    ending = Wrapped(shell, tmp_path, "true").run()
    assert ending.id == "77"
    assert ending.host == os.uname().nodename
    assert before - 2 <= ending.began <= ending.ended <= time.time() + 2
    assert script.read_record((tmp_path / "begin").read_text())["boot"]


def test_builtin_names_are_programs(shell, tmp_path):
    assert Wrapped(shell, tmp_path, "exit", "0").run().code == 127


def test_text_longer_than_an_argument_list_runs(shell, tmp_path):
    wrapped = Wrapped(shell, tmp_path, "/bin/sh", "-c", "exit 5 # " + "x" * 3_000_000)
    assert wrapped.run().code == 5


def test_names_that_a_shell_cannot_export_reach_the_command(shell, tmp_path):
    env = {"a.b": "1", "UID": "2", "plain": "3 '\n\""}
    Wrapped(shell, tmp_path, "env", "-0", env=env).run()
    assert {f"{name}={value}" for name, value in env.items()} <= set((tmp_path / "log").read_text().split("\0"))


def test_only_what_was_asked_for_is_in_the_environment(shell, tmp_path):
    Wrapped(shell, tmp_path, "env").run()
    assert [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("sf_")] == []


def test_prologue_changes_the_surroundings_and_the_job_has_the_last_word(shell, tmp_path):
    prologue = "set -e; set +e; export FIRST=prologue SECOND=prologue; echo noise; false"
    wrapped = Wrapped(shell, tmp_path, "/bin/sh", "-c", "echo $FIRST $SECOND", env={"SECOND": "job"}, prologue=prologue)
    assert wrapped.run().code == 0
    assert (tmp_path / "log").read_text() == "noise\nprologue job\n"


def test_log_that_cannot_be_written_is_named(shell, tmp_path):
    ending = Wrapped(shell, tmp_path, "true", log=str(tmp_path / "no" / "log")).run()
    assert ending.code == 126
    assert str(tmp_path / "no" / "log") in ending.detail


@pytest.mark.parametrize("whole_group", [False, True])
def test_term_ends_the_command_once_whether_it_came_to_the_wrapper_alone_or_to_all(shell, tmp_path, whole_group):
    text = "trap 'echo term >> terms' TERM; echo > runs; n=0; until [ $n = 15 ]; do n=$((n + 1)); sleep 0.1; done"
    wrapped = Wrapped(shell, tmp_path, "/bin/sh", "-c", text)
    process = wrapped.start()
    wait_for(tmp_path / "runs")
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGTERM)
    process.wait(timeout=60)
    assert wrapped.ending().told == ("TERM",)
    assert (tmp_path / "terms").read_text() == "term\n"


def test_usr1_is_passed_on_and_ends_nothing(shell, tmp_path):
    text = "trap 'echo > heard' USR1; echo > runs; until [ -e heard ]; do sleep 0.05; done; exit 4"
    wrapped = Wrapped(shell, tmp_path, "/bin/sh", "-c", text)
    process = wrapped.start()
    wait_for(tmp_path / "runs")
    process.send_signal(signal.SIGUSR1)
    process.wait(timeout=60)
    assert (wrapped.ending().code, wrapped.ending().told) == (4, ())


def test_timeout_ends_all_and_says_so(shell, tmp_path):
    text = "trap '' TERM; (trap '' TERM; echo $$ > runs; sleep 100) & while :; do sleep 0.1; done"
    ending = Wrapped(shell, tmp_path, "/bin/sh", "-c", text, timeout_s=0.3).run()
    assert (ending.signal, ending.told) == (9, ("timeout",))


def test_nothing_of_a_job_outlives_it(shell, tmp_path):
    text = "sleep 100 & echo $! > pid"
    Wrapped(shell, tmp_path, "/bin/sh", "-c", text).run()
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    deadline = time.monotonic() + 10
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_second_job_for_one_folder_does_nothing(shell, tmp_path):
    wrapped = Wrapped(shell, tmp_path, "/bin/sh", "-c", "echo >> ran")
    assert wrapped.run().id == "77"
    assert wrapped.start("78").wait(timeout=60) == 0
    assert (tmp_path / "ran").read_text() == "\n"
    assert wrapped.ending().id == "77"


def test_requeued_job_runs_again(shell, tmp_path):
    wrapped = Wrapped(shell, tmp_path, "/bin/sh", "-c", "echo >> ran; [ -e once ] && exit 0; touch once; kill -9 $$")
    assert wrapped.run().signal == 9
    again = wrapped.run()
    assert (again.code, again.signal) == (0, None)
    assert (tmp_path / "ran").read_text() == "\n\n"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=40))
def test_any_word_survives_quoting(word):
    raw = (
        os.fsencode(word) if all(not 0xD800 <= ord(c) < 0xDC80 and not 0xDCFF < ord(c) < 0xE000 for c in word) else b""
    )
    text = b"printf %s " + os.fsencode(script.quote(os.fsdecode(raw)))
    assert subprocess.run(["/bin/sh", "-c", text], stdout=subprocess.PIPE, check=True).stdout == raw


@given(st.text(max_size=80), st.integers(1, 10**9), st.text("0123456789abcdef", min_size=8), st.sampled_from([15, 200]))
def test_any_run_gives_a_name_that_all_systems_take(run, number, key, limit):
    name = script.job_name(run, number, key, "abc123", limit)
    assert len(name) <= limit
    assert all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in name)
    assert name[0].isalpha()


def test_name_carries_run_number_and_key():
    assert script.job_name("demo-7", 12, "abcdef0123456789", "1a2b3c", 200) == "sf.demo-7.12.abcdef01.1a2b3c"


@given(st.text())
def test_foreign_text_is_no_record(text):
    ending = script.read_ending(text)
    assert ending is None or isinstance(ending.code, int)
