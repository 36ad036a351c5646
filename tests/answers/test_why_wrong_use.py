"""Exit 2 means that nothing was started and nothing written: also when the graph itself is wrong."""

import subprocess
import sys

import pytest
from asking import project_files

GOOD = """
async def flow_demo():
    await sf.Task(["sh", "-c", "echo a > a.txt"], outputs="a.txt", name="a")
"""
WRONG = {
    "missing-input": """
async def flow_demo():
    await sf.Task("cp nope.txt b.txt", inputs="nope.txt", outputs="b.txt")
""",
    "output-conflict": """
async def flow_demo():
    await sf.bag(sf.Task("touch a", outputs="b.txt"), sf.Task("touch b", outputs="b.txt"))
""",
    "duplicate-task": """
async def flow_demo():
    await sf.bag(sf.Task("touch b", outputs="b", name="x"), sf.Task("touch c", outputs="c", name="x"))
""",
    "cycle": """
async def flow_demo():
    one = sf.Task("cp b c", inputs="b", outputs="c")
    two = sf.Task("cp c b", inputs="c", outputs="b")
    await sf.bag(one, two)
""",
    "resources": """
async def flow_demo():
    await sf.Task("touch b", outputs="b", cpus=100000)
""",
}
each_fault = pytest.mark.parametrize("slug", WRONG)


@each_fault
def test_wrong_graph_leaves_no_store(asked, slug):
    asked.flow(WRONG[slug])
    before = project_files(asked.folder).keys()
    assert f"error[{slug}]" in asked("run", code=2).stderr
    assert project_files(asked.folder).keys() == before


@each_fault
def test_wrong_graph_leaves_no_run_in_a_store_that_is_there(asked, slug):
    asked.flow(GOOD)("run")
    runs = asked.json("runs")
    before = project_files(asked.folder).keys()
    assert f"error[{slug}]" in asked.flow(WRONG[slug])("run", code=2).stderr
    assert asked.json("runs") == runs
    assert project_files(asked.folder).keys() == before
    assert asked.flow(GOOD).run()["run"] == "demo-2"


def test_wrong_graph_after_a_start_is_a_failed_run(asked):
    asked.flow("""
        async def flow_demo():
            await sf.Task(["sh", "-c", "echo a > a.txt"], outputs="a.txt")
            await sf.Task("cp nope.txt b.txt", inputs="nope.txt", outputs="b.txt")
    """)
    asked("run", code=1)
    assert [run["status"] for run in asked.json("runs")] == ["failed"]


def test_wrong_graph_of_a_python_script_leaves_no_store(asked):
    (asked / "script.py").write_text(
        "import scriptflow as sf\n"
        "result = sf.run(sf.Task('cp nope b', inputs='nope', outputs='b'))\n"
        "print(result.exit_code, result.error.slug)\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=asked.folder, env=asked.env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2 missing-input\n"
    assert not (asked / ".scriptflow").exists()
