"""Run short commands and copy files on this machine.

Knows nothing of jobs and batch systems.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scriptflow.core.interfaces import Completed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class LocalTransport:
    """The transport to where we are."""

    async def run(self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None) -> Completed:
        """Run a command to its end; cancelled, it kills all that the command started and does not wait for more.

        Raises:
            OSError: the command cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env} if env else None,
            start_new_session=True,
        )
        try:
            out, err = await process.communicate(stdin.encode("utf-8", "surrogateescape") if stdin else None)
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
            raise
        code = process.returncode
        return Completed(exit_code=-1 if code is None else code, out=_text(out), err=_text(err))

    async def put(self, local: Path, remote: str) -> None:
        """Copy a file or folder, whole or not at all."""
        await asyncio.to_thread(_copy, local, Path(remote))

    async def get(self, remote: str, local: Path) -> None:
        """Copy a file or folder, whole or not at all."""
        await asyncio.to_thread(_copy, Path(remote), local)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _copy(source: Path, target: Path) -> None:
    """Copy beside the target, then take its place in one step; an older folder is moved away first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        if source.is_dir():
            shutil.copytree(source, fresh, symlinks=True)
            if target.is_dir():
                old = fresh.with_suffix(".old")
                target.rename(old)
                fresh.rename(target)
                shutil.rmtree(old, ignore_errors=True)
                return
        else:
            shutil.copy2(source, fresh)
        fresh.replace(target)
    finally:
        if fresh.is_dir():
            shutil.rmtree(fresh, ignore_errors=True)
        else:
            fresh.unlink(missing_ok=True)
