"""What distinguishes one batch system from another: pure functions, argv out and text in.

Knows nothing of processes, folders and waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from scriptflow.core.interfaces import Capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scriptflow.core.interfaces import Completed
    from scriptflow.hpc.options import Ask, Options
    from scriptflow.hpc.truth import Sight


class BatchSystem:
    """Describe a batch system; ``BatchExecutor`` does the rest.

    Attributes:
        kind: what users call it in settings and messages.
        extra_options: names it accepts beyond the common ones.
        name_limit: how long a job's name may be.
        foreign_names: beginnings of environment variables that change what its commands do.
        id_text, array_id_text, index_text: shell words that tell a job its own id, and an element its index.
        transient: words of messages that mean "not now"; all others mean "no".
        hopeless: words of messages that look like it, and mean that the commands are not set up here.
        sees_memory: it may know of memory running out what the wrapper cannot see.
        asks_by_id: ``status_argv`` uses the ids, so that a long list must be cut.
        longest_array: elements an array may have.
        is_known: ``probed`` has learned what there is to learn.
    """

    kind: ClassVar[str] = "batch"
    capabilities = Capabilities(arrays=True, accounting=True, memory=True, gpus=True, walltime=True, reattaches=True)
    extra_options: ClassVar[tuple[str, ...]] = ()
    name_limit: int = 200
    foreign_names: ClassVar[tuple[str, ...]] = ()
    id_text: str
    array_id_text: str
    index_text: str
    transient: ClassVar[tuple[str, ...]] = ()
    hopeless: ClassVar[tuple[str, ...]] = ()
    sees_memory: ClassVar[bool] = False
    asks_by_id: ClassVar[bool] = False
    longest_array: int = 1_000_000
    is_known: bool = False
    options: Options

    def header(self, ask: Ask) -> list[str]:
        """Return the directives of a script, the user's own ones last."""
        raise NotImplementedError

    def submit_argv(self, script: str, name: str, size: int) -> list[str]:
        """Return the command that submits ``script``, as an array of ``size`` when that is not 0.

        It is run in a folder of its own, where ``scheduler.log`` is to take the system's own output.
        """
        raise NotImplementedError

    def read_job_id(self, out: str) -> str:
        """Return the id that a submission printed, without an array's range.

        Raises:
            ValueError: there is none.
        """
        raise NotImplementedError

    def element(self, job_id: str, index: int) -> str:
        """Return the id of an array's element."""
        raise NotImplementedError

    def split(self, job_id: str) -> tuple[str, int]:
        """Return the array's id and the index of an element's id; index 0 when it is none."""
        raise NotImplementedError

    def short(self, job_id: str) -> str:
        """Return the part of an id that all of the system's reports agree on."""
        return job_id

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the one query that tells of all these jobs that have not left the queue; of others besides, too."""
        raise NotImplementedError

    def read_states(self, out: str) -> dict[str, Sight]:
        """Read that query's answer: short id to what is seen.

        Raises:
            ValueError: it is cut short, or no such answer.
        """
        raise NotImplementedError

    def history_argv(self, ids: Sequence[str]) -> list[str] | None:
        """Return the query for jobs that have left the queue, None when the system keeps nothing."""
        raise NotImplementedError

    def read_history(self, out: str) -> dict[str, Sight]:
        """Read that query's answer, as ``read_states``."""
        raise NotImplementedError

    def name_argvs(self, name: str) -> list[list[str]]:
        """Return the queries that find a job by its name, the queue's first."""
        raise NotImplementedError

    def read_named(self, out: str, name: str) -> str | None:
        """Return the id (an array's as a whole) of the job of this name in an answer to one of ``name_argvs``."""
        raise NotImplementedError

    def why_argv(self, job_id: str) -> list[str] | None:
        """Return the query that tells why a stuck job is stuck."""
        del job_id
        return None

    def read_why(self, out: str) -> str:
        """Read that query's answer: one sentence, perhaps empty."""
        del out
        return ""

    def doubt_argv(self, job_id: str) -> list[str] | None:
        """Return the query that tells whether a waiting job can run at all, None where the queue tells it."""
        del job_id
        return None

    def read_doubt(self, out: str) -> str:
        """Read that query's answer: why the job can never run, or nothing."""
        del out
        return ""

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        """Return the command that ends all these jobs."""
        raise NotImplementedError

    def probe_argvs(self) -> dict[str, list[str]]:
        """Return queries about the system itself, by a name of ours for each."""
        raise NotImplementedError

    def probed(self, answers: Mapping[str, Completed]) -> dict[str, str]:
        """Learn the dialect from the answers, and say in words what was found; ``version`` always."""
        raise NotImplementedError

    def is_answer(self, completed: Completed) -> bool:
        """Whether a query was answered, though perhaps with "no such job"."""
        return completed.exit_code == 0

    def is_transient(self, completed: Completed) -> bool:
        """Whether a refusal means "not now": the daemon is down, hung, or overrun."""
        text = (completed.err + completed.out).casefold()
        return any(word in text for word in self.transient) and not self.is_hopeless(completed)

    def is_hopeless(self, completed: Completed) -> bool:
        """Whether the command is not there, may not be run, or is not set up on this machine."""
        if completed.exit_code in (126, 127):  # the shell's words for it
            return True
        text = (completed.err + completed.out).casefold()
        return completed.exit_code != 0 and any(word in text for word in self.hopeless)
