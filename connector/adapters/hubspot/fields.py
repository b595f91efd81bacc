"""The account's properties: what there is, of which type, and how a value travels to HubSpot and back.

HubSpot sends every value as a string, unset ones as null or not at all.
Source: https://developers.hubspot.com/docs/guides/api/crm/properties, checked 2026-11-22.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.adapter_kit.protocol import FieldInfo, FieldType
from connector.adapters.hubspot.client import Client, documented_shape
from connector.adapters.hubspot.cursors import instant, text_of
from connector.adapters.hubspot.streams import HISTORY, STREAMS
from connector.records import Value

LONGEST_TEXT = 65_536
"""Characters a text property holds.
Source: https://developers.hubspot.com/docs/guides/api/crm/engagements/notes, checked 2026-11-22."""

_TYPES: dict[str, FieldType] = {
    "string": "text",
    "phone_number": "text",
    "number": "number",
    "bool": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enumeration": "choice",
}


class Fields:
    """The properties of one account's objects, asked once for each object."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, tuple[FieldInfo, ...]] = {}

    def of(self, stream: str) -> tuple[FieldInfo, ...]:
        """Return the stream's fields; the fixed ones, all text, where HubSpot has no schema to ask."""
        if stream not in self._known:
            object_type = STREAMS[stream].object_type
            self._known[stream] = (*self._ask(object_type), *_histories(stream)) if object_type else tuple(
                FieldInfo(name, name, "text", is_writable=False) for name in STREAMS[stream].fixed_fields
            )
        return self._known[stream]

    def ask_anew(self, stream: str) -> frozenset[str]:
        """Return the names of the stream's fields as they are at this moment, whatever was known before."""
        self._known.pop(stream, None)
        return frozenset(field.name for field in self.of(stream))

    def types(self, stream: str) -> dict[str, FieldType]:
        """Return the type of each of the stream's fields by name."""
        return {field.name: field.type for field in self.of(stream)}

    def forget(self) -> None:
        """Ask anew next time."""
        self._known.clear()

    def _ask(self, object_type: str) -> tuple[FieldInfo, ...]:
        # Asked once, and no value can be written without it.
        answer = self._client.get("properties", {"archived": "false"}, is_for_write=True, object_type=object_type)
        with documented_shape("properties"):
            return tuple(_field(one) for one in answer["results"])


def _histories(stream: str) -> tuple[FieldInfo, ...]:
    """Return the pseudo-fields that are worth a mapping: any property's history can be had, one is of use."""
    if stream != "contacts":
        return ()
    return (FieldInfo(f"{HISTORY}lifecyclestage", "Lifecycle stage, with its history", "text", is_writable=False),)


def _field(one: Any) -> FieldInfo:
    is_owner = one.get("referencedObjectType") == "OWNER"
    return FieldInfo(
        name=one["name"],
        label=one.get("label") or one["name"],
        type="reference" if is_owner else _TYPES.get(one.get("type"), "text"),
        is_writable=not (one.get("modificationMetadata") or {}).get("readOnlyValue", False)
        and not one.get("calculated", False),
        is_unique=bool(one.get("hasUniqueValue")),
        choices=() if is_owner else tuple(str(option["value"]) for option in one.get("options") or ()),
    )


def to_remote(value: Value, field_type: FieldType, time_zone: ZoneInfo) -> str:
    """Return a value as HubSpot takes it; the empty string clears.

    Args:
        time_zone: In it an instant becomes a day, for a date property.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if field_type == "date" and isinstance(value, str) and "T" in value:
        return datetime.fromisoformat(value).astimezone(time_zone).date().isoformat()
    return cut(str(value))


def from_remote(sent: Any, field_type: FieldType) -> Value:
    """Return what HubSpot sent in the form of `Value`; what is not of its type stays text."""
    text = "" if sent is None else str(sent)
    if not text:
        return None
    if field_type == "boolean" and text in ("true", "false"):
        return text == "true"
    try:
        if field_type == "number":
            number = float(text)
            return int(number) if number.is_integer() else number
        if field_type == "datetime":
            return text_of(_instant(text))
        if field_type == "date":
            return _instant(text).date().isoformat()
    except (ValueError, OverflowError):
        return text
    return text


def is_same(one: Value, other: Value, field_type: FieldType) -> bool:
    """Tell whether two values are the same to a reader: HubSpot trims blanks and orders ticked boxes anew."""
    if isinstance(one, str) and isinstance(other, str):
        if field_type == "choice":
            return sorted(one.split(";")) == sorted(other.split(";"))
        return one.strip() == other.strip()
    return one == other


def cut(text: str) -> str:
    """Return a text that a property can hold; counted in UTF-16 units, as HubSpot's Java does (assumed)."""
    if length(text) <= LONGEST_TEXT:
        return text
    return text.encode("utf-16-le")[: (LONGEST_TEXT - 1) * 2].decode("utf-16-le", "ignore") + "…"


def length(text: str) -> int:
    """Return a text's length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _instant(text: str) -> datetime:
    # Both forms occur: ISO 8601, and epoch milliseconds in older answers.
    if text.lstrip("-").isdigit() and len(text) > 8:
        return instant(int(text))
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
