"""By when sales must follow up: hours that pass only while the company works."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

from connector.mapping.model import BusinessHours


def deadline_at(start_at: datetime, hours: float, business_hours: BusinessHours, zone: ZoneInfo) -> datetime:
    """Add working hours to a moment.

    A start outside working time counts from the next opening. Working time is measured on the absolute time line,
    so a day on which clocks change has as many working hours as really pass between opening and closing.

    Args:
        start_at: Aware; in any zone.
        hours: Working hours to let pass, 0 or more.
        zone: Where the working day is read on the clock.

    Returns:
        Aware UTC datetime inside working time; closing time itself still belongs to it.

    Raises:
        ValueError: `start_at` has no zone, or `hours` is negative.
    """
    _refuse_nonsense(start_at, hours)
    moment = start_at.astimezone(UTC)
    left = timedelta(hours=hours)
    day = moment.astimezone(zone).date()
    while True:
        for opens_at, closes_at in _working_time(day, business_hours, zone):
            begins_at = max(moment, opens_at)
            if begins_at < closes_at:
                if left <= closes_at - begins_at:
                    return begins_at + left
                left -= closes_at - begins_at
        day += timedelta(days=1)


def moment_before(end_at: datetime, hours: float, business_hours: BusinessHours, zone: ZoneInfo) -> datetime:
    """Go back by working hours: the moment from which so many of them pass until `end_at`.

    The reverse of `deadline_at`: what that adds to a moment inside working time, this takes away again. An end outside
    working time counts from the closing before it.

    Returns:
        Aware UTC datetime inside working time; where a closing and the opening after it would do, the opening.

    Raises:
        ValueError: `end_at` has no zone, or `hours` is negative.
    """
    _refuse_nonsense(end_at, hours)
    moment = end_at.astimezone(UTC)
    left = timedelta(hours=hours)
    day = moment.astimezone(zone).date()
    while True:
        for opens_at, closes_at in _working_time(day, business_hours, zone):
            ends_at = min(moment, closes_at)
            if opens_at <= ends_at:
                if left <= ends_at - opens_at:
                    return ends_at - left
                left -= ends_at - opens_at
        day -= timedelta(days=1)


def working_hours_between(
    start_at: datetime, end_at: datetime, business_hours: BusinessHours, zone: ZoneInfo
) -> float:
    """Return how many working hours pass from one moment to another; negative when the other comes first.

    Raises:
        ValueError: A moment has no zone.
    """
    _refuse_nonsense(start_at, 0)
    _refuse_nonsense(end_at, 0)
    if end_at < start_at:
        return -working_hours_between(end_at, start_at, business_hours, zone)
    passed = timedelta()
    day, last = start_at.astimezone(zone).date(), end_at.astimezone(zone).date()
    while day <= last:
        for opens_at, closes_at in _working_time(day, business_hours, zone):
            passed += max(min(end_at, closes_at) - max(start_at, opens_at), timedelta())
        day += timedelta(days=1)
    return passed / timedelta(hours=1)


def is_working_day(day: date, business_hours: BusinessHours) -> bool:
    """Tell whether the company works on this local day: a workday, no national holiday, no closing day."""
    if day.isoweekday() not in business_hours.workdays or day in business_hours.closing_days:
        return False
    return not business_hours.holidays or day not in _national_holidays(business_hours.holidays, day.year)


def _working_time(day: date, business_hours: BusinessHours, zone: ZoneInfo) -> tuple[tuple[datetime, datetime], ...]:
    """Return the opening and the closing of a local day in UTC; nothing for a day off."""
    if not is_working_day(day, business_hours):
        return ()
    opens_at = datetime.combine(day, business_hours.opens, zone).astimezone(UTC)
    closes_at = datetime.combine(day, business_hours.closes, zone).astimezone(UTC)
    return ((opens_at, closes_at),)


def _refuse_nonsense(moment: datetime, hours: float) -> None:
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    if hours < 0:
        raise ValueError(f"hours must not be negative: {hours}")


@lru_cache(maxsize=256)
def _national_holidays(country: str, year: int) -> frozenset[date]:
    # One frozen set per year: the library's own calendar fills itself in while it is asked, which two threads
    # could see half done.
    return frozenset(holidays.country_holidays(country, years=year, expand=False))
