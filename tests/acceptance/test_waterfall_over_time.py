"""Where a person stands as sales goes on in both CRMs: completed tasks, statuses, deals, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from connector.cli.explain import explanation_as_json, status_of
from connector.pipeline.run import sync
from connector.records import Stage
from connector.reports.explain import Explanation, explain
from connector.reports.people import list_people
from tests.acceptance.conftest import Opener, Player

EMAIL = "ken.sato@asahi.example"


def line(found: Explanation) -> list[tuple[str, str, str]]:
    return [(one.stage.value, one.basis, one.crm) for one in found.judged.decision.stages[1:]]


def complete_hubspot_task(player: Player) -> None:
    (task,) = player.records("hubspot", "tasks")
    player.hubspot("PATCH", f"/crm/v3/objects/tasks/{task['id']}", {"properties": {"hs_task_status": "COMPLETED"}})


def complete_salesforce_task(player: Player) -> None:
    (task,) = [one for one in player.records("salesforce", "Task") if one["MQL_Key__c"]]
    player.salesforce("PATCH", f"/sobjects/Task/{task['Id']}", {"Status": "Completed"})


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
def test_right_after_the_handoff_everything_calls_them_an_mql_and_a_completed_task_accepts_them(
    crm: str, player: Player, opener: Opener,
) -> None:
    if crm == "hubspot":
        player.contact(EMAIL)
        player.download_in_hubspot(EMAIL)
    else:
        player.download_in_salesforce(player.lead(EMAIL))
    with opener("mirai", player.account) as company:
        assert len(sync(company).handed_off) == 1
        found = explain(company, EMAIL)
        assert (found.judged.person.stage, found.judged.decision.stage) == (Stage.INQUIRY, Stage.MQL)
        assert status_of(found) == "mql"
        assert [entry.stage for entry in list_people(company).entries] == [Stage.MQL]
        assert line(found) == [("mql", "handoff", "")]
        (complete_hubspot_task if crm == "hubspot" else complete_salesforce_task)(player)
        assert sync(company).handed_off == []
        found = explain(company, EMAIL)
        assert line(found) == [("mql", "handoff", ""), ("sal", "deed", crm)]
        decision = found.judged.decision
        assert decision.followed_up_at == decision.stages[-1].entered_at
        assert "already_with_sales" in decision.obstacles
        (entry,) = list_people(company).entries
        assert (entry.stage, status_of(found)) == (Stage.SAL, "sal")


def test_a_status_of_a_lead_is_dated_by_its_history_and_what_it_passes_over_is_told_as_skipped(
    player: Player, opener: Opener,
) -> None:
    lead_id = player.lead(EMAIL)
    player.download_in_salesforce(lead_id)
    with opener("mirai", player.account) as company:
        sync(company)
        player.set_lead(lead_id, Status="商談化")
        sync(company)
        found = explain(company, EMAIL)
        told: list[dict[str, Any]] = explanation_as_json(found)["stages"]
    history = player.records("salesforce", "LeadHistory")
    moved_at = [row["CreatedDate"] for row in history if row["NewValue"] == "商談化"]
    assert line(found)[1:] == [("sal", "skipped", ""), ("sql", "history", "salesforce")]
    assert [one["is_skipped"] for one in told] == [False, False, True, False]
    assert told[-1]["entered_at"][:19] == moved_at[0][:19]
    assert [one["left_at"] is None for one in told] == [False, False, False, True]


def test_a_deal_makes_an_sql_and_its_end_a_customer(player: Player, opener: Opener) -> None:
    contact = player.contact(EMAIL)
    player.download_in_hubspot(EMAIL)
    with opener("mirai", player.account) as company:
        sync(company)
        deal = player.hubspot("POST", "/crm/v3/objects/deals", {
            "properties": {"dealname": "導入", "dealstage": "qualifiedtobuy"},
            "associations": [{
                "to": {"id": contact}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3}],
            }],
        })["id"]
        sync(company)
        found = explain(company, EMAIL)
        assert line(found) == [("mql", "handoff", ""), ("sal", "skipped", ""), ("sql", "deed", "hubspot")]
        player.hubspot("PATCH", f"/crm/v3/objects/deals/{deal}", {"properties": {"dealstage": "closedwon"}})
        sync(company)
        found = explain(company, EMAIL)
    assert line(found)[-1] == ("won", "deed", "hubspot")
    assert status_of(found) == "won"
