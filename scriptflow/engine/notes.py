"""Let a flow say something to people, through whatever channels are set.

Knows the current head and its bus. Knows nothing of channels.
"""

from __future__ import annotations

from time import time

from scriptflow.core.context import PLANNING, current_head
from scriptflow.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from scriptflow.engine.head import Head

LEVELS = ("note", "warning")
_said: set[str] = set()


async def notify(
    text: str, *, html: str | None = None, images: Sequence[str | os.PathLike[str]] = (), level: str = "note"
) -> None:
    """Send a message to every channel of the setting ``notify``, and go on at once.

    Without channels it is a line in ``scriptflow.log``; in a plan nothing happens. Whether it arrives never changes
    the run.

    Args:
        text: what to say; the first line is the title.
        html: the same with markup, for channels that can; a picture is ``<img src="cid:FILE.png">``.
        images: pictures that go with it, at most five of 1 MB, relative to the flow file's folder.
        level: ``note`` or ``warning``.

    Raises:
        UsageError: the text is no text, or there is no such level.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"sf.notify takes a text, not {text!r}", do='await sf.notify("fit done")')
    if level not in LEVELS:
        raise UsageError(f"sf.notify has no level {level!r}", do=f"one of {', '.join(LEVELS)}")
    if PLANNING.get():
        return
    head: Head = current_head()  # type: ignore[assignment]  # as a bag does, it asks more of it than a task
    from scriptflow.core.events import Message

    paths = [images] if isinstance(images, str) or hasattr(images, "__fspath__") else images
    pictures = tuple([head.files.absolute(str(path)) for path in paths])
    if not head.settings.notify and "unset" not in _said:
        import logging

        _said.add("unset")
        assert head.dispatcher is not None  # noqa: S101 (made on first use, and with it the store's log)
        logging.getLogger(__name__).warning("sf.notify: the setting `notify` has no channel, so nobody is told")
    head.tell.bus.publish(Message(at=time(), level=level, slug="notify", text=text, html=html or "", images=pictures))
