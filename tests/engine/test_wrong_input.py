"""Input that nobody wished for: stray bytes, odd names, thousands of files, folders that are read-only or gone."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from places import PYTHON

import scriptflow as sf
from scriptflow import errors
from scriptflow.store.reader import StoreReader

# Names that a file can have on Linux; "%" and braces are signs of our own templates, "-" begins an option.
NAMES = {
    "space": "a b  c", "leading space": " a", "trailing space": "a ", "single quote": "it's", "double quote": 'say "x"',
    "newline": "two\nlines", "tab": "a\tb", "carriage return": "a\rb", "escape": "a\x1b[31mred", "dash": "-rf",
    "two dashes": "--force", "lone dash": "-", "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "percent": "100%s%d%%", "brace": "{output}", "other brace": "{x}{0}{}", "dollar": "$HOME$(id)`id`", "star": "*",
    "question": "a?b[c]", "semicolon": "a;b&c|d>e<f", "backslash": "a\\nb\\", "tilde": "~", "hash": "#a", "bang": "!a",
    "dot": ".hidden", "equals": "A=b", "colon": "group:x", "state": "state:failed", "comma": "a,b", "rtl": "\u202eabc",
    "combining": "e\u0301", "wide": "\u65e5\u672c\u8a9e", "markup": "[bold red]x[b]", "last": "last~1",
    "control": "\x01\x7f", "partial": "a.partial.txt", "ours": ".scriptflow-x", "long": "x" * 240,
    "long wide": "\u65e5" * 80,
}  # fmt: skip
STRAY = os.fsdecode(b"stray\xff\xfe")  # no valid UTF-8


COPY_ALL = """
    import os
    import scriptflow as sf
    async def flow_demo():
        await sf.bag([
            sf.Task(["sh", "-c", 'printf "log of %s\\n" "$0"; cp -- "in/$0" "out/$0"', name],
                    inputs="in/" + name, outputs="out/" + name, name=name) for name in sorted(os.listdir("in"))
        ])
"""


def raw(here, *words):
    """Return what a command that must end well prints on stdout, as bytes: logs are passed on as they are."""
    return subprocess.run([PYTHON, "-m", "scriptflow", *words], cwd=here.folder, env=here.env, check=True, timeout=15,
                          stdin=subprocess.DEVNULL, capture_output=True).stdout  # fmt: skip


@pytest.fixture
def hostile(here):
    """A project with a source of each name."""
    for folder in ("in", "out"):
        (here / folder).mkdir()
    for name in (*NAMES.values(), STRAY):
        (here / "in" / name).write_text("body")
    here.write(COPY_ALL)
    return here


@pytest.mark.timeout(30)
def test_hostile_names_go_from_end_to_end(hostile):
    """Of inputs, outputs and tasks: through command line, command, store, logs and answers."""
    here, names = hostile, sorted([*NAMES.values(), STRAY])
    plan = json.loads(here.cli(None, "plan", "--json").stdout)
    assert sorted(task["task"] for task in plan["would_run"]) == names
    done = here.cli(None, "run")
    assert "Traceback" not in done.stderr
    assert "\x1b[31m" not in done.stderr
    assert sorted(os.listdir(here / "out")) == names
    assert all((here / "out" / name).read_text() == "body" for name in names)
    assert json.loads(here.cli(None, "run", "--json").stdout)["skipped"] == len(names)
    with StoreReader(here / ".scriptflow", relative=True) as store:
        for name in names:
            job = store.last_job(name)
            assert job.task == name
            assert {(seen.role, seen.path) for seen in job.files} == {("in", "in/" + name), ("out", "out/" + name)}
            assert Path(job.log).read_bytes() == b"log of " + os.fsencode(name) + b"\n"
            assert Path(job.log).resolve().is_relative_to((here / ".scriptflow/logs").resolve())
    for name in names:
        os.truncate(here / "out" / name, 0)
    events = [json.loads(line) for line in here.cli(None, "run", "--events", "-", "-q").stdout.splitlines()]
    queued = {event["task"]: event["reasons"][0]["code"] for event in events if event["event"] == "TaskQueued"}
    assert queued == dict.fromkeys(names, "outputs-changed")
    json.loads(here.cli(None, "show", "--json").stdout)
    for words in (["show"], ["status"], ["plan"], ["list"]):
        assert "\x1b[31m" not in here.cli(None, *words).stdout


@pytest.mark.timeout(30)
def test_hostile_names_can_be_asked_for(hostile):
    here = hostile
    here.cli(None, "run")
    for kind in ("space", "newline", "dash", "two dashes", "emoji", "percent", "dollar", "backslash", "long", "markup",
                 "stray"):  # fmt: skip
        name = NAMES.get(kind, STRAY)
        words = ["--", name] if name.startswith("-") else [name]
        shown = here.cli(None, "show", "--json", *words).stdout
        assert name in shown or json.dumps(name)[1:-1] in shown
        assert b"log of " + os.fsencode(name) in raw(here, "logs", *words)


@pytest.mark.parametrize("kind", ["newline", "dash", "percent", "escape", "markup", "stray bytes"])
def test_a_hostile_name_of_a_task_that_fails_is_told_safely(here, kind):
    name = NAMES.get(kind, STRAY)
    text = f"""
        import scriptflow as sf
        NAME = {name!r}
        async def flow_demo():
            await sf.Task(["sh", "-c", 'echo "$0" >&2; exit 3', NAME], outputs=NAME, name=NAME)
    """
    done = here.cli(text, "run", "--progress", "plain", code=1)
    assert "Traceback" not in done.stderr
    assert "\x1b[31m" not in done.stderr
    document = json.loads(here.cli(None, "run", "--json", code=1).stdout)
    assert [failure["task"] for failure in document["failures"]] == [name]
    assert os.fsencode(name) in raw(here, "logs")
    here.cli(None, "show")
    here.cli(None, "show", "--json")


def test_a_glob_finds_names_of_every_kind(here):
    (here / "in").mkdir()
    names = [name for name in (*NAMES.values(), STRAY) if not name.startswith(".")]
    for name in names:
        (here / "in" / name).write_text("x")

    async def flow():
        await sf.Task("cat {inputs} > all", inputs=sf.glob("in/*"), outputs="all", shell=True)
        await sf.Task(["sh", "-c", "ls -A in | wc -l > count"], inputs=sf.directory("in"), outputs="count")

    assert here.good(flow).ran == 2
    assert (here / "all").read_text() == "x" * len(names)
    assert here.good(flow).skipped == 2


def test_a_project_in_a_folder_of_a_hostile_name(here):
    for name in ("a b", "it's", "new\nline", "100%s", "-rf", "[x]", STRAY, "x" * 200):
        folder = here / name
        folder.mkdir()
        (folder / "sflow.py").write_text(
            "import scriptflow as sf\nasync def flow_demo():\n"
            "    await sf.Task('cp {inputs} {output}', inputs=sf.glob('*.txt'), outputs='o', shell=True)\n"
        )
        (folder / "a.txt").write_text("a")
        child = here.popen(PYTHON, "-m", "scriptflow", "-C", "./" + name, "run", "--json")
        out = here.end_of(child, code=0).stdout
        assert json.loads(out)["ran"] == 1
        assert (folder / "o").read_text() == "a"


@pytest.mark.parametrize("text", ["a\\0b", "\\udc80\\ud800"], ids=["nul", "surrogate"])
@pytest.mark.parametrize("where", ["cmd", "outputs", "inputs", "name", "env", "cwd"])
def test_what_no_file_and_no_word_can_be_is_a_clear_error(here, text, where):
    script = f"""
        import scriptflow as sf
        async def flow():
            given = {{"cmd": ["true", "{text}"], "outputs": "{text}", "inputs": "{text}", "name": "{text}",
                     "env": {{"A": "{text}"}}, "cwd": "{text}"}}
            await sf.Task(**({{"cmd": ["true"]}} | {{"{where}": given["{where}"]}}))
        try:
            sf.run(flow).value
        except sf.ScriptflowError as error:
            print("told")
        else:
            print("{where}")
    """
    done = here.script(script, limit=8)
    assert done.stdout == "told\n" or (where == "name" and done.stdout == "name\n")
    assert "Traceback" not in done.stderr


def test_a_name_that_is_too_long_is_a_clear_error(here):
    async def flow():
        await sf.Task(["touch", "o"], outputs="y" * 300)

    result = here.run(flow)
    assert isinstance(result.error, sf.ScriptflowError)
    assert "y" * 50 in str(result.error)


# --- output of jobs -----------------------------------------------------------------------------


def test_output_that_is_no_text_is_kept_and_shown_safely(here):
    text = r"""
        import scriptflow as sf
        async def flow_demo():
            await sf.Task("printf '\\377\\376 caf\\351 \\033[2J\\033]0;title\\007 \\000 \\200\\n'; exit 3",
                          shell=True, name="odd")
    """
    done = here.cli(text, "run", code=1)
    assert "Traceback" not in done.stderr
    assert "caf" in done.stderr
    assert "\x1b[2J" not in done.stderr
    assert "\x1b]0;" not in done.stderr
    document = json.loads(here.cli(None, "run", "--json", code=1).stdout)
    log = Path(document["failures"][0]["log"])
    assert log.read_bytes() == b"\xff\xfe caf\xe9 \x1b[2J\x1b]0;title\x07 \x00 \x80\n"
    assert b"\xff\xfe caf\xe9" in raw(here, "logs")
    json.loads(here.cli(None, "logs", "--json").stdout)
    for line in here.cli(None, "run", "--events", "-", "-q", code=1).stdout.splitlines():
        json.loads(line)


def test_a_log_of_one_endless_line_is_told_in_few_words(here):
    async def flow():
        await sf.Task(["sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' x; exit 3"], name="t")

    error = here.run(flow).error
    assert isinstance(error, sf.TaskFailed)
    assert os.path.getsize(error.log) == 30_000_000
    assert sum(map(len, error.tail)) < 100_000


def test_a_c_locale_and_an_ascii_terminal_do_not_break_a_run(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            await sf.Task(["sh", "-c", "echo caf\\u00e9; exit 3"], outputs="caf\\u00e9", name="caf\\u00e9")
    """
    done = here.cli(text, "run", code=1, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert "Traceback" not in done.stderr
    assert "caf" in done.stderr
    here.cli(None, "show", LC_ALL="C", PYTHONIOENCODING="ascii")


def test_a_closed_stderr_and_a_full_one_do_not_break_a_run(here):
    here.write("""
        import scriptflow as sf
        async def flow_demo():
            await sf.bag([sf.Task(["touch", f"o{n}"], outputs=f"o{n}") for n in range(30)])
    """)  # fmt: skip
    for number, redirect in enumerate(("2>&-", "2>/dev/full", ">&- 2>&-", "<&-", "2>&1 | true")):
        for path in here.folder.glob("o*"):
            path.unlink()
        child = here.popen("sh", "-c", f"{PYTHON} -m scriptflow run {redirect}")
        child.communicate(timeout=15)
        assert len(list(here.folder.glob("o*"))) == 30, (number, redirect)


# --- many ---------------------------------------------------------------------------------------


def test_a_task_with_10_000_inputs(here):
    (here / "in").mkdir()
    names = [f"in/{n:05}" for n in range(10_000)]
    for name in names:
        (here / name).write_text("x")

    async def flow(names, *, extra=0):
        await sf.Task(["sh", "-c", "cat in/* | wc -c > out"], inputs=names[: len(names) - extra], outputs="out")

    assert here.good(flow, names=names).ran == 1
    assert (here / "out").read_text().split() == ["10000"]
    assert here.good(flow, names=names).skipped == 1
    assert here.plan(flow, names=names).would_run == ()
    (here / names[7777]).write_text("xx")
    here.good(flow, names=names)
    assert here.told.reasons["out"] == (("input-changed", "in/07777: size 1 -> 2"),)
    here.good(flow, names=names, extra=5000)
    ((code, detail),) = here.told.reasons["out"]
    assert code == "inputs-changed"
    assert len(detail) < 500
    with StoreReader(here / ".scriptflow") as store:
        assert len(store.last_job("out").files) == 5001


def test_a_command_with_10_000_inputs_filled_in_works_or_says_how(here):
    (here / "in").mkdir()
    for n in range(10_000):
        (here / f"in/{n:05}").write_text("x")

    async def flow(shell):
        await sf.Task("cat {inputs} > out" if shell else "cp {inputs} d", shell=shell, inputs=sf.glob("in/*"),
                      outputs="out" if shell else sf.directory("d"), name="t")  # fmt: skip

    here.good(flow, shell=False)
    assert len(os.listdir(here / "d")) == 10_000
    result = here.run(flow, shell=True)  # one word of a command may have 128 KB
    if result.error is None:
        assert (here / "out").stat().st_size == 10_000
    else:
        assert "longer" in str(result.error)
        assert len(str(result.error)) < 5000


def test_a_task_with_2_000_outputs_of_which_one_is_missing(here):
    async def flow():
        await sf.Task(["sh", "-c", "for n in $(seq 0 1998); do : > o$n; done"], outputs=[f"o{n}" for n in range(2000)])

    error = here.run(flow).error
    assert type(error) is sf.OutputMissing
    assert "o1999" in error.what
    assert not list(here.folder.glob("o*"))
    assert not list(here.folder.glob(".o*"))


# --- places that cannot be written, or are gone ---------------------------------------------------


NOBODY = 65534


def as_nobody(here, *words, code):
    """Run scriptflow as a user without rights in the folder."""
    argv = [PYTHON, "-m", "scriptflow", *words]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not there")
        argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]
        for parent in here.folder.parents:
            if parent == Path("/tmp"):
                break
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    return here.end_of(here.popen(*argv, HOME="/nonexistent"), code=code)


READ_ONLY = """
    import scriptflow as sf
    async def flow_demo():
        await sf.Task("touch a", outputs="a")
        await sf.Task("cp a b", inputs="a", outputs="b")
"""


@pytest.fixture
def read_only(here):
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("setpriv is not there")
    yield here
    for path in (here.folder, *here.folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def usable(here):
    """Whether another user can read this interpreter at all."""
    child = here.popen("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", PYTHON, "-c",
                       "import scriptflow", HOME="/nonexistent")  # fmt: skip
    return os.geteuid() != 0 or child.wait(15) == 0


def test_a_folder_that_cannot_be_written_is_exit_2_and_says_so(read_only):
    here = read_only
    here.write(READ_ONLY)
    here.folder.chmod(0o555)
    if not usable(here):
        pytest.skip("the interpreter is not for everyone")
    done = as_nobody(here, "run", code=2)
    assert "store-unwritable" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(os.listdir(here.folder)) == 1
    planned = as_nobody(here, "plan", "--json", code=0)
    assert [task["task"] for task in json.loads(planned.stdout)["would_run"]] == ["a", "b"]


def test_a_finished_project_that_cannot_be_written_can_be_read(read_only):
    here = read_only
    here.cli(READ_ONLY, "run")
    for path in (here.folder, *here.folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if not usable(here):
        pytest.skip("the interpreter is not for everyone")
    assert json.loads(as_nobody(here, "plan", "--json", code=0).stdout) == {
        "schema": 1, "flow": "demo", "would_run": [], "up_to_date": 2, "complete": True,
    }  # fmt: skip
    assert json.loads(as_nobody(here, "runs", "--json", code=0).stdout)[0]["status"] == "succeeded"
    for words in (["show"], ["status"], ["show", "a"], ["logs", "a"], ["list"]):
        assert "Traceback" not in as_nobody(here, *words, code=0).stderr
    done = as_nobody(here, "run", code=2)
    assert "store-unwritable" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_is_not_for_us_is_said_so(read_only):
    here = read_only
    here.cli(READ_ONLY, "run")
    if not usable(here) or os.geteuid() != 0:
        pytest.skip("needs two users")
    here.folder.chmod(0o777)
    for words in (["run"], ["plan"], ["show"], ["runs"], ["logs"], ["status"]):
        child = here.popen("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", PYTHON, "-m",
                           "scriptflow", *words, HOME="/nonexistent")  # fmt: skip
        _, err = child.communicate(timeout=15)
        assert child.returncode in (1, 2), (words, err)
        assert "Traceback" not in err
        assert ".scriptflow" in err


def test_an_output_in_a_folder_that_cannot_be_written_fails_its_task_alone(here):
    async def flow():
        await sf.bag(
            sf.Task("touch /proc/nothing/here", outputs="/proc/nothing/here", name="proc"),
            sf.Task("touch sflow.py/x", outputs="sflow.py/x", name="below a file"),
            sf.Task("touch a", outputs="a"),
        )  # fmt: skip

    result = here.run(flow)
    assert (result.ran, result.failed) == (1, 2)
    assert isinstance(result.error, sf.TasksFailed)
    assert {failure.task for failure in result.error.failures} == {"proc", "below a file"}
    assert all("cannot be written" in failure.what for failure in result.error.failures)


@pytest.mark.parametrize("when", ["the jobs run", "nothing runs yet"])
def test_the_folder_deleted_while_running_ends_the_run_with_a_clear_error(here, when):
    folder = here / "project"
    folder.mkdir()
    (folder / "sflow.py").write_text(f"""
import scriptflow as sf
async def flow_demo():
    if {when == "nothing runs yet"}:
        await sf.Task("touch zero", outputs="zero")
        open("../up", "w").write("x")
        import os, asyncio
        while not os.path.exists({str(here / "go")!r}):
            await asyncio.sleep(0.01)
    script = "echo x > $1; until [ -e $0 ]; do sleep 0.01; done; echo > o$2"
    await sf.bag([sf.Task(["sh", "-c", script, {str(here / "go")!r}, {str(here / "up")!r}, str(n)], outputs=f"o{{n}}")
                  for n in range(6)])
""")
    child = here.popen(PYTHON, "-m", "scriptflow", "-C", str(folder), "run", "-j", "2")
    here.appears("up", process=child)
    shutil.rmtree(folder)
    (here / "go").touch()
    _, err = child.communicate(timeout=20)
    assert child.returncode in (1, 2), err
    assert "Traceback" not in err
    assert "moved or removed" in err or "No such file" in err or "cannot be written" in err
    assert not folder.exists() or not list(folder.glob("o*"))


def test_the_store_deleted_while_running_ends_the_run_with_a_clear_error(here):
    text = """
        import scriptflow as sf
        async def flow_demo():
            await sf.bag([sf.Task(["sh", "-c", "echo x > up; until [ -e go ]; do sleep 0.01; done; echo > $0", f"o{n}"],
                          outputs=f"o{n}") for n in range(6)])
    """
    child = here.start(text, "-j", "2")
    here.appears("up", process=child)
    shutil.rmtree(here / ".scriptflow")
    (here / "go").touch()
    _, err = child.communicate(timeout=20)
    assert child.returncode == 1, err
    assert "Traceback" not in err
    assert "moved or removed" in err
    assert json.loads(here.cli(None, "run", "--json").stdout)["status"] == "succeeded"
    assert all((here / f"o{n}").exists() for n in range(6))


def test_a_flow_that_changes_the_folder_it_works_in_keeps_its_paths(here):
    text = """
        import os
        import scriptflow as sf
        async def flow_demo():
            os.makedirs("sub", exist_ok=True)
            os.chdir("sub")
            await sf.Task("touch a", outputs="a")
            await sf.Task("cp {input} {output}", inputs="a", outputs="b")
            os.chdir("/")
            await sf.Task("cp b c", inputs=sf.glob("b*"), outputs="c")
    """
    assert json.loads(here.cli(text, "run", "--json").stdout)["ran"] == 3
    assert json.loads(here.cli(None, "run", "--json").stdout)["skipped"] == 3
    assert (here / "c").exists()


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_an_output_that_is_no_file_is_refused_and_left_alone(here, kind):
    """What a system needs may be named by mistake: ``outputs="/dev/null"``. The device here is one of our own."""
    path = here / "odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here.script("import socket; socket.socket(socket.AF_UNIX).bind('odd')")
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices")

    async def flow():
        await sf.Task(["sh", "-c", "echo > ran"], outputs=["odd", "ran"], name="t")

    was = path.lstat()
    for _ in range(2):
        result = here.run(flow)
        assert result.failed == 1
        assert "neither a file nor a folder" in str(result.error)
        assert not (here / "ran").exists()
        assert os.path.lexists(path)
        assert (path.lstat().st_mode, path.lstat().st_ino) == (was.st_mode, was.st_ino)
    assert not (here / ".odd.sf-part").exists()


@pytest.mark.parametrize("young", [True, False])
def test_an_input_that_is_a_fifo_does_not_hang(here, young):
    """Its content cannot be read, so it counts by its times alone."""
    os.mkfifo(here / "in")
    if not young:
        os.utime(here / "in", (1, 1))
    script = """
        import scriptflow as sf
        async def flow():
            await sf.Task(["touch", "out"], inputs="in", outputs="out")
        print(sf.run(flow).ran)
    """
    assert here.script(script, limit=6).stdout == "1\n"


def test_an_input_that_cannot_be_read_is_no_hang_and_no_crash(here):
    (here / "loop").symlink_to("loop")

    async def flow(name):
        await sf.Task(["touch", "out"], inputs=name, outputs="out")

    assert type(here.run(flow, name="loop").error) is sf.InputMissing
    assert type(here.run(flow, name="sflow.py/x").error) is sf.InputMissing


def test_links_to_files_and_folders_are_followed(here):
    (here / "real").mkdir()
    (here / "real/a").write_text("1")
    (here / "link").symlink_to("real")
    (here / "file").symlink_to("real/a")

    async def flow():
        await sf.Task(
            "cat link/a file > out", shell=True, inputs=["link/a", "file", sf.directory("link")], outputs="out"
        )

    here.good(flow)
    assert here.good(flow).skipped == 1
    (here / "real/a").write_text("22")
    here.good(flow)
    assert set(here.told.codes("out")) == {"input-changed"}


def test_an_output_that_is_a_link_is_replaced_and_what_it_points_to_is_left_alone(here):
    (here / "elsewhere").write_text("precious")
    (here / "out").symlink_to("elsewhere")
    os.utime(here / "elsewhere", (1, 1))
    (here / "in").write_text("in")

    async def flow(code):
        await sf.Task(["sh", "-c", f"cp in out; exit {code}"], inputs="in", outputs="out", name="t")

    here.run(flow, code=1)
    assert (here / "elsewhere").read_text() == "precious"
    here.good(flow, code=0)
    assert (here / "elsewhere").read_text() == "precious"
    assert (here / "out").read_text() == "in"


def test_a_full_disk_of_outputs_is_the_job_s_failure(here):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")

    async def flow():
        await sf.Task(["sh", "-c", "echo x > /dev/full && touch out"], outputs="out", name="t")

    error = here.run(flow).error
    assert isinstance(error, sf.TaskFailed)
    assert error.tail


def test_an_executor_that_is_not_there_is_a_clear_error(here):
    async def flow():
        await sf.Task("true")

    error = here.run(flow, settings={"executors": {"slrum": {}}}).error
    assert isinstance(error, errors.ScriptflowError)
    assert "slrum" in str(error)
