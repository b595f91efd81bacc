"""Deals and moves of stages as each CRM sends them, in our words."""

from datetime import timedelta

import pytest
from core_cases import NOW, mirai, normalizer

from connector.mapping.load import needed_fields, reading_fingerprint
from connector.records import Activity, ActivityKind, RecordKey

DEAL = RecordKey("hubspot", "deals", "9")
ROLE = RecordKey("salesforce", "opportunity_contact_roles", "00K1")
MOVE = RecordKey("salesforce", "lead_history", "0171")
PERSON = {"contacts": ("101",)}


def told(key: RecordKey, links: dict[str, tuple[str, ...]], **payload: object) -> list[Activity]:
    return normalizer().activities(key, NOW, payload, links)


def hubspot_deal(stage: str, **more: object) -> list[Activity]:
    return told(DEAL, PERSON, **{
        "dealname": "経費精算 導入", "dealstage": stage, "createdate": "2026-10-01T00:00:00Z",
        "closedate": "2026-11-20T01:00:00Z", "amount": "1200000", **more,
    })


@pytest.mark.parametrize(("stage", "kinds"), [
    ("qualifiedtobuy", ["deal_opened"]), ("closedwon", ["deal_opened", "deal_won"]),
    ("closedlost", ["deal_opened", "deal_lost"]), ("", ["deal_opened"]), ("4711", ["deal_opened"]),
])
def test_a_deal_is_opened_and_ends_as_its_stage_says(stage, kinds):
    found = hubspot_deal(stage)
    assert [one.kind.value for one in found] == kinds
    assert [one.activity_id for one in found] == [f"hubspot:deals:9#{kind}#contacts:101" for kind in kinds]
    assert {one.subject for one in found} == {"hubspot:contacts:101"}
    assert [f"{one.occurred_at:%m-%d}" for one in found] == ["10-01", "11-20"][:len(kinds)]
    assert {one.title for one in found} == {"経費精算 導入"}
    assert {one.source for one in found} == {"hubspot:deals:9"}


def test_what_is_told_of_a_deal_is_what_the_mapping_names():
    lost = hubspot_deal("closedlost", closed_lost_reason="予算なし")[1]
    assert lost.attributes == {"amount": "1200000", "reason": "予算なし"}


def test_everybody_in_a_deal_is_told_of_and_nobody_without_one():
    links = {"contacts": ("101", "102")}
    assert len({one.activity_id for one in told(DEAL, links, dealstage="closedwon")}) == 4
    assert told(DEAL, {}, dealstage="closedwon") == []


def test_a_deal_without_a_date_is_dated_once():
    opened, won = told(DEAL, PERSON, dealstage="closedwon")
    assert (opened.occurred_at, opened.is_dated_once, won.is_dated_once) == (NOW, True, True)


def test_a_salesforce_deal_is_read_from_the_roles_of_its_people():
    found = told(ROLE, {"contacts": ("0031",)}, **{
        "Opportunity.StageName": "Closed Won", "Opportunity.CreatedDate": "2026-10-01T00:00:00.000+0000",
        "Opportunity.LastStageChangeDate": "2026-11-20T01:00:00.000+0000", "Opportunity.Name": "導入",
        "Opportunity.Amount": 1200000.0,
    })
    assert [one.kind for one in found] == [ActivityKind.DEAL_OPENED, ActivityKind.DEAL_WON]
    assert found[1].occurred_at - found[0].occurred_at == timedelta(days=50, hours=1)
    assert found[0].attributes == {"amount": 1200000.0}


@pytest.mark.parametrize(("field", "value", "stages"), [
    ("Status", "対応中", ["sal"]), ("Status", "MQL", ["mql"]), ("Status", "再育成", ["recycled"]),
    ("Status", "謎の状況", []), ("Status", None, []), ("OwnerId", "対応中", []), ("created", None, []),
])
def test_a_row_of_a_history_is_a_move_to_a_stage_or_nothing(field, value, stages):
    row = {"Field": field, "NewValue": value, "CreatedDate": "2026-11-20T01:00:00.000+0000"}
    found = told(MOVE, {"leads": ("00Q1",)}, **row)
    assert [one.attributes["stage"] for one in found] == stages
    assert all((one.kind, one.title) == (ActivityKind.STAGE_MOVED, "") for one in found)


@pytest.mark.parametrize(("key", "payload", "kinds"), [
    (RecordKey("hubspot", "tasks", "1"), {"hs_task_status": "COMPLETED"}, ["task_completed"]),
    (RecordKey("hubspot", "tasks", "1"), {"hs_task_status": "NOT_STARTED"}, []),
    (RecordKey("hubspot", "tasks", "1"), {"hs_task_status": "DEFERRED"}, []),
    (RecordKey("hubspot", "calls", "1"), {"hs_call_status": "COMPLETED"}, ["call_made"]),
    (RecordKey("hubspot", "calls", "1"), {"hs_call_status": "NO_ANSWER"}, []),
    (RecordKey("hubspot", "emails", "1"), {"hs_email_direction": "EMAIL", "hs_email_status": "SENT"},
     ["email_exchanged"]),
    (RecordKey("hubspot", "emails", "1"), {"hs_email_direction": "INCOMING_EMAIL", "hs_email_status": "SENT"}, []),
    (RecordKey("salesforce", "tasks", "1"), {"TaskSubtype": "Task", "Status": "Completed"}, ["task_completed"]),
    (RecordKey("salesforce", "tasks", "1"), {"TaskSubtype": "Task", "Status": "Not Started"}, []),
    (RecordKey("salesforce", "tasks", "1"), {"TaskSubtype": "Email", "Status": "完了"}, ["email_exchanged"]),
    (RecordKey("salesforce", "tasks", "1"), {"TaskSubtype": "ListEmail", "Status": "Completed"}, []),
    (RecordKey("salesforce", "tasks", "1"), {"TaskSubtype": "Call", "Status": "Completed"}, ["call_made"]),
    (RecordKey("salesforce", "tasks", "1"),
     {"TaskSubtype": "Task", "Status": "Completed", "Subject": "Webサイト来訪 /pricing"}, ["website_visited"]),
])
def test_what_sales_did_is_told_and_a_mail_to_a_list_is_no_work_of_sales(key, payload, kinds):
    assert [one.kind.value for one in told(key, PERSON, **payload)] == kinds


def test_a_pull_asks_for_what_deals_and_moves_need_and_a_new_reading_reads_anew():
    needed = needed_fields(mirai().crm["salesforce"])
    assert {"Field", "NewValue", "CreatedDate"} == set(needed["lead_history"])
    assert "Opportunity.StageName" in needed["opportunity_contact_roles"]
    assert {"dealstage", "createdate", "closedate", "dealname"} <= set(needed_fields(mirai().crm["hubspot"])["deals"])
    part = mirai().crm["hubspot"]
    without = mirai().model_copy(update={"crm": {**mirai().crm, "hubspot": part.model_copy(update={"deals": None})}})
    assert reading_fingerprint(without) != reading_fingerprint(mirai())
