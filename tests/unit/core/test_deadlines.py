from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from core_cases import mirai
from hypothesis import given
from hypothesis import strategies as st

from connector.core.deadlines import deadline_at, is_working_day
from connector.mapping.model import BusinessHours

TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YORK = ZoneInfo("America/New_York")


def tokyo(*parts):
    return datetime(*parts, tzinfo=TOKYO)


@pytest.mark.parametrize(("start", "hours", "expected"), [
    # 2026-11-22 is a Sunday, 11-23 is Labour Thanksgiving Day: work goes on on Tuesday.
    (tokyo(2026, 11, 22, 12), 8, tokyo(2026, 11, 24, 17)),
    (tokyo(2026, 11, 20, 17), 8, tokyo(2026, 11, 24, 16)),
    (tokyo(2026, 11, 24, 9), 9, tokyo(2026, 11, 24, 18)),
    (tokyo(2026, 11, 24, 18), 1, tokyo(2026, 11, 25, 10)),
    (tokyo(2026, 11, 24, 6, 30), 0.5, tokyo(2026, 11, 24, 9, 30)),
    # 12-29 to 12-31 and 01-02, 01-03 are closing days, 01-01 a holiday, 01-02 and 01-03 a weekend in 2027.
    (tokyo(2026, 12, 28, 17), 2, tokyo(2027, 1, 4, 10)),
    # 2026-09-22 lies between two holidays and is one by that: citizens' holiday.
    (tokyo(2026, 9, 18, 17), 2, tokyo(2026, 9, 24, 10)),
])
def test_only_business_hours_of_japan_count(start, hours, expected):
    assert deadline_at(start, hours, mirai().business_hours, TOKYO) == expected


def test_the_answer_is_in_utc():
    assert deadline_at(tokyo(2026, 11, 24, 9), 1, mirai().business_hours, TOKYO).tzinfo is UTC


def test_a_working_day_has_the_hours_that_really_pass_when_clocks_change():
    # 2026-03-08 in New York: from 02:00 straight to 03:00.
    sundays = BusinessHours(workdays=(7,), opens=time(0), closes=time(23))
    start = datetime(2026, 3, 8, 0, tzinfo=NEW_YORK)
    assert deadline_at(start, 22, sundays, NEW_YORK) == datetime(2026, 3, 8, 23, tzinfo=NEW_YORK)
    assert deadline_at(start, 23, sundays, NEW_YORK) == datetime(2026, 3, 15, 1, tzinfo=NEW_YORK)


def test_holidays_count_only_where_the_company_says_so():
    assert is_working_day(date(2026, 11, 23), BusinessHours())
    assert not is_working_day(date(2026, 11, 23), BusinessHours(holidays="JP"))


def test_a_moment_without_zone_and_negative_hours_are_refused():
    with pytest.raises(ValueError, match="time zone"):
        deadline_at(datetime(2026, 11, 24), 1, BusinessHours(), TOKYO)  # noqa: DTZ001
    with pytest.raises(ValueError, match="negative"):
        deadline_at(tokyo(2026, 11, 24), -1, BusinessHours(), TOKYO)


zones = st.sampled_from([TOKYO, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), UTC]).map(
    lambda zone: zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC"))
starts = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
amounts = st.floats(0, 200)
calendars = st.builds(
    BusinessHours,
    workdays=st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days))),
    opens=st.integers(0, 11).map(time), closes=st.integers(12, 23).map(time),
    holidays=st.sampled_from(["", "JP", "US"]),
    closing_days=st.lists(st.dates(date(2025, 1, 1), date(2028, 1, 1)), max_size=5).map(tuple),
)


@given(starts, amounts, calendars, zones)
def test_a_deadline_lies_in_working_time_and_not_before_its_start(start, hours, calendar, zone):
    due = deadline_at(start, hours, calendar, zone)
    local = due.astimezone(zone)
    assert due >= start
    assert due - start >= timedelta(hours=hours) - timedelta(microseconds=1)
    assert is_working_day(local.date(), calendar)
    assert calendar.opens <= local.time() <= calendar.closes


@given(starts, starts, amounts, amounts, calendars, zones)
def test_later_starts_and_more_hours_never_give_earlier_deadlines(one, other, few, many, calendar, zone):
    early, late = sorted((one, other))
    few, many = sorted((few, many))
    assert deadline_at(early, few, calendar, zone) <= deadline_at(late, few, calendar, zone)
    assert deadline_at(early, few, calendar, zone) <= deadline_at(early, many, calendar, zone)


@given(starts, st.integers(0, 50), st.integers(1, 50), calendars, zones)
def test_hours_add_up(start, first, then, calendar, zone):
    between = deadline_at(start, first, calendar, zone)
    assert deadline_at(between, then, calendar, zone) == deadline_at(start, first + then, calendar, zone)
