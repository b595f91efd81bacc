"""The engine gives what a plain loop gives, for every definition, in any order, alone and together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from random import Random
from zoneinfo import ZoneInfo

import scoring_oracle
from core_cases import NOW, plain_person
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_cases import definitions, ledgers, moments, people

from connector.core.scoring import score_people
from connector.mapping.definition import Definition
from connector.records import Activity, Person, Score, Value

TOKYO = ZoneInfo("Asia/Tokyo")


def score(person: Person, done: list[Activity], definition: Definition, as_of=NOW) -> Score:
    return score_people([person], {person.person_id: done}, definition, as_of, TOKYO)[person.person_id]


def assert_agrees(found: Score, attributes: dict[str, Value], done: list[Activity], definition: Definition) -> None:
    expected = scoring_oracle.judge(attributes, done, definition, found.as_of)
    assert [
        (r.rule_id, r.side, r.points, r.base_points, r.capped_by, r.evidence if r.side == "engagement" else "")
        for r in found.reasons
    ] == [
        (e.rule.id, e.rule.side, e.points / 100, e.rule.points, e.capped_by, getattr(e.activity, "activity_id", ""))
        for e in expected.reasons
    ]
    assert [(c.limited, c.lost_points, c.reason_count) for c in found.cuts] == [
        (limit, lost / 100, count) for limit, lost, count in expected.cuts
    ]
    for reason, one in zip(found.reasons, expected.reasons):
        if one.activity is not None:
            left = scoring_oracle.left(one.rule.decay, (found.as_of - one.activity.occurred_at).days)
            assert abs(Fraction(str(reason.decay_factor)) - left) <= Fraction(1, 20_000)
    assert found.disqualified_by == expected.disqualified_by
    assert found.fit_points == expected.side("fit") / 100
    assert found.engagement_points == expected.side("engagement") / 100
    assert found.total_points == (expected.side("fit") + expected.side("engagement")) / 100


@given(definitions(), people, ledgers())
@settings(max_examples=100, deadline=None)
def test_the_engine_agrees_with_the_oracle(definition, attributes, done):
    assert_agrees(score(plain_person(**attributes), done, definition), attributes, done, definition)


@given(definitions(), st.lists(st.tuples(people, ledgers(6), moments), min_size=1, max_size=4), st.randoms())
@settings(max_examples=40, deadline=None)
def test_people_weighed_together_each_at_their_own_moment_have_what_they_have_alone(definition, crowd, chance: Random):
    everybody = [plain_person(f"p_{n}", **attributes) for n, (attributes, _, _) in enumerate(crowd)]
    done = {f"p_{n}": sorted(theirs, key=lambda _: chance.random()) for n, (_, theirs, _) in enumerate(crowd)}
    together = score_people(everybody, done, definition, [moment for _, _, moment in crowd], TOKYO)
    assert list(together) == [person.person_id for person in everybody]
    for found, (attributes, theirs, _) in zip(together.values(), crowd):
        assert_agrees(found, attributes, theirs, definition)


@given(definitions(), ledgers(8), ledgers(8), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_score_is_that_of_the_union_whichever_record_and_crm_each_came_from(definition, first, second, in_turn):
    second = [
        replace(one, activity_id=one.activity_id.replace("things:", "others:"), subject="hubspot:contacts:2")
        for one in second
    ]
    merged = [*first, *second] if in_turn else [*second, *first]
    found = score(plain_person(), merged, definition)
    assert_agrees(found, {}, merged, definition)
    elsewhere = [replace(one, crm="salesforce", subject="salesforce:contacts:2") for one in merged]
    assert score(plain_person(), elsewhere, definition) == found


@given(definitions(), people, ledgers(), moments)
@settings(max_examples=40, deadline=None)
def test_what_happens_after_a_moment_changes_nothing_up_to_it(definition, attributes, done, moment):
    earlier = [one for one in done if one.occurred_at <= moment]
    person = plain_person(**attributes)
    assert score(person, done, definition, moment) == score(person, earlier, definition, moment)


@given(definitions(), ledgers(), ledgers(1))
@settings(max_examples=60, deadline=None)
def test_doing_more_never_costs_points_where_every_or_the_last_counts_and_no_points_are_taken_off(
    definition, done, more
):
    rules = [
        rule.model_copy(update={"points": abs(rule.points), "occurrence": None, "min_points": None})
        for rule in definition.rules
    ]
    generous = definition.model_copy(update={"rules": tuple(rules)})
    more = [replace(one, activity_id=f"{one.activity_id}+") for one in more]
    before = score(plain_person(), done, generous)
    assert score(plain_person(), [*done, *more], generous).total_points >= before.total_points


@given(definitions(), ledgers(), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_time_alone_never_raises_a_score_without_points_below_nought_that_fade(definition, done, hours):
    rules = [
        rule.model_copy(update={"within_days": None, "decay": None}) if rule.points < 0 else rule
        for rule in definition.rules
    ]
    falling = definition.model_copy(update={"rules": tuple(rules)})
    past = [one for one in done if one.occurred_at <= NOW]
    later = score(plain_person(), past, falling, NOW + timedelta(hours=hours))
    assert later.total_points <= score(plain_person(), past, falling).total_points
