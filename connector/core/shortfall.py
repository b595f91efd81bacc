"""What somebody lacks to be an MQL by their points, and what would bring the most."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from connector.mapping.definition import Definition, Matrix, Rule
from connector.records import POINT_DECIMALS, Score


class Shortfall(NamedTuple):
    """How many points are missing, to the threshold or to the nearest cell of the matrix that makes MQLs.

    Attributes:
        cell: That cell; empty for a threshold.
        total_points: All together.
        fit_points, engagement_points: On each side; nought for a threshold, which asks for no side.
    """

    cell: str
    total_points: float
    fit_points: float
    engagement_points: float


def shortfall(definition: Definition, score: Score) -> Shortfall | None:
    """Return what is missing; None when the points make an MQL."""
    if definition.qualifies(score.fit_points, score.engagement_points):
        return None
    if definition.matrix is None:
        return Shortfall("", _rounded((definition.threshold_points or 0.0) - score.total_points), 0.0, 0.0)
    ways = [_way_to(cell, definition.matrix, score) for cell in definition.matrix.mql]
    return min(ways, key=lambda way: way.total_points)    # of equally near ones the first in the file


def unmet_rules(definition: Definition, score: Score) -> list[Rule]:
    """Return the rules that give points and gave this person none, the most points first."""
    met = {reason.rule_id for reason in score.reasons} | {cut.limited for cut in score.cuts}
    rules = [rule for rule in definition.rules if rule.points > 0 and rule.id not in met]
    return sorted(rules, key=lambda rule: -rule.points)


def _way_to(cell: str, matrix: Matrix, score: Score) -> Shortfall:
    no_grade = {"-": -inf}
    fit, engagement = next(
        (fit_from, engagement_from) for fit, fit_from in (matrix.fit | no_grade).items()
        for engagement, engagement_from in (matrix.engagement | no_grade).items() if fit + engagement == cell
    )
    fit_points = _rounded(max(0.0, fit - score.fit_points))
    engagement_points = _rounded(max(0.0, engagement - score.engagement_points))
    return Shortfall(cell, _rounded(fit_points + engagement_points), fit_points, engagement_points)


def _rounded(points: float) -> float:
    return round(points, POINT_DECIMALS)
