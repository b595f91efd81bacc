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


def goes(link: weakref.ref[Link]) -> bool:
    """Tell whether it is taken out within a few seconds."""
    until = time.monotonic() + 10
    while link() is not None and time.monotonic() < until:
        time.sleep(0.01)
    return link() is None


def test_what_is_left_in_cycles_goes_without_python_looking_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SWEPT_SECONDS", 0.02)
    stopping, threads = Stopping(), threading.active_count()
    gc.disable()
    try:
        with memory.keep_small(stopping):
            assert gc.get_freeze_count() > 0
            gone = weakref.ref(Link())
            assert goes(gone)
    finally:
        gc.enable()
    assert stopping.asked()
    assert (gc.get_freeze_count(), threading.active_count()) == (0, threads)


def test_what_was_in_use_at_one_look_and_is_left_later_goes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SWEPT_SECONDS", 0.02)
    gc.disable()
    try:
        with memory.keep_small(Stopping()):
            link = Link()
            time.sleep(0.2)      # looked at several times
            assert link.itself is link
            kept = weakref.ref(link)
            del link
            assert goes(kept)
    finally:
        gc.enable()
