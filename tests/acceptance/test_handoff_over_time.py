"""What happens to a handoff when the world moves on: other CRMs, other clocks, sales' own hands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.pipeline.run import sync
from connector.reports.explain import explain
from tests.acceptance.conftest import Opener, Player

pytestmark = pytest.mark.few_streams

EMAIL = "ken.sato@asahi.example"


def salesforce_tasks(player: Player) -> list[dict[str, Any]]:
    return [task for task in player.records("salesforce", "Task") if task["MQL_Key__c"]]


def test_record_that_appears_in_the_other_crm_later_gets_the_same_handoff_once(player: Player, opener: Opener) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
        player.lead(EMAIL)
        assert sync(company).handed_off == []
        sync(company)
        found = explain(company, EMAIL)
    (lead,) = player.records("salesforce", "Lead")
    assert (lead["Status"], lead["MQL_Score__c"], lead["MQL_Status__c"]) == ("MQL", 40, "mql")
    assert lead["MQL_Became_At__c"] is not None
    (task,) = salesforce_tasks(player)
    assert task["MQL_Key__c"].endswith("/1/task")
    assert len(player.records("salesforce", "ContentNote")) == 1
    assert len(player.records("hubspot", "tasks")) == 1
    assert [handoff.decision.cycle for handoff in found.handoffs] == [1]


def test_record_that_appears_later_and_is_with_sales_already_is_left_to_sales(player: Player, opener: Opener) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        sync(company)
        player.lead(EMAIL, Status="対応中")
        sync(company)
    (lead,) = player.records("salesforce", "Lead")
    assert lead["Status"] == "対応中"
    assert salesforce_tasks(player) == []


def test_recycling_by_sales_is_not_argued_with(player: Player, opener: Opener) -> None:
    lead_id = player.lead(EMAIL)
    player.download_in_salesforce(lead_id)
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
        player.download_in_salesforce(lead_id, "資料ダウンロード：価格表")
        player.advance(3600)
        player.set_lead(lead_id, Status="再育成")
        assert sync(company).handed_off == []
        assert sync(company).handed_off == []
    (lead,) = player.records("salesforce", "Lead")
    assert lead["Status"] == "再育成"
    assert len(salesforce_tasks(player)) == 1


def test_recycled_person_who_comes_back_is_handed_off_in_the_next_cycle(player: Player, opener: Opener) -> None:
    lead_id = player.lead(EMAIL)
    player.download_in_salesforce(lead_id)
    with opener("mirai", player.account) as company:
        sync(company)
        player.set_lead(lead_id, Status="再育成")
        sync(company)
        player.advance(7200)
        player.download_in_salesforce(lead_id, "資料ダウンロード：価格表")
        later = replace(company, clock=lambda: datetime.now(UTC) + timedelta(days=1))
        assert [j.decision.cycle for j in sync(later).handed_off] == [2]
        assert sync(later).handed_off == []
    (lead,) = player.records("salesforce", "Lead")
    assert lead["Status"] == "MQL"
    assert sorted(task["MQL_Key__c"][-7:] for task in salesforce_tasks(player)) == ["/1/task", "/2/task"]


def test_activity_ahead_of_our_clock_counts_when_its_moment_has_come(player: Player, opener: Opener) -> None:
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        slow = replace(company, clock=lambda: datetime.now(UTC) - timedelta(minutes=5))
        assert sync(slow).handed_off == []
        assert len(sync(company).handed_off) == 1


def test_status_of_a_contact_that_sales_moved_is_not_overwritten(player: Player, opener: Opener) -> None:
    contact_id = player.salesforce("POST", "sobjects/Contact", {
        "LastName": "佐藤", "Email": EMAIL, "Department": "情報システム部", "Title": "部長", "MQL_Status__c": "sal",
    })["id"]
    player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        assert sync(company).handed_off == []
    contact = player.salesforce("GET", f"sobjects/Contact/{contact_id}")
    assert (contact["MQL_Status__c"], contact["MQL_Score__c"]) == ("sal", 40)


def test_deleted_record_is_nobody_and_is_handed_to_nobody(player: Player, opener: Opener) -> None:
    contact_id, lead_id = player.contact(EMAIL), player.lead("hanako.mori@asahi.example")
    with opener("mirai", player.account) as company:
        sync(company)
        player.download_in_hubspot(EMAIL)
        player.download_in_salesforce(lead_id)
        player.hubspot("DELETE", f"/crm/v3/objects/contacts/{contact_id}")
        player.salesforce("DELETE", f"sobjects/Lead/{lead_id}")
        report = sync(company)
        assert report.handed_off == []
        assert report.problems == []
        assert company.store.read_dirty("mirai", None) == []
    assert player.records("hubspot", "tasks") == []
    assert salesforce_tasks(player) == []


def test_of_two_records_of_one_human_the_living_one_gets_the_handoff(player: Player, opener: Opener) -> None:
    first, second = sorted([player.lead(EMAIL), player.lead(EMAIL)])
    with opener("mirai", player.account) as company:
        sync(company)
        player.salesforce("DELETE", f"sobjects/Lead/{first}")
        player.download_in_salesforce(second)
        assert len(sync(company).handed_off) == 1
    (task,) = salesforce_tasks(player)
    assert task["WhoId"] == second
    assert player.salesforce("GET", f"sobjects/Lead/{second}")["Status"] == "MQL"
