"""Task: what to do; a command with its inputs, outputs, resources and policy.

A task is a slotted awaitable, never a coroutine. Knows nothing of how it is decided, run or
recorded: awaiting it hands it to the current head.
"""

from __future__ import annotations

import sys

from scriptflow.core.context import DECLARED, GROUP, current_head
from scriptflow.core.names import Uid, default_name
from scriptflow.core.paths import Glob, is_text, paths_of, plain
from scriptflow.core.states import GOOD, NEW, SETTLED, TaskState
from scriptflow.errors import Place, TaskError, TaskFrozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from os import PathLike
    from types import CodeType
    from typing import Any, Self

    from scriptflow.core.interfaces import Story

# What a task is when nothing else was said, in the order of the constructor; only what differs is kept.
DEFAULTS: dict[str, Any] = {
    "shell": False, "cwd": None, "env": None, "executor": None, "container": None, "cpus": 1, "memory": None,
    "gpus": 0, "walltime": None, "timeout": None, "retries": 0, "retry_delay": 0, "priority": 0, "check": None,
    "quiet": True, "labels": None, "keep_partial": None, "update_in_place": False, "props": None, "parse_log": None,
}  # fmt: skip
_PLAIN = tuple(DEFAULTS.values())
_NOTHING: dict[str, Any] = {}
_OLD_PROPS = {"mem": "memory", "ncore": "cpus"}


class Task:
    """A command (or a function) with inputs and outputs; awaiting it runs it unless it is up to date.

    Args:
        cmd: a list is argv and is never split; a string is split as a shell would, unless ``shell=True``.
            In a string, ``{inputs}``, ``{inputs[0]}``, ``{output}`` and ``{outputs[name]}`` are filled in, quoted.
        inputs: paths, tasks (their outputs), ``sf.glob``, ``sf.directory``, or lists or dicts of those.
        outputs: the same without tasks; all are relative to the flow file's folder.
        name: shown everywhere; by default the first output, else the program.
        shell: run the string by ``/bin/sh -c``.
        cwd: folder to run in, by default the flow file's folder.
        env: added to the environment.
        executor: the name of the executor to use; by default the first that has room.
        container: image to run in, on executors that can.
        cpus, memory, gpus: what it needs; memory is ``"4GB"`` or a number of GB.
        walltime: the longest it may run on a batch system; ``timeout``: the same, kept by scriptflow.
        retries: so many more jobs after a failed one; ``retry_delay`` doubles each time.
        priority: higher starts first among those that wait; check: ``"mtime"`` or ``"content"``, by default the run's.
        labels: free words kept with the record; quiet: kept for old flows, output always goes to the log.
        keep_partial: leave a failed task's outputs as ``NAME.partial``.
        update_in_place: the command changes its outputs, so they are not set aside before it starts.
        parse_log: maps a name to a pattern; the last match in the job's log is kept as ``task.results[name]``.

    Raises:
        TaskError: an argument is of no use; at the line that made the task.
    """

    __slots__ = (
        "_code",
        "_group",
        "_inputs",
        "_life",
        "_line",
        "_name",
        "_options",
        "_outputs",
        "_state",
        "_waiter",
        "cmd",
    )

    cmd: str | tuple[str, ...]
    _inputs: tuple[Any, ...]
    _outputs: tuple[Any, ...]

    def __init__(
        self,
        cmd: Any,  # noqa: ANN401
        *,
        inputs: Any = (),  # noqa: ANN401
        outputs: Any = (),  # noqa: ANN401
        name: str | None = None,
        shell: bool = False,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        executor: str | None = None,
        container: str | None = None,
        cpus: int = 1,
        memory: str | float | None = None,
        gpus: int = 0,
        walltime: str | float | None = None,
        timeout: str | float | None = None,
        retries: int = 0,
        retry_delay: str | float = 0,
        priority: int = 0,
        check: str | None = None,
        quiet: bool = True,
        labels: Mapping[str, str] | None = None,
        keep_partial: bool | None = None,
        update_in_place: bool = False,
        props: Mapping[str, Any] | None = None,
        parse_log: Mapping[str, str] | None = None,
    ) -> None:
        frame = sys._getframe(1)
        self._code: CodeType = frame.f_code
        self._line: int = frame.f_lineno
        if name is not None and not (isinstance(name, str) and (name.isascii() or is_text(name))):
            raise TaskError(f"name={name!r} is no text", place=self.place)
        self._name = name
        self._options = _NOTHING
        self._group = GROUP.get()
        self._state: TaskState = NEW
        self._waiter: Any = None
        self._life: Story | None = None
        self.cmd = cmd if type(cmd) is str else self._checked(cmd)
        # The plain cases first: most tasks of a large flow have one output and one or no input.
        try:
            self._outputs: tuple[Any, ...] = (
                (plain(outputs),) if type(outputs) is str else self._read(outputs, "outputs")
            )
            self._inputs = (plain(inputs),) if type(inputs) is str else self._read(inputs, "inputs")
        except TaskError as error:
            error.place = self.place
            raise
        options = (
            shell, cwd, env, executor, container, cpus, memory, gpus, walltime, timeout, retries, retry_delay,
            priority, check, quiet, labels, keep_partial, update_in_place, props, parse_log,
        )  # fmt: skip
        if options != _PLAIN:
            given = zip(DEFAULTS, options, strict=False)
            self._set_options({key: value for key, value in given if value != DEFAULTS[key]})
        DECLARED.get().append(self)

    # --- setters: each returns the task ---------------------------------------------------------

    def output(self, value: Any) -> Self:  # noqa: ANN401
        """Declare the outputs: a path or any form that ``outputs=`` takes."""
        self._editable("output")
        self._outputs = self._read(value, "outputs")
        DECLARED.get().append(self)
        return self

    def input(self, value: Any) -> Self:  # noqa: ANN401
        """Add inputs: paths, tasks, or any form that ``inputs=`` takes."""
        self._editable("input")
        paths, groups = paths_of(value, "inputs")
        self._inputs += paths
        if groups:
            self._set("groups_in", {**(self.get("groups_in") or {}), **groups})
        DECLARED.get().append(self)
        return self

    def add_deps(self, value: Any) -> Self:  # noqa: ANN401
        """Add inputs; the old name of ``input``."""
        return self.input(value)

    def result(self, file: str) -> Self:
        """Name the file that holds the task's result; ``task.value`` reads it."""
        self._editable("result")
        self._set("result", plain(file))
        return self

    def retry(self, count: int) -> Self:
        """Allow ``count`` more jobs after a failed one."""
        self._editable("retry")
        self._set_options({"retries": count})
        return self

    set_retry = retry  # its old name

    def set_prop(self, key: str, value: Any) -> Self:  # noqa: ANN401
        """Set a property; ``mem`` (GB) and ``ncore`` are ``memory`` and ``cpus``, others are kept as labels."""
        self._editable("set_prop")
        self._set_options({"props": {key: value}})
        return self

    def copy(self, **changes: Any) -> Task:
        """Return an editable twin, with ``changes`` (keywords of ``Task``) made to it."""
        twin = Task.__new__(type(self))
        for slot in Task.__slots__:
            setattr(twin, slot, getattr(self, slot))
        twin._options = dict(self._options)
        twin._state, twin._waiter, twin._life = NEW, None, None
        frame = sys._getframe(1)
        twin._code, twin._line = frame.f_code, frame.f_lineno
        twin._group = GROUP.get() or self._group
        for key, value in changes.items():
            twin._change(key, value)
        self._options = {**self._options, "template": True}
        DECLARED.get().append(twin)
        return twin

    # --- readers --------------------------------------------------------------------------------

    @property
    def uid(self) -> Uid:
        """The task's name, as a ``str``; called, it sets the name and returns the task."""
        uid = Uid(self._name or default_name(self))
        uid._task = self
        return uid

    name = uid

    @property
    def inputs(self) -> list[Any]:
        """All declared inputs, flat, as declared (tasks stand for their outputs)."""
        return [path for item in self._inputs for path in (item._outputs if isinstance(item, Task) else (item,))]

    @property
    def deps(self) -> list[Any]:
        """All declared inputs; the old name of ``inputs``."""
        return self.inputs

    @property
    def outputs(self) -> list[Any]:
        """All declared outputs, flat."""
        return list(self._outputs)

    @property
    def output_file(self) -> str:
        """The first declared output.

        Raises:
            TaskError: it declares none, or a glob comes first.
        """
        if not self._outputs or isinstance(self._outputs[0], Glob):
            raise TaskError(
                f"task {self.name} declares no output file", do="declare one with outputs=", place=self.place
            )
        return str(self._outputs[0])

    def get_outputs(self) -> list[Any]:
        """Return all declared outputs, flat."""
        return list(self._outputs)

    def get_output_group(self, key: str | None) -> list[Any]:
        """Return the outputs of one group of ``outputs={"group": [...]}``; None is the group of a plain list."""
        groups = self.get("groups_out") or {None: self._outputs}
        if key not in groups:
            raise TaskError(
                f"task {self.name} has no output group {key!r}", why=f"it has {', '.join(map(repr, groups))}"
            )
        return list(groups[key])

    @property
    def command(self) -> str:
        """The command as one line, as a shell would take it, placeholders filled in."""
        from scriptflow.core.command import command_line

        return command_line(self)

    def get_command(self) -> str | list[str]:
        """Return the command as declared: a string, or the list of words."""
        return self.cmd if isinstance(self.cmd, str) else list(self.cmd)

    def get_prop(self, key: str) -> Any:  # noqa: ANN401
        """Return a property set by ``props=`` or ``set_prop``, None when it was never set."""
        props: Mapping[str, Any] = self.get("props") or {}
        return props.get(key)

    @property
    def state(self) -> TaskState:
        """Where the task is in its life."""
        return self._state

    @property
    def key(self) -> str:
        """A digest (32 hex digits) of command, code, parameters, inputs' and outputs' paths, container."""
        from scriptflow.core.command import manifest_of
        from scriptflow.core.fingerprint import digest

        return digest(manifest_of(self))

    @property
    def value(self) -> Any:  # noqa: ANN401
        """The content of the file named by ``.result(file)``: JSON as data, else text.

        Raises:
            TaskError: no result was declared, or the task has not ended well.
        """
        from scriptflow.core.registry import load

        sys.audit("scriptflow.value", self)  # a plan wants to know where the flow reads what a run would make
        return load("scriptflow.engine.results:read_result")(self)

    @property
    def results(self) -> dict[str, Any]:
        """What ``parse_log`` found in the log of the job that made the outputs: numbers where they are, else text."""
        from scriptflow.core.registry import load

        found: dict[str, Any] = load("scriptflow.engine.results:results_of")(self)
        return found

    @property
    def place(self) -> Place:
        """The line that made the task."""
        return Place(self._code.co_filename, self._line)

    def get(self, option: str) -> Any:  # noqa: ANN401
        """Return an option of the constructor, or its default."""
        return self._options.get(option, DEFAULTS.get(option))

    # --- sending and awaiting -------------------------------------------------------------------

    def start(self) -> Self:
        """Send the task without waiting for it. May be called again: that does nothing."""
        if self._state is NEW:
            current_head().send(self)
        return self

    def schedule(self) -> Self:
        """Send the task without waiting for it; the old name of ``start``."""
        return self.start()

    def __await__(self) -> Generator[Any, Any, Self]:
        if self._state not in SETTLED:
            head = current_head()
            if not head.send(self):
                yield from head.wait(self)
        if self._state not in GOOD:
            assert self._life is not None  # noqa: S101 (a task that went wrong has its life's story)
            raise self._life.error()
        return self

    def __repr__(self) -> str:
        return f"<Task {self.name} {self._state}>"

    # --- inside ---------------------------------------------------------------------------------

    def _editable(self, what: str) -> None:
        if self._state is not NEW:
            raise TaskFrozen(
                f"{what}: task {self.name} was sent already and cannot be changed",
                why=f"it is {self._state}; it was made at {self.place}",
                do="change a twin: task.copy(...)",
            )

    def _rename(self, name: str) -> Task:
        self._editable("uid")
        self._name = str(name)
        DECLARED.get().append(self)
        return self

    def _set(self, option: str, value: Any) -> None:  # noqa: ANN401
        if self._options is _NOTHING:
            self._options = {}
        self._options[option] = value

    def _read(self, value: Any, what: str) -> tuple[Any, ...]:  # noqa: ANN401
        if value == ():
            return ()
        paths, groups = paths_of(value, what)
        if groups:
            self._set("groups_in" if what == "inputs" else "groups_out", groups)
        return paths

    def _change(self, key: str, value: Any) -> None:  # noqa: ANN401
        match key:
            case "cmd":
                self.cmd = self._checked(value)
            case "name":
                self._name = value
            case "inputs":
                self._inputs = self._read(value, "inputs")
            case "outputs":
                self._outputs = self._read(value, "outputs")
            case _:
                self._set_options({key: value})

    def _set_options(self, options: dict[str, Any]) -> None:
        from scriptflow.core.command import checked_options

        for key, value in checked_options(options, self.place).items():
            if key == "props":
                self._set_options({new: value[old] for old, new in _OLD_PROPS.items() if old in value})
                value = {**(self.get("props") or {}), **value}
            self._set(key, value)

    def _checked(self, cmd: Any) -> str | tuple[str, ...]:  # noqa: ANN401
        if type(cmd) in (list, tuple):
            words = tuple(cmd)
            for word in words:
                if type(word) is not str:
                    break
            else:
                if words:
                    return words
        from scriptflow.core.command import checked_command

        return checked_command(cmd, self.place)
