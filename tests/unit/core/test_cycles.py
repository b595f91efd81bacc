"""Who comes back: recycled by sales or by us, dormant, and the next cycle with a handoff of its own."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from core_cases import NOW, hubspot, mirai, person_of
from hypothesis import given
from hypothesis import strategies as st

from connector.core.lifecycle import PersonState, decide, next_state
from connector.core.watch import recycle_at
from connector.core.waterfall import ENDS, FORWARD
from connector.mapping.definition import Definition
from connector.mapping.model import Mapping
from connector.mapping.waterfall import Cycles
from connector.records import Activity, ActivityKind, Decision, Person, Reason, Score, Stage, StageMove

DAY = timedelta(days=1)
CONTACT = "hubspot:contacts:101"


def mapping(*, dormant_after_days: float | None = None, recycles: bool = True, **said: object) -> Mapping:
    """The mapping with a threshold of 20 points, an MQL going back 8 business hours after its deadline of 8."""
    definition = Definition.model_validate({
        "version": "v1", "threshold_points": 20, "segments": {"warm_from_points": 10, "hot_from_points": 50},
        "rules": [{"id": "act.download", "label": "資料", "points": 20, "activity": "document_downloaded"}], **said,
    })
    handoff = mirai().handoff.model_copy(update={
        "deadline_business_hours": 8, "deadline_business_hours_by_segment": {"hot": 1},
        "recycle_business_hours_after": 8 if recycles else None, "remind_business_hours_before": None,
        "escalate_business_hours_after": None,
    })
    return mirai().model_copy(update={
        "definition": definition, "handoff": handoff, "cycles": Cycles(dormant_after_days=dormant_after_days),
    })


class Life:
    """One person, judged again and again; what each look decides is remembered as the store would."""

    def __init__(self, how: Mapping) -> None:
        self.mapping = how
        self.state = PersonState()
        self.done: list[Activity] = []
        self.handoffs: list[Decision] = []
        self.moves: tuple[StageMove, ...] = ()
        self.shown, self.changed_at = Stage.INQUIRY, NOW

    def person(self) -> Person:
        found = person_of(hubspot())
        contact = found.contacts[0]._replace(stage=self.shown, modified_at=self.changed_at, stage_moves=self.moves)
        return replace(found, stage=self.shown, contacts=(contact,))

    def does(self, kind: ActivityKind, at: datetime, source: str = "") -> None:
        source = source or f"hubspot:things:{len(self.done)}"
        self.done.append(Activity(f"{source}#{kind}", CONTACT, kind, at, "", "hubspot"))

    def downloads(self, days: float) -> None:
        self.does(ActivityKind.DOCUMENT_DOWNLOADED, NOW + days * DAY)

    def shows(self, stage: Stage, days: float) -> None:
        self.shown, self.changed_at = stage, NOW + days * DAY

    def score(self, now: datetime) -> Score:
        earning = [a for a in self.done if a.kind is ActivityKind.DOCUMENT_DOWNLOADED and a.occurred_at <= now]
        return Score("p_1", "v1", now, tuple(
            Reason("act.download", "資料", "engagement", 20, a.activity_id, "", a.occurred_at) for a in earning
        ))

    def look(self, days: float) -> Decision:
        """Judge, remember; and judge the same again, which must not change where they stand."""
        now = NOW + days * DAY
        decision = self._judge(now)
        self.state = next_state(self.state, decision)
        if decision.hands_off:
            self.handoffs.append(decision)
        again = self._judge(now)
        assert (again.stages, again.stage, again.cycle) == (decision.stages, decision.stage, decision.cycle)
        assert (again.recycles, again.hands_off) == ("", False)
        assert again.followed_up_at == decision.followed_up_at
        return decision

    def _judge(self, now: datetime) -> Decision:
        done = sorted(self.done, key=lambda one: one.occurred_at)
        return decide(
            self.person(), self.score(now), self.state, self.mapping, now, done=done, handoffs=tuple(self.handoffs),
        )


def line(decision: Decision) -> list[tuple[int, str, str]]:
    return [(one.cycle, one.stage.value, one.basis) for one in decision.stages]


def handed_off(how: Mapping) -> Life:
    life = Life(how)
    life.downloads(-1)
    assert life.look(0).hands_off
    return life


OVER = 3.0
"""Days from NOW (a Tuesday) after which 8 + 8 business hours have passed."""


def test_a_handoff_makes_an_mql_at_once_and_says_when_to_look_again():
    life = Life(mapping())
    life.downloads(-1)
    decision = life.look(0)
    assert (decision.stage, line(decision)) == (
        Stage.MQL, [(1, "inquiry", "activity"), (1, "mql", "handoff")],
    )
    assert decision.look_again_at == recycle_at(decision, life.mapping)
    again = life.look(0.1)
    assert (again.stage, again.obstacles, again.why_not) == (Stage.MQL, ("handed_off",), "handed_off")


def test_the_hot_have_less_time_and_go_first():
    life = Life(mapping(segments={"warm_from_points": 1, "hot_from_points": 20}))
    life.downloads(-1)
    decision = life.look(0)
    assert (decision.segment, decision.is_urgent) == ("hot", True)
    assert decision.deadline_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("shown", [Stage.INQUIRY, Stage.MQL])
def test_whom_nobody_acts_on_goes_back_once(shown):
    life = handed_off(mapping(cool_down_days=5))
    life.shows(shown, 0.1)
    assert life.look(1).recycles == ""
    decision = life.look(OVER)
    assert (decision.recycles, decision.stage, decision.recycled_at) == ("overdue", Stage.RECYCLED, NOW + OVER * DAY)
    assert line(decision)[-1] == (1, "recycled", "recycled")
    assert (life.state.sent_back_at, decision.followed_up_at) == (NOW + OVER * DAY, None)
    later = life.look(OVER + 1)
    assert (later.recycles, later.stage, later.why_not) == ("", Stage.RECYCLED, "handed_off")


@pytest.mark.parametrize("kind", [ActivityKind.TASK_COMPLETED, ActivityKind.CALL_MADE, ActivityKind.DEAL_OPENED])
def test_whom_sales_acts_on_is_never_sent_back_nor_handed_over_again(kind):
    life = handed_off(mapping())
    life.shows(Stage.MQL, 0.1)
    life.does(kind, NOW + 0.5 * DAY)
    life.downloads(1)
    decision = life.look(OVER)
    assert (decision.recycles, decision.hands_off, decision.why_not) == ("", False, "already_with_sales")
    assert decision.followed_up_at == NOW + 0.5 * DAY
    assert decision.look_again_at is None


@pytest.mark.parametrize("shown", [Stage.SAL, Stage.SQL, Stage.WON, Stage.LOST, Stage.RECYCLED])
def test_whom_a_crm_shows_further_or_sent_back_is_not_sent_back_by_us(shown):
    life = handed_off(mapping())
    life.shows(shown, 1)
    decision = life.look(OVER)
    assert (decision.recycles, decision.stage) == ("", shown)
    assert decision.followed_up_at == NOW + DAY


def test_without_a_number_of_hours_nobody_is_sent_back():
    assert handed_off(mapping(recycles=False)).look(400).recycles == ""


@pytest.mark.parametrize("shown", [Stage.INQUIRY, Stage.MQL])
def test_who_comes_back_after_our_recycling_gets_the_next_cycle(shown):
    life = handed_off(mapping())
    life.shows(shown, 0.1)
    life.look(OVER)
    life.downloads(OVER - 0.5)
    assert not life.look(OVER + 1).hands_off, "what was known when they were sent back is no news"
    life.downloads(10)
    decision = life.look(11)
    assert (decision.hands_off, decision.cycle) == (True, 2)
    assert line(decision) == [
        (1, "inquiry", "activity"), (1, "mql", "handoff"), (1, "recycled", "recycled"),
        (2, "inquiry", "activity"), (2, "mql", "handoff"),
    ]
    assert [one.entered_at for one in decision.stages[2:]] == [NOW + n * DAY for n in (OVER, 10, 11)]
    assert (life.state.sent_back_at, life.state.recycled_at) == (None, None)
    assert life.look(12).obstacles == ("handed_off",)


def test_our_recycling_cools_down_too():
    life = handed_off(mapping(cool_down_days=14))
    life.look(OVER)
    life.downloads(10)
    early = life.look(11)
    assert (early.cycle, early.hands_off, early.why_not) == (2, False, "cooling_down")
    assert early.look_again_at == NOW + (OVER + 14) * DAY
    assert life.look(OVER + 14).hands_off


def test_sales_that_takes_on_whom_we_sent_back_wins():
    life = handed_off(mapping())
    life.shows(Stage.MQL, 0.1)
    life.look(OVER)
    life.shows(Stage.SAL, 5)
    life.downloads(6)
    decision = life.look(7)
    assert (decision.stage, decision.hands_off, decision.recycles) == (Stage.SAL, False, "")
    assert line(decision) == [(1, "inquiry", "activity"), (1, "mql", "handoff"), (1, "sal", "seen")]


@pytest.mark.parametrize("shown", [Stage.MQL, Stage.LOST])
def test_the_dormant_are_offered_again_when_they_come_back(shown):
    life = handed_off(mapping(dormant_after_days=90, recycles=False))
    life.shows(shown, 1)
    life.downloads(60)
    assert not life.look(61).hands_off
    life.does(ActivityKind.NEWSLETTER_CLICKED, NOW + 200 * DAY)
    assert not life.look(201).hands_off, "what earns no points brings nobody back"
    life.downloads(210)
    decision = life.look(211)
    assert (decision.hands_off, decision.cycle, decision.obstacles) == (True, 2, ())
    assert line(decision)[-2:] == [(2, "inquiry", "activity"), (2, "mql", "handoff")]
    assert life.look(212).obstacles == ("handed_off",)
    life.shows(Stage.SAL, 213)
    assert life.look(214).why_not == "already_with_sales"


def test_the_dormant_in_a_stage_that_allows_it_not_stay_with_sales():
    life = handed_off(mapping(dormant_after_days=90, recycles=False))
    life.shows(Stage.SAL, 1)
    life.look(2)
    life.downloads(210)
    assert life.look(211).why_not == "already_with_sales"


def test_a_lost_one_of_the_next_cycle_is_lost_again():
    life = handed_off(mapping(dormant_after_days=90, recycles=False))
    life.shows(Stage.LOST, 1)
    life.look(2)
    life.downloads(210)
    assert life.look(211).hands_off
    life.shows(Stage.MQL, 211.1)
    life.look(212)
    life.shows(Stage.LOST, 220)
    decision = life.look(221)
    assert line(decision)[-1] == (2, "lost", "seen")
    assert decision.why_not == "already_lost"


def test_a_history_that_comes_late_dates_what_was_seen():
    life = handed_off(mapping())
    life.shows(Stage.SAL, 2)
    assert line(life.look(2.5))[-1] == (1, "sal", "seen")
    life.moves = (StageMove(Stage.MQL, NOW + 0.1 * DAY), StageMove(Stage.SAL, NOW + DAY))
    decision = life.look(3)
    assert (line(decision)[-1], decision.stages[-1].entered_at) == ((1, "sal", "history"), NOW + DAY)


SHOWN = st.sampled_from(Stage)
KINDS = st.sampled_from([kind for kind in ActivityKind if kind is not ActivityKind.STAGE_MOVED])
STEPS = st.lists(
    st.tuples(st.integers(1, 60), st.none() | SHOWN, st.lists(KINDS, max_size=2), st.booleans()), max_size=10,
)


@given(STEPS, st.booleans(), st.none() | st.integers(10, 100), st.integers(0, 30))
def test_whatever_happens_each_cycle_has_one_handoff_and_one_line(steps, recycles, dormant_after_days, cool_down_days):
    life = Life(mapping(recycles=recycles, dormant_after_days=dormant_after_days, cool_down_days=cool_down_days))
    life.downloads(-1)
    days, decisions = 0.0, [life.look(0)]
    for waited, shown, kinds, is_dated in steps:
        days += waited
        for number, kind in enumerate(kinds):
            at = NOW + (days - number / 4) * DAY
            life.does(kind, at, f"hubspot:deals:{number}" if kind.value.startswith("deal") else "")
        if shown is not None:
            life.shows(shown, days - 0.1)
            if is_dated:
                life.moves = (*life.moves, StageMove(shown, NOW + (days - 0.1) * DAY))
        decisions.append(life.look(days))
    cycles = [decision.cycle for decision in decisions]
    assert cycles == sorted(cycles)
    passed = [decision.cycle for decision in decisions if decision.hands_off]
    assert passed == list(range(1, len(passed) + 1)), "each cycle is handed off once, and the next opens after it"
    sent_back = [decision.cycle for decision in decisions if decision.recycles]
    assert len(set(sent_back)) == len(sent_back)
    for decision in decisions:
        stages = decision.stages
        assert (stages[-1].left_at, stages[-1].stage) == (None, decision.stage)
        for one, following in pairwise(stages):
            assert one.left_at == following.entered_at >= one.entered_at
        for cycle in range(1, decision.cycle + 1):
            own = [one.stage for one in stages if one.cycle == cycle]
            forward = [stage for stage in own if stage not in ENDS]
            assert own == [*FORWARD[:len(forward)], *own[len(forward):]]
            assert len(set(own)) == len(own) > 0
        if decision.hands_off:
            assert decision.stage is Stage.MQL
            assert (stages[-1].entered_at, stages[-1].basis) == (decision.decided_at, "handoff")
