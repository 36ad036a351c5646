"""What another process may ask of a live head: stop tasks or the run, try failed ones again, run one more.

Knows tasks, lives and answers. Knows nothing of how a wish comes here. Nothing that is asked can end the run but a
wish to end it: what cannot be done is answered with the reason.
"""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from scriptflow.core.job import Resources
from scriptflow.core.states import FAILED, GOOD, NEW, QUEUED, SETTLED, SKIPPED, WAITING
from scriptflow.core.task import DEFAULTS, Task
from scriptflow.engine.head import add_waiter
from scriptflow.engine.life import Life
from scriptflow.engine.selection import Enough
from scriptflow.errors import NotFound, ScriptflowError, TaskError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scriptflow.engine.head import Head

    Answer = dict[str, object]

_NAMED = 1000  # so many names stand in an answer; beside them is how many there are
_OPTIONS = frozenset(DEFAULTS) - {"props", "quiet"}
_NO_OPTIONS = ("cmd", "inputs", "outputs", "name", "by")
_LONGEST_NUMBER = 20
SUBMITTED_BY = "submitted-by"
"""The label of a task that a job submitted: the name of that job's task."""


class Wish(Protocol):
    """What was asked, as it came."""

    @property
    def id(self) -> str:
        """Where the answer goes."""
        ...

    @property
    def kind(self) -> str:
        """What is asked for."""
        ...

    @property
    def body(self) -> Mapping[str, Any]:
        """The rest of it."""
        ...


class Mailbox(Protocol):
    """Where wishes come from and answers go to."""

    def take(self) -> Sequence[Wish]:
        """Return what was asked since the last call."""
        ...

    def answer(self, request_id: str, body: Mapping[str, object]) -> None:
        """Answer one of them."""
        ...


class Wishes:
    """Hears and fulfils wishes for one head, on its loop's thread."""

    def __init__(self, head: Head, mailbox: Mailbox) -> None:
        self._head = head
        self._mailbox = mailbox
        self._submitted: dict[str, Task] = {}
        self._kinds: dict[str, Callable[[Wish], Answer | None]] = {
            "cancel": self._cancel,
            "retry": self._retry,
            "submit": self._submit,
            "wait": self._wait,
        }

    def look(self) -> bool:
        """Fulfil what was asked since the last look; False when nothing was."""
        wishes = self._mailbox.take()
        for wish in wishes:
            try:
                answer = self._kinds.get(wish.kind, _unknown)(wish)
            except ScriptflowError as error:
                answer = refusal(error)
            except Exception as bug:  # whatever was asked, the run goes on
                import logging

                logging.getLogger(__name__).exception("the request %s failed", wish.kind)
                answer = {"ok": False, "error": f"a bug of scriptflow: {type(bug).__name__}: {bug}"}
            if answer is not None:
                self._mailbox.answer(wish.id, answer)
        return bool(wishes)

    # --- cancel ---------------------------------------------------------------------------------

    def _cancel(self, wish: Wish) -> Answer:
        """``{"run": true}`` stops the run as Ctrl-C does, ``{"tasks": [patterns]}`` some of its tasks."""
        head = self._head
        if wish.body.get("run") is True:
            running = len(head.dispatcher.running)
            head.stop_run("cancel")
            return {"ok": True, "run": head.dispatcher.run, "running": running}
        stopped, called_off, settled = [], [], []
        for task in self._chosen(wish):
            if task._state in SETTLED:
                settled.append(task)
            elif task._state in (NEW, WAITING, QUEUED):
                called_off.append(task)
            else:
                stopped.append(task)
        lives = [task._life for task in stopped if isinstance(task._life, Life)]
        head.dispatcher.launcher.stop(lives, head.settings.grace, for_good=False)
        for task in called_off:
            head.call_off(task, "it was cancelled by request")
        if not (stopped or called_off):
            raise UsageError(
                f"{_few(settled)} ended already", why=[f"{task.name} {task._state}" for task in settled[:5]]
            )
        return {"ok": True, **_named("stopped", stopped), **_named("called_off", called_off)}

    # --- retry ----------------------------------------------------------------------------------

    def _retry(self, wish: Wish) -> Answer:
        """``{"run": true}`` or ``{"tasks": [patterns]}``: what of it waits for its next try is tried now.

        What failed for good stays so in this run: whoever awaited it has been told, and the flow may have acted on it.
        """
        all_of_it = wish.body.get("run") is True
        chosen = self._head.known() if all_of_it else self._chosen(wish)
        again = [task for task in chosen if isinstance(task._life, Life) and self._head.dispatcher.hurry(task._life)]
        if again:
            return {"ok": True, **_named("again", again)}
        failed = [task for task in chosen if task._state in SETTLED and task._state not in GOOD]
        if failed:
            raise UsageError(
                f"{_few(failed)} cannot run again in this run",
                why="the flow has been told of the end, and may have acted on it",
                do="scriptflow retry  # when this run is over: it runs what failed, and nothing else",
            )
        if all_of_it:
            raise UsageError(f"nothing of {self._head.dispatcher.run} has failed so far")
        raise UsageError(f"{_few(chosen)} did not fail", why=[f"{task.name} is {task._state}" for task in chosen[:5]])

    # --- submit ---------------------------------------------------------------------------------

    def _submit(self, wish: Wish) -> Answer:
        """One more task: ``cmd`` and what else ``sf.Task`` takes; ``by`` names the job that asks, ``run:number``."""
        head = self._head
        if head.dispatcher.stopping:
            raise UsageError("the run is stopping and starts nothing new", why=head.dispatcher.stopping)
        task = self._made(wish.body)
        with suppress(Enough):  # the flow will hear of it by itself
            head.send(task)
        self._submitted[wish.id] = task
        if task._state is FAILED and task._life is not None:
            raise task._life.error()
        if task._state is SKIPPED and head.selection.leaves_out(task):
            raise UsageError(
                f"this run leaves {task.name} out", why="it was started with --only, --until or as a retry"
            )
        return {"ok": True, "task": str(task.name), "state": str(task._state)}

    def _made(self, body: Mapping[str, Any]) -> Task:
        options = {key: value for key, value in body.items() if key not in _NO_OPTIONS}
        unknown = next((key for key in options if key not in _OPTIONS), None)
        if unknown is not None or "cmd" not in body:
            raise TaskError(f"a submitted task has no option {unknown!r}" if unknown else "a submitted task has no cmd")
        task = Task(
            body["cmd"], inputs=read_paths(body.get("inputs", ())), outputs=read_paths(body.get("outputs", ())),
            name=body.get("name"), **options,
        )  # fmt: skip
        by = self._life_of(body)
        if by is not None:
            task._set("labels", {**(task.get("labels") or {}), SUBMITTED_BY: by.name})
        task._group = ""  # whatever group the flow is in just now, this task is none of it
        return task

    def _wait(self, wish: Wish) -> Answer | None:
        """``{"submitted": id}``: answered when the task that was submitted so has ended.

        The job that waits (``by``) lends its slot and cpus meanwhile, so that what it waits for finds room.
        """
        task = self._submitted.get(str(wish.body.get("submitted")))
        if task is None:
            raise NotFound("no such task was submitted to this run")
        if task._state in SETTLED:
            return _ended(task)
        by = self._life_of(wish.body)
        pool, room = (by.pool, Resources(cpus=by.asked.cpus)) if by is not None else (None, Resources())
        if pool is not None:
            pool.give_back(room, ())
            self._head.dispatcher.plan_pump()

        def ended(task: Task) -> None:
            if pool is not None:
                pool.take(room)
            self._mailbox.answer(wish.id, _ended(task))

        task._waiter = add_waiter(task._waiter, ended)
        return None

    def _life_of(self, body: Mapping[str, Any]) -> Life | None:
        """Return the life whose running job asks, None when it is not said."""
        run, _, number = str(body.get("by", "")).rpartition(":")
        mine = run == self._head.dispatcher.run and number.isdecimal() and len(number) < _LONGEST_NUMBER
        return self._head.dispatcher.running.get(int(number)) if mine else None

    # --- which tasks ----------------------------------------------------------------------------

    def _chosen(self, wish: Wish) -> list[Task]:
        """Return the tasks of this run that the wish's patterns name."""
        patterns = wish.body.get("tasks")
        if not isinstance(patterns, list) or not patterns or not all(isinstance(one, str) for one in patterns):
            raise UsageError(f"{wish.kind} takes a list of tasks, or the run")
        known = self._head.known()
        chosen: dict[int, Task] = {}
        for pattern in patterns:
            found = [task for task in known if matches(task, pattern)]
            if not found:
                raise NotFound(f"no task of {self._head.dispatcher.run} is called {pattern!r}", do="scriptflow status")
            chosen.update((id(task), task) for task in found)
        return list(chosen.values())


def matches(task: Task, pattern: str) -> bool:
    """Whether ``pattern`` names a task: its name, a glob, an output, ``group:NAME`` or ``state:running``."""
    kind, colon, rest = pattern.partition(":")
    if colon and kind == "group":
        return task._group == rest
    if colon and kind == "state":
        return str(task._state) == rest
    if task.name == pattern:  # one with brackets or stars in it does not match itself as a pattern
        return True
    return fnmatchcase(task.name, pattern) or any(fnmatchcase(str(path), pattern) for path in task._outputs)


def read_paths(form: Any) -> Any:  # noqa: ANN401
    """Read paths as a request writes them: text, lists, ``{"glob": …}``, ``{"directory": …}``, ``{"groups": {…}}``.

    Raises:
        TaskError: anything else.
    """
    from scriptflow.core.paths import Directory, Glob

    if isinstance(form, str):
        return form
    if isinstance(form, (list, tuple)):
        return [read_paths(item) for item in form]
    if isinstance(form, dict) and len(form) == 1:
        ((kind, value),) = form.items()
        if kind == "groups" and isinstance(value, dict):
            return {key: read_paths(item) for key, item in value.items()}
        if kind in ("glob", "directory") and isinstance(value, str):
            return Glob(value) if kind == "glob" else Directory(value)
    raise TaskError(f"{form!r} is no path of a submitted task")


def refusal(error: ScriptflowError) -> Answer:
    """Return the answer to what cannot be done."""
    return {"ok": False, "error": error.what, "why": list(error.why), "do": error.do, "slug": error.slug}


def _unknown(wish: Wish) -> Answer:
    raise UsageError(f"a live run knows no request {wish.kind!r}")


def _ended(task: Task) -> Answer:
    answer: Answer = {"ok": True, "task": str(task.name), "state": str(task._state)}
    if task._state not in GOOD and task._life is not None:
        error = task._life.error()
        known = {key: getattr(error, key, None) for key in ("exit_code", "cause", "log")}
        answer["failed"] = {**refusal(error), **known}
    return answer


def _named(what: str, tasks: Sequence[Task]) -> Answer:
    return {what: [str(task.name) for task in tasks[:_NAMED]], f"{what}_count": len(tasks)}


def _few(tasks: Iterable[Task]) -> str:
    names = [str(task.name) for task in tasks]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
