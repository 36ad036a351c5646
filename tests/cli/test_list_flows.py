"""``list``: flows, parameters, docstrings, last states, recorded tasks."""

FLOWS = '''import enum
from pathlib import Path


class Kind(enum.Enum):
    FAST = 1
    SLOW = 2


async def flow_paper(path: Path, n: int = 100, plot: bool = True, kind: Kind = Kind.FAST, name: str = "x", **more):
    """Make the paper.

    All of it.
    """


def flow_plain():
    pass
'''


def test_flows_are_listed_with_parameters_as_they_are_given(project):
    assert project.write(FLOWS).__call__("list").stdout.splitlines() == [
        "paper  Make the paper.",
        "  --path Path  (needed)",
        "  --n int  [100]",
        "  --plot / --no-plot  [True]",
        "  --kind FAST | SLOW  [FAST]",
        "  -p name=str  [x]",
        "  -p NAME=VALUE  (any name)",
        "plain  (a plain function: write `async def`)",
    ]
    assert project("list", "plain").stdout.splitlines() == ["plain  (a plain function: write `async def`)"]
    assert "flow-not-found" in project.refused("list", "papr")


def test_the_list_as_json(project):
    paper, plain = project.write(FLOWS).json("list")["flows"]
    assert (paper["name"], paper["doc"], paper["async"], paper["last"]) == ("paper", "Make the paper.", True, None)
    assert paper["parameters"][:2] == [
        {"name": "path", "type": "Path", "required": True, "default": None},
        {"name": "n", "type": "int", "required": False, "default": 100},
    ]
    assert (plain["async"], plain["parameters"]) == (False, [])


def test_listing_runs_nothing_and_writes_nothing(demo):
    before = sorted(demo.folder.iterdir())
    demo("list")
    assert [path for path in sorted(demo.folder.iterdir()) if path.name != "__pycache__"] == before


def test_a_file_without_flows_says_how_to_write_one(project):
    done = project.write("x = 1\n").__call__("list")
    assert done.stdout == ""
    assert "async def flow_NAME" in done.stderr
    assert project.json("list")["flows"] == []


def test_the_last_state_of_a_flow_is_shown(demo):
    demo("run")
    assert "[demo-1 succeeded, " in demo("list").stdout
    (flow,) = demo.json("list")["flows"]
    assert (flow["last"]["run"], flow["last"]["status"]) == ("demo-1", "succeeded")
    assert flow["last"]["ended"] >= flow["last"]["started"]


def test_recorded_tasks_of_a_flow_are_listed(demo):
    assert demo("list", "--tasks", "demo").stdout == ""
    demo("run")
    assert sorted(demo("list", "--tasks", "demo").stdout.split()) == ["part-0", "part-1", "total"]
    assert sorted(demo.json("list", "--tasks", "demo")["tasks"]) == ["part-0", "part-1", "total"]
