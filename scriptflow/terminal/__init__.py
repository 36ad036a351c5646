"""The screens of a run, and the choice among them.

A screen is a listener of the event stream. Nothing here is loaded that a run with nothing to do does not need.
"""

from __future__ import annotations

from scriptflow.terminal.look import Look, is_terminal, takes_color, takes_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from scriptflow.core.interfaces import Listener
    from scriptflow.terminal.look import Stream

KINDS = ("auto", "live", "plain", "quiet", "json")


def choose(
    progress: str = "auto",
    *,
    verbose: int = 0,
    quiet: int = 0,
    stream: Stream | None = None,
    color: bool | None = None,
    env: Mapping[str, str] | None = None,
    expected: Mapping[str, float] | None = None,
) -> Listener:
    """Return the screen for a run.

    Args:
        progress: one of ``KINDS``; ``auto`` is ``live`` at a terminal outside CI, else ``plain``.
        verbose: 1 adds the names of skipped tasks and the commands.
        quiet: 1 leaves failures, warnings and the summary, 2 leaves nothing.
        stream: where to, stderr by default.
        color: whether to use colours, None = look at stream and environment.
        env: the environment, the process's own by default.
        expected: seconds that a task of each group took in an earlier run.

    Raises:
        SettingsError: ``progress`` is none of ``KINDS``.
    """
    if progress not in KINDS:
        from scriptflow.errors import SettingsError

        raise SettingsError(f"unknown progress display: {progress}", do=f"use one of {', '.join(KINDS)}")
    if stream is None or env is None:
        import os
        import sys

        stream = sys.stderr if stream is None else stream
        env = os.environ if env is None else env
    if progress == "json":
        from scriptflow.terminal.jsonlines import JsonLines

        return JsonLines(stream)
    from scriptflow.terminal.screen import Screen, Silent

    if quiet >= 2:
        return Silent()
    look = Look(utf8=takes_utf8(stream), color=takes_color(stream, env) if color is None else color)
    if quiet or progress == "quiet":
        return Screen(stream, look, expected=expected)
    if _can_move(stream, env) and (progress == "live" or (progress == "auto" and not _in_ci(env))):
        from scriptflow.terminal.live import Live

        return Live(stream, look, verbose=verbose, expected=expected)
    from scriptflow.terminal.plain import Plain

    return Plain(stream, look, verbose=verbose, expected=expected, github=_is_set(env, "GITHUB_ACTIONS"))


def _can_move(stream: Stream, env: Mapping[str, str]) -> bool:
    """Whether a cursor can be moved there."""
    return is_terminal(stream) and env.get("TERM") not in ("dumb", "unknown")


def _in_ci(env: Mapping[str, str]) -> bool:
    return _is_set(env, "CI") or _is_set(env, "GITHUB_ACTIONS")


def _is_set(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").lower() not in ("", "0", "false", "no")
