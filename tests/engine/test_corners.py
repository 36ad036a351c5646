"""Corners where two rules of the engine meet."""

import asyncio
import os
import sys

import pytest
from places import alive, until

import scriptflow as sf
from scriptflow import errors


def test_a_plan_of_work_that_is_due_ends_well_when_asyncio_is_not_loaded_yet(here):
    flow = """
        import scriptflow as sf
        async def flow_demo():
            await sf.Task("touch a", outputs="a")
    """
    done = here.cli(flow, "plan", "--json")
    assert '"a"' in done.stdout


def test_a_flow_that_imports_asyncio_and_waits_for_nothing_ends_well(here):
    # The word is spelled so that the flow file does not speak of it.
    flow = """
        import scriptflow as sf
        async def flow_demo():
            __import__("async" + "io").get_running_loop()
    """
    assert here.cli(flow, "run").stderr.count("Traceback") == 0


def test_fail_fast_of_a_bag_ends_while_others_of_it_wait_for_room(here):
    script = """
        import scriptflow as sf
        async def flow():
            bad = sf.Task("false", outputs="bad", priority=1)
            rest = [sf.Task(["touch", f"o{n}"], outputs=f"o{n}") for n in range(5)]
            await sf.bag(bad, *rest, fail_fast=True)
        result = sf.run(flow, settings={"executors": {"local": {"maxsize": 1}}})
        print(result.status, result.ran, result.failed, result.cancelled)
    """
    assert here.script(script, limit=5).stdout == "failed 0 1 5\n"


def test_fail_fast_of_a_bag_does_not_wait_out_the_delay_of_a_retry(here):
    script = """
        import scriptflow as sf
        async def flow():
            again = sf.Task("sh -c 'echo > seen; exit 1'", outputs="again", retries=3, retry_delay="1h", priority=1)
            bad = sf.Task("sh -c 'while ! [ -e seen ]; do sleep 0.01; done; sleep 0.2; exit 1'", outputs="bad")
            await sf.bag(again, bad, fail_fast=True)
        result = sf.run(flow)
        print(result.status)
    """
    assert here.script(script, limit=5).stdout == "failed\n"


def test_fail_fast_of_a_bag_raises_the_one_failure_as_itself(here):
    async def flow():
        bad = sf.Task("false", outputs="bad", priority=1)
        await sf.bag(bad, sf.Task("sh -c 'sleep 0.2; echo > ok'", outputs="ok"), fail_fast=True)

    result = here.run(flow)
    assert type(result.error) is sf.TaskFailed
    assert result.error.task == "bad"


def test_fail_fast_of_a_bag_raises_the_one_failure_as_itself_when_others_were_called_off(here):
    script = """
        import scriptflow as sf
        async def flow():
            bad = sf.Task("false", outputs="bad", priority=1)
            rest = [sf.Task(["touch", f"o{n}"], outputs=f"o{n}") for n in range(5)]
            try:
                await sf.bag(bad, *rest, fail_fast=True)
            except sf.ScriptflowError as error:
                print(type(error).__name__, getattr(error, "task", ""), flush=True)
        sf.run(flow, settings={"executors": {"local": {"maxsize": 1}}})
    """
    assert here.script(script, limit=5).stdout == "TaskFailed bad\n"


def test_fail_fast_of_a_bag_counts_the_failure_of_a_coroutine(here):
    made = []

    async def flow():
        async def broken():
            raise ValueError("mine")

        def items():
            yield broken()
            for number in range(300):
                made.append(number)
                yield sf.Task(["true", str(number)])

        await sf.bag(items(), fail_fast=True, limit=2)

    with pytest.raises(ValueError, match="mine"):
        here.run(flow)
    assert len(made) < 100


def test_an_equal_task_called_off_by_a_bag_does_not_break_the_one_that_runs(here):
    script = """
        import scriptflow as sf
        async def flow():
            command = "sh -c 'while ! [ -e go ]; do sleep 0.01; done; echo > out'"
            first = sf.Task(command, outputs="out").start()
            twin = sf.Task(command, outputs="out")
            try:
                await sf.bag(sf.Task("false", outputs="bad"), twin, fail_fast=True)
            except sf.ScriptflowError:
                pass
            open("go", "w").close()
            await first
            print(first.state)
        sf.run(flow)
    """
    assert here.script(script, limit=5).stdout == "succeeded\n"


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2"])
def test_a_limit_of_a_bag_that_makes_no_sense_is_an_error(here, limit):
    script = f"""
        import scriptflow as sf
        async def flow():
            await sf.bag(sf.Task("true"), limit={limit!r})
        try:
            sf.run(flow).value
        except sf.ScriptflowError as error:
            print("limit" in str(error))
    """
    assert here.script(script, limit=5).stdout == "True\n"


def test_a_retry_whose_input_is_gone_ends_the_run(here):
    (here / "in").write_text("x")
    script = """
        import scriptflow as sf
        async def flow():
            sf.Task("sh -c 'rm in; exit 1'", inputs="in", outputs="out", retries=2).start()
        result = sf.run(flow)
        print(result.status, result.failed)
    """
    assert here.script(script, limit=5).stdout == "failed 1\n"


def test_a_copy_with_another_command_and_the_same_output_is_a_duplicate(here):
    async def flow():
        first = sf.Task("sh -c 'echo first > out'", outputs="out")
        second = first.copy(cmd="sh -c 'echo second > out'")
        await sf.bag(first, second)

    result = here.run(flow)
    assert type(result.error) is sf.DuplicateOutput


def test_an_edit_after_another_task_was_sent_frees_the_old_output(here):
    async def flow():
        late = sf.Task("touch b", outputs="a")
        await sf.Task("true")
        late.output("b")
        await sf.bag(late, sf.Task("touch a", outputs="a"))

    assert here.good(flow).ran == 3


def test_an_edit_after_another_task_was_sent_makes_it_another_task(here):
    (here / "i").write_text("i")

    async def flow():
        one = sf.Task(["sh", "-c", "echo x >> log"])
        await sf.Task("true")
        one.input("i")
        await sf.bag(one, sf.Task(["sh", "-c", "echo x >> log"]))

    assert here.good(flow).ran == 3


def test_tasks_made_equal_by_a_late_edit_are_one_job(here):
    (here / "i").write_text("i")

    async def flow():
        one = sf.Task(["sh", "-c", "echo x >> log"])
        await sf.Task("true")
        one.input("i")
        await sf.bag(one, sf.Task(["sh", "-c", "echo x >> log"], inputs="i"))

    assert here.good(flow).ran == 2


def test_a_late_name_that_another_task_has_is_found(here):
    async def flow():
        one = sf.Task("touch a", outputs="a")
        await sf.Task("touch b", outputs="b", name="b")
        one.uid("b")
        await one

    assert type(here.run(flow).error) is errors.DuplicateTask


def test_a_task_without_outputs_can_be_an_input(here):
    async def flow():
        first = sf.Task("sh -c 'echo 1 >> log'")
        await sf.Task("sh -c 'echo 2 >> log; echo > o'", inputs=[first], outputs="o")

    here.good(flow)
    assert (here / "log").read_text() == "1\n2\n"


def test_a_task_whose_outputs_are_a_glob_can_be_an_input(here):
    async def flow():
        first = sf.Task("sh -c 'echo 1 > p1; echo 2 > p2'", outputs=sf.glob("p*"))
        await sf.Task("cat {inputs} > all", inputs=first, outputs="all", shell=True)

    here.good(flow)
    assert (here / "all").read_text() == "1\n2\n"


def test_a_group_of_inputs_that_is_a_glob_is_filled_in_as_files(here):
    for name in ("a.txt", "b.txt"):
        (here / name).write_text(name + "\n")

    async def flow():
        await sf.Task("cat {inputs[parts]} > all", inputs={"parts": sf.glob("*.txt")}, outputs="all", shell=True)

    here.good(flow)
    assert (here / "all").read_text() == "a.txt\nb.txt\n"


def test_a_group_of_inputs_that_is_a_task_is_filled_in_as_files(here):
    async def flow():
        first = sf.Task("touch 'a b'", outputs="a b")
        await sf.Task("cp {inputs[first]} {output}", inputs={"first": first}, outputs="c")

    here.good(flow)


@pytest.mark.parametrize("which", ["--1", "\u00b2", "9", "-9", "nothing"])
def test_a_placeholder_that_is_not_there_is_a_clear_error(here, which):
    (here / "i").write_text("")
    script = f"""
        import scriptflow as sf
        async def flow():
            await sf.Task("cat {{inputs[{which}]}}", inputs="i", outputs="o")
        error = sf.run(flow).error
        print(isinstance(error, sf.errors.TaskError), {which!r} in error.what)
    """
    assert here.script(script, limit=5).stdout == "True True\n"


def test_a_directory_beside_a_glob_among_the_outputs_is_made(here):
    async def flow():
        await sf.Task("sh -c 'test -d d && touch p1'", outputs=[sf.glob("p*"), sf.directory("d")])

    here.good(flow)


def test_a_directory_as_input_waits_for_the_tasks_that_write_into_it(here):
    async def flow():
        for number in range(3):
            sf.Task(["sh", "-c", f"sleep 0.1; echo {number} > parts/{number}"], outputs=f"parts/{number}")
        (here / "parts").mkdir(exist_ok=True)
        await sf.Task("cat parts/* > all", inputs=sf.directory("parts"), outputs="all", shell=True)

    here.good(flow)
    assert (here / "all").read_text() == "0\n1\n2\n"


def test_a_directory_is_looked_at_again_after_a_job_wrote_into_it(here):
    (here / "parts").mkdir()
    (here / "source").write_text("1")

    async def flow():
        await sf.Task("cp -r parts early; touch early", inputs=sf.directory("parts"), outputs="early", shell=True)
        await sf.Task("cp source parts/one", inputs="source", outputs="parts/one")
        await sf.Task("cat parts/* > late", inputs=sf.directory("parts"), outputs="late", shell=True)

    async def simple():
        await sf.Task("ls parts > early", inputs=sf.directory("parts"), outputs="early", shell=True)
        await sf.Task("cp source parts/one", inputs="source", outputs="parts/one")
        await sf.Task("cat parts/* > late", inputs=sf.directory("parts"), outputs="late", shell=True)

    here.good(simple)
    here.good(simple)
    here.good(simple)
    (here / "source").write_text("22")
    here.good(simple)
    assert (here / "late").read_text() == "22"


def test_a_plan_knows_that_a_file_lies_in_a_folder_that_another_task_would_make(here):
    async def flow():
        sf.Task("sh -c 'echo > out/a'", outputs=sf.directory("out"), name="folder")
        await sf.Task("cp out/a b", inputs="out/a", outputs="b")

    plan = here.plan(flow)
    assert [task.task for task in plan.would_run] == ["folder", "b"]
    assert here.good(flow).ran == 2


def test_a_plan_sees_a_glob_grow_by_a_file_that_another_task_would_make(here):
    async def flow(n):
        await sf.bag(*[sf.Task(["sh", "-c", f"echo > part{k}.txt"], outputs=f"part{k}.txt") for k in range(n)])
        await sf.Task("cat {inputs} > all", inputs=sf.glob("part*.txt"), outputs="all", shell=True)

    here.good(flow, n=2)
    planned = [task.task for task in here.plan(flow, n=3).would_run]
    here.good(flow, n=3)
    assert planned == here.told.ran == ["part2.txt", "all"]


def test_a_maker_declared_after_its_taker_was_sent_but_before_it_could_start_comes_first(here):
    async def flow():
        slow = sf.Task("sh -c 'while ! [ -e go ]; do sleep 0.01; done; echo > x'", outputs="x")
        taker = sf.Task("cat x p > a", inputs=["x", "p"], outputs="a", shell=True).start()
        sf.Task("sh -c 'echo p > p'", outputs="p")
        (here / "go").touch()
        await taker
        assert slow.state == "succeeded"

    here.good(flow)


@pytest.mark.parametrize("where", ["name", "env", "cwd"])
def test_text_that_is_no_text_is_a_clear_error(here, where):
    script = f"""
        import scriptflow as sf
        async def flow():
            odd = "a\\ud800b"
            more = {{"name": odd, "env": {{odd: odd}}, "cwd": odd}}
            await sf.Task(["sh", "-c", "echo > o"], outputs="o", **{{{where!r}: more[{where!r}]}})
        try:
            sf.run(flow).value
        except sf.ScriptflowError as error:
            print("told")
    """
    assert here.script(script, limit=5).stdout == "told\n"


def test_tasks_that_make_no_sense_together_and_are_never_awaited_do_not_break_the_end_of_a_run(here):
    async def flow():
        sf.Task("touch a", outputs="a")
        sf.Task("touch ./a", outputs="a")

    async def again():
        await sf.Task("touch b", outputs="b")

    here.run(flow)
    assert here.good(again).ran == 1


def test_a_bug_of_ours_while_a_waiting_task_is_judged_does_not_hang(here):
    script = """
        import scriptflow as sf
        async def flow():
            first = sf.Task("sh -c 'sleep 0.1; echo > a'", outputs="a")
            await sf.Task("cp a b", inputs="a", outputs="b", priority="high")
        try:
            sf.run(flow).value
        except sf.ScriptflowError as error:
            print("told")
    """
    assert here.script(script, limit=5).stdout == "told\n"


def test_a_cancelled_bag_cancels_its_coroutines(here):
    seen = []

    async def flow():
        async def sub():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await sf.bag(sub())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == ["cancelled"]

    here.good(flow)


def test_a_flow_that_imports_asyncio_starts_a_task_and_raises_is_quiet(here):
    flow = """
        import scriptflow as sf
        async def flow_demo():
            __import__("async" + "io")
            sf.Task("touch a", outputs="a").start()
            raise ValueError("mine")
    """
    done = here.cli(flow, "run", code=1)
    assert "mine" in done.stderr
    assert "never retrieved" not in done.stderr
    assert "destroyed" not in done.stderr
    assert "reuse" not in done.stderr


def test_ctrl_c_ends_a_flow_that_tries_again_after_every_failure(here):
    import signal

    child = here.start("""
        import scriptflow as sf
        async def flow_demo():
            while True:
                try:
                    await sf.Task("sh -c 'echo > up; sleep 60'", outputs="out")
                    break
                except sf.TaskFailed:
                    continue
    """)
    here.appears("up", process=child)
    child.send_signal(signal.SIGINT)
    here.end_of(child, code=130, limit=10)


def test_ctrl_c_under_plain_asyncio_stops_the_jobs(here):
    import signal

    here.write(
        """
        import asyncio
        import scriptflow as sf
        async def main():
            await sf.Task("sh -c 'echo $$ > pid; exec sleep 60'", outputs="out")
        asyncio.run(main())
    """,
        "script.py",
    )
    child = here.popen(sys.executable, "script.py")
    pid = here.appears("pid", process=child)
    os.kill(child.pid, signal.SIGINT)
    try:
        child.communicate(timeout=10)
    finally:
        child.kill()
    until(lambda: not alive(pid), 5, "the job is dead")


def test_an_output_of_a_file_name_of_255_bytes_works_or_is_refused_before_anything_runs(here):
    name = "x" * 255

    async def flow():
        await sf.Task(["sh", "-c", 'echo > "$0"', name], outputs=name)

    result = here.run(flow)
    assert result.error is None or name[:50] in str(result.error)
    assert result.error is None


def test_the_hint_about_a_shell_is_not_given_for_a_quoted_word(here):
    async def flow():
        await sf.Task("sh -c 'echo > elsewhere'", outputs="o")

    error = here.run(flow).error
    assert type(error) is sf.OutputMissing
    assert "no shell read it" not in str(error)


def test_a_conflict_between_two_tasks_does_not_hide_the_next_ones(here):
    async def flow():
        sf.Task("touch a", outputs="a")
        sf.Task("touch ./a", outputs="a")
        sf.Task("touch b", outputs="b")
        try:
            await sf.Task("cp b c", inputs="b", outputs="c")
        except sf.DuplicateOutput:
            await sf.Task("cp b d", inputs="b", outputs="d")

    here.good(flow)
