"""``why``, ``plan``, ``show`` and ``report`` of calls of functions: changed code as a diff, parameters old and new."""

import pytest
from asking import project_files

FLOW = '''
import helper


@sf.task
def write(n, path="out.txt"):
    """Write it."""
    with open(path, "w") as file:
        file.write(str(helper.twice(n)))


async def flow_main(n: int = 1):
    await write.task(n, outputs="out.txt", name="write")
'''
HELPER = '''
def twice(n):
    """Return it twice."""
    return 2 * n
'''


@pytest.fixture
def done(asked):
    (asked / "helper.py").write_text(HELPER)
    asked.flow(FLOW)("run")
    return asked


def edit(asked, old, new, name="helper.py"):
    text = (asked / name).read_text()
    assert old in text
    (asked / name).write_text(text.replace(old, new))


def test_changed_helper_is_told_as_a_diff_before_and_after_the_run(done):
    edit(done, "2 * n", "n + n")
    before = project_files(done.folder)
    now = done.json("why", "write")
    lines = done("why", "write").stdout.splitlines()
    assert project_files(done.folder) == before
    assert [reason["code"] for reason in now["reasons"]] == ["code-changed"]
    assert lines[1:7] == [
        "  code changed", "  code, main-1 -> now", "     # helper.py: twice", "     def twice(n):",
        "    -    return 2 * n", "    +    return n + n",
    ]  # fmt: skip
    assert done.planned() == [("write", ["code-changed"])]
    done("run")
    past = done.json("why", "write", "--run", "last")
    assert (past["reasons"], past["diff"].splitlines()[1:]) == (now["reasons"], now["diff"].splitlines()[1:])
    assert "-    return 2 * n" in past["diff"] and "+    return n + n" in past["diff"]
    assert "code changed\n" in done("show", "write").stdout
    done("report", "last", "-o", "run.html")
    assert "code changed" in (done / "run.html").read_text()


def test_comments_and_docstrings_are_no_reason(done):
    edit(done, '"""Return it twice."""', '"""Return two of it."""  # really')
    edit(done, '"""Write it."""', "# it is written", "sflow.py")
    answer = done.json("why", "write")
    assert (answer["run"], answer["reasons"], answer["diff"]) == (False, [], "")
    assert done.planned() == []


def test_changed_parameter_of_a_call_with_outputs_is_told_old_and_new(done):
    answer = done.json("why", "write", "-p", "n=3")
    assert {"code": "params-changed", "detail": "param n: 1 -> 3"} in answer["reasons"]
    assert "parameters changed: param n: 1 -> 3" in done("why", "write", "-p", "n=3").stdout


UNKNOWN = """
from pathlib import Path


@sf.task
def one(n):
    return Path("in.txt").read_text() * n


async def flow_main():
    first = await one.call(1)
    later = await one.call(2)
    if first == "x":
        await one.call(3)
    return later
"""


@pytest.fixture
def unknown(asked):
    (asked / "in.txt").write_text("x")
    return asked.flow(UNKNOWN)


def test_plan_goes_on_past_an_await_and_names_the_line_that_uses_the_value(unknown):
    plan = unknown.plan()
    assert ([task["task"] for task in plan["would_run"]], plan["complete"]) == (["one-1", "one-2"], False)
    assert plan["stopped_at"] == "sflow.py:15: the flow needs the value of one-1, which only a run can give"
    assert not (unknown / ".scriptflow").exists()


def test_plan_and_why_know_the_values_of_calls_that_are_up_to_date(unknown):
    unknown("run")
    assert unknown.plan() == unknown.plan() | {"would_run": [], "complete": True, "up_to_date": 3}
    edit(unknown, "* n", "* int(n)", "sflow.py")
    plan = unknown.plan()
    assert ([task["task"] for task in plan["would_run"]], plan["complete"]) == (["one-1", "one-2"], False)
    answer = unknown.json("why", "one-2")
    assert [reason["code"] for reason in answer["reasons"]] == ["code-changed"]
    assert answer["stopped_at"].startswith("sflow.py:15: the flow needs the value of one-1")


def test_call_with_and_without_validation_stand_in_one_flow(asked):
    asked.flow("""
        @sf.task
        def half(n: int):
            return n / 2

        async def flow_main():
            assert await half.call(1) == await half.validate().call("1") == 0.5
    """)
    assert asked.run()["ran"] == 2
    assert asked.run()["ran"] == 0
