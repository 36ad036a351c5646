import shutil
import subprocess
import sys

import pytest

from scriptflow.cli.init import TEMPLATES, files_of


def test_init_writes_a_flow_and_names_the_next_command(cli):
    done = cli("init")
    assert "created sflow.py (flow `hello`, 3 tasks)" in done.text
    assert done.text.endswith("Next:  scriptflow run\n")
    assert len((cli.folder / "sflow.py").read_text().splitlines()) <= 25


def test_init_in_another_folder_makes_it_and_says_where_to_go(cli):
    done = cli("init", "a b/new")
    assert (cli.folder / "a b/new/sflow.py").is_file()
    assert "Next:  cd 'a b/new' && scriptflow run" in done.text


@pytest.mark.parametrize("there", ["sflow.py", "fit.R"])
def test_init_never_overwrites(cli, there):
    (cli.folder / there).write_text("mine\n")
    done = cli("init", "--template", "r", code=2)
    assert "error[usage]" in done.talk
    assert there in done.talk
    assert "help:" in done.talk
    assert [path.name for path in cli.folder.iterdir()] == [there]
    assert (cli.folder / there).read_text() == "mine\n"


def test_init_does_not_write_through_a_dangling_link(cli):
    (cli.folder / "sflow.py").symlink_to(cli.folder / "nowhere")
    cli("init", code=2)
    assert not (cli.folder / "nowhere").exists()


def test_init_where_no_folder_can_be_made_says_so(cli):
    (cli.folder / "file").write_text("")
    assert "help:" in cli("init", "file/sub", code=2).talk


def test_an_unknown_template_names_those_there_are(cli):
    done = cli("init", "--template", "julia", code=2)
    assert "stata" in done.talk


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_loads_and_has_one_flow(cli, template):
    cli("init", "--template", template)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from scriptflow.flowfile.discover import load;"
            "print([(f.name, f.is_async, bool(f.doc_line)) for f in load('sflow.py').flows])",
        ],
        cwd=cli.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    name = TEMPLATES[template].split("`")[1]
    assert done.stdout.strip() == str([(name, True, True)])


def test_every_file_of_the_templates_belongs_to_one():
    from importlib.resources import files

    names = {entry.name for entry in (files("scriptflow.cli") / "templates").iterdir() if entry.is_file()}
    assert names == {f"{template}.{name}" for template in TEMPLATES for name in files_of(template)}


@pytest.mark.parametrize(
    ("template", "result", "content"), [("hello", "final.txt", "1\n4\n"), ("python", "mean.txt", "8.333\n")]
)
def test_a_template_that_needs_only_python_runs(cli, template, result, content):
    cli("init", "--template", template)
    cli("run")
    assert (cli.folder / result).read_text() == content
    again = cli("run", "--json")
    assert '"ran": 0' in again.text


@pytest.mark.parametrize(("template", "program"), [("r", "Rscript"), ("stata", "stata")])
def test_a_template_that_needs_a_program_says_so_when_it_is_not_there(cli, template, program):
    if shutil.which(program):
        pytest.skip(f"{program} is here")
    cli("init", "--template", template)
    assert program in cli("run", code=1).talk
