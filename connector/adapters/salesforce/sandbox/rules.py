"""What each object adds to a write: values it derives, records it refuses, and what follows in other objects."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable
from datetime import timedelta

from connector.adapter_kit.sandbox.ids import checksum
from connector.adapters.salesforce.sandbox import emails, histories
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.objects import STAGES
from connector.adapters.salesforce.sandbox.org import Org, Row
from connector.adapters.salesforce.sandbox.values import datetime_text, parse_datetime

CONVERTED = "cannot reference converted lead"


def before_save(org: Org, sobject: str, row: Row, before: Row | None) -> None:
    """Derive the values a record of this object computes, in `row`, and refuse what the object does not allow.

    Args:
        row: The whole record as it is about to be stored; changed in place.
        before: The record as it was, or None on a create.

    Raises:
        SalesforceError: With the vendor's code for the broken rule.
    """
    rule = _BEFORE.get(sobject)
    if rule is not None:
        rule(org, row, before)


def after_save(org: Org, sobject: str, row: Row, before: Row | None) -> None:
    """Do what follows from a stored record in other objects."""
    rule = _AFTER.get(sobject)
    if rule is not None:
        rule(org, row, before)


# People -----------------------------------------------------------------------------------------------------

def _compose_name(org: Org, row: Row, before: Row | None) -> None:
    # The API composes "First Last" in every language; the order on screen is a matter of the user's locale.
    row["Name"] = " ".join(part for part in (row.get("FirstName"), row["LastName"]) if part)


def _lead(org: Org, row: Row, before: Row | None) -> None:
    if before is not None and before["IsConverted"]:
        raise SalesforceError("CANNOT_UPDATE_CONVERTED_LEAD", CONVERTED, ())
    _compose_name(org, row, before)


def _after_lead(org: Org, row: Row, before: Row | None) -> None:
    histories.track(org, "Lead", row, before)
    _refresh_members(org, "LeadId", row)


def _after_contact(org: Org, row: Row, before: Row | None) -> None:
    histories.track(org, "Contact", row, before)
    _refresh_members(org, "ContactId", row)


def _refresh_members(org: Org, column: str, person: Row) -> None:
    for member in list(org.rows("CampaignMember", f'"{column}" = ?', person["Id"])):
        org.update_row("CampaignMember", member["Id"], mirrored_person(org, person))


def mirrored_person(org: Org, person: Row) -> Row:
    """Return what a campaign member shows of its lead or contact."""
    company = person.get("Company")
    if company is None and person.get("AccountId"):
        account = org.row("Account", person["AccountId"])
        company = account["Name"] if account else None
    shown = {name: person.get(name) for name in ("Name", "FirstName", "LastName", "Title", "Email", "Phone",
                                                 "LeadSource")}
    return {**shown, "CompanyOrAccount": company}


# Campaigns --------------------------------------------------------------------------------------------------

def _after_campaign(org: Org, row: Row, before: Row | None) -> None:
    if before is None:
        add_member_statuses(org, row["Id"], {"Sent": False, "Responded": True})


def add_member_statuses(org: Org, campaign_id: str, responded: dict[str, bool]) -> None:
    """Give a campaign its member statuses, label → counts as responded; the first is the default."""
    for order, (label, has_responded) in enumerate(responded.items(), 1):
        now = org.now_text()
        org.insert_row("CampaignMemberStatus", {
            "Id": org.next_id("01Y"), "CampaignId": campaign_id, "Label": label, "SortOrder": order,
            "IsDefault": int(order == 1), "HasResponded": int(has_responded), "IsDeleted": 0,
            "CreatedDate": now, "CreatedById": org.user_id, "LastModifiedDate": now, "SystemModstamp": now,
        })


def _campaign_member(org: Org, row: Row, before: Row | None) -> None:
    lead_id, contact_id = row.get("LeadId"), row.get("ContactId")
    if bool(lead_id) == bool(contact_id):
        raise SalesforceError("REQUIRED_FIELD_MISSING", "Required fields are missing: [LeadId]", ("LeadId",))
    column, person_id = ("LeadId", lead_id) if lead_id else ("ContactId", contact_id)
    if before is None:
        twice = f'"CampaignId" = ? AND "{column}" = ? AND "IsDeleted" = 0'
        if next(org.rows("CampaignMember", twice, row["CampaignId"], person_id), None):
            raise SalesforceError("DUPLICATE_VALUE", "Already a campaign member.", ())
        person = org.row("Lead" if lead_id else "Contact", str(person_id))
        if person is not None:
            row.update(mirrored_person(org, person))
        row["Type"] = "Lead" if lead_id else "Contact"
        row["LeadOrContactId"] = person_id
    statuses = list(org.rows("CampaignMemberStatus", '"CampaignId" = ? AND "IsDeleted" = 0', row["CampaignId"]))
    if not row.get("Status"):
        row["Status"] = next((s["Label"] for s in statuses if s["IsDefault"]), None)
    # A status that the campaign does not list is stored and counts as not responded. Source: assumed.
    word = (row["Status"] or "").lower()
    row["HasResponded"] = int(any(s["HasResponded"] for s in statuses if s["Label"].lower() == word))
    if row["HasResponded"] and not row.get("FirstRespondedDate"):
        row["FirstRespondedDate"] = org.today().isoformat()


# Activities and deals ---------------------------------------------------------------------------------------

def _activity_account(org: Org, row: Row) -> None:
    who = row.get("WhoId") or ""
    if who.startswith("00Q") and (row.get("WhatId") or ""):
        raise SalesforceError(
            "FIELD_INTEGRITY_EXCEPTION", "Related To ID: Lead can not be associated with a related to", ("WhatId",)
        )
    person = org.row("Contact", who) if who.startswith("003") else None
    what = row.get("WhatId") or ""
    row["AccountId"] = what if what.startswith("001") else (person or {}).get("AccountId")


def _task(org: Org, row: Row, before: Row | None) -> None:
    _activity_account(org, row)
    _check_queue(org, row)
    ends = org.rows("TaskStatus", '"ApiName" = ? AND "IsClosed" = 1', row["Status"])
    row["IsClosed"] = int(next(ends, None) is not None)
    row["IsHighPriority"] = int(row["Priority"].lower() == "high")
    was_closed = before is not None and before["IsClosed"]
    if row["IsClosed"] and not was_closed and not row.get("CompletedDateTime"):
        row["CompletedDateTime"] = org.now_text()
    elif not row["IsClosed"]:
        row["CompletedDateTime"] = None


def _check_queue(org: Org, row: Row) -> None:
    group = org.row("Group", row["OwnerId"]) if row["OwnerId"].startswith("00G") else None
    if group is not None and not (org.switches.tasks_take_queues and group["Type"] == "Queue"):
        raise SalesforceError(
            "INVALID_CROSS_REFERENCE_KEY", "Assigned To ID: the owner cannot own this kind of record", ("OwnerId",)
        )


def _event(org: Org, row: Row, before: Row | None) -> None:
    _activity_account(org, row)
    old = before or {}
    if row.get("StartDateTime") != old.get("StartDateTime"):
        row["ActivityDateTime"] = row["StartDateTime"]
    elif row.get("ActivityDateTime") != old.get("ActivityDateTime"):
        row["StartDateTime"] = row["ActivityDateTime"]
    start = parse_datetime(row.get("StartDateTime") or "")
    if start is None:
        raise SalesforceError(
            "REQUIRED_FIELD_MISSING", "Required fields are missing: [ActivityDateTime, DurationInMinutes]",
            ("ActivityDateTime", "DurationInMinutes"),
        )
    end = parse_datetime(row.get("EndDateTime") or "")
    if end is not None and row.get("EndDateTime") != old.get("EndDateTime"):
        if end < start:
            raise SalesforceError("FIELD_INTEGRITY_EXCEPTION", "End Date/Time is before start", ("EndDateTime",))
        row["DurationInMinutes"] = int((end - start).total_seconds() // 60)
    elif row.get("DurationInMinutes") is None:
        raise SalesforceError(
            "REQUIRED_FIELD_MISSING", "Required fields are missing: [DurationInMinutes]", ("DurationInMinutes",)
        )
    row["EndDateTime"] = datetime_text(start + timedelta(minutes=row["DurationInMinutes"]))
    row["ActivityDate"] = start.astimezone(org.time_zone).date().isoformat()


def _after_activity(org: Org, row: Row, before: Row | None) -> None:
    """Keep the person's LastActivityDate, the latest day of a closed task or an event; no stamp of theirs moves."""
    who, day = row.get("WhoId"), row.get("ActivityDate") or row["CreatedDate"][:10]
    if who and row.get("IsClosed", 1):
        table = "Lead" if who.startswith("00Q") else "Contact"
        person = org.row(table, who)
        if person is not None and day > (person["LastActivityDate"] or ""):
            org.update_row(table, who, {"LastActivityDate": day})


def _opportunity(org: Org, row: Row, before: Row | None) -> None:
    probability, closed, won, category = STAGES.get(row["StageName"], (0, False, False, "Pipeline"))
    moved = before is None or before["StageName"] != row["StageName"]
    old_probability = None if before is None else before["Probability"]
    if moved and row.get("Probability") == old_probability:
        row["Probability"] = float(probability)
    if moved:
        row["LastStageChangeDate"] = org.now_text() if before is not None else None
    row.update(IsClosed=int(closed), IsWon=int(won), ForecastCategory=category)
    amount, chance = row.get("Amount"), row.get("Probability")
    row["ExpectedRevenue"] = None if amount is None or chance is None else amount * chance / 100


# Notes ------------------------------------------------------------------------------------------------------

def _content_note(org: Org, row: Row, before: Row | None) -> None:
    try:
        content = base64.b64decode(row.get("Content") or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise SalesforceError("INVALID_INPUT", "Note Can't Be Saved Because It Contains HTML Tags Or Unescaped "
                              "Characters That Are Not Allowed In A Note", ("Content",)) from None
    plain = html.unescape(re.sub(r"<[^>]*>", " ", content))
    version = f"068{row['Id'][3:15]}"
    row.update(
        TextPreview=" ".join(plain.split())[:255], FileType="SNOTE", ContentSize=len(content.encode()),
        LatestPublishedVersionId=version + checksum(version),
    )


def _after_content_note(org: Org, row: Row, before: Row | None) -> None:
    shared = ("Id", "Title", "FileType", "ContentSize", "LatestPublishedVersionId", "OwnerId", "CreatedDate",
              "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "IsDeleted")
    document = {name: row.get(name) for name in shared}
    if before is None:
        org.insert_row("ContentDocument", {**document, "FileExtension": "snote"})
        # The owner's own share, which every file has.
        org.insert_row("ContentDocumentLink", {
            "Id": org.next_id("06A"), "LinkedEntityId": row["OwnerId"], "ContentDocumentId": row["Id"],
            "ShareType": "I", "Visibility": "AllUsers", "IsDeleted": 0, "SystemModstamp": row["SystemModstamp"],
        })
    else:
        org.update_row("ContentDocument", row["Id"], document)


def _content_document_link(org: Org, row: Row, before: Row | None) -> None:
    twice = '"LinkedEntityId" = ? AND "ContentDocumentId" = ? AND "IsDeleted" = 0'
    if before is None and next(
        org.rows("ContentDocumentLink", twice, row["LinkedEntityId"], row["ContentDocumentId"]), None
    ):
        raise SalesforceError(
            "DUPLICATE_VALUE", "duplicate value found: LinkedEntityId duplicates value on record with id: "
            f"{row['LinkedEntityId']}", (),
        )


_Rule = Callable[[Org, Row, Row | None], None]
_BEFORE: dict[str, _Rule] = {
    "Lead": _lead, "Contact": _compose_name, "User": _compose_name, "CampaignMember": _campaign_member, "Task": _task,
    "Event": _event, "Opportunity": _opportunity, "ContentNote": _content_note,
    "ContentDocumentLink": _content_document_link, "EmailMessage": emails.before_message,
    "EmailMessageRelation": emails.before_relation,
}
_AFTER: dict[str, _Rule] = {
    "Lead": _after_lead, "Contact": _after_contact, "EmailMessage": emails.after_message,
    "EmailMessageRelation": emails.after_relation,
    "Opportunity": lambda org, row, before: histories.track(org, "Opportunity", row, before),
    "Campaign": _after_campaign, "ContentNote": _after_content_note, "Task": _after_activity,
    "Event": _after_activity, "FieldPermissions": lambda org, row, before: org.reload_schema(),
    "PermissionSetAssignment": lambda org, row, before: org.reload_schema(),
}
