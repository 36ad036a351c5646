"""Reach another machine by asyncssh: one connection, kept alive, opened again after it broke.

Knows asyncssh; host keys are always checked, and keys, agent, jump hosts and the user's config file are honoured.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import asyncssh

from scriptflow.transports import trouble
from scriptflow.transports.far import FarShell

if TYPE_CHECKING:
    from scriptflow.transports.far import Channel

_CONNECT_S, _KEEPALIVE_S, _KEEPALIVES = 20, 15, 3
_PIECE = 1 << 18
_BUSY_TRIES, _BUSY_REST_S = 100, 0.2


class SshTransport(FarShell):
    """One connection to a host; see ``FarShell``."""

    def __init__(self, host: str, *, user: str = "", port: int = 0, config: str = "") -> None:
        super().__init__(host, user=user, port=port, config=config)
        self._connection: asyncssh.SSHClientConnection | None = None
        self._connecting = asyncio.Lock()
        self._was_there = False

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()
            self._connection = None

    async def _start(self, command: str) -> Channel:
        for _ in range(_BUSY_TRIES):
            connection = await self._connected()
            try:
                return _SshChannel(await connection.create_process(command, encoding=None))
            except asyncssh.ChannelOpenError as error:
                if self._connection is None:
                    raise ConnectionError(f"the link to {self.host} broke: {error}") from error
                await asyncio.sleep(_BUSY_REST_S)  # the host allows fewer sessions at once than usual
            except (asyncssh.Error, OSError) as error:
                raise ConnectionError(f"the link to {self.host} broke: {error}") from error
        raise ConnectionError(f"{self.host} takes no more sessions on one connection")

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._connecting:
            if self._connection is None:
                self._connection = await self._connect()
                self._was_there = True
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        given: dict[str, Any] = {"config": [self._config]} if self._config else {}
        if self._user:
            given["username"] = self._user
        if self._port:
            given["port"] = self._port
        client = _Client(self)
        try:
            options = await asyncio.to_thread(asyncssh.SSHClientConnectionOptions, host=self.host, **given)
            return await asyncssh.connect(
                self.host,
                options=options,
                config=given.get("config", ()),  # of jump hosts
                client_factory=lambda: client,
                connect_timeout=_CONNECT_S,
                login_timeout=_CONNECT_S,
                keepalive_interval=_KEEPALIVE_S,
                keepalive_count_max=_KEEPALIVES,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            known = asyncssh.match_known_hosts(options.known_hosts or b"", *client.shown[:2], client.shown[2])
            said = f"{error}; it shows {client.fingerprint}" if client.fingerprint else str(error)
            raise (trouble.key_changed if any(known[:3]) else trouble.key_unknown)(self.host, said) from error
        except asyncssh.PermissionDenied as error:
            raise trouble.key_refused(self.host, self._user, str(error)) from error
        except asyncssh.ConfigParseError as error:
            raise trouble.no_way(self.host, f"the ssh config file cannot be read: {error}") from error
        except (asyncssh.Error, OSError) as error:
            if self._was_there:
                raise ConnectionError(f"{self.host} cannot be reached: {error}") from error
            kind = trouble.host_unknown if isinstance(error, socket.gaierror) else trouble.no_way
            raise kind(self.host, str(error) or "it does not answer") from error

    def lost(self) -> None:
        """Take note that the connection is no more."""
        self._connection = None


class _Client(asyncssh.SSHClient):
    """Hears of the connection's end, and of host keys that are not on record."""

    def __init__(self, owner: SshTransport) -> None:
        self._owner = owner
        self.shown: tuple[str, str, int | None] = ("", "", None)
        self.fingerprint = ""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._owner.lost()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown, self.fingerprint = (host, addr, port), key.get_fingerprint()
        return False


class _SshChannel:
    """A command as asyncssh runs it."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process

    async def write(self, data: bytes) -> None:
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    def end_input(self) -> None:
        self._process.stdin.write_eof()

    async def read(self) -> bytes:
        return await _read(self._process.stdout)

    async def read_error(self) -> bytes:
        return await _read(self._process.stderr)

    async def wait(self) -> int | None:
        await self._process.wait_closed()
        return self._process.exit_status

    def kill(self) -> None:
        self._process.kill()
        self._process.close()


async def _read(stream: asyncssh.SSHReader[bytes]) -> bytes:
    try:
        return await stream.read(_PIECE)
    except (asyncssh.Error, OSError):
        return b""  # the link broke: the mark of the end will be missing
