"""Read the options of a batch executor, of the executor as a whole and of one job.

Knows names and values; knows nothing of any one batch system but what it accepts beyond the common ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.core.frozen import frozen
from scriptflow.core.nearest import nearest
from scriptflow.core.units import bytes_of, seconds_of
from scriptflow.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scriptflow.core.job import Job

_ELSEWHERE = (
    "host", "user", "port", "workdir", "transport", "shared_filesystem", "ssh_config", "remote_prologue"
)  # fmt: skip
COMMON = (
    "maxsize", "array_max", "poll", "queue", "partition", "account", "modules", "walltime", "memory", "pe",
    "directives", "prologue", "env", "memory_growth", "walltime_growth",
    *_ELSEWHERE,
)  # fmt: skip
_OF_THE_EXECUTOR = ("maxsize", "array_max", "poll", "type", "memory_growth", "walltime_growth", *_ELSEWHERE)
_TRANSPORTS = ("ssh", "openssh")
_SLOTS, _ARRAY_MAX = 1000, 1000
_MOST_GROWTH = 100


@frozen
class Pace:
    """How often, how long: seconds.

    Attributes:
        gather_s: jobs that come within this time are submitted together.
        poll_s, longest_poll_s: the batch system is asked after the one, growing to the other while nothing ends.
        look_s: how often exit records are looked for.
        deadline_s: no command of a batch system may take longer; a hung daemon holds them for minutes.
        settle_s: between two looks for a job whose submission was not answered.
        grace_s: how long a job may be in neither queue nor accounting.
        lag_s: how long an exit record may be late on a shared disk.
        patience_s: how long commands that never gave one answer are asked before their jobs fail.
        doubt_s: how long a job may wait before it is asked whether it can run at all.
    """

    gather_s: float = 0.05
    poll_s: float = 2.0
    longest_poll_s: float = 60.0
    look_s: float = 0.25
    deadline_s: float = 60.0
    settle_s: float = 30.0
    grace_s: float = 30.0
    lag_s: float = 10.0
    patience_s: float = 1800.0
    doubt_s: float = 60.0


@frozen
class Ask:
    """What one job, or each element of an array, asks of the batch system; ``not_on`` names nodes that failed."""

    cpus: int = 1
    memory_bytes: int | None = None
    gpus: int = 0
    walltime_s: float | None = None
    queue: str = ""
    account: str = ""
    pe: str = ""
    directives: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()


@frozen
class Elsewhere:
    """Another machine whose batch system it is.

    Attributes:
        host: as ssh takes it; user, port: where they differ from the config file's.
        workdir: the flow's folder there; empty where both machines see it under one path.
        transport: ``ssh`` or ``openssh``; config: the path of a config file for it.
        prologue: what the shell there needs before it finds the batch system's commands.
    """

    host: str
    user: str = ""
    port: int = 0
    workdir: str = ""
    transport: str = "ssh"
    config: str = ""
    prologue: str = ""


@frozen
class Surroundings:
    """What a job's shell does before its command."""

    modules: tuple[str, ...] = ()
    prologue: str = ""
    env: tuple[tuple[str, str], ...] = ()


class Options:
    """The options of one executor; see ``COMMON`` and the executor's own page.

    Raises:
        SettingsError: an unknown name, or a value of the wrong kind.
    """

    def __init__(self, kind: str, options: Mapping[str, object], extra: Sequence[str] = ()) -> None:
        self._kind = kind
        self._known = (*COMMON, *extra)
        self._given = dict(options)
        self._check(options, (*self._known, "type"))
        self.slots = self._whole("maxsize", _SLOTS)
        self.array_max = self._whole("array_max", _ARRAY_MAX)
        poll = options.get("poll")
        self.poll_s = None if poll is None else seconds_of(poll)  # type: ignore[arg-type]  # it refuses what it does not know
        self.memory_growth = self._factor("memory_growth")
        self.walltime_growth = self._factor("walltime_growth")
        self.elsewhere = self._elsewhere()
        self.of({})

    def of(self, job_options: Mapping[str, object], job: Job | None = None) -> tuple[Ask, Surroundings]:
        """Return what a job asks for: its own resources and options first, then the executor's."""
        self._check(job_options, tuple(name for name in self._known if name not in _OF_THE_EXECUTOR))
        given = {**self._given, **job_options}
        memory, walltime = given.get("memory"), given.get("walltime")
        memory_bytes = None if memory is None else bytes_of(memory)  # type: ignore[arg-type]  # the same
        walltime_s = None if walltime is None else seconds_of(walltime)  # type: ignore[arg-type]  # the same
        if job is not None:
            memory_bytes = memory_bytes if job.resources.memory_bytes is None else job.resources.memory_bytes
            walltime_s = walltime_s if job.resources.walltime_s is None else job.resources.walltime_s
        ask = Ask(
            cpus=job.resources.cpus if job else 1,
            memory_bytes=memory_bytes,
            gpus=job.resources.gpus if job else 0,
            walltime_s=walltime_s,
            queue=self._word(given, "partition") or self._word(given, "queue"),
            account=self._word(given, "account"),
            pe=self._word(given, "pe"),
            directives=self._lines(given, "directives"),
        )
        return ask, Surroundings(
            modules=self._lines(given, "modules"),
            prologue="\n".join(self._lines(given, "prologue")),
            env=self._environment(given),
        )

    def own(self, name: str, default: str) -> str:
        """Return one of the executor's extra options, a word."""
        return self._word(self._given, name) or default

    def _elsewhere(self) -> Elsewhere | None:
        given = self._given
        host = self._word(given, "host")
        if not host:
            useless = next((name for name in _ELSEWHERE if name in given), "")
            if useless:
                raise SettingsError(
                    f"{useless} without host says nothing", do=f'write host = "...", or remove {useless}'
                )
            return None
        if host.startswith("-"):
            raise SettingsError(f"host = {host!r} is no name of a host", do='write host = "NAME"')
        transport = self._word(given, "transport") or "ssh"
        if transport not in _TRANSPORTS:
            raise SettingsError(
                f"there is no transport {transport!r}",
                why=f"there are {', '.join(_TRANSPORTS)}",
                do=f'write transport = "{nearest(transport, _TRANSPORTS) or "ssh"}"',
            )
        shared, workdir = given.get("shared_filesystem", False), given.get("workdir", "")
        if not isinstance(shared, bool):
            raise SettingsError(f"shared_filesystem = {shared!r} is neither true nor false")
        if not isinstance(workdir, str) or "\n" in workdir or bool(workdir) is shared:
            raise SettingsError(
                f"with host = {host!r} there must be either workdir or shared_filesystem = true",
                why="files are copied to workdir, and not at all where both machines see the flow's folder alike",
                do='write workdir = "scratch/my-project", a folder there',
            )
        config = given.get("ssh_config", "")
        if not isinstance(config, str):
            raise SettingsError(f"ssh_config = {config!r} is not a path")
        return Elsewhere(
            host=host, user=self._word(given, "user"), port=self._whole("port", 0), workdir=workdir,
            transport=transport, config=config, prologue="\n".join(self._lines(given, "remote_prologue")),
        )  # fmt: skip

    def _check(self, options: Mapping[str, object], known: Sequence[str]) -> None:
        for name in options:
            if name not in known:
                near = nearest(name, known)
                raise SettingsError(
                    f"the {self._kind} executor has no option {name!r}",
                    why=f"its options are {', '.join(word for word in known if word != 'type')}",
                    do=f"write {near!r}" if near else "",
                )

    def _whole(self, name: str, default: int) -> int:
        value = self._given.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or (value < 1 and value != default):
            raise SettingsError(
                f"{name} = {value!r} is not a whole number from 1 up", do=f"write {name} = {default or 22}"
            )
        return value

    def _factor(self, name: str) -> float:
        value = self._given.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= _MOST_GROWTH:
            raise SettingsError(
                f"{name} = {value!r} is not a factor from 1 to {_MOST_GROWTH}", do=f"write {name} = 1.5"
            )
        return float(value)

    def _word(self, given: Mapping[str, object], name: str) -> str:
        value = given.get(name, "")
        if not isinstance(value, str) or any(letter.isspace() for letter in value):
            raise SettingsError(f"{name} = {value!r} is not one word", do=f'write {name} = "WORD"')
        return value

    def _lines(self, given: Mapping[str, object], name: str) -> tuple[str, ...]:
        value = given.get(name, ())
        lines = value.splitlines() if isinstance(value, str) else value
        if not isinstance(lines, (list, tuple)) or not all(isinstance(line, str) for line in lines):
            raise SettingsError(f"{name} = {value!r} is not a list of texts", do=f'write {name} = ["...", "..."]')
        return tuple(lines)

    def _environment(self, given: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
        value = given.get("env", {})
        if not isinstance(value, dict):
            raise SettingsError(
                f"env = {value!r} is not a table of names and values", do='write env = {NAME = "value"}'
            )
        return tuple((str(name), str(text)) for name, text in value.items())
