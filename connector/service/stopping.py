"""Ending this process in good order: a signal asks for it, and everything that waits or works looks here."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SECONDS = 25.0
"""So long what is under way may take after a stop was asked for; then it is cut off, which is safe as any crash is.
Supervisors kill after 30 s or later (Docker: 10 s unless told otherwise, docs/service.md)."""


class Stopping:
    """Whether this process was asked to stop; safe to share between threads."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ask(self) -> None:
        """Ask it to stop."""
        self._event.set()

    def asked(self) -> bool:
        """Tell whether it was."""
        return self._event.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is asked to, so long at most; tell whether it was."""
        return self._event.wait(seconds)


@contextmanager
def stop_on_signals(stopping: Stopping, on_hangup: Callable[[], None]) -> Iterator[None]:
    """Ask `stopping` at SIGTERM and SIGINT, and call `on_hangup` at SIGHUP; for the main thread only."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # A second signal may come while the first one's waking goes on in this very thread: it must not wait for it.
        if not stopping.asked():
            stopping.ask()

    def hang_up(_signal: int, _frame: FrameType | None) -> None:
        on_hangup()

    before = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, hang_up))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
