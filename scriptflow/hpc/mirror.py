"""Keep a flow's folder and one on the cluster in step: inputs and scripts go there, records, logs and outputs come.

Knows paths on both sides and a transport; knows nothing of batch systems' commands. A file counts as the same when size
and time are: each copy there gets the time of the one here, so that clocks are never compared.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shlex
import tarfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.core.frozen import changed
from scriptflow.core.states import JobState
from scriptflow.errors import ExecutorError
from scriptflow.hpc.line import SchedulerSilent, first_words
from scriptflow.hpc.listing import LIST, existing, here_of, is_same, length, lies_in, list_here, read_listing, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scriptflow.core.interfaces import Transport
    from scriptflow.core.job import Job, JobReport
    from scriptflow.hpc.line import Line
    from scriptflow.hpc.listing import Listing
    from scriptflow.hpc.shelf import Shelf

_COPIES_AT_ONCE = 4
_LIVE_LOGS, _LIVE_BYTES, _LAST_BYTES = 32, 1 << 16, 1 << 22
_SHORTEST_REST_S, _LONGEST_REST_S = 1.0, 30.0
_NO_FOLDER, _READ_ONLY = 91, 92
_FUNCTION = ("-m", "scriptflow.functions.worker")
_OPEN = f"""\
case $1 in "~" | "~/"*) set -- "$HOME${{1#\\~}}" "$2" ;; esac
cd "$1" || exit {_NO_FOLDER}
[ -w . ] || exit {_READ_ONLY}
mkdir -p ".scriptflow/$2/jobs" ".scriptflow/$2/logs" && pwd -P && date +%s
"""
_RECORDS = """\
cd "$1" || exit 1
while read -r folder known; do
  [ "$known" = known ] || [ ! -L "$folder/lock" ] || echo "$folder lock $(readlink "$folder/lock")"
  [ -e "$folder/exit" ] || continue
  for name in times detail exit; do [ ! -s "$folder/$name" ] || sed "s|^|$folder $name |" "$folder/$name"; done
done
"""
_TAIL = """\
tail_of() {
  size=0
  [ ! -f "$1" ] || size=$(wc -c <"$1")
  size=$((size - $2))
  [ $size -gt 0 ] || size=0
  [ $size -le $3 ] || size=$3
  echo $size
  [ $size = 0 ] || tail -c +$(($2 + 1)) "$1" | head -c $size
}
"""


class Mirror:
    """One executor's files on both sides.

    Args:
        folder: absolute path of ``.scriptflow``; what lies beside it has its like in ``workdir``.
        host, workdir: where the other side is, for messages; ``workdir`` may begin with ``~/``.
        note: takes sentences for the user.
        lag_s: how long an output may be late on the disk there.
    """

    def __init__(
        self,
        transport: Transport,
        line: Line,
        shelf: Shelf,
        *,
        folder: str,
        host: str,
        workdir: str,
        note: Callable[[str], None],
        lag_s: float,
    ) -> None:
        self._transport, self._line, self._shelf = transport, line, shelf
        self._folder, self._root = folder, os.path.dirname(folder)
        self._host, self._workdir, self._note, self._lag_s = host, workdir, note, lag_s
        self._room = asyncio.Semaphore(_COPIES_AT_ONCE)
        self._opening = asyncio.Lock()
        self._copying: dict[str, asyncio.Lock] = {}
        self._copied: dict[str, tuple[int, int]] = {}
        self._making: dict[Path, tuple[str, ...]] = {}
        self._there = self._jobs_there = ""
        self._behind_s = 0.0

    async def open(self) -> str:
        """Find the folder there, once; return where it is.

        Raises:
            ExecutorError: it is not there, or cannot be written.
            SchedulerSilent: the link is down.
        """
        async with self._opening:
            if not self._there:
                mine = await asyncio.to_thread(self._own_name)
                began = time.time()
                completed = await self._line.ask(["sh", "-c", _OPEN, "sh", self._workdir, mine])
                if completed.exit_code != 0:
                    raise self._no_folder(completed.exit_code, first_words(completed))
                where, _, clock = completed.out.strip("\n").rpartition("\n")
                # Half a second: the clock there was read in whole ones.
                self._behind_s = (began + time.time()) / 2 - float(clock) - 0.5
                self._jobs_there = f"{where}/.scriptflow/{mine}"
                self._there = where
                self._shelf.there = self.there
        return f"{self._host}:{self._there}"

    def there(self, path: str) -> str:
        """Return the path there of a path here.

        Raises:
            ExecutorError: it lies outside the flow's folder.
        """
        for here, far in ((self._folder, self._jobs_there), (self._root, self._there)):
            if path == here or path.startswith(here.rstrip("/") + "/"):
                return far + path[len(here.rstrip("/")) :]
        raise ExecutorError(
            f"{path} lies outside the flow's folder, so it cannot be copied to {self._host}",
            why=f"the flow's folder is {self._root}",
            do="put it, or a link to it, into that folder; or shared_filesystem = true where both see the same disk",
        )

    async def stage(self, jobs: Sequence[Job], places: Iterable[Path]) -> None:
        """Bring all that jobs need there: inputs that differ, folders, and what lies in ``places``.

        Raises:
            ConnectionError, SchedulerSilent: the link broke; what arrived stays.
            ExecutorError: a file cannot be written there, or does not lie in the flow's folder.
        """
        for job in jobs:
            if job.warm is not None or job.argv[1:3] == _FUNCTION:
                raise ExecutorError(
                    f"{job.task} calls a Python function, and {self._host} has neither this Python nor the flow's code",
                    do='run it here, executor="local"; or shared_filesystem = true where both see the same disk',
                )
        outputs = [path for job in jobs for path in job.outputs]
        wanted = {within(self._root, path) for job in jobs for path in job.inputs}
        wanted.update(existing(outputs))  # changed in place, or a folder made anew
        gone = [path for path in outputs if path not in wanted]
        try:
            here = await asyncio.to_thread(list_here, sorted(wanted))
        except OSError as error:
            raise _unreadable(error) from error
        far = await self._list_there(wanted)
        self._making.update({self._shelf.folder_of(job.run, job.number): job.outputs for job in jobs})
        busy = {self.there(path) for paths in self._making.values() for path in paths}
        busy.difference_update(map(self.there, wanted))
        folders = {os.path.dirname(path) for path in outputs} | {job.cwd for job in jobs}
        folders |= {os.path.dirname(job.log) for job in jobs}
        folders |= {path for path, entry in here.items() if entry is None}
        names = {self.there(path) for path in here}
        extra = [path for path in far if path not in names and not lies_in(path, busy)]
        remove = [*map(self.there, gone), *extra]
        await self._arrange(remove, [self.there(path) for path in sorted(folders)])
        changes = [
            self._put(path, entry)
            for path, entry in here.items()
            if entry is not None and not is_same(entry, far.get(self.there(path)))
        ]
        await asyncio.gather(*changes)
        await self._send(places)

    async def refresh(self, folders: Sequence[Path]) -> None:
        """Bring the records of jobs that began or ended.

        Raises:
            SchedulerSilent: the link is down.
        """
        await self.open()
        names = {str(folder.relative_to(self._shelf.jobs)): folder for folder in folders}
        asked = "".join(f"{name}{' known' if self._shelf.holder(at) else ''}\n" for name, at in names.items())
        completed = await self._line.ask(["sh", "-c", _RECORDS, "sh", f"{self._jobs_there}/jobs"], stdin=asked)
        if completed.exit_code != 0:
            raise SchedulerSilent(first_words(completed))
        found: dict[str, dict[str, str]] = {}
        for line in completed.out.splitlines():
            name, file, text = [*line.split(" ", 2), "", ""][:3]
            if name in names:
                found.setdefault(name, {}).setdefault(file, "")
                found[name][file] += f"{text}\n"
        for name, records in found.items():
            self._shelf.learn(names[name], records)

    async def follow(self, folders: Sequence[Path]) -> None:
        """Bring what running jobs have written to their logs since.

        Raises:
            SchedulerSilent: the link is down.
        """
        logs = [log for folder in folders[:_LIVE_LOGS] if (log := self._plan(folder).get("log"))]
        if logs:
            await self._append([str(log) for log in logs], _LIVE_BYTES)

    async def bring(self, folder: Path, report: JobReport) -> JobReport:
        """Bring log and outputs of a job that ended; return its report with times of the clock here.

        Waits as long as the link is down.

        Raises:
            ExecutorError: a file cannot be read there or written here.
        """
        rest_s, complained = _SHORTEST_REST_S, False
        while True:
            try:
                await self.open()
                await self._bring(folder, succeeded=report.state is JobState.SUCCEEDED)
                break
            except (ConnectionError, SchedulerSilent) as drop:
                if not complained:
                    self._note(f"the files of an ended job wait on {self._host} ({drop}): trying again")
                complained = True
                await asyncio.sleep(rest_s)
                rest_s = min(rest_s * 2, _LONGEST_REST_S)
            except OSError as error:
                raise ExecutorError(
                    f"what a job left on {self._host} cannot be written here: {error}",
                    do="make room or the folder writable here, then scriptflow run",
                ) from error
        self._making.pop(folder, None)
        shifted = {
            name: value + self._behind_s
            for name, value in (("began", report.began), ("ended", report.ended))
            if value is not None and report.pid is not None  # by the wrapper's clock
        }
        return changed(report, **shifted)

    async def _bring(self, folder: Path, *, succeeded: bool) -> None:
        plan = self._plan(folder)
        if not plan:
            return
        while await self._append([str(plan["log"])], _LAST_BYTES):
            pass
        if not succeeded or (folder / "brought").exists():
            return
        outputs = _texts(plan["outputs"])
        deadline = time.monotonic() + self._lag_s
        while True:
            far = await self._list_there(outputs)
            if all(self.there(path) in far for path in outputs) or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_SHORTEST_REST_S)  # the node's file is not seen on the login node yet
        here = {self.there(path): path for path in outputs}
        await asyncio.gather(*(self._get(path, entry, here_of(path, here)) for path, entry in sorted(far.items())))
        await self._keep_times({path: here_of(path, here) for path, entry in far.items() if entry is not None})
        (folder / "brought").touch()

    async def _get(self, path: str, entry: tuple[int, int] | None, here: str) -> None:
        if entry is None:
            os.makedirs(here, exist_ok=True)
            return
        with suppress(OSError):
            found = os.stat(here)
            if is_same((found.st_size, found.st_mtime_ns), entry):
                return
        async with self._room:
            await self._transport.get(path, Path(here))

    async def _keep_times(self, pairs: Mapping[str, str]) -> None:
        """Give the files there the times of the copies here, so that they need not go back as inputs."""
        lines = []
        for path, here in pairs.items():
            seconds, rest = divmod(os.stat(here).st_mtime_ns, 10**9)
            lines.append(f"touch -d @{seconds}.{rest:09} {shlex.quote(path)}\n")
        await self._run(["sh"], "".join(lines))

    async def _put(self, path: str, entry: tuple[int, int]) -> None:
        lock = self._copying.setdefault(path, asyncio.Lock())
        waited = lock.locked()
        async with lock, self._room:
            if waited and self._copied.get(path) == entry:
                return  # for another job, just now
            try:
                await self._transport.put(Path(path), self.there(path))
            except ConnectionError:
                raise
            except OSError as error:
                raise _unreadable(error) from error
            self._copied[path] = entry

    async def _append(self, logs: Sequence[str], most: int) -> bool:
        """Append to logs here what those there have more; return whether there was anything."""
        text = _TAIL
        for log in logs:
            text += f"tail_of {shlex.quote(self.there(log))} {length(log)} {most}\n"
        completed = await self._line.ask(["sh"], stdin=text)
        data, any_news = completed.out.encode("utf-8", "surrogateescape"), False
        for log in logs:
            size_text, _, data = data.partition(b"\n")
            size = int(size_text) if size_text.strip().isdigit() else 0
            if size:
                any_news = True
                with open(log, "ab") as file:  # noqa: ASYNC230 (a piece of memory, no larger than that)
                    file.write(data[:size])
                data = data[size:]
        return any_news

    async def _list_there(self, paths: Iterable[str]) -> Listing:
        asked = "".join(f"{self.there(path)}\0" for path in sorted(paths))
        if not asked:
            return {}
        completed = await self._transport.run(["sh", "-c", LIST], stdin=asked, env={"LC_ALL": "C"})
        return read_listing(completed.out)

    async def _arrange(self, remove: Sequence[str], folders: Sequence[str]) -> None:
        lines = ["set -e", *(f"rm -rf {shlex.quote(path)}" for path in remove)]
        lines += [f"mkdir -p {shlex.quote(path)}" for path in folders]
        await self._run(["sh"], "\n".join(lines) + "\n")

    async def _send(self, places: Iterable[Path]) -> None:
        """Send scripts: small files, all in one go."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path in {self._shelf.wrapper, *(path for place in places for path in place.iterdir())}:
                if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                    tar.add(path, str(path.relative_to(self._shelf.jobs)))
        text = packed.getvalue().decode("utf-8", "surrogateescape")
        await self._run(["sh", "-c", 'cd "$1" && tar xof -', "sh", f"{self._jobs_there}/jobs"], text)

    async def _run(self, argv: Sequence[str], stdin: str) -> None:
        completed = await self._transport.run(argv, stdin=stdin, env={"LC_ALL": "C"})
        if completed.exit_code != 0:
            said = first_words(completed)
            do = f"look there: ssh {self._host} df -h {self._there}"
            raise ExecutorError(f"{self._there} cannot be written on {self._host}: {said}", do=do)

    def _plan(self, folder: Path) -> Mapping[str, object]:
        """Return where a job's log and outputs are, as written when it was handed in."""
        try:
            plan: dict[str, object] = json.loads((folder / "plan").read_text())
        except (OSError, ValueError):
            return {}
        self._making.setdefault(folder, tuple(_texts(plan["outputs"])))
        return plan

    def _own_name(self) -> str:
        """Return what tells this store's jobs from those of others in the same folder there."""
        path = self._shelf.jobs / "far-name"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(uuid.uuid4().hex[:12])
        return path.read_text().strip()

    def _no_folder(self, code: int, said: str) -> ExecutorError:
        if code == _NO_FOLDER:
            return ExecutorError(
                f"there is no folder {self._workdir} on {self._host}",
                why=said,
                do=f"ssh {self._host} mkdir -p {self._workdir}, or correct workdir",
            )
        if code == _READ_ONLY:
            why, do = "it is not yours", f"correct workdir, or ssh {self._host} ls -ld {self._workdir}"
        else:
            why, do = said, f"make room there: ssh {self._host} df -h {self._workdir}"
        return ExecutorError(f"{self._workdir} cannot be written on {self._host}", why=why, do=do)


def _unreadable(error: OSError) -> ExecutorError:
    return ExecutorError(f"a file cannot be copied from here: {error}", do="look at it, then scriptflow run")


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
