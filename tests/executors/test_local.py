"""The local executor and its portable variant keep the contract."""

import asyncio
import os
import stat
import threading
from contextvars import ContextVar

import pytest

from scriptflow.core.job import Resources
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import ExecutorError, SettingsError
from scriptflow.executors.local import LocalExecutor
from scriptflow.executors.portable import PortableExecutor
from scriptflow.testing.contract import ExecutorContract


class TestLocalExecutor(ExecutorContract):
    def make_executor(self, tmp_path):
        return LocalExecutor({})


class TestPortableExecutor(ExecutorContract):
    def make_executor(self, tmp_path):
        return PortableExecutor({})


def report_of(job, tmp_path, **options):
    async def body():
        async with asyncio.timeout(20), LocalExecutor(options) as executor:
            return await executor.wait(await executor.submit(job))

    return asyncio.run(body())


def write_program(path, text, mode=0o755):
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_unknown_option_names_the_nearest():
    with pytest.raises(SettingsError, match="maxsize") as caught:
        LocalExecutor({"max_size": 4})
    assert "'max_size'" in caught.value.what


@pytest.mark.parametrize("options", [{"maxsize": 0}, {"cpus": "many"}, {"gpus": -1}, {"memory": []}, {"cpus": True}])
def test_option_of_the_wrong_kind_is_refused(options):
    with pytest.raises(SettingsError):
        LocalExecutor(options)


def test_totals_are_what_the_options_say(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    executor = LocalExecutor({"maxsize": 3, "cpus": 8, "memory": "4GB", "gpus": 2})
    assert (executor.slots, executor.totals.cpus, executor.totals.memory_bytes) == (3, 8, 4 * 2**30)
    assert executor.gpu_ids == ("0", "1")
    assert executor.fits(Resources(cpus=8, memory_bytes=2**30, gpus=2))
    assert not executor.fits(Resources(memory_bytes=5 * 2**30))
    assert not executor.fits(Resources(gpus=3))


def test_maxsize_beyond_the_cpus_is_meant():
    executor = LocalExecutor({"maxsize": 1000})
    assert (executor.slots, executor.totals.cpus) == (1000, 1000)
    assert LocalExecutor({"maxsize": 1}).totals.cpus == LocalExecutor({}).slots
    assert LocalExecutor({"cpus": 1}).slots == 1


def test_gpus_are_those_this_process_was_given(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, 3,5")
    assert LocalExecutor({}).gpu_ids == ("GPU-a", "3", "5")
    assert LocalExecutor({"gpus": 2}).gpu_ids == ("GPU-a", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert LocalExecutor({}).gpu_ids == ()


def test_waiting_for_a_job_that_was_never_submitted_is_an_error():
    async def body():
        async with LocalExecutor({}) as executor:
            await executor.wait("17")

    with pytest.raises(ExecutorError, match="17"):
        asyncio.run(body())


def test_command_not_found_names_the_nearest_and_counts_path(shell_job, tmp_path):
    write_program(tmp_path / "simulate-orbit", "#!/bin/sh\n")
    job = shell_job("", argv=("simulate-orbti",), env={"PATH": f"/nowhere:{tmp_path}"})
    report = report_of(job, tmp_path)
    assert report.exit_code == 127
    assert report.detail == "no program 'simulate-orbti' in the 2 folders of PATH; the nearest name is 'simulate-orbit'"


def test_program_is_found_again_after_it_was_moved(shell_job, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    write_program(one / "prog", "#!/bin/sh\nexit 1\n")

    async def body():
        codes = []
        async with asyncio.timeout(20), LocalExecutor({}) as executor:
            for _ in range(2):
                job = shell_job("", argv=("prog",), env={"PATH": f"{one}:{two}"})
                codes.append((await executor.wait(await executor.submit(job))).exit_code)
                if len(codes) == 1:
                    (one / "prog").unlink()
                    write_program(two / "prog", "#!/bin/sh\nexit 2\n")
        return codes

    assert asyncio.run(body()) == [1, 2]


def test_relative_program_is_looked_for_in_the_folder_of_the_job(shell_job, tmp_path):
    write_program(tmp_path / "tool", "#!/bin/sh\nexit 6\n")
    assert report_of(shell_job("", argv=("./tool",)), tmp_path).exit_code == 6
    assert report_of(shell_job("", argv=("./tool",), cwd="/"), tmp_path).detail == "there is no program ./tool in /"


@pytest.mark.parametrize(
    ("text", "mode", "exit_code", "word"),
    [
        ("#!/bin/sh\n", 0o644, 126, "Permission denied"),
        ("exit 0\n", 0o755, 126, "#!/bin/sh"),
        ("#!/no/such/interpreter\n", 0o755, 127, "interpreter"),
    ],
)
def test_file_that_is_no_program_says_why(shell_job, tmp_path, text, mode, exit_code, word):
    report = report_of(shell_job("", argv=(write_program(tmp_path / "tool", text, mode),)), tmp_path)
    assert (report.state, report.exit_code) == (JobState.FAILED, exit_code)
    assert word in report.detail
    assert "tool" in report.detail


@pytest.mark.parametrize(
    ("argv", "word"),
    [(("echo", "x" * 3_000_000), "longer than the system takes"), (("echo", "a\0b"), "null"), ((), "no word"),
     (("echo", "\ud800"), "surrogate"), (("",), "no program ''")],
)  # fmt: skip
def test_command_the_system_does_not_take_says_why(shell_job, tmp_path, argv, word):
    report = report_of(shell_job("", argv=argv), tmp_path)
    assert (report.state, report.cause) == (JobState.FAILED, Cause.EXIT)
    assert word in report.detail


def test_log_that_cannot_be_written_is_named(shell_job, tmp_path):
    report = report_of(shell_job("exit 0", log=str(tmp_path / "nowhere" / "x.log")), tmp_path)
    assert report.state is JobState.FAILED
    assert "nowhere/x.log cannot be written: No such file" in report.detail


def test_log_is_for_its_owner_alone(shell_job, tmp_path):
    job = shell_job("exit 0")
    report_of(job, tmp_path)
    assert stat.S_IMODE(os.stat(job.log).st_mode) == 0o600


def test_kill_from_outside_hints_at_memory(shell_job, tmp_path):
    report = report_of(shell_job("kill -KILL $$"), tmp_path)
    assert (report.cause, report.signal) == (Cause.SIGNAL, 9)
    assert "out of memory is likely" in report.detail


def test_stop_without_grace_kills_at_once(shell_job, tmp_path):
    async def body():
        ended = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(20), LocalExecutor({}) as executor:
            job = shell_job("trap '' TERM; echo > deaf; while :; do sleep 0.05; done")
            executor.launch((job,), lambda _job, report, _more: ended.set_result(report))
            while not (tmp_path / "deaf").exists():
                await asyncio.sleep(0.01)
            executor.stop((job.number,), 300)
            executor.stop((job.number,), 0)
            return await ended

    report = asyncio.run(body())
    assert (report.state, report.signal) == (JobState.CANCELLED, 9)


def test_failing_callback_does_not_swallow_the_next_report(shell_job, tmp_path):
    async def body():
        loop, seen, faults = asyncio.get_running_loop(), [], []
        loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
        done = asyncio.Event()

        def ended(job, _report, _more):
            seen.append(job.number)
            if len(seen) == 5:
                done.set()
            raise ZeroDivisionError

        async with asyncio.timeout(20), LocalExecutor({}) as executor:
            executor.launch([shell_job("exit 0") for _ in range(5)], ended)
            await done.wait()
        return len(faults)

    assert asyncio.run(body()) == 5


def test_timeout_of_a_year_is_no_trouble(shell_job, tmp_path):
    assert report_of(shell_job("exit 0", timeout_s=365 * 86400), tmp_path).state is JobState.SUCCEEDED


@pytest.mark.parametrize("kind", [LocalExecutor, PortableExecutor])
def test_an_end_is_heard_in_the_context_in_which_the_executor_was_opened(shell_job, tmp_path, kind):
    opened_by = ContextVar("opened_by", default="nobody")
    heard = []

    async def body():
        opened_by.set("the head")
        over = asyncio.Event()

        def ended(*_):
            heard.append(opened_by.get())
            over.set()

        async with asyncio.timeout(20), kind({}) as executor:
            thread = threading.Thread(target=executor.launch, args=([shell_job("exit 0")], ended))
            thread.start()
            thread.join()
            await over.wait()

    asyncio.run(body())
    assert heard == ["the head"]
