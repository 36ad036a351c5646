"""``scriptflow trace`` answers for any path, copies too, both ways, and says clearly where there is no answer."""

import json
import shutil

import pytest

from scriptflow.core.records import Seen
from scriptflow.store import lineage
from scriptflow.store.reader import StoreReader


def test_a_file_is_followed_back_to_its_sources(paper):
    text = paper("trace", "fig.txt")
    assert text.splitlines()[0].startswith("fig.txt  sha256:")
    assert "fig  paper-1, " in text
    assert "sh -c 'cat fit-*.txt > fig.txt'" in text
    assert "data/raw.csv  (source)" in text
    assert text.count("sort data/raw.csv") == 1
    assert "clean, see above" in text


def test_json_is_as_it_is_promised(paper):
    found = json.loads(paper("trace", "fig.txt", "--json"))
    assert set(found) == {"schema", "file", "sha256", "made_by"}
    assert found["schema"] == 1
    made = found["made_by"]
    assert set(made) == {"task", "command", "run", "started", "ended", "host", "user", "git", "inputs"}
    assert (found["file"], made["task"], made["run"]) == ("fig.txt", "fig", "paper-1")
    fit = made["inputs"][0]
    assert set(fit) == {"file", "sha256", "made_by"}
    assert fit["sha256"].startswith("sha256:")
    raw = next(one for one in fit["made_by"]["inputs"] if one["file"] == "clean.csv")["made_by"]["inputs"][0]
    assert (raw["file"], raw["made_by"]) == ("data/raw.csv", None)
    assert json.loads(paper("lineage", "fig.txt", "--format", "json")) == found


@pytest.mark.parametrize("name", ["copy.txt", "deep/er/renamed.bin"])
def test_a_copied_or_renamed_file_is_found_by_its_content(paper, name):
    target = paper.folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copy if name == "copy.txt" else shutil.move)(paper.folder / "fig.txt", target)
    found = json.loads(paper("trace", name, "--json"))
    assert (found["file"], found["copy_of"], found["made_by"]["task"]) == (name, "fig.txt", "fig")
    assert "the same content as fig.txt" in paper("trace", name)


def test_a_file_changed_by_hand_is_not_passed_off_as_what_the_task_made(paper):
    paper.write("fig.txt", "by hand\n")
    found = json.loads(paper("trace", "fig.txt", "--json"))
    assert found["changed"] is True
    assert "changed since" in paper("trace", "fig.txt")
    shutil.copy(paper.folder / "clean.csv", paper.folder / "fig.txt")
    found = json.loads(paper("trace", "fig.txt", "--json"))
    assert (found["copy_of"], found["made_by"]["task"]) == ("clean.csv", "clean")


def test_a_touched_file_is_still_what_the_task_made(paper):
    (paper.folder / "fig.txt").touch()
    assert "changed" not in json.loads(paper("trace", "fig.txt", "--json"))


def test_an_output_changed_by_hand_before_another_task_read_it_is_said(project):
    project.write(
        "sflow.py",
        "import scriptflow as sf\n"
        "async def flow_one():\n    await sf.Task('sh -c \"echo 1 > a.txt\"', outputs='a.txt', name='a')\n"
        "async def flow_two():\n    await sf.Task('cp a.txt b.txt', inputs='a.txt', outputs='b.txt', name='b')\n",
    )
    project("run", "one", "-q")
    project.write("a.txt", "by hand\n")
    project("run", "two", "-q")
    found = json.loads(project("trace", "b.txt", "--json"))
    assert found["made_by"]["inputs"][0]["changed"] is True
    assert "changed by hand before it was read" in project("trace", "b.txt")


def test_down_says_what_a_source_or_an_output_went_into(paper):
    text = paper("trace", "--down", "data/raw.csv")
    assert [line.lstrip("│├└─ ").split("  ")[0] for line in text.splitlines()[1:]] == [
        "clean",
        "fit-1",
        "fig",
        "fit-2",
        "fig",
    ]
    found = json.loads(paper("trace", "--down", "clean.csv", "--json"))
    assert found["made_by"]["task"] == "clean"
    assert [user["task"] for user in found["used_by"]] == ["fit-1", "fit-2"]
    assert found["used_by"][0]["used_by"][0]["outputs"][0]["file"] == "fig.txt"
    assert "no recorded task has read it" in paper("trace", "--down", "fig.txt")


def test_a_task_can_be_named_instead_of_its_file(paper):
    assert json.loads(paper("trace", "fit-1", "--json"))["file"] == "fit-1.txt"


def test_paths_are_understood_from_a_folder_below(paper):
    found = json.loads(paper("trace", "../fig.txt", "--json", cwd=paper.folder / "data"))
    assert found["file"] == "fig.txt"


def test_diff_names_what_changed_since_a_run_causes_first(paper):
    paper.write("data/raw.csv", "2\n1\n1\n1\n")
    paper("run", "-q")
    rows = json.loads(paper("trace", "fig.txt", "--diff", "paper-1", "--json"))["differences"]
    assert rows[0]["task"] == "clean"
    assert rows[0]["reasons"][0]["code"] == "input-changed"
    assert rows[0]["reasons"][0]["detail"].startswith("data/raw.csv: sha256:")
    assert {row["task"] for row in rows} >= {"clean", "fit-1", "fig"}
    assert "clean  changed  paper-1 -> paper-2" in paper("trace", "fig.txt", "--diff", "paper-1")
    assert "still what paper-2 left" in paper("trace", "fig.txt", "--diff", "last")


def test_diff_against_a_run_before_the_file_was_made_is_an_error(project):
    project("run", "paper", "--only", "clean", "-q")
    project("run", "paper", "-q")
    project("trace", "fig.txt", "--diff", "paper-1", code=2)
    assert "no task had made fig.txt by the end of paper-1" in project.talk


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("data/raw.csv", ("no recorded task made data/raw.csv", "read by clean", "trace --down data/raw.csv")),
        ("sflow.py", ("no recorded task made or read sflow.py", "content")),
        ("data", ("data is a folder", "no recorded task made a file in it")),
        (".", (". is a folder", "clean.csv, fig.txt, fit-1.txt", "scriptflow trace clean.csv")),
        ("fit-*", ("names 2 tasks", "fit-1, fit-2", "scriptflow trace fit-1")),
        ("figg", ("no recorded file or task is called 'figg'", "near it: fig", "scriptflow trace fig")),
    ],
)  # fmt: skip
def test_what_cannot_be_traced_is_said_with_the_next_step(paper, word, says):
    paper("trace", word, code=2)
    for part in says:
        assert part in paper.talk


def test_where_nothing_was_run_yet_trace_says_so(project):
    project("trace", "fig.txt", code=2)
    assert "nothing has been run here yet" in project.talk


@pytest.mark.parametrize(
    "words", [("--json", "--format", "dot"), ("--down", "--format", "prov"), ("--diff", "last", "--down")]
)
def test_options_that_contradict_each_other_are_refused(paper, words):
    paper("trace", "fig.txt", *words, code=2)
    assert "error[usage]" in paper.talk


def test_dot_and_mermaid_name_tasks_and_sources(paper):
    assert '[label="data/raw.csv\\n◦ source"' in paper("trace", "fig.txt", "--format", "dot")
    text = paper("trace", "fig.txt", "--format", "mermaid", "-o", "g.mmd")
    assert text == ""
    assert (paper.folder / "g.mmd").read_text().startswith("flowchart LR\n")


def test_folders_that_tasks_make_and_read_join_the_lineage(project):
    project.write(
        "sflow.py",
        "import scriptflow as sf\n"
        "async def flow_f():\n"
        "    await sf.Task('sh -c \"mkdir -p parts; echo 1 > parts/a; echo 2 > parts/b\"', "
        "outputs=sf.directory('parts'), name='split')\n"
        "    await sf.Task('cp parts/a one.txt', inputs='parts/a', outputs='one.txt', name='one')\n"
        "    await sf.Task('sh -c \"cat parts/* > all.txt\"', inputs=sf.directory('parts'), "
        "outputs='all.txt', name='all')\n",
    )
    project("run", "-q")
    for name in ("one.txt", "all.txt"):
        inner = json.loads(project("trace", name, "--json"))["made_by"]["inputs"][0]
        assert inner["made_by"]["task"] == "split", name
    assert json.loads(project("trace", "parts/b", "--json"))["made_by"]["task"] == "split"
    assert {user["task"] for user in json.loads(project("trace", "--down", "split", "--json"))["used_by"]} == {
        "one",
        "all",
    }


# --- large and odd stores ------------------------------------------------------------------------


@pytest.fixture
def head(project):
    from filling import Head

    head = Head(project.folder)
    yield head
    head.store.close()


def seen(project, name, role):
    return Seen(path=f"{project.folder}/{name}", role=role, size=1, mtime_ns=5, ctime_ns=5, inode=1)


def chain(project, head, length):
    """Record tasks that each read what the one before made."""
    head.begin("chain")
    for number in range(length):
        start = head.start(
            f"t{number}",
            inputs=[seen(project, f"f{number}", "in")],
            outputs=[f"{project.folder}/f{number + 1}"],
            log=None,
        )
        head.end(start, outputs=[seen(project, f"f{number + 1}", "out")])
    head.finish(ran=length)


def test_a_chain_longer_than_any_screen_or_parser_bears_is_cut_and_said(project, head):
    chain(project, head, 400)
    found = json.loads(project("trace", "f400", "--json"))
    depth = 0
    at = found["made_by"]
    while at["inputs"]:
        at = at["inputs"][0]["made_by"]
        depth += 1
    assert at["deeper"] is True
    assert depth == 151
    assert "and what it read" in project("trace", "f400")
    assert len(project("trace", "f400", "--format", "mermaid", "--all").splitlines()) > 400
    limited = project("trace", "f400", "--limit", "10", "--format", "dot")
    assert "showing 10 tasks, there are more" in project.talk
    assert limited.count("->") == 10


def test_a_job_read_what_was_made_before_it_and_not_what_came_later(project, head):
    head.begin("demo")
    head.did("make", command=("one",), inputs=[seen(project, "raw", "in")], outputs=[f"{project.folder}/a"])
    use = head.start("use", inputs=[seen(project, "a", "in")], outputs=[f"{project.folder}/b"])
    head.end(use, outputs=[seen(project, "b", "out")])
    head.did("make", command=("two",), inputs=[seen(project, "raw", "in")], outputs=[f"{project.folder}/a"])
    head.fail(head.start("make", command=("three",), inputs=[], outputs=[f"{project.folder}/a"]))
    head.finish(ran=2)
    assert json.loads(project("trace", "b", "--json"))["made_by"]["inputs"][0]["made_by"]["command"] == "one"
    assert json.loads(project("trace", "a", "--json"))["made_by"]["command"] == "two"
    with StoreReader(project.folder / ".scriptflow", relative=True) as reader:
        first = lineage.down(reader, [1])
        assert [step.job.task for step in first.steps.values()] == ["make", "use"]
        assert [step.job.job for step in lineage.down(reader, [3]).steps.values()] == [3]


def test_names_of_control_signs_and_stray_bytes_do_no_harm(project, head):
    head.begin("odd")
    name = "evil\x1b[31m\u202e\udcff"
    start = head.start(name, inputs=[seen(project, "in\udcff\n", "in")], outputs=[f"{project.folder}/out"])
    head.end(start, outputs=[seen(project, "out", "out")])
    head.finish(ran=1)
    for form in ("tree", "json", "dot", "mermaid", "prov", "rocrate"):
        assert "\x1b" not in project("trace", "out", "--format", form)
