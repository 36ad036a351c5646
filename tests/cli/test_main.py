"""The console entry: commands, help, and how each kind of error ends."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from scriptflow.cli.group import SECTIONS
from scriptflow.cli.main import COMMANDS

HEAVY = {"asyncio", "rich", "sqlite3", "aiohttp", "pydantic", "jinja2", "psutil", "ruamel", "importlib.metadata"}


def test_help_names_every_command_under_a_heading(project):
    said = project("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in said] == []
    assert project("-h").stdout == project().stdout == said
    assert {name for commands in SECTIONS.values() for name in commands} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_commands_first_line_is_the_one_in_the_help(name):
    module, _, attribute = COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.short_help == next(commands[name] for commands in SECTIONS.values() if name in commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(project, name):
    said = project(name, "--help").stdout
    assert said.startswith(f"Usage: scriptflow {name}")
    assert "Examples:" in said
    assert "\\b" not in said


def modules_loaded(project, *words):
    program = (
        "import sys\nfrom scriptflow.cli.main import main\n"
        "code = main(sys.argv[1:])\nprint('modules', *sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=project.folder, env=project.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_click_and_nothing_heavy(project):
    loaded = modules_loaded(project, "--help")
    assert "click" in loaded
    assert loaded & HEAVY == set()
    assert not any(name.startswith("scriptflow.store") for name in loaded)


def test_the_plain_form_of_run_does_not_load_click(demo):
    demo("run")
    for words in (["run"], ["run", "demo"], ["run", "demo", "-q"], ["run", "-q"]):
        assert modules_loaded(demo, *words) & {"click", "re", "inspect", "asyncio"} <= {"re"}
    assert "click" in modules_loaded(demo, "run", "--quiet")


def test_the_console_script_is_the_same_program(project):
    script = Path(sys.executable).parent / "scriptflow"
    if not script.exists():
        pytest.skip("not installed")
    done = subprocess.run([script, "--version"], env=project.env, capture_output=True, text=True, check=True)
    assert done.stdout == project("--version").stdout
    assert done.stdout.startswith("scriptflow ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rum"], "`scriptflow run`"),
        (["completion", "tcsh"], "'tcsh'"),
        (["run", "-j", "0"], "--jobs"),
        (["run", "-j", "many"], "--jobs"),
        (["run", "--check", "size"], "--check"),
        (["run", "--name"], "--name"),
        (["-C", "nowhere", "run"], "nowhere"),
        (["--nope"], "--nope"),
        (["list", "--nope"], "--nope"),
    ],
)
def test_wrong_use_exits_2_and_says_what_to_do(demo, words, said):
    assert said.strip("`") in demo.refused(*words)


def test_minus_capital_c_goes_there_before_or_after_the_command(demo, tmp_path):
    for words in (["-C", "project", "list"], ["list", "-C", demo.folder]):
        assert "demo" in demo(*words, cwd=tmp_path).stdout


def test_a_named_file_counts_before_or_after_the_command(project):
    project.write("async def flow_other():\n    pass\n", "other.py")
    for words in (["--file", "other.py", "list"], ["list", "--file", "other.py"]):
        assert project(*words).stdout == "other\n"


def test_a_folder_that_is_gone_is_an_error_not_a_traceback(project):
    gone = project.folder / "gone"
    gone.mkdir()
    program = f"import os, sys; os.rmdir({str(gone)!r}); from scriptflow.cli.main import main; sys.exit(main(['run']))"
    env = project.env | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=gone, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


# --- the flow file ------------------------------------------------------------------------------------


def test_no_flow_file(project):
    said = project.refused("run")
    assert "error[no-flow-file]: no sflow.py in this directory or its parents" in said
    assert "scriptflow init" in said


def test_a_syntax_error_shows_line_and_caret(project):
    project.write("import os\nasync def flow_a()\n    pass\n")
    said = project.refused("run")
    assert "error[flow-syntax]: sflow.py:2:" in said
    assert "2 | async def flow_a()" in said
    assert "^" in said


def test_an_import_error_names_line_and_python(project):
    said = project.write("import nothing_of_that_name\n").refused("run")
    assert "error[flow-import]: sflow.py:1 raised ModuleNotFoundError" in said
    assert f"note: python is {sys.executable}" in said


def test_debug_adds_the_traceback_and_changes_nothing_else(project):
    project.write("import nothing_of_that_name\n")
    done = project("run", "--debug", code=2)
    assert "Traceback" in done.stderr
    assert done.stderr.endswith(project("run", code=2).stderr)
    assert "Traceback" in project("--debug", "run", code=2).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dmo"], "error[flow-not-found]: no flow `dmo` in sflow.py"),
        (["dmo"], "a flow with a similar name exists: `demo`"),
        ([], "error[flow-ambiguous]: sflow.py has 2 flows: demo, paper"),
        (["plain"], "error[flow-not-async]: flow_plain (sflow.py:9) is a plain function"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_flow_that_cannot_be_chosen(project, command, words, said):
    project.write(
        "async def flow_demo():\n    pass\n\n\nasync def flow_paper():\n    pass\n\n\ndef flow_plain():\n    pass\n"
    )
    assert said in project.refused(command, *words)


def test_settings_that_do_not_exist_stop_a_run_before_it_starts(demo):
    demo.write("\nchek = 1\n", "scriptflow.toml")
    said = demo.refused("run")
    assert "error[settings-key]: unknown setting `chek` in scriptflow.toml:2" in said
    assert "--> scriptflow.toml:2" in said
    demo.write("", "scriptflow.toml")
    assert "environment SCRIPTFLOW_CHEK" in demo.refused("run", SCRIPTFLOW_CHEK="content")


# --- bugs of ours, Ctrl-C, and a reader that has gone -----------------------------------------------------


def broken(project, statement, *words):
    """Run a command that is broken on purpose, as one of ours."""
    lines = ["import click", "", "", "@click.command()", "@click.argument('x', nargs=-1)", "def command(x):"]
    project.write("\n".join([*lines, f"    {statement}", ""]), "broken.py")
    program = (
        "import sys\nfrom scriptflow.cli import main\nmain.COMMANDS['broken'] = 'broken:command'\n"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, "broken", *words],
        cwd=project.folder, env=project.env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_bug_of_ours_exits_70_with_a_crash_file_that_holds_nothing_of_the_users(project):
    (project.folder / ".scriptflow").mkdir()
    done = broken(project, "raise RuntimeError('patients.csv is odd')", "patients.csv")
    assert done.returncode == 70
    assert "error[internal]: this is a bug in scriptflow, not in your flow" in done.stderr
    assert "Traceback" not in done.stderr
    (crash,) = (project.folder / ".scriptflow").glob("crash-*.txt")
    story = crash.read_text()
    assert str(crash) in done.stderr
    assert "RuntimeError" in story
    assert "command: broken" in story
    assert "scriptflow/cli/main.py" in story
    assert "patients" not in story
    assert str(project.folder) not in story
    assert crash.stat().st_mode & 0o077 == 0


def test_a_bug_of_ours_without_a_store_writes_no_file(project):
    done = broken(project, "raise RuntimeError('x')")
    assert done.returncode == 70
    assert [path.name for path in project.folder.iterdir() if path.suffix == ".txt"] == []


def test_a_bug_of_ours_shows_its_traceback_with_debug(project):
    assert "RuntimeError: odd" in broken(project, "raise RuntimeError('odd')", "--debug").stderr


def test_ctrl_c_exits_130_without_a_word(project):
    done = broken(project, "raise KeyboardInterrupt")
    assert (done.returncode, done.stderr.strip()) == (130, "")


@pytest.mark.skipif(os.name != "posix", reason="pipes end otherwise there")
def test_a_reader_that_has_gone_ends_us_quietly(project):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "scriptflow", "--help"],
            cwd=project.folder, env=project.env, stdout=closed, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")
