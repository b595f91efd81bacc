"""Endpoints for property definitions and groups: `/crm/properties/…`.

Source: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide, checked 2026-11-22.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from connector.adapters.hubspot.sandbox import schema
from connector.adapters.hubspot.sandbox.call import Call, Route, answer, nothing, type_named, whole
from connector.adapters.hubspot.sandbox.errors import VendorError, invalid
from connector.adapters.hubspot.sandbox.values import iso

_FIELD_TYPES = {
    "string": {"text", "textarea", "file", "html", "phonenumber", "calculation_equation"},
    "number": {"number", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date"},
    "enumeration": {"select", "radio", "checkbox", "booleancheckbox", "calculation_equation"},
    "bool": {"booleancheckbox", "calculation_equation"},
}
_MOST_UNIQUE = 10
_MOST_INPUTS = 100


def list_properties(call: Call, object_type: str) -> Response:
    """Answer the list of one object type's properties."""
    type_ = type_named(object_type)
    return call.page(call.properties.definitions(call.account, type_.id, archived=call.flag("archived")), None)


def get_property(call: Call, object_type: str, name: str) -> Response:
    """Answer one property."""
    return answer(_found(call, type_named(object_type).id, name, archived=call.flag("archived")))


def create_property(call: Call, object_type: str) -> Response:
    """Create one property; 409 when the name is taken."""
    return answer(_create(call, type_named(object_type).id, call.body()), status=201)


def create_properties(call: Call, object_type: str) -> Response:
    """Create up to 100 properties; one that is refused fails them all."""
    type_ = type_named(object_type)
    return answer(_batch(call, [_create(call, type_.id, one) for one in call.inputs(_MOST_INPUTS)]), status=201)


def read_properties(call: Call, object_type: str) -> Response:
    """Answer the named properties; unknown names are left out and told in a 207."""
    type_ = type_named(object_type)
    found: list[dict[str, Any]] = []
    missing: list[str] = []
    for one in call.inputs(_MOST_INPUTS):
        known = call.properties.definition(call.account, type_.id, str(one.get("name")))
        if known is None:
            missing.append(str(one.get("name"))[:100])
        else:
            found.append(known)
    body = _batch(call, found)
    if missing:
        error = VendorError(404, "Could not get some properties", "OBJECT_NOT_FOUND").as_batch_error(name=missing)
        body |= {"numErrors": len(missing), "errors": [error]}
    return answer(body, status=207 if missing else 200)


def update_property(call: Call, object_type: str, name: str) -> Response:
    """Change a property's label, options and the like; its uniqueness never."""
    type_ = type_named(object_type)
    found = _found(call, type_.id, name)
    change = _changes(call.body())
    if found["hubspotDefined"] and set(change) - {"options"}:
        raise invalid(f"Property {name} is read only and cannot be updated", "PROPERTY_READ_ONLY")
    found |= change | {"updatedAt": iso(call.now_ms)}
    _check_kind(call, type_.id, found)
    call.properties.save(call.account, type_.id, found)
    return answer(found)


def archive_property(call: Call, object_type: str, name: str) -> Response:
    """Archive a custom property; its values are no longer shown."""
    _archive(call, type_named(object_type).id, name)
    return nothing()


def archive_properties(call: Call, object_type: str) -> Response:
    """Archive up to 100 custom properties."""
    type_ = type_named(object_type)
    for one in call.inputs(_MOST_INPUTS):
        _archive(call, type_.id, str(one.get("name")))
    return nothing()


def list_groups(call: Call, object_type: str) -> Response:
    """Answer an object type's property groups."""
    rows = call.state.db.execute(
        "SELECT name, label, display_order FROM groups WHERE account=? AND type=? ORDER BY name",
        (call.account, type_named(object_type).id),
    )
    return call.page([_group(*row) for row in rows], None)


def create_group(call: Call, object_type: str) -> Response:
    """Create a property group; 409 when the name is taken."""
    type_, sent = type_named(object_type), call.body()
    name, label = str(sent.get("name") or ""), str(sent.get("label") or "")
    if not name or not label:
        raise invalid("Some required fields were not set: [name, label]")
    if _has_group(call, type_.id, name):
        raise VendorError(409, f"A property group with the name '{name}' already exists", "CONFLICT")
    order = _place(sent.get("displayOrder", -1))
    call.state.db.execute("INSERT INTO groups VALUES (?,?,?,?,?)", (call.account, type_.id, name, label, order))
    return answer(_group(name, label, order), status=201)


def _found(call: Call, type_id: int, name: str, *, archived: bool = False) -> dict[str, Any]:
    found = call.properties.definition(call.account, type_id, name, archived=archived)
    if found is None:
        raise VendorError(404, f"Property {name[:100]} does not exist", "OBJECT_NOT_FOUND",
                          subCategory="PropertiesError.PROPERTY_NOT_FOUND", context={"propertyName": [name[:100]]})
    return found


def _create(call: Call, type_id: int, sent: dict[str, Any]) -> dict[str, Any]:
    missing = [key for key in ("name", "label", "type", "fieldType", "groupName") if not sent.get(key)]
    if missing:
        raise invalid(f"Some required fields were not set: {missing}", "REQUIRED_FIELD", properties=missing)
    name = str(sent["name"])
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        raise invalid("The name of a property is lower-case letters, digits and underscores", "INVALID_NAME")
    _check_kind(call, type_id, sent)
    if call.properties.definition(call.account, type_id, name) is not None:
        raise VendorError(409, f"A property named '{name}' already exists.", "CONFLICT",
                          subCategory="PropertiesError.PROPERTY_EXISTS")
    unique = sent.get("hasUniqueValue") is True
    if unique and sum(p.unique for p in call.properties.of(call.account, type_id).values()) >= _MOST_UNIQUE:
        raise invalid(f"An object can have {_MOST_UNIQUE} unique properties", "UNIQUE_PROPERTY_LIMIT")
    made = schema.definition(name, "text", group=str(sent["groupName"]), at=iso(call.now_ms),
                             label=str(sent["label"]), unique=unique)
    made |= _changes(sent)
    call.properties.save(call.account, type_id, made)
    return made


def _changes(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what a client may say about a property, each in its type; anything else it says is passed over."""
    kinds: dict[str, Callable[[Any], Any]] = {
        "label": str, "description": str, "groupName": str, "type": str, "fieldType": str,
        "hidden": bool, "formField": bool, "options": _options, "displayOrder": _place,
    }
    return {key: kind(sent[key]) for key, kind in kinds.items() if key in sent}


def _check_kind(call: Call, type_id: int, definition: dict[str, Any]) -> None:
    type_, field_type, group = (str(definition[key]) for key in ("type", "fieldType", "groupName"))
    if field_type not in _FIELD_TYPES.get(type_, ()):
        raise invalid(f"{field_type[:40]} is not a field type of {type_[:40]}", "INVALID_FIELD_TYPE")
    if not _has_group(call, type_id, group):
        raise invalid(f"Property group {group[:100]} does not exist", "PROPERTY_GROUP_NOT_FOUND")


def _archive(call: Call, type_id: int, name: str) -> None:
    found = _found(call, type_id, name)
    if found["hubspotDefined"]:
        raise invalid(f"Property {name} is defined by HubSpot and cannot be archived", "CANNOT_ARCHIVE")
    at = iso(call.now_ms)
    call.properties.save(call.account, type_id, found | {"archived": True, "archivedAt": at, "updatedAt": at})


def _options(sent: Any) -> list[dict[str, Any]]:
    if not isinstance(sent, list) or not all(isinstance(o, dict) and o.get("label") and "value" in o for o in sent):
        raise invalid("Every option needs a label and a value", "INVALID_OPTION")
    values = [str(o["value"]) for o in sent]
    if len(set(values)) != len(values):
        raise invalid("Option values must be unique", "DUPLICATE_OPTION")
    return [
        {"label": str(o["label"]), "value": str(o["value"]), "displayOrder": _place(o.get("displayOrder", order)),
         "hidden": bool(o.get("hidden", False)), "description": str(o.get("description") or "")}
        for order, o in enumerate(sent)
    ]


def _place(given: Any) -> int:
    # -1 is HubSpot's word for "after all the others".
    return -1 if given == -1 else whole(given, "displayOrder")


def _has_group(call: Call, type_id: int, name: str) -> bool:
    return call.state.db.execute(
        "SELECT 1 FROM groups WHERE account=? AND type=? AND name=?", (call.account, type_id, name)
    ).fetchone() is not None


def _group(name: str, label: str, order: int) -> dict[str, Any]:
    return {"name": name, "label": label, "displayOrder": order, "archived": False}


def _batch(call: Call, results: list[Any]) -> dict[str, Any]:
    at = iso(call.now_ms)
    return {"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at}


ROUTES: list[Route] = [
    ("GET", "/crm/v3/properties/<object_type>", list_properties),
    ("POST", "/crm/v3/properties/<object_type>", create_property),
    ("POST", "/crm/v3/properties/<object_type>/batch/create", create_properties),
    ("POST", "/crm/v3/properties/<object_type>/batch/read", read_properties),
    ("POST", "/crm/v3/properties/<object_type>/batch/archive", archive_properties),
    ("GET", "/crm/v3/properties/<object_type>/groups", list_groups),
    ("POST", "/crm/v3/properties/<object_type>/groups", create_group),
    ("GET", "/crm/v3/properties/<object_type>/<name>", get_property),
    ("PATCH", "/crm/v3/properties/<object_type>/<name>", update_property),
    ("DELETE", "/crm/v3/properties/<object_type>/<name>", archive_property),
]
