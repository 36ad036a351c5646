"""Notes through apprise, the library that knows more than a hundred services; comes with the extra ``notify``."""

from __future__ import annotations

from scriptflow.notices.channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptflow.notices.note import Note

_TYPES = {"error": "failure", "warning": "warning", "success": "success", "note": "info"}


class AppriseChannel(Channel):
    """Sends to one address that apprise understands."""

    kind = "apprise"
    options = {"url": (str,)}  # noqa: RUF012 (typed in the base)
    required = ("url",)

    def look(self) -> str:
        """Look whether apprise is there and knows the kind of address."""
        self._service(_apprise())
        return super().look()

    def _service(self, apprise: Any) -> Any:  # noqa: ANN401 (apprise comes without types)
        service = apprise.Apprise()
        if not service.add(self.text("url")):
            raise RuntimeError("apprise does not know this kind of address")
        return service

    def send(self, note: Note) -> str:
        """Send it; the service's own limits hold."""
        import logging

        said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]  # one use
        logger = logging.getLogger("apprise")
        logger.addHandler(handler)
        try:
            apprise = _apprise()
            done = self._service(apprise).notify(
                title=note.title, body=note.html or note.text or note.title,
                body_format=apprise.NotifyFormat.HTML if note.html else apprise.NotifyFormat.TEXT,
                notify_type=apprise.NotifyType(_TYPES.get(note.level, "info")), attach=list(note.images) or None,
            )  # fmt: skip
        finally:
            logger.removeHandler(handler)
        if not done:
            raise RuntimeError("; ".join(said[-2:]) or "the service did not take it")
        return "accepted"


def _apprise() -> Any:  # noqa: ANN401 (as above)
    """Load apprise; by its name, since type checkers need not find what need not be there."""
    from importlib import import_module

    try:
        return import_module("apprise")
    except ImportError:
        raise RuntimeError("apprise is not installed: pip install 'scriptflow[notify]'") from None
