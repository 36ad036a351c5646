"""Read the setting ``server``: where to send, how much, and the token for it."""

from __future__ import annotations

import os

from scriptflow.core.frozen import frozen
from scriptflow.core.nearest import nearest
from scriptflow.errors import Place, SettingsError
from scriptflow.hidden import read_private

DETAILS = ("counts", "failures", "tasks", "logs")
"""How much is sent; each has all of those before it."""
TOKEN = "SCRIPTFLOW_SERVER_TOKEN"  # noqa: S105 (a variable's name)

_KEYS = ("url", "detail", "token_file", "project", "insecure", "actions")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@frozen
class Server:
    """Where a run is sent to, and whether it may be stopped from there. The token is not part of it: ``token_of``."""

    url: str
    detail: str
    token_file: str
    project: str
    actions: bool = True


def read_server(setting: object, folder: str, place: Place | None = None) -> Server | None:
    """Return what ``server = "https://…"`` or ``server = {url = "https://…", detail = "failures"}`` means.

    Args:
        setting: as it stands in the settings.
        folder: the project's; its name is the project's unless the setting names one.
        place: where it was set, for the error.

    Raises:
        SettingsError: the address or an option cannot be used.
    """
    if not setting:
        return None
    table = {"url": setting} if isinstance(setting, str) else setting
    if not isinstance(table, dict):
        raise _wrong(f"`server` is {type(setting).__name__}", 'server = "https://flows.example.org"', place)
    for key in table:
        if key not in _KEYS:
            near = nearest(str(key), _KEYS)
            raise _wrong(f"`server` has no option `{key}`", f"server.{near}" if near else ", ".join(_KEYS), place)
    detail = table.get("detail", DETAILS[0])
    if detail not in DETAILS:
        raise _wrong(f"`server.detail` is {detail!r}", f"one of {', '.join(DETAILS)}", place)
    url = str(table.get("url", "")).rstrip("/")
    _check_address(url, insecure=table.get("insecure") is True, place=place)
    project = str(table.get("project") or os.path.basename(folder) or "project")  # noqa: PTH119 (plain strings)
    return Server(
        url=url, detail=str(detail), token_file=str(table.get("token_file", "")), project=_project_name(project),
        actions=table.get("actions", True) is not False,
    )  # fmt: skip


def token_of(server: Server) -> str:
    """Return the token, from the environment or its file; empty where there is none.

    Raises:
        SettingsError: the file cannot be read, or others can read it.
    """
    if os.environ.get(TOKEN):
        return os.environ[TOKEN].strip()
    return read_private(server.token_file, "setting `server.token_file`") if server.token_file else ""


def _check_address(url: str, *, insecure: bool, place: Place | None) -> None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, None
    if parts is None or parts.scheme not in ("http", "https") or not host:
        raise _wrong("`server` is no web address", 'server = "https://flows.example.org"', place)
    if parts.username or parts.password or parts.query:
        raise _wrong("`server` holds more than an address", f"put the token into {TOKEN}", place)
    if parts.scheme == "http" and host not in _LOOPBACK and not insecure:
        raise _wrong(
            f"`server` would send the token to {host} in the clear", "use https, or server.insecure = true", place
        )


def _project_name(name: str) -> str:
    """Make a name that the server takes: letters, digits, ``.``, ``_`` and ``-``."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).lstrip(".-")
    return kept[:64] or "project"


def _wrong(what: str, do: str, place: Place | None) -> SettingsError:
    return SettingsError(f"setting {what}", do=do, place=place)
