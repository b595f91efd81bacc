"""What an sObject and a field are: the types, and the small functions the object tables are written with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

FieldType = Literal[
    "id", "reference", "string", "textarea", "picklist", "multipicklist", "email", "phone", "url", "boolean",
    "int", "double", "currency", "percent", "date", "datetime", "base64", "anyType",
]
LONG_TEXT_FROM = 256
"""Text areas this long or longer can be neither filtered nor sorted."""

_SQL_TYPES: dict[str, str] = {
    "id": "TEXT", "reference": "TEXT", "date": "TEXT", "datetime": "TEXT", "boolean": "INTEGER NOT NULL DEFAULT 0",
    "int": "INTEGER", "double": "REAL", "currency": "REAL", "percent": "REAL",
    "anyType": "BLOB",     # keeps a number a number and a text a text
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an sObject, as describe shows it.

    Stored values: text as it is, numbers as REAL or INTEGER, booleans as 0 or 1, dates as `2026-11-22`, datetimes
    as the vendor prints them (`2026-11-22T00:00:00.000+0000`, so that text order is time order).

    Attributes:
        required: A create without it is refused unless `default` fills it.
        child_relationship: For a reference, the name of the list of children on the parent.
        computed: SQL that gives the value instead of a column; `{t}` is the table's alias and `{archive_before}`
            the day before which activities count as archived.
    """

    name: str
    type: FieldType
    label: str
    length: int = 0
    required: bool = False
    createable: bool = True
    updateable: bool = True
    picklist: tuple[str, ...] = ()
    restricted: bool = False
    default: Any = None
    reference_to: tuple[str, ...] = ()
    relationship: str = ""
    child_relationship: str = ""
    unique: bool = False
    external_id: bool = False
    precision: int = 0
    scale: int = 0
    custom: bool = False
    name_field: bool = False
    computed: str = ""

    @property
    def filterable(self) -> bool:
        """Whether WHERE and ORDER BY take it."""
        is_long = self.type == "textarea" and self.length >= LONG_TEXT_FROM
        return self.type not in ("base64", "anyType") and not is_long

    @property
    def polymorphic(self) -> bool:
        """Whether it may point at records of several objects."""
        return len(self.reference_to) > 1

    @property
    def sql_column(self) -> str:
        """The column's definition for CREATE TABLE; text compares without regard to ASCII case, as SOQL does."""
        return f'"{self.name}" {_SQL_TYPES.get(self.type, "TEXT COLLATE NOCASE")}'


@dataclass(slots=True)
class SObject:
    """One object: its fields by API name, and what may be done to its records."""

    name: str
    prefix: str
    label: str
    label_plural: str
    fields: dict[str, Field]
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    _by_lower: dict[str, Field] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._by_lower = {name.lower(): one for name, one in self.fields.items()}

    def field(self, name: str) -> Field | None:
        """Return the field of that API name, whatever its case, or None."""
        return self._by_lower.get(name.lower())

    def add(self, one: Field) -> None:
        """Add a custom field."""
        self.fields[one.name] = one
        self._by_lower[one.name.lower()] = one

    def parent(self, relationship: str) -> Field | None:
        """Return the reference field whose parent is reached by that relationship name, or None."""
        wanted = relationship.lower()
        return next((f for f in self.fields.values() if f.relationship.lower() == wanted and wanted), None)

    def hide(self, name: str) -> None:
        """Take a field out of sight, as field-level security does; its column stays."""
        self._by_lower.pop(name.lower(), None)

    @property
    def visible_fields(self) -> list[Field]:
        """The fields that the user may see."""
        return list(self._by_lower.values())

    @property
    def stored_fields(self) -> list[Field]:
        """The fields that have a column."""
        return [f for f in self.fields.values() if not f.computed]


def text(name: str, label: str, length: int = 255, **more: Any) -> Field:
    """Make a one-line text field."""
    return Field(name, "string", label, length, **more)


def area(name: str, label: str, length: int = 32000, **more: Any) -> Field:
    """Make a text area."""
    return Field(name, "textarea", label, length, **more)


def choice(name: str, label: str, values: Iterable[str], **more: Any) -> Field:
    """Make a picklist."""
    return Field(name, "picklist", label, more.pop("length", 255), picklist=tuple(values), **more)


def flag(name: str, label: str, **more: Any) -> Field:
    """Make a checkbox; it is never null."""
    return Field(name, "boolean", label, default=more.pop("default", False), **more)


def number(name: str, label: str, precision: int = 18, scale: int = 0, **more: Any) -> Field:
    """Make a number field."""
    return Field(name, more.pop("type", "double"), label, precision=precision, scale=scale, **more)


def at(name: str, label: str, **more: Any) -> Field:
    """Make a datetime field."""
    return Field(name, "datetime", label, **more)


def on(name: str, label: str, **more: Any) -> Field:
    """Make a date field."""
    return Field(name, "date", label, **more)


def reference(name: str, label: str, to: str, children: str = "", **more: Any) -> Field:
    """Make a lookup; `to` names its objects with spaces between; the relationship is the name without `Id`."""
    relationship = more.pop("relationship", name.removesuffix("Id"))
    return Field(name, "reference", label, 18, reference_to=tuple(to.split()), relationship=relationship,
                 child_relationship=children, **more)


READ_ONLY: dict[str, Any] = {"createable": False, "updateable": False}

_SYSTEM: dict[str, Field] = {
    one.name: one for one in (
        flag("IsDeleted", "Deleted", **READ_ONLY),
        at("CreatedDate", "Created Date", **READ_ONLY),
        reference("CreatedById", "Created By ID", "User", **READ_ONLY),
        at("LastModifiedDate", "Last Modified Date", **READ_ONLY),
        reference("LastModifiedById", "Last Modified By ID", "User", **READ_ONLY),
        at("SystemModstamp", "System Modstamp", **READ_ONLY),
    )
}
SYSTEM_FIELDS = tuple(_SYSTEM)


def sobject(
    name: str, prefix: str, label: str, label_plural: str, *fields: Field,
    system: Iterable[str] = SYSTEM_FIELDS, **more: Any,
) -> SObject:
    """Make an object with its id, the system fields it has, and `fields`."""
    identity = Field("Id", "id", f"{label} ID", 18, **READ_ONLY)
    everything = (identity, *fields, *(_SYSTEM[one] for one in system))
    return SObject(name, prefix, label, label_plural, {one.name: one for one in everything}, **more)
