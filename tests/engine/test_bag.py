"""Many at once: bags and groups."""

import asyncio
from pathlib import Path

import pytest

import scriptflow as sf
from scriptflow import errors


def touch(name, **more):
    return sf.Task(["touch", name], outputs=name, **more)


@pytest.mark.parametrize("form", ["many", "list", "tuple", "set", "generator", "dict-values"])
def test_a_bag_takes_many_or_one_iterable(here, form):
    async def flow():
        tasks = [touch(name) for name in "abc"]
        given = {
            "many": tasks, "list": [tasks], "tuple": [tuple(tasks)], "set": [set(tasks)],
            "generator": [iter(tasks)], "dict-values": [dict(enumerate(tasks)).values()],
        }[form]  # fmt: skip
        done = await sf.bag(*given)
        assert sorted(task.name for task in done) == ["a", "b", "c"]
        if form != "set":
            assert done == tasks

    assert here.good(flow).ran == 3


def test_an_empty_bag_is_done(here):
    async def flow():
        assert list(await sf.bag()) == list(await sf.bag([])) == list(await sf.bag(iter(()))) == []

    here.good(flow)


@pytest.mark.parametrize("bad", [None, 3, [3], ["text"], "text", [[]]])
def test_a_bag_of_something_else_is_a_clear_error(here, bad):
    async def flow():
        await sf.bag(bad)

    assert isinstance(here.run(flow).error, errors.TaskError)


def test_a_bag_takes_awaitables_and_flows_and_returns_their_values_in_order(here):
    async def flow():
        async def sub(n):
            await touch(f"s{n}")
            return n

        task = touch("t")
        future = asyncio.get_running_loop().create_future()
        future.set_result("f")
        pair = [touch("u"), touch("v")]
        assert await sf.bag(sub(1), task, sub(2), future, sf.bag(*pair)) == [1, task, 2, "f", pair]
        values = await sf.bag(sub(3), task, asyncio.sleep(0.01, "slept"), sub(4))
        assert values == [3, task, "slept", 4]

    here.good(flow)


def test_one_failure_is_raised_as_itself_when_the_rest_has_ended(here):
    async def flow():
        bad = sf.Task("false", outputs="bad", priority=9)
        rest = [sf.Task(["sh", "-c", f"sleep 0.05; echo > {name}"], outputs=name) for name in "abcdef"]
        with pytest.raises(sf.TaskFailed) as caught:
            await sf.bag(bad, *rest)
        assert caught.value.task == "bad"
        assert all(task.state == "succeeded" for task in rest)

    result = here.run(flow)
    assert (result.ran, result.failed, result.status, result.exit_code) == (6, 1, "failed", 1)


def test_several_failures_are_listed_each_once(here):
    async def flow():
        bad = [sf.Task(["sh", "-c", f"exit {n}"], outputs=f"o{n}", name=f"bad{n}") for n in (3, 4)]
        below = sf.Task("cp o3 p", inputs=bad[0], outputs="p")
        with pytest.raises(sf.TasksFailed) as caught:
            await sf.bag(*bad, below, bad[0], touch("ok"))
        assert sorted(failure.task for failure in caught.value.failures) == ["bad3", "bad4"]
        assert "bad3" in caught.value.what

    here.run(flow)


def test_failures_of_nested_bags_are_one_list(here):
    async def flow():
        await sf.bag(
            sf.bag(*[sf.Task(["sh", "-c", f"exit {n}"], outputs=f"o{n}") for n in (1, 2)]),
            sf.Task("false", outputs="o3"),
        )  # fmt: skip

    error = here.run(flow).error
    assert type(error) is sf.TasksFailed
    assert sorted(failure.task for failure in error.failures) == ["o1", "o2", "o3"]


def test_return_exceptions_puts_errors_among_the_results(here):
    async def flow():
        async def broken():
            raise ValueError("mine")

        good, bad = touch("a"), sf.Task("false", outputs="b")
        one, two, three = await sf.bag(good, bad, broken(), return_exceptions=True)
        assert one is good
        assert type(two) is sf.TaskFailed
        assert type(three) is ValueError

    assert here.run(flow).exit_code == 1


def test_an_error_of_a_coroutine_is_raised_when_the_rest_has_ended(here):
    async def flow():
        async def broken():
            raise ValueError("mine")

        slow = sf.Task(["sh", "-c", "sleep 0.1; echo > a"], outputs="a")
        with pytest.raises(ValueError, match="mine"):
            await sf.bag(broken(), slow)
        assert slow.state == "succeeded"

    here.run(flow)


def test_a_limit_holds(here):
    async def flow():
        command = "echo + >> log; sleep 0.02; echo - >> log; touch $0"
        await sf.bag([sf.Task(["sh", "-c", command, f"o{n}"], outputs=f"o{n}") for n in range(12)], limit=2)

    here.good(flow, settings={"executors": {"local": {"maxsize": 8, "cpus": 8}}})
    running = most = 0
    for line in (here / "log").read_text().split():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert most == 2


def test_a_limit_holds_for_coroutines(here):
    running = most = 0

    async def flow():
        async def one():
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.005)
            running -= 1

        await sf.bag((one() for _ in range(20)), limit=3)

    here.good(flow)
    assert most == 3


def test_a_bag_whose_iterable_raises_raises_that(here):
    async def flow():
        def items():
            yield touch("a")
            raise ValueError("mine")

        await sf.bag(items())

    with pytest.raises(ValueError, match="mine"):
        here.run(flow)


def test_a_generator_is_consumed_in_a_bounded_window(here):
    seen = []

    async def flow():
        def items():
            for number in range(12_000):
                seen.append(number)
                yield sf.Task(["true"], name=f"t{number}", env={"N": str(number)})

        bag = asyncio.ensure_future(sf.bag(items()))
        while not seen:
            await asyncio.sleep(0)
        first = sf.Task("false", name="first", outputs="x", priority=5)
        with pytest.raises(sf.TaskFailed):
            await first
        assert len(seen) < 9000
        bag.cancel()
        raise sf.ScriptflowError("enough")

    script_settings = {"executors": {"local": {"maxsize": 1}}, "fail_fast": True}
    here.run(flow, settings=script_settings)


def test_a_stream_of_a_hundred_thousand_tasks_needs_little_memory(here):
    many = 100_000
    (here / "in").write_text("")
    script = f"""
        import resource, sys, tracemalloc
        import scriptflow as sf
        async def flow(many):
            def items():
                for n in range(many):
                    yield sf.Task(["true"], inputs="in", outputs="out", name="same")
            results = await sf.bag(items())
            assert len(results) == many
            return results
        sf.run(flow, many=1)
        sf.run(flow, many=10_000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = sf.run(flow, many={many})
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        try:
            result.value[0]
        except sf.ScriptflowError as error:
            print("not kept", grown // 1024)
    """
    (here / "out").write_text("")
    told, grown = here.script(script, limit=25).stdout.rsplit(maxsplit=1)
    assert told == "not kept"
    assert int(grown) < 60


def test_the_name_of_a_bag_is_the_group_of_its_tasks(here):
    async def flow():
        await sf.bag(touch("a"), name="first")
        async with sf.group("outer"):
            await touch("b")
            async with sf.group("inner"):
                await touch("c")
        with sf.group("plain"):
            await touch("d")
        await touch("e")

    here.good(flow)
    assert {event.task: event.group for event in here.told.of("TaskEnded")} == {
        "a": "first", "b": "outer", "c": "outer/inner", "d": "plain", "e": "",
    }  # fmt: skip


def test_a_group_ends_after_the_flow_went_over_to_an_event_loop(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            async with sf.group("clean"):
                await sf.bag(*[sf.Task(f"sh -c 'sleep 0.05; echo > {i}'", outputs=f"{i}") for i in range(3)])
            async with sf.group("fit"):
                await sf.Task("touch fit", outputs="fit")
    """
    done = here.cli(text, "run")
    assert done.returncode == 0, done.stderr


def test_the_same_task_many_times_in_a_bag_is_one_job(here):
    async def flow():
        task = touch("a")
        assert await sf.bag([task] * 10) == [task] * 10

    assert here.good(flow).ran == 1


def test_the_run_wide_fail_fast_starts_nothing_new_and_lets_running_jobs_finish(here):
    async def flow():
        slow = sf.Task(
            "sh -c 'echo > up; while ! [ -e go ]; do sleep 0.01; done; sleep 0.1; echo > s'", outputs="s", priority=9
        )
        bad = sf.Task("sh -c 'while ! [ -e up ]; do sleep 0.01; done; echo > go; exit 1'", outputs="bad", priority=8)
        await sf.bag(slow, bad, *[touch(f"o{n}") for n in range(10)])

    result = here.run(flow, settings={"fail_fast": True, "executors": {"local": {"maxsize": 2, "cpus": 2}}})
    assert (result.ran, result.failed, result.cancelled) == (1, 1, 10)
    assert type(result.error) is sf.TaskFailed
    assert Path(here / "s").exists()


def test_a_flow_may_catch_a_failure_and_go_on(here):
    async def flow():
        try:
            await sf.bag(sf.Task("false", outputs="x"), touch("a"))
        except sf.TaskFailed:
            await touch("b")
        return "went on"

    result = here.run(flow)
    assert result.value == "went on"
    assert (result.ran, result.failed, result.exit_code) == (2, 1, 1)
