"""The `sobjects` resources: one object, one record, one external id, and what changed or went in a period."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from connector.adapters.salesforce.sandbox import long_transactions, recycle_bin, writes
from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.describe import describe_object, global_describe
from connector.adapters.salesforce.sandbox.errors import SalesforceError, not_found
from connector.adapters.salesforce.sandbox.org import Org, Row
from connector.adapters.salesforce.sandbox.schema import SObject
from connector.adapters.salesforce.sandbox.shaping import shown_row
from connector.adapters.salesforce.sandbox.values import datetime_text, parse_datetime

UPDATED_DAYS, DELETED_DAYS = 30, 15
"""How far back getUpdated and getDeleted reach.

Source: developer.salesforce.com/docs, api-rest/guide: resources_getupdated, resources_getdeleted, checked 2026-11-22.
"""


def list_objects(call: Call) -> Answer:
    """`GET sobjects`."""
    return Answer(200, global_describe(call.org, call.version))


def about_object(call: Call, sobject: str) -> Answer:
    """`GET sobjects/X`: the object's head and its recent items (none are kept)."""
    described = describe_object(call.org, call.org.require(sobject), call.version)
    head = {k: v for k, v in described.items() if k not in ("fields", "childRelationships", "recordTypeInfos")}
    return Answer(200, {"objectDescribe": head, "recentItems": []})


def describe(call: Call, sobject: str) -> Answer:
    """`GET sobjects/X/describe`."""
    return Answer(200, describe_object(call.org, call.org.require(sobject), call.version))


def create(call: Call, sobject: str) -> Answer:
    """`POST sobjects/X`."""
    one = call.org.require(sobject)
    record_id = writes.create(call.org, one, call.record)
    address = f"/services/data/{call.version}/sobjects/{one.name}/{record_id}"
    return Answer(201, {"id": record_id, "success": True, "errors": []}, {"Location": address})


def get(call: Call, sobject: str, record_id: str) -> Answer:
    """`GET sobjects/X/{id}[?fields=…]`."""
    one = call.org.require(sobject)
    return _shown(call, one, writes.living_row(call.org, one, record_id))


def _shown(call: Call, sobject: SObject, row: Row) -> Answer:
    fields = [f.strip() for f in call.args.get("fields", "").split(",") if f.strip()]
    return Answer(200, shown_row(sobject, row, call.version, fields or None))


def update(call: Call, sobject: str, record_id: str) -> Answer:
    """`PATCH sobjects/X/{id}`, refused with 412 when `If-Unmodified-Since` is older than the record."""
    one = call.org.require(sobject)
    _check_unmodified(call, writes.living_row(call.org, one, record_id))
    writes.update(call.org, one, record_id, call.record)
    return Answer(204)


def _check_unmodified(call: Call, row: Row) -> None:
    since = call.headers.get("if-unmodified-since")
    if not since or "LastModifiedDate" not in row:
        return
    try:
        known_at = parsedate_to_datetime(since)
    except ValueError as error:
        raise SalesforceError("INVALID_HEADER", "If-Unmodified-Since is not an HTTP date") from error
    modified_at = parse_datetime(row["LastModifiedDate"])
    if modified_at is not None and modified_at > known_at:
        raise SalesforceError("PRECONDITION_FAILED", "The record was changed since the given date", status=412)


def delete(call: Call, sobject: str, record_id: str) -> Answer:
    """`DELETE sobjects/X/{id}`."""
    writes.delete(call.org, call.org.require(sobject), record_id)
    return Answer(204)


def get_by_external_id(call: Call, sobject: str, field: str, key: str) -> Answer:
    """`GET sobjects/X/Field/{value}`."""
    one = call.org.require(sobject)
    row = writes.by_external_id(call.org, one, writes.external_id_field(one, field), key)
    if row is None:
        raise not_found()
    return _shown(call, one, row)


def upsert_by_external_id(call: Call, sobject: str, field: str, key: str) -> Answer:
    """`PATCH sobjects/X/Field/{value}`: 201 created; changed is 200 with a body since v46, 204 before."""
    record_id, created = writes.upsert(call.org, call.org.require(sobject), field, key, call.record)
    body = {"id": record_id, "success": True, "errors": [], "created": created}
    if created:
        return Answer(201, body)
    return Answer(200, body) if float(call.version[1:]) >= 46 else Answer(204)


def delete_by_external_id(call: Call, sobject: str, field: str, key: str) -> Answer:
    """`DELETE sobjects/X/Field/{value}`."""
    one = call.org.require(sobject)
    row = writes.by_external_id(call.org, one, writes.external_id_field(one, field), key)
    if row is None:
        raise not_found()
    writes.delete(call.org, one, row["Id"])
    return Answer(204)


def multiple_choices(call: Call, sobject: str, ids: str) -> Answer:
    """Return the 300 that several records with one external id are answered with: their addresses."""
    base = f"/services/data/{call.version}/sobjects/{call.org.require(sobject).name}/"
    return Answer(300, [base + one for one in ids.split()])


def blob(call: Call, sobject: str, record_id: str, field: str) -> Answer:
    """`GET sobjects/ContentNote/{id}/Content`: the bytes themselves."""
    one = call.org.require(sobject)
    known = one.field(field)
    if known is None or known.type != "base64":
        raise not_found()
    row = writes.living_row(call.org, one, record_id)
    return Answer(200, base64.b64decode(row[known.name] or ""), {"Content-Type": "application/octet-stream"})


def updated(call: Call, sobject: str) -> Answer:
    """`GET sobjects/X/updated?start&end`: ids changed in the period, and how far that is certain."""
    one, start, end = _period(call, sobject, UPDATED_DAYS)
    rows = call.org.db.execute(
        f'SELECT "Id" FROM "{one.name}" WHERE "SystemModstamp" >= ? AND "SystemModstamp" < ? AND "IsDeleted" = 0 '
        'ORDER BY "SystemModstamp", "Id"', (datetime_text(start), datetime_text(end)),
    ).fetchall()
    _check_number(call.org, len(rows))
    covered = long_transactions.covered_until(call.org, end)
    return Answer(200, {"ids": [row[0] for row in rows], "latestDateCovered": datetime_text(covered)})


def deleted(call: Call, sobject: str) -> Answer:
    """`GET sobjects/X/deleted?start&end`: ids deleted in the period, each with its time."""
    one, start, end = _period(call, sobject, DELETED_DAYS)
    found = recycle_bin.deleted_between(call.org, one, start, end)
    _check_number(call.org, len(found))
    return Answer(200, {
        "deletedRecords": [{"id": record_id, "deletedDate": at} for record_id, at in found],
        "earliestDateAvailable": datetime_text(call.org.clock.now() - timedelta(days=DELETED_DAYS)),
        "latestDateCovered": datetime_text(long_transactions.covered_until(call.org, end)),
    })


def _check_number(org: Org, found: int) -> None:
    if found > org.switches.deleted_id_limit:
        raise SalesforceError("EXCEEDED_ID_LIMIT", "exceeded the maximum number of ids; narrow the date range")


def _period(call: Call, sobject: str, days: int) -> tuple[SObject, datetime, datetime]:
    one = call.org.require(sobject)
    if "IsDeleted" not in one.fields or "SystemModstamp" not in one.fields:
        raise SalesforceError("INVALID_TYPE", f"{one.name} is not replicateable")
    # An unescaped "+" in the query string arrives as a space.
    start, end = (parse_datetime(call.args.get(name, "").replace(" ", "+")) for name in ("start", "end"))
    if start is None or end is None:
        raise SalesforceError("INVALID_REPLICATION_DATE", "start and end need a date with time and zone")
    start, end = start.replace(second=0), end.replace(second=0)
    if end - start < timedelta(minutes=1):
        raise SalesforceError("INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
    if start < call.org.clock.now() - timedelta(days=days):
        raise SalesforceError("INVALID_REPLICATION_DATE", f"startDate is more than {days} days ago")
    return one, start, end


def error_of(error: SalesforceError, call: Call, arguments: dict[str, Any]) -> Answer:
    """Return the answer to a refused call; several records with one external id answer with their addresses."""
    if error.status == 300:
        return multiple_choices(call, arguments["sobject"], error.message)
    return Answer(error.status, error.as_rest())
