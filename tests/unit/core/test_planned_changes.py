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

from connector.core.changes import instant, plan_changes
from connector.core.lifecycle import PersonState, decide
from connector.records import ChangeKind, Ownership, RecordKey, Stage

DOWNLOAD = hubspot_submission()


def plan(person, activities=DOWNLOAD, state=None, mapping=None, owners=(), **more):
    mapping = mapping or mirai()
    decision = decide(person, score_of(person, activities), state or PersonState(), mapping, NOW)
    return plan_changes("mirai", replace(decision, owners=owners), person, activities, mapping, **more)


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
    for shown in (Stage.INQUIRY, Stage.RECYCLED):
        person = replace(person_of(hubspot()), stage=shown)
        (score,) = plan(person, state=PersonState(1, shown, NOW))
        assert score.fields["mql_status"] == "mql"


def test_who_must_act_by_the_decision_gets_task_and_note_in_their_crm_and_a_queue_the_task_alone():
    owners = (Ownership("hubspot", owner_id="9001"), Ownership("salesforce", queue_id="00G1"))
    changes = plan(person_of(hubspot(), salesforce_lead()), owners=owners)
    made = {(c.crm, c.kind): (c.owner_id, c.queue_id) for c in changes if c.kind.creates}
    assert made == {
        ("hubspot", ChangeKind.TASK): ("9001", ""), ("hubspot", ChangeKind.NOTE): ("9001", ""),
        ("salesforce", ChangeKind.TASK): ("", "00G1"), ("salesforce", ChangeKind.NOTE): ("", ""),
    }
    assert all(c.is_urgent for c in changes if c.kind is ChangeKind.TASK)    # 40 points are hot


@pytest.mark.parametrize(("lead", "made"), [
    ("none", ["task", "note"]), ("beside", ["lead", "task", "note"]), ("instead", ["lead", "note"]),
])
def test_a_lead_record_is_made_beside_the_task_or_instead_of_it(lead, made):
    changes = plan(person_of(hubspot()), mapping=writing(lead=lead))
    assert [c.kind for c in changes if c.kind.creates] == made
    assert all("田村" in c.document.title for c in changes if c.kind is ChangeKind.LEAD)


def test_what_is_taken_back_steps_the_stage_back_keeps_the_reason_and_closes_the_task():
    stages = {Stage.MQL: "marketingqualifiedlead", Stage.RECYCLED: "lead"}
    mapping, task = writing(stages=stages), RecordKey("hubspot", "tasks", "77")
    person = person_of(hubspot(lifecyclestage="marketingqualifiedlead"))
    decision = replace(
        decide(person, score_of(person, DOWNLOAD), PersonState(1, None, NOW), mapping, NOW),
        recycles="overdue", stage=Stage.RECYCLED,
    )
    recycle, close, score = sorted(
        plan_changes("mirai", decision, person, DOWNLOAD, mapping, tasks={"hubspot": task}),
        key=lambda c: [ChangeKind.RECYCLE, ChangeKind.CLOSE_TASK, ChangeKind.SCORE].index(c.kind),
    )
    assert (recycle.fields, recycle.before) == (
        {"lifecyclestage": "lead"}, {"lifecyclestage": "marketingqualifiedlead"},
    )
    assert "対応の記録がなかった" in recycle.document.title
    assert (close.record, close.document) == (task, recycle.document)
    assert score.fields["mql_status"] == "recycled"


def test_the_next_handoff_closes_the_task_of_the_one_before_under_that_cycle_s_key():
    task = RecordKey("hubspot", "tasks", "77")
    person = person_of(hubspot())
    decision = replace(decide(person, score_of(person, DOWNLOAD), PersonState(2), mirai(), NOW), cycle=2)
    assert decision.hands_off
    changes = plan_changes("mirai", decision, person, DOWNLOAD, mirai(), tasks={"hubspot": task})
    (close,) = [c for c in changes if c.kind is ChangeKind.CLOSE_TASK]
    assert (close.record, close.idempotency_key) == (task, "mirai/p_1/1/close_task")
    assert close.document.title == "【次の引き渡しに引き継ぎ】"


def test_where_the_crm_has_no_word_for_recycled_its_stage_stays():
    person = person_of(hubspot(lifecyclestage="marketingqualifiedlead"))
    decision = replace(
        decide(person, score_of(person, DOWNLOAD), PersonState(1, None, NOW), mirai(), NOW),
        recycles="overdue", stage=Stage.RECYCLED,
    )
    mapping = writing(stages={Stage.MQL: "marketingqualifiedlead"})
    assert [c.kind for c in plan_changes("mirai", decision, person, DOWNLOAD, mapping)] == [ChangeKind.SCORE]


@pytest.mark.parametrize(("shown", "written"), [
    ("marketingqualifiedlead", {"lifecyclestage": "accepted"}), ("salesqualifiedlead", None), ("customer", None),
])
def test_what_sales_did_moves_the_stage_on_where_it_has_a_word_and_never_back(shown, written):
    stages = {Stage.MQL: "marketingqualifiedlead", Stage.SAL: "accepted"}
    person = person_of(hubspot(lifecyclestage=shown))
    decision = replace(
        decide(person, score_of(person, DOWNLOAD), PersonState(1, None, NOW), mirai(), NOW), stage=Stage.SAL,
    )
    changes = plan_changes("mirai", decision, person, DOWNLOAD, writing(stages=stages))
    assert [c.fields for c in changes if c.kind is ChangeKind.STAGE] == ([written] if written else [])


@pytest.mark.parametrize("ended", [Stage.RECYCLED, Stage.LOST])
def test_what_sales_did_elsewhere_moves_no_record_that_it_sent_back_or_lost(ended):
    person = person_of(hubspot())
    person = replace(person, contacts=(person.contacts[0]._replace(stage=ended),))
    decision = replace(
        decide(person, score_of(person, DOWNLOAD), PersonState(1, None, NOW), mirai(), NOW), stage=Stage.SQL,
    )
    stages = {Stage.MQL: "marketingqualifiedlead", Stage.SQL: "salesqualifiedlead"}
    changes = plan_changes("mirai", decision, person, DOWNLOAD, writing(stages=stages))
    assert [c.kind for c in changes] == [ChangeKind.SCORE]


def test_the_word_for_nurturing_and_the_lane_are_written_where_the_mapping_has_fields_for_them():
    write_back = mirai().crm["hubspot"].write_back["contacts"]
    mapping = writing(fields={**write_back.fields, "nurture": "mql_nurture", "lane": "mql_lane"})
    score = plan(person_of(hubspot()), mapping=mapping, nurture="資料DL")[1]
    assert (score.fields["mql_nurture"], score.fields["mql_lane"]) == ("資料DL", "mql")
    assert "mql_nurture" not in plan(person_of(hubspot()), mapping=mapping)[1].fields


def writing(**updates):
    """The mapping of the tests with another way to write to HubSpot's contacts."""
    write_back = mirai().crm["hubspot"].write_back["contacts"].model_copy(update=updates)
    hub = mirai().crm["hubspot"].model_copy(update={"write_back": {"contacts": write_back}})
    return mirai().model_copy(update={"crm": {"hubspot": hub}})


def test_the_task_is_due_at_the_deadline():
    task = plan(person_of(hubspot()))[2]
    assert task.due_at == datetime(2026, 11, 24, 9, tzinfo=UTC)


def test_what_the_mapping_switches_off_is_not_made():
    changes = plan(person_of(hubspot()), mapping=writing(task=False, stage=""))
    assert [c.kind for c in changes] == [ChangeKind.SCORE, ChangeKind.NOTE]


def test_fractions_of_points_stay_fractions():
    rule = mirai().definition.rules[0].model_copy(update={"points": 22.5})
    definition = mirai().definition.model_copy(update={"rules": (rule, *mirai().definition.rules[1:])})
    mapping = mirai().model_copy(update={"definition": definition})
    person = person_of(hubspot())
    decision = decide(person, score_of(person, DOWNLOAD, definition=definition), PersonState(), mapping, NOW)
    fields = plan_changes("mirai", decision, person, DOWNLOAD, mapping)[1].fields
    assert (fields["mql_score"], fields["mql_fit_points"]) == (42.5, 22.5)
    assert fields["mql_reason"] == "情報システム部門・部長 22.5 + 資料ダウンロード 20 = 42.5点"


def test_instants_travel_in_utc_with_whole_seconds():
    assert instant(datetime(2026, 11, 24, 1, 0, 0, 999_999, tzinfo=UTC)) == "2026-11-24T01:00:00Z"
