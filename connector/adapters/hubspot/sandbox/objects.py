"""Endpoints for one record at a time: `/crm/objects/{type}` and `/{id}`.

Source: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide, checked 2026-11-22.
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import writes
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, nothing, type_named
from connector.adapters.hubspot.sandbox.errors import invalid, not_found
from connector.adapters.hubspot.sandbox.schema import CONTACT, ObjectType
from connector.adapters.hubspot.sandbox.state import COLUMNS, Row
from connector.adapters.hubspot.sandbox.view import View

MOST_LISTED = 100
MOST_LISTED_WITH_HISTORY = 50


def list_records(call: Call, object_type: str) -> Response:
    """Answer a page of records by id; `after` is the id the next page starts with."""
    type_ = type_named(object_type)
    history = call.words("propertiesWithHistory")
    limit = call.limit(MOST_LISTED)
    if history:
        limit = with_history(call, limit)
    view = View.of(call, type_, call.words("properties"), history, call.words("associations"))
    # The archive is small: without its own index, a page of it would be looked for among all living records.
    archived, index = (1, "INDEXED BY records_archived") if call.flag("archived") else (0, "")
    rows = call.state.db.execute(
        f"SELECT {COLUMNS} FROM records {index} WHERE account=? AND type=? AND id>=? AND archived={archived} "
        "ORDER BY id LIMIT ?",
        (call.account, type_.id, call.after(), limit + 1),
    ).fetchall()
    return call.page(view.rows(rows[:limit]), rows[limit][0] if len(rows) > limit else None)


def with_history(call: Call, count: int) -> int:
    """Return how many of `count` records with history one answer holds.

    Raises:
        VendorError: 400, too many, where the account refuses that.
    """
    if count > MOST_LISTED_WITH_HISTORY and call.switches.history_page == "refuse":
        message = f"The maximum page size with history is {MOST_LISTED_WITH_HISTORY}, but {count} was given"
        raise invalid(message, "INVALID_LIMIT", at="limit")
    return min(count, MOST_LISTED_WITH_HISTORY)


def create_record(call: Call, object_type: str) -> Response:
    """Create a record, inline associations included."""
    type_, sent = type_named(object_type), call.body()
    record_id = writes.create(call, type_, sent.get("properties"), sent.get("associations"))
    return answer(written(call, type_, record_id), status=201)


def get_record(call: Call, object_type: str, record_id: str) -> Response:
    """Answer one record, by id or by `idProperty`."""
    type_ = type_named(object_type)
    view = View.of(
        call, type_, call.words("properties"), call.words("propertiesWithHistory"), call.words("associations")
    )
    row = find(call, type_, record_id, call.request.args.get("idProperty"), archived=call.flag("archived"))
    return answer(view.row(row))


def update_record(call: Call, object_type: str, record_id: str) -> Response:
    """Change one record. An id that was merged away reaches the record it was merged into.

    Source: https://developers.hubspot.com/docs/guides/crm/using-object-apis, checked 2026-11-22.
    """
    type_ = type_named(object_type)
    row = find(call, type_, record_id, call.request.args.get("idProperty"), writing=True)
    writes.refuse_locked(call, type_, row[0])
    writes.update(call, type_, row, call.body().get("properties") or {})
    return answer(written(call, type_, row[0]))


def archive_record(call: Call, object_type: str, record_id: str) -> Response:
    """Archive one record; archiving it again changes nothing."""
    type_ = type_named(object_type)
    if record_id.isdigit() and call.state.record(call.account, type_.id, int(record_id[:18]), archived=True):
        return nothing()
    row = find(call, type_, record_id)
    writes.refuse_locked(call, type_, row[0])
    writes.archive(call, type_, row[0])
    return nothing()


def find(
    call: Call, type_: ObjectType, given: str, id_property: str | None = None, *, archived: bool = False,
    writing: bool = False,
) -> Row:
    """Return the record a client means.

    Args:
        call: The request.
        type_: The record's object type.
        given: An id, or a value of `id_property`.
        id_property: `email` or a `hasUniqueValue` property; None or `hs_object_id` for the id.
        archived: Look among the archived instead.
        writing: A merged-away id always reaches its survivor; reading, the switch decides.

    Raises:
        VendorError: 404 none such; 400 `id_property` is not unique.
    """
    row = None
    record_id = id_of(call, type_, given, id_property)
    if record_id is not None:
        if writing or call.switches.merged_get == "survivor":
            record_id = call.state.winner_of(call.account, type_.id, record_id)
        row = call.state.record(call.account, type_.id, record_id, archived=archived)
    if row is None:
        raise not_found(given[:100])
    return row


def id_of(call: Call, type_: ObjectType, given: str, id_property: object) -> int | None:
    """Return the id that a value of `id_property` means, or None; the id may still be nobody's.

    Raises:
        VendorError: 400, `id_property` is not a unique property.
    """
    if id_property is None or id_property == "hs_object_id":
        return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None
    name = str(id_property)
    prop = call.properties.of(call.account, type_.id).get(name)
    if prop is None or not (prop.unique or (type_.id == CONTACT and name == "email")):
        raise invalid(f"{name[:100]} is not a unique property of {type_.plural}", "INVALID_ID_PROPERTY")
    return call.state.holder(call.account, type_.id, name, given.strip())


def written(call: Call, type_: ObjectType, record_id: int) -> dict[str, object]:
    """Return a record as a write's answer shows it: every property that is set."""
    row = call.state.record(call.account, type_.id, record_id)
    assert row is not None
    return View.of(call, type_).everything().row(row, unset=False)


ROUTES: list[Route] = [
    ("GET", "/crm/v3/objects/<object_type>", list_records),
    ("POST", "/crm/v3/objects/<object_type>", create_record),
    ("GET", "/crm/v3/objects/<object_type>/<record_id>", get_record),
    ("PATCH", "/crm/v3/objects/<object_type>/<record_id>", update_record),
    ("DELETE", "/crm/v3/objects/<object_type>/<record_id>", archive_record),
]
