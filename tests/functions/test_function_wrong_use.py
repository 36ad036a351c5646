"""What cannot be a task says so, at the line of the user, with the next step."""

import pytest

import scriptflow as sf
from scriptflow.errors import TaskError


@sf.task
def plain(a: int, b: int = 0) -> int:
    return a + b


def refusal(make):
    with pytest.raises(TaskError) as caught:
        make()
    assert caught.value.place is not None and caught.value.place.file == __file__
    return caught.value


def outer():
    local = 1

    def closure():
        return local

    def nested():
        return 1

    def generator():
        yield 1

    return closure, nested, generator


def test_what_a_worker_cannot_find_is_refused_where_it_is_marked():
    closure, nested, generator = outer()
    assert "lambda" in refusal(lambda: sf.task(lambda x: x)).what
    assert "local variables of the function around it: local" in refusal(lambda: sf.task(closure)).what
    assert "defined within a function" in refusal(lambda: sf.task(nested)).what
    assert "generator" in refusal(lambda: sf.task(generator)).what
    assert "takes a function" in refusal(lambda: sf.task(3)).what
    assert refusal(lambda: sf.task(closure)).do.startswith("move it to the top")


def test_options_of_no_use_are_refused_and_the_nearest_is_named():
    refused = refusal(lambda: sf.task(retrys=2))
    assert "retrys" in refused.what and "retries" in refused.do
    assert "on_start" in refusal(lambda: sf.task(on_start=3)).what
    assert "retries" in refusal(lambda: sf.task(retries=-1)).what
    assert "cpus" in refusal(lambda: plain.task(1, cpus="many")).what


def test_arguments_that_do_not_fit_are_told_at_the_line_of_the_call():
    assert "missing a required argument: 'a'" in refusal(plain.call).what
    assert "too many positional" in refusal(lambda: plain.task(1, 2, 3)).what
    refused = refusal(lambda: plain.task(1, bb=2))
    assert "bb" in refused.what and refused.do == "did you mean b?"
    assert "keywords only" in refusal(lambda: plain.partial(1)).what
    assert "no argument 'c'" in refusal(lambda: plain.partial(c=1)).what
    assert "not 2 values" in refusal(lambda: plain.map(("a", "b"), [(1, 2), (1, 2, 3)])).what
    assert "list of values" in refusal(lambda: plain.map("a", 3)).what
    assert "(key, value)" in refusal(lambda: plain.mapvalues("a", [1])).what


def test_arguments_that_cannot_be_stored_are_refused():
    assert "cannot be stored" in refusal(lambda: plain.call(lambda: 1)).what
    loop = []
    loop.append(loop)
    assert "contains itself" in refusal(lambda: plain.call(loop)).what
    assert "declares no outputs" in refusal(lambda: plain.call(sf.Task(["true"], name="without"))).what


def test_a_task_function_is_never_changed():
    with pytest.raises(AttributeError, match="options"):
        plain.retries = 3
    assert plain(1, 2) == plain.partial(a=1)(b=2) == plain.validate()("1", "2") == 3


def test_another_function_of_the_same_name_is_refused():
    first = plain._function

    def again(a: int, b: int = 0) -> int:
        return a - b

    again.__qualname__ = "plain"
    assert "something else by now" in refusal(lambda: sf.task(again).call(1)).what
    assert first is not again


def test_awaiting_a_task_within_a_task_says_what_to_do(project):
    project.write(
        sflow="""
        import scriptflow as sf

        @sf.task
        async def countdown(n):
            return n if n == 0 else await countdown.task(n - 1)

        async def flow_main():
            await countdown.task(2)
        """
    )
    answer = project.run(code=1)
    assert "cannot await or start tasks" in answer["err"] and "pass it on" in answer["err"]


def test_a_value_that_cannot_be_stored_fails_the_task_with_words(project):
    project.write(
        sflow="""
        import scriptflow as sf

        @sf.task
        def opened():
            return open("sflow.py")

        async def flow_main():
            await opened.task()
        """
    )
    answer = project.run(code=1)
    assert answer["failures"][0]["cause"] == "exit"
    assert "the value of opened" in answer["err"] and "cannot be stored" in answer["err"]


def test_a_function_in_no_file_is_refused_before_anything_runs(project):
    text = "import scriptflow as sf\n@sf.task\ndef f():\n    pass\ntry:\n    f.call()\n"
    text += "except sf.ScriptflowError as error:\n    print(error.what, error.do)\n"
    done = project.end_of(project.start("-c", text))
    assert "in no file" in done.stdout and "module" in done.stdout


def test_a_script_that_runs_its_flow_before_the_function_is_told(project):
    done = project.script(
        """
        import scriptflow as sf

        async def main():
            return await late.call()

        def go():
            return sf.run(main)

        @sf.task
        def early():
            return 1

        sf.run(early.call())

        @sf.task
        def late():
            return 2

        print(go().status)
        """
    )
    assert done.stdout == "failed\n"
    (log,) = (project / ".scriptflow/logs").glob("*/late.1.log")
    assert "runs its flow before late is defined" in log.read_text()


def test_a_pickle_that_others_may_write_is_not_loaded(project):
    project.write(
        sflow="""
        import scriptflow as sf

        @sf.task
        def odd():
            return complex(1, 2)

        async def flow_main():
            print(await odd.task())
        """
    )
    assert project.run()["out"] == ["(1+2j)"]
    (blob,) = (project / ".scriptflow/values/blobs").iterdir()
    assert blob.stat().st_mode & 0o777 == 0o600
    blob.chmod(0o666)
    assert "not this user's alone" in project.run(code=1)["err"]
    blob.chmod(0o600)
    blob.write_bytes(b"damaged")
    assert "cannot be read back" in project.run(code=1)["err"]
