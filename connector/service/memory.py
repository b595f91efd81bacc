"""Keeps the process of a service small while it runs for months."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from connector.service.stopping import Stopping

_SWEPT_SECONDS = 10.0
"""Looking for garbage takes some 30 ms: 0.3 % of one core."""

_ENDING_SECONDS = 2.0


@contextmanager
def keep_small(stopping: Stopping) -> Iterator[None]:
    """Take out every few seconds what turns left in cycles, in a thread of its own, until the service is to stop.

    Python looks for it by the count of new objects, which is seldom enough where millions of records pass
    (`cli.spare_the_collector`), and hardly ever where nothing does. What is loaded by now is never looked through.
    """
    gc.collect()
    gc.freeze()

    def work() -> None:
        while not stopping.wait(_SWEPT_SECONDS):
            gc.collect()

    thread = threading.Thread(target=work, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.ask()      # also where the service ends by an error
        thread.join(_ENDING_SECONDS)
        gc.unfreeze()
