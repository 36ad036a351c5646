"""Grid Engine and its children (SGE, Son of Grid Engine, Univa, Altair), in words: qsub, qstat, qacct, qdel.

Text in, argv out; knows nothing of processes, folders and waiting.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from scriptflow.core.states import Cause, JobState
from scriptflow.errors import ExecutorError
from scriptflow.hpc.batch import BatchExecutor
from scriptflow.hpc.text import directive_lines, last_match, mebibytes
from scriptflow.hpc.truth import Sight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scriptflow.core.interfaces import Completed
    from scriptflow.hpc.options import Ask

_JOB = re.compile(r"<job_list\b.*?</job_list>", re.DOTALL)
_FIELD = re.compile(r"<(JB_job_number|JB_name|state|queue_name|tasks)>([^<]*)</")
_SIZE = re.compile(r"([\d.]+)([BKMGT]?)B?")
_POWERS = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}
# The code before the colon in qacct's "failed" (sge_status manual).
_RESCHEDULED, _LIMIT, _AFTER_JOB = 25, 37, 100
_NODE_DIED = (18, 19, 20, 21, 22)
_KILLED = 128 + 9
# qacct takes one id; "not found" is an answer too.
_QACCT = 'for id; do qacct -j "$id"; done 2>/dev/null; exit 0'

_CAN_ACCOUNT = 'f=$SGE_ROOT/${SGE_CELL:-default}/common/accounting; test -r "$f" || ! test -e "$f"'


class SgeExecutor(BatchExecutor):
    """Jobs of a Grid Engine cluster."""

    kind = "sge"
    extra_options = ("memory_resource", "gpu_resource")
    id_text = '"$JOB_ID"'
    array_id_text = '"$JOB_ID.$SGE_TASK_ID"'
    index_text = "${SGE_TASK_ID}"
    transient: ClassVar[tuple[str, ...]] = (
        "unable to send message", "send error", "connection refused", "commlib error", "can't reach",
        "unable to contact", "timeout", "timed out", "no response", "unable to synchronize", "temporarily",
    )  # fmt: skip

    def header(self, ask: Ask) -> list[str]:
        """Return the directives of a script; memory is counted per slot here."""
        lines = ["-S /bin/sh", "-r n", "-cwd", "-j y"]
        if ask.cpus > 1:
            lines.append(f"-pe {ask.pe or 'smp'} {ask.cpus}")
        if ask.memory_bytes is not None:
            per_slot = -(-ask.memory_bytes // ask.cpus)
            lines.append(f"-l {self.options.own('memory_resource', 'h_vmem')}={mebibytes(per_slot)}M")
        if ask.gpus:
            per_slot = -(-ask.gpus // ask.cpus)
            lines.append(f"-l {self.options.own('gpu_resource', 'gpu')}={per_slot}")
        if ask.walltime_s is not None:
            lines.append(f"-l h_rt={max(1, round(ask.walltime_s))}")
        if ask.queue:
            lines.append(f"-q {ask.queue}")
        if ask.account:
            lines.append(f"-A {ask.account}")
        if ask.not_on:
            lines.append(f"-l hostname=!({'|'.join(ask.not_on)})")
        return directive_lines("#$", [*lines, *ask.directives])

    def submit_argv(self, script: str, name: str, size: int) -> list[str]:
        """Return the command that submits ``script``, as an array of ``size`` when that is not 0."""
        array = ["-t", f"1-{size}"] if size else []
        log = "scheduler.$TASK_ID.log" if size else "scheduler.log"
        return ["qsub", "-terse", "-o", log, "-N", name, *array, script]

    def read_job_id(self, out: str) -> str:
        """Return the id that ``qsub -terse`` printed: ``2``, or ``4.1-6:1``."""
        return last_match(r"(\d+)(?:\.\S+)?", out)

    def element(self, job_id: str, index: int) -> str:
        """Return the id of an array's element."""
        return f"{job_id}.{index}"

    def split(self, job_id: str) -> tuple[str, int]:
        """Return the array's id and the index of an element's id."""
        base, _, index = job_id.partition(".")
        return base, int(index or 0)

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the query for all of this user's jobs; waiting elements of an array come as one row."""
        del ids
        return ["qstat", "-xml"]

    def read_states(self, out: str) -> dict[str, Sight]:
        """Read qstat's XML: by its tags, since names of other jobs in it are not always escaped."""
        if not out.rstrip().endswith("</job_info>"):
            raise ValueError("qstat's answer is cut short")
        sights = {}
        for block in _JOB.finditer(out):
            fields = {name: value.strip() for name, value in _FIELD.findall(block[0])}
            number = fields.get("JB_job_number", "")
            if not number:
                raise ValueError("qstat told of a job without a number")
            for job_id in [f"{number}.{index}" for index in _indices(fields.get("tasks", ""))] or [number]:
                sights[job_id] = _sight(job_id, fields)
        return sights

    def history_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the query for ended jobs; qacct reads the accounting file itself, so it is asked once per array."""
        return ["sh", "-c", _QACCT, "sh", *sorted({self.split(job_id)[0] for job_id in ids})]

    def read_history(self, out: str) -> dict[str, Sight]:
        """Read qacct's records; of several attempts the last counts."""
        sights = {}
        for record in _records(out):
            job_id = record.get("jobnumber", "")
            if record.get("taskid", "undefined") != "undefined":
                job_id = f"{job_id}.{record['taskid']}"
            sights[job_id] = _ended(job_id, record)
        return sights

    def name_argvs(self, name: str) -> list[list[str]]:
        """Return the queries that find a job by its name."""
        return [["qstat", "-xml"], ["sh", "-c", _QACCT, "sh", name]]

    def read_named(self, out: str, name: str) -> str | None:
        """Return the id in an answer to one of ``name_argvs``."""
        if "<job_info" in out:
            found = [job_id for job_id, sight in self.read_states(out).items() if sight.name == name]
        else:
            found = [record.get("jobnumber", "") for record in _records(out) if record.get("jobname") == name]
        return self.split(found[-1])[0] if found else None

    def why_argv(self, job_id: str) -> list[str]:
        """Return the query that tells why a job is in error state."""
        return ["qstat", "-j", self.split(job_id)[0]]

    def read_why(self, out: str) -> str:
        """Return the error's reason."""
        reasons = re.findall(r"^error reason\s+\d+:\s+(.*)$", out, re.MULTILINE)
        reason = reasons[-1].strip() if reasons else "its reason is not told"
        return f"Grid Engine could not start it: {reason.rpartition('error: ')[2]}"

    def doubt_argv(self, job_id: str) -> list[str]:
        """Return the query that looks for a queue that could hold the job if nothing else ran."""
        return ["qalter", "-w", "v", self.split(job_id)[0]]

    def read_doubt(self, out: str) -> str:
        """Return why no queue could; qalter's last words are ``verification: no suitable queues``."""
        if "no suitable queues" not in out:
            return ""
        causes = re.findall(r"^Job \d+ (.*)$", out, re.MULTILINE)
        return f"no queue can hold it: {causes[0] if causes else 'qalter -w v tells why'}"

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the command that ends all these jobs."""
        return ["qdel", *ids]

    def probe_argvs(self) -> dict[str, list[str]]:
        """Return queries about the system itself."""
        return {
            "version": ["qstat", "-help"],
            "accounting": ["sh", "-c", _CAN_ACCOUNT],
            "pe": ["qconf", "-spl"],
        }

    def probed(self, answers: Mapping[str, Completed]) -> dict[str, str]:
        """Say what was found.

        Raises:
            ExecutorError: qstat is PBS's.
        """
        said = answers["version"].out + answers["version"].err
        first = said.strip().splitlines()[0] if said.strip() else ""
        if "pbs" in first.casefold() or "--version" in first:
            raise ExecutorError(
                "qstat on this machine is PBS's, not Grid Engine's", why=f"it said: {first}", do='write type = "pbs"'
            )
        self.is_known = bool(first)
        readable = answers["accounting"].exit_code == 0
        return {
            "version": first,
            "accounting": "on" if readable else "its file cannot be read here: exit records must do",
            "parallel environments": ", ".join(answers["pe"].out.split()),
            "arrays": "yes",
        }


def _indices(tasks: str) -> list[int]:
    """Expand ``3-7:2,9``."""
    indices: list[int] = []
    for part in tasks.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part.strip())
        if match:
            first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
            indices.extend(range(first, last + 1, step))
    return indices


def _sight(job_id: str, fields: Mapping[str, str]) -> Sight:
    letters = fields.get("state", "")
    stuck, doubtful, state, reason = False, False, JobState.UNKNOWN, ""
    if "E" in letters:
        stuck, state, reason = True, JobState.QUEUED, "Grid Engine could not start it"
    elif set(letters) & set("qw"):
        doubtful, state = "h" in letters, JobState.QUEUED
        reason = "it is held: qrls" if doubtful else "it waits for a free slot"
    elif set(letters) & set("rtsSTR"):
        state = JobState.RUNNING
    host = fields.get("queue_name", "").rpartition("@")[2]
    name = fields.get("JB_name", "")
    return Sight(id=job_id, state=state, name=name, reason=reason, stuck=stuck, doubtful=doubtful, host=host)


def _records(out: str) -> list[dict[str, str]]:
    """Cut qacct's output into records of name and value."""
    found = []
    for block in re.split(r"^=+$", out, flags=re.MULTILINE):
        pairs = (line.split(None, 1) for line in block.splitlines())
        record = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
        if "jobnumber" in record:
            found.append(record)
    return found


def _ended(job_id: str, record: Mapping[str, str]) -> Sight:
    failed = int((record.get("failed", "0").split() or ["0"])[0].rstrip(":") or 0)
    status = int((record.get("exit_status", "0").split() or ["0"])[0])
    signal = status - 128 if status > 128 else None
    state, cause, detail = JobState.FAILED, None, record.get("failed", "").partition(":")[2].strip()
    if failed == 0:
        state, detail = (JobState.FAILED if status else JobState.SUCCEEDED), ""
    elif failed == _RESCHEDULED:
        state = JobState.UNKNOWN  # it runs again, or was deleted before it could
    elif failed == _LIMIT:
        cause, detail = Cause.WALLTIME, "Grid Engine ended it at a limit (h_rt, h_cpu or h_vmem)"
    elif failed in _NODE_DIED:
        cause, detail = Cause.NODE_FAILURE, f"its node failed: {detail}"
    elif failed == _AFTER_JOB and status == _KILLED:
        state, cause, detail = JobState.CANCELLED, Cause.CANCELLED, "it was deleted, or killed from outside"
    elif failed == _AFTER_JOB:
        cause, detail = Cause.SIGNAL, ""
    else:
        detail = f"Grid Engine could not start it: {detail}"
    return Sight(
        id=job_id,
        state=state,
        name=record.get("jobname", ""),
        cause=cause,
        exit_code=status if failed == 0 and status else None,
        signal=signal if cause in (Cause.SIGNAL, Cause.CANCELLED, Cause.WALLTIME) else None,
        host=record.get("hostname", ""),
        max_rss_bytes=_bytes(record.get("ru_maxrss", "")),
        detail=detail,
    )


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    if not match:
        return None
    return round(float(match[1]) * 1024 ** _POWERS[match[2]]) or None
