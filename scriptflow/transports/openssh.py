"""Reach another machine by the system's own ssh, through one master connection.

Knows the program ssh; for hosts that ask for a second factor, whose session the user opens by hand beforehand.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.errors import ExecutorError
from scriptflow.transports import trouble
from scriptflow.transports.far import FarShell

if TYPE_CHECKING:
    from scriptflow.transports.far import Channel

_CONNECT_S, _KEEPALIVE_S, _KEEPALIVES = 20, 15, 3
_PERSIST_S = 300  # how long a master of ours outlives a head that was killed
_PIECE = 1 << 18


class OpensshTransport(FarShell):
    """Sessions of one master connection: the user's own where the config names its ControlPath, else ours."""

    def __init__(self, host: str, *, user: str = "", port: int = 0, config: str = "") -> None:
        super().__init__(host, user=user, port=port, config=config)
        self._connecting = asyncio.Lock()
        self._control: list[str] = []
        self._is_ours = self._was_there = False

    async def close(self) -> None:
        """Close the master connection, if it is ours."""
        if self._is_ours:
            self._is_ours = False
            await self._ssh("-O", "exit")

    async def _start(self, command: str) -> Channel:
        await self._connected()
        process = await asyncio.create_subprocess_exec(
            *self._words(), self.host, command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        return _ProcessChannel(process)

    def _words(self) -> list[str]:
        words = ["ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_S}"]
        words += ["-o", f"ServerAliveInterval={_KEEPALIVE_S}", "-o", f"ServerAliveCountMax={_KEEPALIVES}"]
        if self._config:
            words += ["-F", self._config]
        if self._user:
            words += ["-l", self._user]
        if self._port:
            words += ["-p", str(self._port)]
        return words + self._control

    async def _ssh(self, *words: str) -> tuple[int, str]:
        """Run ssh itself, its words going to a file: a master that stays behind would hold a pipe open."""
        with tempfile.TemporaryFile() as said:
            process = await asyncio.create_subprocess_exec(
                *self._words(), *words, self.host,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                with suppress(ProcessLookupError):
                    process.kill()
                raise
            said.seek(0)
            return code, said.read().decode("utf-8", "replace")

    async def _connected(self) -> None:
        async with self._connecting:
            try:
                if not self._control:
                    self._control = await self._control_words()
                if (await self._ssh("-O", "check"))[0] == 0:
                    self._was_there = True
                    return
                code, said = await self._ssh(
                    "-o", "ControlMaster=yes", "-o", f"ControlPersist={_PERSIST_S}", "-f", "-N"
                )
            except FileNotFoundError as error:
                raise ExecutorError("there is no ssh on PATH", do='install OpenSSH, or transport = "ssh"') from error
            if code != 0:
                raise self._trouble(said)
            self._is_ours = self._was_there = True

    async def _control_words(self) -> list[str]:
        """Keep to the user's ControlPath, if there is one."""
        code, said = await self._ssh("-G")
        if code != 0:
            raise trouble.no_way(self.host, _last(said))
        if any(line.startswith("controlpath ") and line != "controlpath none" for line in said.splitlines()):
            return ["-o", "ControlMaster=auto"]
        return ["-o", "ControlMaster=auto", "-o", f"ControlPath={_control_folder()}/sf-%C"]

    def _trouble(self, said: str) -> Exception:
        lower, last = said.casefold(), _last(said)
        if "identification has changed" in lower:
            return trouble.key_changed(self.host, last)
        if "host key verification failed" in lower or "host key is known" in lower:
            return trouble.key_unknown(self.host, last)
        if "permission denied" in lower or "too many authentication failures" in lower:
            error = trouble.key_refused(self.host, self._user, last)
            error.do = f"open a session by hand, which this one rides on: {' '.join(self._by_hand())}"
            return error
        if self._was_there:
            return ConnectionError(f"{self.host} cannot be reached: {last}")
        if "could not resolve" in lower:
            return trouble.host_unknown(self.host, last)
        return trouble.no_way(self.host, last)

    def _by_hand(self) -> list[str]:
        words = [word for word in self._words() if word not in ("-T",)]
        del words[1:3]  # whoever sits there can answer
        return [*words, "-o", "ControlMaster=yes", "-fN", self.host]


class _ProcessChannel:
    """A command behind an ssh of our own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 (all three are pipes)
        assert process.stdout is not None  # noqa: S101 (the same)
        assert process.stderr is not None  # noqa: S101 (the same)
        self._process, self._in, self._out, self._err = process, process.stdin, process.stdout, process.stderr

    async def write(self, data: bytes) -> None:
        self._in.write(data)
        await self._in.drain()

    def end_input(self) -> None:
        self._in.close()

    async def read(self) -> bytes:
        return await self._out.read(_PIECE)

    async def read_error(self) -> bytes:
        return await self._err.read(_PIECE)

    async def wait(self) -> int | None:
        return await self._process.wait()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _control_folder() -> Path:
    folder = Path("~/.ssh").expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "ssh ended without a word"
