"""What the user is told of a batch system: refusals, queue, jobs that may wait for ever, the doctor's findings."""

import json
import os
import subprocess
import sys

import pytest
from beds import QUICK
from clusterflow import ClusterFlow

from scriptflow.core.frozen import changed
from scriptflow.errors import ExecutorError, NotFound
from scriptflow.store.reader import StoreReader


def command(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "scriptflow", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def open_jobs(flow):
    try:
        with StoreReader(flow.folder / ".scriptflow") as reader:
            run = reader.find_run()
            return [job for state in ("started", "queued", "running") for job in reader.jobs(run.id, state=state)]
    except NotFound:  # the run has not begun
        return []


def test_refusal_is_told_with_the_command_and_kept(place):
    flow = ClusterFlow(place.folder / "project", place.executor_class.kind, more='queue = "nope"')
    out = flow.run("--n", "1", code=1)
    assert f"not started: {flow.kind} refused the job" in out
    assert "note: command: " in out
    shown = command(flow.folder, "show", "t0").stdout
    assert "command: " in shown
    assert "nope" in shown or "Unknown queue" in shown


def test_job_that_more_memory_than_any_node_has_is_refused_in_slurms_words(slurm):
    flow = ClusterFlow(slurm.folder / "project", "slurm", more='memory = "900GB"')
    assert "Requested node configuration is not available" in flow.run("--n", "1", code=1)


def test_commands_that_are_not_set_up_are_an_error_at_once(slurm, monkeypatch):
    monkeypatch.delenv("SLURM_CONF")
    flow = ClusterFlow(slurm.folder / "project", "slurm")
    assert "Could not establish a configuration source" in flow.run("--n", "1", code=1)


def test_commands_that_are_not_there_are_an_error_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:/usr/sbin")
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sh", "cat", "env", "sed"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    flow = ClusterFlow(tmp_path / "project", "pbs")
    assert "qstat: not found" in flow.run("--n", "1", code=1)


def test_daemon_that_never_answered_is_given_up_after_a_while(pbs, tools):
    tools.fault("down")
    with pytest.raises(ExecutorError, match="has not answered once"):
        pbs.report(pbs.job("true"), pace=changed(QUICK, patience_s=0.5))


def test_daemon_that_is_down_for_a_while_fails_nothing(pbs, tools):
    flow = ClusterFlow(pbs.folder / "project", "pbs")
    head = flow.start("--n", "1")
    flow.wait_for("ran-0")
    tools.fault("down")
    flow.go()
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 0, out


def test_queue_state_and_reason_are_on_record_and_a_doubtful_wait_is_told(pbs):
    flow = ClusterFlow(pbs.folder / "project", "pbs", more='directives = ["-h"]')
    head = flow.start("--n", "1")
    flow.until(lambda: any(job.detail for job in open_jobs(flow)))
    (job,) = open_jobs(flow)
    assert (job.state, job.detail, job.began) == ("queued", "it is held: qrls", None)
    assert f"queued as {job.executor_id}: it is held: qrls" in command(flow.folder, "status").stdout
    head.terminate()
    assert "may wait for ever: it is held: qrls" in head.communicate(timeout=60)[0]
    subprocess.run(["qdel", job.executor_id], check=True)


def test_running_job_has_its_begin_on_record_and_its_wait_apart(pbs):
    flow = ClusterFlow(pbs.folder / "project", "pbs")
    head = flow.start("--n", "1")
    flow.wait_for("ran-0")
    flow.until(lambda: any(job.state == "running" for job in open_jobs(flow)))
    (job,) = open_jobs(flow)
    assert job.began >= job.started
    assert "queue " in command(flow.folder, "show", "t0").stdout
    flow.go()
    assert head.wait(60) == 0
    head.communicate()


def test_joined_jobs_are_in_the_status_of_the_run_that_joined_them(pbs):
    flow = ClusterFlow(pbs.folder / "project", "pbs")
    first = flow.start("--n", "1")
    flow.wait_for("ran-0")
    flow.kill(first)
    second = flow.start("--n", "1")
    flow.until(lambda: "demo-2" in (told := command(flow.folder, "status").stdout) and "t0" in told)
    flow.go()
    assert second.wait(60) == 0


def test_jobs_that_no_node_can_hold_are_named_while_they_wait(slurm):
    text = 'import scriptflow as sf\n\nasync def flow_demo():\n    await sf.Task("true", name="t", cpus=64)\n'
    flow = ClusterFlow(slurm.folder / "project", "slurm", text)
    head = flow.start()
    flow.until(lambda: any(job.detail for job in open_jobs(flow)))
    head.terminate()
    assert "it asks for more than the nodes have" in head.communicate(timeout=60)[0]
    subprocess.run(["scancel", open_jobs(flow)[0].executor_id], check=True)


def test_doctor_runs_a_job_there_and_leaves_nothing(place):
    kind = place.executor_class.kind
    (place.folder / "project").mkdir()
    command(place.folder / "project", "init", "--template", kind)
    before = sorted(os.listdir(place.folder / "project"))
    done = command(place.folder / "project", "doctor", "--json")
    found = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert found[f"executor {kind}"]["state"] == "ok", found
    assert "accounting" in found[f"executor {kind}"]["detail"]
    assert found["a job there"]["state"] == "ok", found
    assert [name for name in os.listdir(place.folder / "project") if name != "__pycache__"] == before


def test_doctor_says_what_is_missing(tmp_path, monkeypatch):
    ClusterFlow(tmp_path, "slurm")
    monkeypatch.setenv("PATH", "/nowhere:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    done = command(tmp_path, "doctor", "--json")
    found = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert found["executor slurm"]["state"] == "failed" or found["a job there"]["state"] == "failed"


def test_template_runs_as_it_is(place):
    folder = place.folder / "project"
    command(place.folder, "init", "project", "--template", place.executor_class.kind)
    done = command(folder, "run")
    assert done.returncode == 0, done.stderr
    assert len((folder / "all.txt").read_text().splitlines()) == 8
