"""The console entry: choose the command, and turn whatever goes wrong into text and an exit code.

Loads neither click nor a command itself.
"""

from __future__ import annotations

import contextlib
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from scriptflow.errors import ScriptflowError

COMMANDS = {
    "run": "scriptflow.cli.run:command",
    "plan": "scriptflow.cli.plan:command",
    "why": "scriptflow.cli.why:command",
    "retry": "scriptflow.cli.retry:command",
    "cancel": "scriptflow.cli.cancel:command",
    "submit": "scriptflow.cli.submit:command",
    "list": "scriptflow.cli.list:command",
    "status": "scriptflow.cli.status:command",
    "runs": "scriptflow.cli.runs:command",
    "show": "scriptflow.cli.show:command",
    "logs": "scriptflow.cli.logs:command",
    "watch": "scriptflow.cli.watch:command",
    "serve": "scriptflow.cli.serve:command",
    "ui": "scriptflow.cli.serve:ui",
    "trace": "scriptflow.cli.trace:command",
    "graph": "scriptflow.cli.graph:command",
    "report": "scriptflow.cli.report:command",
    "archive": "scriptflow.cli.archive:command",
    "open": "scriptflow.cli.archive:open_command",
    "suggest": "scriptflow.cli.suggest:command",
    "clean": "scriptflow.cli.clean:command",
    "touch": "scriptflow.cli.touch:command",
    "forget": "scriptflow.cli.forget:command",
    "init": "scriptflow.cli.init:command",
    "doctor": "scriptflow.cli.doctor:command",
    "config": "scriptflow.cli.config:command",
    "notify": "scriptflow.cli.notify:command",
    "explain": "scriptflow.cli.explain:command",
    "completion": "scriptflow.cli.completion:command",
}
"""Every command: its module, and the click command in it."""

COMPLETE = "_SCRIPTFLOW_COMPLETE"
"""The variable by which a shell asks for completions."""

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def console() -> NoReturn:
    """Be the program: run one command and leave with its exit code.

    When nothing of the user's is left but his exit handlers, those are called and the process ends there: taking
    apart what a flow of many tasks has built would cost as much as checking it did.
    """
    code = main()
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        sys.exit(code)
    import atexit

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or never there
            stream.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: the words after the program's name; those of this process when left out.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        code = _answer([word for word in words if word != "--debug"])
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our answer has gone; Python must not trip over the rest of it on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 (the last door: no traceback of ours reaches a user)
        return _report(error, words, debug=debug)
    return code


def _answer(words: list[str]) -> int:
    if words[:1] == ["run"] and COMPLETE not in os.environ:
        from scriptflow.cli.quick import request_of

        request = request_of(words)
        if request is not None:
            from scriptflow.cli.launch import run

            return run(request)
    from scriptflow.cli.group import invoke

    return invoke(words)


def _report(error: Exception, words: list[str], *, debug: bool) -> int:
    from scriptflow.errors import ScriptflowError

    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, PermissionError):
        from scriptflow.errors import UsageError

        error = UsageError(f"cannot read {error.filename or 'a file'}: {error.strerror}", do="check its permissions")
    if not isinstance(error, ScriptflowError):
        from scriptflow.cli.crash import internal_error

        error = internal_error(error, words)
    say_error(error)
    return error.exits_with


def say_error(error: ScriptflowError) -> None:
    """Print an error on stderr."""
    from scriptflow.terminal.look import takes_color, takes_utf8, width_of
    from scriptflow.terminal.words import error_text

    stream = sys.stderr
    text = error_text(error, color=takes_color(stream, os.environ), width=width_of(stream), utf8=takes_utf8(stream))
    print(text, file=stream)
