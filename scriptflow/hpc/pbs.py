"""PBS in its three dialects (OpenPBS, PBS Professional, Torque), in words: qsub, qstat, qselect, qdel.

Text in, argv out; knows nothing of processes, folders and waiting.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from scriptflow.core.states import Cause, JobState
from scriptflow.errors import ExecutorError
from scriptflow.hpc.batch import BatchExecutor
from scriptflow.hpc.text import clock, directive_lines, last_match, mebibytes
from scriptflow.hpc.truth import Sight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scriptflow.core.interfaces import Completed
    from scriptflow.hpc.options import Ask

_WAITING = {
    "Q": "it waits for free resources",
    "H": "it is held: qrls",
    "W": "it may not start before a set time",
    "T": "it is being moved to another server",
    "M": "it was moved to another server",
}
_RUNNING = "RESUB"  # B: an array of which an element runs; E: its output is being copied; S, U: suspended
_GONE = "FXC"
_DELETED = 91
_AFTER_ANOTHER = 92
_SIGNAL = 256
# What PBS itself writes as Exit_status; the meaning of the numbers is each dialect's own (JOB_EXEC_ in their sources).
_OWN_CODES: dict[str, dict[int, Cause]] = {
    "pbs": {-26: Cause.OUT_OF_MEMORY, -27: Cause.OUT_OF_MEMORY, -28: Cause.WALLTIME, -29: Cause.WALLTIME},
    "torque": {-10: Cause.OUT_OF_MEMORY, -11: Cause.WALLTIME, -12: Cause.WALLTIME},
}
_DETAILS = {
    Cause.WALLTIME: "PBS ended it at its walltime or CPU time",
    Cause.OUT_OF_MEMORY: "PBS ended it at its memory limit",
}
_NO_SUCH_JOB = re.compile(r"unknown job id|has finished|job history|illegally formed job identifier", re.IGNORECASE)
_ENTRY = re.compile(r"^    (\S+) = (.*)$")


class PbsExecutor(BatchExecutor):
    """Jobs of a PBS cluster."""

    kind = "pbs"
    id_text = '"$PBS_JOBID"'
    array_id_text = '"$PBS_JOBID"'
    index_text = "${PBS_ARRAY_INDEX:-$PBS_ARRAYID}"
    transient: ClassVar[tuple[str, ...]] = (
        "cannot connect to server", "connection refused", "couldn't connect", "timed out", "timeout", "end of file",
        "temporarily", "no route to host", "server is not", "could not connect", "communication failure",
    )  # fmt: skip
    asks_by_id = True
    dialect = "pbs"

    @property
    def name_limit(self) -> int:  # type: ignore[override]  # what the base class holds as a constant depends on the dialect
        """Torque cuts names to 15 letters."""
        return 15 if self.dialect == "torque" else 200

    def header(self, ask: Ask) -> list[str]:
        """Return the directives of a script, the user's own ones last."""
        lines = ["-S /bin/sh", "-r n", "-j oe"]
        memory = f"{mebibytes(ask.memory_bytes)}mb" if ask.memory_bytes is not None else ""
        if self.dialect == "torque":
            lines.append(f"-l nodes=1:ppn={ask.cpus}" + (f":gpus={ask.gpus}" if ask.gpus else ""))
            if memory:
                lines.append(f"-l mem={memory}")
        else:
            gpus = f":ngpus={ask.gpus}" if ask.gpus else ""
            lines.append(f"-l select=1:ncpus={ask.cpus}{':mem=' + memory if memory else ''}{gpus}")
        if ask.walltime_s is not None:
            lines.append(f"-l walltime={clock(ask.walltime_s)}")
        if ask.queue:
            lines.append(f"-q {ask.queue}")
        if ask.account:
            lines.append(f"-A {ask.account}")
        return directive_lines("#PBS", [*lines, *ask.directives])

    def submit_argv(self, script: str, name: str, size: int) -> list[str]:
        """Return the command that submits ``script``, as an array of ``size`` when that is not 0."""
        torque = self.dialect == "torque"
        array = ["-t" if torque else "-J", f"1-{size}"] if size else []
        log = "scheduler.^array_index^.log" if size and not torque else "scheduler.log"
        return ["qsub", "-N", name, "-o", log, *array, script]

    def read_job_id(self, out: str) -> str:
        """Return the id that qsub printed: ``2.server``, or ``48[].server``."""
        return last_match(r"(\d+(?:\[\])?(?:\.\S+)?)", out)

    def element(self, job_id: str, index: int) -> str:
        """Return the id of an array's element."""
        return job_id.replace("[]", f"[{index}]")

    def split(self, job_id: str) -> tuple[str, int]:
        """Return the array's id and the index of an element's id."""
        match = re.fullmatch(r"(\d+)\[(\d+)\](.*)", job_id)
        return (f"{match[1]}[]{match[3]}", int(match[2])) if match else (job_id, 0)

    def short(self, job_id: str) -> str:
        """Return the id without the server, whose name qstat cuts."""
        return job_id.partition(".")[0]

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the query for these jobs; an array is named once, and all its elements are told."""
        return ["qstat", "-t", *sorted({self.split(job_id)[0] for job_id in ids})]

    def read_states(self, out: str) -> dict[str, Sight]:
        """Read qstat's table; ended jobs are left out, since it does not tell how they ended."""
        lines = out.splitlines()
        if not lines:
            return {}
        if not lines[0].startswith("Job id") or not out.endswith("\n"):
            raise ValueError(f"qstat printed {lines[0]!r}")
        sights = {}
        for line in lines[2:]:
            words = line.split()
            if len(words) < 6 or len(words[-2]) != 1:
                raise ValueError(f"qstat printed {line!r}")
            job_id, letter = self.short(words[0]), words[-2]
            if letter not in _GONE:
                state = JobState.RUNNING if letter in _RUNNING else JobState.UNKNOWN
                state = JobState.QUEUED if letter in _WAITING else state
                sights[job_id] = Sight(id=job_id, state=state, reason=_WAITING.get(letter, ""), doubtful=letter == "H")
        return sights

    def history_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the query for ended jobs. The full text: JSON gives only the first of several (openpbs 2672)."""
        return ["qstat", *(() if self.dialect == "torque" else ("-x",)), "-f", *ids]

    def read_history(self, out: str) -> dict[str, Sight]:
        """Read the attributes of each job."""
        sights = {}
        for block in re.split(r"^Job Id: ", out, flags=re.MULTILINE)[1:]:
            head, _, body = block.partition("\n")
            # A line that begins with a tab goes on with the one before.
            entries = (_ENTRY.match(line) for line in body.replace("\n\t", "").splitlines())
            found = {entry[1].casefold(): entry[2] for entry in entries if entry}
            sights[self.short(head.strip())] = self._ended(head.strip(), found)
        return sights

    def _ended(self, job_id: str, found: Mapping[str, str]) -> Sight:
        letter, substate = found.get("job_state", ""), found.get("substate", "")
        status = int(found["exit_status"]) if found.get("exit_status", "").removeprefix("-").isdecimal() else None
        state, cause, detail = JobState.FAILED, None, found.get("comment", "")
        deleted = substate == str(_DELETED)
        if letter not in _GONE:
            state = JobState.RUNNING if letter in _RUNNING else JobState.QUEUED
        elif deleted or status is None:
            state, cause = JobState.CANCELLED, Cause.CANCELLED
            if substate == str(_AFTER_ANOTHER):
                detail = "PBS deleted it because a job it depends on failed"
        elif status == 0:
            state = JobState.SUCCEEDED
        elif status < 0:
            cause = _OWN_CODES[self.dialect].get(status, Cause.EXIT)
            detail = _DETAILS.get(cause, f"PBS could not run it ({status}): {detail}")
        signal = status - _SIGNAL if status is not None and status > _SIGNAL else None
        return Sight(
            id=job_id,
            state=state,
            name=found.get("job_name", ""),
            reason=detail if state is JobState.QUEUED else "",
            cause=cause,
            exit_code=status if status is not None and 0 < status < _SIGNAL else None,
            signal=signal,
            host=found.get("exec_host", "").partition("/")[0],
            max_rss_bytes=_bytes(found.get("resources_used.mem", "")),
            detail=detail if state is not JobState.SUCCEEDED else "",
        )

    def name_argvs(self, name: str) -> list[list[str]]:
        """Return the query that finds a job by its name."""
        return [["qselect", *(() if self.dialect == "torque" else ("-x",)), "-N", name]]

    def read_named(self, out: str, name: str) -> str | None:
        """Return the id in the answer."""
        del name
        lines = out.split()
        return lines[-1] if lines else None

    def doubt_argv(self, job_id: str) -> list[str]:
        """Return the query for the scheduler's comment on a job."""
        return ["qstat", "-f", self.split(job_id)[0]]

    def read_doubt(self, out: str) -> str:
        """Return the comment where it says that the job can never run."""
        comment = re.search(r"^    comment = (.*)$", out.replace("\n\t", ""), re.MULTILINE)
        return comment[1] if comment and "can never run" in comment[1].casefold() else ""

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the command that ends all these jobs."""
        return ["qdel", *ids]

    def is_answer(self, completed: Completed) -> bool:
        """Whether all that went wrong is that jobs are not there any more."""
        complaints = [line for line in completed.err.splitlines() if line.strip()]
        if completed.exit_code == 0:
            return True
        return bool(complaints) and all(_NO_SUCH_JOB.search(line) for line in complaints)

    def probe_argvs(self) -> dict[str, list[str]]:
        """Return queries about the system itself."""
        return {"version": ["qstat", "--version"], "server": ["qstat", "-B", "-f"]}

    def probed(self, answers: Mapping[str, Completed]) -> dict[str, str]:
        """Learn the dialect.

        Raises:
            ExecutorError: qstat is Grid Engine's.
        """
        said = answers["version"].out + answers["version"].err
        lines = [line for line in said.splitlines() if line.strip()]
        first = lines[0].strip() if lines else ""
        if re.search(r"\b(S?GE|UGE|OGS/GE) \d", said) or "-help" in said:
            raise ExecutorError(
                "qstat on this machine is Grid Engine's, not PBS's", why=f"it said: {first}", do='write type = "sge"'
            )
        if first:
            self.is_known = True
            self.dialect = "pbs" if "pbs_version" in said else "torque"
        history = re.search(r"job_history_enable = (\w+)", answers["server"].out)
        kept = history is not None and history[1] == "True"
        return {
            "version": f"{'Torque' if self.dialect == 'torque' else 'PBS'} {first.rpartition(' ')[2]}",
            "accounting": "on (job history)" if kept else "off: exit records must do",
            "arrays": "yes",
        }


def _bytes(text: str) -> int | None:
    digits = text.removesuffix("kb")
    return int(digits) * 1024 or None if digits.isdecimal() else None
