"""All the ways to start tasks: from the command line, from plain Python, in a notebook, with no head in sight."""

import json
import os
import re
import sys
import time

import pytest
from places import PYTHON

import scriptflow as sf
from scriptflow import errors
from scriptflow.store.reader import StoreReader


def touch(name, **more):
    return sf.Task(["touch", name], outputs=name, **more)


def said(done):
    """What a script said on stderr, but for asyncio's own remarks about a slow machine in its debug mode."""
    return "".join(line for line in done.stderr.splitlines(True) if not line.startswith("Executing <"))


def warnings_of(here, slug):
    return [event for event in here.told.of("Message") if event.slug == slug]


# --- started, awaited, forgotten ----------------------------------------------------------------


def test_a_started_task_that_nobody_awaits_is_done_at_the_end(here):
    async def flow():
        task = sf.Task(["sh", "-c", "sleep 0.2; echo > slow"], outputs="slow").start()
        sf.Task(["sh", "-c", "cp slow after"], inputs=task, outputs="after").start()
        return "value"

    result = here.good(flow)
    assert (result.ran, result.value) == (2, "value")
    assert (here / "after").exists()
    assert warnings_of(here, "never-awaited") == []


def test_a_started_task_that_fails_fails_the_run(here):
    async def flow():
        sf.Task("false", outputs="o").start()

    result = here.run(flow)
    assert (result.status, result.failed, result.exit_code) == ("failed", 1, 1)
    assert result.error is None
    assert result.failures[0].task == "o"


def test_a_task_started_twice_and_awaited_after_its_end_is_one_job(here):
    async def flow():
        task = touch("a").start().start()
        await touch("b")
        await task
        task.start()
        assert await task is task

    assert here.good(flow).ran == 2


def test_tasks_never_awaited_are_named_with_their_line(here):
    here.write("""
        import scriptflow as sf
        async def flow_demo():
            sf.Task("touch a", outputs="a", name="lonely")
            await sf.Task("touch b", outputs="b")
    """)  # fmt: skip
    done = here.cli(None, "run")
    assert "lonely" in done.stderr
    assert "sflow.py:4" in done.stderr
    assert "never awaited" in done.stderr
    assert not (here / "a").exists()
    assert "lonely" in here.cli(None, "run").stderr


def test_many_tasks_never_awaited_are_counted(here):
    async def flow():
        for n in range(50):
            touch(f"o{n}")

    here.good(flow)
    texts = [event.text for event in warnings_of(here, "never-awaited")]
    assert len(texts) < 10
    assert "45 more" in texts[-1]


def test_a_coroutine_that_blocks_the_loop_is_named_with_its_line(here):
    text = """
        import time
        import scriptflow as sf
        async def flow_demo():
            await sf.Task("touch a", outputs="a")
            time.sleep(3.6)
            await sf.Task("touch b", outputs="b")
    """
    err = here.cli(text, "run").stderr
    assert "blocked" in err
    assert "sflow.py:6" in err


def test_a_job_that_takes_long_blocks_nothing(here):
    async def flow():
        await sf.Task("sleep 2.5", name="long")

    here.good(flow)
    assert warnings_of(here, "loop-blocked") == []


# --- sf.run -------------------------------------------------------------------------------------


def test_a_result_tells_how_it_went(here):
    async def flow(n, *, word="w"):
        await sf.bag([touch(f"o{k}") for k in range(n)])
        return word

    began = time.time()
    result = here.good(flow, n=3, word="x")
    assert re.fullmatch(r"flow-1", result.run)
    assert (result.flow, result.status, result.value) == ("flow", "succeeded", "x")
    assert (result.ran, result.skipped, result.failed, result.cancelled) == (3, 0, 0, 0)
    assert 0 < result.seconds < time.time() - began + 0.1
    assert (result.error, result.failures, result.exit_code) == (None, (), 0)
    assert "flow-1" in repr(result)
    result = here.good(flow, n=4)
    assert (result.run, result.ran, result.skipped) == ("flow-2", 1, 3)


def test_a_result_lists_failures_and_value_raises_what_ended_the_flow(here):
    async def flow():
        await sf.bag(sf.Task(["sh", "-c", "exit 7"], name="bad"), touch("a"))

    result = here.run(flow)
    (failure,) = result.failures
    assert (failure.task, failure.exit_code, failure.cause) == ("bad", 7, "exit")
    assert os.path.exists(failure.log)
    assert (result.ran, result.failed, result.status) == (1, 1, "failed")
    with pytest.raises(sf.TaskFailed):
        _ = result.value


def test_an_error_of_the_flow_s_own_is_raised_as_it_is_and_recorded(here):
    async def flow():
        await touch("a")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        here.run(flow)
    with StoreReader(here / ".scriptflow") as store:
        run = store.find_run()
    assert (run.status, run.counts.ran) == ("failed", 1)
    assert "mine" in run.message


def test_sf_run_takes_a_task_a_bag_a_coroutine_and_a_plain_function(here):
    script = """
        import scriptflow as sf
        def t(name):
            return sf.Task(["touch", name], outputs=name)
        async def sub():
            await t("c")
            return 5
        def plain(n):
            return t("d") if n else None
        print(sf.run(t("a")).value.name)
        print([task.name for task in sf.run(sf.bag(t("b"), t("b2"))).value])
        print(sf.run(sub()).value)
        print(sf.run(plain, n=1).value.name)
        print(sf.run(plain, n=0).value)
        print(sorted(__import__("os").listdir()))
    """
    out = here.script(script).stdout.splitlines()
    assert out[:5] == ["a", "['b', 'b2']", "5", "d", "None"]
    assert all(f"'{name}'" in out[5] for name in ("a", "b", "b2", "c", "d", ".scriptflow"))


@pytest.mark.parametrize("bad", ["None", "3", "'flow'", "[]"])
def test_sf_run_of_something_else_is_a_clear_error(here, bad):
    script = f"""
        import scriptflow as sf
        try:
            sf.run({bad})
        except sf.ScriptflowError as error:
            print("flow" in str(error))
        import os
        print(os.path.exists(".scriptflow"))
    """
    assert here.script(script).stdout == "True\nFalse\n"


def test_sf_run_of_something_made_already_takes_no_parameters(here):
    script = """
        import scriptflow as sf
        try:
            sf.run(sf.Task("true"), n=3)
        except sf.ScriptflowError as error:
            print("parameters" in str(error))
    """
    assert here.script(script).stdout == "True\n"


def test_sf_run_inside_a_running_loop_is_a_clear_error_and_makes_nothing(here):
    script = """
        import asyncio, os
        import scriptflow as sf
        async def flow():
            pass
        async def main():
            try:
                sf.run(flow)
            except sf.ScriptflowError as error:
                print("run_async" in str(error))
        asyncio.run(main())
        print(os.path.exists(".scriptflow"))
    """
    done = here.script(script)
    assert done.stdout == "True\nFalse\n"
    assert said(done) == ""


def test_sf_run_inside_a_flow_is_a_clear_error_also_while_nothing_has_loaded_asyncio(here):
    text = """
        import scriptflow as sf
        async def inner():
            await sf.Task("touch a", outputs="a")
        async def flow_demo():
            try:
                sf.run(inner)
            except sf.ScriptflowError as error:
                print(type(error).__name__, error)
    """
    assert "run_async" in here.cli(text, "run", limit=8).stdout


def test_runs_one_after_the_other_in_one_process_share_nothing(here):
    async def flow(n):
        return await touch(f"o{n}")

    for n in range(5):
        assert here.good(flow, n=n).run == f"flow-{n + 1}"
    assert here.good(flow, n=0).skipped == 1


def test_a_run_in_another_thread_works(here):
    script = """
        import threading
        import scriptflow as sf
        async def flow():
            await sf.Task("sh -c 'sleep 0.1; echo > a'", outputs="a")
        results = []
        thread = threading.Thread(target=lambda: results.append(sf.run(flow)))
        thread.start()
        thread.join(10)
        print(results[0].ran)
    """
    assert here.script(script).stdout == "1\n"


def test_jobs_of_the_user_s_own_are_left_alone(here):
    """Children that the flow starts itself are his to wait for."""
    text = """
        import subprocess
        import scriptflow as sf
        async def flow_demo():
            child = subprocess.Popen(["sh", "-c", "sleep 0.2; exit 5"])
            await sf.Task("sh -c 'sleep 0.4; echo > a'", outputs="a")
            print(child.wait(), subprocess.run(["sh", "-c", "exit 6"]).returncode)
    """
    assert here.cli(text, "run").stdout == "5 6\n"


# --- sf.run_async, sf.Head, plain asyncio -------------------------------------------------------


def test_run_async_in_a_loop_that_runs_already(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def flow(n):
            await sf.bag([sf.Task(["touch", f"o{k}"], outputs=f"o{k}") for k in range(n)])
            return n
        async def main():
            for n in (2, 3):
                result = await sf.run_async(flow, n=n)
                print(result.run, result.value, result.ran, result.skipped, result.status)
        asyncio.run(main())
    """
    done = here.script(script)
    assert done.stdout.splitlines() == ["flow-1 2 2 0 succeeded", "flow-2 3 1 2 succeeded"]
    assert said(done) == ""


def test_run_async_gives_a_result_for_a_failed_task_as_run_does(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def flow():
            await sf.Task("false", name="bad")
        print(sf.run(flow).status)
        print(asyncio.run(sf.run_async(flow)).status)
    """
    assert here.script(script).stdout == "failed\nfailed\n"


def test_two_flows_side_by_side_in_one_loop_and_one_folder_are_told_that_they_cannot(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def flow(n):
            await sf.Task(["sh", "-c", f"sleep 0.3; echo > o{n}"], outputs=f"o{n}")
        async def main():
            results = await asyncio.gather(*[sf.run_async(flow, n=n) for n in range(2)], return_exceptions=True)
            for result in results:
                print(type(result).__name__)
        asyncio.run(main())
    """
    assert here.script(script, limit=15).stdout == "RunResult\nStoreBusy\n"


def test_a_head_under_full_control(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def main():
            async with sf.Head({"executors": {"local": {"maxsize": 2}}}, name="own") as head:
                task = await head.run(sf.Task("touch a", outputs="a"))
                print(task.state)
                await sf.bag(sf.Task("touch b", outputs="b"), sf.Task("touch c", outputs="c"))
                sf.Task("sh -c 'sleep 0.2; echo > d'", outputs="d").start()
            print(head.result.run, head.result.ran, head.result.status)
            async with sf.Head(name="own") as head:
                await sf.Task("touch a", outputs="a")
            print(head.result.run, head.result.skipped)
        asyncio.run(main())
    """
    done = here.script(script)
    assert done.stdout == "succeeded\nown-1 4 succeeded\nown-2 1\n"
    assert said(done) == ""


def test_a_head_whose_block_raises_lets_jobs_end_and_the_error_through(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def main():
            try:
                async with sf.Head() as head:
                    sf.Task("sh -c 'sleep 0.3; echo > a'", outputs="a").start()
                    raise ValueError("mine")
            except ValueError as error:
                print(error, head.result.ran)
        asyncio.run(main())
    """
    done = here.script(script, limit=10)
    assert (done.stdout, said(done)) == ("mine 1\n", "")


def test_a_head_whose_block_raises_is_recorded_as_failed(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def main():
            try:
                async with sf.Head() as head:
                    await sf.Task("touch a", outputs="a")
                    raise ValueError("mine")
            except ValueError:
                print(head.result.status)
        asyncio.run(main())
    """
    assert here.script(script, limit=10).stdout == "failed\n"


PLAIN = {
    "one": "await t('a')",
    "start": "t('a').start(); await t('b')",
    "start only": "t('a').start()",
    "gather": "await asyncio.gather(t('a'), t('b'), t('c'))",
    "create_task": "await asyncio.create_task(sub('a')); x = asyncio.create_task(sub('b')); await t('c'); await x",
    "task group": """async with asyncio.TaskGroup() as group:
                for name in "abc":
                    group.create_task(sub(name))""",
    "pause between": "await t('a'); await asyncio.sleep(0.3); await t('b')",
    "bag": "await sf.bag(t('a'), sub('b'), t('c'))",
    "made at import": "await EARLY",
    "inferred": "sf.Task(['touch', 'm'], outputs='m'); await sf.Task(['cp', 'm', 'a'], inputs='m', outputs='a')",
    "wait_for": "await asyncio.wait_for(sub('a'), 5)",
    "to_thread": "await t('a'); await asyncio.to_thread(time.sleep, 0.1); await t('b')",
}


@pytest.mark.parametrize("what", PLAIN)
def test_plain_asyncio_with_no_head_in_sight_runs_tasks_and_ends_cleanly(here, what):
    script = f"""
        import asyncio, time
        import scriptflow as sf
        def t(name):
            return sf.Task(["sh", "-c", "sleep 0.05; echo > $0", name], outputs=name)
        EARLY = t("a") if {what == "made at import"} else None
        async def sub(name):
            return await t(name)
        async def main():
            {PLAIN[what]}
        asyncio.run(main())
        print("end")
    """
    done = here.script(script, limit=5)
    assert (done.stdout, said(done)) == ("end\n", "")
    assert (here / "a").exists()
    assert not list(here.folder.glob(".*.sf-part"))
    with StoreReader(here / ".scriptflow") as store:
        run = store.find_run()
        assert (run.run, run.status) == ("script-1", "succeeded")
        assert run.counts.ran >= 1
        assert all(job.ended for job in store.jobs(run.id))
    done = here.script(script)
    with StoreReader(here / ".scriptflow") as store:
        run = store.find_run()
    assert (run.run, run.status, run.counts.ran) == ("script-2", "succeeded", 0)


def test_plain_asyncio_that_fails_raises_and_is_recorded(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def main():
            await sf.Task(["sh", "-c", "echo why; exit 3"], name="bad")
        asyncio.run(main())
    """
    done = here.script(script, code=1)
    assert "TaskFailed" in done.stderr
    assert "bad failed with exit code 3" in done.stderr
    assert "never retrieved" not in done.stderr
    with StoreReader(here / ".scriptflow") as store:
        assert store.find_run().status == "failed"


def test_plain_asyncio_two_loops_after_each_other_are_two_runs(here):
    script = """
        import asyncio
        import scriptflow as sf
        async def main(name):
            await sf.Task(["touch", name], outputs=name)
        asyncio.run(main("a"))
        asyncio.run(main("b"))
        print(sf.run(main, name="c").run)
    """
    done = here.script(script)
    assert (done.stdout, said(done)) == ("main-1\n", "")
    with StoreReader(here / ".scriptflow") as store:
        assert [run.run for run in store.runs()] == ["main-1", "script-2", "script-1"]


def test_a_task_started_with_no_head_and_no_loop_is_a_clear_error(here):
    script = """
        import scriptflow as sf
        try:
            sf.Task("touch a", outputs="a").start()
        except sf.ScriptflowError as error:
            print("sf.run" in str(error))
    """
    done = here.script(script)
    assert (done.stdout, said(done)) == ("True\n", "")


# --- asyncio only when it is needed -------------------------------------------------------------


def test_a_flow_of_nothing_to_do_never_loads_asyncio(here):
    text = """
        import sys
        import scriptflow as sf
        async def sub():
            await sf.Task("touch b", outputs="b")
        async def flow_demo():
            a = sf.Task("touch a", outputs="a")
            await a
            await sf.bag(a, [sf.Task("cp a c", inputs=a, outputs="c")][0])
            async with sf.group("g"):
                await sub()
            sf.Task("touch d", outputs="d").start()
            print("async" + "io" in sys.modules)
    """
    here.cli(text, "run")
    assert here.cli(None, "run").stdout.split()[0] == "False"
    assert here.cli(None, "run", "-q").stdout.split()[0] == "False"


LAZY = {
    "sleep": "import asyncio; await asyncio.sleep(0.01)",
    "sleep late": "await up(); import asyncio; await asyncio.sleep(0.01); await up('b')",
    "gather": "import asyncio; await asyncio.gather(up(), up('b'))",
    "gather of tasks": "import asyncio; await asyncio.gather(T('a'), T('b'))",
    "create_task": "import asyncio; task = asyncio.create_task(up()); await up('b'); await task",
    "current_task": "import asyncio; assert asyncio.current_task() is not None; await up()",
    "current_task same": "import asyncio; c = asyncio.current_task; one = c(); await T('new'); assert c() is one",
    "timeout": "import asyncio\n    async with asyncio.timeout(5):\n        await T('new')",
    "timeout without a wait": "import asyncio\n    async with asyncio.timeout(5):\n        await up()",
    "task group": "import asyncio\n    async with asyncio.TaskGroup() as group:\n        group.create_task(up())",
    "to_thread": "import asyncio; assert await asyncio.to_thread(lambda: 5) == 5",
    "call_soon": "import asyncio; l = asyncio.get_running_loop(); f = l.create_future(); "
                 "l.call_soon(f.set_result, 1); assert await f == 1",
    "in a helper": "helper(); await up(); await T('new')",
    "in a helper after a wait": "await T('new'); helper(); await up()",
    "bag of coroutines": "await sf.bag(up(), up('b'))",
    "bag of coroutines late": "await up(); await sf.bag(up(), T('new'), up('b'))",
    "async generator": "assert [x async for x in numbers()] == [0, 1]",
    "context variable": "V.set(3); await T('new'); assert V.get() == 3",
    "context variable late": "import asyncio; V.set(3); await asyncio.sleep(0); assert V.get() == 3",
    "subprocess": "import asyncio; p = await asyncio.create_subprocess_exec('sh', '-c', 'exit 4'); "
                  "assert await p.wait() == 4",
    "never awaited future": "import asyncio; asyncio.ensure_future(up())",
    "uncancelled": "import asyncio\n    try:\n        async with asyncio.timeout(0.05):\n"
                   "            await T('new', 'sleep 1')\n"
                   "    except TimeoutError:\n        print('timed out')",
}  # fmt: skip


@pytest.mark.parametrize("when", ["to do", "nothing to do"])
@pytest.mark.parametrize("what", LAZY)
def test_a_flow_cannot_tell_when_asyncio_was_loaded(here, what, when):
    """The word is not spoken in the flow file: it is in a module that the flow imports when it runs."""
    body = LAZY[what].replace("import asyncio", "asyncio = __import__(NAME)")
    (here / "sflow.py").write_text(f"""
import contextvars
import scriptflow as sf
NAME = "async" + "io"
V = contextvars.ContextVar("V")
def T(name, first="true"):
    return sf.Task(["sh", "-c", first + "; echo > $0", name], outputs=name)
async def up(name="a"):
    return await T(name)
async def numbers():
    for n in range(2):
        await up()
        yield n
def helper():
    __import__(NAME)
async def flow_demo():
    {body}
    print("end")
""")
    if when == "nothing to do":
        for name in ("a", "b"):
            (here / name).write_text("\n")
    done = here.cli(None, "run", limit=10)
    assert done.stdout.split()[-1] == "end"
    for word in ("Traceback", "never awaited", "never retrieved", "destroyed", "Error"):
        assert word not in done.stderr, done.stderr
    if what == "uncancelled":
        assert "timed out" in done.stdout


# --- children of a flow -------------------------------------------------------------------------


def test_importing_the_flow_file_in_a_child_has_no_effect(here):
    text = """
        import sys
        import scriptflow as sf
        sf.init({"executors": {"local": {"maxsize": 2}}, "debug": False})
        ONE = sf.Task("touch one", outputs="one")
        def square(n):
            return n * n
        async def flow_demo():
            await ONE
            code = "import sflow; print(sflow.square(7)); open('squared', 'w').write(str(sflow.square(7)))"
            await sf.Task([sys.executable, "-c", code], outputs="squared")
    """
    done = here.cli(text, "run", "--json")
    assert json.loads(done.stdout)["ran"] == 2
    assert (here / "squared").read_text() == "49"
    assert json.loads(here.cli(None, "runs", "--json").stdout)[0]["run"] == "demo-1"
    assert len(json.loads(here.cli(None, "runs", "--json").stdout)) == 1


def test_a_pool_of_processes_in_a_flow_works(here):
    text = """
        import concurrent.futures, multiprocessing
        import scriptflow as sf
        def square(n):
            return n * n
        async def flow_demo():
            import asyncio
            await sf.Task("touch a", outputs="a")
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                loop = asyncio.get_running_loop()
                print(await asyncio.gather(*[loop.run_in_executor(pool, square, n) for n in range(3)]))
    """
    assert here.cli(text, "run").stdout == "[0, 1, 4]\n"


def test_python_in_a_command_is_the_flow_s_own_interpreter(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            await sf.bag(
                sf.Task(["python", "-c", "import sys; open('a', 'w').write(sys.executable)"], outputs="a"),
                sf.Task("python -c 'import sys, scriptflow; print(sys.prefix)' > b", shell=True, outputs="b"),
            )
    """
    here.cli(text, "run", PATH="/usr/bin:/bin")
    assert os.path.dirname((here / "a").read_text()) == os.path.dirname(PYTHON)
    assert (here / "b").read_text().strip() == sys.prefix


# --- what a run is about ------------------------------------------------------------------------


CHAIN = """
    import scriptflow as sf
    async def flow_demo():
        a = sf.Task("sh -c 'echo a >> log; echo > a'", outputs="a")
        b = sf.Task("sh -c 'echo b >> log; echo > b'", inputs=a, outputs="b")
        c = sf.Task("sh -c 'echo c >> log; echo > c'", inputs=b, outputs="c")
        side = sf.Task("sh -c 'echo side >> log; echo > side'", outputs="side")
        await sf.bag(c, side)
        open("returned", "w").close()
"""


def ran(here, *words, code=0):
    """Return what a run ran, in order."""
    (here / "log").unlink(missing_ok=True)
    here.cli(None, "run", *words, code=code)
    return (here / "log").read_text().split() if (here / "log").exists() else []


def test_only_runs_what_matches(here):
    here.write(CHAIN)
    assert ran(here, "--only", "side") == ["side"]
    assert sorted(ran(here, "-j", "1")) == ["a", "b", "c"]
    assert ran(here, "--only", "b") == []
    (here / "a").write_text("edited by hand, and longer")
    assert ran(here, "--only", "b", "--only", "c") == ["b", "c"]
    assert ran(here) == ["a", "b", "c"]


def test_only_of_something_whose_inputs_are_not_there_is_a_clear_error(here):
    here.write(CHAIN)
    done = here.cli(None, "run", "--only", "b", code=1)
    assert "needs a: it does not exist" in done.stderr
    assert not (here / "log").exists()


def test_only_of_nothing_that_matches_says_so(here):
    here.write(CHAIN)
    done = here.cli(None, "run", "--only", "nothing-*")
    assert not (here / "log").exists()
    assert "nothing-*" in done.stderr


def test_what_only_leaves_out_is_not_told_to_be_up_to_date(here):
    here.write(CHAIN)
    done = here.cli(None, "run", "--only", "side", "--json")
    assert json.loads(done.stdout)["ran"] == 1
    assert json.loads(done.stdout)["skipped"] == 0


@pytest.mark.parametrize("option", ["--force", "--until"])
def test_a_pattern_that_matches_nothing_is_said(here, option):
    here.write(CHAIN)
    assert "no-such-task" in here.cli(None, "run", option, "no-such-task").stderr


@pytest.mark.parametrize("target", ["b", "[b]"])
def test_until_stops_after_a_task_and_runs_what_it_needs(here, target):
    here.write(CHAIN)
    assert ran(here, "--until", target) == ["a", "b"]
    assert not (here / "returned").exists()
    assert sorted(ran(here)) == ["c", "side"]
    assert ran(here, "--until", target) == []


def test_until_takes_an_output_and_several(here):
    here.write(CHAIN)
    assert sorted(ran(here, "--until", "a", "--until", "side")) == ["a", "side"]
    assert (here / "a").exists()


def test_until_a_task_that_fails_fails(here):
    here.write(CHAIN.replace("echo b >> log;", "echo b >> log; exit 1;"))
    assert ran(here, "--until", "c", code=1) == ["a", "b"]


def test_until_in_a_flow_of_plain_awaits(here):
    here.write("""
        import scriptflow as sf
        async def flow_demo():
            for name in "abc":
                try:
                    await sf.Task(["sh", "-c", "echo $0 >> log; echo > $0", name], outputs=name)
                except Exception:
                    pass
    """)  # fmt: skip
    assert ran(here, "--until", "b") == ["a", "b"]
    assert ran(here, "--until", "b") == []
    assert ran(here) == ["c"]


def test_force_runs_what_matches_and_what_needs_it(here):
    here.write(CHAIN)
    assert len(ran(here)) == 4
    assert ran(here) == []
    assert ran(here, "--force", "b") == ["b", "c"]
    assert ran(here, "-f", "s*") == ["side"]
    assert sorted(ran(here, "-f", "*")) == ["a", "b", "c", "side"]
    assert ran(here, "-f", "*", "--only", "c") == ["c"]
    assert ran(here, "-f", "a", "--until", "b") == ["a", "b"]


def test_a_plan_under_the_same_options_lists_what_a_run_would_run(here):
    here.write(CHAIN)
    for words in (["--until", "b"], ["--only", "side"], ["-f", "c"], []):
        planned = json.loads(here.cli(None, "plan", "--json", *words).stdout)
        assert sorted(task["task"] for task in planned["would_run"]) == sorted(ran(here, *words))
        assert json.loads(here.cli(None, "plan", "--json", "--only", "x").stdout)["would_run"] == []


def test_errors_keep_their_kinds(here):
    """What a script may catch: one tree, as it is documented."""
    for kind in (sf.TaskFailed, sf.TasksFailed, sf.OutputMissing, sf.InputMissing, sf.Cycle, sf.DuplicateOutput,
                 sf.TaskFrozen):  # fmt: skip
        assert issubclass(kind, sf.ScriptflowError)
    assert issubclass(sf.OutputMissing, sf.TaskFailed)
    assert issubclass(errors.CommandNotFound, sf.TaskFailed)
