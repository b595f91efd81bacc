"""What an e-mail brings with it: its task, whom the task is about, and what may be changed once it is sent.

Source: developer.salesforce.com/docs, the object reference's pages on EmailMessage and EmailMessageRelation, checked
2026-11-22. Which fields the task takes from the mail, and whom of several recipients it names, is assumed.
"""

from __future__ import annotations

from connector.adapters.salesforce.sandbox.errors import SalesforceError, unwritable
from connector.adapters.salesforce.sandbox.objects_activity import DRAFT
from connector.adapters.salesforce.sandbox.org import Org, Row

_ALWAYS_WRITABLE = ("IsExternallyVisible", "LastModifiedDate", "LastModifiedById", "SystemModstamp")


def before_message(org: Org, row: Row, before: Row | None) -> None:
    """Fill a mail's status and date; refuse changes of one that is no draft."""
    if before is not None and before["Status"] != DRAFT:
        known = org.objects["EmailMessage"].fields
        changed = [name for name, value in row.items()
                   if value != before[name] and name not in _ALWAYS_WRITABLE and not known[name].custom]
        if changed:
            raise unwritable(changed)
    row["Status"] = row["Status"] or ("0" if row["Incoming"] else "3")
    row["MessageDate"] = row["MessageDate"] or org.now_text()
    row["MessageSize"] = len(f"{row['TextBody'] or ''}{row['HtmlBody'] or ''}".encode())


def after_message(org: Org, row: Row, before: Row | None) -> None:
    """Make the task of a mail that is no draft and has none."""
    if row["Status"] == DRAFT or row["ActivityId"] or not org.switches.email_makes_task:
        return
    now = org.now_text()
    task_id = org.next_id("00T")
    org.insert_row("Task", {
        "Id": task_id, "Subject": f"Email: {row['Subject'] or ''}"[:255], "Description": row["TextBody"],
        "OwnerId": org.user_id, "Status": "Completed", "Priority": "Normal", "TaskSubtype": "Email", "Type": "Email",
        "ActivityDate": row["MessageDate"][:10], "CompletedDateTime": now, "IsClosed": 1, "WhatId": row["RelatedToId"],
        "CreatedDate": now, "CreatedById": org.user_id, "LastModifiedDate": now, "LastModifiedById": org.user_id,
        "SystemModstamp": now,
    })
    org.update_row("EmailMessage", row["Id"], {"ActivityId": task_id})


def before_relation(org: Org, row: Row, before: Row | None) -> None:
    """Tell the kind of record that a mail's relation names; it names a record, an address, or both."""
    related = row["RelationId"] or ""
    if not related and not row["RelationAddress"]:
        raise SalesforceError(
            "REQUIRED_FIELD_MISSING", "Required fields are missing: [RelationId]", ("RelationId",)
        )
    sobject = org.by_prefix(related)
    row["RelationObjectType"] = sobject.name if sobject else None
    person = org.row(sobject.name, related) if sobject else None
    row["RelationAddress"] = row["RelationAddress"] or (person["Email"] if person else None)


def after_relation(org: Org, row: Row, before: Row | None) -> None:
    """Name the first person related to a mail in the mail's task."""
    if row["RelationObjectType"] not in ("Lead", "Contact"):
        return
    message = org.row("EmailMessage", row["EmailMessageId"])
    task = org.row("Task", message["ActivityId"]) if message and message["ActivityId"] else None
    if task is not None and not task["WhoId"]:
        person = org.row(row["RelationObjectType"], row["RelationId"]) or {}
        now = org.now_text()
        org.update_row("Task", task["Id"], {
            "WhoId": row["RelationId"], "AccountId": person.get("AccountId"), "LastModifiedDate": now,
            "SystemModstamp": now,
        })
