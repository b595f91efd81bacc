"""SOQL's date literals, such as TODAY or LAST_N_DAYS:30: each is a range of whole days.

Source: assumed (common knowledge of the SOQL reference). A day is the org's, not UTC's; weeks begin on Sunday (a
matter of the user's locale); fiscal literals are not served.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from connector.adapters.salesforce.sandbox.values import FIRST_YEAR, LAST_YEAR

Range = tuple[date, date]
"""First day, and the day after the last."""


def _week(today: date) -> date:
    return today - timedelta(days=(today.weekday() + 1) % 7)


def _month(today: date, by: int = 0) -> date:
    months = today.year * 12 + today.month - 1 + by
    return date(months // 12, months % 12 + 1, 1)


def _quarter(today: date, by: int = 0) -> date:
    return _month(date(today.year, (today.month - 1) // 3 * 3 + 1, 1), by * 3)


def _days(today: date, first: int, last: int) -> Range:
    return today + timedelta(days=first), today + timedelta(days=last)


_FIXED: dict[str, Callable[[date], Range]] = {
    "TODAY": lambda t: _days(t, 0, 1),
    "YESTERDAY": lambda t: _days(t, -1, 0),
    "TOMORROW": lambda t: _days(t, 1, 2),
    "THIS_WEEK": lambda t: _days(_week(t), 0, 7),
    "LAST_WEEK": lambda t: _days(_week(t), -7, 0),
    "NEXT_WEEK": lambda t: _days(_week(t), 7, 14),
    "THIS_MONTH": lambda t: (_month(t), _month(t, 1)),
    "LAST_MONTH": lambda t: (_month(t, -1), _month(t)),
    "NEXT_MONTH": lambda t: (_month(t, 1), _month(t, 2)),
    "THIS_QUARTER": lambda t: (_quarter(t), _quarter(t, 1)),
    "LAST_QUARTER": lambda t: (_quarter(t, -1), _quarter(t)),
    "NEXT_QUARTER": lambda t: (_quarter(t, 1), _quarter(t, 2)),
    "THIS_YEAR": lambda t: (date(t.year, 1, 1), date(t.year + 1, 1, 1)),
    "LAST_YEAR": lambda t: (date(t.year - 1, 1, 1), date(t.year, 1, 1)),
    "NEXT_YEAR": lambda t: (date(t.year + 1, 1, 1), date(t.year + 2, 1, 1)),
    "LAST_90_DAYS": lambda t: _days(t, -89, 1),
    "NEXT_90_DAYS": lambda t: _days(t, 1, 91),
}
_COUNTED: dict[str, Callable[[date, int], Range]] = {
    # The last n days end with today, as the vendor's table says.
    "LAST_N_DAYS": lambda t, n: _days(t, -n, 1),
    "NEXT_N_DAYS": lambda t, n: _days(t, 1, n + 1),
    "N_DAYS_AGO": lambda t, n: _days(t, -n, -n + 1),
    "LAST_N_WEEKS": lambda t, n: _days(_week(t), -7 * n, 0),
    "NEXT_N_WEEKS": lambda t, n: _days(_week(t), 7, 7 * n + 7),
    "LAST_N_MONTHS": lambda t, n: (_month(t, -n), _month(t)),
    "NEXT_N_MONTHS": lambda t, n: (_month(t, 1), _month(t, n + 1)),
    "LAST_N_QUARTERS": lambda t, n: (_quarter(t, -n), _quarter(t)),
    "LAST_N_YEARS": lambda t, n: (date(t.year - n, 1, 1), date(t.year, 1, 1)),
}


def day_range(literal: str, today: date) -> Range | None:
    """Return the days that a literal covers as of `today`, or None when there is no such literal."""
    word, _, count = literal.upper().partition(":")
    try:
        if count:
            found = _COUNTED[word](today, int(count)) if word in _COUNTED else None
        else:
            found = _FIXED[word](today) if word in _FIXED else None
    except (OverflowError, ValueError):
        # A count that leaves the calendar covers no day that could be meant.
        return None
    return found if found and found[0].year >= FIRST_YEAR and found[1].year <= LAST_YEAR else None
