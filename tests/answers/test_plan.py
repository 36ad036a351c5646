"""``plan``: not one byte is written, and what only a run can give is named."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scriptflow.store.lock import is_locked

CHAIN = """
import helper

async def flow_demo():
    await sf.Task("cp in.txt a.txt", inputs="in.txt", outputs="a.txt", name="a")
    await sf.Task("cp a.txt deep/b.txt", inputs="a.txt", outputs="deep/b.txt", name="b")
"""


@pytest.fixture
def chain(asked):
    (asked / "in.txt").write_text("one\n")
    (asked / "helper.py").write_text("X = 1\n")
    asked.env.pop("PYTHONDONTWRITEBYTECODE")
    return asked.flow(CHAIN)


def test_plan_writes_nothing_where_nothing_was_run(chain):
    assert [task for task, _ in chain.planned()] == ["a", "b"]
    chain.json("run", "-n")
    assert sorted(path.name for path in chain.folder.iterdir()) == ["helper.py", "in.txt", "sflow.py"]


def test_plan_writes_nothing_beside_a_store(chain):
    chain("run")
    assert chain.planned() == []
    (chain / "in.txt").write_text("other\n")
    assert chain.planned() == [("a", ["input-changed"]), ("b", ["upstream"])]


def test_plan_writes_nothing_beside_a_store_that_a_killed_head_left(chain):
    chain.flow(CHAIN.replace("cp a.txt deep/b.txt", "sh -c 'echo > begun; sleep 60'"))
    head = chain.popen("run")
    limit = time.monotonic() + 20
    while not (chain / "begun").exists():
        assert time.monotonic() < limit
        time.sleep(0.01)
    head.send_signal(signal.SIGKILL)
    head.communicate()
    while is_locked(str(chain / ".scriptflow")):
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert any("interrupted" in codes for _, codes in chain.planned())
    assert chain.json("plan") == chain.plan()


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root, and setpriv is not there")
@pytest.mark.parametrize("ran_before", [False, True])
def test_plan_answers_in_a_folder_that_cannot_be_written(chain, ran_before):
    if ran_before:
        chain("run")
        for path in (chain / ".scriptflow").iterdir():
            path.chmod(0o755 if path.is_dir() else 0o644)
        (chain / ".scriptflow").chmod(0o755)
    for parent in (chain.folder, *chain.folder.parents):
        if parent != Path("/tmp") and parent != Path("/"):
            parent.chmod(0o555)
    argv = [sys.executable, "-m", "scriptflow", "plan", "--json"]
    if os.geteuid() == 0:
        nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        if subprocess.run([*nobody, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
            pytest.skip("other users cannot run this Python")
        argv = [*nobody, *argv]
    try:
        done = subprocess.run(argv, cwd=chain.folder, env=chain.env, capture_output=True, text=True, check=False)
    finally:
        for parent in (chain.folder, *chain.folder.parents):
            if parent != Path("/tmp") and parent != Path("/"):
                parent.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["would_run"]) == (0 if ran_before else 2)


def test_exit_code_tells_ci_that_work_is_due(chain):
    chain("plan", "--exit-code", code=3)
    chain("run")
    chain("plan", "--exit-code")


# --- what only a run can give -------------------------------------------------------------------------

READS = """
import json
from pathlib import Path

async def flow_demo():
    await sf.Task("cp in.txt totals.json", inputs="in.txt", outputs="totals.json", name="totals")
    await sf.Task("cp in.txt other.txt", inputs="in.txt", outputs="other.txt", name="other")
    many = json.loads(Path("totals.json").read_text())
    await sf.bag(sf.Task(f"touch part_{i}", outputs=f"part_{i}") for i in range(many))
"""


@pytest.fixture
def reads(asked):
    (asked / "in.txt").write_text("2\n")
    return asked.flow(READS)


def test_plan_ends_where_the_flow_reads_what_is_not_there_and_names_it(reads):
    plan = reads.plan()
    assert [task["task"] for task in plan["would_run"]] == ["totals", "other"]
    assert (plan["complete"], plan["certain"]) == (False, 2)
    assert plan["stopped_at"] == "sflow.py:10: reads totals.json, which totals would make"
    assert "certain up to sflow.py:10: reads totals.json, which totals would make" in reads("plan").stdout


def test_plan_goes_on_with_an_old_version_and_says_from_where_it_is_unsure(reads):
    reads("run")
    (reads / "in.txt").write_text("30\n")
    reads.flow(READS.replace("touch", "touch ./"))
    plan = reads.plan()
    assert [task["task"] for task in plan["would_run"]] == ["totals", "other", "part_0", "part_1"]
    assert (plan["complete"], plan["certain"]) == (False, 2)
    assert plan["stopped_at"] == "sflow.py:10: reads totals.json, which totals would make"
    lines = reads("plan").stdout.splitlines()
    assert lines[0] == "demo  would run 4 of 4+"
    assert lines[3] == "  … certain up to sflow.py:10: reads totals.json, which totals would make"


def test_plan_is_complete_when_what_is_read_is_up_to_date(reads):
    reads("run")
    (reads / "part_1").unlink()
    plan = reads.plan()
    assert plan["complete"]
    assert [task["task"] for task in plan["would_run"]] == ["part_1"]


def test_value_of_a_task_that_would_run_is_a_read(asked):
    asked.flow("""
        async def flow_demo():
            count = await sf.Task("sh -c 'echo 2 > n.json'", outputs="n.json", name="count").result("n.json")
            for number in range(count.value):
                await sf.Task(f"touch {number}", outputs=str(number))
    """)
    plan = asked.plan()
    assert plan["stopped_at"] == "sflow.py:6: reads the value of count, which would run"
    asked("run")
    assert asked.plan()["complete"]


def test_read_in_a_helper_module_is_named_where_it_stands(asked):
    (asked / "helper.py").write_text("def size():\n    with open('a.txt') as file:\n        return len(file.read())\n")
    asked.flow("""
        import helper

        async def flow_demo():
            await sf.Task("touch a.txt", outputs="a.txt")
            helper.size()
    """)
    assert asked.plan()["stopped_at"] == "helper.py:2: reads a.txt, which a.txt would make"


def test_writing_is_not_reading_and_other_files_do_not_count(asked):
    (asked / "config.txt").write_text("x")
    asked.flow("""
        async def flow_demo():
            await sf.Task("touch a.txt", outputs="a.txt")
            open("config.txt").read()
            if not sf.planning:
                open("b.txt", "w").close()
    """)
    assert asked.plan()["complete"]


def test_why_says_how_far_it_is_sure(reads):
    reads("run")
    (reads / "in.txt").write_text("30\n")
    document = reads.json("why", "part_1")
    assert (document["run"], document["complete"]) == (False, False)
    assert document["stopped_at"] == "sflow.py:10: reads totals.json, which totals would make"
    reads("run", "-q")
    assert reads.json("why", "part_1")["complete"]
