"""sObject Collections: up to 200 records in one call, each with its own verdict, in the order of the request.

Source: developer.salesforce.com/docs, api-rest/guide: resources-composite-sobjects-collections-update
and -upsert, checked 2026-11-22. That an unknown field fails its own row and not the whole request is assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connector.adapters.salesforce.sandbox import writes
from connector.adapters.salesforce.sandbox.calls import Answer, Call, is_true
from connector.adapters.salesforce.sandbox.errors import RequestBodyError, SalesforceError, not_found
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.schema import SObject
from connector.adapters.salesforce.sandbox.shaping import shown_row
from connector.adapters.salesforce.sandbox.values import normal_id

MOST_RECORDS = 200
MOST_RETRIEVED = 2000
MOST_CHUNKS = 10
"""Runs of one type within a request of mixed types."""

RowWrite = Callable[[Any], dict[str, Any]]


class _RolledBack(Exception):
    """Raised to undo every row of an all-or-none request."""


def create(call: Call) -> Answer:
    """`POST composite/sobjects`."""
    rows, all_or_none = _rows(call)

    def one(row: dict[str, Any]) -> dict[str, Any]:
        return {"id": writes.create(call.org, _type_of(call.org, row), row), "success": True, "errors": []}

    return _each(call.org, rows, all_or_none, one)


def update(call: Call) -> Answer:
    """`PATCH composite/sobjects`: each record carries its `id`."""
    rows, all_or_none = _rows(call)

    def one(row: dict[str, Any]) -> dict[str, Any]:
        record_id = _own_id(row)
        rest = {name: value for name, value in row.items() if name.lower() != "id"}
        writes.update(call.org, _type_of(call.org, row), record_id, rest)
        return {"id": record_id, "success": True, "errors": []}

    return _each(call.org, rows, all_or_none, one)


def upsert(call: Call, sobject: str, field: str) -> Answer:
    """`PATCH composite/sobjects/X/Field`: one type, each record carries its external id."""
    rows, all_or_none = _rows(call)
    one_type = call.org.require(sobject)
    key_field = writes.external_id_field(one_type, field)

    def one(row: dict[str, Any]) -> dict[str, Any]:
        if _type_of(call.org, row) is not one_type:
            raise SalesforceError("INVALID_INPUT", f"All records must be of type {one_type.name}", ())
        key = next((value for name, value in row.items() if name.lower() == key_field.name.lower()), None)
        rest = {name: value for name, value in row.items() if name.lower() != key_field.name.lower()}
        if key is None or key == "":
            raise SalesforceError("MISSING_ARGUMENT", f"{key_field.name} not specified", ())
        record_id, created = writes.upsert(call.org, one_type, key_field.name, str(key), rest)
        return {"id": record_id, "success": True, "errors": [], "created": created}

    return _each(call.org, rows, all_or_none, one)


def delete(call: Call) -> Answer:
    """`DELETE composite/sobjects?ids=…`."""
    ids = call.ids()
    _check_size(len(ids), MOST_RECORDS)

    def one(record_id: str) -> dict[str, Any]:
        whole_id = normal_id(record_id)
        sobject = call.org.by_prefix(whole_id) if whole_id else None
        if whole_id is None or sobject is None:
            raise SalesforceError("MALFORMED_ID", f"malformed id {record_id[:40]}", ())
        writes.delete(call.org, sobject, whole_id)
        return {"id": whole_id, "success": True, "errors": []}

    return _each(call.org, ids, is_true(call.args.get("allOrNone", "")), one)


def retrieve(call: Call, sobject: str) -> Answer:
    """`GET` or `POST composite/sobjects/X`: records by id in the order asked for, null for those not there."""
    one = call.org.require(sobject)
    if call.method == "POST":
        ids, fields = (_texts(call.record.get(name)) for name in ("ids", "fields"))
    else:
        ids, fields = call.ids(), [f.strip() for f in call.args.get("fields", "").split(",") if f.strip()]
    if not ids or not fields:
        raise SalesforceError("MISSING_ARGUMENT", "ids and fields must both be specified")
    _check_size(len(ids), MOST_RETRIEVED)
    wanted = list(dict.fromkeys(["Id", *fields])) if "id" not in (f.lower() for f in fields) else fields
    answer = []
    for record_id in ids:
        whole_id = normal_id(record_id)
        row = call.org.row(one.name, whole_id) if whole_id else None
        gone = row is None or row.get("IsDeleted")
        answer.append(None if gone or row is None else shown_row(one, row, call.version, wanted))
    return Answer(200, answer)


def _texts(raw: Any) -> list[str]:
    if not isinstance(raw, list):
        raise RequestBodyError("ids and fields must be lists")
    return [str(one) for one in raw]


def _rows(call: Call) -> tuple[list[dict[str, Any]], bool]:
    rows = call.record.get("records")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RequestBodyError("records must be a list of objects")
    _check_size(len(rows), MOST_RECORDS)
    types = [_type_named(row) for row in rows]
    chunks = sum(1 for n, name in enumerate(types) if n == 0 or types[n - 1] != name)
    if chunks > MOST_CHUNKS:
        raise SalesforceError(
            "INVALID_INPUT", "Cannot have more than 10 chunks in a single operation. Please rearrange the data to "
            "reduce chunking."
        )
    return rows, is_true(call.record.get("allOrNone", False))


def _type_named(row: dict[str, Any]) -> str:
    attributes = row.get("attributes")
    return str(attributes.get("type") or "") if isinstance(attributes, dict) else ""


def _check_size(count: int, most: int) -> None:
    if count > most:
        raise SalesforceError(
            "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {most} records in this call"
        )


def _type_of(org: Org, row: dict[str, Any]) -> SObject:
    named = _type_named(row)
    if not named:
        raise SalesforceError("INVALID_INPUT", "The type attribute is missing", ())
    found = org.sobject(named)
    if found is None:
        raise SalesforceError("INVALID_TYPE", f"sObject type '{named}' is not supported.", ())
    return found


def _own_id(row: dict[str, Any]) -> str:
    raw = next((value for name, value in row.items() if name.lower() == "id"), None)
    if raw is None:
        raise SalesforceError("MISSING_ARGUMENT", "Id not specified in an update call", ())
    found = normal_id(str(raw))
    if found is None:
        raise SalesforceError("MALFORMED_ID", f"Id: id value of incorrect type: {str(raw)[:40]}", ("Id",))
    return found


def _each(org: Org, rows: list[Any], all_or_none: bool, write: RowWrite) -> Answer:
    results: list[dict[str, Any]] = []
    try:
        with org.transaction():
            results.extend(_verdict(org, row, write) for row in rows)
            if all_or_none and not all(result["success"] for result in results):
                raise _RolledBack
    except _RolledBack:
        undone = SalesforceError(
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "Record rolled back because not all records were valid and the request was using AllOrNone header",
        ).as_row()
        results = [undone if result["success"] else result for result in results]
    return Answer(200, results)


def _verdict(org: Org, row: Any, write: RowWrite) -> dict[str, Any]:
    try:
        with org.transaction():
            return write(row)
    except RequestBodyError:
        raise
    except SalesforceError as error:
        if error.status == 300:
            several = f"More than one record found for external id field: [{', '.join(error.message.split())}]"
            return SalesforceError("DUPLICATE_EXTERNAL_ID", several).as_row()
        if error.code == not_found().code:
            return SalesforceError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").as_row()
        return error.as_row()
