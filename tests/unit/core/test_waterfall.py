"""Stages with their times, cycle by cycle: from histories, handoffs, what sales did, and what is merely seen."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from core_cases import NOW, hubspot, mirai, person_of, salesforce_contact, salesforce_lead
from hypothesis import given
from hypothesis import strategies as st

from connector.core.waterfall import (
    ENDS,
    FORWARD,
    PersonState,
    Trace,
    dormant_since,
    in_order,
    in_this_cycle,
    lane_of,
    trace,
    without_ours,
)
from connector.mapping.model import Mapping
from connector.mapping.waterfall import Cycles, LaneRule
from connector.records import (
    Activity,
    ActivityKind,
    Decision,
    Lane,
    Person,
    Score,
    Stage,
    StageEntry,
    StageMove,
)

CONTACT = "hubspot:contacts:101"


def day(number: float) -> datetime:
    """So many days before NOW."""
    return NOW - timedelta(days=number)


def did(
    kind: ActivityKind, days_ago: float, source: str = "", subject: str = CONTACT, **attributes: object,
) -> Activity:
    source = source or f"hubspot:things:{kind}-{days_ago}"
    return Activity(f"{source}#{kind}", subject, kind, day(days_ago), "", "hubspot", attributes=attributes)


def moved(stage: Stage, days_ago: float, subject: str = CONTACT) -> Activity:
    source = f"salesforce:lead_history:{stage}{days_ago}"
    return did(ActivityKind.STAGE_MOVED, days_ago, source, subject, stage=stage.value)


def person(stage: Stage = Stage.INQUIRY, *moves: tuple[Stage, float], seen_days_ago: float = 0.0) -> Person:
    found = person_of(hubspot())
    contact = found.contacts[0]._replace(
        stage=stage, modified_at=day(seen_days_ago),
        stage_moves=tuple(StageMove(one, day(days)) for one, days in moves),
    )
    return replace(found, stage=stage, contacts=(contact,))


def handed_off(days_ago: float, cycle: int = 1) -> Decision:
    return Decision("p_1", cycle, day(days_ago), Score("p_1", "v1", day(days_ago), ()), Stage.INQUIRY, True)


def follow(
    who: Person, *done: Activity, state: PersonState | None = None, handoffs: tuple[Decision, ...] = (),
    mapping: Mapping | None = None, now: datetime = NOW,
) -> Trace:
    ordered = sorted(done, key=lambda one: one.occurred_at)
    return trace(who, ordered, handoffs, state or PersonState(), mapping or mirai(), now)


def line(found: Trace) -> list[tuple[int, str, float, str]]:
    """Cycle, stage, days before NOW, basis of each entry."""
    return [(e.cycle, e.stage.value, (NOW - e.entered_at) / timedelta(days=1), e.basis) for e in found.stages]


DOWNLOAD = did(ActivityKind.DOCUMENT_DOWNLOADED, 30)
HANDED_OFF = PersonState(1, Stage.INQUIRY, day(10))


def test_a_new_lead_inquired_when_they_first_did_something():
    found = follow(person(), DOWNLOAD)
    assert line(found) == [(1, "inquiry", 30, "activity")]
    assert (found.stage, found.followed_up_at, found.stages[0].left_at) == (Stage.INQUIRY, None, None)


def test_who_did_nothing_inquired_when_their_record_was_first_seen():
    found = follow(person(seen_days_ago=3))
    assert line(found) == [(1, "inquiry", 3, "seen")]
    later = follow(person(seen_days_ago=1), state=PersonState(stages=found.stages))
    assert line(later) == line(found), "a changed record is no new inquiry"


def test_the_times_are_those_of_the_crms_history():
    found = follow(person(Stage.SQL, (Stage.INQUIRY, 40), (Stage.MQL, 20), (Stage.SQL, 5)), DOWNLOAD)
    assert line(found) == [
        (1, "inquiry", 40, "history"), (1, "mql", 20, "history"), (1, "sal", 5, "skipped"), (1, "sql", 5, "history"),
    ]
    assert [e.left_at for e in found.stages] == [day(20), day(5), day(5), None]


def test_a_history_apart_from_the_record_tells_as_much():
    lead = "salesforce:leads:00Q000000000001AAA"
    who = person_of(salesforce_lead(Status="対応中"))
    found = follow(who, replace(DOWNLOAD, subject=lead), moved(Stage.MQL, 9, lead), moved(Stage.SAL, 8, lead))
    assert line(found) == [(1, "inquiry", 30, "activity"), (1, "mql", 9, "history"), (1, "sal", 8, "history")]
    assert found.stages[-1].crm == "salesforce"


def test_a_converted_leads_history_is_theirs_and_a_duplicates_end_is_not():
    converted = salesforce_lead(ConvertedContactId="003000000000001AAA", Status="商談化")
    duplicate = salesforce_lead("00Q000000000002AAA", Status="対象外")
    who = person_of(salesforce_contact(), converted, duplicate)
    old, other = str(converted.key), str(duplicate.key)
    found = follow(
        who, replace(DOWNLOAD, subject=old), moved(Stage.MQL, 20, old), moved(Stage.SAL, 15, old),
        moved(Stage.SQL, 12, old), moved(Stage.LOST, 3, other),
    )
    assert [e.stage for e in found.stages] == [Stage.INQUIRY, Stage.MQL, Stage.SAL, Stage.SQL]


def test_our_handoff_is_when_they_became_mql_though_no_crm_shows_it_yet():
    found = follow(person(), DOWNLOAD, state=HANDED_OFF)
    assert line(found) == [(1, "inquiry", 30, "activity"), (1, "mql", 10, "handoff")]
    echoed = follow(person(Stage.MQL, (Stage.INQUIRY, 30), (Stage.MQL, 9.9)), DOWNLOAD, state=HANDED_OFF)
    assert line(echoed) == [(1, "inquiry", 30, "activity"), (1, "mql", 10, "handoff")]


@pytest.mark.parametrize("kind", [
    ActivityKind.TASK_COMPLETED, ActivityKind.CALL_MADE, ActivityKind.MEETING_HELD, ActivityKind.EMAIL_EXCHANGED,
])
def test_what_sales_does_after_the_handoff_accepts_the_lead(kind):
    before, after, again = did(kind, 10.5), did(kind, 7), did(kind, 2)
    found = follow(person(Stage.MQL), DOWNLOAD, before, after, again, state=HANDED_OFF)
    assert line(found)[1:] == [(1, "mql", 10, "handoff"), (1, "sal", 7, "deed")]
    assert (found.stage, found.followed_up_at) == (Stage.SAL, day(7))
    assert follow(person(), DOWNLOAD, before, after).stage is Stage.INQUIRY, "nobody was handed off"


def test_a_task_that_we_closed_is_no_work_of_sales():
    ours = replace(did(ActivityKind.TASK_COMPLETED, 7, "salesforce:tasks:1"), title="【取消】 新しいMQL")
    theirs = replace(did(ActivityKind.TASK_COMPLETED, 6, "salesforce:tasks:2"), title="新しいMQL")
    closings = {"salesforce:tasks:1": "【取消】 ", "salesforce:tasks:2": "【取消】 "}
    assert without_ours([ours, theirs], closings) == [theirs]
    assert without_ours([ours, theirs], {}) == [ours, theirs]


def test_a_deed_in_the_handoffs_own_second_came_after_it():
    state = replace(HANDED_OFF, handed_off_at=day(10) + timedelta(seconds=0.6))
    found = follow(person(), DOWNLOAD, did(ActivityKind.CALL_MADE, 10), state=state)
    assert [(e.stage, e.entered_at) for e in found.stages[1:]] == [
        (Stage.MQL, state.handed_off_at), (Stage.SAL, state.handed_off_at),
    ]
    dated = follow(person(Stage.SAL, (Stage.MQL, 10), (Stage.SAL, 10)), DOWNLOAD, state=state)
    assert [(e.stage, e.basis) for e in dated.stages[1:]] == [(Stage.MQL, "handoff"), (Stage.SAL, "history")]


def test_only_what_the_mapping_names_accepts_a_lead():
    handoff = mirai().handoff.model_copy(update={"accepted_by": (ActivityKind.MEETING_HELD,)})
    mapping = mirai().model_copy(update={"handoff": handoff})
    found = follow(person(), DOWNLOAD, did(ActivityKind.CALL_MADE, 7), state=HANDED_OFF, mapping=mapping)
    assert (found.stage, found.followed_up_at) == (Stage.MQL, None)


@pytest.mark.parametrize("kind", [k for k in ActivityKind if k.is_by_lead][:8])
def test_what_the_lead_does_is_no_follow_up(kind):
    assert follow(person(), DOWNLOAD, did(kind, 7), state=HANDED_OFF).followed_up_at is None


def test_a_deal_makes_an_sql_and_its_end_ends_it():
    deal = "hubspot:deals:1"
    opened, won = did(ActivityKind.DEAL_OPENED, 6, deal), did(ActivityKind.DEAL_WON, 1, deal)
    found = follow(person(Stage.MQL), DOWNLOAD, opened, won, state=HANDED_OFF)
    assert line(found)[1:] == [
        (1, "mql", 10, "handoff"), (1, "sal", 6, "skipped"), (1, "sql", 6, "deed"), (1, "won", 1, "deed"),
    ]
    assert found.followed_up_at == day(6)
    lost = did(ActivityKind.DEAL_LOST, 1, deal)
    assert line(follow(person(Stage.MQL), DOWNLOAD, opened, lost, state=HANDED_OFF))[-1] == (1, "lost", 1, "deed")


def test_a_lost_deal_ends_nothing_while_another_goes_on_or_was_won():
    one, other = "hubspot:deals:1", "hubspot:deals:2"
    done = [
        did(ActivityKind.DEAL_OPENED, 6, one), did(ActivityKind.DEAL_OPENED, 5, other),
        did(ActivityKind.DEAL_LOST, 3, one),
    ]
    assert follow(person(Stage.MQL), *done).stage is Stage.SQL
    assert follow(person(Stage.MQL), *done, did(ActivityKind.DEAL_WON, 1, other)).stage is Stage.WON
    assert follow(person(Stage.MQL), *done, did(ActivityKind.DEAL_LOST, 1, other)).stage is Stage.LOST


def test_a_customer_stays_one_when_a_further_deal_is_lost():
    done = [
        did(ActivityKind.DEAL_WON, 9, "hubspot:deals:1"), did(ActivityKind.DEAL_OPENED, 5, "hubspot:deals:2"),
        did(ActivityKind.DEAL_LOST, 1, "hubspot:deals:2"),
    ]
    assert follow(person(Stage.WON), *done).stage is Stage.WON


def test_what_sales_found_before_our_handoff_stands_in_the_first_cycle():
    found = follow(person(Stage.SQL), did(ActivityKind.DEAL_OPENED, 20), DOWNLOAD)
    assert line(found) == [
        (1, "inquiry", 30, "activity"), (1, "mql", 20, "skipped"), (1, "sal", 20, "skipped"), (1, "sql", 20, "deed"),
    ]
    assert found.lane is Lane.MARKETING


def test_who_was_sales_already_when_handed_off_needs_no_follow_up():
    found = follow(person(Stage.SQL), DOWNLOAD, did(ActivityKind.DEAL_OPENED, 20), state=HANDED_OFF)
    assert (found.stage, found.followed_up_at) == (Stage.SQL, day(10))


def test_a_stage_without_a_date_is_dated_when_it_was_first_seen_and_stays_so():
    first = follow(person(Stage.SAL, seen_days_ago=4), DOWNLOAD, state=HANDED_OFF)
    assert line(first)[-1] == (1, "sal", 4, "seen")
    state = replace(HANDED_OFF, stage=None, stages=first.stages)
    assert follow(person(Stage.SAL, seen_days_ago=1), DOWNLOAD, state=state).stages == first.stages
    further = follow(person(Stage.SQL, seen_days_ago=1), DOWNLOAD, state=state)
    assert line(further)[-2:] == [(1, "sal", 4, "seen"), (1, "sql", 1, "seen")]
    corrected = follow(person(Stage.MQL), DOWNLOAD, state=state)
    assert corrected.stage is Stage.MQL, "what a CRM takes back that no history tells was a slip"


def test_a_stage_seen_is_never_before_the_handoff_that_did_not_see_it():
    found = follow(person(Stage.SAL, seen_days_ago=12), DOWNLOAD, state=HANDED_OFF)
    assert line(found)[1:] == [(1, "mql", 10, "handoff"), (1, "sal", 10, "seen")]


def test_a_step_back_in_a_history_is_a_recycling():
    who = person(Stage.INQUIRY, (Stage.INQUIRY, 40), (Stage.MQL, 20), (Stage.INQUIRY, 5))
    found = follow(who, DOWNLOAD)
    assert line(found)[1:] == [(1, "mql", 20, "history"), (1, "recycled", 5, "history")]
    after = follow(who, DOWNLOAD, state=replace(HANDED_OFF, stage=None))
    assert line(after)[1:] == [(1, "mql", 10, "handoff"), (1, "recycled", 5, "history")]
    assert after.followed_up_at == day(5)
    taken_up = replace(who, stage=Stage.SAL)
    assert follow(taken_up, DOWNLOAD).stage is Stage.SAL, "another CRM says that sales has them"


@pytest.mark.parametrize(("said", "elsewhere", "since", "expected"), [
    (Stage.INQUIRY, Stage.MQL, 2, Stage.RECYCLED), (Stage.INQUIRY, Stage.MQL, None, Stage.RECYCLED),
    (Stage.INQUIRY, Stage.SAL, 7, Stage.SAL), (Stage.INQUIRY, Stage.WON, 7, Stage.WON),
    (Stage.RECYCLED, Stage.SAL, 7, Stage.RECYCLED), (Stage.RECYCLED, Stage.SQL, 7, Stage.RECYCLED),
    (Stage.RECYCLED, Stage.SQL, 2, Stage.SQL), (Stage.RECYCLED, Stage.SQL, None, Stage.SQL),
    (Stage.RECYCLED, Stage.WON, 7, Stage.WON),
])
def test_a_recycling_in_one_crm_holds_against_what_is_or_may_be_our_own_write_in_the_other(
    said, elsewhere, since, expected,
):
    back = person(said, (Stage.MQL, 9), (said, 5)).contacts[0]
    lead = salesforce_lead()._replace(stage=elsewhere)
    moves = [moved(elsewhere, since, str(lead.key))] if since is not None else []
    found = follow(person_of(back, lead), DOWNLOAD, *moves, state=replace(HANDED_OFF, stage=None))
    assert found.stage is expected
    assert found.followed_up_at is not None


def test_a_replaced_record_tells_nothing_of_a_cycle_that_was_opened_after_its_last_change():
    contact = salesforce_contact()._replace(stage=Stage.MQL)
    lead = salesforce_lead(ConvertedContactId=contact.key.remote_id, Status="商談化")._replace(modified_at=day(40))
    who = person_of(contact, lead)
    opened = (StageEntry(2, Stage.INQUIRY, day(20), None, "activity"),)
    later = PersonState(2, Stage.RECYCLED, day(10), stages=opened)
    assert who.stage is in_this_cycle(who, PersonState()).stage is Stage.SQL
    assert in_this_cycle(who, later).stage is Stage.MQL
    touched = person_of(contact, lead._replace(modified_at=day(15)))
    assert in_this_cycle(touched, later).stage is Stage.SQL


def test_an_end_is_taken_back_when_sales_goes_on():
    who = person(Stage.SAL, (Stage.MQL, 20), (Stage.LOST, 9), (Stage.SAL, 5))
    assert [e.stage for e in follow(who, DOWNLOAD).stages] == [Stage.INQUIRY, Stage.MQL, Stage.SAL]
    lost = person(Stage.SAL, (Stage.SAL, 20))
    deal = [did(ActivityKind.DEAL_OPENED, 9, "d:d:1"), did(ActivityKind.DEAL_LOST, 5, "d:d:1")]
    assert follow(lost, DOWNLOAD, *deal).stage is Stage.LOST, "a status that nobody touched since says nothing new"


def test_sales_wins_over_our_recycling_and_an_mql_of_ours_does_not():
    state = replace(HANDED_OFF, stage=None, sent_back_at=day(4))
    for shown in (Stage.INQUIRY, Stage.MQL):
        found = follow(person(shown), DOWNLOAD, state=state)
        assert line(found)[-1] == (1, "recycled", 4, "recycled")
        assert found.followed_up_at is None
    echo = person(Stage.INQUIRY, (Stage.MQL, 9.9), (Stage.INQUIRY, 3.9))
    assert line(follow(echo, DOWNLOAD, state=state))[-1] == (1, "recycled", 4, "recycled")
    assert follow(person(Stage.SAL, seen_days_ago=1), DOWNLOAD, state=state).stage is Stage.SAL
    assert follow(person(Stage.MQL), DOWNLOAD, did(ActivityKind.DEAL_OPENED, 1), state=state).stage is Stage.SQL
    called = follow(person(Stage.MQL), DOWNLOAD, did(ActivityKind.CALL_MADE, 1), state=state)
    assert called.stage is Stage.RECYCLED


def test_a_recycling_by_sales_after_it_took_ours_back_is_no_echo_of_ours():
    state = replace(HANDED_OFF, stage=None, sent_back_at=day(8))
    moves = [(Stage.MQL, 9.9), (Stage.INQUIRY, 8), (Stage.SQL, 5)]
    assert follow(person(Stage.SQL, *moves), DOWNLOAD, state=state).stage is Stage.SQL
    back = follow(person(Stage.INQUIRY, *moves, (Stage.INQUIRY, 2)), DOWNLOAD, state=state)
    assert line(back)[-2:] == [(1, "sql", 5, "history"), (1, "recycled", 2, "history")]


def test_a_passage_before_ours_is_not_mixed_with_the_handoffs():
    who = person(Stage.MQL, (Stage.MQL, 400), (Stage.SAL, 390), (Stage.RECYCLED, 380), (Stage.MQL, 9.9))
    found = follow(who, DOWNLOAD, state=HANDED_OFF)
    assert line(found) == [(1, "inquiry", 400, "history"), (1, "mql", 10, "handoff")]


def test_a_cycle_begins_with_what_opened_it_and_the_one_before_keeps_its_line():
    first = (
        StageEntry(1, Stage.INQUIRY, day(90), day(80), "activity"),
        StageEntry(1, Stage.MQL, day(80), day(60), "handoff"),
        StageEntry(1, Stage.RECYCLED, day(60), day(20), "recycled"),
        StageEntry(2, Stage.INQUIRY, day(20), None, "activity"),
    )
    state = PersonState(2, Stage.MQL, day(10), stages=first)
    done = [did(ActivityKind.DOCUMENT_DOWNLOADED, 90), did(ActivityKind.DOCUMENT_DOWNLOADED, 20)]
    handoffs = (handed_off(80), handed_off(10, 2))
    found = follow(person(Stage.MQL), *done, did(ActivityKind.CALL_MADE, 3), state=state, handoffs=handoffs)
    assert line(found) == [
        (1, "inquiry", 90, "activity"), (1, "mql", 80, "handoff"), (1, "recycled", 60, "recycled"),
        (2, "inquiry", 20, "activity"), (2, "mql", 10, "handoff"), (2, "sal", 3, "deed"),
    ]
    assert found.stages[2].left_at == day(20)


@pytest.mark.parametrize("stale", [Stage.LOST, Stage.RECYCLED, Stage.MQL])
def test_what_the_crms_said_when_the_cycle_began_is_no_news_until_they_say_something_else(stale):
    state = PersonState(2, stale, day(10))
    before = (handed_off(80), handed_off(10, 2))
    assert follow(person(stale), DOWNLOAD, state=state, handoffs=before).stage is Stage.MQL
    again = replace(state, stage=None)
    assert follow(person(stale), DOWNLOAD, state=again, handoffs=before).stage is stale


def test_a_history_of_whole_seconds_does_not_take_our_own_writes_for_those_of_sales():
    state = PersonState(1, None, day(10) + timedelta(seconds=0.6), sent_back_at=day(4) + timedelta(seconds=0.7))
    who = person(Stage.INQUIRY, (Stage.MQL, 10), (Stage.INQUIRY, 4))
    found = follow(who, DOWNLOAD, state=state)
    assert [one.basis for one in found.stages] == ["activity", "handoff", "recycled"]
    assert found.followed_up_at is None


def test_what_is_dated_later_than_now_is_not_heard_yet():
    found = follow(person(), DOWNLOAD, did(ActivityKind.DEAL_WON, -30), state=HANDED_OFF)
    assert found.stage is Stage.MQL


def test_the_lane_is_the_first_whose_conditions_hold():
    rules = [("tql", "tele"), ("sgl", ["tele", "ref"])]
    lanes = [LaneRule.model_validate({"lane": lane, "person": {"lead_source": source}}) for lane, source in rules]
    mapping = mirai().model_copy(update={"lanes": tuple(lanes)})
    found = [lane_of(replace(person(), attributes={"lead_source": s}), mapping) for s in ("tele", "ref", "web")]
    assert found == [Lane.TELE, Lane.SALES, Lane.MARKETING]


def test_dormant_is_who_does_nothing_for_long_in_a_stage_that_allows_it():
    mapping = mirai().model_copy(update={"cycles": Cycles(dormant_after_days=60)})
    stages = (StageEntry(1, Stage.MQL, day(200), None, "handoff"),)
    done = [did(ActivityKind.WEBSITE_VISITED, 190), did(ActivityKind.TASK_COMPLETED, 150)]
    assert dormant_since(stages, done, mapping, NOW) == day(130)
    assert dormant_since(stages, [*done, did(ActivityKind.WEBSITE_VISITED, 5)], mapping, NOW) == day(130)
    assert dormant_since(stages, done, mapping, day(130.01)) is None
    busy = [did(ActivityKind.WEBSITE_VISITED, n) for n in range(200, 0, -30)]
    assert dormant_since(stages, busy, mapping, NOW) is None
    assert dormant_since((stages[0]._replace(stage=Stage.SAL),), done, mapping, NOW) is None
    assert dormant_since(stages, done, mirai(), NOW) is None


moves = st.lists(st.tuples(st.sampled_from(Stage), st.integers(0, 100)), max_size=8)
kinds = st.sampled_from(ActivityKind)
deeds = st.lists(st.tuples(kinds, st.integers(-3, 100), st.integers(1, 2)), max_size=8)


@st.composite
def memories(draw) -> tuple[PersonState, tuple[Decision, ...]]:
    """A state as several cycles may have left it, and the handoffs of theirs."""
    cycle = draw(st.integers(1, 3))
    moments = draw(st.lists(st.integers(0, 100), min_size=2 * cycle, max_size=2 * cycle))
    openings, days = sorted(moments, reverse=True)[::2], sorted(moments, reverse=True)[1::2]
    is_handed_off = draw(st.booleans())
    handoffs = tuple(handed_off(one, n) for n, one in enumerate(days, 1) if n < cycle or is_handed_off)
    at = handoffs[-1].decided_at if is_handed_off else None
    opened = tuple(
        StageEntry(n, Stage.INQUIRY, day(openings[n - 1]), None, "activity") for n in range(2, cycle + 1)
    )
    seen = draw(st.lists(st.tuples(st.sampled_from(Stage), st.integers(0, 100), st.integers(1, cycle)), max_size=3))
    stages = (*opened, *(StageEntry(n, stage, day(d), None, "seen") for stage, d, n in seen))
    sent_back_at = day(draw(st.integers(0, days[-1]))) if is_handed_off and draw(st.booleans()) else None
    stale = draw(st.none() | st.sampled_from(Stage))
    return PersonState(cycle, stale, at, None, sent_back_at=sent_back_at, stages=stages), handoffs


@given(st.sampled_from(Stage), moves, moves, deeds, memories(), st.integers(0, 50))
def test_every_line_is_in_order_without_gaps_and_goes_forward_but_for_its_end(shown, told, apart, done, memory, seen):
    state, handoffs = memory
    found = follow(
        person(shown, *told, seen_days_ago=seen), *(moved(stage, days) for stage, days in apart),
        *(did(kind, days, f"hubspot:deals:{n}") for kind, days, n in done if kind is not ActivityKind.STAGE_MOVED),
        state=state, handoffs=handoffs,
    )
    stages = found.stages
    assert stages[-1].left_at is None
    for one, following in pairwise(stages):
        assert one.left_at == following.entered_at >= one.entered_at
        assert one.basis != "skipped" or one.left_at == one.entered_at
    assert all(one.entered_at <= NOW for one in stages)
    assert [one.cycle for one in stages] == sorted(one.cycle for one in stages)
    assert in_order(reversed(stages)) == stages
    for cycle in {one.cycle for one in stages}:
        own = [one.stage for one in stages if one.cycle == cycle]
        forward = [stage for stage in own if stage not in ENDS]
        assert forward == list(FORWARD[:len(forward)]), "each stage once, none left out"
        assert own == [*forward, *(stage for stage in own if stage in ENDS)]
        assert len(set(own)) == len(own)
    assert (found.stage, found.stages[-1].cycle) == (stages[-1].stage, state.cycle)
    assert state.handed_off_at is not None or found.followed_up_at is None
