"""What the idle benchmarks stand on: a mapping with every stream, and companies with small accounts of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from ground import MAPPING

FORMS = 8

# What mappings/mirai.toml leaves out: stream -> field of its title, field of its time.
_MORE: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "hubspot": {
        "notes": ("hs_note_body", "hs_timestamp"),
        "communications": ("hs_communication_body", "hs_timestamp"),
        "leads": ("hs_lead_name", "hs_createdate"),
        "forms": ("name", "created_at"),
        "deal_stages": ("label", ""),
        "marketing_events": ("name", "started_at"),
        "email_events": ("campaign_name", "occurred_at"),
        "page_views": ("url", "occurred_at"),
    },
    "salesforce": {
        "campaigns": ("Name", "CreatedDate"),
        "email_messages": ("Subject", "MessageDate"),
        "opportunities": ("Name", "CreatedDate"),
        "contact_history": ("Field", "CreatedDate"),
        "opportunity_history": ("Field", "CreatedDate"),
    },
}


def prepare_accounts(folder: Path, urls: Mapping[str, str], companies: int) -> list[str]:
    """Make so many companies with an account of their own in each CRM, and all.toml, the mapping of all.

    Each account has somebody in it with something of most kinds, and HubSpot's the forms.

    Returns:
        The companies' names.
    """
    (folder / "all.toml").write_text(_all_streams(), encoding="utf-8")
    names = [f"idle{number:03}" for number in range(companies)]
    for name in names:
        _fill(urls, name)
    return names


def _fill(urls: Mapping[str, str], name: str) -> None:
    for url in urls.values():
        post(f"{url}/_sandbox/reset", {"account": name})
    _fill_hubspot(urls["hubspot"], name)
    _fill_salesforce(urls["salesforce"], name)


def _fill_hubspot(url: str, name: str) -> None:
    headers = {"Authorization": f"Bearer pat-sandbox-{name}"}
    forms = [post(f"{url}/marketing/v3/forms/", {
        "name": f"資料ダウンロード：{number}", "formType": "hubspot", "fieldGroups": [], "archived": False,
        "createdAt": "2026-11-22T00:00:00Z", "updatedAt": "2026-11-22T00:00:00Z", "configuration": {"language": "ja"},
        "displayOptions": {}, "legalConsentOptions": {"type": "none"},
    }, headers) for number in range(FORMS)]
    portal = requests.get(f"{url}/account-info/v3/details", headers=headers, timeout=60).json()["portalId"]
    email = f"ken@{name}.example"
    contact = post(f"{url}/crm/v3/objects/contacts", {"properties": {
        "email": email, "lastname": "佐藤", "company": "株式会社あさひ", "department": "情報システム部",
        "jobtitle": "部長",
    }}, headers)
    post(f"{url}/submissions/v3/integration/submit/{portal}/{forms[0]['id']}", {
        "fields": [{"objectTypeId": "0-1", "name": "email", "value": email}],
        "context": {"pageUri": "https://example.com/guide"},
    })
    call = {"hs_timestamp": "2026-11-20T01:00:00Z", "hs_call_title": "ご挨拶", "hs_call_status": "COMPLETED"}
    post(f"{url}/crm/v3/objects/calls", {"properties": call, "associations": [{
        "to": {"id": contact["id"]}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}],
    }]}, headers)
    for stream, properties in (
        ("companies", {"name": "株式会社あさひ"}),
        ("deals", {"dealname": "あさひ様", "pipeline": "default", "dealstage": "appointmentscheduled"}),
        ("notes", {"hs_timestamp": "2026-11-20T01:00:00Z", "hs_note_body": "資料を送った"}),
    ):
        post(f"{url}/crm/v3/objects/{stream}", {"properties": properties}, headers)


def _fill_salesforce(url: str, name: str) -> None:
    headers = {"Authorization": f"Bearer session-sandbox-{name}"}

    def make(object_type: str, **fields: Any) -> str:
        return str(post(f"{url}/services/data/v67.0/sobjects/{object_type}", fields, headers)["id"])

    lead = make("Lead", LastName="高橋", Company="株式会社みどり", Email=f"aoi@{name}-2.example")
    account = make("Account", Name="株式会社みどり")
    contact = make("Contact", LastName="鈴木", Email=f"rin@{name}-2.example", AccountId=account)
    campaign = make("Campaign", Name="資料ダウンロード：導入ガイド", Type="資料ダウンロード", IsActive=True)
    make("CampaignMember", CampaignId=campaign, LeadId=lead, Status="ダウンロード済")
    make("Event", WhoId=contact, Subject="打合せ", ActivityDateTime="2026-11-20T01:00:00Z", DurationInMinutes=30)
    make("Task", WhoId=lead, Subject="電話", Status="Completed", TaskSubtype="Call")
    deal = make("Opportunity", Name="みどり様", StageName="Prospecting", CloseDate="2027-01-31", AccountId=account)
    make("OpportunityContactRole", OpportunityId=deal, ContactId=contact)


def _all_streams() -> str:
    """Return the shipped mapping with activities of every stream that it does not read."""
    text = MAPPING.read_text(encoding="utf-8").replace('"tables/', f'"{MAPPING.parent}/tables/')
    return text + "".join(
        f'\n[[crm.{crm}.activities]]\nstream = "{stream}"\nkind = "other"\ntitle = "{title}"\n'
        + (f'occurred_at = "{at}"\n' if at else "")
        for crm, streams in _MORE.items() for stream, (title, at) in streams.items()
    )


def post(url: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
    """Send a body as JSON; return what is answered, None for nothing."""
    answer = requests.post(url, json=body, headers=dict(headers or {}), timeout=60)
    if not answer.ok:
        raise SystemExit(f"{url}: {answer.status_code} {answer.text[:500]}")
    return answer.json() if answer.content else None
