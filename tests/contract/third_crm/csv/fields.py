"""What the columns are: `fields.csv` says it, and texts become values of ours and back by it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from connector.adapters.csv.tables import read_table, write_table

from connector.adapter_kit.protocol import FieldInfo, FieldSpec
from connector.errors import RejectedError
from connector.records import Value

FIELDS_FILE = "fields.csv"
OWN_COLUMNS = ("id", "modified_at")
_COLUMNS = ("stream", "name", "label", "type", "choices")


def read_fields(folder: Path, stream: str) -> tuple[FieldInfo, ...]:
    """Return a stream's columns; its own two cannot be written."""
    own = (FieldInfo("id", "id", "text", is_writable=False), FieldInfo("modified_at", "modified_at", "datetime", False))
    described = (
        FieldInfo(row["name"], row["label"], row["type"], True, choices=tuple(filter(None, row["choices"].split(";"))))
        for row in read_table(folder / FIELDS_FILE).rows if row["stream"] == stream
    )
    return (*own, *described)


def add_fields(folder: Path, specs: list[FieldSpec]) -> None:
    """Describe new columns; the files get them with the first value that is written."""
    rows = read_table(folder / FIELDS_FILE).rows
    rows += [
        {"stream": one.stream, "name": one.name, "label": one.label, "type": one.type, "choices": ""} for one in specs
    ]
    write_table(folder / FIELDS_FILE, _COLUMNS, rows)


def to_value(field: FieldInfo, cell: str) -> Value:
    """Return a cell as a value between our rooms."""
    if cell == "":
        return None
    if field.type == "number":
        number = float(cell)
        return int(number) if number.is_integer() else number
    if field.type == "boolean":
        return cell == "true"
    if field.type == "datetime":
        return datetime.fromisoformat(cell).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return cell


def to_cell(field: FieldInfo, value: Value) -> str:
    """Return the text that is written for a value. Raises RejectedError when the column does not take it."""
    if value is None:
        return ""
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    try:
        fits = field.type != "number" or math.isfinite(float(text))
        if field.type == "datetime":
            datetime.fromisoformat(text)
    except ValueError:
        fits = False
    if not fits or (field.choices and text not in field.choices):
        raise RejectedError(f"INVALID_VALUE {field.name}", code="INVALID_VALUE", crm="csv")
    return text
