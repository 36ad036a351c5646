"""Tell pages at once what has changed: one watcher per store for all who listen, none while nobody does.

A change is a line in a short ring that all listeners read from, each at a place of its own: a slow one costs no
memory, and one that has fallen behind is told that it missed something. Knows stores and event streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sqlite3
from collections import deque
from typing import TYPE_CHECKING

from scriptflow.errors import ScriptflowError, StoreBusy
from scriptflow.store.documents import run_row
from scriptflow.web import logs, task_data
from scriptflow.web.projects import state_of
from scriptflow.web.streams import Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from scriptflow.store.pages import PageReader
    from scriptflow.web.projects import Project, Projects
    from scriptflow.web.views import Asked

_LOOK_S = 0.25
_BETWEEN_S = 0.5
_ALIVE_S = 2.0
_RING = 256
_PING_S = 15.0
_MOST_STREAMS = 2000
_LOG_LOOK_S = 0.4


class Feed:
    """All event streams of a server."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self._channels: dict[str, _Channel] = {}
        self._open = 0

    async def changes(self, request: web.Request, project: Project, run: str | None) -> web.StreamResponse:
        """Send what changes in a store, or in one run of it, until the listener goes away."""
        channel = self._channels.get(project.name)
        if channel is None or channel.project is not project:
            channel = self._channels[project.name] = _Channel(project, self._projects)
        async with self._stream(request) as stream, channel.listening():
            at = channel.place_of(request.headers.get("Last-Event-ID", ""))
            await stream.send("hello", {"run": run}, id_=None if at is not None else channel.here)
            if at is None:
                at = channel.newest
                if "Last-Event-ID" in request.headers:
                    await stream.send("gap", {"why": "events since the last one you had are gone"}, id_=channel.here)
            while True:
                try:
                    async with asyncio.timeout(_PING_S):
                        await channel.wait_beyond(at)
                except TimeoutError:
                    await stream.ping()
                    continue
                if at < channel.newest - len(channel.ring):
                    await stream.send("gap", {"why": "you were too slow"}, id_=channel.here)
                    at = channel.newest
                for number, runs, line in channel.since(at):
                    if run is None or not runs or run in runs:
                        await stream.write(line)
                    at = number

    async def log(self, request: web.Request, project: Project, asked: Asked) -> web.StreamResponse:
        """Send what a task prints, as it is written, until its job has ended and all is sent."""
        last = request.headers.get("Last-Event-ID", "")
        at = int(last) if last.isascii() and last.isdecimal() and len(last) < 20 else asked["at"] or 0

        async def look() -> dict[str, object]:
            def read(reader: PageReader | None) -> bytes:
                assert reader is not None  # noqa: S101 (asked for with reads=True)
                asked.reader = reader
                record, _, job = task_data.chosen(asked)
                live = job.ended is None and record.status == "running"
                with logs.open_below(reader.folder, job.log) as file:
                    part = logs.window(file, at)
                return json.dumps({"live": live, **part}).encode()

            found: dict[str, object] = json.loads(await project.answer(("log", job_key, at), read))
            return found

        job_key = (asked.path["run"], asked.path["task"], asked["attempt"])
        part = await look()  # a wrong name is an answer of its own, before the stream begins
        async with self._stream(request) as stream:
            await stream.send("hello", {}, id_=None)
            quiet = 0.0
            while True:
                end = int(str(part["to"]))
                if end > at:
                    at, quiet = end, 0.0
                    await stream.send("log", {"from": part["from"], "to": end, "lines": part["lines"]}, id_=str(end))
                elif not part["live"]:
                    await stream.send("end", {"to": end}, id_=str(end))
                    return stream.response
                else:
                    await asyncio.sleep(_LOG_LOOK_S)
                    quiet += _LOG_LOOK_S
                    if quiet >= _PING_S:
                        quiet = 0.0
                        await stream.ping()
                part = await look()

    @contextlib.asynccontextmanager
    async def _stream(self, request: web.Request) -> AsyncIterator[Stream]:
        if self._open >= _MOST_STREAMS:
            raise StoreBusy("too many listen already", do="ask every few seconds instead")
        self._open += 1
        try:
            stream = Stream(request)
            await stream.begin()
            yield stream
        finally:
            self._open -= 1


class _Channel:
    """What changed in one store, in order, and who waits for more."""

    def __init__(self, project: Project, projects: Projects) -> None:
        self.project = project
        self._projects = projects
        self._boot = secrets.token_hex(4)
        self.ring: deque[tuple[int, frozenset[str], bytes]] = deque(maxlen=_RING)
        self.newest = 0
        self._listeners = 0
        self._watcher: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()

    @property
    def here(self) -> str:
        """The id of the newest event."""
        return f"{self._boot}-{self.newest}"

    def place_of(self, event_id: str) -> int | None:
        """Return where to go on after the event of that id; None where that cannot be done."""
        boot, _, number = event_id.partition("-")
        if boot != self._boot or not number.isdecimal() or len(number) > 18:
            return None
        at = int(number)
        return at if self.newest - len(self.ring) <= at <= self.newest else None

    def since(self, at: int) -> list[tuple[int, frozenset[str], bytes]]:
        """Return the events after number ``at``."""
        return [event for event in self.ring if event[0] > at]

    async def wait_beyond(self, at: int) -> None:
        """Return when there is an event after number ``at``."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.newest > at)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Watch the store while at least one listener is in such a block."""
        self._listeners += 1
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.project.name}")
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners and self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None
                # Nobody looked from here on: who comes back must be told of a gap.
                self._boot = secrets.token_hex(4)
                self.ring.clear()

    async def _watch(self) -> None:
        watch = _Watch(self.project.folder)
        try:
            while True:
                changed = await self._projects.in_thread(watch.look)
                if changed is not None:
                    await self._tell(changed)
                    await asyncio.sleep(_BETWEEN_S)
                else:
                    await asyncio.sleep(_LOOK_S)
        finally:
            watch.close()

    async def _tell(self, runs: list[dict[str, object]]) -> None:
        async with self._moved:
            self.newest += 1
            data = json.dumps({"runs": runs}, default=str)
            line = f"event: change\nid: {self.here}\ndata: {data}\n\n".encode()
            self.ring.append((self.newest, frozenset(str(run["run"]) for run in runs), line))
            self._moved.notify_all()


class _Watch:
    """Looks at one store for changes: a few system calls, and one query only after a change."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._seen: tuple[int, ...] | None = None
        self._version: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._rows: dict[str, dict[str, object]] = {}
        self._alive_in = 0.0

    def look(self) -> list[dict[str, object]] | None:
        """Return the newest runs that changed since the last look, None when nothing did; called on a thread."""
        self._alive_in -= _LOOK_S
        seen = state_of(self._folder)
        if seen == self._seen and not self._is_written() and self._alive_in > 0:
            return None
        first, wrote = self._seen is None, seen != self._seen
        self._seen = seen
        self._alive_in = _ALIVE_S  # that a head has died is written nowhere: it is looked for
        rows = self._newest()
        changed = [row for name, row in rows.items() if self._rows.get(name) != row]
        self._rows = rows
        return None if first or not (changed or wrote) else changed

    def _is_written(self) -> bool:
        """Ask SQLite too: the times of files are too coarse for two writes in one tick."""
        from scriptflow.database import connect_read_only

        try:
            if self._connection is None:
                self._connection = connect_read_only(f"{self._folder}/runs.db", busy_s=0.2)
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except (sqlite3.Error, OSError):
            self.close()
            return False
        before, self._version = self._version, version
        return before is not None and before != version

    def _newest(self) -> dict[str, dict[str, object]]:
        from scriptflow.store.pages import PageReader

        try:
            with PageReader(self._folder) as reader:
                return {run.run: {**run_row(run), "running": run.counts.running} for run in reader.runs(limit=20)}
        except ScriptflowError:
            return {}

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._version = None
