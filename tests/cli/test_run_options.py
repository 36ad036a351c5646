"""``run`` and ``plan``: flow parameters as options, every flag, the JSON documents, the exit codes."""

import json
import os
import threading

import pytest

ECHO = '''import json
from pathlib import Path


async def flow_echo(n: int = 2, *, plot: bool = True, sizes: list[int] = (), where: Path = Path(), name: str = "x"):
    """Print the parameters."""
    print(json.dumps([n, plot, list(sizes), str(where), name]))
'''
OTHER = "\n\nasync def flow_other():\n    print('other')\n"


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        ([], [2, True, [], ".", "x"]),
        (["echo"], [2, True, [], ".", "x"]),
        (["echo", "--n", "3"], [3, True, [], ".", "x"]),
        (["echo", "--n=-3"], [-3, True, [], ".", "x"]),
        (["echo", "--n", "-3"], [-3, True, [], ".", "x"]),
        (["--n", "3"], [3, True, [], ".", "x"]),
        (["--n", "3", "echo"], [3, True, [], ".", "x"]),
        (["-j", "2", "--n", "3", "-x", "echo"], [3, True, [], ".", "x"]),
        (["echo", "--no-plot"], [2, False, [], ".", "x"]),
        (["echo", "--plot", "--n", "3"], [3, True, [], ".", "x"]),
        (["echo", "--plot=false"], [2, False, [], ".", "x"]),
        (["echo", "--sizes", "1,2"], [2, True, [1, 2], ".", "x"]),
        (["echo", "--sizes", "1", "--sizes", "2"], [2, True, [1, 2], ".", "x"]),
        (["echo", "--where", "a b/c"], [2, True, [], "a b/c", "x"]),
        (["echo", "-p", "n=3", "-p", "name=y=z"], [3, True, [], ".", "y=z"]),
        (["echo", "-p", "sizes=1", "--param", "sizes=2"], [2, True, [1, 2], ".", "x"]),
        (["echo", "--name", "night"], [2, True, [], ".", "x"]),
        (["--", "echo", "--n", "3"], [3, True, [], ".", "x"]),
    ],
)
def test_parameters_of_the_flow_are_options(project, words, parameters):
    project.write(ECHO)
    assert json.loads(project("run", *words).stdout) == parameters


def test_the_flows_name_may_stand_after_its_options_when_there_are_several(project):
    project.write(ECHO + OTHER)
    assert json.loads(project("run", "--n", "3", "echo").stdout)[0] == 3
    assert project("run", "other").stdout == "other\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"n": 5, "sizes": [1], "where": "a"}'),
        ("p.toml", 'n = 5\nsizes = [1]\nwhere = "a"\n'),
        ("p.yaml", "n: 5\nsizes: [1]\nwhere: a\n"),
    ],
)
def test_parameters_from_a_file_and_options_win_over_them(project, name, text):
    project.write(ECHO).write(text, name)
    assert json.loads(project("run", "--params", name).stdout) == [5, True, [1], "a", "x"]
    assert json.loads(project("run", "echo", "--params", name, "--n", "6").stdout)[0] == 6


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.json", "{", "p.json cannot be read as parameters"),
        ("p.json", "[1]", "p.json holds no table"),
        ("p.yaml", "a: [", "p.yaml cannot be read as parameters"),
        ("p.yaml", "!!python/object/apply:os.system ['touch owned']", "p.yaml"),
        ("p.toml", "n =", "p.toml cannot be read as parameters"),
        ("p.csv", "n", "p.csv cannot be read as parameters"),
        ("p.json", '{"n": "ten"}', "-p n=ten: `n` of flow `echo` is int"),
        ("p.json", '{"m": 1}', "no parameter `m`"),
    ],
)
def test_a_file_of_parameters_that_does_not_fit_is_refused(project, name, text, said):
    project.write(ECHO).write(text, name)
    assert said in project.refused("run", "--params", name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "n=ten"], "error[param-type]: -p n=ten: `n` of flow `echo` is int"),
        (["-p", "n=ten"], "help: -p n=10"),
        (["--n", "ten"], "help: -p n=10"),
        (["--n"], "--n needs a value (int)"),
        (["--siez", "3"], "an option with a similar name exists: `--sizes`"),
        (["--jbos", "3"], "an option with a similar name exists: `--jobs`"),
        (["--fail-fsat"], "`--fail-fast`"),
        (["--no-n"], "no such option: --no-n"),
        (["-z"], "no such option: -z"),
        (["echo", "again"], "unexpected word: again"),
        (["-p", "n"], "-p n is no NAME=VALUE"),
        (["-p", "m=3"], "has no parameter `m`"),
        (["--params", "none.json"], "cannot read none.json"),
        (["--profile", "night"], "no profile `night`"),
        (["--events", "none/events.jsonl"], "cannot write events"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(project, words, said):
    assert said in project.write(ECHO).refused("run", *words)


def test_a_typo_is_named_before_the_flow_is_asked_for(project):
    assert "`--exit-code`" in project.write(ECHO + OTHER).refused("plan", "--exit-cod")


# --- running ------------------------------------------------------------------------------------------


def test_run_prints_one_document_last_on_stdout(demo):
    document = demo.json("run", "demo", "--n", "3")
    assert list(document) == [
        "schema", "run", "flow", "status", "ran", "skipped", "failed", "cancelled", "seconds", "failures"
    ]  # fmt: skip
    assert (document["run"], document["flow"], document["status"]) == ("demo-1", "demo", "succeeded")
    assert [document[key] for key in ("ran", "skipped", "failed", "cancelled", "failures")] == [4, 0, 0, 0, []]
    again = demo.json("run", "demo", "--n", "3")
    assert (again["ran"], again["skipped"]) == (0, 4)


def test_a_failed_task_exits_1_and_is_in_the_document(project):
    project.write(
        'import scriptflow as sf\n\n\nasync def flow_a():\n    await sf.Task(["sh", "-c", "exit 3"], name="bad")\n'
    )
    document = project.json("run", code=1)
    assert (document["status"], document["failed"]) == ("failed", 1)
    (failure,) = document["failures"]
    assert (failure["task"], failure["exit_code"], failure["cause"]) == ("bad", 3, "exit")
    assert os.path.exists(failure["log"])
    assert project("run", "-qq", code=1).stderr == ""


def test_an_exception_of_the_flow_exits_1_with_a_traceback_that_starts_in_its_file(project):
    project.write("async def flow_a():\n    raise ValueError('odd data')\n")
    done = project("run", code=1)
    assert "ValueError: odd data" in done.stderr
    first = next(line for line in done.stderr.splitlines() if line.startswith('  File "'))
    assert "sflow.py" in first
    assert "scriptflow/" not in done.stderr.replace(str(project.folder), "")


def test_an_error_in_the_graph_is_told_with_place_and_help(project):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_a():\n"
        '    await sf.Task(["cp", "data.csv", "b"], inputs="data.csv", outputs="b", name="copy")\n'
    )
    done = project("run", code=2)
    assert "error[missing-input]" in done.stderr
    assert "sflow.py:5" in done.stderr


def test_jobs_limits_the_local_executor(project):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_a():\n"
        '    alone = "mkdir lock && sleep 0.05 && rmdir lock && touch {output}"\n'
        "    await sf.bag(*[sf.Task(alone, shell=True, outputs=f'{i}.txt', name=f'alone-{i}') for i in range(5)])\n"
    )
    assert project.json("run", "-j", "1")["ran"] == 5


def test_force_only_fail_fast_and_retries_reach_the_run(demo):
    demo("run")
    assert demo.json("run", "--force", "part-*")["ran"] >= 2
    assert demo.json("run", "-f", "total")["ran"] == 1
    assert demo.json("run", "-f", "*", "--only", "part-0")["ran"] == 1
    demo.write(
        "import scriptflow as sf\n\n\nasync def flow_a():\n"
        '    await sf.Task("test -e a || { touch a; exit 1; }; touch b", shell=True, outputs="b", name="t")\n'
    )
    assert demo.json("run", "--retries", "1")["status"] == "succeeded"


def test_name_and_tags_are_recorded(demo):
    demo("run", "--name", "night", "--tag", "a", "--tag", "b")
    assert demo.json("show", "night")["run"] == "demo-1"


def test_events_are_lines_of_json(demo):
    demo("run", "--events", "events.jsonl")
    events = [json.loads(line) for line in (demo.folder / "events.jsonl").read_text().splitlines()]
    assert len(events) >= 5
    assert "demo-1" in json.dumps(events[0])
    done = demo("run", "--events", "-", "-q")
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert done.stdout


def test_progress_and_quiet_choose_the_screen(demo):
    assert "part-0" in demo("run", "--progress", "plain").stderr
    assert "part-0" not in demo("run", "-f", "*", "-q").stderr
    assert "part-0" not in demo("run", "-f", "*", "--progress", "quiet").stderr
    assert demo("run", "-f", "*", "-qq").stderr == ""
    lines = demo("run", "-f", "*", "--progress", "json").stderr.splitlines()
    assert all(json.loads(line) for line in lines)


def test_settings_come_from_init_environment_and_flags(project):
    project.write(
        "import scriptflow as sf\n\nsf.init({'retries': 1})\n\n\nasync def flow_a():\n"
        '    await sf.Task("echo x >> tries; false", shell=True, name="t")\n'
    )
    twice = {"SCRIPTFLOW_RETRIES": "2"}
    for words, env, tries in ([], {}, 2), ([], twice, 3), (["--retries", "0"], twice, 1):
        (project.folder / "tries").unlink(missing_ok=True)
        project("run", *words, code=1, **env)
        assert (project.folder / "tries").read_text() == "x\n" * tries


def test_a_run_from_a_folder_below_works_in_the_flow_files_folder(demo):
    below = demo.folder / "a" / "b"
    below.mkdir(parents=True)
    demo("run", cwd=below)
    assert (demo.folder / "all.txt").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a fifo")
def test_detach_returns_at_once_and_the_run_goes_on_alone(project, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_a():\n"
        f'    await sf.Task("echo hello > {fifo}", shell=True, name="t")\n    print("the end")\n'
    )
    heard = []
    listener = threading.Thread(target=lambda: heard.append(fifo.read_text()), daemon=True)
    done = project("-C", project.folder, "run", "--detach", cwd=tmp_path)
    assert "detached.log" in done.stderr
    assert "scriptflow cancel" in done.stderr
    listener.start()
    listener.join(30)
    assert heard == ["hello\n"]
    log = project.folder / ".scriptflow" / "detached.log"
    assert log.stat().st_mode & 0o077 == 0


def test_detach_says_at_once_what_is_wrong(demo):
    assert "dmo" in demo.refused("run", "dmo", "--detach")


# --- planning -----------------------------------------------------------------------------------------


def test_a_plan_says_what_would_run_and_writes_nothing(demo):
    before = sorted(demo.folder.iterdir())
    for words in (["plan"], ["run", "-n"], ["run", "demo", "--dry-run"]):
        done = demo(*words)
        assert done.stdout.startswith("demo  would run 3 of 3")
        assert "part-0  output missing: part_0.txt" in done.stdout
    assert [path for path in sorted(demo.folder.iterdir()) if path.name != "__pycache__"] == before


def test_a_plan_as_json(demo):
    document = demo.json("plan")
    assert list(document) == ["schema", "flow", "would_run", "up_to_date", "complete"]
    assert (document["flow"], document["up_to_date"]) == ("demo", 0)
    assert document["would_run"][0] == {
        "task": "part-0", "reasons": [{"code": "output-missing", "detail": "part_0.txt"}]
    }  # fmt: skip
    assert demo.json("run", "-n") == document


def test_exit_code_of_a_plan_says_whether_work_is_due(demo):
    demo("plan")
    demo("plan", "--exit-code", code=3)
    demo("run")
    done = demo("plan", "--exit-code")
    assert done.stdout == "demo  nothing to do, 3 up to date\n"
    assert "code" not in json.dumps(demo.json("plan")["would_run"])
    demo("plan", "--exit-code", "--force", "total", code=3)


def test_a_plan_that_cannot_see_the_end_says_where_it_ends(project):
    project.write(
        "import scriptflow as sf\n\n\nasync def flow_a():\n"
        '    first = sf.Task("echo 3 > n.txt", shell=True, outputs="n.txt", name="first")\n    await first\n'
        "    print(open(first.output_file).read())\n"
    )
    done = project("plan")
    assert "would run 1 of 1+" in done.stdout
    assert "certain up to sflow.py:7" in done.stdout
    document = project.json("plan")
    assert (document["complete"], len(document["would_run"])) == (False, 1)


def test_an_exception_of_the_flow_ends_a_plan_with_its_traceback_and_exit_1(project):
    project.write("async def flow_a():\n    raise ValueError('odd data')\n")
    done = project("plan", code=1)
    assert "ValueError: odd data" in done.stderr
    assert 'sflow.py", line 2' in done.stderr


def test_verbose_lists_every_reason(demo):
    demo("run")
    (demo.folder / "all.txt").unlink()
    (demo.folder / "part_0.txt").unlink()
    assert "output missing: part_0.txt" in demo("plan", "-v").stdout
