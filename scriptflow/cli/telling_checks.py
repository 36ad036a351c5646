"""What ``doctor`` looks at of who is told: the channels of ``notify`` and the server that runs are sent to.

Sends no message: of a channel it looks at the settings and secrets, to the server it posts what is no batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scriptflow.cli.checks import FAILED, OK, WARNING, Finding, failed
from scriptflow.errors import ScriptflowError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scriptflow.core.config import Settings
    from scriptflow.sending.options import Server

_LIMIT_S = 5.0
_NO_BATCH = 422


def channels(settings: Settings) -> Iterator[Finding]:
    """Whether each channel has what it would need to send a note."""
    from scriptflow.notices.channel import Undelivered
    from scriptflow.notices.channels import read_channels

    try:
        found = read_channels(settings.notify, settings.place_of("notify"))
    except ScriptflowError as error:
        yield failed("notify", error)
        return
    for channel in found:
        check = f"notify {channel.name}"
        try:
            ready, on = channel.check(), ", ".join(sorted(channel.on))
            yield Finding(check=check, state=OK, detail=f"{ready}: {on}; `scriptflow notify test` sends one")
        except Undelivered as error:
            yield Finding(check=check, state=FAILED, detail=str(error), mend="scriptflow explain notify-failed")


def server(settings: Settings, folder: str) -> Iterator[Finding]:
    """Whether the server answers, and knows the token."""
    from scriptflow.sending.options import read_server, token_of

    try:
        where = read_server(settings.server, folder, settings.place_of("server"))
        token = token_of(where) if where is not None else ""
    except ScriptflowError as error:
        yield failed("server", error)
        return
    if where is not None:
        yield _asked(where, token)


def _asked(where: Server, token: str) -> Finding:
    from scriptflow.posting import PostFailed, post
    from scriptflow.sending.options import TOKEN

    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    status, said = 0, ""
    try:
        post(f"{where.url}/api/v1/ingest", b"{}", headers, _LIMIT_S)
    except PostFailed as error:
        status, said = error.status, str(error)
    if status == _NO_BATCH:  # it has looked at the token, and then at what was sent
        return Finding(
            check="server", state=OK, detail=f"{where.url} knows the token; {where.detail} of {where.project} are sent"
        )
    if status in (401, 403):
        mend = f"export {TOKEN}=..., the `ingest` token in the server's web.tokens" if token else f"export {TOKEN}=..."
        return Finding(check="server", state=FAILED, detail=f"{where.url} does not know the token", mend=mend)
    if status == 0 and said:
        return Finding(
            check="server", state=WARNING, detail=f"{said}; runs go on, and what is to be sent is kept",
            mend="check `server.url`, and whether `scriptflow serve --ingest` runs there",
        )  # fmt: skip
    return Finding(
        check="server", state=FAILED, detail=f"{where.url} takes no runs in: {said or 'it took what is no batch'}",
        mend="start it with `scriptflow serve --ingest`",
    )  # fmt: skip
