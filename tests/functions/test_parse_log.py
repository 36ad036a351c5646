"""Results picked out of logs by pattern are with the task and with the record."""

import json

import pytest

import scriptflow as sf
from scriptflow.errors import TaskError

FLOW = r"""
import scriptflow as sf


@sf.task(parse_log={"loss": r"loss=(\d+\.\d+)", "word": r"end: (\w+)", "none": "nothing like it"})
def train(n):
    for step in range(n):
        print(f"loss={1 / (step + 1):.2f}")
    print("end: fine")
    return n


async def flow_main():
    task = train.task(4, name="train")
    shell = sf.Task("echo score 7 > out.txt; echo score 5; echo score 7", shell=True, outputs="out.txt", name="shell",
                    parse_log={"score": r"score \d+", "number": r"^score (\d+)$"})
    await sf.bag(task, shell)
    print(task.results, shell.results)
"""


def test_the_last_match_is_kept_also_for_a_run_that_skips(project):
    project.write(sflow=FLOW)
    expected = ["{'loss': 0.25, 'word': 'fine'} {'score': 'score 7', 'number': 7}"]
    assert project.run()["out"] == expected
    again = project.run()
    assert again["ran"] == 0
    assert eval(again["out"][0].replace("} {", "}, {")) == eval(expected[0].replace("} {", "}, {"))
    assert json.loads(project.cli("show", "train", "--json").stdout)["results"] == {"loss": 0.25, "word": "fine"}
    assert "number = 7" in project.cli("show", "shell").stdout


def test_a_pattern_of_no_use_is_refused():
    with pytest.raises(TaskError, match="cannot be read"):
        sf.Task(["true"], parse_log={"x": "("})
    with pytest.raises(TaskError, match="must be text"):
        sf.Task(["true"], parse_log={"x": 3})
    with pytest.raises(TaskError, match="no dict"):
        sf.Task(["true"], parse_log="x")
    with pytest.raises(TaskError, match="no results yet"):
        _ = sf.Task(["true"], parse_log={"x": "x"}).results
