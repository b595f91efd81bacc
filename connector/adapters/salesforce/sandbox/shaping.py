"""Rows of SQL as the vendor's records: attributes, parents nested, flags as JSON booleans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Row
from connector.adapters.salesforce.sandbox.schema import SObject

Records = list[dict[str, Any]]


@dataclass(slots=True)
class Node:
    """What one record of the answer is built from: positions in the SQL row."""

    relationship: str
    type_name: str
    type_at: int | None = None
    id_at: int = 0
    columns: list[tuple[str, int, bool]] = field(default_factory=list)
    parents: dict[str, Node] = field(default_factory=dict)


def shape(root: Node, rows: list[tuple[Any, ...]], version: str) -> Records:
    """Return SQL rows (row number first) as the vendor's records."""
    base = f"/services/data/{version}/sobjects/"
    build = _record_builder(root, base)
    return [build(row) for row in rows]


def _record_builder(root: Node, base: str) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
    """Return a function that turns one row into one record; the row's first value is not a column."""
    names = [name for name, _, _ in root.columns]
    first = root.columns[0][1] + 1 if root.columns else 0
    dense = [position for _, position, _ in root.columns] == list(range(first - 1, first - 1 + len(names)))
    flags = [name for name, _, is_flag in root.columns if is_flag]
    address, type_name = f"{base}{root.type_name}/", root.type_name

    def flat(row: tuple[Any, ...]) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": {"type": type_name, "url": address + row[1]}}
        record.update(zip(names, row[first:]))
        for name in flags:
            record[name] = record[name] == 1
        return record

    def nested(row: tuple[Any, ...]) -> dict[str, Any]:
        return _record(root, row, base)

    return flat if dense and not root.parents else nested


def _record(node: Node, row: tuple[Any, ...], base: str) -> dict[str, Any]:
    type_name = node.type_name if node.type_at is None else row[node.type_at + 1]
    record: dict[str, Any] = {"attributes": {"type": type_name, "url": f"{base}{type_name}/{row[node.id_at + 1]}"}}
    for name, position, is_flag in node.columns:
        value = row[position + 1]
        record[name] = value == 1 if is_flag and value is not None else value
    for step, parent in node.parents.items():
        record[step] = None if row[parent.id_at + 1] is None else _record(parent, row, base)
    return record


def shape_aggregates(root: Node, rows: list[tuple[Any, ...]]) -> Records:
    """Return the SQL rows of an aggregate query as the vendor's records, which have no address."""
    return [
        {"attributes": {"type": "AggregateResult"},
         **{name: row[position] == 1 if is_flag else row[position] for name, position, is_flag in root.columns}}
        for row in rows
    ]


def shown_row(sobject: SObject, row: Row, version: str, fields: list[str] | None = None) -> dict[str, Any]:
    """Return a stored row as `GET sobjects/X/{id}` shows it, all fields or those named."""
    record: dict[str, Any] = {
        "attributes": {"type": sobject.name, "url": f"/services/data/{version}/sobjects/{sobject.name}/{row['Id']}"}
    }
    for name in fields if fields is not None else [f.name for f in sobject.visible_fields]:
        known = sobject.field(name)
        if known is None:
            raise SalesforceError("INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}")
        if known.type == "base64":
            record[known.name] = (
                f"/services/data/{version}/sobjects/{sobject.name}/{row['Id']}/{known.name}"
            )
        else:
            value = row.get(known.name)
            record[known.name] = value == 1 if known.type == "boolean" else value
    return record
