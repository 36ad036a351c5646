"""Hand each event to each listener, in order; a listener that fails harms no run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from scriptflow.core.events import Event
    from scriptflow.core.interfaces import Listener


class Bus:
    """The listeners of one head."""

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners = list(listeners)
        self.wants_names = any(listener.wants_names for listener in self._listeners)

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def publish(self, event: Event) -> None:
        """Tell everyone."""
        for listener in tuple(self._listeners):
            try:
                listener.hear(event)
            except Exception:  # noqa: BLE001 (whatever a listener does wrong, the run goes on without it)
                self._drop(listener)

    def tick(self) -> None:
        """Let the listeners that show time pass show it."""
        for listener in tuple(self._listeners):
            tick = getattr(listener, "tick", None)
            if tick is not None:
                try:
                    tick()
                except Exception:  # noqa: BLE001 (the same)
                    self._drop(listener)

    def close(self) -> None:
        """The run is over."""
        for listener in tuple(self._listeners):
            try:
                listener.close()
            except Exception:  # noqa: BLE001 (the same)
                self._drop(listener)

    def _drop(self, listener: Listener) -> None:
        import logging

        logging.getLogger(__name__).warning("%s failed and hears no more", type(listener).__name__, exc_info=True)
        self._listeners.remove(listener)
