"""What a task's command really is: checked, its placeholders filled in, as argv, as one line, as a manifest.

Knows tasks and paths; nothing of heads, records or the disk.
"""

from __future__ import annotations

import os

from scriptflow.core.fingerprint import manifest_text
from scriptflow.core.paths import Glob, is_text
from scriptflow.errors import TaskError, UnitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from scriptflow.core.task import Task
    from scriptflow.errors import Place

_WHOLE_NUMBERS = ("cpus", "gpus", "retries")
_TIMES = ("walltime", "timeout", "retry_delay")


def checked_command(cmd: Any, place: Place) -> str | tuple[str, ...]:  # noqa: ANN401
    """Return a command as a string or a tuple of words; numbers and paths among the words become text.

    Raises:
        TaskError: it is neither, or empty, or a word holds a NUL byte.
    """
    if isinstance(cmd, str):
        return cmd
    if not isinstance(cmd, (list, tuple)):
        raise TaskError(
            f"a command is a list of words or one string, not {type(cmd).__name__}",
            do='sf.Task(["sort", "a.txt"]) or sf.Task("sort a.txt")',
            place=place,
        )
    if not cmd:
        raise TaskError("the command is empty", do="name a program to run", place=place)
    words: list[str] = []
    for word in cmd:
        if isinstance(word, os.PathLike):
            word = os.fspath(word)
        if isinstance(word, (int, float)) and not isinstance(word, bool):
            word = str(word)
        if not isinstance(word, str):
            raise TaskError(
                f"{word!r} in the command is {type(word).__name__}, not text",
                why=f"the command is {list(cmd)!r}",
                do="turn it into text with str(...)",
                place=place,
            )
        words.append(str(word))
    return tuple(words)


def checked_options(options: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Return a task's options, each of its right kind; sizes and times stay as written.

    Raises:
        TaskError: an unknown option, or a value of the wrong kind; names the nearest.
        UnitError: a size or a time in no known form.
    """
    from scriptflow.core.task import DEFAULTS

    for key, value in options.items():
        if key not in DEFAULTS:
            from difflib import get_close_matches

            near = get_close_matches(key, DEFAULTS, 1)
            raise TaskError(
                f"a task has no option {key!r}",
                why=f"it has {', '.join(DEFAULTS)}",
                do=f"did you mean {near[0]}?" if near else "",
                place=place,
            )
        _check_option(key, value, place)
    return dict(options)


def _check_option(key: str, value: Any, place: Place) -> None:  # noqa: ANN401
    """Raise what is wrong with one option."""
    from scriptflow.core.units import bytes_of, seconds_of

    if key in _WHOLE_NUMBERS and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise TaskError(f"{key}={value!r} is no whole number from 0 up", do=f"{key}=1", place=place)
    if key == "priority" and (not isinstance(value, int) or isinstance(value, bool)):
        raise TaskError(f"priority={value!r} is no whole number", do="priority=1", place=place)
    if key in ("container", "executor") and not isinstance(value, str | None):
        raise TaskError(f"{key}={value!r} is no text", place=place)
    if key == "cwd" and not isinstance(value, str | os.PathLike | None):
        raise TaskError(f"cwd={value!r} is no path of a folder", place=place)
    if key == "check" and value not in (None, "mtime", "content"):
        raise TaskError(f"check={value!r} is neither mtime nor content", do='check="content"', place=place)
    if key in ("env", "labels", "props", "parse_log") and value is not None:
        if not hasattr(value, "items"):
            raise TaskError(f"{key}={value!r} is no dict", do=f'{key}={{"NAME": "value"}}', place=place)
        if key == "env":
            _check_env(value, place)
        if key == "parse_log":
            from scriptflow.core.registry import load

            load("scriptflow.engine.results:check_patterns")(value, place)
    try:
        if key in _TIMES and value is not None:
            seconds_of(value)
        if key == "memory" and value is not None:
            bytes_of(value)
    except UnitError as error:
        error.place = place
        raise


def _check_env(env: Mapping[Any, Any], place: Place) -> None:
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or not _can_be_passed(name):
            raise TaskError(f"env has {name!r}, which is no name of a variable", place=place)
        if not _can_be_passed(str(value)):
            raise TaskError(f"env has {name}={value!r}, which cannot be given to a program", place=place)


def paths_in(task: Task, folder: str) -> tuple[str, ...]:
    """Return the paths of all inputs: tasks by their outputs, globs as what matches now."""
    return _expanded(task._inputs, folder)


def paths_out(task: Task, folder: str) -> tuple[str, ...]:
    """Return the paths of all outputs, globs as what matches now."""
    outputs = task._outputs
    for item in outputs:
        if isinstance(item, Glob) or item[0] == "/":
            return _expanded(outputs, folder)
    return outputs


def _expanded(items: Sequence[Any], folder: str) -> tuple[str, ...]:
    """Return items as paths; a full path below the folder becomes relative to it, so that one file has one name."""
    found: list[str] = []
    for item in items:
        if isinstance(item, str):
            inside = item[0] == "/" and item.startswith(folder + "/")
            found.append(type(item)(item[len(folder) + 1 :]) if inside else item)
        elif isinstance(item, Glob):
            found.extend(item.expand(folder))
        else:
            found.extend(paths_out(item, folder))
    return tuple(found)


def declared(items: Sequence[Any]) -> list[str]:
    """Return items as the manifest has them: a glob by its pattern, a task by its outputs."""
    names: list[str] = []
    for item in items:
        if isinstance(item, str):
            names.append(item)
        elif isinstance(item, Glob):
            names.append(item.pattern)
        else:
            names.extend(declared(item.outputs))
    return names


def manifest_of(task: Task, inputs: Sequence[str] | None = None, folder: str = "") -> str:
    """Return the task's manifest.

    Args:
        task: whose it is.
        inputs: its paths when globs have been expanded already.
        folder: the flow's: what lies below it is named relative to it, so that a moved project is the same.
    """
    options = task._options
    extra: dict[str, str] | None = None
    shell = False
    outputs: Sequence[str] = task._outputs
    for item in outputs:
        if type(item) is not str:
            outputs = declared(outputs)
            break
    if options:
        shell = bool(options.get("shell"))
        extra = {key: os.fspath(options[key]) for key in ("cwd", "container") if options.get(key)}
        for name, value in (options.get("env") or {}).items():
            extra[f"env {name}"] = str(value)
        if (call := options.get("call")) is not None:
            extra.update(call.manifest(folder))
            outputs = [path for path in outputs if path != call.value_file]
        for side in ("groups_in", "groups_out"):
            for name, items in (options.get(side) or {}).items():
                extra[f"{side} {name}"] = "\n".join(declared(items))
    if inputs is None:
        inputs = declared(task._inputs)
    if folder:
        outputs = [path.removeprefix(folder + "/") if path[0] == "/" else path for path in outputs]
    return manifest_text(task.cmd, shell, inputs, outputs, extra)


def argv_of(task: Task, folder: str) -> tuple[str, ...]:
    """Return program and arguments, placeholders filled in.

    Raises:
        TaskError: a string command cannot be split, names an input that is not there, or holds a NUL byte.
    """
    if (call := task.get("call")) is not None:
        argv: tuple[str, ...] = call.argv(folder)
    elif isinstance(task.cmd, str):
        text = _filled(task, folder)
        if task.get("shell"):
            argv = ("/bin/sh", "-c", text) if os.name == "posix" else ("cmd", "/c", text)
        else:
            import shlex

            try:
                argv = tuple(shlex.split(text))
            except ValueError as error:
                raise TaskError(
                    f"the command of task {task.name} cannot be split: {str(error).lower()}",
                    why=f"it is {text!r}",
                    do="pass a list of words, or shell=True",
                    place=task.place,
                ) from error
    else:
        argv = task.cmd
    if not argv:
        raise TaskError(f"the command of task {task.name} is empty", do="name a program to run", place=task.place)
    for word in argv:
        if not _can_be_passed(word):
            raise TaskError(
                f"the command of task {task.name} cannot be given to a program",
                why=f"{word!r} holds a NUL byte or is no text",
                place=task.place,
            )
    return argv


def _can_be_passed(word: str) -> bool:
    return "\0" not in word and is_text(word)


def command_line(task: Task, folder: str = "") -> str:
    """Return the command as one line that a shell would take."""
    if isinstance(task.cmd, str):
        return _filled(task, folder or os.curdir)
    import shlex

    return shlex.join(task.cmd)


def _filled(task: Task, folder: str) -> str:
    """Fill ``{inputs}``, ``{input}``, ``{outputs}``, ``{output}``, ``{…[0]}`` and ``{…[name]}`` in, quoted.

    Any other brace is left alone: awk and shell use them too.
    """
    text = task.cmd
    if not isinstance(text, str) or "{" not in text:
        return str(text)
    import re
    import shlex

    groups: dict[str, Callable[[], tuple[Sequence[str], Mapping[Any, Any]]]] = {
        "in": lambda: (paths_in(task, folder), task.get("groups_in") or {}),
        "out": lambda: (paths_out(task, folder), task.get("groups_out") or {}),
    }

    def fill(match: re.Match[str]) -> str:
        paths, named = groups[match[1]]()
        which = match[3]
        if which is None:
            chosen: Sequence[str] = paths[:1] if match[2] == "put" else paths
        elif _is_number(which):
            if not -len(paths) <= int(which) < len(paths):
                raise TaskError(
                    f"{match[0]} in the command of task {task.name} is not there",
                    why=f"it has {len(paths)} of them",
                    place=task.place,
                )
            chosen = (paths[int(which)],)
        elif which in named:
            chosen = _expanded(named[which], folder)
        else:
            raise TaskError(
                f"{match[0]} in the command of task {task.name} is not there",
                why=f"its groups are {', '.join(map(str, named)) or 'none'}",
                do="declare groups as a dict: outputs={'name': [...]}",
                place=task.place,
            )
        # A name that begins with a dash would be taken for an option.
        return " ".join(shlex.quote("./" + path if path.startswith("-") else path) for path in chosen)

    return re.sub(r"\{(in|out)(puts?)(?:\[([^\]{}]+)\])?\}", fill, text)


def _is_number(text: str) -> bool:
    digits = text[1:] if text[:1] == "-" else text
    return digits.isascii() and digits.isdigit()
