"""What may be stored in a field: ids of 15 and 18 characters, and a written JSON value checked and converted."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, date, datetime
from typing import Any

from connector.adapter_kit.sandbox.ids import checksum
from connector.adapters.salesforce.sandbox.errors import RequestBodyError, SalesforceError
from connector.adapters.salesforce.sandbox.schema import Field

_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;]+")
_DATETIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
FIRST_YEAR, LAST_YEAR = 1700, 4000
"""The years the vendor keeps. Source: assumed."""


def normal_id(text: str) -> str | None:
    """Return the 18-character form of an id of 15 or 18 characters, or None when it is neither.

    An 18-character id whose case was lost is repaired from its last three characters, as the vendor does.
    """
    if not _ID.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    repaired = ""
    for n in (0, 5, 10):
        mark = _CHECK.find(text[15 + n // 5].upper())
        if mark < 0:
            return None
        repaired += "".join(
            c.upper() if mark >> i & 1 else c.lower() for i, c in enumerate(text[n:n + 5])
        )
    return repaired + text[15:].upper()


def datetime_text(at: datetime) -> str:
    """Return an aware datetime as the vendor prints it, whole seconds in UTC: `2026-11-22T00:00:00.000+0000`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def parse_datetime(text: str) -> datetime | None:
    """Return the aware datetime that `text` says in the vendor's syntax, or None."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        return None
    zone = "+0000" if match[3] == "Z" else match[3].replace(":", "")
    try:
        moment = datetime.strptime(match[1] + zone, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def parse_date(text: str) -> date | None:
    """Return the date that `text` says as `2026-11-22`, or None."""
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None
    return day if day is not None and FIRST_YEAR <= day.year <= LAST_YEAR else None


def stored_value(field: Field, raw: Any) -> Any:
    """Return `raw` from a request's JSON as it is stored in `field`; an empty text is null.

    Raises:
        RequestBodyError: JSON of another type, which fails the whole request.
        SalesforceError: The row's own fault: too long, not an address, not in a restricted picklist, not an id.
    """
    if raw is None or raw == "":
        return 0 if field.type == "boolean" else None
    match field.type:
        case "boolean":
            return _boolean(raw)
        case "int" | "double" | "currency" | "percent":
            return _number(field, raw)
        case "date":
            return _date(raw)
        case "datetime":
            return _datetime(raw)
        case "id" | "reference":
            return _reference(field, raw)
        case "base64":
            return _base64(raw)
        case _:
            return _text(field, raw)


def _cannot_read(kind: str, raw: Any) -> RequestBodyError:
    token = {bool: "VALUE_TRUE" if raw is True else "VALUE_FALSE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT",
             dict: "START_OBJECT", list: "START_ARRAY", str: "VALUE_STRING"}[type(raw)]
    return RequestBodyError(
        f"Cannot deserialize instance of {kind} from {token} value {str(raw)[:80]} or request may be missing a "
        "required field"
    )


def _boolean(raw: Any) -> int:
    if isinstance(raw, bool):
        return int(raw)
    if isinstance(raw, str) and raw.lower() in ("true", "false"):
        return int(raw.lower() == "true")
    raise _cannot_read("boolean", raw)


def _number(field: Field, raw: Any) -> int | float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise _cannot_read(field.type, raw)
    try:
        value = float(raw)
    except ValueError:
        raise _cannot_read(field.type, raw) from None
    # NaN and infinity compare false here too.
    if not abs(value) < 10 ** ((field.precision or 18) - field.scale):
        raise SalesforceError(
            "NUMBER_OUTSIDE_VALID_RANGE", f"{field.label}: value outside of valid range on numeric field: {raw}",
            (field.name,),
        )
    return round(value) if field.type == "int" else round(value, field.scale)


def _date(raw: Any) -> str:
    # A datetime in a date field keeps its date as written: the vendor does not shift time zones here.
    day = parse_date(raw[:10]) if isinstance(raw, str) and len(raw) in (10, *range(20, 30)) else None
    if day is None:
        raise _cannot_read("date", raw)
    return day.isoformat()


def _datetime(raw: Any) -> str:
    if isinstance(raw, str):
        day = parse_date(raw)
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC) if day else parse_datetime(raw)
        if moment is not None:
            return datetime_text(moment)
    raise _cannot_read("datetime", raw)


def _reference(field: Field, raw: Any) -> str:
    found = normal_id(raw) if isinstance(raw, str) else None
    if found is None:
        raise SalesforceError(
            "MALFORMED_ID", f"{field.label}: id value of incorrect type: {str(raw)[:40]}", (field.name,)
        )
    return found


def _base64(raw: Any) -> str:
    if not isinstance(raw, str):
        raise _cannot_read("base64Binary", raw)
    try:
        base64.b64decode(raw, validate=True)
    except binascii.Error:
        raise _cannot_read("base64Binary", raw) from None
    return raw


def _text(field: Field, raw: Any) -> str | None:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise _cannot_read("string", raw)
    text = str(raw).replace("\x00", "")
    if field.type not in ("textarea", "anyType"):
        text = text.strip()
    if not text:
        return None
    limit = field.length
    if limit and len(text) > limit:
        raise SalesforceError(
            "STRING_TOO_LONG", f"{field.label}: data value too large: {text[:255]} (max length={limit})", (field.name,)
        )
    if field.type == "email" and not _EMAIL.fullmatch(text):
        raise SalesforceError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", (field.name,))
    if field.restricted and text.lower() not in (value.lower() for value in field.picklist):
        raise SalesforceError(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{field.label}: bad value for restricted picklist field: {text}", (field.name,),
        )
    return text
