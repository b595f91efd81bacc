"""What `adapter_kit.protocol` promises of a reading that begins at a moment, shown for every adapter there is."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from accounts import BEGINS_AT, Kept, MovedAccount, Need
from suite import needs

from connector.adapters.hubspot.cursors import PageViews, load, save
from connector.adapters.hubspot.page_views import begin_page_views

pytestmark = pytest.mark.usefixtures("clean_logs")

BEGAN = datetime.fromisoformat(BEGINS_AT)


@needs(Need.CLOCK)
def test_since_a_moment_exactly_what_changed_then_is_read_and_pulls_go_on_from_there(
    account: MovedAccount, kept: Kept,
) -> None:
    old = account.add(4)
    account.wait(7_200)
    account.rename(old[1])
    new = account.add(2)
    adapter = account.connect()

    begun = adapter.beginning(account.request, BEGAN + timedelta(hours=1), None)
    assert not begun.is_whole
    assert adapter.estimate([account.request], {account.stream: begun.cursor or ""}) >= 0
    for page in adapter.pull(account.request, begun.cursor):
        kept.save(page)
    assert sorted(kept.handed) == sorted([old[1], *new])

    account.outlast_overlap()
    account.rename(old[2])
    kept.pull(account.connect())
    assert old[2] in kept.handed
    assert old[3] not in kept.handed


@needs(Need.CLOCK)
def test_without_a_moment_everything_is_read(account: MovedAccount, kept: Kept) -> None:
    ids = account.add(3)
    begun = account.connect().beginning(account.request, None, None)
    assert begun.is_whole
    for page in account.connect().pull(account.request, begun.cursor):
        kept.save(page)
    assert sorted(kept.handed) == sorted(ids)


def test_page_views_are_read_from_where_they_were_read_before_so_that_none_counts_twice() -> None:
    counters = save(PageViews(mode="counters", seen_ms=900, id=7, tried_ms=5))
    since = datetime.fromisoformat("2026-11-24T00:00:00Z")
    begun = load(begin_page_views(counters, since) or "", PageViews)
    assert (begun.mode, begun.tried_ms, begun.id) == ("counters", 5, 0)
    assert begun.seen_ms == int(since.timestamp() * 1000) - 1
    whole = load(begin_page_views(save(PageViews(mode="events", from_ms=70, seen_ms=9)), None) or "", PageViews)
    assert (whole.mode, whole.from_ms, whole.seen_ms, whole.since_ms) == ("events", 70, 0, 0)
    assert begin_page_views(None, None) is None
