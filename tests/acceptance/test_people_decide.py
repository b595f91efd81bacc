"""What people in the CRMs decide, what is required, and how long sales is left alone, through both CRMs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.cli.explain import explanation_as_json, show_explanation, why_not_lines
from connector.cli.show import console, show_unmatched
from connector.errors import ConfigError
from connector.mapping.load import load_mapping
from connector.pipeline.check import check_live, missing_figures, setup_helps
from connector.pipeline.company import Company
from connector.pipeline.run import sync
from connector.reports.explain import explain
from connector.reports.unmatched import unmatched_values
from tests.acceptance.conftest import Opener, Player, mapping_text

pytestmark = pytest.mark.few_streams

EMAIL = "ken.sato@asahi.example"


def with_definition(company: Company, folder: Path, lines: str = "", override: str = "") -> Company:
    """Return the company with these lines in its definition, and another source of the override in HubSpot."""
    text = mapping_text("mirai").replace("threshold_points = 40\n", f"threshold_points = 40\n{lines}\n")
    if override:
        shipped = 'override = { field = "mql_override", values = "override" }'
        assert text.count(shipped) == 1
        text = text.replace(shipped, override)
    path = folder / "decide.toml"
    path.write_text(text, encoding="utf-8")
    return replace(company, mapping=load_mapping(path))


def days_later(company: Company, days: float) -> Company:
    return replace(company, clock=lambda: datetime.now(UTC) + timedelta(days=days))


def in_hubspot(player: Player, override: str, **fields: str) -> str:
    return player.contact(EMAIL, "担当者", mql_override=override, **fields)


def in_salesforce(player: Player, override: str, **fields: str) -> str:
    return player.lead(EMAIL, "担当者", **({"MQL_Override__c": override} if override else {}), **fields)


Maker = Callable[..., str]
both = pytest.mark.parametrize(("make", "crm"), [(in_hubspot, "hubspot"), (in_salesforce, "salesforce")])


def texts_of(player: Player, crm: str) -> str:
    """Return the text of the only task."""
    if crm == "hubspot":
        (task,) = player.records("hubspot", "tasks")
        return str(task["properties"]["hs_task_body"])
    (found,) = [task for task in player.records("salesforce", "Task") if task["MQL_Key__c"]]
    return str(found["Description"])


def note_of(player: Player, crm: str) -> str:
    """Return the text of the only note."""
    if crm == "hubspot":
        (note,) = player.records("hubspot", "notes")
        return str(note["properties"]["hs_note_body"])
    (found,) = player.records("salesforce", "ContentNote")
    return base64.b64decode(found["Content"]).decode()


@both
def test_whom_a_person_makes_an_mql_is_handed_off_whatever_the_points(
    player: Player, opener: Opener, tmp_path: Path, make: Maker, crm: str,
) -> None:
    make(player, "mql")
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path, 'required = ["phone"]')
        (judged,) = sync(company).handed_off
        assert (judged.decision.override, judged.decision.score.total_points) == ("mql", 10)
        assert sync(company).handed_off == []
        found = explain(company, EMAIL)
    assert "CRMでの人の判断でMQLにしました。" in texts_of(player, crm)
    assert "CRMでの人の判断でMQLにしました。" in note_of(player, crm)
    assert found.handoffs[0].decision.override == "mql"


def test_setup_makes_the_lists_from_which_people_choose_and_what_they_choose_is_obeyed(
    player: Player, opener: Opener,
) -> None:
    player.hubspot("DELETE", "/crm/v3/properties/contacts/mql_override")
    query = "tooling/query?q=SELECT Id FROM CustomField WHERE DeveloperName = 'MQL_Override'"
    for field in player.salesforce("GET", query)["records"]:
        player.salesforce("DELETE", f"tooling/sobjects/CustomField/{field['Id']}")
    contact_id = player.contact(EMAIL, "担当者")
    places = {"hubspot": ["contacts"], "salesforce": ["leads", "contacts"]}
    with opener("mirai", player.account) as company:
        told = {check.crm: check.problems for check in check_live(company)}
        with pytest.raises(ConfigError, match=r"people.leads.fields.override: leads has no field 'MQL_") as refused:
            sync(company)
        asked, made, asked_again = [missing_figures(company, create=create) for create in (False, True, False)]
    assert all(setup_helps(told[crm]) and len(told[crm]) == len(streams) for crm, streams in places.items())
    assert "`mql setup mirai` creates" in refused.value.hint
    assert asked == made
    assert {crm: [spec.stream for spec in specs] for crm, specs in made.items()} == places
    assert not any(asked_again.values())

    chosen = player.hubspot("GET", "/crm/v3/properties/contacts/mql_override")
    assert (chosen["type"], chosen["label"]) == ("enumeration", "MQLの判断（担当者）")
    assert [(o["value"], o["label"]) for o in chosen["options"]] == [("mql", "MQLにする"), ("not_mql", "MQLにしない")]
    for name in ("Lead", "Contact"):
        fields = player.salesforce("GET", f"sobjects/{name}/describe")["fields"]
        (field,) = [one for one in fields if one["name"] == "MQL_Override__c"]
        assert (field["type"], [one["value"] for one in field["picklistValues"]]) == ("picklist", ["mql", "not_mql"])

    player.hubspot("PATCH", f"/crm/v3/objects/contacts/{contact_id}", {"properties": {"mql_override": "mql"}})
    with opener("mirai", player.account) as company:
        assert [judged.decision.override for judged in sync(company).handed_off] == ["mql"]


def test_who_chooses_on_a_salesforce_contact_is_heard_too(player: Player, opener: Opener) -> None:
    player.salesforce("POST", "sobjects/Contact", {
        "LastName": "佐藤", "Email": EMAIL, "Title": "担当者", "MQL_Override__c": "mql",
    })
    with opener("mirai", player.account) as company:
        assert [judged.decision.override for judged in sync(company).handed_off] == ["mql"]


@pytest.mark.parametrize(("source", "table", "word", "changed"), [
    ("", "override", "hold", {"options": [{"label": "保留", "value": "hold", "displayOrder": 2}]}),
    ('override = "mql_override"', "", "後で", {"type": "string", "fieldType": "text", "options": []}),
], ids=["one more choice", "free text without a table"])
def test_an_unknown_word_decides_nothing_hides_nothing_and_is_told_by_check(
    player: Player, opener: Opener, tmp_path: Path, source: str, table: str, word: str, changed: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    player.hubspot("PATCH", "/crm/v3/properties/contacts/mql_override", changed)
    in_hubspot(player, word)
    lead_id = in_salesforce(player, "")
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path, override=source)
        assert sync(company).handed_off == []
        decided = explain(company, EMAIL).judged.decision
        assert (decided.override, decided.obstacles) == ("", ())
        unmatched = unmatched_values(company)
        show_unmatched(console(), "mirai", unmatched)
        player.set_lead(lead_id, MQL_Override__c="mql")
        assert [judged.decision.override for judged in sync(company).handed_off] == ["mql"]
    assert ("override", table, word, 1) in unmatched
    told = "that [values.override] does not know" if table else "other than mql and not_mql"
    assert f"mirai: override has values {told}: {word} (1)" in capsys.readouterr().out


def test_setup_leaves_a_field_of_the_company_s_own_as_it_is(
    player: Player, opener: Opener, tmp_path: Path,
) -> None:
    check_box = 'override = { field = "hs_email_optout", values = "override" }'
    in_hubspot(player, "", hs_email_optout="false")
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path, override=check_box)
        assert missing_figures(company, create=True)["hubspot"] == []
        sync(company)
        assert "override" not in {found.attribute for found in unmatched_values(company)}


def test_not_even_a_person_takes_somebody_from_sales(player: Player, opener: Opener, tmp_path: Path) -> None:
    in_hubspot(player, "mql")
    lead_id = player.lead(EMAIL, Status="対応中")
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path)
        assert sync(company).handed_off == []
        lines = why_not_lines(explain(company, EMAIL))
    assert lines[0] == "sales has them already"
    assert player.salesforce("GET", f"sobjects/Lead/{lead_id}")["Status"] == "対応中"


@both
def test_whom_a_person_holds_back_is_not_handed_off_until_they_let_go(
    player: Player, opener: Opener, tmp_path: Path, make: Maker, crm: str,
) -> None:
    record = make(player, "not_mql")
    player.download_in_hubspot(EMAIL)
    player.download_in_hubspot(EMAIL, "ホワイトペーパー：法改正")
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path)
        assert sync(company).handed_off == []
        held = explain(company, EMAIL)
        assert (held.judged.decision.why_not, why_not_lines(held)) == (
            "held_back", ["a person in the CRM holds them back (override = not_mql)"],
        )
        if crm == "hubspot":
            body = {"properties": {"mql_override": ""}}
            player.hubspot("PATCH", f"/crm/v3/objects/contacts/{record}", body)
        else:
            player.set_lead(record, MQL_Override__c=None)
        assert [j.decision.override for j in sync(company).handed_off] == [""]


@both
def test_who_lacks_what_is_required_waits_and_stays_qualified_meanwhile(
    player: Player, opener: Opener, tmp_path: Path, make: Maker, crm: str,
) -> None:
    record = make(player, "")
    for form in ("資料ダウンロード：導入ガイド", "ホワイトペーパー：法改正"):
        player.download_in_hubspot(EMAIL, form)
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path, 'keeps_from_points = 35\nrequired = ["phone"]')
        assert sync(company).handed_off == []
        waiting = explain(company, EMAIL)
        missing = waiting.judged.decision.missing
        phone = {"phone": "03-0000-0101"}
        if crm == "hubspot":
            player.hubspot("PATCH", f"/crm/v3/objects/contacts/{record}", {"properties": phone})
        else:
            player.set_lead(record, Phone=phone["phone"])
        handed_off = sync(company).handed_off
    assert missing == ("phone",)
    assert why_not_lines(waiting) == ["required and not known: phone"]
    assert [j.decision.qualified_at for j in handed_off] == [waiting.judged.decision.qualified_at]
    assert "に基準に達しました。" in texts_of(player, crm)


def test_who_comes_back_is_left_alone_until_the_cool_down_is_over(
    player: Player, opener: Opener, tmp_path: Path,
) -> None:
    lead_id = player.lead(EMAIL)
    player.download_in_salesforce(lead_id)
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path, "cool_down_days = 14")
        assert len(sync(company).handed_off) == 1
        player.set_lead(lead_id, Status="再育成")
        sync(company)
        player.advance(7200)
        player.download_in_salesforce(lead_id, "資料ダウンロード：価格表")
        soon = days_later(company, 1)
        assert sync(soon).handed_off == []
        waiting = explain(soon, EMAIL)
        assert waiting.judged.decision.why_not == "cooling_down"
        assert why_not_lines(waiting)[0].startswith("sales sent them back: no next handoff before ")
        assert sync(days_later(company, 13.9)).handed_off == []
        after = days_later(company, 14.1)
        assert [j.decision.cycle for j in sync(after).handed_off] == [2], "without anything new from the CRMs"
        assert sync(after).handed_off == []


def test_interest_is_written_to_both_crms_and_follows_the_points(player: Player, opener: Opener) -> None:
    contact_id, lead_id = player.contact(EMAIL, "担当者"), player.lead(EMAIL, "担当者")

    def written() -> tuple[Any, Any]:
        contact = player.hubspot("GET", f"/crm/v3/objects/contacts/{contact_id}?properties=mql_segment")
        lead = player.salesforce("GET", f"sobjects/Lead/{lead_id}")
        return contact["properties"]["mql_segment"], lead["MQL_Segment__c"]

    with opener("mirai", player.account) as company:
        seen = []
        for form in (None, "資料ダウンロード：導入ガイド", "ホワイトペーパー：法改正"):
            if form is not None:
                player.download_in_hubspot(EMAIL, form)
            sync(company)
            seen.append(written())
    assert seen == [("cold", "cold"), ("warm", "warm"), ("hot", "hot")]


def test_explanation_leads_to_the_records_and_says_what_is_missing(
    player: Player, opener: Opener, capsys: pytest.CaptureFixture[str],
) -> None:
    contact_id, lead_id = player.contact(EMAIL, "担当者", city="<b>&"), player.lead(EMAIL, "担当者", City="<b>&")
    player.download_in_salesforce(lead_id)
    player.download_in_hubspot(EMAIL, "名刺交換：展示会")
    with opener("mirai", player.account) as company:
        sync(company)
        before = sum(len(player.requests(crm)) for crm in player.urls)
        found = explain(company, lead_id)
        told = explanation_as_json(found)
        show_explanation(console(), found)
        assert sum(len(player.requests(crm)) for crm in player.urls) == before
    portal = player.hubspot("GET", "/account-info/v3/details")["portalId"]
    (member,) = player.records("salesforce", "CampaignMember")
    assert {r["crm"]: r["link"] for r in told["records"]} == {
        "hubspot": f"{player.urls['hubspot']}/contacts/{portal}/record/0-1/{contact_id}",
        "salesforce": f"{player.urls['salesforce']}/{lead_id}",
    }
    assert [r["link"] for r in told["reasons"]] == [None, f"{player.urls['salesforce']}/{member['Id']}"]
    for record in told["records"]:
        page = requests.get(record["link"], timeout=60)
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert EMAIL in page.text
        assert "&lt;b&gt;&amp;" in page.text
        assert "<b>" not in page.text
    nowhere = ("hubspot", f"contacts/{portal}/record/0-1/98"), ("salesforce", "0" * 18)
    for crm, path in nowhere:
        assert requests.get(f"{player.urls[crm]}/{path}", timeout=60).status_code == 404
    assert told["shortfall"] == {"cell": "", "total_points": 10, "fit_points": 0, "engagement_points": 0}
    assert told["pointless_count"] == 1
    assert [rule["label"] for rule in told["unmet_rules"]][:2] == ["セミナー参加", "情報システム部門・部長"]
    out = capsys.readouterr().out
    assert "10 points short of the threshold" in out
    assert "1 other activity gives no points" in out
    assert f"{player.urls['salesforce']}/{member['Id']}" in out
