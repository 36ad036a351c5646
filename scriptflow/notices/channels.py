"""Read the setting ``notify`` into channels.

Knows its shape and which kinds there are. Knows nothing of runs.
"""

from __future__ import annotations

from scriptflow.errors import SettingsError
from scriptflow.notices.guest import AppriseChannel
from scriptflow.notices.kinds import CommandChannel, NtfyChannel, WebhookChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptflow.errors import Place
    from scriptflow.notices.channel import Channel

KINDS = ("command", "webhook", "ntfy", "mail", "apprise")


def read_channels(setting: object, place: Place | None = None) -> list[Channel]:
    """Return the channels of ``notify = [{"type": …}, …]``; one table or one address stand for a list of one.

    What else it may be, a word of scriptflow 0.2 or nothing, is no channel.

    Args:
        setting: as it stands in the settings.
        place: where, for the error.

    Raises:
        SettingsError: a channel's options cannot be used.
    """
    if isinstance(setting, str):
        items: list[object] = [setting] if "://" in setting else []
    elif isinstance(setting, dict):
        items = [setting] if setting else []
    else:
        items = list(setting) if isinstance(setting, (list, tuple)) else []
    channels: list[Channel] = []
    for item in items:
        options = _from_address(item) if isinstance(item, str) else item
        if not isinstance(options, dict):
            raise SettingsError(
                f"setting `notify` has {type(item).__name__} where a channel belongs",
                do='notify = [{type = "webhook", url = "https://..."}]',
                place=place,
            )
        kind = options.get("type")
        name = str(options.get("name") or _free_name(str(kind), channels))
        if kind not in KINDS:
            raise SettingsError(
                f"setting `notify`, channel {name}: `type` is {kind!r}", do=f"one of {', '.join(KINDS)}", place=place
            )
        if any(channel.name == name for channel in channels):
            raise SettingsError(f"setting `notify`: two channels are named {name}", do="give each its own", place=place)
        channels.append(_class_of(str(kind))(options, name, place))
    return channels


def _class_of(kind: str) -> type[Channel]:
    if kind == "mail":
        from scriptflow.notices.mail import MailChannel  # loads the email package

        return MailChannel
    return {one.kind: one for one in (CommandChannel, WebhookChannel, NtfyChannel, AppriseChannel)}[kind]


def _from_address(address: str) -> dict[str, object]:
    """Read a bare address: a web hook where it is one of the web, else one of apprise's."""
    return {"type": "webhook" if address.startswith(("http://", "https://")) else "apprise", "url": address}


def _free_name(kind: str, channels: list[Channel]) -> str:
    taken = {channel.name for channel in channels}
    return next(name for number in range(1, 1000) if (name := kind if number == 1 else f"{kind}-{number}") not in taken)
