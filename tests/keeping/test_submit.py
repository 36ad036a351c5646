"""A job adds tasks to the run it belongs to, and may wait for them without holding its slot."""

import pytest

HEAD = "import sys\nimport scriptflow as sf\n\n\n"


def flow(project, script, *words, code=0, outputs="'main.txt'"):
    """Run a flow of one task, a shell script."""
    project.write(script, "job.sh")
    project.write(
        f"{HEAD}async def flow_main():\n    await sf.Task(['sh', '-e', 'job.sh'], outputs={outputs}, name='main')\n"
    )
    return project("run", *words, "--json", code=code)


def test_a_job_submits_waits_and_uses_the_result(project):
    flow(project, "scriptflow submit --wait -o s.txt -- sh -c 'echo s > s.txt'\ncat s.txt > main.txt\n")
    assert project.read("main.txt") == "s\n"
    assert [run["ran"] for run in project.json("runs")] == [2]


def test_with_one_slot_the_waiting_job_lends_its_own(project):
    flow(
        project,
        "scriptflow submit --wait -o s.txt -- sh -c 'scriptflow submit --wait -o t.txt -- sh -c \"echo t > t.txt\"; "
        "cat t.txt > s.txt'\ncat s.txt > main.txt\n",
        "-j", "1",
    )  # fmt: skip
    assert project.read("main.txt") == "t\n"


def test_the_run_does_not_end_before_what_was_submitted(project):
    flow(project, "scriptflow submit -o late.txt -- sh -c 'sleep 0.3; echo late > late.txt'\necho > main.txt\n")
    assert project.read("late.txt") == "late\n"


def test_a_submitted_task_that_is_up_to_date_is_not_run(project):
    script = "scriptflow submit --wait -o s.txt -- sh -c 'echo >> count; echo s > s.txt' >> said\necho > main.txt\n"
    flow(project, script)
    flow(project, script, "--force", "main")
    assert (project.read("count"), project.read("said")) == ("\n", "s.txt  succeeded\ns.txt  skipped\n")


def test_a_submitted_task_that_fails_is_told_and_fails_the_run(project):
    done = flow(project, "scriptflow submit --wait --name sub -- sh -c 'exit 3' || echo $? > main.txt\n", code=1)
    assert project.read("main.txt") == "1\n"
    assert '"task": "sub", "exit_code": 3' in done.stdout
    assert "sub failed with exit code 3" in project("logs", "main").stdout


def test_paths_are_those_of_the_folder_one_is_in(project):
    flow(
        project,
        "mkdir -p sub; cd sub; echo i > in.txt\n"
        "scriptflow submit --wait -i in.txt -o ../out.txt -- sh -c 'cat in.txt > ../out.txt'\n"
        "cd ..; cp out.txt main.txt\n",
    )
    assert project.read("main.txt") == "i\n"
    assert [file["path"] for file in project.json("clean")["files"]] == ["main.txt", "out.txt"]


def test_what_was_submitted_is_no_orphan_while_its_submitter_is_declared(project):
    flow(project, "scriptflow submit --wait -o s.txt -- sh -c 'echo s > s.txt'\necho > main.txt\n")
    assert project.json("clean", "--orphans")["files"] == []
    project.write(f"{HEAD}async def flow_main():\n    pass\n")
    assert [file["path"] for file in project.json("clean", "--orphans")["files"]] == ["main.txt", "s.txt"]


PYTHON = """import asyncio
import sys
import scriptflow as sf

{body}
"""


@pytest.mark.parametrize(
    "body",
    [
        "sf.submit(['sh', '-c', 'echo s > s.txt'], outputs='s.txt').wait()",
        "sf.submit(sf.Task(['sh', '-c', 'echo s > s.txt'], name='s').output('s.txt')).wait(timeout_s=30)",
        "async def main():\n"
        "    assert await sf.submit('sh -c \"echo s > {output}\"', outputs='s.txt') == 'succeeded'\n\n"
        "asyncio.run(main())",
    ],
)
def test_python_jobs_submit_commands_and_tasks(project, body):
    project.write(PYTHON.replace("{body}", body), "job.py")
    project.write(f"{HEAD}async def flow_main():\n    await sf.Task([sys.executable, 'job.py'], name='main')\n")
    project("run")
    assert project.read("s.txt") == "s\n"


def test_python_jobs_hear_of_failures_and_refusals(project):
    project.write(
        "import scriptflow as sf\n\n"
        "try:\n    sf.submit('sh -c \"exit 4\"', name='four').wait()\n"
        "except sf.TaskFailed as error:\n    assert error.exit_code == 4, error\n"
        "for wrong in ({'outputs': 'main.txt'}, {'cpus': 10**6}, {'colour': 'red'}, {'outputs': 3}):\n"
        "    try:\n        sf.submit(['true'], **wrong)\n"
        "    except (sf.ScriptflowError, TypeError):\n        continue\n"
        "    raise SystemExit(str(wrong))\n"
        "open('main.txt', 'w').close()\n",
        "job.py",
    )
    project.write(
        f"{HEAD}async def flow_main():\n"
        "    await sf.Task([sys.executable, 'job.py'], outputs='main.txt', name='main')\n"
    )
    project("run", code=1)
    assert project.has("main.txt"), project("logs", "main").stdout


def test_outside_of_a_job_it_is_said_what_to_do(project):
    project.write(f"{HEAD}async def flow_main():\n    pass\n")("run")
    said = project("submit", "--", "true", code=2).stderr
    assert "error[no-live-run]: this process is no job of a live run" in said
    over = {"SCRIPTFLOW_STORE": str(project.store), "SCRIPTFLOW_RUN": "main-1"}
    assert "main-1 is over" in project("submit", "--", "true", code=2, **over).stderr
    nowhere = {"SCRIPTFLOW_STORE": "/nowhere/.scriptflow"}
    assert "error[not-found]" in project("submit", "--", "true", code=2, **nowhere).stderr


def test_in_a_flow_tasks_are_awaited_instead(project):
    project.write(f"{HEAD}async def flow_main():\n    sf.submit('true')\n")
    assert "is for the jobs of a flow" in project("run", code=2).stderr
