"""``completion``: the scripts of the shells, and what they are told."""

import shutil
import subprocess

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_us(project, shell):
    script = project("completion", shell).stdout
    assert f"_SCRIPTFLOW_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def completed(project, line):
    words = line.split(" ")
    said = project(COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), _SCRIPTFLOW_COMPLETE="bash_complete").stdout
    return [item.partition(",")[2] for item in said.split()]


def test_commands_and_options_are_completed(project):
    assert completed(project, "scriptflow co") == ["config", "completion"]
    assert "--fail-fast" in completed(project, "scriptflow run --fail")
    assert completed(project, "scriptflow run --check ") == ["mtime", "content"]


def test_flows_are_completed_without_loading_the_flow_file(project):
    project.write(
        "raise SystemExit('loaded')\n\n\nasync def flow_demo(n):\n    pass\n\n\nasync  def flow_paper():\n    pass\n"
    )
    assert completed(project, "scriptflow run ") == ["demo", "paper"]
    assert completed(project, "scriptflow plan pa") == ["paper"]
    assert completed(project, "scriptflow list d") == ["demo"]
    assert completed(project, "scriptflow list --tasks ") == ["demo", "paper"]


def test_without_flow_file_or_store_nothing_is_offered_and_nothing_said(project):
    assert completed(project, "scriptflow run ") == []
    assert completed(project, "scriptflow status ") == ["last"]
    assert completed(project, "scriptflow logs so") == []


def test_runs_and_tasks_are_completed_from_the_store(demo):
    demo("run")
    assert completed(demo, "scriptflow status d") == ["demo-1"]
    assert sorted(completed(demo, "scriptflow logs part")) == ["part-0", "part-1"]
    assert sorted(completed(demo, "scriptflow run --until to")) == ["total"]
