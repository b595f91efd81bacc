"""Records of one person turn out to be two humans': what sales has of them stays, and nobody is handed off twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests

from connector.pipeline.company import Company
from connector.pipeline.run import sync
from connector.reports.explain import explain
from tests.acceptance.conftest import Opener, Player

pytestmark = pytest.mark.few_streams

KEN, JUN = "ken.sato@asahi.example", "jun.mori@asahi.example"


def one_human_in_both_crms(player: Player) -> str:
    """Make somebody who qualifies by either CRM alone; return the lead's id."""
    player.contact(KEN)
    lead_id = player.lead(KEN)
    player.download_in_hubspot(KEN)
    player.download_in_salesforce(lead_id)
    return lead_id


def part(player: Player, lead_id: str) -> None:
    """Say that the lead was another human all the time."""
    player.set_lead(lead_id, Email=JUN, LastName="森", FirstName="純")


def later(company: Company, **ago: float) -> Company:
    return replace(company, clock=lambda: datetime.now(UTC) + timedelta(**ago))


def tasks_of(player: Player, lead_id: str) -> list[str]:
    return [t["MQL_Key__c"] for t in player.records("salesforce", "Task") if t["WhoId"] == lead_id and t["MQL_Key__c"]]


def test_who_is_told_apart_after_the_handoff_is_not_handed_off_again_when_sales_sends_them_back(
    player: Player, opener: Opener,
) -> None:
    lead_id = one_human_in_both_crms(player)
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
        part(player, lead_id)
        assert sync(company).handed_off == []
        assert company.store.find_person("mirai", KEN) != company.store.find_person("mirai", JUN)
        player.advance(3600)
        player.set_lead(lead_id, Status="再育成")
        assert sync(company).handed_off == []
        player.set_lead(lead_id, Title="課長")    # somebody looks at them again after any cool-down
        assert sync(later(company, days=100)).handed_off == []
        assert "handed_off" in explain(company, JUN).judged.decision.obstacles
    assert len(tasks_of(player, lead_id)) == len(player.records("hubspot", "tasks")) == 1


@pytest.mark.parametrize("what_fails", [("PATCH /services",), ("PATCH /services", "composite/graph")])
def test_who_is_told_apart_before_all_of_the_handoff_got_out_has_one_task_and_one_note(
    player: Player, opener: Opener, what_fails: tuple[str, ...],
) -> None:
    lead_id = one_human_in_both_crms(player)
    with opener("mirai", player.account) as company:
        for match in what_fails:
            player.control("salesforce", "faults", match=match, status=503, times=1000)
        assert len(sync(company).handed_off) == 1
        assert tasks_of(player, lead_id) == []
        requests.delete(f"{player.urls['salesforce']}/_sandbox/faults", timeout=30).raise_for_status()
        part(player, lead_id)
        for hours in (8, 16):
            sync(later(company, hours=hours))
    assert len(tasks_of(player, lead_id)) == 1
    (lead,) = player.records("salesforce", "Lead")
    assert (lead["Status"], lead["MQL_Score__c"]) == ("MQL", 40)
    links = [li for li in player.records("salesforce", "ContentDocumentLink") if li["LinkedEntityId"] == lead_id]
    assert len(links) == 1
