"""Whom a backfill holds, and what lets them go: any order of looks, deeds and backfills."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core_cases import NOW, hubspot, mirai, person_of
from hypothesis import given
from hypothesis import strategies as st

from connector.core.lifecycle import BACKFILLED, PersonState, decide, next_state
from connector.records import OVERRIDE, Decision, Person, Reason, Score, Stage

DAY = timedelta(days=1)
ENOUGH = 1_000.0


def score(days: list[float], points: float = ENOUGH) -> Score:
    """Points for a deed on each of these days from now."""
    reasons = [
        Reason("act", "資料", "engagement", points, f"hubspot:things:{n}", "", NOW + day * DAY)
        for n, day in enumerate(days)
    ]
    return Score("p_1", "v1", NOW, tuple(reasons))


def judge(
    days: list[float], state: PersonState | None = None, *, holds_since: float | None = None,
    person: Person | None = None, points: float = ENOUGH, cool_down_days: float = 0,
) -> Decision:
    since = None if holds_since is None else NOW + holds_since * DAY
    mapping = mirai()
    mapping = mapping.model_copy(update={
        "definition": mapping.definition.model_copy(update={"cool_down_days": cool_down_days}),
    })
    return decide(
        person or person_of(hubspot()), score(days, points), state or PersonState(), mapping, NOW, holds_since=since,
    )


def test_nobody_is_handed_off_for_what_was_before_the_backfill_and_it_says_so() -> None:
    decision = judge([-2], holds_since=-1)
    assert (decision.hands_off, decision.why_not, decision.is_qualified) == (False, BACKFILLED, True)
    assert (decision.stage, decision.held_at) == (Stage.INQUIRY, NOW - DAY)
    assert judge([-2]).hands_off
    assert judge([-2, -0.5], holds_since=-1).hands_off
    assert not judge([-2, -0.5], holds_since=-1, points=0).is_qualified


def test_the_held_stay_held_when_it_is_over_until_they_earn_points_again_in_the_same_cycle() -> None:
    held = next_state(PersonState(), judge([-2], holds_since=-1))
    assert held.held_at == NOW - DAY
    again = judge([-2], held)
    assert (again.hands_off, again.why_not) == (False, BACKFILLED)
    assert next_state(held, again) == held
    came_back = judge([-2, -0.1], held)
    assert (came_back.hands_off, came_back.cycle, came_back.held_at) == (True, 1, None)
    assert next_state(held, came_back).held_at is None


def test_a_person_in_the_crm_decides_all_the_same() -> None:
    person = replace(person_of(hubspot()), attributes={**person_of(hubspot()).attributes, OVERRIDE: "mql"})
    assert judge([-2], holds_since=-1, person=person).hands_off
    no = replace(person, attributes={**person.attributes, OVERRIDE: "not_mql"})
    assert judge([-2], holds_since=-1, person=no).why_not == "held_back"


def test_whom_something_else_stands_against_is_not_held() -> None:
    sold = replace(person_of(hubspot()), stage=Stage.WON)
    contacts = tuple(c._replace(stage=Stage.WON) for c in sold.contacts)
    decision = judge([-2], holds_since=-1, person=replace(sold, contacts=contacts))
    assert decision.obstacles == ("already_customer",)
    assert decision.held_at is None
    assert judge([], holds_since=-1).held_at is None


def test_who_comes_back_by_what_was_before_the_backfill_is_held_in_the_next_cycle_too() -> None:
    sent_back = PersonState(1, Stage.MQL, NOW - 30 * DAY, sent_back_at=NOW - 20 * DAY)
    assert judge([-40, -5], sent_back).cycle == 2
    assert judge([-40, -5], sent_back).hands_off
    held = judge([-40, -5], sent_back, holds_since=-1)
    assert (held.cycle, held.why_not, held.held_at) == (2, BACKFILLED, NOW - DAY)
    # The backfill holds them before a run has opened the cycle for them.
    by_backfill = replace(sent_back, held_at=NOW - DAY)
    again = judge([-40, -5], by_backfill)
    assert (again.cycle, again.why_not, again.held_at) == (2, BACKFILLED, NOW - DAY)
    assert judge([-40, -5], next_state(by_backfill, again)).why_not == BACKFILLED
    assert judge([-40, -5, -0.5], by_backfill).hands_off


def test_whom_a_cool_down_alone_keeps_back_is_held_for_its_end_hands_nobody_off() -> None:
    sent_back = PersonState(recycled_at=NOW - 10 * DAY)
    cooling = judge([-2], sent_back, holds_since=-1, cool_down_days=20)
    assert (cooling.obstacles, cooling.held_at) == (("cooling_down", BACKFILLED), NOW - DAY)
    cooled = judge([-2], next_state(sent_back, cooling), cool_down_days=5)
    assert cooled.obstacles == (BACKFILLED,)
    assert judge([-2, -0.5], next_state(sent_back, cooling), cool_down_days=5).hands_off


@given(st.lists(
    st.tuples(
        st.lists(st.floats(-9, 0, allow_nan=False), max_size=3),    # what became known since the last look, and when
        st.none() | st.floats(-9, 0, allow_nan=False),              # a backfill that is under way, and since when
    ), min_size=1, max_size=6,
))
def test_whatever_comes_in_whatever_order_a_handoff_has_a_deed_behind_every_backfill_that_held(
    looks: list[tuple[list[float], float | None]],
) -> None:
    state, known, held_since, handed_off = PersonState(), [], None, 0
    for days, holds_since in looks:
        known += days
        decision = judge(known, state, holds_since=holds_since)
        held = BACKFILLED in decision.obstacles
        if decision.hands_off:
            handed_off += 1
            bounds = [b for b in (holds_since, held_since) if b is not None]
            assert all(any(NOW + day * DAY >= NOW + bound * DAY for day in known) for bound in bounds)
        elif known and not handed_off:
            assert held, "nothing else stands against it"
        if held:
            held_since = max(b for b in (holds_since, held_since) if b is not None)
            assert decision.held_at == NOW + held_since * DAY
        state = next_state(state, decision)
    assert handed_off <= 1
