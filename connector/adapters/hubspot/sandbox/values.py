"""Property values as HubSpot keeps them: always text, checked against the property's type when written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

_EMAIL = re.compile(r"[^@\s;,]+@[^@\s;,]+\.[^@\s;,]+")
LAST_MS = 253_402_300_799_999
"""The end of the year 9999, the last instant that Python can say."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TEXT = 65_536


class BadValue(Exception):
    """A value its property cannot hold; `code` is HubSpot's word for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Property:
    """What the sandbox must know about a property to store its values; `options` in their display order."""

    name: str
    type: str
    options: tuple[str, ...]
    multiple: bool
    unique: bool
    read_only: bool


def iso(at_ms: int) -> str:
    """Return an instant as HubSpot writes it: milliseconds only when there are any."""
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + (f".{at_ms % 1000:03d}Z" if at_ms % 1000 else "Z")


def to_ms(at: datetime) -> int:
    """Return an aware instant in milliseconds since 1970."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def parse_instant(text: str) -> int:
    """Return the milliseconds that an ISO 8601 instant or a text of epoch milliseconds means.

    Raises:
        ValueError: It is neither.
    """
    if re.fullmatch(r"-?[0-9]+", text):
        at_ms = int(text)
        if abs(at_ms) > LAST_MS:
            raise ValueError("beyond the year 9999")
        return at_ms
    at = datetime.fromisoformat(text)
    return to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))


def parse_day(text: str) -> str:
    """Return a date as `YYYY-MM-DD` from ISO 8601 or epoch milliseconds at midnight UTC.

    Raises:
        ValueError: It is neither, or not midnight.
    """
    if re.fullmatch(r"-?[0-9]{6,}", text):
        days, rest = divmod(parse_instant(text), 86_400_000)
        if rest:
            raise ValueError("not midnight UTC")
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    return date.fromisoformat(text[:10]).isoformat()


def normal(prop: Property, value: Any, before: str | None) -> str | None:
    """Return the text to store for a written value, or None when the value clears the property.

    Args:
        prop: The property written to.
        value: What the client sent; numbers and booleans are taken as their text.
        before: The stored text, which a multi-checkbox value with a leading `;` is added to.

    White space around what is no text is refused: https://developers.hubspot.com/changelog/
    reminder-breaking-change-for-enhanced-validations-for-non-string-properties-in-hubspots-crmobject-apis,
    checked 2026-11-22.

    Raises:
        BadValue: The property cannot hold it.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        value = "true" if value else "false"
    text = value if isinstance(value, str) else str(value)
    if text == "":
        return None
    if prop.type != "string" and text != text.strip():
        raise BadValue("LEADING_TRAILING_WHITESPACE", f'"{text}" includes leading or trailing whitespace.')
    check = _CHECKS.get(prop.type)
    if prop.name == "email":
        return _email(text)
    if prop.name == "hs_additional_emails":
        return ";".join(dict.fromkeys(_email(one) for one in text.split(";") if one.strip()))
    if prop.type == "enumeration":
        return _choice(prop, text, before)
    if check is not None:
        return check(text)
    if len(text) > _LONGEST_TEXT:
        raise BadValue("PROPERTY_VALUE_TOO_LONG", f"the value is longer than {_LONGEST_TEXT} characters")
    return text


def _email(text: str) -> str:
    text = text.strip().lower()
    if not _EMAIL.fullmatch(text):
        raise BadValue("INVALID_EMAIL", "Email address is invalid")
    return text


def _choice(prop: Property, text: str, before: str | None) -> str:
    if not prop.options:     # such as hubspot_owner_id: its options live elsewhere
        return text
    chosen = [one for one in text.split(";") if one] if prop.multiple else [text]
    unknown = [one for one in chosen if one not in prop.options]
    if unknown:
        raise BadValue("INVALID_OPTION", f"{unknown[0]} was not one of the allowed options: {sorted(prop.options)}")
    if prop.multiple and text.startswith(";") and before:
        chosen = list(dict.fromkeys(before.split(";") + chosen))
    return ";".join(chosen)


def _number(text: str) -> str:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        raise BadValue("INVALID_INTEGER", f"{text} was not a valid number.")
    return text


def _instant(text: str) -> str:
    try:
        return iso(parse_instant(text))
    except (ValueError, OverflowError) as error:
        raise BadValue("INVALID_DATE", f"{text} was not a valid long.") from error


def _day(text: str) -> str:
    try:
        return parse_day(text)
    except (ValueError, OverflowError) as error:
        raise BadValue("INVALID_DATE", f"{text} is not at midnight UTC.") from error


def _truth(text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise BadValue("INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]")
    return text.lower()


_CHECKS = {"number": _number, "datetime": _instant, "date": _day, "bool": _truth}
