"""What a task can be told, and what it answers."""

import json
import os
import shlex
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import Place

import scriptflow as sf
from scriptflow import errors

HOSTILE = ["a b", "it's", 'say "x"', "new\nline", "-rf", "--", "$(touch bad)", "`id`", "a;b", "*", "~", "#", "%s", "é",
           "🙂", "a\\b", "!x", "&", "<in>", "{output}", "tab\there", " lead", "trail "]  # fmt: skip


def test_both_spellings_make_the_same_task():
    old = sf.Task(["sh", "-c", "echo"]).input("in").output("out").uid("n").retry(2)
    new = sf.Task(["sh", "-c", "echo"], inputs="in", outputs="out", name="n", retries=2)
    assert old.key == new.key
    assert (old.name, old.inputs, old.outputs, old.get("retries")) == (new.name, new.inputs, new.outputs, 2)


def test_every_setter_returns_the_task():
    task = sf.Task(["true"])
    for answer in (
        task.output("o"), task.input("i"), task.uid("u"), task.name("n"), task.add_deps("j"), task.result("o"),
        task.retry(1), task.set_retry(2), task.set_prop("mem", 4),
    ):  # fmt: skip
        assert answer is task


def test_every_reader_answers():
    first = sf.Task("make it", outputs=["a", "b"])
    task = sf.Task(["cp", "a b", "o"]).input(["x", first]).output({"big": ["o", "p"], "small": "q"}).uid("copy")
    assert task.inputs == task.deps == ["x", "a", "b"]
    assert task.outputs == task.get_outputs() == ["o", "p", "q"]
    assert task.output_file == "o"
    assert task.get_output_group("big") == ["o", "p"]
    assert task.get_output_group("small") == ["q"]
    assert first.get_output_group(None) == ["a", "b"]
    assert task.command == "cp 'a b' o"
    assert task.get_command() == ["cp", "a b", "o"]
    assert first.get_command() == "make it"
    assert task.state == "new"
    assert len(task.key) == 32
    int(task.key, 16)


def test_an_unknown_output_group_is_an_error_that_lists_the_groups():
    with pytest.raises(errors.TaskError, match="small") as caught:
        sf.Task(["true"]).output({"big": "o", "small": "q"}).get_output_group("medium")
    assert "medium" in caught.value.what


def test_the_uid_is_a_string_that_can_be_called():
    task = sf.Task(["true"]).uid("fit")
    assert task.uid == "fit"
    assert isinstance(task.uid, str)
    assert json.dumps({task.uid: task.name}) == '{"fit": "fit"}'
    assert {task.uid: 1}["fit"] == 1
    assert f"{task.uid:>5}" == "  fit"
    assert task.uid("other").uid == "other"


def test_a_task_without_a_name_is_called_after_its_first_output_or_its_program():
    assert sf.Task("x", outputs=["o", "p"]).name == "o"
    assert sf.Task(["/usr/bin/env", "true"]).name == "env"


def test_the_old_props_are_memory_and_cpus():
    task = sf.Task(["true"], props={"mem": 4, "ncore": 2, "team": "x"})
    assert (task.get("memory"), task.get("cpus")) == (4, 2)
    assert (task.get_prop("mem"), task.get_prop("ncore"), task.get_prop("team")) == (4, 2, "x")
    assert task.get_prop("never") is None
    task.set_prop("mem", 8)
    assert (task.get("memory"), task.get_prop("mem"), task.get_prop("ncore")) == (8, 8, 2)


def test_props_that_make_no_sense_are_refused():
    with pytest.raises(errors.ScriptflowError):
        sf.Task(["true"], props={"ncore": "many"})
    with pytest.raises(errors.ScriptflowError):
        sf.Task(["true"], props={"mem": "lots"})


@pytest.mark.parametrize(
    "value", ["o", Path("o"), ["o"], ("o",), {"g": "o"}, {"g": ["o"]}, iter(["o"]), "./o", "x/../o"]
)
def test_a_path_may_be_written_in_many_forms(value):
    assert sf.Task(["true"], outputs=value).outputs == ["o"]


def test_nested_lists_and_absolute_paths_are_paths(tmp_path):
    task = sf.Task(["true"], inputs=["a", ["b", ("c", Path("d"))]], outputs=tmp_path / "o")
    assert task.inputs == ["a", "b", "c", "d"]
    assert task.outputs == [str(tmp_path / "o")]


def test_several_calls_of_input_add_up_and_output_replaces():
    task = sf.Task(["true"]).input("a").add_deps(["b", "c"]).output("x").output("y")
    assert task.inputs == ["a", "b", "c"]
    assert task.outputs == ["y"]


@pytest.mark.parametrize(
    "bad",
    [
        {"cmd": None}, {"cmd": []}, {"cmd": 5}, {"cmd": ["a", None]}, {"cmd": {"a": 1}}, {"cmd": b"true"},
        {"inputs": [3]}, {"outputs": 3}, {"outputs": ""}, {"inputs": "a\0b"}, {"outputs": [b"o"]}, {"inputs": {3}},
        {"outputs": {"g": {"h": "o"}}}, {"cpus": -1}, {"cpus": "2"}, {"cpus": 1.5}, {"gpus": -1}, {"retries": -1},
        {"retries": "3"}, {"memory": "lots"}, {"memory": -1}, {"walltime": "soon"}, {"timeout": -5}, {"timeout": "x"},
        {"retry_delay": "never"}, {"priority": "high"}, {"check": "maybe"}, {"env": ["A=1"]}, {"env": {"A=B": "c"}},
        {"env": {"A": "b\0c"}}, {"env": {"": "x"}}, {"labels": 3}, {"props": 3}, {"name": ["a"]}, {"cwd": 5},
        {"container": 5}, {"inputs": "a\ud800"}, {"outputs": "a\ud800"},
    ],
    ids=lambda bad: "-".join(f"{key}={value!r}" for key, value in bad.items()),
)  # fmt: skip
def test_a_bad_argument_is_a_clear_error_that_names_the_line(bad):
    with pytest.raises(errors.ScriptflowError) as caught:
        sf.Task(**{"cmd": ["true"], **bad})
    assert caught.value.place is not None, caught.value
    assert caught.value.place.file == __file__
    assert caught.value.what


@pytest.mark.parametrize("cmd", ["", "  ", "a\0b", ["a\0b"], ["a", "\ud800"], [""]])
def test_a_command_that_cannot_be_run_is_a_clear_error_that_names_the_line(here, cmd):
    here.write(f"""
        import scriptflow as sf
        async def flow():
            await sf.Task({cmd!r}, outputs="o")
        try:
            sf.run(flow).value
        except sf.ScriptflowError as error:
            print("script.py" in str(error))
    """)
    assert here.script(here.file.read_text(), limit=5).stdout == "True\n"


def test_a_command_that_cannot_be_split_is_an_error_that_names_the_line(here):
    async def flow():
        await sf.Task("echo 'open", outputs="o")

    error = here.run(flow).error
    assert isinstance(error, errors.TaskError)
    assert str(here.file) in str(error)
    assert "shell=True" in error.do


def test_a_setter_of_a_sent_task_raises_frozen(here):
    async def flow():
        task = sf.Task("touch o", outputs="o").start()
        for change in (
            lambda: task.output("p"), lambda: task.input("p"), lambda: task.uid("p"), lambda: task.retry(1),
            lambda: task.set_prop("mem", 1), lambda: task.result("p"), lambda: task.add_deps("p"),
            lambda: task.set_retry(3),
        ):  # fmt: skip
            with pytest.raises(sf.TaskFrozen, match="copy"):
                change()
        await task

    here.good(flow)


def test_a_copy_is_an_editable_twin(here):
    async def flow():
        task = sf.Task(["sh", "-c", "echo $N > $O"], env={"N": "1", "O": "o"}, outputs="o", props={"x": 1})
        await task
        twin = task.copy(outputs="p", env={"N": "2", "O": "p"}, name="second").set_prop("x", 2)
        await twin
        assert (task.get_prop("x"), twin.get_prop("x")) == (1, 2)
        assert task.outputs == ["o"]

    here.good(flow)
    assert (here / "o").read_text() + (here / "p").read_text() == "1\n2\n"


def test_a_copy_made_as_a_template_needs_no_await(here):
    async def flow():
        base = sf.Task(["sh", "-c", "echo > o1"], outputs="o1")
        await base.copy(cmd=["touch", "o2"], outputs="o2")

    here.good(flow)
    assert not (here / "o1").exists()
    assert [event.text for event in here.told.of("Message")] == []


def test_a_copy_refuses_an_option_that_is_not_there():
    with pytest.raises(errors.TaskError, match="output") as caught:
        sf.Task(["true"]).copy(output="x")
    assert caught.value.place is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3, unique=True), st.sampled_from(HOSTILE))
def test_placeholders_are_quoted_for_the_shell(inputs, output):
    inputs = [f"in {name}" if name in (" lead", "trail ") else name for name in inputs]
    task = sf.Task("cat {inputs} {inputs[0]} > {output} {outputs[g]}", inputs=inputs, outputs={"g": output}, shell=True)
    dotted = [("./" + name if name.startswith("-") else name) for name in [*inputs, inputs[0]]]
    out = "./" + output if output.startswith("-") else output
    assert shlex.split(task.command) == ["cat", *dotted, ">", out, out]


def test_hostile_names_go_through_a_shell_unharmed(here):
    names = [name for name in HOSTILE if "/" not in name]
    for name in names:
        (here / name).write_text(name)

    async def flow():
        await sf.bag(
            *[
                sf.Task("cat {input} > {outputs[out]}", inputs=name, outputs={"out": f"{name}.out"}, shell=True)
                for name in names
            ]
        )

    assert here.good(flow).ran == len(names)
    assert all((here / f"{name}.out").read_text() == name for name in names)
    assert here.good(flow).skipped == len(names)
    assert not (here / "bad").exists()


def test_hostile_names_go_through_a_list_unharmed(here):
    async def flow():
        await sf.bag(*[sf.Task(["cp", "--", "sflow.py", name], outputs=name, inputs="sflow.py") for name in HOSTILE])

    assert here.good(flow).ran == len(HOSTILE)
    assert here.good(flow).skipped == len(HOSTILE)


def test_other_braces_of_a_command_are_left_alone():
    text = "awk '{print $1}' ${HOME} {} {a,b} {0}"
    assert sf.Task(text, shell=True).command == text


def test_a_list_is_never_split_and_a_string_is():
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))

        async def flow():
            await sf.Task(["touch", "a b"], outputs="a b")
            await sf.Task("touch 'c d' e", outputs=["c d", "e"])
            await sf.Task("echo $((1+1)) > f", outputs="f", shell=True)

        place.good(flow)
        assert (place / "f").read_text() == "2\n"


def test_numbers_and_paths_in_a_command_become_text(here):
    async def flow():
        await sf.Task(["sh", "-c", 'echo $0 $1 > "$2"', 3, 2.5, Path("o")], outputs="o")

    here.good(flow)
    assert (here / "o").read_text() == "3 2.5\n"


def test_a_glob_is_expanded_when_the_task_is_looked_at(here):
    async def flow():
        made = [sf.Task(["sh", "-c", f"echo {n} > d/{n}.csv"], outputs=f"d/{n}.csv") for n in range(3)]
        assert len(made) == 3
        await sf.Task("cat {inputs} > all", inputs=sf.glob("d/*.csv"), outputs="all", shell=True)

    here.good(flow)
    assert (here / "all").read_text() == "0\n1\n2\n"


def test_a_directory_is_made_before_its_task_runs(here):
    async def flow():
        await sf.Task(["sh", "-c", "echo > out/deep.txt"], outputs=sf.directory("out/"))

    assert here.good(flow).ran == 1
    assert here.good(flow).skipped == 1


def test_a_result_is_read_back(here):
    async def flow():
        task = sf.Task("""sh -c 'echo "{\\"a\\": 1}" > r.json'""", outputs="r.json").result("r.json")
        with pytest.raises(errors.TaskError):
            _ = task.value
        await task
        text = await sf.Task("sh -c 'echo hi > r.txt'", outputs="r.txt").result("r.txt")
        return task.value, text.value

    assert here.good(flow).value == ({"a": 1}, "hi\n")


def test_an_await_returns_the_task(here):
    async def flow():
        task = sf.Task("touch o", outputs="o")
        assert await task is task
        assert await task is task
        assert task.state == "succeeded"
        return task

    assert here.good(flow).value.name == "o"


def test_cwd_and_env_are_the_jobs(here):
    (here / "sub").mkdir()

    async def flow():
        await sf.Task("pwd > ../where; echo $X > ../x", shell=True, cwd="sub", env={"X": "1 2"}, outputs=["where", "x"])
        await sf.Task("pwd > top", shell=True, outputs="top")

    here.good(flow)
    assert (here / "where").read_text().strip() == os.path.realpath(here / "sub")
    assert (here / "x").read_text() == "1 2\n"
    assert (here / "top").read_text().strip() == os.path.realpath(here.folder)
