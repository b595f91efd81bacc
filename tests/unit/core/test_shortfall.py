"""What is missing to be an MQL, in points."""

import pytest
from core_cases import NOW
from hypothesis import given
from hypothesis import strategies as st

from connector.core.shortfall import Shortfall, shortfall, unmet_rules
from connector.mapping.definition import Definition
from connector.records import Cut, Reason, Score

RULES = [
    {"id": "fit.head", "label": "head", "points": 20, "person": {"role": "head"}},
    {"id": "act.seminar", "label": "seminar", "points": 50, "activity": "seminar_attended"},
    {"id": "act.visit", "label": "visit", "points": 5, "activity": "website_visited", "max_points": 5},
    {"id": "act.leave", "label": "leave", "points": -5, "activity": "other"},
]
MATRIX = {"fit": {"A": 30, "B": 10}, "engagement": {"1": 40, "2": 20}, "mql": ["A1", "B1", "A2"]}


def definition(**said):
    return Definition.model_validate({"version": "v1", "rules": RULES, **said})


def score(fit, engagement, *cuts):
    reasons = (Reason("fit.head", "", "fit", fit, ""), Reason("act.seminar", "", "engagement", engagement, "", "", NOW))
    return Score("p_1", "v1", NOW, tuple(r for r in reasons if r.points), "", cuts)


def test_points_are_missing_to_the_threshold():
    assert shortfall(definition(threshold_points=40), score(20, 19.75)) == Shortfall("", 0.25, 0, 0)
    assert shortfall(definition(threshold_points=40), score(20, 20)) is None


@pytest.mark.parametrize(("fit", "engagement", "expected"), [
    (10, 0, Shortfall("B1", 40, 0, 40)), (0, 45, Shortfall("B1", 10, 10, 0)), (25, 20, Shortfall("A2", 5, 5, 0)),
    (30, 40, None),
])
def test_points_are_missing_to_the_nearest_cell(fit, engagement, expected):
    assert shortfall(definition(matrix=MATRIX), score(fit, engagement)) == expected


def test_a_cell_without_a_grade_asks_for_one_side():
    matrix = {**MATRIX, "mql": ["A-", "A1", "A2"]}
    assert shortfall(definition(matrix=matrix), score(25, 0)) == Shortfall("A-", 5, 5, 0)


@given(st.integers(0, 60), st.integers(0, 60))
def test_who_gets_what_is_missing_is_an_mql(fit, engagement):
    by_matrix = definition(matrix=MATRIX)
    short = shortfall(by_matrix, score(fit, engagement))
    if short is None:
        assert by_matrix.qualifies(fit, engagement)
    else:
        assert not by_matrix.qualifies(fit, engagement)
        assert by_matrix.qualifies(fit + short.fit_points, engagement + short.engagement_points)


def test_rules_that_gave_nothing_are_told_with_the_most_points_first():
    names = [rule.id for rule in unmet_rules(definition(threshold_points=40), score(0, 0))]
    assert names == ["act.seminar", "fit.head", "act.visit"]
    cut = Cut("act.visit", "visit", 5, 10, 2)
    assert [rule.id for rule in unmet_rules(definition(threshold_points=40), score(20, 0, cut))] == ["act.seminar"]
