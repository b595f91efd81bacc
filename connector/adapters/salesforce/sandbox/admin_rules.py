"""What an administrator sets up against writes: validation, duplicate and assignment rules, and rows that are locked.

Source: developer.salesforce.com/docs, api-rest/guide: headers-duplicaterules, headers-autoassign, errorcodes; the text
of a lock is the one quoted in https://github.com/jsforce/jsforce/issues/1018; checked 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from connector.adapter_kit.sandbox.server import ControlError
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org, Row
from connector.adapters.salesforce.sandbox.plan import compile_query
from connector.adapters.salesforce.sandbox.schema import SObject
from connector.adapters.salesforce.sandbox.values import normal_id

_VERSION = "v62.0"
_LOCKING_PARENTS = ("AccountId", "CampaignId", "OpportunityId", "LeadId", "ContactId", "WhoId", "WhatId",
                    "EmailMessageId")
"""References whose parent is locked while a child is written."""


def add(org: Org, said: Mapping[str, Any]) -> dict[str, Any]:
    """Set up a rule, kept over a restart.

    Args:
        org: Whose.
        said: `{"kind": "validation", "object", "when": a SOQL condition that refuses a record, "message", "field"?}`,
            `{"kind": "duplicate", "object", "fields": [..], "action": "block" | "alert"}`, or
            `{"kind": "assignment", "object", "owner": a user's id}`.

    Raises:
        ControlError: It is no such rule.
    """
    sobject = org.sobject(str(said.get("object", "")))
    if sobject is None:
        raise ControlError("`object` names an object of the org")
    rule: dict[str, Any] = {"kind": said.get("kind"), "object": sobject.name}
    try:
        match rule["kind"]:
            case "validation":
                rule.update(when=str(said["when"]), message=str(said["message"]), field=said.get("field"))
                compile_query(org, _condition(rule), show_all=True, version=_VERSION)
            case "duplicate":
                rule.update(fields=[sobject.fields[one].name for one in said["fields"]], action=said["action"])
                if rule["action"] not in ("block", "alert"):
                    raise ControlError("`action` is `block` or `alert`")
            case "assignment":
                rule.update(owner=normal_id(str(said["owner"])))
            case _:
                raise ControlError("`kind` is `validation`, `duplicate` or `assignment`")
    except KeyError as error:
        raise ControlError(f"a rule without, or with an unknown, {error}") from error
    except SalesforceError as error:
        raise ControlError(f"`when` is no condition on {sobject.name}: {error.message}") from error
    org.db.execute("INSERT INTO _rule VALUES (NULL, ?)", (orjson.dumps(rule),))
    org.load_rules()
    return rule


def clear(org: Org) -> None:
    """Take every rule and every lock away."""
    org.db.execute("DELETE FROM _rule")
    org.load_rules()
    org.locks.clear()


def lock(org: Org, ids: list[str], seconds: float) -> None:
    """Let another transaction hold these rows for `seconds` of the sandbox's clock.

    Raises:
        ControlError: One is no id.
    """
    until = org.clock.now() + timedelta(seconds=seconds)
    for one in ids:
        whole_id = normal_id(one)
        if whole_id is None:
            raise ControlError(f"no id: {one!r}")
        org.locks[whole_id] = until


def check_locks(org: Org, row: Row) -> None:
    """Refuse a write of a row that is locked, or whose parent is; `UNABLE_TO_LOCK_ROW`."""
    if not org.locks:
        return
    now = org.clock.now()
    for name in ("Id", *_LOCKING_PARENTS):
        held = row.get(name)
        if held in org.locks and org.locks[held] > now:
            raise SalesforceError(
                "UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {held}", ()
            )


def assign(org: Org, sobject: SObject, row: Row) -> None:
    """Give a record to the owner that an assignment rule names, unless the request keeps the rules from running."""
    for rule in org.rules:
        if rule["kind"] == "assignment" and rule["object"] == sobject.name and org.options.assigns:
            row["OwnerId"] = rule["owner"]


def judge(org: Org, sobject: SObject, row: Row) -> None:
    """Refuse a row, already written in this transaction, that a validation or duplicate rule is against."""
    for rule in org.rules:
        if rule["object"] != sobject.name:
            continue
        if rule["kind"] == "validation":
            _validate(org, rule, row)
        elif rule["kind"] == "duplicate" and not (rule["action"] == "alert" and org.options.saves_duplicates):
            _refuse_duplicate(org, sobject, rule, row)


def _condition(rule: Mapping[str, Any]) -> str:
    return f"SELECT Id FROM {rule['object']} WHERE ({rule['when']})"


def _validate(org: Org, rule: Mapping[str, Any], row: Row) -> None:
    plan = compile_query(org, _condition(rule), show_all=True, version=_VERSION)
    found = org.db.execute(
        plan.sql("1", tail=f' AND {plan.scope.alias}."Id" = ?'), (*plan.parameters, row["Id"])
    ).fetchone()
    if found is not None:
        raise SalesforceError(
            "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule["message"], (rule["field"],) if rule["field"] else ()
        )


def _refuse_duplicate(org: Org, sobject: SObject, rule: Mapping[str, Any], row: Row) -> None:
    if any(row.get(name) is None for name in rule["fields"]):
        return
    same = " AND ".join(f'"{name}" = ?' for name in rule["fields"])
    others = org.rows(sobject.name, f'{same} AND "Id" <> ? AND "IsDeleted" = 0',
                      *(row[name] for name in rule["fields"]), row["Id"])
    if next(others, None) is not None:
        raise SalesforceError(
            "DUPLICATES_DETECTED",
            "You're creating a duplicate record. We recommend you use an existing record instead.", (),
        )
