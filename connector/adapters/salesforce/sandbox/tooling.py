"""The Tooling API as far as custom fields need it: create one, and find those that are there."""

from __future__ import annotations

import re
from typing import Any

from connector.adapters.salesforce.sandbox.calls import Answer, Call
from connector.adapters.salesforce.sandbox.errors import RequestBodyError, SalesforceError, not_found
from connector.adapters.salesforce.sandbox.schema import Field, FieldType
from connector.adapters.salesforce.sandbox.soql import (
    Comparison,
    Condition,
    Junction,
    Membership,
    Operand,
    parse,
    string_text,
)
from connector.adapters.salesforce.sandbox.values import normal_id

_NAME = re.compile(r"([A-Za-z]\w{0,39})\.([A-Za-z]\w{0,39}__c)", re.ASCII)
_TYPES: dict[str, FieldType] = {
    "Text": "string", "TextArea": "textarea", "LongTextArea": "textarea", "Number": "double", "Percent": "percent",
    "Currency": "currency", "Checkbox": "boolean", "Date": "date", "DateTime": "datetime", "Email": "email",
    "Phone": "phone", "Url": "url", "Picklist": "picklist", "MultiselectPicklist": "multipicklist",
}
_FIXED_LENGTHS = {"TextArea": 255, "Email": 80, "Phone": 40, "Url": 255, "Picklist": 255, "MultiselectPicklist": 4099}


def create_field(call: Call) -> Answer:
    """`POST tooling/sobjects/CustomField {"FullName": "Lead.X__c", "Metadata": {type, label, …}}`."""
    match = _NAME.fullmatch(str(call.record.get("FullName", "")))
    metadata = call.record.get("Metadata")
    if match is None or not isinstance(metadata, dict):
        raise SalesforceError("FIELD_INTEGRITY_EXCEPTION", "FullName must be Object.Field__c, with its Metadata", ())
    if "customize" in call.org.switches.missing_rights:
        raise SalesforceError(
            "INSUFFICIENT_ACCESS", "insufficient access rights on object id", (), status=403,
        )
    # Custom fields of tasks and events belong to their common parent, Activity.
    owners = ("Task", "Event") if match[1].lower() == "activity" else (match[1],)
    made = _field(match[2], metadata)
    field_id = ""
    for owner in owners:
        sobject = call.org.require(owner)
        if made.name.lower() in (name.lower() for name in sobject.fields):    # also one that the user cannot see
            raise SalesforceError(
                "DUPLICATE_DEVELOPER_NAME",
                f"There is already a field named {made.name.removesuffix('__c')} on {sobject.name}.", (),
            )
        field_id = call.org.add_field(sobject, made)
        if call.org.switches.new_fields_hidden:
            call.org.hide_field(owner, made.name)
    return Answer(201, {"id": field_id, "success": True, "errors": [], "warnings": [], "infos": []})


def change_field(call: Call, field_id: str) -> Answer:
    """`PATCH tooling/sobjects/CustomField/{id} {"Metadata": {type, label, …}}`: the field gets another type."""
    known_id, _, known = _known(call, field_id)
    metadata = call.record.get("Metadata")
    if not isinstance(metadata, dict):
        raise SalesforceError("FIELD_INTEGRITY_EXCEPTION", "Metadata is missing", ())
    call.org.change_field(known_id, _field(known.name, metadata))
    return Answer(204)


def delete_field(call: Call, field_id: str) -> Answer:
    """`DELETE tooling/sobjects/CustomField/{id}`."""
    call.org.remove_field(_known(call, field_id)[0])
    return Answer(204)


def _known(call: Call, field_id: str) -> tuple[str, str, Field]:
    whole_id = normal_id(field_id)
    found = next((one for one in call.org.custom_fields() if one[0] == whole_id), None)
    if found is None:
        raise not_found()
    return found


def _field(name: str, metadata: dict[str, Any]) -> Field:
    kind = str(metadata.get("type", ""))
    if kind not in _TYPES:
        raise SalesforceError("INVALID_INPUT", f"Field type {kind[:40]} is not served", ("type",))
    if not metadata.get("label"):
        raise SalesforceError("REQUIRED_FIELD_MISSING", "Required fields are missing: [label]", ("label",))
    length, precision, scale = (_whole(metadata, key) for key in ("length", "precision", "scale"))
    if kind in ("Text", "LongTextArea") and not 0 < length <= (255 if kind == "Text" else 131_072):
        raise SalesforceError("FIELD_INTEGRITY_EXCEPTION", f"'length' does not fit a {kind} field", ("length",))
    if kind in ("Number", "Currency", "Percent") and not 0 < precision <= 18:
        raise SalesforceError("FIELD_INTEGRITY_EXCEPTION", "Must specify 'precision' from 1 to 18", ("precision",))
    if kind in ("Picklist", "MultiselectPicklist"):
        words, restricted = _value_set(metadata)
    else:
        words, restricted = (), False
    return Field(
        name, _TYPES[kind], str(metadata["label"]), _FIXED_LENGTHS.get(kind, length), picklist=words,
        restricted=restricted, required=metadata.get("required") is True, unique=metadata.get("unique") is True,
        external_id=metadata.get("externalId") is True, precision=precision, scale=scale, custom=True,
        default=metadata.get("defaultValue") in (True, "true") if kind == "Checkbox" else None,
    )


def _whole(metadata: dict[str, Any], key: str) -> int:
    value = metadata.get(key) or 0
    if not isinstance(value, int):
        raise RequestBodyError(f"{key} must be a whole number")
    return value


def _value_set(metadata: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
    chosen = metadata.get("valueSet") or {}
    definition = chosen.get("valueSetDefinition") or {}
    words = tuple(str(one.get("valueName") or one.get("fullName")) for one in definition.get("value", ()))
    return words, chosen.get("restricted") is True


def query_fields(call: Call) -> Answer:
    """`GET tooling/query?q=SELECT … FROM CustomField WHERE …`, on what a CustomField record has here.

    The columns are Id, DeveloperName, TableEnumOrId, FullName and EntityDefinition.QualifiedApiName; the condition
    may join comparisons by AND, with `=` and `IN`.
    """
    soql = call.args.get("q", "")
    select = parse(soql)
    if select.entity.text.lower() not in ("customfield", "fielddefinition"):
        raise SalesforceError("INVALID_TYPE", f"sObject type '{select.entity.text}' is not supported.")
    rows = [row for row in map(_shown, call.org.custom_fields()) if _meets(soql, select.where, row)]
    names = [item.name.text for item in select.items if isinstance(item, Operand)]
    records = []
    for row in rows[: select.limit]:
        address = f"/services/data/{call.version}/tooling/sobjects/CustomField/{row['id']}"
        record: dict[str, Any] = {"attributes": {"type": select.entity.text, "url": address}}
        for name in names:
            steps = name.split(".")
            value = _value(row, name)
            record[steps[0]] = value if len(steps) == 1 else {**(record.get(steps[0]) or {}), steps[1]: value}
        records.append(record)
    return Answer(200, {"size": len(records), "totalSize": len(records), "done": True, "queryLocator": None,
                        "entityTypeName": select.entity.text, "records": records})


def _shown(one: tuple[str, str, Field]) -> dict[str, str]:
    field_id, sobject, field = one
    return {"id": field_id, "developername": field.name.removesuffix("__c"), "tableenumorid": sobject,
            "fullname": f"{sobject}.{field.name}", "entitydefinition.qualifiedapiname": sobject,
            "qualifiedapiname": field.name, "label": field.label, "namespaceprefix": ""}


def _value(row: dict[str, str], name: str) -> str | None:
    if name.lower() not in row:
        raise SalesforceError("INVALID_FIELD", f"No such column '{name}' on entity 'CustomField'.")
    return row[name.lower()] or None


def _meets(soql: str, where: Condition | None, row: dict[str, str]) -> bool:
    match where:
        case None:
            return True
        case Junction("AND", parts):
            return all(_meets(soql, part, row) for part in parts)
        case Junction("OR", parts):
            return any(_meets(soql, part, row) for part in parts)
        case Comparison(operand, "=", value):
            wanted = [value]
        case Membership(operand, "IN", tuple() as values):
            wanted = list(values)
        case _:
            raise SalesforceError("MALFORMED_QUERY", "this condition is not served on CustomField")
    found = (_value(row, operand.name.text) or "").lower()
    return found in [string_text(soql, one).lower() if one.kind == "string" else "" for one in wanted]
