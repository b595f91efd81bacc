"""When somebody's score crosses a line although nothing happens: an activity's day comes, or its points fade."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from connector.core.scoring.decay import settled_after_days
from connector.core.scoring.engine import attributes_of
from connector.core.scoring.ledger import KIND_CODES, Ledger, microseconds
from connector.core.scoring.weigh import DAY_US, Moment, Rows, RulesMet, weigh, whole_us
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

    Between two activities points above nought only fade away and points below nought only fade back. So how low a
    score can have come by a moment is what it is with the former as of then and the latter as of now, and the other
    way round how high. The first moment at which either stands on another side of a line is found by halving the
    time, with the engine itself, for all people at once.

    - An activity that lies ahead (a meeting next week, a CRM's clock that is ahead of ours) is looked at when it comes.
    - Who crosses one of `lines_of` is looked at within the hour after it, and not before.
    - Who has both points that fade away and points that fade back may be looked at in vain when they come near a line.

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
        numbers = _who_did(ledger, fading, now_us)
        ends = [min(horizon_us, looks.get(number, horizon_us + 1) - 1) for number in numbers]
        looks |= _first_crossings(people, ledger, definition, now_us, numbers, ends)
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


def _first_crossings(
    people: Sequence[Person], ledger: Ledger, definition: Definition, now_us: int, numbers: Sequence[int],
    ends: Sequence[int],
) -> dict[int, int]:
    """Return when each of these people may for the first time stand on another side of a line than now.

    Args:
        numbers: Their positions, in ascending order.
        ends: Until when to look, for each of them.
    """
    levels = _Levels([people[number] for number in numbers], ledger.part(_positions(numbers)), definition, now_us)
    until = pl.Series(ends, dtype=pl.Int64)
    does_cross = levels.may_differ(until)
    chosen = does_cross.arg_true().to_list()
    if not chosen:
        return {}
    numbers, until = [numbers[one] for one in chosen], until.filter(does_cross)
    levels = _Levels([people[number] for number in numbers], ledger.part(_positions(numbers)), definition, now_us)
    now = pl.repeat(now_us, len(numbers), dtype=pl.Int64, eager=True)
    # Whole hours after now: still on the same side, and not any more.
    before, after = now * 0, (until - now + (_HOUR_US - 1)) // _HOUR_US
    while (after - before).max() > 1:  # type: ignore[operator]
        middle = (before + after) // 2
        is_over = levels.may_differ(pl.select(pl.min_horizontal(now + middle * _HOUR_US, until)).to_series())
        before = middle.zip_with(~is_over, before)
        after = middle.zip_with(is_over, after)
    moments = pl.select(pl.min_horizontal(now + after * _HOUR_US, until)).to_series()
    return dict(zip(numbers, moments))


class _Levels:
    """How many lines people stand on or over, each until a moment of their own before their next activity."""

    def __init__(self, people: Sequence[Person], ledger: Ledger, definition: Definition, now_us: int) -> None:
        self._lines = lines_of(definition)
        self._met = RulesMet(ledger, now_us)
        self._attributes = attributes_of(people, definition)
        self._count = len(people)
        self._fit = weigh(definition, self._attributes, self._count, self._met, now_us).fit
        by_time = tuple(rule for rule in definition.rules if rule.activity is not None)
        self._by_time = definition.model_copy(update={"rules": by_time})
        self._does_rise = any(rule.points < 0 and _fades(rule) for rule in by_time)
        self._now_us = now_us
        self._standing = self._at(now_us, now_us)

    def may_differ(self, until_us: pl.Series) -> pl.Series:
        """Return who may stand elsewhere than now at some time up to a moment; surely not who is not in it."""
        differs = self._at(until_us, self._now_us) != self._standing
        if self._does_rise:
            differs |= self._at(self._now_us, until_us) != self._standing
        return differs

    def _at(self, gains_us: Moment, losses_us: Moment) -> pl.Series:
        """Return the lines with points above nought as of one moment and points below nought as of another."""
        met = _AsOfTwo(self._met, gains_us, losses_us)
        engagement = weigh(self._by_time, self._attributes, self._count, met, self._now_us).engagement
        total = self._fit + engagement
        stands = pl.zeros(self._count, dtype=pl.Int64, eager=True)
        for line in self._lines.total:
            stands = stands + (total >= line).cast(pl.Int64)
        # Both go the same way, so that their sum stays the same only when both do.
        for line in self._lines.engagement:
            stands = stands + (engagement >= line).cast(pl.Int64)
        return stands


class _AsOfTwo:
    """What counts for rules, by their sign as of one moment or another."""

    def __init__(self, met: RulesMet, gains_us: Moment, losses_us: Moment) -> None:
        self._met, self._gains_us, self._losses_us = met, gains_us, losses_us

    def rows(self, rule: Rule, _: Moment) -> Rows:
        return self._met.rows(rule, self._losses_us if rule.points < 0 else self._gains_us)


def _positions(numbers: Sequence[int]) -> pl.Series:
    return pl.Series(numbers, dtype=pl.UInt32)


def _hundredths(points: Iterable[float]) -> tuple[int, ...]:
    return tuple(sorted({hundredths(Decimal(str(one))) for one in points}))
