"""A flow here, its jobs on a cluster behind ssh, no common disk: real sshd with a real Slurm, and with scripted PBS."""

import os
import signal
import subprocess
import sys

import pytest
from beds import QUICK, on_slurm
from farflow import FarFlow, LoginNode, error_text, inodes, with_sshd

from scriptflow.hpc.pbs import PbsExecutor
from scriptflow.hpc.slurm import SlurmExecutor
from scriptflow.testing.contract import ExecutorContract

pytestmark = with_sshd

COPIES = """
import scriptflow as sf

async def flow_demo():
    text = 'cat in.txt folder/*/* >"out/o 1"; mkdir -p made/deep; echo x >"made/deep/y"; : >made/empty; echo said'
    first = sf.Task(text, shell=True, inputs=["in.txt", sf.directory("folder")],
                    outputs=["out/o 1", sf.directory("made")], name="first")
    await sf.Task("cat {inputs[0]} >last; pwd >>last", shell=True, inputs=first, outputs="last", name="last")
"""


@pytest.fixture
def login(tmp_path):
    node = LoginNode(tmp_path)
    yield node
    node.stop()


@pytest.fixture(
    params=[
        pytest.param(("slurm", ""), marks=[pytest.mark.slurm, on_slurm], id="slurm"),
        pytest.param(("pbs", ""), id="pbs"),
        pytest.param(("pbs", 'transport = "openssh"\n'), id="pbs-openssh"),
    ]
)
def make(request, tmp_path, login):
    """Make a flow whose jobs run behind ssh."""
    kind, more = request.param
    if kind == "pbs":
        request.getfixturevalue("tools")
    with login.config.open("a") as file:
        file.write(f"  ControlPath {tmp_path}/control\n")
    words = ["-F", str(login.config), "-O", "exit", "testbed"]
    yield lambda **changes: FarFlow(
        tmp_path / "project", kind, login, tmp_path / "far side", **{"more": more, **changes}
    )
    subprocess.run(["ssh", *words], capture_output=True, check=False)


@pytest.fixture
def pbs_flow(tools, tmp_path, login):
    return lambda **changes: FarFlow(tmp_path / "project", "pbs", login, tmp_path / "far side", **changes)


def copies(make):
    flow = make(flow=COPIES)
    flow.write("in.txt", "in\n")
    (flow.folder / "folder" / "a b").mkdir(parents=True)
    flow.write("folder/a b/'$x\n.txt", "hostile\n")
    flow.write("folder/a b/gone", "gone\n")
    return flow


def test_inputs_go_there_and_outputs_and_logs_come_back(make):
    flow = copies(make)
    flow.run()
    assert (flow.folder / "last").read_text() == f"in\nhostile\ngone\n{flow.far}\n"
    assert (flow.folder / "made/deep/y").read_text() == "x\n"
    assert (flow.folder / "made/empty").exists()
    assert (flow.folder / ".scriptflow/logs/demo-1/first.1.log").read_text() == "said\n"
    assert "2 up to date" in flow.run()


def test_only_what_changed_is_copied(make):
    flow = copies(make)
    flow.run()
    before = inodes(flow.far)
    flow.write("in.txt", "other input\n")
    (flow.folder / "folder/a b/gone").unlink()
    flow.run()
    after = inodes(flow.far)
    assert (flow.folder / "last").read_text() == f"other input\nhostile\n{flow.far}\n"
    assert after["in.txt"] != before["in.txt"]
    assert after["folder/a b/'$x\n.txt"] == before["folder/a b/'$x\n.txt"]
    assert "folder/a b/gone" not in after


def test_output_is_not_sent_back_as_an_input(make):
    flow = copies(make)
    flow.run()
    before = inodes(flow.far)["out/o 1"]
    (flow.folder / "last").unlink()
    flow.run()
    assert inodes(flow.far)["out/o 1"] == before


def test_killed_head_leaves_jobs_that_the_next_run_joins(make):
    flow = make()
    head = flow.start()
    flow.wait_for("ran-0", "ran-1", "ran-2")
    flow.kill(head)
    flow.go()
    out = flow.run()
    assert flow.times_run() == [1, 1, 1]
    assert flow.jobs() == [("demo-1", 1, "succeeded")] * 3, out
    assert [(flow.folder / f"out-{number}").read_text() for number in range(3)] == ["input\n"] * 3
    assert "up to date" in flow.run()


def test_head_killed_amid_a_submission_finds_its_job(pbs_flow, login, tools):
    flow = pbs_flow()
    # The command takes the job, and its answer never arrives.
    real = tools.commands / "real-qsub"
    (tools.commands / "qsub").rename(real)
    (tools.commands / "qsub").write_text(
        f'#!/bin/sh\ncase $1 in --version) exec {real} "$@" ;; esac\n'
        f'{real} "$@" >/dev/null; touch "{flow.far}/sent"; sleep 60\n'
    )
    (tools.commands / "qsub").chmod(0o755)
    head = flow.start()
    flow.wait_for("sent")
    flow.kill(head)
    login.break_links()
    real.replace(tools.commands / "qsub")
    flow.go()
    flow.run()
    assert flow.times_run() == [1, 1, 1]
    assert flow.jobs() == [("demo-1", 1, "succeeded")] * 3


def test_link_that_drops_loses_no_job(make, login):
    flow = make()
    head = flow.start()
    flow.wait_for("ran-0", "ran-1", "ran-2")
    login.break_links()
    flow.go()
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 0, out
    assert flow.times_run() == [1, 1, 1]
    assert flow.jobs() == [("demo-1", 1, "succeeded")] * 3


def test_login_node_that_is_down_for_a_while_loses_no_job(make, login):
    flow = make()
    head = flow.start()
    flow.wait_for("ran-0", "ran-1", "ran-2")
    login.stop(broken=True)
    flow.go()
    line = ""
    while "does not answer" not in line:
        line = head.stdout.readline()
        assert line
    login.start()
    out = head.communicate(timeout=90)[0]
    assert head.returncode == 0, out
    assert flow.times_run() == [1, 1, 1]


def test_log_can_be_followed_while_the_job_runs(make):
    flow = make(
        flow="""
import scriptflow as sf

async def flow_demo():
    await sf.Task("echo first; until [ -e go ]; do sleep 0.05; done; echo last", shell=True, name="t")
"""
    )
    head = flow.start()
    log = flow.folder / ".scriptflow/logs/demo-1/t.1.log"
    flow.until(lambda: log.exists() and log.read_text() == "first\n")
    flow.go()
    assert head.wait(60) == 0
    assert log.read_text() == "first\nlast\n"


def test_old_output_there_is_not_taken_for_a_new_one(make):
    text = """
import scriptflow as sf

async def flow_demo():
    await sf.Task("[ -e stop ] || echo made >out", shell=True, inputs="in", outputs="out", name="t")
"""
    flow = make(flow=text)
    flow.write("scriptflow.toml", 'latency_wait = "0.2s"\n' + (flow.folder / "scriptflow.toml").read_text())
    flow.run()
    flow.write("in", "changed\n")
    (flow.far / "stop").touch()
    assert "it left no out" in flow.run(code=1)


def test_file_changed_in_place_goes_there_and_comes_back(make):
    text = """
import scriptflow as sf

async def flow_demo():
    await sf.Task("cat in >>notes", shell=True, inputs="in", outputs="notes", update_in_place=True, name="t")
"""
    flow = make(flow=text)
    flow.write("notes", "by hand\n")
    os.utime(flow.folder / "notes", (10**9, 10**9))
    flow.run()
    assert (flow.folder / "notes").read_text() == "by hand\ninput\n"


@pytest.mark.parametrize("time", ["2001-01-01", "2099-01-01"])
def test_clock_there_does_not_matter(make, time):
    text = f"""
import scriptflow as sf

async def flow_demo():
    first = sf.Task("cat in >a; touch -d {time} a", shell=True, inputs="in", outputs="a", name="first")
    await sf.Task("cat a >b; touch -d {time} b", shell=True, inputs=first, outputs="b", name="second")
"""
    flow = make(flow=text)
    flow.run()
    assert "2 up to date" in flow.run()
    flow.write("in", "new\n")
    flow.run()
    assert (flow.folder / "b").read_text() == "new\n"


def test_failed_job_leaves_its_log_and_no_output(make):
    flow = make(
        flow="""
import scriptflow as sf

async def flow_demo():
    await sf.Task("echo half >out; echo sorry; exit 7", shell=True, outputs="out", name="t")
"""
    )
    out = flow.run(code=1)
    assert "exit 7" in error_text(out)
    assert "sorry" in out
    assert not (flow.folder / "out").exists()


def test_interrupt_cancels_the_jobs_there(make):
    flow = make()
    head = flow.start()
    flow.wait_for("ran-0", "ran-1", "ran-2")
    head.send_signal(signal.SIGINT)
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 130, out
    assert {state for _, _, state in flow.jobs()} == {"cancelled"}


def test_greeting_of_the_login_shell_confuses_nobody(make, login):
    login.greet("Welcome-to-4711")
    flow = make()
    flow.go()
    flow.run()
    assert flow.times_run() == [1, 1, 1]


def test_missing_folder_there_is_told(pbs_flow):
    flow = pbs_flow()
    flow.far.rmdir()
    out = error_text(flow.run(code=1))
    assert f"there is no folder {flow.far} on testbed" in out


def test_full_disk_there_is_told(pbs_flow):
    flow = pbs_flow()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", flow.far], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        (flow.folder / "in").write_bytes(os.urandom(1_000_000))
        out = error_text(flow.run(code=1))
        assert "cannot be written on testbed" in out
        assert "No space left on device" in out
    finally:
        subprocess.run(["umount", flow.far], check=True)


def test_input_from_outside_the_folder_is_refused(pbs_flow, tmp_path):
    (tmp_path / "elsewhere").write_text("x")
    flow = pbs_flow(
        flow="""
import scriptflow as sf

async def flow_demo():
    await sf.Task("cat ../elsewhere >out", shell=True, inputs="../elsewhere", outputs="out", name="t")
"""
    )
    assert "lies outside the flow's folder" in error_text(flow.run(code=1))


def test_function_is_refused_where_there_is_no_common_disk(pbs_flow):
    flow = pbs_flow(
        flow="""
import scriptflow as sf

@sf.task
def double(x: int) -> int:
    return 2 * x

async def flow_demo():
    await double.task(2)
"""
    )
    assert "calls a Python function, and testbed has neither" in error_text(flow.run(code=1))


def test_doctor_tries_the_way_there(pbs_flow, login):
    flow = pbs_flow()

    def doctor():
        words = [sys.executable, "-m", "scriptflow", "doctor"]
        done = subprocess.run(words, cwd=flow.folder, capture_output=True, text=True, check=False)
        return error_text(done.stdout + done.stderr)

    out = doctor()
    assert "files testbed:" in out
    assert "is back in" in out
    (login.keys / "authorized").write_text("")
    assert "testbed does not let" in doctor()


def options(login, tmp_path, **more):
    return {
        "host": "testbed", "ssh_config": str(login.config), "shared_filesystem": True,
        "remote_prologue": f"PATH={os.environ['PATH']}", **more,
    }  # fmt: skip


@pytest.mark.slurm
@on_slurm
class TestSlurmOverSsh(ExecutorContract):
    @pytest.fixture(autouse=True)
    def keep_login(self, login):
        self.login = login

    def make_executor(self, tmp_path):
        given = options(self.login, tmp_path)
        return SlurmExecutor(given, folder=str(tmp_path / ".scriptflow"), pace=QUICK)


@pytest.mark.usefixtures("tools")
class TestPbsOverSsh(ExecutorContract):
    @pytest.fixture(autouse=True)
    def keep_login(self, login):
        self.login = login

    def make_executor(self, tmp_path):
        given = options(self.login, tmp_path)
        return PbsExecutor(given, folder=str(tmp_path / ".scriptflow"), pace=QUICK)
