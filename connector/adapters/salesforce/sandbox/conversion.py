"""Lead conversion: at the vendor it is a SOAP call or Apex, there is no REST resource for it.

It is served as both, see `soap`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from connector.adapters.salesforce.sandbox import histories, writes
from connector.adapters.salesforce.sandbox.calls import is_true
from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.objects import STAGES
from connector.adapters.salesforce.sandbox.org import Org, Row
from connector.adapters.salesforce.sandbox.rules import CONVERTED, mirrored_person

_TO_CONTACT = ("LastName", "FirstName", "Salutation", "Title", "Phone", "MobilePhone", "Fax", "Email", "LeadSource",
               "Description", "HasOptedOutOfEmail", "HasOptedOutOfFax", "DoNotCall")
_TO_ACCOUNT = ("Phone", "Fax", "Website", "Industry", "AnnualRevenue", "NumberOfEmployees", "Rating")


def convert(org: Org, wish: Mapping[str, Any]) -> dict[str, str | None]:
    """Convert one lead; return the ids of what it became.

    Custom fields go to the contact's fields of the same name (in a real org an administrator maps them). Campaign
    members, tasks, events and notes follow to the contact.

    Args:
        wish: The vendor's `LeadConvert`: `leadId`, `convertedStatus`, and optionally `accountId`, `contactId`,
            `doNotCreateOpportunity`, `opportunityName`, `ownerId`.

    Raises:
        SalesforceError: The lead is gone or converted already, or the status is not one of a converted lead.
    """
    lead_type = org.objects["Lead"]
    lead = writes.living_row(org, lead_type, str(wish.get("leadId", "")))
    if lead["IsConverted"]:
        raise SalesforceError("CANNOT_UPDATE_CONVERTED_LEAD", CONVERTED, ())
    status = str(wish.get("convertedStatus") or "")
    if not any(s["MasterLabel"].lower() == status.lower() for s in org.rows("LeadStatus", '"IsConverted" = 1')):
        raise SalesforceError("INVALID_STATUS", f"invalid convertedStatus: {status[:80]}", ())
    owner: Row = {"OwnerId": wish.get("ownerId") or lead["OwnerId"]}
    account_id = _living_id(org, "Account", wish.get("accountId")) or writes.create(
        org, org.objects["Account"], {"Name": lead["Company"], **owner, **_carried(lead, _TO_ACCOUNT)}
    )
    contact_type = org.objects["Contact"]
    custom = [f.name for f in lead_type.fields.values() if f.custom and f.name in contact_type.fields]
    contact_id = _living_id(org, "Contact", wish.get("contactId")) or writes.create(
        org, contact_type, {"AccountId": account_id, **owner, **_carried(lead, (*_TO_CONTACT, *custom))}
    )
    opportunity_id = None if is_true(wish.get("doNotCreateOpportunity")) else _opportunity(
        org, lead, str(wish.get("opportunityName") or f"{lead['Company']}-"), account_id, contact_id
    )
    org.update_row("Lead", lead["Id"], {
        "IsConverted": 1, "Status": status, "ConvertedDate": org.today().isoformat(), "ConvertedAccountId": account_id,
        "ConvertedContactId": contact_id, "ConvertedOpportunityId": opportunity_id, **org.stamps(lead_type),
    })
    histories.add(org, "Lead", lead["Id"], "leadConverted")
    _follow(org, lead["Id"], contact_id)
    return {"leadId": lead["Id"], "accountId": account_id, "contactId": contact_id, "opportunityId": opportunity_id}


def _carried(row: Row, names: tuple[str, ...]) -> Row:
    return {name: row[name] for name in names if row.get(name) is not None and row.get(name) != 0}


def _living_id(org: Org, sobject: str, raw: Any) -> str | None:
    return str(writes.living_row(org, org.objects[sobject], str(raw))["Id"]) if raw else None


def _opportunity(org: Org, lead: Row, name: str, account_id: str, contact_id: str) -> str:
    opportunity_id = writes.create(org, org.objects["Opportunity"], {
        "Name": name[:120], "StageName": next(iter(STAGES)), "AccountId": account_id, "LeadSource": lead["LeadSource"],
        "CloseDate": (org.today() + timedelta(days=90)).isoformat(),
    })
    writes.create(org, org.objects["OpportunityContactRole"], {
        "OpportunityId": opportunity_id, "ContactId": contact_id, "IsPrimary": True,
    })
    return opportunity_id


def _follow(org: Org, lead_id: str, contact_id: str) -> None:
    contact = org.row("Contact", contact_id) or {}
    for member in list(org.rows("CampaignMember", '"LeadId" = ?', lead_id)):
        changes = {"ContactId": contact_id, "LeadOrContactId": contact_id, "Type": "Contact"}
        org.update_row("CampaignMember", member["Id"], {**changes, **mirrored_person(org, contact),
                                                       **org.stamps(org.objects["CampaignMember"])})
    for activity in ("Task", "Event"):
        for row in list(org.rows(activity, '"WhoId" = ?', lead_id)):
            moved = {"WhoId": contact_id, "AccountId": contact.get("AccountId")}
            org.update_row(activity, row["Id"], {**moved, **org.stamps(org.objects[activity])})
    for link in list(org.rows("ContentDocumentLink", '"LinkedEntityId" = ? AND "IsDeleted" = 0', lead_id)):
        copied = {**link, "Id": org.next_id("06A"), "LinkedEntityId": contact_id, "SystemModstamp": org.now_text()}
        org.insert_row("ContentDocumentLink", copied)
