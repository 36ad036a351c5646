"""What real Slurm, Grid Engine and OpenPBS said is understood: recorded answers in, states and causes out."""

import re
import time
from pathlib import Path

import pytest

from scriptflow.core.interfaces import Completed
from scriptflow.core.job import Resources
from scriptflow.core.states import Cause, JobState
from scriptflow.errors import ExecutorError
from scriptflow.hpc.options import Ask
from scriptflow.hpc.pbs import PbsExecutor
from scriptflow.hpc.sge import SgeExecutor
from scriptflow.hpc.slurm import SlurmExecutor
from scriptflow.hpc.truth import verdict

RECORDED = Path(__file__).parent / "recorded"
QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = (
    JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED,
)  # fmt: skip


def said(name):
    """Read a recording as the command's own answer."""
    text = (RECORDED / f"{name}.txt").read_text()
    head, _, rest = text.partition("--- stdout\n")
    out, _, err = rest.partition("--- stderr\n")
    code = int(re.search(r"^# rc: (\d+)", head, re.MULTILINE)[1])
    return Completed(exit_code=code, out=out, err=err)


@pytest.fixture
def slurm(tmp_path):
    return SlurmExecutor({}, folder=str(tmp_path))


@pytest.fixture
def sge(tmp_path):
    return SgeExecutor({}, folder=str(tmp_path))


@pytest.fixture
def pbs(tmp_path):
    return PbsExecutor({}, folder=str(tmp_path))


def squeue(name):
    """Cut a recording to the columns that we ask for."""
    rows = [line.split("|") for line in said(f"slurm/{name}").out.splitlines()]
    return "".join(f"{row[0]}|{row[4]}|n/a|{row[6]}|{row[5]}\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "job_id", "state", "cause"),
    [
        ("squeue-array-pending-r", "42_3", QUEUED, None),
        ("squeue-requeued-pending", "40", QUEUED, None),
        ("squeue-held-user", "35", QUEUED, None),
        ("squeue-oom", "52", FAILED, None),
        ("squeue-timeout", "53", FAILED, Cause.WALLTIME),
        ("squeue-cancelled-running", "28", CANCELLED, Cause.CANCELLED),
        ("squeue-nodecrash", "83", FAILED, Cause.NODE_FAILURE),
        ("squeue-nodecrash", "82", QUEUED, None),
    ],
)
def test_squeue_is_understood(slurm, name, job_id, state, cause):
    sight = slurm.read_states(squeue(name))[job_id]
    assert (sight.state, sight.cause) == (state, cause)


def test_reason_of_a_waiting_job_is_told_in_words(slurm):
    assert "held by its user" in slurm.read_states(squeue("squeue-held-user"))["35"].reason


@pytest.mark.parametrize(
    ("name", "state", "cause", "exit_code", "signal"),
    [
        ("completed", SUCCEEDED, None, None, None),
        ("failed3", FAILED, None, 3, None),
        ("rc137", FAILED, None, 137, None),
        ("segv", FAILED, None, None, 11),
        ("timeout", FAILED, Cause.WALLTIME, None, None),
        ("cancelled-running", CANCELLED, Cause.CANCELLED, None, None),
        ("cgroup-oom-exit5", FAILED, Cause.OUT_OF_MEMORY, None, None),
        ("bad-workdir", FAILED, None, None, None),
    ],
)
def test_scontrol_is_understood(slurm, name, state, cause, exit_code, signal):
    (sight,) = slurm.read_history(said(f"slurm/scontrol-oneliner-{name}").out).values()
    assert (sight.state, sight.cause, sight.exit_code, sight.signal) == (state, cause, exit_code, signal)


def test_scontrol_tells_each_element_of_an_array(slurm):
    sights = slurm.read_history(said("slurm/scontrol-oneliner-array-done").out)
    assert {job_id.partition("_")[2] for job_id in sights} == {str(index) for index in range(1, len(sights) + 1)}


def test_sacct_is_understood_with_the_peak_of_its_batch_step(slurm):
    out = "7|CANCELLED by 1001|0:0||vm|a\n7.batch|CANCELLED|0:15|3324K|vm|batch\n8_2|FAILED|3:0||vm|a\n"
    sights = slurm.read_history(out)
    assert (sights["7"].state, sights["7"].max_rss_bytes) == (CANCELLED, 3324 * 1024)
    assert (sights["8_2"].state, sights["8_2"].exit_code) == (FAILED, 3)


@pytest.mark.parametrize(
    ("name", "transient"),
    [
        ("slurm/slurmctld-down-sbatch", True),
        ("slurm/slurmctld-hung-sbatch", True),
        ("slurm/submit-bad-partition", False),
        ("slurm/submit-too-much-mem", False),
        ("slurm/submit-array-too-big", False),
        ("sge/qmaster-down-qsub", True),
        ("sge/submit-bad-queue", False),
        ("sge/submit-bad-pe", False),
        ("pbs/server-down-qsub", True),
        ("pbs/submit-bad-queue", False),
    ],
)
def test_not_now_is_told_from_no(slurm, sge, pbs, name, transient):
    system = {"slurm": slurm, "sge": sge, "pbs": pbs}[name.partition("/")[0]]
    assert system.is_transient(said(name)) is transient


@pytest.mark.parametrize(
    ("name", "job_id"),
    [
        ("slurm/submit-parsable", "2"),
        ("slurm/submit-array-parsable", "42"),
        ("sge/submit-terse", "2"),
        ("sge/submit-array-terse", "4"),
        ("pbs/submit-ok", "2.pbshost"),
        ("pbs/submit-array-J", "48[].pbshost"),
    ],
)
def test_job_id_is_found_also_after_a_banner(slurm, sge, pbs, name, job_id):
    system = {"slurm": slurm, "sge": sge, "pbs": pbs}[name.partition("/")[0]]
    assert system.read_job_id(said(name).out) == job_id
    assert system.read_job_id("Welcome! 3 nodes are down.\n" + said(name).out) == job_id
    with pytest.raises(ValueError, match="no job id"):
        system.read_job_id("Welcome!\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qstat-xml-running", {"34": RUNNING}),
        ("qstat-xml-array-running", {"47.1": RUNNING, "47.3": QUEUED, "47.5": QUEUED, "47.7": QUEUED}),
        ("qstat-xml-empty", {}),
    ],
)
def test_qstat_xml_is_understood(sge, name, expected):
    assert {job_id: sight.state for job_id, sight in sge.read_states(said(f"sge/{name}").out).items()} == expected


@pytest.mark.parametrize(
    ("name", "state"),
    [("hqw", QUEUED), ("suspended", RUNNING), ("rescheduled", QUEUED), ("Eqw-badwd", QUEUED)],
)
def test_letters_of_grid_engine_are_understood(sge, name, state):
    sights = sge.read_states(said(f"sge/qstat-xml-{name}").out)
    assert [sight.state for sight in sights.values()] == [state]
    assert [sight.stuck for sight in sights.values()] == [name.startswith("E")]


def test_reason_of_the_error_state_is_found(sge):
    assert sge.read_why(said("sge/qstat-j-Eqw-badwd").out).endswith(
        "can't chdir to /nosuch/dir: No such file or directory"
    )


@pytest.mark.parametrize(
    ("name", "state", "cause", "exit_code"),
    [
        ("ok", SUCCEEDED, None, None),
        ("fail3", FAILED, None, 3),
        ("h_rt", FAILED, Cause.WALLTIME, None),
        ("deleted-running", CANCELLED, Cause.CANCELLED, None),
        ("nodecrash", FAILED, Cause.NODE_FAILURE, None),
        ("sigSEGV", FAILED, Cause.SIGNAL, None),
        ("rescheduled", CANCELLED, Cause.CANCELLED, None),
        ("Eqw-badout", FAILED, None, None),
    ],
)
def test_qacct_is_understood(sge, name, state, cause, exit_code):
    sight = list(sge.read_history(said(f"sge/qacct-{name}").out).values())[-1]
    assert (sight.state, sight.cause, sight.exit_code) == (state, cause, exit_code)


def test_qacct_tells_each_element_of_an_array(sge):
    sights = sge.read_history(said("sge/qacct-array").out)
    assert sights
    assert all(re.fullmatch(r"\d+\.\d+", job_id) for job_id in sights)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qstat-running", {"35": RUNNING}),
        ("qstat-held", {"41": QUEUED}),
        ("qstat-empty", {}),
        ("qstat-t-x-array-begun", {"48[]": RUNNING, "48[2]": RUNNING, **{f"48[{n}]": QUEUED for n in range(3, 7)}}),
    ],
)
def test_qstat_table_is_understood(pbs, name, expected):
    assert {job_id: sight.state for job_id, sight in pbs.read_states(said(f"pbs/{name}").out).items()} == expected


@pytest.mark.parametrize(
    ("name", "state", "cause", "exit_code"),
    [
        ("ok", SUCCEEDED, None, None),
        ("fail3", FAILED, None, 3),
        ("walltime", FAILED, Cause.WALLTIME, None),
        ("deleted-running", CANCELLED, Cause.CANCELLED, None),
        ("deleted-queued", CANCELLED, Cause.CANCELLED, None),
        ("dependent-failed", CANCELLED, Cause.CANCELLED, None),
        ("queued", QUEUED, None, None),
        ("running", RUNNING, None, None),
    ],
)
def test_attributes_are_understood(pbs, name, state, cause, exit_code):
    (sight,) = pbs.read_history(said(f"pbs/qstat-f-{name}").out).values()
    assert (sight.state, sight.cause, sight.exit_code) == (state, cause, exit_code)


def test_folded_lines_are_joined_and_several_jobs_told_apart(pbs):
    sights = pbs.read_history(said("pbs/qstat-text-two-ids").out)
    assert {job_id: sight.exit_code for job_id, sight in sights.items()} == {"4224": None, "4225": 3}
    (sight,) = pbs.read_history(said("pbs/qstat-f-deleted-running").out).values()
    assert sight.detail.endswith("and terminated by tester@pbshost")


@pytest.mark.parametrize(
    ("name", "is_answer"),
    [
        ("pbs/qstat-unknown", True),
        ("pbs/qstat-finished-nox", True),
        ("pbs/qstat-known-and-unknown", True),
        ("pbs/nohistory-qstat-x-finished", True),
        ("pbs/server-down-qselect", False),
        ("slurm/slurmctld-down-squeue", False),
        ("slurm/nodbd-sacct", False),
        ("sge/qmaster-down-qstat-xml", False),
    ],
)
def test_no_such_job_is_an_answer_and_a_dead_daemon_is_none(slurm, sge, pbs, name, is_answer):
    system = {"slurm": slurm, "sge": sge, "pbs": pbs}[name.partition("/")[0]]
    assert system.is_answer(said(name)) is is_answer


@pytest.mark.parametrize("kind", ["slurm", "sge", "pbs"])
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_answer_that_is_cut_short_is_refused(slurm, sge, pbs, kind, cut):
    system, out = {
        "slurm": (slurm, squeue("squeue-array-pending-r")),
        "sge": (sge, said("sge/qstat-xml-array-running").out),
        "pbs": (pbs, said("pbs/qstat-t-array-running").out),
    }[kind]
    with pytest.raises(ValueError, match=r".+"):
        system.read_states(out[: int(len(out) * cut)])


def test_dialects_are_told_apart(sge, pbs):
    of_sge, of_pbs = said("sge/version"), said("pbs/version")
    torque = Completed(exit_code=0, out="Version: 6.1.2\nCommit: 661e092552de\n", err="")
    server = said("pbs/qstat-B-f")
    assert sge.probed({"version": of_sge, "accounting": of_sge, "pe": of_sge})["version"] == "SGE 8.1.9"
    assert pbs.probed({"version": of_pbs, "server": server})["version"] == "PBS 23.06.06"
    assert pbs.probed({"version": of_pbs, "server": server})["accounting"] == "on (job history)"
    with pytest.raises(ExecutorError, match="Grid Engine's, not PBS's"):
        pbs.probed({"version": of_sge, "server": of_sge})
    with pytest.raises(ExecutorError, match="PBS's, not Grid Engine's"):
        sge.probed({"version": of_pbs, "accounting": of_pbs, "pe": of_pbs})
    pbs.probed({"version": torque, "server": torque})
    assert pbs.dialect == "torque"
    assert pbs.submit_argv("s", "n", 3)[-3:] == ["-t", "1-3", "s"]
    assert "-x" not in pbs.history_argv(["1"])


def test_requests_are_said_in_each_dialect(slurm, sge, pbs):
    ask = Ask(
        cpus=4, memory_bytes=4 * 1024**3, gpus=1, walltime_s=90061, queue="long", account="me", directives=("-x 1",)
    )
    assert slurm.header(ask) == [
        "#SBATCH --no-requeue", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=4096M", "#SBATCH --gres=gpu:1",
        "#SBATCH --time=1-01:01:01", "#SBATCH --partition=long", "#SBATCH --account=me", "#SBATCH -x 1",
    ]  # fmt: skip
    assert sge.header(ask)[4:] == [
        "#$ -pe smp 4", "#$ -l h_vmem=1024M", "#$ -l gpu=1", "#$ -l h_rt=90061", "#$ -q long", "#$ -A me", "#$ -x 1",
    ]  # fmt: skip
    assert pbs.header(ask)[3:] == [
        "#PBS -l select=1:ncpus=4:mem=4096mb:ngpus=1", "#PBS -l walltime=25:01:01", "#PBS -q long", "#PBS -A me",
        "#PBS -x 1",
    ]  # fmt: skip
    pbs.dialect = "torque"
    assert pbs.header(ask)[3:5] == ["#PBS -l nodes=1:ppn=4:gpus=1", "#PBS -l mem=4096mb"]


@pytest.mark.parametrize("kind", ["slurm", "sge", "pbs"])
def test_answer_about_10000_jobs_is_read_in_a_moment(slurm, sge, pbs, kind):
    row = "{}.pbshost        sleeper          tester                   0 Q workq           \n"
    block = re.search(r"<job_list state=\"pending\">.*?</job_list>\n", said("sge/qstat-xml-hqw").out, re.DOTALL)[0]
    system, out = {
        "slurm": (slurm, "".join(f"{n}|PENDING|n/a|sf.demo-1.{n}.abcdef01.123456|Priority\n" for n in range(10_000))),
        "sge": (sge, "<job_info>" + "".join(block.replace(">42<", f">{n}<") for n in range(10_000)) + "</job_info>"),
        "pbs": (pbs, "Job id  Name\n------\n" + "".join(row.format(n) for n in range(10_000))),
    }[kind]
    began = time.process_time()
    assert len(system.read_states(out)) == 10_000
    assert time.process_time() - began < 0.3


def test_death_of_a_wrapper_is_told_by_the_system_alone(slurm):
    (sight,) = slurm.read_history(said("slurm/scontrol-oneliner-timeout").out).values()
    report = verdict(None, sight, cancelled=False)
    assert (report.state, report.cause) == (FAILED, Cause.WALLTIME)


def test_what_no_cluster_has_does_not_fit(slurm):
    assert slurm.fits(Resources(cpus=128))
    assert not slurm.fits(Resources(cpus=2_000_000))
