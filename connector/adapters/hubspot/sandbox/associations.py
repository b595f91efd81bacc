"""Endpoints for associations: `/crm/associations/…` and `/crm/objects/…/associations/…` (v4 and dated).

Source: https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide, checked 2026-11-22; a batch with
bad inputs answers 207 and does the rest (`Source: assumed`, but for the read's NO_ASSOCIATIONS_FOUND).
"""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import links
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, bounded, nothing, type_named, whole
from connector.adapters.hubspot.sandbox.errors import VendorError, invalid
from connector.adapters.hubspot.sandbox.schema import ObjectType
from connector.adapters.hubspot.sandbox.values import iso

MOST_READ = 1_000
MOST_WRITTEN = 2_000
MOST_OF_ONE = 500
"""Associations of one record in one answer; the rest come with `after`."""


def batch_read(call: Call, from_type: str, to_type: str) -> Response:
    """Answer what up to 1,000 records are associated with; a record without any is an error in a 207."""
    from_, to = type_named(from_type), type_named(to_type)
    results, errors = [], []
    for one in call.inputs(MOST_READ):
        from_id = whole(str(one.get("id", "")), "id")
        found = links.of(call, from_.id, [from_id], to.id, after=whole(one.get("after") or 0, "after"))
        if not found:
            message = f"No {to.singular} is associated with {from_.singular} {from_id}."
            error = VendorError(404, message, "OBJECT_NOT_FOUND").as_batch_error(fromObjectId=[str(from_id)])
            errors.append(error | {"subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"})
            continue
        shown: dict[str, Any] = {
            "from": {"id": str(from_id)}, "to": [_shown(call, from_, to, link) for link in found[:MOST_OF_ONE]]
        }
        if len(found) > MOST_OF_ONE:
            shown["paging"] = {"next": {"after": str(found[MOST_OF_ONE].to_id)}}
        results.append(shown)
    return _batch(call, results, errors, 200)


def batch_create(call: Call, from_type: str, to_type: str) -> Response:
    """Associate up to 2,000 pairs with the given type ids."""
    from_, to = type_named(from_type), type_named(to_type)
    results, errors = [], []
    for one in call.inputs(MOST_WRITTEN):
        try:
            kinds = links.kinds_named(call, from_, to, one.get("types"))
            results.append(_associate(call, from_, _id(one, "from"), to, _id(one, "to"), kinds))
        except VendorError as error:
            errors.append(_pair_error(error, one))
    return _batch(call, results, errors, 201)


def batch_create_default(call: Call, from_type: str, to_type: str) -> Response:
    """Associate up to 2,000 pairs without a label."""
    from_, to = type_named(from_type), type_named(to_type)
    results, errors = [], []
    for one in call.inputs(MOST_WRITTEN):
        try:
            results += _associate_plainly(call, from_, _id(one, "from"), to, _id(one, "to"))
        except VendorError as error:
            errors.append(_pair_error(error, one))
    return _batch(call, results, errors, 200)


def batch_archive(call: Call, from_type: str, to_type: str) -> Response:
    """Take associations of up to 2,000 records away, `to` being a list in each input."""
    from_, to = type_named(from_type), type_named(to_type)
    for one in call.inputs(MOST_WRITTEN):
        targets = one.get("to")
        for target in targets if isinstance(targets, list) else [targets]:
            to_id = whole(str(target.get("id", "")), "to") if isinstance(target, dict) else 0
            links.remove(call, from_.id, _id(one, "from"), to.id, to_id)
    return nothing()


def batch_archive_labels(call: Call, from_type: str, to_type: str) -> Response:
    """Take some labels of up to 2,000 associations away."""
    from_, to = type_named(from_type), type_named(to_type)
    for one in call.inputs(MOST_WRITTEN):
        kinds = links.kinds_named(call, from_, to, one.get("types"))
        links.remove(call, from_.id, _id(one, "from"), to.id, _id(one, "to"), kinds)
    return nothing()


def list_of_one(call: Call, object_type: str, object_id: str, to_type: str) -> Response:
    """Answer what one record is associated with."""
    from_, to = type_named(object_type), type_named(to_type)
    from_id = whole(object_id, "objectId")
    links.need_record(call, from_, from_id)
    limit = bounded(call.request.args.get("limit", MOST_OF_ONE), MOST_OF_ONE)
    found = links.of(call, from_.id, [from_id], to.id, after=call.after())
    more = found[limit].to_id if len(found) > limit else None
    return call.page([_shown(call, from_, to, link) for link in found[:limit]], more)


def put_one(call: Call, object_type: str, object_id: str, to_type: str, to_id: str) -> Response:
    """Associate two records with the type ids in the body, a bare list."""
    from_, to = type_named(object_type), type_named(to_type)
    types = call.request.get_json(silent=True)
    kinds = links.kinds_named(call, from_, to, types)
    made = _associate(call, from_, whole(object_id, "objectId"), to, whole(to_id, "toObjectId"), kinds)
    return answer(made, status=201)


def put_one_default(call: Call, object_type: str, object_id: str, to_type: str, to_id: str) -> Response:
    """Associate two records without a label."""
    from_, to = type_named(object_type), type_named(to_type)
    made = _associate_plainly(call, from_, whole(object_id, "fromObjectId"), to, whole(to_id, "toObjectId"))
    return _batch(call, made, [], 200)


def archive_one(call: Call, object_type: str, object_id: str, to_type: str, to_id: str) -> Response:
    """Take every association of two records away."""
    from_, to = type_named(object_type), type_named(to_type)
    links.remove(call, from_.id, whole(object_id, "objectId"), to.id, whole(to_id, "toObjectId"))
    return nothing()


def list_labels(call: Call, from_type: str, to_type: str) -> Response:
    """Answer the association types between two object types, HubSpot's own and the account's labels."""
    from_, to = type_named(from_type), type_named(to_type)
    kinds = [table[from_.id, to.id] for table in (links.PRIMARY, links.DEFAULT) if (from_.id, to.id) in table]
    kinds += [kind for (kind,) in call.state.db.execute(
        "SELECT kind FROM labels WHERE account=? AND from_type=? AND to_type=? ORDER BY kind",
        (call.account, from_.id, to.id),
    )]
    return call.page(links.described(call, from_, to, kinds), None)


def create_label(call: Call, from_type: str, to_type: str) -> Response:
    """Create a label; one type id serves both directions."""
    from_, to, sent = type_named(from_type), type_named(to_type), call.body()
    label, name = str(sent.get("label") or ""), str(sent.get("name") or "")
    if not label or not name:
        raise invalid("Some required fields were not set: [label, name]")
    kind = call.state.take_ids(call.account)
    pairs = dict.fromkeys([(from_, to, label), (to, from_, str(sent.get("inverseLabel") or label))])
    for one, other, text in pairs:
        call.state.db.execute(
            "INSERT OR IGNORE INTO labels VALUES (?,?,?,?,?,?)", (call.account, one.id, other.id, kind, text, name)
        )
    return call.page(links.described(call, from_, to, [kind]), None)


def _associate(
    call: Call, from_: ObjectType, from_id: int, to: ObjectType, to_id: int, kinds: list[int],
) -> dict[str, Any]:
    links.need_record(call, from_, from_id)
    links.need_record(call, to, to_id)
    links.add(call, from_, from_id, to, to_id, kinds)
    shown = links.described(call, from_, to, kinds)
    return {
        "fromObjectTypeId": f"0-{from_.id}", "fromObjectId": str(from_id), "toObjectTypeId": f"0-{to.id}",
        "toObjectId": str(to_id), "labels": [one["label"] for one in shown if one["label"]],
    }


def _associate_plainly(
    call: Call, from_: ObjectType, from_id: int, to: ObjectType, to_id: int,
) -> list[dict[str, Any]]:
    _associate(call, from_, from_id, to, to_id, [links.default_kind(from_, to)])
    return [
        {"from": {"id": str(one_id)}, "to": {"id": str(other_id)}, "associationSpec": {
            "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": links.default_kind(one, other)}}
        for one, one_id, other, other_id in ((from_, from_id, to, to_id), (to, to_id, from_, from_id))
    ]


def _shown(call: Call, from_: ObjectType, to: ObjectType, link: links.Link) -> dict[str, Any]:
    return {"toObjectId": str(link.to_id), "associationTypes": links.described(call, from_, to, link.kinds)}


def _id(one: dict[str, Any], side: str) -> int:
    end = one.get(side)
    return whole(str(end.get("id", "")) if isinstance(end, dict) else "", f"{side}.id")


def _pair_error(error: VendorError, one: dict[str, Any]) -> dict[str, Any]:
    ends = {key: one.get(side) for key, side in (("fromObjectId", "from"), ("toObjectId", "to"))}
    return error.as_batch_error(**{
        key: [str(end.get("id", ""))[:100]] for key, end in ends.items() if isinstance(end, dict)
    })


def _batch(call: Call, results: list[Any], errors: list[Any], status: int) -> Response:
    at = iso(call.now_ms)
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at}
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return answer(body, 207 if errors else status)


_PAIR = "/crm/v4/associations/<from_type>/<to_type>"
_ONE = "/crm/v4/objects/<object_type>/<object_id>/associations"

ROUTES: list[Route] = [
    ("POST", f"{_PAIR}/batch/read", batch_read),
    ("POST", f"{_PAIR}/batch/create", batch_create),
    ("POST", f"{_PAIR}/batch/associate/default", batch_create_default),
    ("POST", f"{_PAIR}/batch/archive", batch_archive),
    ("POST", f"{_PAIR}/batch/labels/archive", batch_archive_labels),
    ("GET", f"{_PAIR}/labels", list_labels),
    ("POST", f"{_PAIR}/labels", create_label),
    ("GET", f"{_ONE}/<to_type>", list_of_one),
    ("PUT", f"{_ONE}/default/<to_type>/<to_id>", put_one_default),
    ("PUT", f"{_ONE}/<to_type>/<to_id>", put_one),
    ("DELETE", f"{_ONE}/<to_type>/<to_id>", archive_one),
]
