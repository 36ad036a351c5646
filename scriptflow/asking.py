"""Ask the live head of a run store, from any process: find it, ask, wait for its answer, say why there is none.

Knows stores and their inboxes. Knows nothing of commands or of how a head does what it is asked.
"""

from __future__ import annotations

from time import monotonic

from scriptflow.errors import NoAnswer, NoLiveRun, NotFound, RequestRefused
from scriptflow.store.inbox import post, wait_answer, withdraw
from scriptflow.store.reader import StoreReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from scriptflow.core.records import RunRecord
    from scriptflow.errors import ScriptflowError

ANSWER_S = 20.0
"""How long an answer is waited for: a head looks several times a second, but a network disk may be late."""
_LOOK_S = 0.5


def live_run(folder: str) -> RunRecord | None:
    """Return the run whose head is at work in the store ``folder``, None when none is."""
    with StoreReader(folder) as reader:
        newest = reader.runs(limit=1)
    return newest[0] if newest and newest[0].status == "running" else None


def ask(folder: str, kind: str, body: Mapping[str, object], *, timeout_s: float | None = ANSWER_S) -> dict[str, Any]:
    """Ask the live head for something and return its answer; ``Question`` says the rest."""
    return Question(folder, kind, body, timeout_s=timeout_s).wait()


class Question:
    """One thing asked of the live head.

    Args:
        folder: the run store.
        kind, body: what is asked; ``engine.wishes`` knows the kinds.
        timeout_s: how long to wait for the answer; None: as long as the run lives.

    Attributes:
        id: names the request.

    Raises:
        NoLiveRun: nobody is there to ask.
    """

    def __init__(
        self, folder: str, kind: str, body: Mapping[str, object], *, timeout_s: float | None = ANSWER_S
    ) -> None:
        run = live_run(folder)
        if run is None:
            raise NoLiveRun("no run is live here", do="scriptflow status")
        self._folder = folder
        self._run = run
        self.id = post(folder, kind, body)
        self._deadline = None if timeout_s is None else monotonic() + timeout_s
        self._look_at = monotonic() + _LOOK_S

    def poll(self, wait_s: float = 0.0) -> dict[str, Any] | None:
        """Return the answer, None when it has not come within ``wait_s``.

        Raises:
            NoLiveRun: the run has ended without an answer.
            NoAnswer: the head lives and did not answer in time; the request was taken back.
            NotFound, RequestRefused: it said no.
        """
        answer = wait_answer(self._folder, self.id, wait_s)
        if answer is None and monotonic() >= self._look_at:
            self._look_at = monotonic() + _LOOK_S
            alive = live_run(self._folder)
            if alive is None or alive.id != self._run.id:
                answer = wait_answer(self._folder, self.id, 0)  # its last words
                if answer is None:
                    self.withdraw()
                    run = self._run.run
                    raise NoLiveRun(f"{run} ended before it answered", do=f"scriptflow status {run}")
            elif self._deadline is not None and monotonic() > self._deadline:
                self.withdraw()
                raise _no_answer(self._run)
        if answer is not None and not answer.get("ok"):
            raise _refused(answer)
        return answer

    def wait(self) -> dict[str, Any]:
        """Return the answer when it has come; raises what ``poll`` raises."""
        try:
            while (answer := self.poll(_LOOK_S)) is None:
                pass
        except KeyboardInterrupt:
            self.withdraw()
            raise
        return answer

    def withdraw(self) -> None:
        """Take the request back, if it has not been heard yet."""
        withdraw(self._folder, self.id)


def _no_answer(run: RunRecord) -> NoAnswer:
    return NoAnswer(
        f"{run.run} did not answer",
        why=[
            f"process {run.pid} on {run.host} lives, but does not look into its inbox; the request was taken back",
            "flow code that blocks (time.sleep, a long computation) keeps it from looking, and so does a run that has "
            "not had to run any task so far",
        ],
        do=f"kill -INT {run.pid}  # on {run.host}: stops the run",
    )


def _refused(answer: Mapping[str, Any]) -> ScriptflowError:
    kind = NotFound if answer.get("slug") == NotFound.slug else RequestRefused
    why = answer.get("why") or []
    return kind(
        str(answer.get("error") or "the live run said no"),
        why=[str(fact) for fact in why] if isinstance(why, list) else str(why),
        do=str(answer.get("do") or ""),
    )
