"""Work of the service's own, every few seconds beside the turns, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from connector.errors import StoreError
from connector.logs import get_logger
from connector.service.stopping import Stopping

log = get_logger(__name__)

_ENDING_SECONDS = 2.0


@contextmanager
def beside_turns(name: str, every_seconds: float, work: Callable[[], None], stopping: Stopping) -> Iterator[None]:
    """Call `work` every so often until `stopping` is asked, which leaving this does; whatever it raises is logged."""

    def go() -> None:
        while not stopping.wait(every_seconds):
            try:
                work()
            except StoreError as error:
                # The turns tell of it in full.
                log.warning("work beside the turns failed", work=name, error=type(error).__name__)
            except Exception:      # a bug of ours here must not end the service
                log.exception("work beside the turns failed", work=name)

    thread = threading.Thread(target=copy_context().run, args=(go,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.ask()      # also where the service ends by an error
        thread.join(_ENDING_SECONDS)      # it may be in the middle of something: whoever is next goes on
