"""How the store keeps an instant: whole microseconds since 1970-01-01 UTC, as an integer.

It sorts, it is exact (a datetime has no finer part), it is the same on every database, and no driver's own
date handling comes in between. ISO text appears inside JSON only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Dialect
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(at: datetime) -> int:
    """Microseconds since the epoch of an aware datetime.

    Raises:
        TypeError: `at` is naive.
    """
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime that `to_micros` was given."""
    return _EPOCH + timedelta(microseconds=micros)


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour that the instant is in."""
    return at.replace(minute=0, second=0, microsecond=0)


class Instant(TypeDecorator[datetime]):
    """A column of instants: aware datetimes in Python, integer microseconds in the database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Give the database the microseconds."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Give Python the aware datetime."""
        return None if value is None else from_micros(value)
