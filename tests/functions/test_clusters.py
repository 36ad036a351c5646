"""The same calls on a batch system, each a job of its own."""

import json
import os

import pytest

from scriptflow.testing.batchtools import ScriptedPbs

FLOW = """
import os
import scriptflow as sf

sf.init({"executors": {"pbs": {"maxsize": 4}}})


@sf.task
def double(n):
    print("on", os.environ.get("PBS_JOBID", "no batch system") != "no batch system")
    return 2 * n


async def flow_main():
    print(await double.map("n", [1, 2]), await double.task(double.task(3), name="again"))
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    made = ScriptedPbs(tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{made.commands}:{os.environ['PATH']}")
    yield made
    made.close()


def test_a_batch_system_makes_the_call_from_its_file(project, tools):
    project.write(sflow=FLOW)
    assert project.run("--executor", "pbs")["out"] == ["[2, 4] 12"]
    shown = json.loads(project.cli("show", "again", "--json").stdout)
    assert (shown["executor"], shown["exit_code"]) == ("pbs", 0)
    assert (project / ".scriptflow/logs/main-1/again.1.log").read_text() == "on True\n"
    assert project.run()["ran"] == 0
