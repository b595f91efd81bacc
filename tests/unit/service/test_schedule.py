"""When a company's next turn comes: intervals, cron, quiet hours, changed clocks and zones, failures."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.service.schedule import (
    LONGEST_BACK_OFF,
    Schedule,
    first_due_at,
    is_too_far,
    leave_quiet,
    next_due_at,
    retry_due_at,
)
from connector.settings import QuietHours

ZONES = ("Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "UTC")
CRONS = ("*/10 * * * *", "0 3 * * *", "30 2 * * *", "15 1 * * *", "*/10 8-19 * * mon-fri", "0 */2 * * *", "5 0 1 * *")
DAY = timedelta(days=1)

moments = st.timedeltas(timedelta(0), timedelta(days=1000)).map(lambda since: datetime(2025, 1, 1, tzinfo=UTC) + since)
names = st.sampled_from(["mirai", "acme", "c-17"])
hours = st.builds(
    QuietHours, st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30])),
    st.builds(time, st.integers(0, 23), st.sampled_from([0, 45])),
).filter(lambda quiet: quiet.begin != quiet.end)


def a_schedule(
    *, minutes: float = 15, cron: str | None = None, zone: str = "UTC", quiet: QuietHours | None = None,
    jitter_seconds: float = 0, watch_minutes: float = 15,
) -> Schedule:
    return Schedule(
        timedelta(minutes=minutes), cron, ZoneInfo(zone), quiet, timedelta(seconds=jitter_seconds),
        timedelta(minutes=watch_minutes),
    )


schedules = st.builds(
    a_schedule, minutes=st.floats(0.1, 7 * 24 * 60), cron=st.none() | st.sampled_from(CRONS),
    zone=st.sampled_from(ZONES), quiet=st.none() | hours, jitter_seconds=st.floats(0, 3600),
    watch_minutes=st.floats(1, 600),
)

by_interval = st.builds(
    a_schedule, minutes=st.floats(0.1, 1000), zone=st.sampled_from(ZONES), quiet=st.none() | hours,
    watch_minutes=st.floats(1, 600),
)


def is_quiet(schedule: Schedule, at: datetime) -> bool:
    if schedule.quiet is None:
        return False
    begin, end = schedule.quiet
    minute = at.astimezone(schedule.zone).time()
    return (begin <= minute < end) if begin < end else not (end <= minute < begin)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def runs_by(schedule: Schedule, company: str, begin: datetime, end: datetime) -> list[datetime]:
    """Every turn between two moments where each takes no time."""
    found, at = [], begin
    while (at := next_due_at(schedule, company, at, at)) < end:
        found.append(at)
    return found


@given(schedules, names, moments, st.timedeltas(-30 * DAY, 30 * DAY), st.none() | moments)
def test_the_next_turn_is_never_past_and_never_in_quiet_hours(schedule, company, now, since, moment):
    due_at = next_due_at(schedule, company, now - since, now, moment=moment)

    assert due_at >= now
    assert not is_quiet(schedule, due_at)


@given(by_interval, names, moments, st.timedeltas(-30 * DAY, 30 * DAY))
def test_the_next_turn_is_at_most_one_interval_and_the_quiet_hours_away(schedule, company, now, since):
    assert next_due_at(schedule, company, now - since, now) <= now + schedule.interval + DAY * bool(schedule.quiet)


@given(schedules, names, moments, st.timedeltas(timedelta(0), 30 * DAY), st.none() | moments)
def test_what_a_turn_that_ended_now_says_is_never_too_far(schedule, company, now, since, moment):
    due_at = next_due_at(schedule, company, now - since, now, moment=moment)

    assert not is_too_far(schedule, company, due_at, now)


@given(by_interval, names, moments, st.timedeltas(2 * DAY, 30 * DAY))
def test_a_clock_that_was_set_back_leaves_nobody_waiting(schedule, company, now, back):
    written = next_due_at(schedule, company, now + back, now + back)

    assert is_too_far(schedule, company, written, now)
    assert next_due_at(schedule, company, now + back, now) <= now + schedule.interval + DAY


@given(schedules, names, moments, st.integers(1, 200), st.booleans())
def test_a_company_that_fails_waits_an_hour_at_most_and_is_not_called_too_far(schedule, company, now, failures, shut):
    due_at = retry_due_at(schedule, company, failures, now, is_shut=shut)

    assert now < due_at <= leave_quiet(schedule, now + LONGEST_BACK_OFF)
    assert not is_quiet(schedule, due_at)
    assert not is_too_far(schedule, company, due_at, now, failures=failures)


@given(schedules, names, moments)
def test_a_new_company_is_due_within_a_minute_outside_quiet_hours(schedule, company, now):
    due_at = first_due_at(schedule, company, now)

    assert now <= due_at <= leave_quiet(schedule, now + timedelta(minutes=1))
    assert not is_quiet(schedule, due_at)


@given(st.sampled_from(ZONES), st.sampled_from(CRONS), names, moments, st.floats(0, 3600))
@example("America/New_York", "30 2 * * *", "mirai", datetime(2026, 3, 7, 12, tzinfo=UTC), 30)
@example("America/New_York", "15 1 * * *", "mirai", datetime(2026, 10, 31, 12, tzinfo=UTC), 3600)
@example("Australia/Lord_Howe", "15 2 * * *", "acme", datetime(2026, 10, 3, 0, tzinfo=UTC), 0)
@example("Australia/Lord_Howe", "45 1 * * *", "acme", datetime(2026, 4, 4, 0, tzinfo=UTC), 600)
def test_turns_by_cron_come_one_after_the_other_however_clocks_change(zone, cron, company, begin, jitter):
    schedule = a_schedule(cron=cron, zone=zone, jitter_seconds=jitter)
    due = [begin]
    for _ in range(4):
        due.append(next_due_at(schedule, company, due[-1], due[-1]))

    assert all(one < after for one, after in pairwise(due))


@pytest.mark.parametrize(("zone", "begin", "cron"), [
    ("America/New_York", "2026-03-05T12:00+00:00", "30 2 * * *"),      # 02:30 of 8 March does not exist
    ("America/New_York", "2026-10-29T12:00+00:00", "30 1 * * *"),      # 01:30 of 1 November comes twice
    ("Australia/Lord_Howe", "2026-10-01T12:00+00:00", "15 2 * * *"),   # half an hour is skipped on 4 October
    ("Australia/Lord_Howe", "2026-04-02T00:00+00:00", "45 1 * * *"),   # and doubled on 5 April
    ("Asia/Tokyo", "2026-03-05T12:00+00:00", "30 2 * * *"),
])
def test_a_daily_turn_comes_once_on_each_day(zone, begin, cron):
    schedule = a_schedule(cron=cron, zone=zone, jitter_seconds=45)

    days = [at.astimezone(schedule.zone).date() for at in runs_by(schedule, "acme", utc(begin), utc(begin) + 6 * DAY)]

    assert days == [days[0] + n * DAY for n in range(6)]


def test_turns_every_ten_minutes_go_on_through_a_doubled_hour():
    schedule = a_schedule(cron="*/10 * * * *", zone="America/New_York")
    begin = utc("2026-11-01T04:00+00:00")

    assert runs_by(schedule, "acme", begin, begin + timedelta(hours=3)) == [
        begin + timedelta(minutes=10 * n) for n in range(1, 18)
    ]


def test_quiet_hours_over_midnight_end_in_the_morning():
    schedule = a_schedule(zone="Asia/Tokyo", quiet=QuietHours(time(22), time(7)))

    assert leave_quiet(schedule, utc("2026-11-23T23:30+09:00")) == utc("2026-11-24T07:00+09:00")
    assert leave_quiet(schedule, utc("2026-11-24T06:59+09:00")) == utc("2026-11-24T07:00+09:00")
    assert leave_quiet(schedule, utc("2026-11-24T07:00+09:00")) == utc("2026-11-24T07:00+09:00")


def test_quiet_hours_that_end_in_a_skipped_hour_end_when_it_is_past():
    schedule = a_schedule(zone="America/New_York", quiet=QuietHours(time(0), time(2, 30)))

    assert leave_quiet(schedule, utc("2026-03-08T05:30+00:00")) == utc("2026-03-08T07:30+00:00")


def test_the_same_company_begins_at_the_same_time_and_others_at_theirs():
    schedule = a_schedule(cron="0 * * * *", jitter_seconds=600)
    now = utc("2026-11-23T09:30+00:00")
    begun = {name: next_due_at(schedule, name, now, now) for name in ("mirai", "acme", "c-17")}

    assert begun == {name: next_due_at(schedule, name, now, now) for name in begun}
    assert len(set(begun.values())) == 3
    assert all(utc("2026-11-23T10:00+00:00") <= at < utc("2026-11-23T10:10+00:00") for at in begun.values())


def test_a_missed_time_of_cron_is_made_up_for_once():
    schedule = a_schedule(cron="0 * * * *")
    now = utc("2026-11-23T12:30+00:00")

    assert next_due_at(schedule, "acme", utc("2026-11-23T09:00+00:00"), now) == now
    assert next_due_at(schedule, "acme", now, now) == utc("2026-11-23T13:00+00:00")


def test_a_moment_between_two_turns_has_one_of_its_own_but_not_sooner_than_the_watch():
    schedule = a_schedule(minutes=600, watch_minutes=15)
    began_at, now = utc("2026-11-23T09:00+00:00"), utc("2026-11-23T09:01+00:00")

    def due_at(moment: str) -> datetime:
        return next_due_at(schedule, "acme", began_at, now, moment=utc(moment))

    assert due_at("2026-11-23T11:20+00:00") == utc("2026-11-23T11:20+00:00")
    assert due_at("2026-11-23T09:02+00:00") == utc("2026-11-23T09:15+00:00")
    assert due_at("2026-11-24T09:00+00:00") == utc("2026-11-23T19:00+00:00")


def test_failures_double_the_wait():
    schedule, now = a_schedule(minutes=5), utc("2026-11-23T09:00+00:00")

    waits = [(retry_due_at(schedule, "acme", n, now) - now) / timedelta(minutes=1) for n in range(1, 7)]

    assert waits == [5, 10, 20, 40, 60, 60]
    assert retry_due_at(schedule, "acme", 1, now, is_shut=True) == now + timedelta(hours=1)
