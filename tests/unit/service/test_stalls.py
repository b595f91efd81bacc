"""When a company counts as stalled: so many of its own intervals, quiet hours left out. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.service.alarms import has_stalled
from connector.service.schedule import Schedule
from connector.settings import QuietHours

SINCE = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
NO_GRACE = timedelta(0)


def schedule(minutes: float = 15, cron: str | None = None, quiet: QuietHours | None = None) -> Schedule:
    return Schedule(timedelta(minutes=minutes), cron, ZoneInfo("UTC"), quiet, NO_GRACE, timedelta(minutes=15))


def stalls_after(one: Schedule, intervals: float, grace: timedelta = NO_GRACE) -> timedelta:
    """After how many minutes it counts as stalled, looking each minute."""
    minutes = 0
    while not has_stalled(one, "mirai", SINCE, SINCE + timedelta(minutes=minutes), intervals, grace):
        minutes += 1
    return timedelta(minutes=minutes)


@pytest.mark.parametrize(("intervals", "after"), [(1, 15), (4, 60), (2.5, 38)])
def test_after_so_many_intervals(intervals, after):
    assert stalls_after(schedule(), intervals) == timedelta(minutes=after)


def test_with_cron_after_so_many_of_its_times():
    assert stalls_after(schedule(cron="0 6,18 * * *"), 3) == timedelta(hours=30)


def test_quiet_hours_do_not_count():
    assert stalls_after(schedule(quiet=QuietHours(time(0, 20), time(8, 0))), 4) == timedelta(hours=8, minutes=30)


def test_the_grace_is_added():
    assert stalls_after(schedule(), 4, timedelta(minutes=1)) == timedelta(minutes=61)


@given(st.floats(0.1, 500), st.floats(1, 20), st.floats(0, 3))
def test_without_quiet_hours_it_is_the_product_of_both(minutes, intervals, part):
    passed = timedelta(minutes=minutes) * intervals * part
    exact = timedelta(minutes=minutes) * intervals
    if abs(passed - exact) > timedelta(milliseconds=1):
        assert has_stalled(schedule(minutes), "mirai", SINCE, SINCE + passed, intervals, NO_GRACE) is (passed > exact)


@given(st.integers(-10_000, 0))
def test_nobody_stalls_after_a_clock_was_set_back(minutes):
    assert not has_stalled(schedule(), "mirai", SINCE, SINCE + timedelta(minutes=minutes), 4, NO_GRACE)
