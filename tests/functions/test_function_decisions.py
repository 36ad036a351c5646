"""What makes a call run again, and what does not; the code is kept, so that its change can be shown."""

from scriptflow.functions.catalog import code_of

FLOW = '''
"""A flow."""
import helpers
import scriptflow as sf
from helpers import LIMIT as MOST

FACTOR = 2
UNUSED = 1


@sf.task(retries=1)
def double(n):
    """Double it."""
    import late

    return min(n * FACTOR, MOST) + helpers.offset(n) + late.more()


@sf.task
def total(values, by=1):
    return sum(values) * by


async def flow_main():
    values = [double.task(n) for n in (1, 2)]
    await sf.bag(*values)
    await total.task(values, outputs=[], name="total")
'''
HELPERS = """
from deeper import zero

LIMIT = 100


def offset(n):
    return zero() + Shift().by


def other():
    return 1


class Shift:
    by = 0
"""


def make(project):
    project.write(sflow=FLOW, helpers=HELPERS, deeper="def zero():\n    return 0\n", late="def more():\n    return 0\n")
    assert project.run("main")["ran"] == 3
    assert project.reasons("main") == {}


def test_comments_docstrings_positions_options_and_what_is_not_used_change_nothing(project):
    make(project)
    project.edit("sflow", '"""Double it."""', '"""Make it twice as large."""  # really')
    project.edit("sflow", "UNUSED = 1", "UNUSED = 2\n\n\ndef unused():\n    pass\n")
    project.edit("sflow", "retries=1", 'retries=3, timeout="1h"')
    project.edit("helpers", "def other():\n    return 1", "def other():\n    return 2  # changed")
    assert project.reasons("main") == {}


def changed(project, name, old, new):
    project.edit(name, old, new)
    reasons = project.reasons("main")
    project.edit(name, new, old)
    assert project.reasons("main") == {}
    return {task: [code for code, _ in found] for task, found in reasons.items()}


def test_a_change_of_the_function_or_of_anything_it_uses_is_a_change_of_code(project):
    make(project)
    both = {"double-1": ["code-changed"], "double-2": ["code-changed"]}
    for name, old, new in [
        ("sflow", "n * FACTOR", "FACTOR * n"),
        ("sflow", "FACTOR = 2", "FACTOR = 3"),
        ("helpers", "LIMIT = 100", "LIMIT = 99"),
        ("helpers", "zero() + Shift", "zero() - Shift"),
        ("helpers", "by = 0", "by = 1"),
        ("deeper", "return 0", "return 1"),
        ("late", "return 0", "return 2"),
    ]:
        found = changed(project, name, old, new)
        assert {task: codes for task, codes in found.items() if task != "total"} == both, (name, old, new)
        assert found["total"] == ["upstream", "upstream"]


def test_an_equal_value_of_changed_code_is_told_as_code_changed_and_runs_what_depends_on_it(project):
    make(project)
    project.edit("deeper", "return 0", "return 1")
    assert project.run("main")["ran"] == 3
    assert project.run("main")["ran"] == 0


def test_a_changed_argument_of_a_task_with_an_output_is_told_with_old_and_new_value(project):
    project.write(
        sflow="""
        import scriptflow as sf
        from pathlib import Path

        @sf.task
        def write(n, more=()):
            Path("out.txt").write_text(str(n))
            return n

        async def flow_main(n: int = 1):
            await write.task(n, outputs="out.txt")
        """
    )
    project.run()
    (reasons,) = project.reasons("--n", "2").values()
    assert ("params-changed", "param n: 1 -> 2") in reasons
    assert {code for code, _ in reasons} == {"params-changed", "output-missing"}
    assert project.run("--n", "2")["ran"] == 1
    assert (project / "out.txt").read_text() == "2"


def test_the_code_of_each_job_is_kept(project):
    make(project)
    import json

    shown = json.loads(project.cli("show", "double-1", "--json").stdout)
    text = code_of(str(project / ".scriptflow"), shown["settings"]["code"])
    assert "# sflow.py: double\ndef double(n):\n    import late\n" in text
    assert "# deeper.py: zero" in text and "LIMIT = 100" in text and "sf.task" not in text
    assert code_of(str(project / ".scriptflow"), "0" * 32) is None
    assert code_of(str(project / ".scriptflow"), "../../sflow") is None


def test_a_value_file_that_is_gone_or_edited_is_made_again(project):
    make(project)
    (file, *_) = sorted((project / ".scriptflow/values").glob("double-*.json"))
    file.unlink()
    assert len(project.reasons("main")) == 2
    assert project.run("main")["ran"] == 2
    file.write_text(file.read_text() + "  ")
    assert [code for found in project.reasons("main").values() for code, _ in found] == ["outputs-changed", "upstream"]


def test_a_moved_project_is_up_to_date(project, tmp_path):
    make(project)
    import shutil

    there = tmp_path / "there"
    shutil.copytree(tmp_path, there, ignore=shutil.ignore_patterns("there"))
    project.folder = there
    assert project.reasons("main") == {}


def test_a_plan_goes_on_until_a_value_is_used_and_says_so(project):
    project.write(
        sflow="""
        import scriptflow as sf

        @sf.task
        def one(n):
            return n

        async def flow_main():
            first = await one.task(1)
            await one.task(2)
            if first > 0:
                await one.task(3)
        """
    )
    import json

    plan = json.loads(project.cli("plan", "--json").stdout)
    assert ([task["task"] for task in plan["would_run"]], plan["complete"]) == (["one-1", "one-2"], False)
    assert not (project / ".scriptflow").exists()
    project.run()
    assert json.loads(project.cli("plan", "--json").stdout)["complete"] is True


def test_code_of_a_package_is_the_same_wherever_its_task_is_decided(project):
    """Also in a callback in which no head is current, as when a thread has heard of an end."""
    (project / "lib").mkdir()
    (project / "lib" / "__init__.py").touch()
    (project / "lib" / "work.py").write_text("def add(n):\n    return n + 1\n")
    said = project.script(
        """
        import contextvars
        import scriptflow as sf
        from lib import work
        from scriptflow.core.command import manifest_of

        add = sf.task(work.add)
        folder = __file__.rpartition("/")[0]
        inside = []

        async def main():
            call, other = add.task(1), add.task(1)
            inside.append(manifest_of(call, (), folder))
            assert manifest_of(call, ()) == inside[0]
            inside.append(contextvars.Context().run(manifest_of, other, (), folder))
            return await call

        print(sf.run(main).value, len(set(inside)))
        """
    )
    assert said.stdout.split() == ["2", "1"]
