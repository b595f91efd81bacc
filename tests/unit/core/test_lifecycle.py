from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from core_cases import (
    NOW,
    activity,
    hubspot,
    hubspot_submission,
    mirai,
    person_of,
    salesforce_lead,
    salesforce_member,
    score_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.lifecycle import PersonState, decide, next_state
from connector.records import Decision, Person, RecordKey, Stage, StageEntry, StageMove


def judge(person: Person, activities, state: PersonState | None = None, at: datetime = NOW) -> Decision:
    return decide(person, score_of(person, activities, as_of=at), state or PersonState(), mirai(), at)


def with_stage(stage: Stage, changed_at: datetime = NOW) -> Person:
    person = person_of(hubspot())
    contacts = tuple(c._replace(stage=stage, modified_at=changed_at) for c in person.contacts)
    return replace(person, stage=stage, contacts=contacts)


@pytest.mark.parametrize(("contact", "field", "download"), [
    (hubspot, "jobtitle", hubspot_submission), (salesforce_lead, "Title", salesforce_member),
])
def test_the_head_who_downloads_becomes_mql_and_the_clerk_does_not(contact, field, download):
    head, clerk = person_of(contact(**{field: "部長"})), person_of(contact(**{field: "担当者"}))
    decision = judge(head, download())
    assert decision.hands_off
    assert (decision.cycle, decision.stage_before, decision.why_not) == (1, Stage.INQUIRY, "")
    assert decision.deadline_at == datetime(2026, 11, 24, 9, tzinfo=UTC)  # eight business hours: 18:00 in Tokyo
    refused = judge(clerk, download())
    assert (refused.hands_off, refused.why_not, refused.deadline_at) == (False, "", None)


@pytest.mark.parametrize(("stage", "why_not"), [
    (Stage.MQL, "already_mql"), (Stage.SAL, "already_with_sales"), (Stage.SQL, "already_with_sales"),
    (Stage.WON, "already_customer"), (Stage.LOST, "already_lost"), (Stage.INQUIRY, ""), (Stage.RECYCLED, ""),
])
def test_only_who_stands_before_mql_is_handed_off(stage, why_not):
    decision = judge(with_stage(stage), hubspot_submission())
    assert (decision.why_not, decision.hands_off) == (why_not, why_not == "")


def test_the_disqualified_are_not_handed_off():
    decision = judge(person_of(hubspot(hs_email_optout="true")), hubspot_submission())
    assert (decision.hands_off, decision.why_not) == (False, "disqualified")


def test_without_a_record_to_write_to_there_is_no_handoff():
    converted = person_of(salesforce_lead(ConvertedContactId="0039", Status="新規"))
    assert judge(converted, salesforce_member()).why_not == "no_record"


def test_a_handoff_happens_once_in_a_cycle():
    person, activities = person_of(hubspot()), hubspot_submission()
    first = judge(person, activities)
    second = judge(person, [*activities, *hubspot_submission(days_ago=0.5)], next_state(PersonState(), first))
    assert (second.hands_off, second.why_not, second.cycle) == (False, "handed_off", 1)


def story(*steps, activities=()):
    """Judge step by step (stage in the CRM, days from now, new activities), remembering each; return decisions."""
    state, done, decisions = PersonState(), list(activities), []
    for stage, days, new in steps:
        at = NOW + timedelta(days=days)
        done += new
        decisions.append(judge(with_stage(stage, at), done, state, at))
        state = next_state(state, decisions[-1])
    return decisions, state


FIRST = hubspot_submission(days_ago=1)


def test_a_recycled_person_who_comes_back_is_handed_off_in_the_next_cycle():
    decisions, state = story(
        (Stage.INQUIRY, 0, FIRST), (Stage.MQL, 1, []), (Stage.SAL, 2, []), (Stage.RECYCLED, 9, []),
        (Stage.RECYCLED, 20, []), (Stage.RECYCLED, 31, hubspot_submission(days_ago=-30)),
    )
    assert [d.hands_off for d in decisions] == [True, False, False, False, False, True]
    assert [d.cycle for d in decisions] == [1, 1, 1, 1, 1, 2]
    assert state == PersonState(2, Stage.RECYCLED, NOW + timedelta(days=31))


def test_a_recycled_person_who_does_nothing_new_stays_where_they_are():
    decisions, _ = story((Stage.INQUIRY, 0, FIRST), (Stage.MQL, 1, []), (Stage.RECYCLED, 200, []))
    assert (decisions[-1].cycle, decisions[-1].why_not) == (1, "handed_off")


def test_what_sales_knew_when_it_sent_them_back_is_no_news():
    decisions, state = story(
        (Stage.INQUIRY, 0, FIRST), (Stage.MQL, 1, hubspot_submission("ホワイトペーパー：A", days_ago=-1)),
        (Stage.RECYCLED, 5, []), (Stage.RECYCLED, 6, []),
    )
    assert [d.hands_off for d in decisions] == [True, False, False, False]
    assert state.recycled_at == NOW + timedelta(days=5)


def test_what_earns_no_points_brings_nobody_back():
    card = hubspot_submission("名刺交換：展示会", days_ago=-30)
    decisions, _ = story((Stage.INQUIRY, 0, FIRST), (Stage.MQL, 1, []), (Stage.RECYCLED, 31, card))
    assert (decisions[-1].cycle, decisions[-1].why_not) == (1, "handed_off")


def test_what_costs_points_brings_nobody_back():
    rule = mirai().definition.rules[-1].model_copy(update={"points": -5})
    definition = mirai().definition.model_copy(update={"rules": (*mirai().definition.rules[:-1], rule)})
    visit = activity(rule.activity[0], days_ago=1)
    score = score_of(with_stage(Stage.RECYCLED), [visit], definition=definition)
    state = PersonState(1, Stage.MQL, NOW - timedelta(days=9), NOW - timedelta(days=5))
    assert [r.points for r in score.reasons] == [20, -5]
    assert decide(with_stage(Stage.RECYCLED), score, state, mirai(), NOW).cycle == 1


def test_while_the_crm_still_says_recycled_after_a_handoff_no_cycle_opens():
    decisions, state = story(
        (Stage.INQUIRY, 0, FIRST), (Stage.MQL, 1, []), (Stage.RECYCLED, 9, []),
        (Stage.RECYCLED, 31, hubspot_submission(days_ago=-30)),
        (Stage.RECYCLED, 33, hubspot_submission(days_ago=-32)),
        (Stage.RECYCLED, 35, hubspot_submission(days_ago=-34)),
    )
    assert [d.hands_off for d in decisions] == [True, False, False, True, False, False]
    assert state.cycle == 2


def test_a_cycle_may_open_below_the_threshold_and_hand_off_later_once():
    person = replace(person_of(hubspot(jobtitle="担当者")), stage=Stage.RECYCLED)
    handed_off = PersonState(1, Stage.MQL, NOW - timedelta(days=40), NOW - timedelta(days=30))
    opened = judge(person, hubspot_submission(days_ago=3), handed_off)
    assert (opened.cycle, opened.hands_off, opened.why_not) == (2, False, "")
    state = next_state(handed_off, opened)
    assert state == PersonState(2, Stage.RECYCLED, None, NOW - timedelta(days=30))
    later = judge(person, [*hubspot_submission(days_ago=3), *hubspot_submission(days_ago=1)], state)
    assert (later.cycle, later.hands_off) == (2, True)


def test_our_own_mql_that_landed_after_what_opened_the_next_cycle_stands_against_nothing():
    opened = (StageEntry(2, Stage.INQUIRY, NOW - timedelta(days=3), None, "activity"),)
    state = PersonState(2, Stage.MQL, None, NOW - timedelta(days=4), stages=opened)
    person = with_stage(Stage.MQL)
    late = StageMove(Stage.MQL, NOW - timedelta(days=2))
    person = replace(person, contacts=(person.contacts[0]._replace(stage_moves=(late,)),))
    decision = judge(person, hubspot_submission(days_ago=3), state)
    assert (decision.cycle, decision.hands_off, decision.obstacles) == (2, True, ())


stages = st.sampled_from(Stage)


@settings(max_examples=60)
@given(st.lists(st.tuples(stages, st.booleans()), max_size=12))
def test_there_is_at_most_one_handoff_per_cycle_and_cycles_only_grow(steps):
    decisions, state = story(*(
        (stage, day, hubspot_submission(days_ago=-day) if active else []) for day, (stage, active) in enumerate(steps)
    ), activities=FIRST)
    cycles = [d.cycle for d in decisions]
    handoffs = [d.cycle for d in decisions if d.hands_off]
    assert cycles == sorted(cycles)
    assert len(handoffs) == len(set(handoffs))
    assert all(d.deadline_at is not None and not d.why_not for d in decisions if d.hands_off)
    assert state.cycle == (cycles[-1] if cycles else 1)


def test_the_record_key_of_a_home_in_a_stream_without_write_back_is_no_place_to_write():
    contact = hubspot()._replace(key=RecordKey("hubspot", "subscribers", "1"))
    person = replace(person_of(hubspot()), contacts=(contact,))
    assert judge(person, FIRST).why_not == "no_record"
