"""Run short commands and copy files through a shell on another machine; a subclass brings the link.

Knows shells: what a login prints is told from what a command prints by marks, and every command says itself how it
ended, so that a link that breaks in the middle is never taken for an end. Knows nothing of jobs and batch systems.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scriptflow.core.interfaces import Completed
from scriptflow.transports import trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from typing import BinaryIO

_PIECE = 1 << 18
_AT_ONCE = 8  # sessions of one connection; sshd takes ten
_PART = ".sf-copy-"
# Any login shell (bash, tcsh, fish) takes this as it is; all else is hidden in letters that mean nothing to it.
_CARRIER = "/bin/sh -c 'eval \"$(printf %b \"$0\")\"' '{}'"
_PLAIN = frozenset(b'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-+=.,:;/@"$(){}[]<>|&*?#~^')
_LARGE = 1 << 20  # bytes from which on a copy that broke off is continued


class Channel(Protocol):
    """One command under way on the other side, its streams in bytes."""

    async def write(self, data: bytes) -> None:
        """Hand some standard input over."""

    def end_input(self) -> None:
        """Close standard input."""

    async def read(self) -> bytes:
        """Return the next of standard output, empty at its end."""

    async def read_error(self) -> bytes:
        """Return the next of standard error, empty at its end."""

    async def wait(self) -> int | None:
        """Return the exit code, None when the link knows none."""

    def kill(self) -> None:
        """Let go of the command."""


class FarShell:
    """The transport to another machine.

    Args:
        host: a name as ssh takes it, perhaps from its config file.
        user, port: where they differ from the config file's; 0 and the empty string: they do not.
        config: path of another config file.

    Every method raises ``ConnectionError`` when the link breaks: then nothing is known of what it did.
    """

    def __init__(self, host: str, *, user: str = "", port: int = 0, config: str = "") -> None:
        self.host, self._user, self._port = host, user, port
        self._config = str(Path(config).expanduser()) if config else ""
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def _start(self, command: str) -> Channel:
        """Start a command in the user's shell there.

        Raises:
            ExecutorError: the host cannot be reached, or does not let us in, and that needs the user.
            ConnectionError: the link is down for now.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close the link."""

    async def run(self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None) -> Completed:
        """Run a command to its end.

        Raises:
            ConnectionError: the link broke.
            ExecutorError: the host does not take us in.
        """
        out = bytearray()
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in (env or {}).items())
        text = exports + " ".join(map(shlex.quote, argv))
        code, err = await self._talk(text, _once(stdin.encode("utf-8", "surrogateescape")), out.extend)
        return Completed(exit_code=code, out=_text(bytes(out)), err=_text(err))

    async def put(self, local: Path, remote: str) -> None:
        """Copy a file there, with its time and mode, whole or not at all; what broke off is continued.

        Raises:
            ConnectionError: the link broke.
            ExecutorError: it cannot be written there.
            OSError: it cannot be read here.
        """
        found = await asyncio.to_thread(local.stat)
        folder = remote.rpartition("/")[0]
        part = f"{folder}/{_PART}{_digest(remote, found.st_size, found.st_mtime_ns)}"
        names = {"TARGET": remote, "FOLDER": folder, "PART": part}
        offset = 0
        if found.st_size >= _LARGE:
            begun = await self._ask('[ ! -f "$PART" ] || wc -c <"$PART"', names)
            offset = int(begun.out) if begun.out.strip().isdecimal() else 0
            offset = offset if offset <= found.st_size else 0
        whole = (
            f'mkdir -p "$FOLDER" && cat {">>" if offset else ">"}"$PART" && '
            f'{{ [ $(wc -c <"$PART") = {found.st_size} ] || '
            '{ echo "it changed while it was copied" >&2; rm -f "$PART"; false; }; } && '
            f'chmod {found.st_mode & 0o777:o} "$PART" && touch -d @{_time(found.st_mtime_ns)} "$PART" && '
            '{ [ ! -d "$TARGET" ] || rm -rf "$TARGET"; } && mv -f "$PART" "$TARGET"'
        )
        code, err = await self._talk(_with(whole, names), _pieces(local, offset, found.st_size), _ignore)
        if code != 0:
            raise trouble.cannot_write(self.host, remote, _last(err))

    async def get(self, remote: str, local: Path) -> None:
        """Copy a file here, with its mode but a time of now, whole or not at all; what broke off is continued.

        Raises:
            ConnectionError: the link broke, or the file changed while it was copied.
            ExecutorError: it cannot be read there.
            OSError: it cannot be written here.
        """
        names = {"SOURCE": remote}
        told = await self._ask('stat -L -c "%s %Y %a" "$SOURCE"', names)
        words = told.out.split()
        if told.exit_code != 0 or len(words) != 3:
            raise trouble.cannot_read(self.host, remote, _last(told.err.encode("utf-8", "surrogateescape")))
        size, mode = int(words[0]), int(words[2], 8)
        part = local.with_name(_PART + _digest(remote, size, int(words[1])))
        file, offset = await asyncio.to_thread(_continued, part, size)
        with file:
            code, err = await self._talk(_with(f'tail -c +{offset + 1} "$SOURCE"', names), _once(b""), file.write)
        if code != 0:
            raise trouble.cannot_read(self.host, remote, _last(err))
        await asyncio.to_thread(self._take, part, local, size, mode)

    def _take(self, part: Path, local: Path, size: int, mode: int) -> None:
        if part.stat().st_size != size:
            part.unlink()
            raise ConnectionError(f"{local.name} changed on {self.host} while it was copied")
        part.chmod(mode & 0o777 | 0o600)
        os.utime(part)
        part.replace(local)

    async def _ask(self, text: str, names: Mapping[str, str]) -> Completed:
        out = bytearray()
        code, err = await self._talk(_with(text, names), _once(b""), out.extend)
        return Completed(exit_code=code, out=_text(bytes(out)), err=_text(err))

    async def _talk(
        self, text: str, source: AsyncIterator[bytes], take: Callable[[bytes], object]
    ) -> tuple[int, bytes]:
        """Run a text in a POSIX shell there; return its exit code and what it said of trouble."""
        mark = uuid.uuid4().hex
        whole = f"echo {mark}; echo {mark} >&2; (\n{text}\n); printf '%s %s\\n' {mark} $? >&2"
        async with self._room:
            channel = await self._start(_CARRIER.format(_hidden(whole)))
            try:
                sink = _Marked(mark.encode() + b"\n", take)
                _, _, err = await asyncio.gather(_feed(channel, source), _drain(channel, sink), _gather(channel))
                code = await channel.wait()
            except BaseException:
                channel.kill()
                raise
        head, found, rest = err.partition(mark.encode() + b"\n")
        if not found and code not in (None, 255):
            raise trouble.no_commands(self.host, _last(head) or f"its shell ended with {code}")
        said, found, ending = rest.rpartition(mark.encode() + b" ")
        if not found or not ending.strip().isdigit():
            raise ConnectionError(f"the link to {self.host} broke{': ' + _last(head) if head.strip() else ''}")
        return int(ending), said


class _Marked:
    """Hand on what comes after a mark: before it, a login shell may print what it likes."""

    def __init__(self, mark: bytes, take: Callable[[bytes], object]) -> None:
        self._mark, self._take = mark, take
        self._before: bytes | None = b""

    def feed(self, data: bytes) -> None:
        if self._before is None:
            self._take(data)
            return
        self._before += data
        _, found, rest = self._before.partition(self._mark)
        if found:
            self._before = None
            if rest:
                self._take(rest)


async def _feed(channel: Channel, source: AsyncIterator[bytes]) -> None:
    # A command that does not read to the end of its input says by its exit code what is wrong.
    with suppress(BrokenPipeError, ConnectionResetError):
        async for piece in source:
            await channel.write(piece)
        channel.end_input()


async def _drain(channel: Channel, sink: _Marked) -> None:
    while data := await channel.read():
        sink.feed(data)


async def _gather(channel: Channel) -> bytes:
    whole = bytearray()
    while data := await channel.read_error():
        whole += data
    return bytes(whole)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


async def _pieces(path: Path, offset: int, size: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        left = size - offset
        while left > 0 and (data := await asyncio.to_thread(file.read, min(_PIECE, left))):
            left -= len(data)
            yield data


def _continued(part: Path, size: int) -> tuple[BinaryIO, int]:
    part.parent.mkdir(parents=True, exist_ok=True)
    begun = part.stat().st_size if part.exists() else 0
    if not 0 < begun <= size:
        return part.open("wb"), 0
    return part.open("ab"), begun


def _with(text: str, names: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}; " for name, value in names.items()) + text


def _hidden(text: str) -> str:
    """Write a text in letters that every shell leaves alone between single quotes."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _PLAIN else f"\\0{byte:03o}" for byte in data)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _time(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 10**9)
    return f"{seconds}.{rest:09}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _last(err: bytes) -> str:
    lines = [line.strip() for line in _text(err).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _ignore(_: bytes) -> None:
    pass
