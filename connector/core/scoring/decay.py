"""How points fade: for each rule one table of whole hundredths by age in days, so that weighing looks up integers."""

from __future__ import annotations

import math
from functools import lru_cache

import polars as pl

from connector.mapping.definition import Decay, Rule, faded_hundredths

_NEAR_A_HALF = 1e-3
"""Doubles are off by less than 1e-6 hundredths here: only what comes nearer to a half is worked out in decimals."""


def points_by_age(rule: Rule, up_to_days: int) -> pl.Series:
    """Return the hundredths of a fading rule for each age from 0 on; what is older than the last is worth as much.

    Equal to `Rule.hundredths_at` of each age up to `up_to_days`. A table is built once for each doubling of the age.

    Raises:
        ValueError: The rule's points do not fade.
    """
    if rule.decay is None:
        raise ValueError("points that do not fade need no table")
    size = 1 << max(10, (up_to_days + 1).bit_length())
    return _table(rule.points, rule.decay, min(size, settled_after_days(rule) + 1))


def settled_after_days(rule: Rule) -> int:
    """Return an age in days from which on the points of a rule do not fade any more."""
    decay = rule.decay
    if decay is None or rule.points == 0:
        return 0
    if decay.half_life_days is not None:
        # Less than half a hundredth is nothing.
        return math.ceil(decay.half_life_days * math.log2(2 * abs(rule.base_hundredths))) + 1
    return math.ceil(decay.linear_days if decay.linear_days is not None else decay.steps[-1].after_days)


@lru_cache(maxsize=256)
def _table(points: float, decay: Decay, size: int) -> pl.Series:
    if decay.steps:
        return _stepped(points, decay, size)
    age = pl.int_range(size, eager=True).cast(pl.Float64)
    if decay.half_life_days is not None:
        factor = 2.0 ** (-age / decay.half_life_days)
    else:
        factor = (1 - age / (decay.linear_days or 1.0)).clip(0, 1)
    exact = factor * (abs(points) * 100)
    rounded = (exact + 0.5).floor().cast(pl.Int32)
    near = ((exact - exact.floor() - 0.5).abs() < _NEAR_A_HALF).arg_true()
    table = -rounded if points < 0 else rounded
    if len(near):
        table = table.scatter(near, [faded_hundredths(points, decay, day) for day in near])
    return table


def _stepped(points: float, decay: Decay, size: int) -> pl.Series:
    days = sorted({0, *(min(size, math.ceil(step.after_days)) for step in decay.steps)})
    return pl.concat([
        pl.repeat(faded_hundredths(points, decay, start), end - start, dtype=pl.Int32, eager=True)
        for start, end in zip(days, [*days[1:], size]) if end > start
    ])
