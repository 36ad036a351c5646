"""Which tasks are one, and which comes first."""

import os
import sys

import pytest

import scriptflow as sf
from scriptflow import errors


def key(**changes):
    return sf.Task(**{"cmd": ["a", "b"], "inputs": ["i", "j"], "outputs": ["o"], **changes}).key


@pytest.mark.parametrize(
    "change",
    [
        {"cmd": ["a b"]}, {"cmd": ["a", "c"]}, {"cmd": "a b"}, {"inputs": ["j", "i"]}, {"inputs": ["i"]},
        {"inputs": ["i j"]}, {"outputs": ["o", "p"]}, {"outputs": ["p"]}, {"container": "x"}, {"cwd": "d"},
        {"env": {"A": "1"}}, {"cmd": "a b", "shell": True},
    ],
    ids=str,
)  # fmt: skip
def test_the_key_tells_different_tasks_apart(change):
    assert key(**change) != key()


@pytest.mark.parametrize("change", [{"name": "n"}, {"cpus": 3}, {"retries": 4}, {"priority": 1}, {"labels": {"a": "b"}},
                                    {"memory": "1GB"}, {"timeout": 3}, {"outputs": "./o"}], ids=str)  # fmt: skip
def test_the_key_is_not_about_names_and_resources(change):
    assert key(**change) == key()


def test_equal_tasks_are_one_job_whoever_awaits_them(here):
    async def flow():
        def make():
            return sf.Task(["sh", "-c", "echo x >> log; echo > o"], outputs="o")

        one, two, three = make(), make(), make()
        one.start()
        await sf.bag(two, three)
        await one
        assert one.state == two.state == three.state
        return one.state

    result = here.good(flow)
    assert (result.ran, result.value) == (1, "succeeded")
    assert (here / "log").read_text() == "x\n"
    result = here.good(flow)
    assert (result.ran, result.skipped) == (0, 1)


def test_equal_tasks_without_outputs_are_one_job(here):
    async def flow():
        await sf.bag(*[sf.Task(["sh", "-c", "echo x >> log"]) for _ in range(5)])
        await sf.Task(["sh", "-c", "echo x >> log"])

    assert here.good(flow).ran == 1


def test_equal_tasks_that_fail_fail_once_at_every_await(here):
    async def flow():
        first, second = sf.Task("false", outputs="o"), sf.Task("false", outputs="o")
        for task in (first, second, first):
            with pytest.raises(sf.TaskFailed, match="exit code 1"):
                await task
        with pytest.raises(sf.TaskFailed):
            await sf.bag(first, second)

    result = here.run(flow)
    assert (result.failed, result.ran, len(result.failures)) == (1, 0, 1)


def test_two_tasks_with_one_command_and_no_outputs_of_their_own_have_logs_of_their_own(here):
    async def flow():
        await sf.bag(
            *[sf.Task(["sh", "-c", f"for n in 1 2 3 4 5 6 7 8 9; do echo {k}; done; exit {k}"]) for k in (1, 2)]
        )

    error = here.run(flow).error
    assert type(error) is sf.TasksFailed
    for failure in error.failures:
        assert set(failure.tail) == {str(failure.exit_code)}


def test_two_tasks_with_one_output_are_named_both(here):
    async def flow():
        await sf.bag(sf.Task("touch o", outputs="o", name="one"), sf.Task("touch ./o", outputs="./o", name="two"))

    result = here.run(flow)
    assert type(result.error) is sf.DuplicateOutput
    assert "one" in str(result.error)
    assert "two" in str(result.error)
    assert "sflow.py" in str(result.error)
    assert result.exit_code == 2
    assert not (here / "o").exists()


def test_two_tasks_with_one_output_in_one_task_is_no_conflict_but_the_same_path_twice(here):
    async def flow():
        await sf.Task("touch o", outputs=["o", "./o"])

    here.good(flow)


def test_two_different_tasks_with_one_name_are_an_error(here):
    async def flow():
        await sf.bag(sf.Task("touch a", outputs="a", name="x"), sf.Task("touch b", outputs="b", name="x"))

    error = here.run(flow).error
    assert type(error) is errors.DuplicateTask
    assert "x-2" in error.do


def test_a_declared_input_is_made_first_awaited_or_not(here):
    async def flow():
        sf.Task("cp b c", inputs="b", outputs="c")
        sf.Task("cp a b", inputs="a", outputs="b")
        sf.Task("touch a", outputs="a")
        await sf.Task("cp c d", inputs="c", outputs="d")

    assert here.good(flow).ran == 4
    assert here.told.ran == ["a", "b", "c", "d"]


def test_an_input_that_is_a_task_runs_first(here):
    async def flow():
        a = sf.Task("touch a", outputs="a")
        await sf.Task("cp {inputs} {output}", inputs=a, outputs="b")
        assert a.state == "succeeded"

    here.good(flow)


def test_a_started_task_of_which_nobody_waits_runs_before_those_that_need_it(here):
    async def flow():
        sf.Task("touch a", outputs="a").start()
        sf.Task("cp a b", inputs="a", outputs="b").schedule()

    assert here.good(flow).ran == 2


def test_a_loop_is_named(here):
    async def flow():
        sf.Task("touch b", inputs="a", outputs="b", name="bee")
        sf.Task("touch c", inputs="b", outputs="c", name="cee")
        await sf.Task("touch a", inputs="c", outputs="a", name="ay")

    result = here.run(flow)
    assert type(result.error) is sf.Cycle
    assert all(name in result.error.what for name in ("ay", "bee", "cee"))
    assert result.exit_code == 2


def test_a_loop_of_tasks_that_are_inputs_is_named(here):
    async def flow():
        a = sf.Task("touch a", outputs="a")
        b = sf.Task("touch b", inputs=a, outputs="b")
        a.input(b)
        await b

    assert type(here.run(flow).error) is sf.Cycle


def test_a_loop_beside_good_tasks_in_a_bag_does_not_hang(here):
    async def flow():
        await sf.bag(
            sf.Task("touch x", outputs="x"), sf.Task("touch a", inputs="b", outputs="a"),
            sf.Task("touch b", inputs="a", outputs="b"), sf.Task("touch y", outputs="y"),
        )  # fmt: skip

    assert type(here.run(flow).error) is sf.Cycle


def test_a_task_may_read_what_it_writes(here):
    (here / "a").write_text("1")

    async def flow():
        await sf.Task("echo 2 >> a", shell=True, inputs="a", outputs=["a", "b"], update_in_place=True)

    (here / "b").write_text("")
    os.utime(here / "b", (1, 1))
    here.good(flow)
    assert (here / "a").read_text() == "12\n"


def test_a_missing_input_names_task_file_and_a_near_name_before_anything_runs(here):
    (here / "data_2024.csv").write_text("")

    async def flow():
        await sf.Task("sh -c 'echo > ran'", inputs="data_2042.csv", outputs="o", name="load")

    result = here.run(flow)
    assert type(result.error) is sf.InputMissing
    assert "load" in result.error.what
    assert "data_2042.csv" in result.error.what
    assert "data_2024.csv" in result.error.do
    assert result.error.place.line > 0
    assert result.exit_code == 2
    assert not (here / "ran").exists()


def test_a_missing_input_of_one_task_leaves_the_others_alone(here):
    async def flow():
        await sf.bag(sf.Task("true", inputs="nope", outputs="x"), *[sf.Task(["touch", n], outputs=n) for n in "abc"])

    result = here.run(flow)
    assert type(result.error) is sf.InputMissing
    assert (result.ran, result.failed) == (3, 1)


def test_what_needs_a_failed_task_is_not_started_and_says_so(here):
    async def flow():
        a = sf.Task("false", outputs="a", name="first")
        b = sf.Task("cp a b", inputs=a, outputs="b")
        c = sf.Task("cp b c", inputs=b, outputs="c")
        with pytest.raises(errors.UpstreamFailed, match="was not started"):
            await c
        assert (a.state, b.state, c.state) == ("failed", "cancelled", "cancelled")
        raise sf.ScriptflowError("x")

    result = here.run(flow)
    assert (result.failed, result.cancelled) == (1, 2)


@pytest.mark.parametrize("order", ["forward", "backward"])
def test_a_chain_of_five_thousand_tasks_does_not_recurse(here, order):
    many = 5000

    async def flow():
        tasks = [sf.Task(["true"], inputs=f"f{n}", outputs=f"f{n + 1}") for n in range(many)]
        await sf.bag(tasks if order == "forward" else tasks[::-1])

    (here / "f0").write_text("")
    for number in range(1, many + 1):
        (here / f"f{number}").write_text("")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        assert here.good(flow).ran + here.good(flow).skipped == many
    finally:
        sys.setrecursionlimit(limit)
    (here / "f0").unlink()
    result = here.run(flow)
    assert isinstance(result.error, sf.InputMissing)
    assert (result.failed, result.cancelled) == (1, many - 1)


def test_a_long_chain_that_must_run_is_planned_without_recursion(here):
    many = 5000

    async def flow():
        sf.Task(["true"], outputs="f0")
        tasks = [sf.Task(["true"], inputs=f"f{n}", outputs=f"f{n + 1}") for n in range(many)]
        await tasks[-1]

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        assert len(here.plan(flow).would_run) == many + 1
    finally:
        sys.setrecursionlimit(limit)


def test_a_diamond_runs_each_task_once(here):
    (here / "in").write_text("1")

    async def flow():
        top = sf.Task("cp in top", inputs="in", outputs="top")
        sides = [sf.Task(["cp", "top", side], inputs=top, outputs=side) for side in ("left", "right")]
        await sf.Task("cat left right > end", inputs=sides, outputs="end", shell=True)

    assert here.good(flow).ran == 4
    assert here.good(flow).skipped == 4
    (here / "in").write_text("22")
    assert here.good(flow).ran == 4
    assert here.told.codes("end") == ["upstream", "upstream"]
    (here / "left").unlink()
    here.good(flow)
    assert here.told.ran == ["left", "end"]


def test_an_unequal_twin_declared_while_the_first_runs_is_an_error(here):
    async def flow():
        first = sf.Task("sh -c 'while ! [ -e go ]; do sleep 0.01; done; echo > o'", outputs="o").start()
        try:
            with pytest.raises(sf.DuplicateOutput):
                await sf.Task("touch o", outputs="o")
        finally:
            (here / "go").touch()
        await first

    here.good(flow)


def test_a_folder_and_a_file_in_it_by_two_tasks_come_in_order(here):
    async def flow():
        sf.Task("sh -c 'touch out/a'", outputs=sf.directory("out"), name="folder")
        await sf.Task("cp out/a b", inputs="out/a", outputs="b")

    here.good(flow)
    assert here.told.ran == ["folder", "b"]
    assert here.good(flow).skipped == 2
