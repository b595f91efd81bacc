"""What the org says about its objects: fields for mappings, types for comparing values, picklists for tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connector.adapter_kit.protocol import FieldInfo, FieldType
from connector.adapters.salesforce.client import Client
from connector.adapters.salesforce.streams import source_of
from connector.errors import ApiChangedError
from connector.records import Value

TYPES: Mapping[str, FieldType] = {
    "id": "reference", "reference": "reference",
    "string": "text", "textarea": "text", "email": "text", "phone": "text", "url": "text", "combobox": "text",
    "encryptedstring": "text", "time": "text", "anyType": "text",
    "double": "number", "currency": "number", "percent": "number", "int": "number", "long": "number",
    "boolean": "boolean", "date": "date", "datetime": "datetime",
    "picklist": "choice", "multipicklist": "choice",
}
"""The vendor's field types in our words. Those whose values are not one `Value` (an address, a file) are left out on
purpose: they cannot be mapped. Source: assumed (the usual describe types)."""
_NUMBERS = frozenset(name for name, kind in TYPES.items() if kind == "number")
_DATETIME_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Schema:
    """The org's describes, each asked for once and kept for the adapter's life, unless `forget` is called."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._fields: dict[str, Mapping[str, Mapping[str, Any]]] = {}

    def fields_of(self, object_type: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the vendor's field descriptions of an object by name; hidden fields are absent.

        Raises:
            ApiChangedError: The object is not there, or the integration user may not see it.
        """
        if object_type not in self._fields:
            described = self._client.get(f"sobjects/{object_type}/describe")
            self._fields[object_type] = {field["name"]: field for field in described["fields"]}
        return self._fields[object_type]

    def forget(self, object_type: str) -> None:
        """Ask the org again next time."""
        self._fields.pop(object_type, None)

    def forget_all(self) -> None:
        """Ask the org again for every object."""
        self._fields.clear()

    def find(self, object_type: str, path: str) -> Mapping[str, Any] | None:
        """Return the description of a field, also of a parent's (`Campaign.Owner.Name`); None if there is none.

        Upper and lower case are one, as in SOQL. A parent that may be one of several objects is taken for the first.

        Raises:
            ApiChangedError: The object itself is not there.
        """
        *relationships, name = path.lower().split(".")
        fields = self.fields_of(object_type)
        for relationship in relationships:
            targets = next((
                field.get("referenceTo") for field in fields.values()
                if str(field.get("relationshipName") or "").lower() == relationship
            ), None)
            if not targets:
                return None
            try:
                fields = self.fields_of(targets[0])
            except ApiChangedError:   # the user may not see the parent's object
                return None
        return next((field for field in fields.values() if field["name"].lower() == name), None)

    def discover_fields(self, stream: str) -> tuple[FieldInfo, ...]:
        """Return the fields of a stream's object, then those of its parents, spelt `Campaign.Name`."""
        source = source_of(stream)
        found = [_field_info(field, "") for field in self.fields_of(source.info.object_type).values()]
        for parent in source.parents:
            found += [_field_info(field, f"{parent}.") for field in self.fields_of(parent).values()]
        return tuple(info for info in found if info is not None)

    def canonical(self, object_type: str, field: str, value: Any) -> Value:
        """Return a value as our rooms spell it, by the field's type in the org; empty text is None."""
        kind = str(self.fields_of(object_type).get(field, {}).get("type", "string"))
        if value is None or value == "":
            return None
        if kind == "datetime" and isinstance(value, str) and _DATETIME_TEXT.match(value):
            return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        if kind in _NUMBERS and isinstance(value, (int, float)):
            return int(value) if float(value).is_integer() else float(value)
        if isinstance(value, str):
            # Salesforce strips trailing blanks itself; line ends may come back in either spelling.
            return value.replace("\r\n", "\n").rstrip() or None
        return value if isinstance(value, (bool, int, float)) else str(value)

    def same(self, object_type: str, field: str, wanted: Value, found: Value) -> bool:
        """Tell whether a field holds what was written, allowing for the field's own rounding."""
        wanted, found = self.canonical(object_type, field, wanted), self.canonical(object_type, field, found)
        if isinstance(wanted, (int, float)) and isinstance(found, (int, float)):
            scale = int(self.fields_of(object_type).get(field, {}).get("scale") or 0)
            return abs(wanted - found) <= 0.5000001 * 10.0 ** -scale
        return wanted == found

    def choices(self, object_type: str, field: str) -> tuple[str, ...]:
        """Return a picklist's active values."""
        return _choices(self.fields_of(object_type).get(field, {}))

    def default_choice(self, object_type: str, field: str) -> str | None:
        """Return the value a picklist starts with; None when the org names none."""
        values = self.fields_of(object_type).get(field, {}).get("picklistValues") or ()
        return next((str(v["value"]) for v in values if v.get("active") and v.get("defaultValue")), None)


def _choices(field: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(v["value"]) for v in field.get("picklistValues") or () if v.get("active"))


def _field_info(field: Mapping[str, Any], prefix: str) -> FieldInfo | None:
    kind = TYPES.get(field["type"])
    if kind is None:
        return None
    return FieldInfo(
        name=prefix + field["name"], label=str(field.get("label") or field["name"]), type=kind,
        is_writable=not prefix and bool(field.get("updateable")), is_unique=bool(field.get("unique")),
        choices=_choices(field),
    )
