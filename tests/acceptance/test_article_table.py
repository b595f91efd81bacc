"""The article's example, played by an outside client through the vendors' own endpoints, in either CRM."""

from __future__ import annotations

from typing import Any

import pytest

from connector.pipeline.run import sync
from connector.reports.explain import explain
from connector.sandbox.serve import SandboxPair
from tests.acceptance.conftest import Crms, Opener


@pytest.fixture
def crms(pair: SandboxPair, request: pytest.FixtureRequest) -> Crms:
    account = "t" + str(abs(hash(request.node.nodeid)) % 10**8)
    crms = Crms(pair, account)
    crms.control("hubspot", "reset")
    crms.control("salesforce", "reset")
    return crms


def hubspot_contact(crms: Crms, email: str, title: str, **more: str) -> str:
    properties = {"email": email, "lastname": "佐藤", "firstname": "健", "company": "株式会社あさひ",
                  "department": "情報システム部", "jobtitle": title, **more}
    return str(crms.hubspot("POST", "/crm/v3/objects/contacts", {"properties": properties})["id"])


def hubspot_download(crms: Crms, email: str) -> None:
    forms = crms.hubspot("GET", "/marketing/v3/forms/")["results"]
    form = next((f for f in forms if f["name"].startswith("資料ダウンロード")), None)
    if form is None:
        form = crms.hubspot("POST", "/marketing/v3/forms/", {
            "name": "資料ダウンロード：導入ガイド", "formType": "hubspot", "fieldGroups": [], "archived": False,
            "createdAt": "2026-11-22T00:00:00Z", "updatedAt": "2026-11-22T00:00:00Z",
            "configuration": {"language": "ja"}, "displayOptions": {}, "legalConsentOptions": {"type": "none"},
        })
    portal = crms.hubspot("GET", "/account-info/v3/details")["portalId"]
    crms.hubspot("POST", f"/submissions/v3/integration/submit/{portal}/{form['id']}", {
        "fields": [{"objectTypeId": "0-1", "name": "email", "value": email}],
        "context": {"pageUri": "https://example.com/guide"},
    })


def salesforce_lead(crms: Crms, email: str, title: str) -> str:
    return str(crms.salesforce("POST", "sobjects/Lead", {
        "LastName": "佐藤", "FirstName": "健", "Company": "株式会社あさひ", "Email": email,
        "Department__c": "情報システム部", "Title": title,
    })["id"])


def salesforce_download(crms: Crms, lead_id: str) -> None:
    campaign = crms.salesforce("POST", "sobjects/Campaign", {
        "Name": "資料ダウンロード：導入ガイド", "Type": "資料ダウンロード", "IsActive": True,
    })
    crms.salesforce("POST", "sobjects/CampaignMember", {
        "CampaignId": campaign["id"], "LeadId": lead_id, "Status": "ダウンロード済",
    })


def task_count(crms: Crms, crm: str) -> int:
    name = {"hubspot": "tasks", "salesforce": "Task"}[crm]
    return len(crms.records(crm, name))


@pytest.mark.parametrize(("title", "total", "is_mql"), [("部長", 40, True), ("担当者", 30, False)])
def test_hubspot_alone_gives_the_articles_points(
    crms: Crms, opener: Opener, title: str, total: int, is_mql: bool
) -> None:
    hubspot_contact(crms, "ken.sato@asahi.example", title)
    hubspot_download(crms, "ken.sato@asahi.example")
    with opener("mirai", crms.account) as company:
        report = sync(company)
        found = explain(company, "KEN.SATO@asahi.example").judged.decision.score
    assert found.total_points == total
    assert len(report.handed_off) == is_mql
    assert task_count(crms, "hubspot") == is_mql


@pytest.mark.parametrize(("title", "total", "is_mql"), [("部長", 40, True), ("担当者", 30, False)])
def test_salesforce_alone_gives_the_articles_points(
    crms: Crms, opener: Opener, title: str, total: int, is_mql: bool
) -> None:
    salesforce_download(crms, salesforce_lead(crms, "ken.sato@asahi.example", title))
    with opener("mirai", crms.account) as company:
        report = sync(company)
        found = explain(company, "ken.sato@asahi.example").judged.decision.score
    assert found.total_points == total
    assert len(report.handed_off) == is_mql
    assert task_count(crms, "salesforce") == is_mql


def test_person_in_both_crms_has_one_score_and_one_handoff_in_each(crms: Crms, opener: Opener) -> None:
    hubspot_contact(crms, "ken.sato@asahi.example", "担当者")
    hubspot_download(crms, "ken.sato@asahi.example")
    salesforce_download(crms, salesforce_lead(crms, "Ken.Sato@Asahi.example", "担当者"))
    with opener("mirai", crms.account) as company:
        report = sync(company)
        score = report.handed_off[0].decision.score if report.handed_off else None
    # Both CRMs tell of the same download on the same day: 10 + 20, not 10 + 20 + 20.
    assert score is None
    lead = crms.records("salesforce", "Lead")[0]
    campaign = crms.salesforce("POST", "sobjects/Campaign", {"Name": "セミナー：秋", "Type": "セミナー"})
    crms.salesforce("POST", "sobjects/CampaignMember", {
        "CampaignId": campaign["id"], "LeadId": lead["Id"], "Status": "参加",
    })
    with opener("mirai", crms.account) as company:
        report = sync(company)
        assert [j.decision.score.total_points for j in report.handed_off] == [80]
        assert sync(company).handed_off == []
    assert (task_count(crms, "hubspot"), task_count(crms, "salesforce")) == (1, 1)
    assert len(crms.records("hubspot", "notes")) == 1
    assert len(crms.records("salesforce", "ContentNote")) == 1
    lead = crms.records("salesforce", "Lead")[0]
    assert (lead["Status"], lead["MQL_Score__c"]) == ("MQL", 80)
    contact: dict[str, Any] = crms.hubspot(
        "GET", "/crm/v3/objects/contacts/ken.sato@asahi.example?idProperty=email&properties=lifecyclestage,mql_score"
    )
    assert contact["properties"]["lifecyclestage"] == "marketingqualifiedlead"
    assert contact["properties"]["mql_score"] == "80"


def test_hostile_name_is_text_everywhere(crms: Crms, opener: Opener) -> None:
    hubspot_contact(crms, "x@asahi.example", "部長", lastname="<script>alert(1)</script>", company="A&B <b>社</b>")
    hubspot_download(crms, "x@asahi.example")
    with opener("mirai", crms.account) as company:
        sync(company)
    (note,) = crms.records("hubspot", "notes")
    (task,) = crms.records("hubspot", "tasks")
    for text in (note["properties"]["hs_note_body"], task["properties"]["hs_task_body"]):
        assert "<script" not in text
        assert "<b>社" not in text
    assert "&lt;script&gt;" in task["properties"]["hs_task_body"] + note["properties"]["hs_note_body"]
