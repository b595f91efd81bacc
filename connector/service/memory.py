"""Keeps the process of a service small while it runs for months."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from connector.service.beside import beside_turns
from connector.service.stopping import Stopping

_SWEPT_SECONDS = 10.0
"""So often garbage is looked for among what is new, as what a turn left is: 3 ms while nothing happens, 30 ms beside
three turns a second."""

_WHOLE_SWEEPS = 12
"""Every so many times it is looked for everywhere, which takes 30 ms and more: for what was in use the time before."""


@contextmanager
def keep_small(stopping: Stopping) -> Iterator[None]:
    """Take out every few seconds what turns left in cycles, in a thread of its own, until the service is to stop.

    Python looks for it by the count of new objects, which is seldom enough where millions of records pass
    (`cli.spare_the_collector`), and hardly ever where nothing does. What is loaded by now is never looked through.
    """
    gc.collect()
    gc.freeze()

    counts = itertools.count(1)
    try:
        with beside_turns("memory", _SWEPT_SECONDS, lambda: _sweep(next(counts)), stopping):
            yield
    finally:
        gc.unfreeze()


def _sweep(count: int) -> None:
    gc.collect(2 if count % _WHOLE_SWEEPS == 0 else 1)
