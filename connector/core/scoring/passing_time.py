"""When somebody's score crosses a line although nothing happens: an activity's day comes, or its points fade."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from connector.core.scoring.decay import points_by_age, settled_after_days
from connector.core.scoring.engine import attributes_of
from connector.core.scoring.ledger import KIND_CODES, Ledger, microseconds
from connector.core.scoring.weigh import DAY_US, RulesMet, weigh, whole_us
from connector.mapping.definition import LONGEST_DAYS, Definition, Rule, hundredths
from connector.records import Person

_HOUR_US = 3_600_000_000


class Lines(NamedTuple):
    """What is looked out for, in hundredths.

    Attributes:
        total: Lines that all points together cross.
        engagement: Lines that the engagement points cross. Fit points do not change by time.
    """

    total: tuple[int, ...]
    engagement: tuple[int, ...] = ()


def lines_of(definition: Definition) -> Lines:
    """Return every line of a definition: threshold, `keeps_from_points`, segments, the matrix's engagement grades."""
    total = [definition.threshold_points, definition.keeps_from_points]
    if definition.segments is not None:
        total += [definition.segments.warm_from_points, definition.segments.hot_from_points]
    grades = definition.matrix.engagement.values() if definition.matrix is not None else ()
    return Lines(_hundredths(points for points in total if points is not None), _hundredths(grades))


def next_crossings(
    people: Sequence[Person], ledger: Ledger, definition: Definition, as_of: datetime
) -> dict[str, datetime]:
    """Return when each person's score is to be looked at again, should nothing happen until then.

    Without points below nought that fade a score only falls between two activities. So the first moment at which it
    stands under one line fewer is found by halving the time, with the engine itself, for all people at once.

    - An activity that lies ahead (a meeting next week, a CRM's clock that is ahead of ours) is looked at when it comes.
    - Who crosses one of `lines_of` is looked at within the hour after it, and not before.
    - Who has points below nought that fade is looked at when the next of these change, as the score may rise.

    Args:
        ledger: Of these people in this order.

    Returns:
        Person id -> a moment after `as_of`. Whom time alone takes over no line, not within a century, is missing.
    """
    now_us = microseconds(as_of)
    looks = _next_arrivals(ledger, definition, now_us)
    fading = [rule for rule in definition.rules if rule.activity is not None and _fades(rule)]
    if fading:
        horizon_us = now_us + max(_lasts_us(rule) for rule in fading)
        rising = _next_changes(ledger, now_us, [rule for rule in fading if rule.points < 0])
        falling = [number for number in _who_did(ledger, fading, now_us) if number not in rising]
        ends = [min(horizon_us, looks.get(number, horizon_us + 1) - 1) for number in falling]
        looks |= {number: min(at, looks.get(number, at)) for number, at in rising.items()}
        looks |= _first_crossings(people, ledger, definition, now_us, falling, ends)
    return {people[number].person_id: as_of + timedelta(microseconds=at - now_us) for number, at in looks.items()}


def _fades(rule: Rule) -> bool:
    return rule.points != 0 and (rule.within_days is not None or rule.decay is not None)


def _lasts_us(rule: Rule) -> int:
    """Return how long after an activity its points by a fading rule may still change."""
    ends = [whole_us(LONGEST_DAYS)]
    if rule.within_days is not None:
        ends.append(whole_us(rule.within_days) + 1)
    elif rule.decay is not None:
        ends.append(settled_after_days(rule) * DAY_US)
    return min(ends)


def _is_about(frame: pl.DataFrame, rules: Iterable[Rule]) -> pl.Series:
    kinds = {KIND_CODES[kind] for rule in rules for kind in rule.activity or ()}
    return frame["kind"].is_in(list(kinds))


def _next_arrivals(ledger: Ledger, definition: Definition, now_us: int) -> dict[int, int]:
    ahead = ledger.frame.filter(ledger.frame["occurred_us"] > now_us)
    if ahead.is_empty():
        return {}
    ahead = ahead.filter(_is_about(ahead, definition.rules))
    return dict(ahead.group_by("person").agg(pl.col("occurred_us").min()).iter_rows())


def _who_did(ledger: Ledger, fading: Sequence[Rule], now_us: int) -> list[int]:
    """Return whom any fading rule may be about, in ascending order."""
    frame = ledger.frame
    longest = max(_lasts_us(rule) for rule in fading)
    recent = frame.filter((frame["occurred_us"] <= now_us) & (frame["occurred_us"] >= now_us - longest))
    return recent.filter(_is_about(recent, fading))["person"].unique().sort().to_list()


def _next_changes(ledger: Ledger, now_us: int, rules: Sequence[Rule]) -> dict[int, int]:
    """Return when the points of each person by these rules next change."""
    met = RulesMet(ledger, now_us)
    changes: dict[int, int] = {}
    for rule in rules:
        rows = met.rows(rule, now_us).with_points()
        person, occurred_us = rows.person, rows.occurred_us
        if rule.within_days is not None:
            _keep_first(changes, person, occurred_us + (whole_us(rule.within_days) + 1))
        if rule.decay is not None:
            table = points_by_age(rule, settled_after_days(rule))
            steps = (table != table.shift(1)).fill_null(value=False).arg_true().cast(pl.Int64)
            following = steps.search_sorted((now_us - occurred_us) // DAY_US, "right")
            _keep_first(changes, person, occurred_us + steps.gather(following, null_on_oob=True) * DAY_US)
    return changes


def _keep_first(moments: dict[int, int], person: pl.Series, at_us: pl.Series) -> None:
    for number, at in zip(person, at_us):
        if at is not None:
            moments[number] = min(at, moments.get(number, at))


def _first_crossings(
    people: Sequence[Person], ledger: Ledger, definition: Definition, now_us: int, numbers: Sequence[int],
    ends: Sequence[int],
) -> dict[int, int]:
    """Return when each of these people, whose points only fall until their end, stands under a line for the first time.

    Args:
        numbers: Their positions, in ascending order.
        ends: Until when to look, for each of them.
    """
    levels = _Levels([people[number] for number in numbers], ledger.part(_positions(numbers)), definition, now_us)
    until = pl.Series(ends, dtype=pl.Int64)
    does_cross = levels.at(until) != levels.at(pl.repeat(now_us, len(numbers), dtype=pl.Int64, eager=True))
    chosen = does_cross.arg_true().to_list()
    if not chosen:
        return {}
    numbers, until = [numbers[one] for one in chosen], until.filter(does_cross)
    levels = _Levels([people[number] for number in numbers], ledger.part(_positions(numbers)), definition, now_us)
    now = pl.repeat(now_us, len(numbers), dtype=pl.Int64, eager=True)
    standing = levels.at(now)
    # Whole hours after now: still on the same side, and not any more.
    before, after = now * 0, (until - now + (_HOUR_US - 1)) // _HOUR_US
    while (after - before).max() > 1:  # type: ignore[operator]
        middle = (before + after) // 2
        is_over = levels.at(pl.select(pl.min_horizontal(now + middle * _HOUR_US, until)).to_series()) != standing
        before = middle.zip_with(~is_over, before)
        after = middle.zip_with(is_over, after)
    moments = pl.select(pl.min_horizontal(now + after * _HOUR_US, until)).to_series()
    return dict(zip(numbers, moments))


class _Levels:
    """How many lines people stand on or over, each at a moment of their own before their next activity."""

    def __init__(self, people: Sequence[Person], ledger: Ledger, definition: Definition, now_us: int) -> None:
        self._lines = lines_of(definition)
        self._met = RulesMet(ledger, now_us)
        self._attributes = attributes_of(people, definition)
        self._count = len(people)
        self._fit = weigh(definition, self._attributes, self._count, self._met, now_us).fit
        by_time = tuple(rule for rule in definition.rules if rule.activity is not None)
        self._by_time = definition.model_copy(update={"rules": by_time})

    def at(self, moments_us: pl.Series) -> pl.Series:
        engagement = weigh(self._by_time, self._attributes, self._count, self._met, moments_us).engagement
        total = self._fit + engagement
        stands = pl.zeros(self._count, dtype=pl.Int64, eager=True)
        for line in self._lines.total:
            stands = stands + (total >= line).cast(pl.Int64)
        # Both only fall, so that their sum stays the same only when both do.
        for line in self._lines.engagement:
            stands = stands + (engagement >= line).cast(pl.Int64)
        return stands


def _positions(numbers: Sequence[int]) -> pl.Series:
    return pl.Series(numbers, dtype=pl.UInt32)


def _hundredths(points: Iterable[float]) -> tuple[int, ...]:
    return tuple(sorted({hundredths(Decimal(str(one))) for one in points}))
