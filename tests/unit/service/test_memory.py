"""A service takes out what its turns left in cycles, which Python itself would look for too seldom."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

from connector.service import memory
from connector.service.stopping import Stopping


class Link:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_left_in_cycles_goes_without_python_looking_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SWEPT_SECONDS", 0.02)
    stopping, threads = Stopping(), threading.active_count()
    gc.disable()
    try:
        with memory.keep_small(stopping):
            assert gc.get_freeze_count() > 0
            gone = weakref.ref(Link())
            until = time.monotonic() + 10
            while gone() is not None and time.monotonic() < until:
                time.sleep(0.01)
            assert gone() is None
    finally:
        gc.enable()
    assert stopping.asked()
    assert (gc.get_freeze_count(), threading.active_count()) == (0, threads)
