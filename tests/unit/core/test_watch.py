"""Whether sales acts in time: reminder before the deadline, escalation after it, recycling at last."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from core_cases import mirai
from hypothesis import given
from hypothesis import strategies as st

from connector.core.watch import deadline_of, due, escalate_at, next_watch_at, recycle_at, remind_at
from connector.records import Decision, Score, Stage

TOKYO = ZoneInfo("Asia/Tokyo")


def tokyo(*parts):
    return datetime(*parts, tzinfo=TOKYO)


def watching(**handoff):
    hours = {
        "deadline_business_hours": 8.0, "remind_business_hours_before": 2.0, "escalate_business_hours_after": 4.0,
        "recycle_business_hours_after": 40.0,
    }
    return mirai().model_copy(update={"handoff": mirai().handoff.model_copy(update=hours | handoff)})


def handed_off(at, mapping=None, segment="hot"):
    mapping = mapping or watching()
    return Decision(
        "p_1", 1, at.astimezone(UTC), Score("p_1", "2026-11", at.astimezone(UTC), ()), Stage.INQUIRY, hands_off=True,
        deadline_at=deadline_of(segment, mapping, at),
    )


MADE_AT = tokyo(2027, 1, 7, 10)                      # a Thursday; Monday 01-11 is 成人の日
HANDOFF = handed_off(MADE_AT)
REMINDS_AT, DEADLINE = tokyo(2027, 1, 7, 16), tokyo(2027, 1, 7, 18)
ESCALATES_AT, RECYCLES_AT = tokyo(2027, 1, 8, 13), tokyo(2027, 1, 15, 13)


def test_the_three_moments_are_counted_in_business_hours_from_the_deadline():
    assert HANDOFF.deadline_at == DEADLINE
    assert remind_at(HANDOFF, watching()) == REMINDS_AT
    assert escalate_at(HANDOFF, watching()) == ESCALATES_AT
    assert recycle_at(HANDOFF, watching()) == RECYCLES_AT


def test_each_segment_has_its_own_deadline():
    mapping = watching(deadline_business_hours_by_segment={"hot": 4.0})
    friday = tokyo(2027, 1, 8, 17, 30)
    assert deadline_of("hot", mapping, friday) == tokyo(2027, 1, 12, 12, 30)
    assert deadline_of("warm", mapping, friday) == deadline_of("", mapping, friday) == tokyo(2027, 1, 12, 16, 30)


def test_what_the_mapping_does_not_ask_for_never_happens():
    silent = watching(
        remind_business_hours_before=None, escalate_business_hours_after=None, recycle_business_hours_after=None,
    )
    assert (remind_at(HANDOFF, silent), escalate_at(HANDOFF, silent), recycle_at(HANDOFF, silent)) == (None,) * 3
    assert due(HANDOFF, None, silent, tokyo(2030, 1, 1)) == ()
    assert next_watch_at(HANDOFF, None, silent, MADE_AT) is None


def test_nobody_is_reminded_of_what_they_were_told_this_moment():
    mapping = watching(deadline_business_hours_by_segment={"hot": 2.0})
    handoff = handed_off(MADE_AT, mapping)
    assert remind_at(handoff, mapping) is None
    assert due(handoff, None, mapping, handoff.deadline_at - timedelta(minutes=1)) == ()


@pytest.mark.parametrize(("now", "expected"), [
    (MADE_AT, ()),
    (REMINDS_AT - timedelta(seconds=1), ()),
    (REMINDS_AT, ("reminder",)),
    (DEADLINE - timedelta(seconds=1), ("reminder",)),
    (DEADLINE, ()),
    (ESCALATES_AT - timedelta(seconds=1), ()),
    (ESCALATES_AT, ("escalation",)),
    (RECYCLES_AT + timedelta(days=30), ("escalation",)),
])
def test_what_is_due_when_including_what_became_due_while_nobody_ran(now, expected):
    assert due(HANDOFF, None, watching(), now) == expected


@pytest.mark.parametrize("now", [REMINDS_AT, ESCALATES_AT, RECYCLES_AT])
def test_after_a_follow_up_nothing_is_due_any_more(now):
    assert due(HANDOFF, MADE_AT + timedelta(minutes=5), watching(), now) == ()
    assert next_watch_at(HANDOFF, MADE_AT + timedelta(minutes=5), watching(), MADE_AT) is None


@pytest.mark.parametrize("stage", Stage)
def test_only_who_sales_has_neither_taken_on_nor_sent_back_is_watched(stage):
    is_waiting = stage in (Stage.INQUIRY, Stage.MQL)
    assert due(HANDOFF, None, watching(), ESCALATES_AT, stage=stage) == (("escalation",) if is_waiting else ())
    assert (next_watch_at(HANDOFF, None, watching(), MADE_AT, stage=stage) is not None) is is_waiting


def test_the_next_look_is_at_the_next_of_the_moments():
    moments, now = [], MADE_AT
    while (now := next_watch_at(HANDOFF, None, watching(), now)) is not None:
        moments.append(now)
    assert moments == [REMINDS_AT, ESCALATES_AT, RECYCLES_AT]


hours = st.one_of(st.none(), st.floats(0.25, 100))
nows = st.datetimes(datetime(2027, 1, 1), datetime(2027, 3, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.datetimes(datetime(2026, 12, 1), datetime(2027, 2, 1), timezones=st.just(UTC)), hours, hours, hours,  # noqa: DTZ001
       nows, nows)
def test_looking_only_when_told_misses_nothing(made_at, reminds, escalates, recycles, one, other):
    mapping = watching(
        remind_business_hours_before=reminds, escalate_business_hours_after=escalates,
        recycle_business_hours_after=recycles,
    )
    handoff = handed_off(made_at, mapping)
    early, late = sorted((one, other))
    look_at = next_watch_at(handoff, None, mapping, early)
    if look_at is None or late < look_at:
        new = set(due(handoff, None, mapping, late)) - set(due(handoff, None, mapping, early))
        assert not new, "nothing becomes due before the next look"
    else:
        assert look_at > early
