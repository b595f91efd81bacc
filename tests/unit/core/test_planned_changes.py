from dataclasses import replace
from datetime import UTC, datetime

import pytest
from core_cases import (
    DEFINITION,
    NOW,
    hubspot,
    hubspot_submission,
    mirai,
    person_of,
    salesforce_contact,
    salesforce_lead,
    salesforce_member,
    score_of,
)

from connector.core.changes import OwnerDirectory, instant, plan_changes
from connector.core.lifecycle import PersonState, decide
from connector.records import ChangeKind, Stage

OWNERS = {
    "hubspot": OwnerDirectory({"9001": "鈴木 美咲"}),
    "salesforce": OwnerDirectory({"005000000000009AAA": "加藤 翔太"}, fallback_id="005000000000009AAA"),
}
DOWNLOAD = hubspot_submission()


def plan(person, activities=DOWNLOAD, state=None, mapping=None, owners=OWNERS):
    mapping = mapping or mirai()
    decision = decide(person, score_of(person, activities), state or PersonState(), mapping, NOW)
    return plan_changes("mirai", decision, person, activities, owners, mapping)


def kinds(changes):
    return [(c.crm, c.kind) for c in changes]


def test_a_handoff_writes_stage_score_task_and_note_to_each_crm():
    changes = plan(person_of(hubspot(), salesforce_lead()))
    every = [ChangeKind.STAGE, ChangeKind.SCORE, ChangeKind.TASK, ChangeKind.NOTE]
    assert kinds(changes) == [("hubspot", k) for k in every] + [("salesforce", k) for k in every]
    assert {str(c.record) for c in changes} == {"hubspot:contacts:101", "salesforce:leads:00Q000000000001AAA"}


def test_the_fields_are_the_crm_s_and_the_figures_ours():
    stage, score, *_ = plan(person_of(hubspot()))
    assert stage.fields == {"lifecyclestage": "marketingqualifiedlead"}
    assert score.fields == {
        "mql_score": 40, "mql_fit_points": 20, "mql_engagement_points": 20, "mql_status": "mql", "mql_segment": "hot",
        "mql_cycle": 1, "mql_became_at": "2026-11-24T01:00:00Z", "mql_deadline_at": "2026-11-24T09:00:00Z",
        "mql_reason": "情報システム部門・部長 20 + 資料ダウンロード 20 = 40点", "mql_definition": DEFINITION,
    }
    assert all(type(score.fields[f"mql_{name}"]) is int for name in ("score", "fit_points", "engagement_points"))


def test_keys_name_company_person_cycle_and_kind_and_are_unique_in_each_crm():
    changes = plan(person_of(hubspot(), salesforce_lead()))
    hub = [c.idempotency_key for c in changes if c.crm == "hubspot"]
    assert hub == ["mirai/p_1/1/stage", "mirai/p_1/1/score", "mirai/p_1/1/task", "mirai/p_1/1/note"]


def test_a_salesforce_contact_is_written_to_before_a_lead_and_our_field_is_its_stage():
    changes = plan(person_of(salesforce_lead(), salesforce_contact()), salesforce_member())
    assert [c.kind for c in changes] == [ChangeKind.STAGE, ChangeKind.SCORE, ChangeKind.TASK, ChangeKind.NOTE]
    assert {c.record.stream for c in changes} == {"contacts"}
    assert changes[0].fields == {"MQL_Status__c": "mql"}
    assert "MQL_Status__c" not in changes[1].fields


def test_without_a_handoff_only_the_score_goes_out_and_nothing_of_a_handoff_is_touched():
    person = person_of(hubspot(jobtitle="担当者", lifecyclestage="marketingqualifiedlead"))
    (score,) = plan(person)
    assert score.fields == {
        "mql_score": 30, "mql_fit_points": 10, "mql_engagement_points": 20, "mql_status": "mql", "mql_segment": "warm",
        "mql_cycle": 1, "mql_definition": DEFINITION,
    }


def test_score_of_nothing_is_planned_too_so_that_a_fallen_score_can_be_written():
    (score,) = plan(person_of(hubspot(department="営業部")), ())
    assert score.fields["mql_score"] == 0


def test_a_handoff_that_the_crm_does_not_show_yet_is_not_written_back_as_inquiry():
    (score,) = plan(person_of(hubspot()), state=PersonState(1, Stage.INQUIRY, NOW))
    assert "mql_status" not in score.fields
    recycled = replace(person_of(hubspot()), stage=Stage.RECYCLED)
    (score,) = plan(recycled, state=PersonState(1, Stage.RECYCLED, NOW))
    assert score.fields["mql_status"] == "recycled"


@pytest.mark.parametrize(("owner_id", "directory", "expected"), [
    ("9001", OwnerDirectory({"9001": "鈴木"}, "9002"), "9001"),
    ("9001", OwnerDirectory({"9002": "加藤"}, "9002"), "9002"),
    ("", OwnerDirectory({"9001": "鈴木"}), ""), ("9001", OwnerDirectory(), ""),
])
def test_the_record_s_active_owner_acts_else_the_fallback_else_nobody(owner_id, directory, expected):
    changes = plan(person_of(hubspot(hubspot_owner_id=owner_id)), owners={"hubspot": directory})
    assert [c.owner_id for c in changes if c.kind in (ChangeKind.TASK, ChangeKind.NOTE)] == [expected] * 2


def test_the_task_is_due_at_the_deadline():
    task = plan(person_of(hubspot()))[2]
    assert task.due_at == datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_what_the_mapping_switches_off_is_not_made():
    write_back = mirai().crm["hubspot"].write_back["contacts"].model_copy(update={"task": False, "stage": ""})
    hub = mirai().crm["hubspot"].model_copy(update={"write_back": {"contacts": write_back}})
    mapping = mirai().model_copy(update={"crm": {"hubspot": hub}})
    changes = plan(person_of(hubspot()), mapping=mapping)
    assert [c.kind for c in changes] == [ChangeKind.SCORE, ChangeKind.NOTE]


def test_fractions_of_points_stay_fractions():
    rule = mirai().definition.rules[0].model_copy(update={"points": 22.5})
    definition = mirai().definition.model_copy(update={"rules": (rule, *mirai().definition.rules[1:])})
    mapping = mirai().model_copy(update={"definition": definition})
    person = person_of(hubspot())
    decision = decide(person, score_of(person, DOWNLOAD, definition=definition), PersonState(), mapping, NOW)
    fields = plan_changes("mirai", decision, person, DOWNLOAD, OWNERS, mapping)[1].fields
    assert (fields["mql_score"], fields["mql_fit_points"]) == (42.5, 22.5)
    assert fields["mql_reason"] == "情報システム部門・部長 22.5 + 資料ダウンロード 20 = 42.5点"


def test_instants_travel_in_utc_with_whole_seconds():
    assert instant(datetime(2026, 11, 24, 1, 0, 0, 999_999, tzinfo=UTC)) == "2026-11-24T01:00:00Z"
