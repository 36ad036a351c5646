"""The file of a server's tokens: one line for each, what it allows and the token; for its owner's eyes alone."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from scriptflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SHORTEST = 16


def load_tokens(path: Path, scopes: Iterable[str]) -> dict[str, str]:
    """Return the token of each scope; what the file does not have yet is made and written to it.

    A file with nothing but one token in it allows looking.

    Raises:
        UsageError: the file cannot be read or written, others can read it, or a token in it is too short.
    """
    tokens = _read(path) if path.exists() else {}
    missing = [scope for scope in scopes if scope not in tokens]
    if missing:
        tokens |= {scope: secrets.token_urlsafe(32) for scope in missing}
        _write(path, tokens)
    return {scope: tokens[scope] for scope in scopes}


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as file:
            found = os.fstat(file.fileno())
            if os.name == "posix" and found.st_mode & 0o077:
                raise UsageError(f"others can read the tokens in {path}", do=f"chmod 600 {path}")
            lines = [line.split() for line in file.read(65536).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the tokens in {path}", why=str(error), do="check that file") from error
    lines = [words for words in lines if words and not words[0].startswith("#")]
    if len(lines) == 1 and len(lines[0]) == 1:
        lines = [["view", lines[0][0]]]
    tokens = {}
    for words in lines:
        if len(words) != 2 or len(words[1]) < _SHORTEST or words[0] in tokens:
            raise UsageError(
                f"a line of {path} is no token", do=f"write `view TOKEN`, a token of at least {_SHORTEST} signs"
            )
        tokens[words[0]] = words[1]
    if len(set(tokens.values())) < len(tokens):
        raise UsageError(f"two tokens in {path} are the same", why="who may look must not be able to act")
    return tokens


def _write(path: Path, tokens: dict[str, str]) -> None:
    text = "".join(f"{scope} {token}\n" for scope, token in tokens.items())
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        raise UsageError(
            f"cannot write the tokens to {path}", why=error.strerror or str(error), do="name another with --token-file"
        ) from error
