"""Keeps the store from growing while nothing happens: once a day what nobody asks for any more is taken out of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import timedelta

from connector.errors import StoreError
from connector.logs import get_logger
from connector.service.stopping import Stopping
from connector.store import Store
from connector.wiring import Clock, system_clock

log = get_logger(__name__)

KEPT = timedelta(days=90)
"""So long runs that did nothing, and counts of calls, are kept. Our choice: nothing but people asks for them."""

_FIRST_SECONDS, _EVERY_SECONDS = 600.0, 24 * 3600.0
_LOG_SECONDS = 10.0
"""So often it is looked whether SQLite's log is too long."""

_PAUSE_SECONDS = 0.5
"""Between two portions: a store that was never tidied has a year's worth, and the turns go first."""

_ENDING_SECONDS = 2.0


class Tidying:
    """Takes out what is old; goes on where it ended the day before."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._run_id = 0

    def tidy(self, pause: Callable[[float], bool] = lambda _seconds: False) -> None:
        """Delete what is old, in portions.

        Any number of processes may do so at once: each deletes what the others left.

        Args:
            pause: Waits so many seconds between two portions; True: end here.

        Raises:
            StoreError: The store cannot be used.
        """
        before = (self._store.shared_now() or self._clock()) - KEPT
        while self._store.drop_old_calls(before):
            if pause(_PAUSE_SECONDS):
                return
        while (run_id := self._store.drop_idle_runs(before, after=self._run_id)) is not None:
            self._run_id = run_id
            if pause(_PAUSE_SECONDS):
                return


@contextmanager
def keep_tidy(store: Store, stopping: Stopping, clock: Clock = system_clock) -> Iterator[None]:
    """Tidy a few minutes after the start and then once a day, in a thread of its own, until the service is to stop.

    SQLite's log is looked after all the time.
    """
    tidying = Tidying(store, clock)

    def work() -> None:
        due_at = time.monotonic() + _FIRST_SECONDS
        while not stopping.wait(_LOG_SECONDS):
            try:
                store.cut_log()
                if time.monotonic() >= due_at:
                    due_at = time.monotonic() + _FIRST_SECONDS
                    tidying.tidy(stopping.wait)
                    due_at = time.monotonic() + _EVERY_SECONDS
            except StoreError as error:
                log.warning("store not tidied", error=type(error).__name__)    # the turns tell of it in full
            except Exception:      # a bug of ours here must not end the service
                log.exception("store not tidied")

    thread = threading.Thread(target=copy_context().run, args=(work,), name="tidying", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.ask()      # also where the service ends by an error
        thread.join(_ENDING_SECONDS)
