"""Limits: a wait that somebody could wonder about is told, a short one is not; and they cost a service nothing."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from connector.adapter_kit.limits import Buckets, Limit
from connector.logs import bound


def test_only_a_long_wait_for_a_limit_is_told_with_its_crm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    buckets = Buckets([Limit("short", 1, 0.1), Limit("burst", 1, 1.2)])
    with bound(crm="hubspot"):
        for _ in range(2):
            buckets.wait("short")
        assert caplog.messages == []
        for _ in range(2):
            buckets.wait("burst")
    [told] = caplog.messages
    assert told.startswith("waited for a limit limit=burst seconds=1.")
    assert told.endswith(" crm=hubspot")


def test_limits_start_no_thread_and_forget_calls_that_count_no_more() -> None:
    threads = threading.active_count()
    buckets = Buckets([Limit("burst", 1_000, 0.05)])
    for _ in range(20):
        buckets.wait("burst")
    time.sleep(0.1)
    buckets.wait("burst")
    assert threading.active_count() == threads
    assert len(buckets._buckets["burst"].items) == 1
