"""What a job asks for after its task met a limit, a failed node, or others of higher priority."""

import re

import pytest
from clusterflow import ClusterFlow

from scriptflow.core.job import Job, JobReport
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import SettingsError
from scriptflow.hpc.growth import Growth
from scriptflow.hpc.options import Ask, Options
from scriptflow.hpc.sge import SgeExecutor
from scriptflow.hpc.slurm import SlurmExecutor

ASK = Ask(memory_bytes=1000, walltime_s=60.0)


def job(number, attempt=1, key="a"):
    return Job(number=number, run="r-1", task="t", key=key, attempt=attempt, argv=("true",), cwd="/", log="/log")


def ended(cause, host=""):
    return JobReport(state=JobState.FAILED, cause=cause, host=host)


def test_memory_grows_after_it_ran_out_and_walltime_after_that():
    growth = Growth(2.0, 1.5)
    assert growth.asked(job(1), ASK) == ASK
    growth.ended(1, ended(Cause.OUT_OF_MEMORY))
    assert growth.asked(job(2, 2), ASK).memory_bytes == 2000
    growth.ended(2, ended(Cause.OUT_OF_MEMORY))
    assert growth.asked(job(3, 3), ASK).memory_bytes == 4000
    growth.ended(3, ended(Cause.WALLTIME))
    fourth = growth.asked(job(4, 4), ASK)
    assert (fourth.memory_bytes, fourth.walltime_s) == (4000, 90.0)


def test_other_tasks_and_other_ends_ask_for_the_same():
    growth = Growth(2.0, 2.0)
    growth.asked(job(1), ASK)
    growth.ended(1, ended(Cause.OUT_OF_MEMORY))
    assert growth.asked(job(2, key="b"), ASK) == ASK
    growth.ended(2, ended(Cause.EXIT))
    assert growth.asked(job(3, 2, key="b"), ASK) == ASK


def test_tries_after_a_node_failed_stay_away_from_it(tmp_path):
    growth = Growth(1.0, 1.0)
    growth.asked(job(1), ASK)
    growth.ended(1, ended(Cause.NODE_FAILURE, "n7"))
    assert growth.asked(job(2, key="b"), ASK) == ASK
    again = growth.asked(job(3, 2), ASK)
    assert "#SBATCH --exclude=n7" in SlurmExecutor({}, folder=str(tmp_path)).header(again)
    assert "#$ -l hostname=!(n7)" in SgeExecutor({}, folder=str(tmp_path)).header(again)


@pytest.mark.parametrize("value", [0, 0.5, "2", True, 1000])
def test_growth_is_a_factor(value):
    with pytest.raises(SettingsError, match="memory_growth"):
        Options("slurm", {"memory_growth": value})


@pytest.mark.slow
def test_second_try_after_the_walltime_has_more_of_it(pbs):
    text = """
import scriptflow as sf

async def flow_demo():
    await sf.Task("echo >>ran-0; sleep 3; echo >out", shell=True, outputs="out", retries=2, name="t")
"""
    flow = ClusterFlow(pbs.folder / "project", "pbs", text, more='walltime = "1s"\nwalltime_growth = 30')
    flow.run()
    assert [state for _, _, state in flow.jobs()] == ["failed", "succeeded"]
    scripts = [path.read_text() for path in sorted(flow.folder.glob(".scriptflow/jobs/demo-1/*/job.sh"))]
    assert [re.search("walltime=([0-9:]+)", text)[1] for text in scripts] == ["00:00:01", "00:00:30"]
