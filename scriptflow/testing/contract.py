"""What every executor must do, as tests.

Subclass ``ExecutorContract`` in a test module, say how an executor is made, and pytest does the rest. The jobs are
small shell and Python programs; an executor that runs elsewhere needs both there, and a file system in common.
"""

# ruff: noqa: S101, D102 (these are tests: they assert, and their names say what)

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from scriptflow.core.job import Job, Resources
from scriptflow.core.states import Cause, JobState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scriptflow.core.interfaces import Executor
    from scriptflow.core.job import JobReport

Result = TypeVar("Result")

HOSTILE_WORDS = (
    "two words", "'single' \"double\"", "line\nbreak", "tab\there", "-rf", "--", "$(touch pwned)", "`touch pwned`",
    "${HOME}", "*", "?[a-z]", "~", ";touch pwned", "a&b|c>d<e", "\\", "back\\slash\\n", "%s%n", "!!", "#not", "",
    " ", "🦉 emoji", "ümlaut", "bad \udcff\udcfe utf-8", "\x1b[31mred", "trailing ",
)  # fmt: skip
"""Each must reach a command as it is, with no shell in between."""

LIMIT_S = 60.0
"""No test of the contract may take longer."""

_TELL_ARGV = "import os, sys; os.write(1, b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
_TELL_ENV = "import os, sys; os.write(1, b'\\0'.join(os.environb[n.encode()] for n in sys.argv[1:]))"


class ExecutorContract:
    """Subclass me and define ``make_executor``."""

    def make_executor(self, tmp_path: Path) -> Executor:
        """Return a new executor; the contract enters and leaves it."""
        raise NotImplementedError

    # How a test makes jobs and runs them.

    _numbers = iter(range(1, 1_000_000))

    def job(self, tmp_path: Path, *argv: str, **changes: Any) -> Job:
        """Return a job with this command in ``tmp_path``."""
        number = next(self._numbers)
        parts: dict[str, Any] = {
            "number": number, "run": "contract-1", "task": f"task-{number}", "key": f"{number:032x}", "attempt": 1,
            "argv": argv, "cwd": str(tmp_path), "log": str(tmp_path / f"{number}.log"), "grace_s": 0.5,
        }  # fmt: skip
        return Job(**(parts | changes))

    def shell(self, tmp_path: Path, text: str, **changes: Any) -> Job:
        """Return a job that is a shell command."""
        return self.job(tmp_path, "/bin/sh", "-c", text, **changes)

    def run(self, tmp_path: Path, body: Callable[[Executor], Awaitable[Result]]) -> Result:
        """Run ``body`` with an open executor, under a limit."""

        async def limited() -> Result:
            async with asyncio.timeout(LIMIT_S), self.make_executor(tmp_path) as executor:
                return await body(executor)

        return asyncio.run(limited())

    def report(self, tmp_path: Path, job: Job) -> JobReport:
        """Run one job to its end."""

        async def body(executor: Executor) -> JobReport:
            return await executor.wait(await executor.submit(job))

        return self.run(tmp_path, body)

    # How commands end.

    def test_exit_code_0_is_success(self, tmp_path: Path) -> None:
        before = time.time()
        report = self.report(tmp_path, self.shell(tmp_path, "exit 0"))
        assert (report.state, report.exit_code, report.cause) == (JobState.SUCCEEDED, 0, None), report
        assert report.began is not None
        assert report.ended is not None
        assert before - 5 <= report.began <= report.ended <= time.time() + 5, report

    def test_exit_code_3_is_failure_with_its_code(self, tmp_path: Path) -> None:
        report = self.report(tmp_path, self.shell(tmp_path, "exit 3"))
        assert (report.state, report.exit_code, report.cause) == (JobState.FAILED, 3, Cause.EXIT), report

    def test_death_by_signal_names_the_signal(self, tmp_path: Path) -> None:
        report = self.report(tmp_path, self.shell(tmp_path, "kill -SEGV $$"))
        assert (report.state, report.cause) == (JobState.FAILED, Cause.SIGNAL), report
        assert report.signal == signal.SIGSEGV, report

    def test_command_not_found_is_exit_code_127_and_named(self, tmp_path: Path) -> None:
        report = self.report(tmp_path, self.job(tmp_path, "no-such-program-3141"))
        assert (report.state, report.exit_code, report.cause) == (JobState.FAILED, 127, Cause.EXIT), report
        logs = [path.read_text() for path in tmp_path.glob("*.log")]  # a batch system's wrapper tells it there
        assert "no-such-program-3141" in " ".join([report.detail, *logs]), report

    # What commands are given, and what is kept of what they say.

    def test_words_reach_the_command_as_they_are(self, tmp_path: Path) -> None:
        job = self.job(tmp_path, sys.executable, "-c", _TELL_ARGV, *HOSTILE_WORDS)
        report = self.report(tmp_path, job)
        assert report.state is JobState.SUCCEEDED, report
        assert Path(job.log).read_bytes().split(b"\0") == [os.fsencode(word) for word in HOSTILE_WORDS]
        assert not (tmp_path / "pwned").exists()

    def test_environment_reaches_the_command_as_it_is(self, tmp_path: Path) -> None:
        env = {f"CONTRACT_{number}": word for number, word in enumerate(HOSTILE_WORDS)}
        job = self.job(tmp_path, sys.executable, "-c", _TELL_ENV, *env, env=env)
        report = self.report(tmp_path, job)
        assert report.state is JobState.SUCCEEDED, report
        assert Path(job.log).read_bytes().split(b"\0") == [os.fsencode(word) for word in HOSTILE_WORDS]

    def test_environment_of_one_job_does_not_reach_the_next(self, tmp_path: Path) -> None:
        async def body(executor: Executor) -> None:
            for env in ({"CONTRACT": "first"}, {}):
                await executor.wait(await executor.submit(self.shell(tmp_path, "echo =$CONTRACT= >> told", env=env)))

        self.run(tmp_path, body)
        assert (tmp_path / "told").read_text() == "=first=\n==\n"

    def test_flow_interpreter_is_first_on_path(self, tmp_path: Path) -> None:
        job = self.shell(tmp_path, "command -v " + Path(sys.executable).name)
        self.report(tmp_path, job)
        assert Path(job.log).read_text().strip() == sys.executable

    def test_command_runs_in_its_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "a folder; $(touch pwned) 🦉"
        folder.mkdir()
        job = self.shell(tmp_path, "pwd -P", cwd=str(folder))
        assert self.report(tmp_path, job).state is JobState.SUCCEEDED
        assert Path(job.log).read_text() == f"{folder.resolve()}\n"

    def test_missing_folder_is_a_failure_that_names_it(self, tmp_path: Path) -> None:
        report = self.report(tmp_path, self.shell(tmp_path, "echo ran > ran", cwd=str(tmp_path / "not there")))
        assert report.state is JobState.FAILED, report
        assert "not there" in report.detail, report
        assert not (tmp_path / "ran").exists()

    def test_log_holds_both_streams_byte_for_byte(self, tmp_path: Path) -> None:
        program = "import os; [os.write(n % 2 + 1, bytes([n])) for n in range(256)]"
        job = self.job(tmp_path, sys.executable, "-c", program)
        self.report(tmp_path, job)
        assert Path(job.log).read_bytes() == bytes(range(256))

    def test_stdin_is_empty(self, tmp_path: Path) -> None:
        job = self.shell(tmp_path, "wc -c")
        self.report(tmp_path, job)
        assert Path(job.log).read_text().strip() == "0"

    # How they are ended.

    def test_timeout_ends_the_whole_group(self, tmp_path: Path) -> None:
        text = "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & wait; while :; do sleep 1; done"
        before = time.monotonic()
        report = self.report(tmp_path, self.shell(tmp_path, held(tmp_path, text), timeout_s=0.5, grace_s=0.3))
        assert (report.state, report.cause) == (JobState.FAILED, Cause.TIMEOUT), report
        assert time.monotonic() - before < LIMIT_S / 2
        assert_let_go(tmp_path)

    def test_obedient_job_has_time_to_clean_up(self, tmp_path: Path) -> None:
        text = "trap 'echo clean > cleaned; exit 0' TERM; while :; do sleep 0.05; done"
        report = self.report(tmp_path, self.shell(tmp_path, text, timeout_s=0.5, grace_s=20))
        assert (report.state, report.cause) == (JobState.FAILED, Cause.TIMEOUT), report
        assert (tmp_path / "cleaned").exists()

    def test_cancel_ends_a_running_job(self, tmp_path: Path) -> None:
        job = self.shell(tmp_path, held(tmp_path, "echo > runs; sleep 300 & sleep 300"))

        async def body(executor: Executor) -> JobReport:
            job_id = await executor.submit(job)
            await until((tmp_path / "runs").exists)
            await executor.cancel(job_id)
            return await executor.wait(job_id)

        report = self.run(tmp_path, body)
        assert (report.state, report.cause) == (JobState.CANCELLED, Cause.CANCELLED), report
        assert_let_go(tmp_path)

    def test_cancel_of_an_ended_job_changes_nothing(self, tmp_path: Path) -> None:
        async def body(executor: Executor) -> tuple[JobReport, JobReport]:
            job_id = await executor.submit(self.shell(tmp_path, "exit 3"))
            first = await executor.wait(job_id)
            await executor.cancel(job_id)
            return first, await executor.wait(job_id)

        first, second = self.run(tmp_path, body)
        assert first == second
        assert first.exit_code == 3

    def test_leaving_the_executor_ends_what_runs(self, tmp_path: Path) -> None:
        async def body(executor: Executor) -> None:
            await executor.submit(self.shell(tmp_path, held(tmp_path, "echo > runs; sleep 300")))
            await until((tmp_path / "runs").exists)

        self.run(tmp_path, body)
        assert_let_go(tmp_path)

    # How they are waited for.

    def test_wait_can_be_cancelled_and_called_again(self, tmp_path: Path) -> None:
        async def body(executor: Executor) -> JobReport:
            job_id = await executor.submit(self.shell(tmp_path, "until [ -e go ]; do sleep 0.02; done; exit 4"))
            for _ in range(2):
                waiter = asyncio.create_task(executor.wait(job_id))
                await asyncio.sleep(0)
                waiter.cancel()
                await asyncio.wait((waiter,))
                assert waiter.cancelled()
            (tmp_path / "go").touch()
            return await executor.wait(job_id)

        assert self.run(tmp_path, body).exit_code == 4

    def test_two_may_wait_for_one_job(self, tmp_path: Path) -> None:
        async def body(executor: Executor) -> list[JobReport]:
            job_id = await executor.submit(self.shell(tmp_path, "until [ -e go ]; do sleep 0.02; done; exit 5"))
            waiters = [asyncio.create_task(executor.wait(job_id)) for _ in range(2)]
            await asyncio.sleep(0)
            (tmp_path / "go").touch()
            return await asyncio.gather(*waiters)

        assert [report.exit_code for report in self.run(tmp_path, body)] == [5, 5]

    def test_job_submitted_twice_runs_once(self, tmp_path: Path) -> None:
        job = self.shell(tmp_path, "echo ran >> ran")

        async def body(executor: Executor) -> bool:
            first, second = await executor.submit(job), await executor.submit(job)
            await executor.wait(first)
            await executor.wait(second)
            return first == second

        assert self.run(tmp_path, body)
        assert (tmp_path / "ran").read_text() == "ran\n"

    def test_200_quick_jobs_each_end_once_with_their_own_code(self, tmp_path: Path) -> None:
        jobs = [self.shell(tmp_path, f"echo >> ran-{number}; exit {number % 7}") for number in range(200)]

        async def body(executor: Executor) -> list[JobReport]:
            room = asyncio.Semaphore(executor.slots)

            async def one(job: Job) -> JobReport:
                async with room:
                    return await executor.wait(await executor.submit(job))

            return await asyncio.gather(*(one(job) for job in jobs))

        reports = self.run(tmp_path, body)
        assert [report.exit_code for report in reports] == [number % 7 for number in range(200)]
        assert all((tmp_path / f"ran-{number}").read_text() == "\n" for number in range(200))

    def test_impossible_resources_are_refused(self, tmp_path: Path) -> None:
        executor = self.make_executor(tmp_path)
        assert executor.fits(Resources())
        assert not executor.fits(Resources(cpus=10_000_000))
        assert not executor.fits(Resources(gpus=10_000_000))


def held(folder: Path, text: str) -> str:
    """Return a shell text that runs ``text`` while it and all its children hold a pipe, as ``assert_let_go`` sees."""
    pipe = folder / "held"
    os.mkfifo(pipe)
    return f"exec 9<>'{pipe}'; {text}"


def assert_let_go(folder: Path) -> None:
    """Assert that no process holds the pipe of ``held`` any more, by what the system says to a writer of it."""
    until_time = time.monotonic() + LIMIT_S / 4
    while time.monotonic() < until_time:
        try:
            os.close(os.open(folder / "held", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return  # ENXIO: it has no reader
        time.sleep(0.01)
    raise AssertionError("a process of the job is still there")


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that only looking can tell."""
    while not happened():  # noqa: ASYNC110 (another process does it)
        await asyncio.sleep(0.01)
