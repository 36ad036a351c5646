"""Take a request from its words to an exit code: load the flow, read the settings, run or plan it, say how it went.

Knows nothing of click: a request is the same, whoever read it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from scriptflow.flowfile.discover import find_flow_file, flow_traceback, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from subprocess import Popen
    from typing import TextIO

    from scriptflow.app import RunOptions, RunResult
    from scriptflow.core.config import Settings
    from scriptflow.core.interfaces import Listener
    from scriptflow.flowfile.discover import Flow, FlowFile

WORK_IS_DUE = 3
_STORE = ".scriptflow"
_BEGINS_WITHIN_S = 10.0
_LOOK_S = 0.05


class Request:
    """What ``run`` and ``plan`` were asked for.

    Attributes:
        words: the flow's name, and the options that only the flow knows (``--n 3``).
        params, params_file: of ``-p k=v`` and ``--params FILE``.
        recorded: parameters as a past run recorded them, instead of all these; ``done``: tasks to leave out.
        flags: layers of settings, each under the name of its flag.
        argv: the words of the command line.
        cwd: where they were typed, when ``-C`` went elsewhere.
    """

    def __init__(
        self,
        *,
        words: tuple[str, ...] = (),
        params: tuple[str, ...] = (),
        params_file: str | None = None,
        recorded: Mapping[str, object] | None = None,
        file: str | None = None,
        profile: str | None = None,
        flags: Sequence[tuple[str, Mapping[str, object]]] = (),
        force: tuple[str, ...] = (),
        only: tuple[str, ...] = (),
        until: tuple[str, ...] = (),
        done: frozenset[str] = frozenset(),
        name: str | None = None,
        tags: tuple[str, ...] = (),
        executor: str | None = None,
        events: str | None = None,
        as_json: bool = False,
        quiet: int = 0,
        verbose: int = 0,
        argv: tuple[str, ...] = (),
        cwd: str | None = None,
    ) -> None:
        self.words = words
        self.params = params
        self.params_file = params_file
        self.recorded = recorded
        self.file = file
        self.profile = profile
        self.flags = (*flags, ("-q", {"quiet": True})) if quiet else tuple(flags)
        self.force = force
        self.only = only
        self.until = until
        self.done = done
        self.name = name
        self.tags = tags
        self.executor = executor
        self.events = events
        self.as_json = as_json
        self.quiet = int(quiet)
        self.verbose = verbose
        self.argv = argv
        self.cwd = cwd


class Ready:
    """All that a run is made of: the arguments of ``app.run_flow``, in its order."""

    __slots__ = ("flow", "flow_file", "options", "params", "settings")

    def __init__(
        self, flow_file: FlowFile, flow: Flow, params: dict[str, object], settings: Settings, options: RunOptions
    ) -> None:
        self.flow_file = flow_file
        self.flow = flow
        self.params = params
        self.settings = settings
        self.options = options


def ready(request: Request) -> Ready:
    """Load the flow file and settle everything a run needs; nothing is started and nothing written.

    Raises:
        UsageError: something in the request, the flow file or the settings cannot be used.
    """
    from scriptflow.settings_files import load_settings

    flow_file = load_flow_file(request.file)
    flow, params = _chosen(request, flow_file)
    settings = load_settings(flow_file.folder, profile=request.profile, mark=flow.options, flags=request.flags)
    from scriptflow.app import RunOptions  # after all that may go wrong: it loads the engine

    options = RunOptions(
        force=request.force,
        only=request.only,
        until=request.until,
        done=request.done,
        name=request.name,
        tags=request.tags,
        executor=request.executor,
        argv=request.argv,
    )
    return Ready(flow_file, flow, params, settings, options)


def load_flow_file(file: str | None = None) -> FlowFile:
    """Load the flow file of this folder, or the one named.

    Raises:
        NoFlowFile: there is none, or this folder itself is gone.
    """
    try:
        here = os.getcwd()  # noqa: PTH109 (pathlib would be loaded for this)
    except OSError as error:
        from scriptflow.errors import NoFlowFile

        raise NoFlowFile(f"this directory cannot be read: {error.strerror}", do="cd to one that is there") from error
    return load(find_flow_file(here, file))


def _chosen(request: Request, flow_file: FlowFile) -> tuple[Flow, dict[str, object]]:
    """Return the flow that was asked for, and its parameters."""
    if request.recorded is not None:
        flow = flow_file.choose(*request.words)
        texts = {key: value for key, value in request.recorded.items() if isinstance(value, str)}
        return flow, flow.bind(texts, {key: value for key, value in request.recorded.items() if key not in texts})
    plain = len(request.words) == 0 or (len(request.words) == 1 and not request.words[0].startswith("-"))
    if plain and not request.params and not request.params_file:
        flow = flow_file.choose(*request.words)
        return flow, flow.bind({})
    from scriptflow.cli.flow_words import read_params_file, read_words

    flow, strings = read_words(request.words, request.params, flow_file)
    return flow, flow.bind(strings, read_params_file(request.params_file) if request.params_file else {})


def run(request: Request) -> int:
    """Run a flow and return the exit code."""
    what = ready(request)
    from scriptflow.app import run_flow

    with _events_file(request.events) as events:
        listeners = _listeners(request, what, events)
        result = run_flow(what.flow_file, what.flow, what.params, what.settings, what.options, listeners)
    if result.error is not None:
        _say_what_ended(result.error)
    if request.as_json:
        _print_json(_result_document(result))
    return result.exit_code


def plan(request: Request, *, exit_code: bool = False) -> int:
    """Print what a run would do and why; return 0, or with ``exit_code`` 3 when there is something to do."""
    sys.dont_write_bytecode = True  # also of the user's own modules nothing is written
    what = ready(request)
    from scriptflow.plans import plan_flow

    try:
        found = plan_flow(what.flow_file, what.flow, what.params, what.settings, what.options)
    except Exception as error:
        if not _is_of_the_flow(error, what.flow_file.path):
            raise
        sys.stderr.write(flow_traceback(error, what.flow_file.path))
        return 1
    if request.as_json:
        would_run = [
            {"task": task.task, "reasons": [{"code": code, "detail": detail} for code, detail in task.reasons]}
            for task in found.would_run
        ]
        _print_json(
            {"schema": 1, "flow": found.flow, "would_run": would_run}
            | {"up_to_date": found.up_to_date, "complete": found.complete}
            | ({} if found.complete else {"certain": found.certain, "stopped_at": found.stopped_at})
        )
    else:
        from scriptflow.cli.plan_text import print_plan

        print_plan(found, verbose=request.verbose > 0)
    return WORK_IS_DUE if exit_code and found.would_run else 0


def detach(request: Request) -> int:
    """Start the same command again in a session of its own, and say how to follow it."""
    import subprocess

    what = ready(request)  # whatever is wrong with the request is said here, not in a log nobody reads
    folder = f"{what.flow_file.folder}/{_STORE}"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 (as above)
        log = os.open(f"{folder}/detached.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        from scriptflow.errors import StoreUnwritable

        raise StoreUnwritable(f"cannot write {folder}: {error.strerror}", do="free the folder for writing") from error
    with os.fdopen(log, "wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "scriptflow", *(word for word in request.argv if word != "--detach")],
            cwd=request.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    run = _run_of(child, folder)
    if run is None:
        with open(f"{folder}/detached.log", encoding="utf-8", errors="replace") as said:  # noqa: PTH123 (as above)
            sys.stderr.write(said.read())
        return child.returncode
    child.returncode = 0  # it is to outlive us: no warning about that
    print(  # noqa: T201 (this is the screen)
        f"{run or what.flow.name} runs on its own (pid {child.pid}), output in {folder}/detached.log\n"
        f"  follow: scriptflow watch {run}\n  stop:   scriptflow cancel {run}",
        file=sys.stderr,
    )
    if request.as_json:
        _print_json({"schema": 1, "run": run, "flow": what.flow.name, "pid": child.pid})
    return 0


def _run_of(child: Popen[bytes], folder: str) -> str | None:
    """Return the name of the run that a child has begun, "" when it takes long to; None when it failed to begin one."""
    from time import monotonic, sleep

    from scriptflow.errors import ScriptflowError
    from scriptflow.store.reader import StoreReader

    deadline = monotonic() + _BEGINS_WITHIN_S
    while monotonic() < deadline:
        ended = child.poll() is not None
        with suppress(ScriptflowError), StoreReader(folder) as reader:  # at first there is no store to read
            newest = reader.runs(limit=1)
            if newest and newest[0].pid == child.pid:
                return newest[0].run
        if ended:
            return None
        sleep(_LOOK_S)
    return ""


def _say_what_ended(error: BaseException) -> None:
    """Print an error that ended the flow; failed tasks were told by the screen as they failed."""
    from scriptflow.errors import ScriptflowError, TaskFailed, TasksFailed

    if isinstance(error, ScriptflowError) and not isinstance(error, (TaskFailed, TasksFailed)):
        from scriptflow.cli.main import say_error

        say_error(error)


def _is_of_the_flow(error: Exception, path: str) -> bool:
    """Whether the flow's own code, or what it called, raised ``error``, and not we."""
    files = []
    trace = error.__traceback__
    while trace is not None:
        files.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return path in files and not files[-1].startswith(__file__.rpartition("cli")[0])


def _listeners(request: Request, what: Ready, events: TextIO | None) -> list[Listener]:
    from scriptflow.terminal import choose

    settings = what.settings
    progress = settings.progress
    if progress == "auto" and settings.classic_terminal:
        progress = "plain"
    quiet = max(request.quiet, int(settings.quiet))
    expected = None if quiet else _seconds_of_last_time(what)
    listeners = [choose(progress, verbose=request.verbose, quiet=quiet, stream=sys.stderr, expected=expected)]
    if events is not None:
        listeners.append(choose("json", verbose=request.verbose, quiet=0, stream=events))
    return listeners


def _seconds_of_last_time(what: Ready) -> Mapping[str, float] | None:
    """Return how long tasks took last time, where someone watches who would like to know how long it will take."""
    from scriptflow.errors import ScriptflowError
    from scriptflow.terminal.look import is_terminal

    folder = f"{what.flow_file.folder}/{_STORE}"
    if not is_terminal(sys.stderr) or not os.path.isfile(f"{folder}/runs.db"):  # noqa: PTH113 (as above)
        return None
    from scriptflow.store.reader import StoreReader

    try:
        with StoreReader(folder) as reader:
            return reader.durations(what.flow.name)
    except ScriptflowError:  # the run itself will say what is wrong with its store
        return None


def _events_file(path: str | None) -> AbstractContextManager[TextIO | None]:
    """Open the file for ``--events``; ``-`` is stdout, which stays open."""
    from contextlib import nullcontext

    if path is None or path == "-":
        return nullcontext(None if path is None else sys.stdout)
    try:
        return open(path, "w", encoding="utf-8", buffering=1)  # noqa: PTH123 (as above; the caller closes it)
    except OSError as error:
        from scriptflow.errors import UsageError

        raise UsageError(f"cannot write events to {path}: {error.strerror}", do="--events PATH") from error


def _result_document(result: RunResult) -> dict[str, object]:
    counts = {key: getattr(result, key) for key in ("ran", "skipped", "failed", "cancelled")}
    failures = [
        {"task": failure.task, "exit_code": failure.exit_code, "cause": failure.cause, "log": failure.log}
        for failure in result.failures
    ]
    return (
        {"schema": 1, "run": result.run, "flow": result.flow, "status": str(result.status)}
        | counts
        | {"seconds": round(result.seconds, 3), "failures": failures}
    )


def _print_json(document: object) -> None:
    import json

    print(json.dumps(document))  # noqa: T201 (this is the answer)
