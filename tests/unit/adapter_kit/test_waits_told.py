"""A wait for a limit that somebody could wonder about is told, a short one is not."""

from __future__ import annotations

import logging

import pytest

from connector.adapter_kit.limits import Buckets, Limit
from connector.logs import bound


def test_only_a_long_wait_for_a_limit_is_told_with_its_crm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    buckets = Buckets([Limit("short", 1, 0.1), Limit("burst", 1, 1.2)])
    try:
        with bound(crm="hubspot"):
            for _ in range(2):
                buckets.wait("short")
            assert caplog.messages == []
            for _ in range(2):
                buckets.wait("burst")
    finally:
        buckets.close()
    [told] = caplog.messages
    assert told.startswith("waited for a limit limit=burst seconds=1.")
    assert told.endswith(" crm=hubspot")
