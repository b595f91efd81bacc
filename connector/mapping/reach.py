"""How many points a definition can give at most: what a threshold must not be above."""

from __future__ import annotations

import math
from typing import Literal

from connector.mapping.definition import Definition, Rule


def most_points(definition: Definition, side: Literal["fit", "engagement"]) -> float:
    """Return the most points that all rules of one side can give together; infinite where nothing limits them.

    Whether several rules can hold for the same person is not looked into: it may be less, never more.
    """
    alone, together = 0.0, dict.fromkeys((group.id for group in definition.groups), 0.0)
    for rule in definition.rules:
        if rule.side != side:
            continue
        if rule.group in together:
            together[rule.group] += _most_of(rule)
        else:
            alone += _most_of(rule)
    limits = {group.id: group.max_points for group in definition.groups}
    for group, points in together.items():
        limit = limits[group]
        alone += points if limit is None else min(points, limit)
    return alone


def _most_of(rule: Rule) -> float:
    if rule.points <= 0:
        return 0.0
    most = math.inf if rule.side == "engagement" and rule.counts == "every" else rule.points
    return most if rule.max_points is None else min(most, rule.max_points)
