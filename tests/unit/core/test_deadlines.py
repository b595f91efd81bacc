from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from core_cases import acme, mirai
from hypothesis import given
from hypothesis import strategies as st

from connector.core.deadlines import deadline_at, is_working_day, moment_before, working_hours_between
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


def local(zone, *parts):
    return datetime(*parts, tzinfo=ZoneInfo(zone))


CLOSED = {
    "golden week": (date(2027, 4, 30),),
    "obon": (date(2026, 8, 12), date(2026, 8, 13), date(2026, 8, 14)),
}


@pytest.mark.parametrize(("calendar", "start", "hours", "expected"), [
    pytest.param({"holidays": "JP"}, tokyo(2027, 1, 8, 17, 30), 4, tokyo(2027, 1, 12, 12, 30), id="before 成人の日"),
    # The same moment told in UTC, whose date and weekday are others in the evening and on the day before a holiday.
    pytest.param({"holidays": "JP"}, datetime(2027, 1, 8, 8, 30, tzinfo=UTC), 4, tokyo(2027, 1, 12, 12, 30),
                 id="before 成人の日, told in UTC"),
    pytest.param({"holidays": "JP"}, datetime(2027, 1, 11, 15, 30, tzinfo=UTC), 4, tokyo(2027, 1, 12, 13),
                 id="Monday in UTC, Tuesday in Tokyo"),
    pytest.param({"holidays": "JP"}, tokyo(2027, 1, 8, 18), 4, tokyo(2027, 1, 12, 13), id="at closing before 成人の日"),
    pytest.param({"holidays": "JP"}, tokyo(2027, 1, 11, 10), 4, tokyo(2027, 1, 12, 13), id="on 成人の日 itself"),
    pytest.param({}, tokyo(2027, 1, 8, 17, 30), 4, tokyo(2027, 1, 11, 12, 30), id="where 成人の日 is worked"),
    pytest.param({"holidays": "JP"}, tokyo(2026, 5, 1, 17, 30), 1, tokyo(2026, 5, 7, 9, 30), id="振替休日"),
    pytest.param({"holidays": "JP"}, tokyo(2027, 3, 19, 17), 2, tokyo(2027, 3, 23, 10), id="振替休日 of a Sunday"),
    pytest.param({"holidays": "JP", "closing_days": CLOSED["golden week"]}, tokyo(2027, 4, 28, 17), 2,
                 tokyo(2027, 5, 6, 10), id="golden week with a bridge day"),
    pytest.param({"holidays": "JP", "closing_days": CLOSED["obon"]}, tokyo(2026, 8, 10, 17), 2,
                 tokyo(2026, 8, 17, 10), id="お盆"),
    pytest.param({"holidays": "JP"}, tokyo(2026, 9, 18, 17), 2, tokyo(2026, 9, 24, 10), id="国民の休日"),
    pytest.param({}, tokyo(2026, 11, 24, 17), 1, tokyo(2026, 11, 24, 18), id="exactly at closing"),
    pytest.param({}, tokyo(2026, 11, 24, 17, 50), 0.25, tokyo(2026, 11, 25, 9, 5), id="a quarter of an hour"),
    pytest.param({"workdays": (7, 1, 2, 3, 4)}, tokyo(2026, 11, 26, 17), 2, tokyo(2026, 11, 29, 10),
                 id="Sunday to Thursday"),
    pytest.param({"opens": time(8, 30), "closes": time(17, 15)}, tokyo(2026, 11, 24, 7), 8.75,
                 tokyo(2026, 11, 24, 17, 15), id="from half past to a quarter past"),
    pytest.param({"opens": time(8, 30), "closes": time(17, 15)}, tokyo(2026, 11, 24, 7), 9,
                 tokyo(2026, 11, 25, 8, 45), id="a quarter over"),
    pytest.param({"holidays": "JP"}, tokyo(1999, 12, 31, 17), 2, tokyo(2000, 1, 3, 10), id="long ago"),
    pytest.param({"holidays": "JP"}, tokyo(2090, 1, 6, 17), 2, tokyo(2090, 1, 10, 10), id="far away"),
])
def test_deadlines_on_the_calendar(calendar, start, hours, expected):
    business_hours = BusinessHours(**calendar)
    assert deadline_at(start, hours, business_hours, TOKYO) == expected
    assert working_hours_between(start, expected, business_hours, TOKYO) == pytest.approx(hours)
    assert deadline_at(moment_before(expected, hours, business_hours, TOKYO), hours, business_hours, TOKYO) == expected


@pytest.mark.parametrize(("zone", "start", "hours", "expected"), [
    ("America/New_York", (2026, 10, 30, 17, 0), 1, datetime(2026, 11, 2, 14, 0, tzinfo=UTC)),
    ("America/New_York", (2026, 3, 6, 17, 0), 1, datetime(2026, 3, 9, 13, 0, tzinfo=UTC)),
    ("America/New_York", (2026, 11, 25, 17, 0), 1, datetime(2026, 11, 30, 14, 0, tzinfo=UTC)),
    ("Europe/Berlin", (2026, 10, 23, 17, 0), 1, datetime(2026, 10, 26, 8, 0, tzinfo=UTC)),
    ("Europe/Berlin", (2026, 3, 27, 17, 0), 1, datetime(2026, 3, 30, 7, 0, tzinfo=UTC)),
])
def test_acme_s_deadlines_keep_to_the_local_clock_when_clocks_change(zone, start, hours, expected):
    business_hours = acme().business_hours
    assert deadline_at(local(zone, *start), hours, business_hours, ZoneInfo(zone)) == expected
    assert moment_before(expected, hours, business_hours, ZoneInfo(zone)) == local(zone, *start)


def test_hours_over_are_negative_and_nights_and_weekends_do_not_count():
    business_hours = BusinessHours()
    friday, monday = tokyo(2026, 11, 20, 17), tokyo(2026, 11, 23, 10)
    assert working_hours_between(friday, monday, business_hours, TOKYO) == 2
    assert working_hours_between(monday, friday, business_hours, TOKYO) == -2
    assert working_hours_between(tokyo(2026, 11, 21), tokyo(2026, 11, 22), business_hours, TOKYO) == 0


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
    with pytest.raises(ValueError, match="negative"):
        moment_before(tokyo(2026, 11, 24), -1, BusinessHours(), TOKYO)
    with pytest.raises(ValueError, match="time zone"):
        working_hours_between(tokyo(2026, 11, 24), datetime(2026, 11, 25), BusinessHours(), TOKYO)  # noqa: DTZ001


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


@given(starts, amounts, calendars, zones)
def test_going_forward_and_back_again_ends_where_it_began(start, hours, calendar, zone):
    begun = deadline_at(start, 0, calendar, zone)    # inside working time
    assert moment_before(deadline_at(begun, hours, calendar, zone), hours, calendar, zone) == begun


@given(starts, starts, amounts, amounts, calendars, zones)
def test_earlier_ends_and_more_hours_never_go_back_less(one, other, few, many, calendar, zone):
    early, late = sorted((one, other))
    few, many = sorted((few, many))
    assert moment_before(early, few, calendar, zone) <= moment_before(late, few, calendar, zone)
    assert moment_before(early, many, calendar, zone) <= moment_before(early, few, calendar, zone)


@given(starts, amounts, calendars, zones)
def test_going_back_ends_in_working_time_and_not_after_the_end(end, hours, calendar, zone):
    begun = moment_before(end, hours, calendar, zone)
    clock = begun.astimezone(zone)
    assert begun <= end
    assert is_working_day(clock.date(), calendar)
    assert calendar.opens <= clock.time() <= calendar.closes
    assert working_hours_between(begun, end, calendar, zone) == pytest.approx(hours, abs=1e-6)


@given(starts, amounts, calendars, zones)
def test_the_hours_to_a_deadline_are_those_that_were_given(start, hours, calendar, zone):
    due = deadline_at(start, hours, calendar, zone)
    assert working_hours_between(start, due, calendar, zone) == pytest.approx(hours, abs=1e-6)
