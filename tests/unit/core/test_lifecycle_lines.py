"""What makes somebody qualified and keeps them so, and what stands against a handoff."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from core_cases import NOW, hubspot, mirai, person_of, salesforce_lead
from hypothesis import given
from hypothesis import strategies as st

from connector.core.lifecycle import PersonState, decide, next_state
from connector.core.texts import note_document, reason_line, task_document
from connector.mapping.definition import Definition
from connector.mapping.model import Mapping
from connector.records import Decision, Person, Reason, Score, Stage

RULE = {"id": "act.visit", "label": "Webサイト来訪", "points": 5, "activity": "website_visited"}
MATRIX = {"fit": {"A": 30, "B": 10}, "engagement": {"1": 40, "2": 20}, "mql": ["A1", "B1", "A2"]}


def judged_by(**said: object) -> Mapping:
    definition = {"version": "v1", "threshold_points": 40, "rules": [RULE], **said}
    return mirai().model_copy(update={"definition": Definition.model_validate(definition)})


def scored(engagement: float, fit: float = 0.0, *, version: str = "v1", days_ago: float = 1.0) -> Score:
    reasons = (
        Reason("fit.it", "情シス", "fit", fit, "role=head"),
        Reason("act.visit", "来訪", "engagement", engagement, "x#website_visited", "", NOW - timedelta(days_ago)),
    )
    return Score("p_1", version, NOW, reasons)


def person(stage: Stage = Stage.INQUIRY, **attributes: object) -> Person:
    found = person_of(hubspot())
    contacts = tuple(c._replace(stage=stage) for c in found.contacts)
    return replace(found, stage=stage, contacts=contacts, attributes={**found.attributes, **attributes})


def run(
    mapping: Mapping, *steps: tuple[Person, Score], state: PersonState | None = None, days: float = 1.0,
) -> tuple[list[Decision], PersonState]:
    """Judge a step a day, remembering each."""
    state, decisions = state or PersonState(), []
    for number, (who, score) in enumerate(steps):
        decisions.append(decide(who, score, state, mapping, NOW + timedelta(days=number * days)))
        state = next_state(state, decisions[-1])
    return decisions, state


def test_who_waits_for_a_required_attribute_stays_qualified_until_below_the_lower_line():
    mapping = judged_by(keeps_from_points=30, required=["phone"])
    waiting, known = person(phone=None), person()
    decisions, _ = run(mapping, (waiting, scored(40)), (waiting, scored(31)), (known, scored(30)))
    assert [d.why_not for d in decisions] == ["missing", "missing", ""]
    assert [d.hands_off for d in decisions] == [False, False, True]
    assert [d.qualified_at for d in decisions] == [NOW] * 3
    fallen, state = run(mapping, (waiting, scored(40)), (waiting, scored(29.99)), (known, scored(39)))
    assert [d.is_qualified for d in fallen] == [True, False, False]
    assert (state.qualified_at, state.qualified_by) == (None, "")


def test_without_a_lower_line_the_threshold_is_the_only_one():
    mapping = judged_by(required=["phone"])
    decisions, _ = run(mapping, (person(phone=None), scored(40)), (person(), scored(39.99)))
    assert [d.is_qualified for d in decisions] == [True, False]


def test_another_definition_asks_anew():
    mapping = judged_by(keeps_from_points=30, required=["phone"])
    _, state = run(mapping, (person(phone=None), scored(40)))
    other = judged_by(version="v2", threshold_points=60, keeps_from_points=30)
    assert not decide(person(), scored(45, version="v2"), state, other, NOW).is_qualified


def test_a_recycling_ends_what_is_kept():
    mapping = judged_by(keeps_from_points=30, required=["phone"])
    decisions, _ = run(
        mapping, (person(phone=None), scored(40)), (person(Stage.RECYCLED, phone=None), scored(35)),
        (person(Stage.RECYCLED), scored(35)),
    )
    assert [d.is_qualified for d in decisions] == [True, False, False]


@given(st.lists(st.integers(0, 80).map(lambda n: n / 2), min_size=1, max_size=30), st.integers(1, 39))
def test_nobody_flaps_between_the_two_lines(points, keeps_from):
    """Between two changes of the verdict the points went all the way from one line to the other."""
    mapping = judged_by(keeps_from_points=keeps_from, required=["phone"])
    decisions, _ = run(mapping, *((person(phone=None), scored(p)) for p in points))
    assert not any(d.hands_off for d in decisions)
    is_qualified = False
    for total, decision in zip(points, decisions, strict=True):
        if decision.is_qualified != is_qualified:
            assert total >= 40 if decision.is_qualified else total < keeps_from
        else:
            assert total >= keeps_from if is_qualified else total < 40
        is_qualified = decision.is_qualified


stages = st.sampled_from([Stage.INQUIRY, Stage.MQL, Stage.SAL, Stage.RECYCLED])


@given(st.lists(st.tuples(stages, st.integers(0, 60)), max_size=25), st.integers(0, 12))
def test_no_handoff_follows_another_within_the_cool_down(steps, cool_down_days):
    mapping = judged_by(cool_down_days=cool_down_days)
    story = []
    for day, (stage, points) in enumerate(steps):
        at = NOW + timedelta(days=day)
        who = person(stage)
        who = replace(who, contacts=tuple(c._replace(modified_at=at) for c in who.contacts))
        story.append((who, scored(points, days_ago=-day)))
    decisions, _ = run(mapping, *story)
    sent_back = None
    for decision in decisions:
        if decision.recycled_at is not None:
            sent_back = decision.recycled_at
        if decision.hands_off and sent_back is not None:
            assert decision.decided_at >= sent_back + timedelta(days=cool_down_days)
        assert decision.hands_off or decision.cools_until is None or decision.cools_until > decision.decided_at
    handoffs = [d.cycle for d in decisions if d.hands_off]
    assert len(handoffs) == len(set(handoffs))


def back_again(at: datetime, cool_down_days: float = 14, **attributes: object) -> Decision:
    """Judge somebody whom sales sent back ten days before NOW and who came back a day before it."""
    state = PersonState(1, Stage.MQL, NOW - timedelta(days=40), NOW - timedelta(days=10))
    who = person(Stage.RECYCLED, **attributes)
    return decide(who, scored(60), state, judged_by(cool_down_days=cool_down_days), at)


def test_who_comes_back_early_waits_until_the_cool_down_is_over():
    early, end = back_again(NOW), NOW + timedelta(days=4)
    assert (early.cycle, early.hands_off, early.why_not) == (2, False, "cooling_down")
    assert (early.cools_until, early.look_again_at) == (end, end)
    state = next_state(PersonState(1, Stage.MQL, NOW - timedelta(days=40), NOW - timedelta(days=10)), early)
    again = [
        decide(person(Stage.RECYCLED), scored(60), state, judged_by(cool_down_days=14), at)
        for at in (end - timedelta(microseconds=1), end)
    ]
    assert [(d.cycle, d.hands_off) for d in again] == [(2, False), (2, True)]
    assert again[1].cools_until is None


def test_a_person_in_the_crm_makes_an_mql_whatever_the_points():
    decision = decide(person(override="mql", phone=None), scored(0), PersonState(), judged_by(required=["phone"]), NOW)
    assert (decision.hands_off, decision.override, decision.missing) == (True, "mql", ("phone",))
    assert decision.deadline_at is not None
    assert back_again(NOW, override="MQL").hands_off


@pytest.mark.parametrize(("who", "state", "disqualified_by", "why_not"), [
    (person(Stage.SAL, override="mql"), PersonState(), "", "already_with_sales"),
    (person(Stage.LOST, override="mql"), PersonState(), "", "already_lost"),
    (person(override="mql"), PersonState(), "競合", "disqualified"),
    (person(override="mql"), PersonState(1, Stage.INQUIRY, NOW), "", "handed_off"),
    (person(Stage.RECYCLED, override="mql"), PersonState(1, Stage.MQL, NOW, NOW + timedelta(days=9)), "", "handed_off"),
    (replace(person(override="mql"), contacts=()), PersonState(), "", "no_record"),
])
def test_not_even_a_person_overrules(who, state, disqualified_by, why_not):
    score = replace(scored(80), disqualified_by=disqualified_by)
    decision = decide(who, score, state, judged_by(), NOW)
    assert (decision.hands_off, decision.why_not) == (False, why_not)


def test_a_person_in_the_crm_holds_somebody_back():
    held = decide(person(override="not_mql"), scored(80), PersonState(), judged_by(), NOW)
    assert (held.hands_off, held.why_not) == (False, "held_back")
    below = decide(person(override="not_mql"), scored(10), PersonState(), judged_by(), NOW)
    assert (below.obstacles, below.why_not) == (("held_back",), "")


@pytest.mark.parametrize("word", [None, "", "maybe", True, 1])
def test_any_other_word_decides_nothing(word):
    assert decide(person(override=word), scored(10), PersonState(), judged_by(), NOW).override == ""


def test_what_a_person_decided_does_not_make_points_last():
    mapping = judged_by(keeps_from_points=10, required=["phone"])
    who = replace(person(override="mql"), contacts=())
    decisions, _ = run(mapping, (who, scored(20)), (person(), scored(20)))
    assert [d.is_qualified for d in decisions] == [True, False]


@pytest.mark.parametrize(("attributes", "missing"), [
    ({"phone": None}, ("phone or mobile",)), ({"phone": "", "mobile": ""}, ("phone or mobile",)),
    ({"phone": None, "mobile": "090"}, ()), ({"phone": None, "mobile": False}, ()),
    ({"company_name": None}, ("company_name",)),
    ({"company_name": "", "phone": ""}, ("phone or mobile", "company_name")),
])
def test_of_alternatives_one_is_enough(attributes, missing):
    mapping = judged_by(required=[["phone", "mobile"], "company_name"])
    decision = decide(person(**attributes), scored(80), PersonState(), mapping, NOW)
    assert (decision.missing, decision.hands_off) == (missing, not missing)


@pytest.mark.parametrize(("fit", "engagement", "cell", "hands_off"), [
    (30, 40, "A1", True), (10, 40, "B1", True), (30, 20, "A2", True), (29.99, 39.99, "B2", False),
    (10, 20, "B2", False), (9.99, 100, "-1", False), (100, 0, "A-", False),
])
def test_a_matrix_asks_for_both_sides(fit, engagement, cell, hands_off):
    mapping = judged_by(threshold_points=None, matrix=MATRIX)
    decision = decide(person(), scored(engagement, fit), PersonState(), mapping, NOW)
    assert (decision.cell, decision.hands_off) == (cell, hands_off)


@pytest.mark.parametrize(("points", "segment"), [
    (0, "cold"), (14.99, "cold"), (15, "warm"), (39.99, "warm"), (40, "hot"),
])
def test_interest_is_cold_warm_or_hot(points, segment):
    mapping = judged_by(segments={"warm_from_points": 15, "hot_from_points": 40})
    assert decide(person(), scored(points), PersonState(), mapping, NOW).segment == segment
    assert decide(person(), scored(points), PersonState(), judged_by(), NOW).segment == ""


@pytest.mark.parametrize(("language", "by_person"), [
    ("ja", "CRMでの人の判断でMQLにしました。"), ("en", "A person in the CRM decided that this is an MQL."),
])
def test_task_and_note_say_that_a_person_decided(language, by_person):
    mapping = judged_by().model_copy(update={"language": language})
    who = person(override="mql")
    decision = decide(who, Score("p_1", "v1", NOW, ()), PersonState(), mapping, NOW)
    task, note = task_document(decision, who, mapping), note_document(decision, who, (), mapping, "hubspot")
    assert task.sections[0].lines == (by_person, reason_line(decision, mapping))
    assert note.sections[0].lines[0] == by_person
    assert reason_line(decision, mapping) == {"ja": "人の判断：0点", "en": "A person's decision: 0 points"}[language]


def test_a_note_of_a_matrix_names_the_cell_and_one_after_a_wait_since_when():
    mapping = judged_by(threshold_points=None, matrix=MATRIX, required=["phone"])
    decisions, _ = run(mapping, (person(phone=None), scored(40, 30)), (person(), scored(40, 30)))
    note = note_document(decisions[1], person(), (), mapping, "hubspot")
    assert note.sections[0].lines[1:] == ("11/24(火)に基準に達しました。", "合計70点（属性30点・行動40点、判定A1）")


def test_the_same_is_decided_whichever_crm_the_override_came_from():
    people = [
        replace(one, attributes={**one.attributes, "override": "mql"})
        for one in (person_of(hubspot()), person_of(salesforce_lead()))
    ]
    decisions = [decide(one, scored(0), PersonState(), judged_by(), NOW) for one in people]
    assert [d.hands_off for d in decisions] == [True, True]
