"""Keeps the store from growing while nothing happens: once a day what nobody asks for any more is taken out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from connector.service.beside import beside_turns
from connector.service.stopping import Stopping
from connector.store import Store
from connector.wiring import Clock, system_clock

KEPT = timedelta(days=90)
"""So long runs that did nothing, and counts of calls, are kept. Our choice: nothing but people asks for them."""

_FIRST_SECONDS, _EVERY_SECONDS = 600.0, 24 * 3600.0
_LOG_SECONDS = 10.0
"""So often it is looked whether SQLite's log is too long."""

_PAUSE_SECONDS = 0.5
"""Between two portions: a store that was never tidied has a year's worth, and the turns go first."""


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
    tidying, due_at = Tidying(store, clock), time.monotonic() + _FIRST_SECONDS

    def work() -> None:
        nonlocal due_at
        store.cut_log()
        if time.monotonic() >= due_at:
            due_at = time.monotonic() + _FIRST_SECONDS      # where it fails
            tidying.tidy(stopping.wait)
            due_at = time.monotonic() + _EVERY_SECONDS

    with beside_turns("tidying", _LOG_SECONDS, work, stopping):
        yield
