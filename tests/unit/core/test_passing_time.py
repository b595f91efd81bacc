"""People are looked at again when time alone takes their score over a line, and only then."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import scoring_oracle
from core_cases import NOW, activity, mirai, plain_person
from hypothesis import given, settings
from scoring_cases import definitions, ledgers, people

from connector.core.scoring import Ledger, next_crossings
from connector.mapping.definition import Definition
from connector.records import Activity, ActivityKind, Value

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


def next_look(done: list[Activity], definition: Definition, attributes: dict[str, Value] | None = None):
    ledger = Ledger.of(["p_0", "p_1"], {"p_1": done}, ZoneInfo("Asia/Tokyo"))
    found = next_crossings([plain_person("p_0"), plain_person(**(attributes or {}))], ledger, definition, NOW)
    assert "p_0" not in found
    return found.get("p_1")


def definition(*rules: dict[str, object], **lines: object) -> Definition:
    rules = tuple({"id": f"r{n}", "label": "R", "activity": "website_visited"} | rule for n, rule in enumerate(rules))
    return Definition.model_validate({"version": "t", "rules": rules} | (lines or {"threshold_points": 10}))


def visit(days_ago: float, n: int = 1) -> Activity:
    return activity(ActivityKind.WEBSITE_VISITED, days_ago=days_ago, n=n)


def test_without_windows_and_decay_nobody_is_looked_at_again():
    assert next_look([activity(days_ago=1)], mirai().definition.model_copy(update={
        "rules": tuple(r.model_copy(update={"within_days": None, "decay": None}) for r in mirai().definition.rules),
    })) is None


def test_what_lies_ahead_is_looked_at_when_it_comes():
    assert next_look([visit(-2), visit(-1)], definition({"points": 5})) == NOW + timedelta(days=1)


def test_who_crosses_no_line_is_not_looked_at():
    assert next_look([visit(1)], definition({"points": 5, "within_days": 30})) is None


def test_the_end_of_a_window_is_looked_at_within_the_hour():
    look = next_look([visit(1)], definition({"points": 12, "within_days": 30}))
    assert NOW + timedelta(days=29) < look <= NOW + timedelta(days=29, hours=1)


def test_fading_points_are_looked_at_when_they_fall_under_the_line_and_not_before():
    # 20, 18, 16, 14, 12, 10 and on the sixth day 8.
    look = next_look([visit(0)], definition({"points": 20, "decay": {"linear_days": 10}}))
    assert NOW + timedelta(days=6) <= look < NOW + timedelta(days=6) + HOUR


def test_a_line_of_the_matrix_is_one_of_engagement_points():
    matrix = {"fit": {"A": 0}, "engagement": {"1": 15}, "mql": ["A1"]}
    look = next_look([visit(0)], definition({"points": 20, "decay": {"linear_days": 10}}, matrix=matrix))
    assert NOW + timedelta(days=3) <= look < NOW + timedelta(days=3) + HOUR


BACK_IN_A_WEEK = {"points": -20, "decay": {"steps": [{"after_days": 7, "factor": 0}]}}


def test_points_to_take_off_that_fade_are_looked_at_when_they_lift_somebody_over_a_line():
    fading = definition({"points": 15, "activity": "seminar_attended"}, BACK_IN_A_WEEK)
    seminar = activity(ActivityKind.SEMINAR_ATTENDED, days_ago=1, n=2)
    look = next_look([visit(2.5), seminar], fading)
    assert NOW + timedelta(days=4.5) <= look < NOW + timedelta(days=4.5) + HOUR
    assert next_look([visit(7), seminar], fading) is None
    window = definition({"points": 15, "activity": "seminar_attended"}, {"points": -20, "within_days": 3})
    look = next_look([visit(2.5), seminar], window)
    assert NOW + timedelta(days=0.5) < look <= NOW + timedelta(days=0.5) + HOUR


def test_points_to_take_off_that_lift_nobody_over_a_line_are_not_looked_at():
    assert next_look([visit(2.5)], definition(BACK_IN_A_WEEK)) is None
    slowly = definition({"points": -20, "decay": {"half_life_days": 30}})
    assert next_look([visit(n, n) for n in range(10)], slowly) is None


def test_fading_points_are_looked_at_whatever_is_taken_off_for_longer():
    both = definition(
        {"points": 20, "decay": {"linear_days": 10}},
        {"points": -5, "activity": "seminar_attended", "decay": {"steps": [{"after_days": 100, "factor": 0}]}},
    )
    # 15, 13, 11 and on the third day 9.
    look = next_look([visit(0), activity(ActivityKind.SEMINAR_ATTENDED, days_ago=1, n=2)], both)
    assert NOW + timedelta(days=3) <= look < NOW + timedelta(days=3) + HOUR


@given(definitions(), people, ledgers(5))
@settings(max_examples=40, deadline=None)
def test_no_line_is_crossed_unseen_and_nobody_is_looked_at_in_vain(definition, attributes, done):
    look = next_look(done, definition, attributes)
    ahead = [one.occurred_at for one in done if one.occurred_at > NOW]
    now = stands(NOW, done, definition, attributes)
    crossing = next((at for at in changes(definition, done) if stands(at, done, definition, attributes) != now), None)
    if crossing is not None:
        assert look is not None
        assert look < crossing + HOUR
    signs = {rule.points > 0 for rule in definition.rules if rule.points and (rule.within_days or rule.decay)}
    if look is not None and look not in ahead and len(signs) < 2:
        assert crossing is not None
        assert crossing <= look


def changes(definition: Definition, done: list[Activity]) -> list[datetime]:
    """Every moment from now on at which anything may change: days of age, ends of windows, arrivals."""
    found = set()
    for one in done:
        # No decay or window of the cases' is longer than what is left after 130 days: ten half-lives and more.
        found |= {one.occurred_at + timedelta(days=day) for day in range(150)}
        ends = [rule.within_days for rule in definition.rules if rule.within_days]
        found |= {one.occurred_at + timedelta(days=days) + MICROSECOND for days in ends}
    return sorted(at for at in found if at > NOW)


def stands(at: datetime, done: list[Activity], definition: Definition, attributes: dict[str, Value]) -> list[bool]:
    verdict = scoring_oracle.judge(attributes, done, definition, at)
    points = (verdict.side("fit") + verdict.side("engagement")) / 100
    lines = [definition.threshold_points, definition.keeps_from_points]
    lines += [definition.segments.warm_from_points, definition.segments.hot_from_points] if definition.segments else []
    return [points >= line for line in lines if line is not None]
