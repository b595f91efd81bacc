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
    if start_at.tzinfo is None:
        raise ValueError("start_at needs a time zone")
    if hours < 0:
        raise ValueError(f"hours must not be negative: {hours}")
    moment = start_at.astimezone(UTC)
    left = timedelta(hours=hours)
    day = moment.astimezone(zone).date()
    while True:
        if is_working_day(day, business_hours):
            opens_at = datetime.combine(day, business_hours.opens, zone).astimezone(UTC)
            closes_at = datetime.combine(day, business_hours.closes, zone).astimezone(UTC)
            begins_at = max(moment, opens_at)
            if begins_at < closes_at:
                if left <= closes_at - begins_at:
                    return begins_at + left
                left -= closes_at - begins_at
        day += timedelta(days=1)


def is_working_day(day: date, business_hours: BusinessHours) -> bool:
    """Tell whether the company works on this local day: a workday, no national holiday, no closing day."""
    if day.isoweekday() not in business_hours.workdays or day in business_hours.closing_days:
        return False
    return not business_hours.holidays or day not in _national_holidays(business_hours.holidays, day.year)


@lru_cache(maxsize=256)
def _national_holidays(country: str, year: int) -> frozenset[date]:
    # One frozen set per year: the library's own calendar fills itself in while it is asked, which two threads
    # could see half done.
    return frozenset(holidays.country_holidays(country, years=year, expand=False))
