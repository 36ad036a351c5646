"""Secrets in settings: taken from the environment or a private file, and left out of all that is shown.

Knows texts and tables. Knows nothing of what a secret is for.
"""

from __future__ import annotations

import os
import stat

from scriptflow.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"
"""What stands where a secret is."""

_SECRET = ("token", "secret", "password", "passwd", "apikey", "api_key", "headers", "auth")
_SHORTEST = 4
_MOST_BYTES = 64 * 1024


def reveal(text: str, name: str) -> str:
    """Fill in ``${VARIABLE}`` from the environment.

    Args:
        text: as it stands in the settings.
        name: how an error names the setting.

    Raises:
        SettingsError: the environment has no such variable.
    """
    if "${" not in text:
        return text
    import re

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise SettingsError(f"{name} speaks of ${{{found[1]}}}, which is not set", do=f"export {found[1]}=...")
        return os.environ[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def read_private(path: str, name: str) -> str:
    """Return what a file holds that only its owner can read, without the line's end.

    Raises:
        SettingsError: it cannot be read, or others can read it too.
    """
    path = os.path.expanduser(path)  # noqa: PTH111 (plain strings all through)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (the same)
            found = os.fstat(file.fileno())
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise SettingsError(f"{name}: cannot read {path}", why=error.strerror or str(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise SettingsError(f"{name}: {path} is no plain file")
    if os.name == "posix" and found.st_mode & 0o077:
        raise SettingsError(f"{name}: others can read {path}", do=f"chmod 600 {path}")
    return content.decode("utf-8", "replace").strip()


def without(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` without any of ``secrets``, also as they stand in an address."""
    from urllib.parse import quote

    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN).replace(quote(secret, safe=""), HIDDEN)
    return text


def shown(key: str, value: object) -> object:
    """Return a setting's value as it may be shown: addresses of channels and values that sound secret are hidden.

    Args:
        key: the setting, dotted for what stands in a table.
        value: text, number, list or table.
    """
    if isinstance(value, dict):
        return {name: shown(f"{key}.{name}", inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(key, inner) for inner in value]
    if not isinstance(value, str):
        return value
    last = key.rpartition(".")[2].lower()
    if last.endswith("_file") or _is_reference(value):
        return value
    if any(word in key.lower() for word in _SECRET):
        return HIDDEN
    if "://" in value:
        return shown_address(value, path=key.partition(".")[0] != "notify")
    return HIDDEN if key == "notify" else value


def _is_reference(text: str) -> bool:
    return text.startswith("${") and text.endswith("}") and text.count("$") == 1


def shown_address(url: str, *, path: bool = False) -> str:
    """Return an address without the names and tokens in it; ``path``: what follows the host may be seen."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https"):
        return f"{scheme}://{HIDDEN}"  # many services have their token where a web address has its host
    host, slash, behind = rest.partition("/")
    host = host.rpartition("@")[2]
    return f"{scheme}://{host}{slash}{behind.partition('?')[0] if path else HIDDEN if behind else ''}"
