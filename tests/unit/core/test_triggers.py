"""Triggers fire when the newest activity completes what they wait for, once in a cool-down, and never for the past."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from core_cases import NOW, activity, hubspot, mirai, person_of
from hypothesis import given
from hypothesis import strategies as st

from connector.core.triggers import FRESH, Firing, fire, last_fired, next_look_at, nurture_of
from connector.mapping.handoff import Trigger
from connector.mapping.model import Mapping
from connector.records import Activity, ActivityKind, Person

PERSON = person_of(hubspot())
TWICE = {"id": "twice", "label": "x", "activity": "website_visited", "at_least": 2, "within_days": 7, "alert": "owner"}


def mapping(*triggers: dict[str, object]) -> Mapping:
    return mirai().model_copy(update={"triggers": tuple(Trigger.model_validate(one) for one in triggers)})


def visits(*days_ago: float, **fields: object) -> list[Activity]:
    return [activity(ActivityKind.WEBSITE_VISITED, days_ago=days, n=n, **fields) for n, days in enumerate(days_ago)]


def fired(
    done: Sequence[Activity], *triggers: dict[str, object], person: Person = PERSON, now: datetime = NOW,
    before: dict[str, datetime] | None = None,
) -> list[tuple[str, str]]:
    found = fire(person, done, before or {}, mapping(*(triggers or (TWICE,))), now)
    assert all(one.fired_at == now and one.person_id == person.person_id for one in found)
    return [(one.trigger_id, one.evidence) for one in found]


@pytest.mark.parametrize(("days_ago", "fires"), [
    ([], False), ([1], False), ([3, 1], True), ([8, 1], True), ([8.01, 1], False),
    ([7, 0], True), ([7.001, 0], False), ([8, 7], True), ([9, 7.001], False), ([1, 1], True), ([2, -1], False),
])
def test_the_newest_activity_must_complete_it_and_be_fresh(days_ago: list[float], fires: bool) -> None:
    done = visits(*days_ago)
    newest = max(done, key=lambda one: (one.occurred_at, one.activity_id), default=None)
    assert fired(done) == ([("twice", newest.activity_id)] if fires and newest else [])


@pytest.mark.parametrize(("changed", "fires"), [
    ({"title": "*料金*"}, True), ({"title": ["価格*", "会社案内"]}, False), ({"where": {"page": "/pricing"}}, False),
    ({"person": {"role": "head"}}, True), ({"person": {"role": "staff"}}, False), ({"activity": "call_made"}, False),
    ({"person": {"role": "head", "department": "marketing"}}, False), ({"within_days": 1}, False),
    ({"within_days": None, "at_least": 2}, True), ({"within_days": None, "at_least": 3}, False),
])
def test_it_fires_for_what_and_for_whom_it_says(changed: dict[str, object], fires: bool) -> None:
    assert bool(fired(visits(3, 1, title="ご料金ページ"), TWICE | changed)) is fires


def test_attributes_of_the_activity_are_asked_as_in_a_rule() -> None:
    pricing = [
        Activity(f"a{n}", "s", ActivityKind.WEBSITE_VISITED, NOW - timedelta(days=n), "", "salesforce",
                 attributes={"page": f"https://x.example/{page}"})
        for n, page in enumerate(["news", "pricing", "pricing", "news"])
    ]
    twice = TWICE | {"where": {"page": {"contains": ["/PRICING"]}}}
    assert fired(pricing, twice) == [("twice", "a1")]
    assert fired(pricing[:2], twice) == []
    assert fired(pricing, twice | {"title": "*価格*"}) == []
    assert fired(pricing, twice | {"where": {"page": {"regex": "^https://.*/pricing$"}, "seconds": 3}}) == []


def test_years_of_history_set_nothing_off() -> None:
    assert fired(visits(*range(8, 900))) == []
    assert fired(visits(*range(9)), now=NOW + timedelta(days=7, seconds=1)) == []


def test_during_the_cool_down_it_is_silent_and_makes_nothing_up_for_it_later() -> None:
    cooling = TWICE | {"cool_down_days": 14, "within_days": None}
    over_since_yesterday = {"twice": NOW - timedelta(days=15)}
    assert fired(visits(20, 0.5), cooling, before=over_since_yesterday) != []
    assert fired(visits(20, 0.5), cooling, before={"twice": NOW - timedelta(days=14)}) == []
    assert fired(visits(20, 2), cooling, before=over_since_yesterday) == []
    assert fired(visits(20, 0.5), cooling, before={"other": NOW}) != []


def test_without_a_cool_down_one_activity_still_fires_but_once() -> None:
    always = TWICE | {"cool_down_days": 0}
    assert fired(visits(1, 0), always) != []
    assert fired(visits(1, 0), always, before={"twice": NOW}) == []
    assert fired(visits(1, 0), always, before={"twice": NOW}, now=NOW + timedelta(hours=1)) == []
    assert fired(visits(1, 0, -0.01), always, before={"twice": NOW}, now=NOW + timedelta(hours=1)) != []


def test_nobody_disqualified_or_without_a_record_sets_anything_off() -> None:
    assert fired(visits(2, 1), person=person_of(hubspot(hs_email_optout="true"))) == []
    assert fired(visits(2, 1), person=person_of(hubspot(email="a@mirai-software.example"))) == []
    assert fired(visits(2, 1), person=Person("p_1", (), PERSON.attributes, (), PERSON.stage)) == []


def test_several_fire_in_the_order_of_the_mapping_each_on_its_own() -> None:
    any_download = {"id": "doc", "label": "y", "activity": "document_downloaded", "nurture": "資料"}
    done = [*visits(2, 1), activity(days_ago=3)]
    assert [one for one, _ in fired(done, any_download, TWICE)] == ["doc", "twice"]
    assert [one for one, _ in fired(done, any_download, TWICE, before={"doc": NOW - timedelta(days=1)})] == ["twice"]


moments = st.integers(-20 * 24, 40 * 24).map(lambda hours: NOW - timedelta(hours=hours))
ledgers = st.lists(
    st.tuples(moments, st.sampled_from([ActivityKind.WEBSITE_VISITED, ActivityKind.CALL_MADE])), max_size=12,
).map(lambda told: [Activity(f"a{n}", "s", kind, at, "", "hubspot") for n, (at, kind) in enumerate(told)])


@given(ledgers, st.randoms(use_true_random=False), st.integers(1, 3), st.sampled_from([None, 1, 7]))
def test_the_order_in_which_things_are_told_changes_nothing(
    done: list[Activity], shuffle: random.Random, at_least: int, within_days: float | None,
) -> None:
    trigger = TWICE | {"at_least": at_least, "within_days": within_days}
    shuffled = shuffle.sample(done, len(done))
    assert fired(shuffled, trigger) == fired(done, trigger)
    for _, evidence in fired(done, trigger):
        one = next(a for a in done if a.activity_id == evidence)
        assert NOW - FRESH <= one.occurred_at <= NOW
        assert one.kind is ActivityKind.WEBSITE_VISITED


@given(ledgers, st.integers(0, 20), st.lists(st.integers(0, 40 * 24), min_size=1, max_size=30))
def test_however_often_somebody_is_looked_at_each_activity_fires_once_and_cool_downs_are_kept(
    done: list[Activity], cool_down_days: int, looks: list[int],
) -> None:
    companys = mapping(TWICE | {"at_least": 1, "within_days": None, "cool_down_days": cool_down_days})
    firings: list[Firing] = []
    for hours in sorted(looks, reverse=True):
        firings += fire(PERSON, done, last_fired(firings), companys, NOW - timedelta(hours=hours))
    evidence = [one.evidence for one in firings]
    assert len(set(evidence)) == len(evidence)
    assert all(
        later.fired_at - sooner.fired_at > timedelta(days=cool_down_days) or cool_down_days == 0
        for sooner, later in pairwise(firings)
    )


def test_the_segment_is_the_word_of_what_fired_last() -> None:
    companys = mapping(
        TWICE | {"nurture": "価格"}, {"id": "doc", "label": "y", "activity": "document_downloaded", "nurture": "資料"},
        {"id": "call", "label": "z", "activity": "call_made", "alert": "owner"},
    )
    old, new = NOW - timedelta(days=3), NOW
    assert nurture_of([], companys) == ""
    assert nurture_of([Firing("p", "doc", old, "a"), Firing("p", "twice", new, "b")], companys) == "価格"
    assert nurture_of([Firing("p", "doc", new, "a"), Firing("p", "twice", old, "b")], companys) == "資料"
    assert nurture_of([Firing("p", "doc", new, "a"), Firing("p", "twice", new, "b")], companys) == "価格"
    assert nurture_of([Firing("p", "call", new, "a"), Firing("p", "gone", new, "b")], companys) == ""
    assert last_fired([Firing("p", "doc", new, "a"), Firing("p", "doc", old, "b")]) == {"doc": new}


def test_what_is_dated_ahead_is_looked_at_when_it_comes() -> None:
    meeting = {"id": "met", "label": "x", "activity": "meeting_held", "alert": "channel"}
    ahead = [activity(ActivityKind.MEETING_HELD, days_ago=-2), activity(ActivityKind.MEETING_HELD, days_ago=-5)]
    assert fired(ahead, meeting) == []
    assert next_look_at([*ahead, *visits(-1)], mapping(meeting), NOW) == NOW + timedelta(days=2)
    assert next_look_at(visits(3), mapping(TWICE), NOW) is None
    assert fired(ahead, meeting, now=NOW + timedelta(days=2)) == [("met", ahead[0].activity_id)]
