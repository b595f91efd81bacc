"""Work beside the turns: it goes on after it failed, and ends with whoever asked for it."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from connector.errors import StoreError
from connector.service.beside import beside_turns
from connector.service.stopping import Stopping


@pytest.mark.logs_errors
def test_work_that_fails_is_told_without_what_it_says_and_tried_again(caplog):
    caplog.set_level(logging.INFO)
    failing = iter([StoreError("away"), ValueError("taro@example.com")])
    done, stopping, threads = threading.Event(), Stopping(), threading.active_count()

    def work() -> None:
        if (error := next(failing, None)) is not None:
            raise error
        done.set()

    with beside_turns("tidying", 0.01, work, stopping):
        assert done.wait(10)
    assert stopping.asked()
    assert threading.active_count() == threads
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["WARNING", "ERROR"]
    assert all("work beside the turns failed" in text and "tidying" in text for _, text in told)
    assert "taro" not in str(told)


def test_whoever_leaves_does_not_wait_for_work_that_hangs(monkeypatch):
    monkeypatch.setattr("connector.service.beside._ENDING_SECONDS", 0.1)
    hanging, began = threading.Event(), time.monotonic()
    with beside_turns("stalls", 0.01, lambda: hanging.wait(30) and None, Stopping()):
        time.sleep(0.1)
    assert time.monotonic() - began < 5
    hanging.set()
