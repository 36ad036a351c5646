"""Slurm, in words: sbatch, squeue, sacct (scontrol where there is no accounting), scancel.

Text in, argv out; knows nothing of processes, folders and waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from scriptflow.core.states import Cause, JobState
from scriptflow.hpc.batch import BatchExecutor
from scriptflow.hpc.text import directive_lines, last_match, mebibytes
from scriptflow.hpc.truth import Sight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scriptflow.core.interfaces import Completed
    from scriptflow.hpc.options import Ask

_QUEUED, _RUNNING, _FAILED = JobState.QUEUED, JobState.RUNNING, JobState.FAILED
# The states of sacct's and squeue's manuals. COMPLETING is no end: status and reason are not final in it.
_STATES: dict[str, tuple[JobState, Cause | None]] = {
    **dict.fromkeys(
        ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"), (_QUEUED, None)
    ),
    "RESV_DEL_HOLD": (_QUEUED, None),
    **dict.fromkeys(
        ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"), (_RUNNING, None)
    ),
    "COMPLETED": (JobState.SUCCEEDED, None),
    "FAILED": (_FAILED, None),
    "TIMEOUT": (_FAILED, Cause.WALLTIME),
    "DEADLINE": (_FAILED, Cause.WALLTIME),
    "CANCELLED": (JobState.CANCELLED, Cause.CANCELLED),
    "OUT_OF_MEMORY": (_FAILED, Cause.OUT_OF_MEMORY),
    "NODE_FAIL": (_FAILED, Cause.NODE_FAILURE),
    "BOOT_FAIL": (_FAILED, Cause.NODE_FAILURE),
    "PREEMPTED": (_FAILED, Cause.PREEMPTED),
}
_DETAILS = {
    "TIMEOUT": "it reached its walltime",
    "DEADLINE": "it reached its deadline",
    "OUT_OF_MEMORY": "it needed more memory than it had asked for",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not boot",
    "PREEMPTED": "it made room for a job of higher priority",
    "CANCELLED": "it was cancelled",
}
_REASONS = {
    "None": "",
    "Priority": "jobs of higher priority go first",
    "Resources": "it waits for free processors or memory",
    "BeginTime": "it may not start before a set time (a requeued job waits two minutes)",
    "JobHeldUser": "it is held by its user: scontrol release",
    "JobHeldAdmin": "it is held by an administrator",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "PartitionConfig": "its partition can never hold it: it asks for more than the nodes have",
    "PartitionNodeLimit": "it asks for more nodes than its partition gives",
    "PartitionTimeLimit": "it asks for more time than its partition gives",
    "ReqNodeNotAvail": "a node it needs is not available",
    "DependencyNeverSatisfied": "a job it depends on failed: it will never run",
}
_DOUBTFUL = {
    "JobHeldUser", "JobHeldAdmin", "PartitionDown", "PartitionInactive", "PartitionConfig", "PartitionNodeLimit",
    "PartitionTimeLimit", "DependencyNeverSatisfied", "BadConstraints", "InvalidAccount", "InvalidQOS",
}  # fmt: skip
_FORMAT = "%i|%T|%B|%j|%r"
_HISTORY = "JobID,State,ExitCode,MaxRSS,NodeList,JobName"
_SINCE = "now-30days"  # without -S, sacct forgets at midnight
_LAUNCH_FAILED = 53  # slurmd could not enter the folder or open the output
_SCONTROL = 'for id; do scontrol -o show job "$id"; done; exit 0'


class SlurmExecutor(BatchExecutor):
    """Jobs of a Slurm cluster."""

    kind = "slurm"
    foreign_names = ("SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SLURM_")
    id_text = '"$SLURM_JOB_ID"'
    array_id_text = '"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"'
    index_text = "${SLURM_ARRAY_TASK_ID}"
    sees_memory = True
    transient: ClassVar[tuple[str, ...]] = (
        "unable to contact", "socket timed out", "connection refused", "connect failure", "connection timed out",
        "munge", "protocol authentication", "zero bytes", "temporarily", "communication", "slurm_persist_conn",
        "slurm_receive_msg", "backup controller", "i/o error",
    )  # fmt: skip
    hopeless = ("configuration source", "unable to process configuration file")
    accounting = True

    def header(self, ask: Ask) -> list[str]:
        """Return the directives of a script, the user's own ones last."""
        lines = ["--no-requeue", f"--cpus-per-task={ask.cpus}"]
        if ask.memory_bytes is not None:
            lines.append(f"--mem={mebibytes(ask.memory_bytes)}M")
        if ask.gpus:
            lines.append(f"--gres=gpu:{ask.gpus}")
        if ask.walltime_s is not None:
            days, rest = divmod(max(1, round(ask.walltime_s)), 86400)
            lines.append(f"--time={days}-{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}")
        if ask.queue:
            lines.append(f"--partition={ask.queue}")
        if ask.account:
            lines.append(f"--account={ask.account}")
        if ask.not_on:
            lines.append(f"--exclude={','.join(host.partition('.')[0] for host in ask.not_on)}")
        return directive_lines("#SBATCH", [*lines, *ask.directives])

    def submit_argv(self, script: str, name: str, size: int) -> list[str]:
        """Return the command that submits ``script``, as an array of ``size`` when that is not 0."""
        array = [f"--array=1-{size}"] if size else []
        log = "scheduler.%a.log" if size else "scheduler.log"
        return ["sbatch", "--parsable", f"--job-name={name}", f"--output={log}", "--open-mode=append", *array, script]

    def read_job_id(self, out: str) -> str:
        """Return the id that sbatch printed: ``39``, or ``39;cluster``."""
        return last_match(r"(\d+)(?:;\S+)?", out)

    def element(self, job_id: str, index: int) -> str:
        """Return the id of an array's element."""
        return f"{job_id}_{index}"

    def split(self, job_id: str) -> tuple[str, int]:
        """Return the array's id and the index of an element's id."""
        base, _, index = job_id.partition("_")
        return base, int(index or 0)

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the query for all of this user's jobs: one answer of the controller, whatever their number."""
        del ids
        return ["squeue", "-h", "-t", "all", "--me", "-r", "-o", _FORMAT]

    def read_states(self, out: str) -> dict[str, Sight]:
        """Read squeue's lines."""
        sights = {}
        for line in _whole_lines(out):
            parts = line.split("|", 4)
            if len(parts) != 5:
                raise ValueError(f"squeue printed {line!r}")
            job_id, word, host, name, reason = parts
            sights[job_id] = _sight(job_id, word, name=name, host=host, reason=reason)
        return sights

    def history_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the query for ended jobs."""
        if self.accounting:
            return ["sacct", "-n", "-P", "-S", _SINCE, "-j", ",".join(ids), f"--format={_HISTORY}"]
        return ["sh", "-c", _SCONTROL, "sh", *ids]

    def read_history(self, out: str) -> dict[str, Sight]:
        """Read sacct's or scontrol's lines."""
        sights: dict[str, Sight] = {}
        for line in _whole_lines(out):
            if line.startswith("JobId="):
                sight = _read_scontrol(line)
                sights[sight.id] = sight
                continue
            parts = line.split("|", 5)
            if len(parts) != 6:
                raise ValueError(f"sacct printed {line!r}")
            job_id, word, codes, peak, host, name = parts
            base, _, step = job_id.partition(".")
            if not step:
                sights[base] = _sight(base, word, name=name, host=host, codes=codes)
            elif base in sights and peak:
                sights[base] = _with_peak(sights[base], _bytes(peak))
        return sights

    def name_argvs(self, name: str) -> list[list[str]]:
        """Return the queries that find a job by its name."""
        queue = ["squeue", "-h", "-t", "all", "--me", "-r", "-n", name, "-o", _FORMAT]
        if not self.accounting:
            return [queue]
        return [queue, ["sacct", "-X", "-n", "-P", "-S", _SINCE, f"--name={name}", f"--format={_HISTORY}"]]

    def read_named(self, out: str, name: str) -> str | None:
        """Return the id in an answer to one of ``name_argvs``."""
        for line in _whole_lines(out):
            # A job that asks for what no node has is refused, and kept as failed all the same.
            if name in line.split("|") and not line.endswith("|BadConstraints"):
                return line.partition("|")[0].partition("_")[0]
        return None

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the command that ends all these jobs."""
        return ["scancel", *ids]

    def probe_argvs(self) -> dict[str, list[str]]:
        """Return queries about the system itself."""
        return {"version": ["sbatch", "--version"], "config": ["scontrol", "show", "config"]}

    def probed(self, answers: Mapping[str, Completed]) -> dict[str, str]:
        """Learn whether there is accounting, and how long an array may be."""
        found = {"version": answers["version"].out.strip()}
        if answers["config"].exit_code == 0:
            self.is_known = True
            config = {
                key.strip(): value.strip()
                for key, _, value in (line.partition("=") for line in answers["config"].out.splitlines())
            }
            self.accounting = "none" not in config.get("AccountingStorageType", "none")
            found["accounting"] = "on" if self.accounting else "off: squeue and exit records must do"
            longest = config.get("MaxArraySize", "")
            if longest.isdecimal():
                self.longest_array = max(int(longest) - 1, 0)  # an index, not a number of elements
                found["arrays"] = f"up to {self.longest_array}"
        return found


def _whole_lines(out: str) -> list[str]:
    if out and not out.endswith("\n"):
        raise ValueError("the answer is cut short")
    return [line for line in out.splitlines() if line.strip()]


def _sight(job_id: str, word: str, *, name: str, host: str = "", reason: str = "", codes: str = "0:0") -> Sight:
    first = word.partition(" ")[0].rstrip("+")  # "CANCELLED by 1001"
    state, cause = _STATES.get(first, (JobState.UNKNOWN, None))
    code_text, _, signal_text = codes.partition(":")
    code, signal = (int(text) if text.isdecimal() else 0 for text in (code_text, signal_text))
    detail = _DETAILS.get(first, "")
    if state is _FAILED and signal == _LAUNCH_FAILED:
        detail = "its node could not enter the folder or open the scheduler's log"
    by_itself = state is _FAILED and cause is None
    shown = _REASONS.get(reason, reason)
    return Sight(
        id=job_id,
        state=state,
        name=name,
        reason=shown if state is _QUEUED else "",
        doubtful=state is _QUEUED and reason in _DOUBTFUL,
        cause=cause,
        exit_code=code if by_itself and code and not signal else None,
        signal=signal if by_itself and 0 < signal < _LAUNCH_FAILED else None,
        host="" if host in ("n/a", "None assigned", "(null)") else host,
        detail=detail,
    )


def _read_scontrol(line: str) -> Sight:
    words = dict(word.split("=", 1) for word in line.split() if "=" in word)
    array, index = words.get("ArrayJobId", ""), words.get("ArrayTaskId", "")
    job_id = f"{array}_{index}" if array and index.isdecimal() else words["JobId"]
    return _sight(
        job_id,
        words.get("JobState", ""),
        name=words.get("JobName", ""),
        host=words.get("BatchHost", ""),
        reason=words.get("Reason", ""),
        codes=words.get("ExitCode", "0:0"),
    )


def _with_peak(sight: Sight, peak: int | None) -> Sight:
    from scriptflow.core.frozen import changed

    most = max((value for value in (sight.max_rss_bytes, peak) if value is not None), default=None)
    return changed(sight, max_rss_bytes=most)


def _bytes(text: str) -> int | None:
    from scriptflow.core.units import bytes_of
    from scriptflow.errors import UnitError

    try:
        return bytes_of(text if text[-1:].isalpha() else text + "b")
    except UnitError:
        return None
