"""Keep the files of batch jobs: ``.scriptflow/jobs/RUN/NUMBER/``, arrays beside them, and the way from ids to them.

Knows paths and small texts; knows nothing of batch systems' commands and of waiting.

A *place* is the folder of one submission: the job's own, or that of an array. It holds ``submitting`` from before
the submission on, and ``submitted`` once the id is known; ``jobs/by-id/KIND/ID`` leads from the id to it.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.core.frozen import changed
from scriptflow.hpc import script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scriptflow.core.job import Job
    from scriptflow.hpc.options import Surroundings

_INTENT, _ID, _TICKET, _MEMBERS = "submitting", "submitted", "ticket", "members"


class Shelf:
    """The files of one executor's jobs.

    Args:
        folder: absolute path of ``.scriptflow``.
        kind: apart from other batch systems, whose ids are numbers too.

    Attributes:
        there: gives the path where jobs run of a path here; the same where both see one disk.
    """

    def __init__(self, folder: str, kind: str) -> None:
        self.jobs = Path(folder) / "jobs"
        self._by_id = self.jobs / "by-id" / kind
        self.there: Callable[[str], str] = str

    @cached_property
    def wrapper(self) -> Path:
        """The wrapper's file. Each version has a name of its own: older jobs may still run the older one."""
        text = files("scriptflow.hpc").joinpath("wrapper.sh").read_bytes()
        path = self.jobs / f"wrapper-{hashlib.sha256(text).hexdigest()[:12]}.sh"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, text)
        return path

    def folder_of(self, run: str, number: int) -> Path:
        """Return a job's own folder."""
        return self.jobs / script.safe(run) / str(number)

    def new_array(self, run: str, first: int, tag: str) -> Path:
        """Return the folder of a new array."""
        return self.jobs / script.safe(run) / f"array-{first}-{tag}"

    def lay(self, job: Job, surroundings: Surroundings, path_first: str) -> Path:
        """Write what the wrapper needs to run a job; return its folder."""
        folder = self.folder_of(job.run, job.number)
        folder.mkdir(parents=True, exist_ok=True)
        command, text = script.command_file(
            changed(job, cwd=self.there(job.cwd), log=self.there(job.log)),
            path_first=path_first,
            prologue=surroundings.prologue,
            modules=surroundings.modules,
            env=dict(surroundings.env),
        )
        _write(folder / "command.sh", os.fsencode(command))
        _write(folder / "limits", script.limits_file(job).encode())
        if text:
            _write(folder / "text.sh", os.fsencode(text))
        if surroundings.prologue or surroundings.modules:
            _write(folder / "bash", b"")
        return folder

    def plan(self, job: Job) -> None:
        """Write which files of a job come back from elsewhere."""
        plan = json.dumps({"log": job.log, "outputs": job.outputs})
        _write(self.folder_of(job.run, job.number) / "plan", plan.encode())

    def learn(self, folder: Path, records: Mapping[str, str]) -> None:
        """Take over what the wrapper wrote elsewhere; the record of the end, which counts, comes last."""
        if "lock" in records:
            with suppress(FileExistsError):
                (folder / "lock").symlink_to(records["lock"].strip())
        for name in ("times", "detail", "exit"):
            if name in records:
                _write(folder / name, records[name].encode("utf-8", "surrogateescape"))

    def members(self, place: Path) -> list[Path]:
        """Return the folders of all jobs of a submission."""
        return [place.parent / member for member in _read(place / _MEMBERS).split()] or [place]

    def lay_array(self, place: Path, folders: Sequence[Path]) -> None:
        """Write which jobs an array has, and in each where it is."""
        place.mkdir(parents=True, exist_ok=True)
        for index, folder in enumerate(folders, 1):
            _write(folder / _TICKET, f"{place.name} {index}\n".encode())
        _write(place / _MEMBERS, "".join(f"{folder.name}\n" for folder in folders).encode())

    def lay_script(self, place: Path, text: str) -> Path:
        """Write what is handed to the batch system."""
        _write(place / "job.sh", os.fsencode(text))
        return place / "job.sh"

    def intend(self, place: Path, name: str) -> None:
        """Write, and have on the disk, that ``place`` is about to be submitted under ``name``."""
        _write(place / _INTENT, f"{name}\n".encode(), durable=True)

    def intent(self, place: Path) -> str | None:
        """Return the name under which ``place`` may have been submitted."""
        return _read(place / _INTENT).strip() or None

    def forget(self, folder: Path) -> None:
        """Take back that a job was ever to be submitted."""
        for name in (_INTENT, _TICKET):
            (folder / name).unlink(missing_ok=True)

    def submitted(self, place: Path, job_id: str) -> None:
        """Write the id of a submission, and the way back from it."""
        self._by_id.mkdir(parents=True, exist_ok=True)
        _write(self._by_id / job_id, os.fsencode(f"{place.relative_to(self.jobs)}\n"))
        _write(place / _ID, f"{job_id}\n".encode())

    def id_of(self, place: Path) -> str | None:
        """Return the id of a submission, when it is known."""
        return _read(place / _ID).strip() or None

    def place_of(self, folder: Path) -> tuple[Path, int] | None:
        """Return where a job was to be submitted, and as which element (0: by itself); None when it never was."""
        ticket = _read(folder / _TICKET).split()
        place, index = (folder.parent / ticket[0], int(ticket[1])) if len(ticket) == 2 else (folder, 0)
        return (place, index) if (place / _INTENT).exists() else None

    def find(self, job_id: str, index: int) -> tuple[Path, str] | None:
        """Return a job's folder and the name it was submitted under, by an array's or a job's id; None: not ours."""
        way = _read(self._by_id / job_id).strip() if "/" not in job_id else ""
        if not way:
            return None
        place = self.jobs / way
        folder = place
        if index:
            members = _read(place / _MEMBERS).split()
            if not 0 < index <= len(members):
                return None
            folder = place.parent / members[index - 1]
        return folder, self.intent(place) or ""

    def holder(self, folder: Path) -> str | None:
        """Return the id of the job that began in this folder."""
        try:
            return str((folder / "lock").readlink())
        except OSError:
            return None

    def holder_of_place(self, place: Path) -> str | None:
        """Return the id of any job that began for this submission."""
        return next((held for folder in self.members(place) if (held := self.holder(folder))), None)

    def ending(self, folder: Path, *, thorough: bool = False) -> script.Ending | None:
        """Return how the command ended, as the wrapper wrote it; None when it has not.

        ``thorough`` lists the folder first: on a network disk that ends the memory of what was not there.
        """
        if thorough:
            with suppress(OSError):
                os.listdir(folder)  # noqa: PTH208 (listing it is the point)
        text = _read(folder / "exit")
        if not text:
            return None
        return script.read_ending(text, detail=_read(folder / "detail"), times=_read(folder / "times"))


def _write(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
    if durable:
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""
