"""What people in the CRMs decide, what is required, and how long sales is left alone, through both CRMs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.cli.explain import explanation_as_json, show_explanation, why_not_lines
from connector.cli.show import console
from connector.mapping.load import load_mapping
from connector.pipeline.company import Company
from connector.pipeline.run import sync
from connector.reports.explain import explain
from tests.acceptance.conftest import Opener, Player, mapping_text

EMAIL = "ken.sato@asahi.example"
OVERRIDE = """[values.override]
mql = ["mql", "Hot"]
not_mql = ["not_mql", "Cold"]

"""


def with_definition(company: Company, folder: Path, lines: str = "") -> Company:
    """Return the company with an override in both CRMs, and these lines in its definition."""
    text = mapping_text("mirai").replace("[values.source]", f"{OVERRIDE}[values.source]")
    for stage, field in (
        ('stage = { field = "lifecyclestage", values = "hubspot_stage" }', "mql_override"),
        ('stage = { field = "Status", values = "salesforce_status" }', "Rating"),
    ):
        assert text.count(stage) == 1
        text = text.replace(stage, f'{stage}\noverride = {{ field = "{field}", values = "override" }}')
    text = text.replace("threshold_points = 40\n", f"threshold_points = 40\n{lines}\n")
    path = folder / "decide.toml"
    path.write_text(text, encoding="utf-8")
    return replace(company, mapping=load_mapping(path))


def make_override_property(player: Player) -> None:
    player.hubspot("POST", "/crm/v3/properties/contacts", {
        "name": "mql_override", "label": "MQL override", "type": "string", "fieldType": "text",
        "groupName": "contactinformation",
    })


def days_later(company: Company, days: float) -> Company:
    return replace(company, clock=lambda: datetime.now(UTC) + timedelta(days=days))


def in_hubspot(player: Player, override: str, **fields: str) -> str:
    return player.contact(EMAIL, "担当者", mql_override=override, **fields)


def in_salesforce(player: Player, override: str, **fields: str) -> str:
    words = {"mql": "Hot", "not_mql": "Cold"}
    return player.lead(EMAIL, "担当者", **({"Rating": words[override]} if override else {}), **fields)


Maker = Callable[..., str]
both = pytest.mark.parametrize(("make", "crm"), [(in_hubspot, "hubspot"), (in_salesforce, "salesforce")])


def texts_of(player: Player, crm: str) -> str:
    """Return the text of the only task."""
    if crm == "hubspot":
        (task,) = player.records("hubspot", "tasks")
        return str(task["properties"]["hs_task_body"])
    (found,) = [task for task in player.records("salesforce", "Task") if task["MQL_Key__c"]]
    return str(found["Description"])


@both
def test_whom_a_person_makes_an_mql_is_handed_off_whatever_the_points(
    player: Player, opener: Opener, tmp_path: Path, make: Maker, crm: str,
) -> None:
    make_override_property(player)
    make(player, "mql")
    with opener("mirai", player.account) as company:
        company = with_definition(company, tmp_path, 'required = ["phone"]')
        (judged,) = sync(company).handed_off
        assert (judged.decision.override, judged.decision.score.total_points) == ("mql", 10)
        assert sync(company).handed_off == []
        found = explain(company, EMAIL)
    assert "CRMでの人の判断でMQLにしました。" in texts_of(player, crm)
    assert found.handoffs[0].decision.override == "mql"


def test_not_even_a_person_takes_somebody_from_sales(player: Player, opener: Opener, tmp_path: Path) -> None:
    make_override_property(player)
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
    make_override_property(player)
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
            player.set_lead(record, Rating=None)
        assert [j.decision.override for j in sync(company).handed_off] == [""]


@both
def test_who_lacks_what_is_required_waits_and_stays_qualified_meanwhile(
    player: Player, opener: Opener, tmp_path: Path, make: Maker, crm: str,
) -> None:
    make_override_property(player)
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
    make_override_property(player)
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
    contact_id, lead_id = player.contact(EMAIL, "担当者"), player.lead(EMAIL, "担当者")
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
        "hubspot": f"https://app.hubspot.com/contacts/{portal}/record/0-1/{contact_id}",
        "salesforce": f"{player.urls['salesforce']}/{lead_id}",
    }
    assert [r["link"] for r in told["reasons"]] == [None, f"{player.urls['salesforce']}/{member['Id']}"]
    assert told["shortfall"] == {"cell": "", "total_points": 10, "fit_points": 0, "engagement_points": 0}
    assert told["pointless_count"] == 1
    assert [rule["label"] for rule in told["unmet_rules"]][:2] == ["セミナー参加", "情報システム部門・部長"]
    out = capsys.readouterr().out
    assert "10 points short of the threshold" in out
    assert "1 other activity gives no points" in out
    assert f"{player.urls['salesforce']}/{member['Id']}" in out
