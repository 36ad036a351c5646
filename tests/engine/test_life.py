"""The life of one task: how it ends, what is tried again, what stays of it, and where it ran."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import alive, until

import scriptflow as sf
from scriptflow import errors
from scriptflow.core.units import bytes_of
from scriptflow.store.reader import StoreReader

ONE = {"executors": {"local": {"maxsize": 1}}}


def jobs_of(here, task):
    """Return all jobs of a task in the last run, from the store."""
    with StoreReader(here / ".scriptflow") as store:
        return store.attempts(store.find_run().id, task)


def job_of(here, task):
    (job,) = jobs_of(here, task)
    return job


def only_task(cmd, **more):
    """Return a flow of one task called ``t``."""

    async def flow():
        await sf.Task(cmd, name="t", **more)

    return flow


def failure(here, cmd, **more):
    settings = more.pop("settings", None)
    result = here.run(only_task(cmd, **more), settings=settings)
    assert (result.failed, result.exit_code) == (1, 1)
    assert isinstance(result.error, sf.TaskFailed)
    return result.error


# --- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 2, 126, 127, 128, 130, 137, 255])
def test_an_exit_code_is_told_and_recorded(here, code):
    error = failure(here, ["sh", "-c", f"exit {code}"])
    assert (error.exit_code, error.signal, error.cause) == (code, None, "exit")
    assert str(code) in error.what
    job = job_of(here, "t")
    assert (job.state, job.exit_code, job.signal, job.cause) == ("failed", code, None, "exit")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_told_and_recorded_by_name(here, number):
    error = failure(here, ["sh", "-c", f"ulimit -c 0; kill -{int(number)} $$; sleep 9"])
    assert (error.exit_code, error.signal, error.cause) == (None, number, "signal")
    assert number.name in error.what
    job = job_of(here, "t")
    assert (job.state, job.exit_code, job.signal, job.cause) == ("failed", None, number, "signal")


def test_an_error_has_name_command_the_last_20_lines_and_the_log(here):
    error = failure(here, ["sh", "-c", "for n in $(seq 30); do echo line $n; done; echo bad >&2; exit 4"])
    assert error.task == "t"
    assert error.command.startswith("sh -c 'for n in")
    assert list(error.tail) == [f"line {n}" for n in range(12, 31)] + ["bad"]
    assert Path(error.log).read_text().endswith("line 30\nbad\n")
    assert error.place.file == str(here.file)


def test_a_timeout_ends_the_process_group_and_is_the_cause(here):
    script = "trap '' TERM; sleep 60 & echo $! > child; echo $$ > self; wait; wait; sleep 60"
    began = time.monotonic()
    error = failure(here, ["sh", "-c", script], timeout=0.3, outputs="out", settings={"grace": 0.3})
    assert time.monotonic() - began < 4
    assert error.cause == "timeout"
    assert "0.3" in error.what
    for name in ("child", "self"):
        until(lambda name=name: not alive((here / name).read_text()), 2, f"{name} is dead")
    job = job_of(here, "t")
    assert (job.state, job.cause) == ("failed", "timeout")
    assert 0.3 <= job.ended - job.began < 3


def test_a_job_that_ends_well_at_its_term_is_a_timeout_all_the_same(here):
    error = failure(here, ["sh", "-c", "trap 'echo > out; exit 0' TERM; sleep 60 & wait"], timeout="0.2", outputs="out")
    assert error.cause == "timeout"
    assert not (here / "out").exists()


def test_what_a_job_left_in_the_background_does_not_outlive_it(here):
    here.good(only_task(["sh", "-c", "sleep 60 & echo $! > pid; setsid sleep 60 & echo $! > pid2; echo > out"],
                        outputs="out"))  # fmt: skip
    for name in ("pid", "pid2"):
        until(lambda name=name: not alive((here / name).read_text()), 3, f"{name} is dead")


# --- trying again -------------------------------------------------------------------------------


def test_each_try_is_a_job_of_its_own_with_a_log_of_its_own(here):
    script = "echo x >> tries; n=$(wc -l < tries); echo this is $n; [ $n -ge 3 ] && echo > out || exit $n"
    assert here.good(only_task(["sh", "-c", script], outputs="out", retries=5)).ran == 1
    jobs = jobs_of(here, "t")
    assert [(job.attempt, job.state, job.exit_code) for job in jobs] == [
        (1, "failed", 1), (2, "failed", 2), (3, "succeeded", 0)
    ]  # fmt: skip
    assert [Path(job.log).read_text() for job in jobs] == ["this is 1\n", "this is 2\n", "this is 3\n"]
    assert len({job.job for job in jobs}) == 3
    assert [(event.attempt, event.attempts) for event in here.told.of("JobRetried")] == [(1, 6), (2, 6)]
    assert here.good(only_task(["sh", "-c", script], outputs="out", retries=5)).skipped == 1


def test_retries_are_so_many_more_jobs_and_then_it_fails_once(here):
    result = here.run(only_task(["sh", "-c", "echo x >> tries; exit 1"], retries=2))
    assert (here / "tries").read_text() == "x\n" * 3
    assert (result.failed, len(result.failures)) == (1, 1)
    assert [job.attempt for job in jobs_of(here, "t")] == [1, 2, 3]


def test_the_task_s_own_number_of_retries_wins_over_the_setting(here):
    for given, tries in ((None, 3), (1, 2)):
        (here / "tries").unlink(missing_ok=True)
        more = {} if given is None else {"retries": given}
        here.run(only_task(["sh", "-c", "echo x >> tries; exit 1"], **more), settings={"retries": 2})
        assert (here / "tries").read_text() == "x\n" * tries


def test_the_delay_doubles_and_others_run_meanwhile(here):
    async def flow():
        again = sf.Task(["sh", "-c", "date +%s.%N >> tries; exit 1"], name="t", retries=2, retry_delay=0.2)
        other = sf.Task(["sh", "-c", "date +%s.%N > other"], outputs="other")
        await sf.bag(again, other, return_exceptions=True)

    here.run(flow, settings=ONE)
    one, two, three = map(float, (here / "tries").read_text().split())
    assert 0.2 <= two - one < 1.2
    assert 0.4 <= three - two < 2
    assert float((here / "other").read_text()) < two
    delays = [event.delay_s for event in here.told.of("JobRetried")]
    assert 0.2 <= delays[0] <= 0.3
    assert 0.4 <= delays[1] <= 0.6


def test_a_missing_output_a_timeout_and_a_signal_are_tried_again_too(here):
    async def flow():
        await sf.bag(
            sf.Task(["sh", "-c", "[ -e a ] && echo > out1; touch a"], outputs="out1", retries=1),
            sf.Task(["sh", "-c", "[ -e b ] || { touch b; exec sleep 60; }; echo > out2"], outputs="out2", retries=1,
                    timeout=0.5),
            sf.Task(["sh", "-c", "[ -e c ] || { touch c; kill -9 $$; }; echo > out3"], outputs="out3", retries=1),
        )  # fmt: skip

    assert here.good(flow).ran == 3
    assert [job.cause for name in ("out1", "out2", "out3") for job in jobs_of(here, name)] == [
        "output-missing", None, "timeout", None, "signal", None
    ]  # fmt: skip


def test_a_command_that_is_not_there_is_not_tried_again(here):
    failure(here, ["no-such-program-anywhere"], retries=3, retry_delay="1h")
    assert len(jobs_of(here, "t")) == 1


# --- what stays of it ---------------------------------------------------------------------------


def test_failed_outputs_are_gone_and_the_older_version_stays_aside_until_the_next_success(here):
    async def flow(word, code):
        await sf.Task(["sh", "-c", f"echo {word} > d/out; echo {word} > new; exit {code}"], outputs=["d/out", "new"],
                      name="t")  # fmt: skip

    (here / "d").mkdir()
    here.good(flow, word="one", code=0)
    (here / "new").unlink()
    error = here.run(flow, word="two", code=1).error
    assert not (here / "d/out").exists()
    assert not (here / "new").exists()
    assert (here / "d/.out.sf-part").read_text() == "one\n"
    assert not (here / ".new.sf-part").exists()
    assert "d/.out.sf-part" in str(error)
    error = here.run(flow, word="three", code=1).error
    assert (here / "d/.out.sf-part").read_text() == "one\n"
    assert "d/.out.sf-part" in str(error)
    here.good(flow, word="four", code=0)
    assert (here / "d/out").read_text() == "four\n"
    assert os.listdir(here / "d") == ["out"]


def test_an_older_directory_stays_aside_too(here):
    async def flow(code):
        await sf.Task(["sh", "-c", f"echo {code} > d/x; exit {code}"], outputs=sf.directory("d"), name="t")

    here.good(flow, code=0)
    here.run(flow, code=1)
    assert not (here / "d").exists()
    assert (here / ".d.sf-part/x").read_text() == "0\n"
    here.run(flow, code=2)
    assert job_of(here, "t").exit_code == 2
    assert (here / ".d.sf-part/x").read_text() == "0\n"
    here.good(flow, code=0)
    assert not (here / ".d.sf-part").exists()


def test_all_tries_of_a_task_find_no_output_of_the_try_before(here):
    script = "[ -e out ] && echo found >> log; echo half > out; echo x >> n; [ $(wc -l < n) -ge 3 ]"
    (here / "out").write_text("older")
    here.good(only_task(["sh", "-c", script], outputs="out", retries=3, env={"A": "1"}), settings=None)
    assert not (here / "log").exists()


@pytest.mark.parametrize("by", ["task", "settings"])
def test_keep_partial_keeps_what_was_made_where_no_glob_sees_it(here, by):
    script = ["sh", "-c", "echo half > out.csv; mkdir -p d; echo > d/x; exit 1"]
    more = {"keep_partial": True} if by == "task" else {"settings": {"keep_partial": True}}
    failure(here, script, outputs=["out.csv", sf.directory("d")], **more)
    assert (here / "out.csv.partial").read_text() == "half\n"
    assert (here / "d.partial/x").exists()
    assert not (here / "out.csv").exists()
    assert sf.glob("*").expand(str(here.folder)) == ("sflow.py",) or "out.csv.partial" not in sf.glob("*").expand(
        str(here.folder)
    )
    failure(here, script, outputs=["out.csv", sf.directory("d")], **more)
    assert (here / "out.csv.partial").read_text() == "half\n"


def test_update_in_place_leaves_outputs_where_they_are(here):
    async def flow(n, code=0):
        await sf.Task(["sh", "-c", f"echo {n} >> out; exit {code}"], outputs="out", update_in_place=True, name="t")

    here.good(flow, n=1)
    here.good(flow, n=2)
    assert here.good(flow, n=2).skipped == 1
    assert (here / "out").read_text() == "1\n2\n"
    here.run(flow, n=3, code=1)
    assert (here / "out").read_text() == "1\n2\n3\n"
    here.good(flow, n=4)
    assert (here / "out").read_text() == "1\n2\n3\n4\n"
    assert not (here / ".out.sf-part").exists()


# --- outputs and commands that are not there ----------------------------------------------------


def test_a_missing_output_names_it_and_what_is_near(here):
    error = failure(here, ["sh", "-c", "echo > result_2024.csv"], outputs=["results_2024.csv"])
    assert type(error) is sf.OutputMissing
    assert "results_2024.csv" in error.what
    assert "result_2024.csv" in str(error.why)
    assert error.cause == "output-missing"
    job = job_of(here, "t")
    assert (job.state, job.exit_code, job.cause) == ("failed", 0, "output-missing")


def test_of_several_outputs_the_missing_ones_are_named_and_the_made_ones_are_gone(here):
    error = failure(here, ["touch", "a", "c"], outputs=["a", "b", "c", "d"])
    assert type(error) is sf.OutputMissing
    assert "b, d" in error.what
    assert not (here / "a").exists()


@pytest.mark.parametrize("cmd", [["echo", "hi", ">", "out"], "echo hi > out", "echo a | tee out"])
def test_a_shell_word_without_a_shell_is_hinted_at(here, cmd):
    error = failure(here, cmd, outputs="out")
    assert type(error) is sf.OutputMissing
    assert "no shell read it" in str(error)
    assert "shell=True" in error.do


def test_a_command_that_is_not_found_is_said_so_with_a_near_name(here):
    error = failure(here, ["toutch", "out"], outputs="out")
    assert type(error) is errors.CommandNotFound
    assert "toutch" in error.what
    assert "touch" in str(error)
    assert job_of(here, "t").exit_code == 127


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: path.write_text("#!/bin/sh\n"), "ermission"),
        (lambda path: (path.write_text("#!/no/such/interpreter\n"), path.chmod(0o755)), "interpreter"),
        (lambda path: (path.write_bytes(b"\x00\x01binary"), path.chmod(0o755)), "program"),
        (lambda path: path.mkdir(), "ermission"),
        (lambda path: None, "no program"),
    ],
    ids=["not executable", "no interpreter", "no program", "a folder", "not there"],
)
def test_a_program_that_cannot_be_run_is_said_so(here, make, word):
    make(here / "prog")
    error = failure(here, ["./prog"], outputs="out")
    assert word in str(error)
    assert error.exit_code in (126, 127)


def test_a_folder_to_run_in_that_is_not_there_is_said_so(here):
    error = failure(here, ["true"], cwd="nowhere")
    assert "nowhere" in str(error)


def test_a_command_that_is_too_long_is_said_so(here):
    error = failure(here, ["true", "x" * 4_000_000])
    assert "longer" in str(error)
    assert len(str(error)) < 10_000
    assert all(len(line) < 10_000 for line in here.told.of("TaskEnded")[0].message.splitlines())


# --- who runs when and where --------------------------------------------------------------------


def order_of(here):
    return (here / "order").read_text().split()


def mark(name, **more):
    return sf.Task(["sh", "-c", "echo $0 >> order", name], name=name, **more)


def test_with_one_slot_the_higher_priority_goes_first_and_equals_in_the_order_they_came(here):
    async def flow():
        await sf.bag(mark("a"), mark("b", priority=-1), mark("c", priority=5), mark("d"), mark("e", priority=5))

    here.good(flow, settings=ONE)
    assert order_of(here) == ["c", "e", "a", "d", "b"]


def test_priority_holds_between_tasks_of_different_sizes(here):
    async def flow():
        await sf.bag(mark("a", memory="1MB"), mark("b", priority=1, memory="2MB"), mark("c", priority=2))

    here.good(flow, settings=ONE)
    assert order_of(here) == ["c", "b", "a"]


def most_at_once(here):
    running = most = 0
    for sign, amount in (line.split() for line in (here / "order").read_text().splitlines()):
        running += int(amount) if sign == "+" else -int(amount)
        most = max(most, running)
    return most


def bracket(name, amount, **more):
    script = "echo + $0 >> order; sleep 0.05; echo - $0 >> order"
    return sf.Task(["sh", "-c", script, str(amount)], name=name, env={"N": name}, **more)


@pytest.mark.parametrize("maxsize", [1, 3])
def test_maxsize_is_honoured_and_reached(here, maxsize):
    async def flow():
        await sf.bag([bracket(f"t{n}", 1) for n in range(9)])

    here.good(flow, settings={"executors": {"local": {"maxsize": maxsize}}})
    assert most_at_once(here) == maxsize


@pytest.mark.parametrize(
    ("option", "total", "asks", "amounts"),
    [
        ("cpus", 4, ("cpus", [3, 1, 2, 4, 1, 2]), [3, 1, 2, 4, 1, 2]),
        ("memory", "4GB", ("memory", ["3GB", 1, 2.0, "4000MB", "1GB"]), [3, 1, 2, 4, 1]),
        ("gpus", 3, ("gpus", [2, 1, 3, 1]), [2, 1, 3, 1]),
    ],
    ids=["cpus", "memory", "gpus"],
)
def test_what_runs_at_once_fits_together(here, option, total, asks, amounts):
    keyword, values = asks

    async def flow():
        await sf.bag([bracket(f"t{n}", amounts[n], **{keyword: value}) for n, value in enumerate(values)])

    here.good(flow, settings={"executors": {"local": {"maxsize": 9, "cpus": 9, option: total}}})
    limit = int(str(total).removesuffix("GB"))
    assert limit - 1 <= most_at_once(here) <= limit


def test_a_large_task_is_not_starved_by_a_stream_of_small_ones(here):
    async def flow():
        small = [sf.Task(["sh", "-c", "echo s >> order", str(n)], name=f"s{n}") for n in range(300)]
        large = sf.Task(["sh", "-c", "echo L >> order"], name="large", cpus=2)
        await sf.bag(small[0], large, *small[1:])

    here.good(flow, settings={"executors": {"local": {"maxsize": 2, "cpus": 2}}})
    assert order_of(here).index("L") < 250


def test_gpus_are_handed_out_by_name_and_never_twice(here):
    async def flow():
        await sf.bag(
            [
                sf.Task(
                    ["sh", "-c", 'mkdir gpu-$CUDA_VISIBLE_DEVICES && sleep 0.05 && rmdir gpu-*; '
                     'echo "$CUDA_VISIBLE_DEVICES" >> order'.replace("gpu-*", "gpu-$CUDA_VISIBLE_DEVICES")],
                    name=f"t{n}", env={"N": str(n)}, gpus=1,
                )
                for n in range(6)
            ]
        )  # fmt: skip

    here.good(flow, settings={"executors": {"local": {"maxsize": 6, "cpus": 6, "gpus": 2}}})
    assert set(order_of(here)) == {"0", "1"}
    assert len(order_of(here)) == 6


def test_gpus_come_from_those_that_the_head_was_given(here):
    script = """
        import scriptflow as sf
        async def flow():
            await sf.Task("echo $CUDA_VISIBLE_DEVICES > two", shell=True, gpus=2, outputs="two")
        print(sf.run(flow).ran)
    """
    assert here.script(script, CUDA_VISIBLE_DEVICES="GPU-a,5,7").stdout == "1\n"
    one, two = (here / "two").read_text().strip().split(",")
    assert {one, two} < {"GPU-a", "5", "7"}


@pytest.mark.parametrize("asks", [{"cpus": 3}, {"memory": "3GB"}, {"gpus": 1}, {"executor": "slrum"}], ids=str)
def test_more_than_there_is_is_an_error_at_once(here, asks):
    async def flow():
        await sf.bag(mark("t", **asks), mark("other"))

    began = time.monotonic()
    result = here.run(flow, settings={"executors": {"local": {"maxsize": 2, "cpus": 2, "memory": "2GB"}}})
    assert time.monotonic() - began < 3
    assert type(result.error) is errors.ResourcesImpossible
    assert "t asks for" in result.error.what
    assert next(iter(asks)) in result.error.what or "memory" in asks
    assert order_of(here) == ["other"]
    assert result.exit_code == 1


def test_a_task_that_could_never_run_alone_is_exit_2(here):
    result = here.run(only_task(["true"], cpus=10_000))
    assert type(result.error) is errors.ResourcesImpossible
    assert result.exit_code == 2


def test_a_plan_says_that_a_task_could_never_run(here):
    with pytest.raises(errors.ResourcesImpossible):
        here.plan(only_task(["true"], cpus=10_000))


def test_outputs_that_cannot_be_made_ready_end_the_task_and_are_quiet(here, caplog):
    """A file lies where the folder of an output should be."""
    (here / "d").write_text("")
    for _ in range(5):
        error = failure(here, ["sh", "-c", "echo ran > ran"], outputs="d/out")
        assert "d" in error.what
        assert not (here / "ran").exists()
    assert caplog.records == []


def test_folder_and_environment(here):
    (here / "sub").mkdir()
    script = 'pwd; echo "$A|$B|$HOME"; echo ${PATH%%:*}'
    here.env |= {"A": "outer"}
    text = f"""
        import scriptflow as sf
        async def flow_demo():
            await sf.Task(["sh", "-c", {script!r}], name="t", cwd="sub", env={{"B": 2}})
    """
    here.cli(text, "run")
    first, second, third = Path(job_of(here, "t").log).read_text().splitlines()
    assert os.path.realpath(first) == os.path.realpath(here / "sub")
    assert second == f"outer|2|{os.environ.get('HOME', '')}"
    assert third == os.path.dirname(sys.executable)


def test_stdin_is_empty_and_no_descriptor_of_ours_is_open_in_a_job(here):
    script = "cat; ls -l /proc/self/fd | sed 's/.* \\([0-9]*\\) -> /\\1 /' > fds"
    here.good(only_task(["sh", "-c", script], outputs="fds"))
    fds = dict(line.split(" ", 1) for line in (here / "fds").read_text().splitlines() if " " in line and line[0] != "t")
    assert fds["0"] == "/dev/null"
    assert not [path for number, path in fds.items() if int(number) > 2 and "scriptflow" in path]


# --- the record ---------------------------------------------------------------------------------


def test_a_log_holds_what_was_written_byte_for_byte(here):
    body = bytes(range(256)) * 3 + b"\r\n\x1b[31mred\r50%\r100%\n no end of line \xff\xfe"
    (here / "body").write_bytes(body)
    here.good(only_task(["sh", "-c", "cat body; cat body >&2"]))
    assert Path(job_of(here, "t").log).read_bytes() == body * 2


def test_an_empty_log_is_there(here):
    here.good(only_task(["true"]))
    assert Path(job_of(here, "t").log).read_bytes() == b""


def test_a_record_has_times_place_and_use(here):
    burn = (
        "import os, time; x = bytearray(60_000_000); e = time.process_time() + 0.2\nwhile time.process_time() < e: pass"
    )
    before = time.time()
    here.good(only_task([sys.executable, "-S", "-c", burn]))
    job = job_of(here, "t")
    assert (job.state, job.exit_code, job.signal, job.cause, job.attempt) == ("succeeded", 0, None, None, 1)
    assert before <= job.started <= job.began <= job.ended <= time.time() + 0.1
    assert 0.2 <= job.cpu_s < 3
    assert job.cpu_s <= (job.ended - job.began) + 0.1
    assert 60e6 < job.max_rss_bytes < 200e6
    assert job.executor == "local"
    assert job.host == subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    assert job.pid > 1
    assert Path(job.log).is_file()
    assert Path(job.log).stat().st_mode & 0o077 == 0


def test_peak_memory_is_of_the_job_and_not_of_the_head(here):
    ballast = bytearray(300_000_000)
    for at in range(0, len(ballast), 4096):
        ballast[at] = 1
    here.good(only_task(["true"]))
    assert job_of(here, "t").max_rss_bytes < 50e6


def test_each_job_has_one_record_and_the_states_of_a_run_add_up(here):
    async def flow():
        bad = sf.Task("false", outputs="bad", retries=1)
        below = sf.Task("cp bad below", inputs=bad, outputs="below")
        await sf.bag(bad, below, mark("a"), mark("b"), return_exceptions=True)

    result = here.run(flow)
    assert (result.ran, result.skipped, result.failed, result.cancelled) == (2, 0, 1, 1)
    with StoreReader(here / ".scriptflow") as store:
        run = store.find_run()
        rows = [(job.task, job.attempt, job.state) for job in store.jobs(run.id)]
        counts = run.counts
    assert sorted(rows) == [("a", 1, "succeeded"), ("b", 1, "succeeded"), ("bad", 1, "failed"), ("bad", 2, "failed")]
    assert (counts.ran, counts.skipped, counts.failed, counts.cancelled, counts.queued, counts.running) == (
        2, 0, 1, 1, 0, 0
    )  # fmt: skip
    assert (run.status, run.run) == ("failed", result.run)


def test_labels_props_and_resources_are_recorded(here):
    here.good(only_task(["true"], labels={"who": "me"}, props={"team": "x", "mem": 1, "ncore": 1}, memory="1GB"))
    job = job_of(here, "t")
    assert (job.cpus, job.memory_bytes, job.gpus) == (1, bytes_of("1GB"), 0)
