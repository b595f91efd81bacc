"""One record created, changed, upserted or deleted, with the vendor's checks in the vendor's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.adapters.salesforce.sandbox import admin_rules, recycle_bin
from connector.adapters.salesforce.sandbox.errors import SalesforceError, no_such_column, not_found, unwritable
from connector.adapters.salesforce.sandbox.org import Org, Row
from connector.adapters.salesforce.sandbox.rules import CONVERTED, after_save, before_save
from connector.adapters.salesforce.sandbox.schema import Field, SObject
from connector.adapters.salesforce.sandbox.values import normal_id, stored_value

_NEVER_NULL = ("OwnerId",)


def create(org: Org, sobject: SObject, body: Mapping[str, Any]) -> str:
    """Create one record and return its id.

    Raises:
        SalesforceError: The record was refused; nothing of it is stored.
    """
    if sobject.name.startswith("PermissionSet") and "permission_sets" in org.switches.missing_rights:
        raise SalesforceError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", (), 400)
    if not sobject.createable:
        raise SalesforceError(
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {sobject.label}", (), 400
        )
    given = _checked_fields(org, sobject, body, creating=True)
    row: Row = {f.name: (int(f.default) if isinstance(f.default, bool) else f.default) for f in sobject.stored_fields}
    row.update({name: value for name, value in given.items() if value is not None or row[name] is None})
    if "OwnerId" in row and row["OwnerId"] is None:
        row["OwnerId"] = org.user_id
    _require(sobject, row)
    now = org.now_text()
    row["Id"] = org.next_id(sobject.prefix)
    system = {"CreatedDate": now, "CreatedById": org.user_id, "LastModifiedDate": now,
              "LastModifiedById": org.user_id, "SystemModstamp": now, "IsDeleted": 0}
    row.update({name: value for name, value in system.items() if name in sobject.fields})
    with org.transaction():
        _check_references(org, sobject, given)
        _check_unique(org, sobject, given, own_id="")
        admin_rules.check_locks(org, row)
        before_save(org, sobject.name, row, None)
        admin_rules.assign(org, sobject, row)
        org.insert_row(sobject.name, row)
        admin_rules.judge(org, sobject, row)
        after_save(org, sobject.name, row, None)
    return str(row["Id"])


def update(org: Org, sobject: SObject, record_id: str, body: Mapping[str, Any]) -> None:
    """Change one record; every stamp moves even when no value does.

    Raises:
        SalesforceError: The change was refused, or the record is gone (`NOT_FOUND`, `ENTITY_IS_DELETED`, both
            with status 404); nothing is changed.
    """
    before = living_row(org, sobject, record_id)
    if not sobject.updateable:
        raise SalesforceError(
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be updated: {sobject.label}", (), 400
        )
    changes = _checked_fields(org, sobject, body, creating=False)
    if before.get("IsConverted"):
        raise SalesforceError("CANNOT_UPDATE_CONVERTED_LEAD", CONVERTED, ())
    row = {**before, **changes}
    _require(sobject, row)
    row.update(org.stamps(sobject))
    with org.transaction():
        _check_references(org, sobject, changes)
        _check_unique(org, sobject, changes, own_id=before["Id"])
        admin_rules.check_locks(org, before)
        before_save(org, sobject.name, row, before)
        admin_rules.assign(org, sobject, row)
        org.update_row(sobject.name, before["Id"], row)
        admin_rules.judge(org, sobject, row)
        after_save(org, sobject.name, row, before)


def upsert(org: Org, sobject: SObject, key_field: str, key: str, body: Mapping[str, Any]) -> tuple[str, bool]:
    """Create or change the record whose external id is `key`; return its id and whether it was created.

    Raises:
        SalesforceError: As `create` and `update`; `MULTIPLE_CHOICES` (status 300) when several records have it.
    """
    field = external_id_field(sobject, key_field)
    if field.name in body:
        raise SalesforceError(
            "INVALID_FIELD", f"The {field.name} field should not be specified in the sobject data.", ()
        )
    found = by_external_id(org, sobject, field, key)
    if found is not None:
        update(org, sobject, found["Id"], body)
        return str(found["Id"]), False
    return create(org, sobject, {**body, field.name: key}), True


def delete(org: Org, sobject: SObject, record_id: str) -> None:
    """Put one record into the recycle bin: `IsDeleted` is set and the stamps move; its dependants go with it."""
    row = living_row(org, sobject, record_id)
    if not sobject.deletable:
        raise SalesforceError(
            "INSUFFICIENT_ACCESS_OR_READONLY", f"entity type cannot be deleted: {sobject.label}", (), 400
        )
    admin_rules.check_locks(org, row)
    recycle_bin.put_in(org, sobject, row["Id"])


def living_row(org: Org, sobject: SObject, record_id: str) -> Row:
    """Return the record with that id of 15 or 18 characters; raises `NOT_FOUND` or `ENTITY_IS_DELETED` (404)."""
    whole_id = normal_id(record_id)
    row = org.row(sobject.name, whole_id) if whole_id else None
    if row is None:
        raise not_found()
    if row.get("IsDeleted"):
        raise SalesforceError("ENTITY_IS_DELETED", "entity is deleted", (), 404)
    return row


def external_id_field(sobject: SObject, name: str) -> Field:
    """Return the external-id field of that name (or Id); raises `NOT_FOUND` when there is none."""
    field = sobject.field(name)
    if field is None or not (field.external_id or field.name == "Id"):
        raise SalesforceError(
            "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}", status=404
        )
    return field


def by_external_id(org: Org, sobject: SObject, field: Field, key: str) -> Row | None:
    """Return the living record with that external id, or None; raises `MULTIPLE_CHOICES` (300) on several."""
    wanted = normal_id(key) if field.name == "Id" else stored_value(field, key)
    found = list(org.rows(sobject.name, f'"{field.name}" = ? AND "IsDeleted" = 0', wanted))
    if len(found) > 1:
        raise SalesforceError("MULTIPLE_CHOICES", " ".join(row["Id"] for row in found), status=300)
    return found[0] if found else None


def _checked_fields(org: Org, sobject: SObject, body: Mapping[str, Any], *, creating: bool) -> Row:
    changes: Row = {}
    read_only: list[str] = []
    for name, raw in body.items():
        if name == "attributes":
            continue
        field = sobject.field(name)
        if field is None and name in sobject.fields and org.switches.hidden_field_write == "unwritable":
            read_only.append(name)
            continue
        if field is None:
            raise no_such_column(name, sobject.name)
        if not (field.createable if creating else field.updateable):
            read_only.append(field.name)
        else:
            changes[field.name] = stored_value(field, raw)
    if read_only:
        raise unwritable(read_only)
    return changes


def _require(sobject: SObject, row: Row) -> None:
    missing = [f.name for f in sobject.stored_fields
               if (f.required or f.name in _NEVER_NULL) and row.get(f.name) is None]
    if missing:
        raise SalesforceError(
            "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", tuple(missing)
        )


def _check_references(org: Org, sobject: SObject, changes: Row) -> None:
    for name, target_id in changes.items():
        field = sobject.fields[name]
        if not field.reference_to or target_id is None:
            continue
        targets = [org.objects[one] for one in field.reference_to if one in org.objects]
        possible = [one for one in targets if one.prefix == target_id[:3]]
        if not possible:
            raise SalesforceError("MALFORMED_ID", f"{field.label}: id value of incorrect type: {target_id}", (name,))
        target = org.row(possible[0].name, target_id)
        if target is None:
            raise SalesforceError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (name,))
        if target.get("IsDeleted"):
            raise SalesforceError("ENTITY_IS_DELETED", "entity is deleted", (name,))
        if target.get("IsConverted"):
            raise SalesforceError("CANNOT_UPDATE_CONVERTED_LEAD", CONVERTED, (name,))


def _check_unique(org: Org, sobject: SObject, changes: Row, own_id: str) -> None:
    for name, value in changes.items():
        if value is None or not sobject.fields[name].unique:
            continue
        other = next(org.rows(sobject.name, f'"{name}" = ? AND "Id" <> ? AND "IsDeleted" = 0', value, own_id), None)
        if other is not None:
            raise SalesforceError(
                "DUPLICATE_VALUE",
                f"duplicate value found: {name} duplicates value on record with id: {other['Id']}", (name,),
            )
