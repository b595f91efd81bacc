"""Endpoints for up to 100 records at once: `/crm/objects/{type}/batch/…`.

A batch with a bad input fails whole, unless every input carries an `objectWriteTraceId` of its own: then it answers
207, done and refused side by side. Source: https://developers.hubspot.com/docs/api-reference/error-handling,
checked 2026-11-22, for create; for update and upsert it is unverified, hence `switches.multi_status`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import writes
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, nothing, type_named
from connector.adapters.hubspot.sandbox.errors import VendorError, invalid, not_found
from connector.adapters.hubspot.sandbox.objects import id_of, with_history, written
from connector.adapters.hubspot.sandbox.schema import CONTACT, ObjectType
from connector.adapters.hubspot.sandbox.state import Row
from connector.adapters.hubspot.sandbox.values import iso
from connector.adapters.hubspot.sandbox.view import View

MOST_INPUTS = 100

One = Callable[[Call, ObjectType, dict[str, Any]], dict[str, Any]]


def batch_read(call: Call, object_type: str) -> Response:
    """Answer the named records; those that are not there are told in a 207."""
    type_, sent = type_named(object_type), call.body()
    view = View.of(call, type_, _words(sent, "properties"), _words(sent, "propertiesWithHistory"))
    archived, rows, missing = call.flag("archived"), {}, []
    inputs = call.inputs(MOST_INPUTS)
    for one in inputs[:with_history(call, len(inputs))] if view.with_history else inputs:
        given = str(one.get("id", ""))
        record_id = id_of(call, type_, given, sent.get("idProperty"))
        if record_id is not None and call.switches.merged_batch_read == "survivor":
            record_id = call.state.winner_of(call.account, type_.id, record_id)
        row = None if record_id is None else call.state.record(call.account, type_.id, record_id, archived=archived)
        if row is None:
            missing.append(given[:100])
        else:
            rows[row[0]] = row
    errors = []
    if missing:
        message = (f"Could not get some {type_.singular.upper()} objects, they may be deleted or not exist. "
                   "Check that ids are valid.")
        errors.append(VendorError(404, message, "OBJECT_NOT_FOUND").as_batch_error(ids=missing))
    return _answer(call, view.rows(list(rows.values())), errors, mixed=call.switches.missing_status)


def batch_create(call: Call, object_type: str) -> Response:
    """Create up to 100 records."""
    return _write_each(call, object_type, _create_one, status=201)


def batch_update(call: Call, object_type: str) -> Response:
    """Change up to 100 records. Ids that were merged away are refused, unlike in a single update."""
    return _write_each(call, object_type, _update_one)


def batch_upsert(call: Call, object_type: str) -> Response:
    """Create or change up to 100 records by a unique property; each result says whether it is `new`."""
    return _write_each(call, object_type, _upsert_one)


def batch_archive(call: Call, object_type: str) -> Response:
    """Archive up to 100 records; those that are not there are passed over."""
    type_ = type_named(object_type)
    for one in call.inputs(MOST_INPUTS):
        record_id = id_of(call, type_, str(one.get("id", "")), None)
        if record_id is not None:
            writes.refuse_locked(call, type_, record_id)
            writes.archive(call, type_, record_id)
    return nothing()


def _write_each(call: Call, object_type: str, write: One, status: int = 200) -> Response:
    type_, inputs = type_named(object_type), call.inputs(MOST_INPUTS)
    traces = [one.get("objectWriteTraceId") for one in inputs]
    traced = None not in traces and len(set(map(str, traces))) == len(traces)
    policy = call.switches.multi_status
    side_by_side = policy == "always" or (policy == "with_trace_ids" and traced)
    results, errors = [], []
    for one, trace in zip(inputs, traces):
        try:
            done = write(call, type_, one)
        except VendorError as error:
            if not side_by_side:
                raise
            context = {"ids": [str(one["id"])]} if "id" in one else {}
            errors.append(error.as_batch_error(**context, **({"objectWriteTraceId": [str(trace)]} if trace else {})))
        else:
            results.append(done | ({"objectWriteTraceId": str(trace)} if trace is not None else {}))
    return _answer(call, results, errors, status)


def _create_one(call: Call, type_: ObjectType, one: dict[str, Any]) -> dict[str, Any]:
    record_id = writes.create(call, type_, one.get("properties"), one.get("associations"))
    return written(call, type_, record_id)


def _update_one(call: Call, type_: ObjectType, one: dict[str, Any]) -> dict[str, Any]:
    row = _row(call, type_, one)
    if row is None:
        raise not_found(str(one.get("id", ""))[:100])
    writes.refuse_locked(call, type_, row[0])
    writes.update(call, type_, row, one.get("properties"))
    return written(call, type_, row[0])


def _upsert_one(call: Call, type_: ObjectType, one: dict[str, Any]) -> dict[str, Any]:
    id_property, given = one.get("idProperty"), str(one.get("id", ""))
    if not id_property or not given:
        raise invalid("Some required fields were not set: [idProperty, id]")
    row = _row(call, type_, one)
    if row is not None:
        writes.refuse_locked(call, type_, row[0])
        writes.update(call, type_, row, one.get("properties"))
        return written(call, type_, row[0]) | {"new": False}
    if id_property == "hs_object_id":
        raise not_found(given[:100])
    sent = one.get("properties")
    if type_.id == CONTACT and id_property == "email" and isinstance(sent, dict) and "email" not in sent:
        raise invalid("Partial upserts are not supported when using email as idProperty", "PARTIAL_UPSERT")
    properties = {str(id_property): given} | sent if isinstance(sent, dict) else sent
    return written(call, type_, writes.create(call, type_, properties)) | {"new": True}


def _row(call: Call, type_: ObjectType, one: dict[str, Any]) -> Row | None:
    record_id = id_of(call, type_, str(one.get("id", "")), one.get("idProperty"))
    return None if record_id is None else call.state.record(call.account, type_.id, record_id)


def _words(sent: dict[str, Any], name: str) -> list[str]:
    words = sent.get(name) or []
    if not isinstance(words, list):
        raise invalid(f"{name} must be a list", at=name)
    return [str(word) for word in words]


def _answer(
    call: Call, results: list[Any], errors: list[dict[str, Any]], status: int = 200, *, mixed: int = 207,
) -> Response:
    at = iso(call.now_ms)
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at}
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return answer(body, mixed if errors else status)


ROUTES: list[Route] = [
    ("POST", "/crm/v3/objects/<object_type>/batch/read", batch_read),
    ("POST", "/crm/v3/objects/<object_type>/batch/create", batch_create),
    ("POST", "/crm/v3/objects/<object_type>/batch/update", batch_update),
    ("POST", "/crm/v3/objects/<object_type>/batch/upsert", batch_upsert),
    ("POST", "/crm/v3/objects/<object_type>/batch/archive", batch_archive),
]
