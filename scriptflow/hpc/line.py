"""Run the commands of a batch system, each under a limit, in an environment that cannot change their answers.

Knows argv and transports; knows nothing of jobs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from scriptflow.errors import ExecutorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scriptflow.core.interfaces import Completed, Transport

log = logging.getLogger(__name__)

_AT_ONCE = 4  # commands; a login node is shared, and sshd takes ten sessions at most
_NOT_FOUND = 127
_ENTER = '[ -z "$1" ] || cd "$1" || exit 126; shift; exec "$@"'
# SQUEUE_FORMAT and the like change answers, SBATCH_... and a surrounding job's SLURM_... change submissions.
_CLEAN = """\
for name in $(env | sed -n 's/^\\([A-Z][A-Z0-9_]*\\)=.*/\\1/p'); do
case $name in SLURM_CONF*) ;; {patterns}) unset "$name" ;; esac; done
"""


class SchedulerSilent(ExecutorError):
    """The batch system gave no usable answer: nothing is known, and nothing has failed."""


class Line:
    """The way to one batch system's commands.

    Args:
        foreign_names: beginnings of environment variables to leave out.
        deadline_s: how long a command may take.
        prologue: lines that the shell there needs before it finds the commands.

    Attributes:
        answered: set by those who ask, once the batch system itself has answered.
    """

    def __init__(
        self, transport: Transport, foreign_names: Sequence[str], deadline_s: float, prologue: str = ""
    ) -> None:
        self._transport = transport
        self._deadline_s = deadline_s
        self._prelude = _ENTER
        if foreign_names:
            self._prelude = _CLEAN.replace("{patterns}", "|".join(f"{name}*" for name in foreign_names)) + _ENTER
        if prologue:
            self._prelude = f"{{\n{prologue}\n}} >/dev/null 2>&1 </dev/null\n{self._prelude}"
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.answered = False
        self._began = time.monotonic()

    @property
    def silent_s(self) -> float:
        """How long the batch system has been silent from the first question on; 0 once it has answered."""
        return 0.0 if self.answered else time.monotonic() - self._began

    async def ask(self, argv: Sequence[str], *, folder: str = "", plain: bool = True, stdin: str = "") -> Completed:
        """Run a command to its end.

        Args:
            argv: the command.
            folder: to run it in.
            stdin: what it reads.
            plain: in the C locale; not for submissions, where the job may inherit it.

        Raises:
            SchedulerSilent: it took too long, could not be started, or is not there.
        """
        env = {"LC_ALL": "C"} if plain else None
        shown = " ".join(argv)[:200]
        try:
            async with self._room, asyncio.timeout(self._deadline_s):
                completed = await self._transport.run(
                    ["sh", "-c", self._prelude, "sh", folder, *argv], stdin=stdin, env=env
                )
        except TimeoutError:
            raise SchedulerSilent(f"no answer within {self._deadline_s:.0f} s", why=f"command: {shown}") from None
        except OSError as error:
            raise SchedulerSilent(f"its commands cannot be run: {error}", why=f"command: {shown}") from error
        log.debug("%s: exit %s", shown, completed.exit_code)
        return completed

    async def query(self, argv: Sequence[str]) -> Completed:
        """As ``ask``; a program that is not there is no answer."""
        completed = await self.ask(argv)
        if completed.exit_code == _NOT_FOUND and argv[0] != "sh":
            raise SchedulerSilent(f"there is no {argv[0]} on PATH", do="scriptflow doctor")
        return completed


def first_words(completed: Completed) -> str:
    """Return the telling line of a complaint, for a message."""
    lines = [line.strip() for line in (completed.err or completed.out).splitlines() if line.strip()]
    telling = [line for line in lines if line not in ("Exiting.",)]
    return telling[-1] if telling else f"exit code {completed.exit_code}"
