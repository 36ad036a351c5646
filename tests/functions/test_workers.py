"""What becomes of a call: crashes, exits, signals and hangs are failures with their cause; nothing is left over."""

import json
import os
import signal

from function_projects import alive, until

BAD = """
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import scriptflow as sf


@sf.task
def crash(how):
    print("about to end")
    if how == "exit":
        os._exit(3)
    if how == "gone":
        os._exit(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "leave":
        sys.exit(4)
    if how == "raise":
        deeper()
    if how == "hang":
        subprocess.Popen(["sleep", "100"])
        time.sleep(100)
    return how


def deeper():
    raise ValueError("deep in it")


@sf.task
def pid():
    return os.getpid()


@sf.task
def state(env=None):
    seen = [os.environ.get("MINE"), os.getcwd(), hasattr(os, "left_here")]
    os.environ["MINE"] = "changed"
    os.left_here = True
    os.chdir("/")
    return seen
"""


def failures(project, *flow):
    answer = project.run(*flow, code=1)
    return {failure["task"]: failure for failure in answer["failures"]}, answer


def test_every_way_to_go_wrong_is_a_failure_with_its_cause_and_the_others_go_on(project):
    project.write(
        sflow=BAD
        + """
async def flow_main():
    words = ["exit", "gone", "kill", "leave", "raise", "fine"]
    others = [crash.task("hang", timeout=0.5), pid.task()]
    values = await sf.bag(*[crash.task(word) for word in words], *others, return_exceptions=True)
    print([type(value).__name__ for value in values])
    await crash.map("how", words[:5])
"""
    )
    found, answer = failures(project)
    assert answer["out"] == [str(["TaskFailed"] * 5 + ["str", "TaskFailed", "int"])]
    assert {task: (one["cause"], one["exit_code"]) for task, one in found.items()} == {
        "crash-exit": ("exit", 3), "crash-gone": ("exit", 0), "crash-kill": ("signal", None),
        "crash-leave": ("exit", 4), "crash-raise": ("exit", 1), "crash-hang": ("timeout", None),
    }  # fmt: skip
    log = (project / found["crash-raise"]["log"]).read_text().splitlines()
    assert log[0] == "about to end" and log[1].startswith("Traceback")
    assert "sflow.py" in log[2] and "in crash" in log[2] and log[-1] == "ValueError: deep in it"
    assert not any("scriptflow/functions" in line for line in log)


def test_a_fresh_process_fails_in_the_same_ways(project):
    project.write(
        sflow=BAD
        + """
async def flow_main():
    once = crash.options(fresh=True)
    assert await once.task("fine") == "fine"
    fresh = pid.options(fresh=True)
    print(await fresh.task() != await fresh.validate().task(name="other"))
    await sf.bag(once.task("exit"), once.task("kill"), once.task("raise"), once.task("hang", timeout=0.5))
"""
    )
    found, answer = failures(project)
    assert answer["out"] == ["True"]
    assert {task: (one["cause"], one["exit_code"]) for task, one in found.items()} == {
        "crash-exit": ("exit", 3), "crash-kill": ("signal", None), "crash-raise": ("exit", 1),
        "crash-hang": ("timeout", None),
    }  # fmt: skip


def test_calls_share_workers_whose_folder_and_environment_are_put_back(project):
    project.write(
        sflow=BAD
        + """
async def flow_main():
    first = await state.task(1)
    second = await state.task(2)
    third = await state.partial(env=3).options(cwd="sub").task()
    print([first[0], second[0], second[1] == os.getcwd(), third[1] == os.path.join(os.getcwd(), "sub")])
    print([first[2], second[2]])
"""
    )
    (project / "sub").mkdir()
    answer = project.run("-j", "1")
    assert answer["out"] == ["[None, None, True, True]", "[False, True]"]


def test_a_thousand_calls_are_made_by_few_processes(project):
    project.write(
        sflow="""
        import os
        import scriptflow as sf

        @sf.task
        def who(n):
            return os.getpid()

        async def flow_main():
            print(len(set(await who.map("n", list(range(200))))))
        """
    )
    assert project.run("-j", "2")["out"] == ["2"]


def test_what_a_call_prints_and_uses_is_its_own_record(project):
    project.write(
        sflow="""
        import subprocess
        import scriptflow as sf

        @sf.task
        def talk(n):
            print("hello", n)
            subprocess.run(["sh", "-c", f"echo from a program {n}"])
            return len(b"x" * n)

        async def flow_main():
            await talk.task(300_000_000, name="big")
            await talk.task(1, name="small")
        """
    )
    project.run("-j", "1")
    assert (project / ".scriptflow/logs/main-1/small.1.log").read_text() == "hello 1\nfrom a program 1\n"
    big, small = (json.loads(project.cli("show", name, "--json").stdout) for name in ("big", "small"))
    assert big["max_rss_bytes"] > 300_000_000 > small["max_rss_bytes"] > 1_000_000
    assert big["cpu_s"] is not None and big["exit_code"] == 0


def test_workers_and_what_they_started_die_with_the_head(project):
    project.write(
        sflow="""
        import os, subprocess, time
        import scriptflow as sf

        @sf.task
        def hang():
            child = subprocess.Popen(["sleep", "100"], start_new_session=True)
            with open("pids.part", "w") as file:
                print(os.getpid(), child.pid, file=file)
            os.rename("pids.part", "pids")
            time.sleep(100)

        async def flow_main():
            await hang.task()
        """
    )
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        head = project.start("-m", "scriptflow", "run")
        until(lambda: (project / "pids").exists())
        pids = [int(word) for word in (project / "pids").read_text().split()]
        os.kill(head.pid, number)
        until(lambda pids=pids: not any(alive(pid) for pid in pids), limit_s=10)
        head.communicate()
        assert head.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]
        (project / "pids").unlink()


def test_retries_and_hooks_are_called_around_the_jobs(project):
    project.write(
        sflow="""
        import os
        from pathlib import Path
        import scriptflow as sf

        def tell(*facts):
            words = [fact.exit_code if isinstance(fact, sf.TaskFailed) else fact for fact in facts]
            print([str(getattr(word, "name", word)) if not isinstance(word, int) else word for word in words])

        def broken(*facts):
            raise RuntimeError("a hook")

        @sf.task(retries=1, on_start=tell, on_success=tell, on_failure=tell, on_retry=tell)
        def second_time(name):
            count = Path(name)
            count.write_text(count.read_text() + "x" if count.exists() else "x")
            if len(count.read_text()) < 2 or name == "never":
                raise ValueError
            return 5

        @sf.task(on_start=broken, on_success=broken)
        def fine():
            return 1

        async def flow_main():
            await second_time.task("count")
            assert await fine.task() == 1
            await second_time.task("never")
        """
    )
    answer = project.run(code=1)
    assert answer["out"] == [
        "['second_time-count']", "['second_time-count', 1]", "['second_time-count']", "['second_time-count', 5]",
        "['second_time-never']", "['second_time-never', 1]", "['second_time-never']", "['second_time-never', 1]",
    ]  # fmt: skip
    assert answer["ran"] == 2 and "on_start of fine raised RuntimeError: a hook" in answer["err"]


def test_the_death_of_what_starts_the_workers_is_a_lost_job_and_the_next_call_works(project):
    project.write(
        sflow="""
        import os, signal, time
        import scriptflow as sf

        @sf.task
        def orphan():
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(100)

        @sf.task
        def fine():
            return 5

        async def flow_main():
            print(await fine.task())
            (error,) = await sf.bag(orphan.task(), return_exceptions=True)
            print(error.cause, await fine.validate().task(name="after"))
        """
    )
    answer = project.run("-j", "1", code=1)
    assert answer["out"] == ["5", "lost 5"]


def test_large_requests_and_answers_arrive_whole(project):
    project.write(
        sflow="""
        import scriptflow as sf

        @sf.task
        def same(n, text):
            return text

        async def flow_main():
            texts = [str(n) * 200_000 for n in range(8)]
            assert await same.map(("n", "text"), list(enumerate(texts))) == texts
        """
    )
    assert project.run("-j", "4")["ran"] == 8


def test_a_function_adds_commands_to_its_run_and_waits_for_them(project):
    project.write(
        sflow="""
        import scriptflow as sf
        from pathlib import Path

        @sf.task
        def parts(n):
            files = [f"p{i}.txt" for i in range(n)]
            made = [sf.submit(["sh", "-c", f"echo {i} > {file}"], outputs=file) for i, file in enumerate(files)]
            assert [one.wait() for one in made] == ["succeeded"] * n
            return sum(int(Path(file).read_text()) for file in files)

        @sf.task
        def deep(n):
            return sf.submit(parts.task(n)).wait()

        async def flow_main():
            print(await parts.task(3))

        async def flow_deep():
            await deep.task(3)
        """
    )
    answer = project.run("main")
    assert (answer["ran"], answer["out"]) == (4, ["3"])
    assert project.run("main")["ran"] == 0
    refused = project.run("deep", code=1)
    assert "only commands can be submitted" in refused["err"] and "call the function plainly" in refused["err"]
    assert "submission.py" not in refused["err"]
