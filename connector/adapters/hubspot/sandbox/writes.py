"""What a write does to a record: check every value, keep unique values unique, move the stage only forward.

Everything is checked before anything is stored, so that a refused input of a batch leaves no trace.
"""

from __future__ import annotations

import re
from typing import Any

from connector.adapters.hubspot.sandbox import links, pipelines, rules
from connector.adapters.hubspot.sandbox.call import Call, type_named, whole
from connector.adapters.hubspot.sandbox.errors import (
    VendorError,
    bad_values,
    contact_exists,
    invalid,
    locked,
    not_found,
    value_taken,
)
from connector.adapters.hubspot.sandbox.schema import (
    CONTACT,
    DEAL,
    EVENT,
    EXTERNAL_ACCOUNT,
    EXTERNAL_EVENT,
    LEAD,
    TASK,
    ObjectType,
)
from connector.adapters.hubspot.sandbox.state import Row, props_of
from connector.adapters.hubspot.sandbox.values import BadValue, Property, iso, normal

UNKNOWN_SOURCE = "CRM_UI"
"""Who is said to have written what no source is known of."""

_QUEUE = "hs_queue_membership_ids"

Values = dict[str, str | None]
"""Property values to be stored; None clears."""

_COUNTER = re.compile(r"hs_analytics_\w+|hs_email_(?!optout)\w+|(num|recent|first)_conversion_\w+")
"""What HubSpot itself counts on a contact."""

_UNSAID: dict[int, Values] = {
    TASK: {"hs_task_status": "NOT_STARTED"}, DEAL: {"pipeline": "default"},
    LEAD: {"hs_pipeline": "lead-pipeline-id", "hs_pipeline_stage": "new-stage-id"},
}
"""What a new record has when nobody says otherwise. Source: assumed."""


def create(call: Call, type_: ObjectType, sent: Any, associations: Any = None) -> int:
    """Store a new record with its inline associations and return its id.

    Args:
        call: The request.
        type_: What it is to be.
        sent: `properties` as the client sent them.
        associations: `[{to: {id}, types: [{associationCategory, associationTypeId}]}]`, or None.

    Raises:
        VendorError: 400 a value, association or required property is wrong; 404 an associated record is not
            there; 409 a unique value is taken.
    """
    values: Values = {name: value for name, value in checked(call, type_, sent, {}).items() if value is not None}
    missing = [name for name in type_.required if name not in values]
    if missing:
        message = f"Error creating {type_.singular.upper()}. Some required properties were not set."
        raise invalid(message, "REQUIRED_PROPERTY", properties=missing)
    _refuse_broken_rules(call, type_, values, values, creating=True)
    _claimable(call, type_, values, None)
    targets = _targets(call, type_, associations)
    if type_.id == LEAD and not any(to.id == CONTACT for to, _, _ in targets):
        # Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/leads/guide, checked 2026-11-22:
        # a lead must be associated with an existing contact; the words are assumed.
        raise invalid("A lead needs an association with its primary contact", "REQUIRED_ASSOCIATION", at="associations")
    props: dict[str, str] = {"hs_object_source": call.source}
    values = {**_UNSAID.get(type_.id, {}), **values}
    values |= _derived(call, type_, values)
    props |= {name: value for name, value in values.items() if value is not None}
    record_id = call.state.take_ids(call.account)
    call.state.add_record(call.account, type_.id, record_id, call.now_ms, props)
    for name, value in _claims(call, type_, props):
        call.state.claim(call.account, type_.id, name, value, record_id)
    for to, to_id, kinds in targets:
        links.add(call, type_, record_id, to, to_id, kinds)
    return record_id


def update(call: Call, type_: ObjectType, row: Row, sent: Any) -> None:
    """Change a record's values; the record moves even when no value differs.

    Raises:
        VendorError: 400 a value is wrong, or goes backward where the account refuses it; 409 a unique value is
            taken.
    """
    before: dict[str, str] = props_of(row)
    values = checked(call, type_, sent, before)
    _refuse_broken_rules(call, type_, values, before | values, creating=False)
    _keep_stage_forward(call, type_, values, before)
    _claimable(call, type_, values, row[0])
    store(call, type_, row, values)


def store(call: Call, type_: ObjectType, row: Row, values: Values) -> None:
    """Store checked values on a record: its history, unique values and what HubSpot derives from them."""
    before: dict[str, str] = props_of(row)
    changed = {name: value for name, value in values.items() if value != before.get(name)}
    changed |= _derived(call, type_, changed)
    after = {name: value for name, value in (before | changed).items() if value is not None}
    for name, value in changed.items():
        call.state.remember(
            call.account, type_.id, row[0], name, value, call.now_ms, call.source,
            before=before.get(name), first=(row[2], before.get("hs_object_source", UNKNOWN_SOURCE)),
        )
    held, wanted = set(_claims(call, type_, before)), set(_claims(call, type_, after))
    for name, value in held - wanted:
        call.state.release(call.account, type_.id, name, value)
    for name, value in wanted - held:
        call.state.claim(call.account, type_.id, name, value, row[0])
    # A submission that brings no new answer is only counted; an update moves the record whatever it says.
    is_counted = type_.id == CONTACT and (bool(changed) or call.source == "FORM") and all(
        _COUNTER.fullmatch(name) for name in changed
    )
    moves = call.switches.counters_move_contact or not is_counted
    call.state.save_props(call.account, type_.id, row[0], call.now_ms if moves else 0, after)


def archive(call: Call, type_: ObjectType, record_id: int) -> bool:
    """Archive a record and let go of its unique values and associations; False when there is none.

    For 90 days `restore` brings it back with both.
    """
    row = call.state.record(call.account, type_.id, record_id)
    if row is None:
        return False
    release_all(call, type_, row)
    links.archive_all(call, type_.id, record_id)
    call.state.db.execute(
        "UPDATE records SET archived=1, archived_ms=?, updated_ms=max(updated_ms, ?) "
        "WHERE account=? AND type=? AND id=?",
        (call.now_ms, call.now_ms, call.account, type_.id, record_id),
    )
    return True


def restore(call: Call, type_: ObjectType, record_id: int) -> None:
    """Bring an archived record back as it was, associations included, as a person does in HubSpot: its API cannot.

    Whether it counts as changed is unverified: `switches.restore_stamps`; if not, it has the time from before it was
    archived. Source: https://knowledge.hubspot.com/records/restore-deleted-records, checked 2026-11-22.

    Raises:
        VendorError: 404 it is not in the archive; 409 somebody else has its e-mail or unique value by now.
    """
    row = call.state.record(call.account, type_.id, record_id, archived=True)
    if row is None:
        raise not_found(record_id)
    props = props_of(row)
    _claimable(call, type_, props, record_id)
    key = (call.account, type_.id, record_id)
    call.state.db.execute(
        "UPDATE records SET archived=0, archived_ms=NULL, updated_ms=max(updated_ms, ?) "
        "WHERE account=? AND type=? AND id=?", (call.now_ms, *key),
    )
    for name, value in _claims(call, type_, props):
        call.state.claim(call.account, type_.id, name, value, record_id)
    links.restore_all(call, type_.id, record_id)
    if not call.switches.restore_stamps:
        call.state.db.execute(
            "UPDATE records SET updated_ms=max(created_ms, coalesce("
            "(SELECT max(at_ms) FROM history WHERE account=? AND type=? AND id=?), 0)) "
            "WHERE account=? AND type=? AND id=?", (*key, *key),
        )


def refuse_locked(call: Call, type_: ObjectType, record_id: int) -> None:
    """Raise VendorError (423) while a control keeps the record locked."""
    if call.state.db.execute(
        "SELECT 1 FROM locks WHERE account=? AND type=? AND id=? AND until_ms>?",
        (call.account, type_.id, record_id, call.now_ms),
    ).fetchone() is not None:
        raise locked()


def release_all(call: Call, type_: ObjectType, row: Row) -> None:
    """Let go of every unique value a record holds."""
    for name, value in _claims(call, type_, props_of(row)):
        if call.state.holder(call.account, type_.id, name, value) == row[0]:
            call.state.release(call.account, type_.id, name, value)


def checked(call: Call, type_: ObjectType, sent: Any, before: dict[str, str]) -> Values:
    """Return the values to store for what a client sent. Raises VendorError (400) naming every wrong one."""
    if not isinstance(sent, dict):
        raise invalid("Some required fields were not set: [properties]")
    known = call.properties.of(call.account, type_.id)
    values: Values = {}
    faults = []
    for name, value in sent.items():
        if call.switches.unwritable_property == "ignore" and (name not in known or known[name].read_only):
            continue
        if name == _QUEUE and call.switches.queue_write == "ignore":
            continue
        try:
            values[name] = _checked_one(call, known.get(name), name, value, before.get(name))
        except BadValue as error:
            faults.append({"name": name, "error": error.code, "message": str(error)})
    if faults:
        raise bad_values(faults, call.portal_id)
    return values


def _checked_one(call: Call, prop: Property | None, name: str, value: Any, before: str | None) -> str | None:
    if prop is None:
        raise BadValue("PROPERTY_DOESNT_EXIST", f'Property "{name[:100]}" does not exist')
    if prop.read_only or (name == _QUEUE and call.switches.queue_write == "refuse"):
        raise BadValue("READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
    if isinstance(value, (dict, list)):
        raise BadValue("INVALID_VALUE", f'The value of "{name}" must be a string.')
    stored = normal(prop, value, before)
    if name == "hubspot_owner_id" and stored is not None and not _is_owner(call, stored):
        raise BadValue("INVALID_OWNER_ID", f"{stored[:30]} is not an owner of this account.")
    return stored


def _refuse_broken_rules(
    call: Call, type_: ObjectType, written: Values, after: dict[str, Any], *, creating: bool,
) -> None:
    faults = rules.broken(call, type_, written, after, creating=creating)
    if faults:
        raise bad_values(faults, call.portal_id)


def _is_owner(call: Call, text: str) -> bool:
    return text.isascii() and text.isdigit() and call.state.db.execute(
        "SELECT 1 FROM owners WHERE account=? AND id=?", (call.account, int(text[:18]))
    ).fetchone() is not None


def _keep_stage_forward(call: Call, type_: ObjectType, values: Values, before: dict[str, str]) -> None:
    """Take a backward stage out of the values, or refuse it.

    Clearing is allowed, and any stage can follow it. Source:
    https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide, checked 2026-11-22; what a backward
    write answers is unverified, hence the switch.
    """
    old, new = before.get("lifecyclestage"), values.get("lifecyclestage")
    if old is None or new is None:
        return
    order = call.properties.of(call.account, type_.id)["lifecyclestage"].options
    if old not in order or order.index(new) >= order.index(old):
        return
    if call.switches.lifecycle_backward == "refuse":
        message = f"lifecyclestage cannot be moved backward from {old} to {new}."
        raise bad_values([{"name": "lifecyclestage", "error": "INVALID_LIFECYCLE_STAGE", "message": message}],
                         call.portal_id)
    del values["lifecyclestage"]


def _derived(call: Call, type_: ObjectType, values: dict[str, Any]) -> Values:
    """Return what HubSpot sets by itself when these values change."""
    now, derived = iso(call.now_ms), Values()
    stage = values.get("lifecyclestage")
    if stage is not None:
        derived[f"hs_lifecyclestage_{stage}_date"] = now
    if type_.id == CONTACT and "email" in values:
        email = values["email"]
        derived["hs_email_domain"] = None if email is None else email.partition("@")[2]
    if type_.id == CONTACT and values.get("hubspot_owner_id"):
        derived["hubspot_owner_assigneddate"] = now
    if type_.id == DEAL and values.get("dealstage"):
        closed, won = pipelines.is_closed(call, values["dealstage"])
        derived["hs_is_closed"], derived["hs_is_closed_won"] = str(closed).lower(), str(won).lower()
    if type_.id == TASK and "hs_task_status" in values:
        done = values["hs_task_status"] == "COMPLETED"
        derived["hs_task_is_completed"] = "true" if done else "false"
        derived["hs_task_completion_date"] = now if done else None
    return derived


def _claims(call: Call, type_: ObjectType, values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (property, value) for every value that only one record may have; secondary e-mails count as e-mails."""
    found = [
        (name, value) for name, prop in call.properties.of(call.account, type_.id).items()
        if prop.unique and (value := values.get(name)) is not None
    ]
    if type_.id == EVENT and EXTERNAL_EVENT in values:
        found.append((EXTERNAL_EVENT, f"{values[EXTERNAL_ACCOUNT]}/{values[EXTERNAL_EVENT]}"))
    if type_.id == CONTACT:
        emails = [values.get("email") or "", *(values.get("hs_additional_emails") or "").split(";")]
        found += [("email", email) for email in emails if email]
    return found


def _claimable(call: Call, type_: ObjectType, values: dict[str, Any], record_id: int | None) -> None:
    for name, value in _claims(call, type_, values):
        holder = call.state.holder(call.account, type_.id, name, value)
        if holder is not None and holder != record_id:
            if type_.id == CONTACT and name == "email":
                raise contact_exists(holder)
            raise value_taken(name, holder, status=call.switches.unique_conflict_status, portal_id=call.portal_id)


def _targets(call: Call, type_: ObjectType, associations: Any) -> list[tuple[ObjectType, int, list[int]]]:
    if associations is None:
        return []
    if not isinstance(associations, list):
        raise VendorError(400, "Invalid input JSON on line 1, column 1: Cannot deserialize value")
    targets = []
    for one in associations:
        end = one.get("to") if isinstance(one, dict) else None
        if not isinstance(one, dict) or not isinstance(end, dict):
            raise invalid("Each association needs `to` and `types`", at="associations")
        to_id = whole(str(end.get("id", "")), "id")
        to, kinds = _target_of(call, type_, one.get("types"))
        links.need_record(call, to, to_id)
        targets.append((to, to_id, kinds))
    return targets


def _target_of(call: Call, type_: ObjectType, types: Any) -> tuple[ObjectType, list[int]]:
    # An inline association names no target type: its type id says it.
    first = types[0] if isinstance(types, list) and types else None
    kind = whole(first.get("associationTypeId"), "associationTypeId") if isinstance(first, dict) else 0
    for table in (links.DEFAULT, links.PRIMARY):
        for (from_, to_id), known in table.items():
            if from_ == type_.id and known == kind:
                to = type_named(f"0-{to_id}")
                return to, links.kinds_named(call, type_, to, types)
    row = call.state.db.execute(
        "SELECT to_type FROM labels WHERE account=? AND from_type=? AND kind=?", (call.account, type_.id, kind)
    ).fetchone()
    if row is None:
        raise invalid(f"No association type with id {kind} exists from {type_.singular}", "INVALID_ASSOCIATION_TYPE")
    to = type_named(f"0-{row[0]}")
    return to, links.kinds_named(call, type_, to, types)
