"""What is asked of a cluster job while it is being handed over is done as soon as it has arrived."""

import subprocess
import sys

from clusterflow import ClusterFlow, submit_program


def test_cancel_that_comes_while_the_job_is_being_submitted_ends_it_all_the_same(pbs):
    flow = ClusterFlow(pbs.folder / "project", "pbs")
    flow.shim(
        submit_program("pbs"),
        'case $1 in --version) exec $REAL "$@" ;; esac\n'
        f"cd {flow.folder}; touch asked; for i in $(seq 400); do [ -e answer ] && break; sleep 0.05; done\n"
        'exec $REAL "$@"',
    )
    head = flow.start("--n", "1")
    flow.wait_for("asked")
    cancel = [sys.executable, "-m", "scriptflow", "cancel", "t0"]
    subprocess.run(cancel, cwd=flow.folder, check=True, capture_output=True, timeout=60)
    flow.write("answer", "")
    out = head.communicate(timeout=60)[0]
    assert head.returncode == 1, out
    assert flow.jobs() == [("demo-1", 1, "cancelled")], out
