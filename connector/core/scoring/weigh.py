"""The arithmetic: whole hundredths for each person, by columns, without a float and without a loop over people.

The ledger is sorted by person and moment, so what a rule gives to each person is a difference of running sums, "the
n-th before" is the n-th row before, and "the first" is where the person changes: nothing is grouped or sorted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, Protocol

import polars as pl

from connector.core.scoring.attributes import Attributes, Values
from connector.core.scoring.decay import points_by_age
from connector.core.scoring.ledger import KIND_CODES, Ledger, column_of
from connector.mapping.definition import Definition, Group, Rule, hundredths
from connector.records import ActivityKind

DAY_US = 86_400_000_000

BY_NOTHING, BY_RULE, BY_GROUP = 0, 1, 2
"""Whose limit took points off a reason."""

Moment = int | pl.Series
"""As of when, in microseconds since 1970 in UTC: one moment for all, or one for each person."""


class Weighed(NamedTuple):
    """What people have, in hundredths.

    Attributes:
        fit, engagement: By person.
        reasons: `person`, `rule` (position in the definition), `row` of the ledger (null for an attribute),
            `points` (never nought) and `capped` (BY_...); in no order. Empty unless asked for.
        cuts: `person`, `limit` (position among the rules, then the groups), `lost` and `count`. Empty likewise.
    """

    fit: pl.Series
    engagement: pl.Series
    reasons: pl.DataFrame
    cuts: pl.DataFrame


REASONS = {"person": pl.UInt32, "rule": pl.UInt16, "row": pl.UInt32, "points": pl.Int32, "capped": pl.UInt8}
CUTS = {"person": pl.UInt32, "limit": pl.UInt16, "lost": pl.Int64, "count": pl.UInt32}


def weigh(
    definition: Definition, people: Attributes, count: int, met: Counting, as_of_us: Moment, *,
    with_reasons: bool = False,
) -> Weighed:
    """Weigh people as of a moment.

    A rule on attributes gives its points once; one on activities for each that counts, of what happened up to the
    moment. Over a limit (first the rule's, then its group's) the oldest are cut: of two equally old ones that with
    the lesser id, then that of the later rule; of attributes those of the later rules.

    Args:
        people: The attributes that the definition names, of `count` people.
        met: Of their ledger, up to the moment.
    """
    nought = repeated(0, count, pl.Int64())
    sides = {"fit": nought, "engagement": nought}
    of_group = {group.id: nought for group in definition.groups}
    side_of_group: dict[str, str] = {}
    given: dict[str, list[pl.DataFrame]] = defaultdict(list)
    cuts: list[pl.DataFrame] = []
    for number, rule in enumerate(definition.rules):
        if rule.person is not None:
            meets = people.meet(rule.person)
            points = meets.cast(pl.Int64) * rule.base_hundredths
            if with_reasons and rule.base_hundredths:
                given[rule.group or ""].append(_fit_reasons(number, rule, meets))
        else:
            rows = met.rows(rule, as_of_us)
            uncut = _sum_by_person(rows, count)
            points = _limited(uncut, rule)
            if with_reasons:
                reasons = _engagement_reasons(number, rows)
                if rule.max_points is not None or rule.min_points is not None:
                    reasons, cut = _cut(reasons, uncut - points, number, BY_RULE)
                    cuts.append(cut)
                given[rule.group or ""].append(reasons)
        if rule.group is None:
            sides[rule.side] = sides[rule.side] + points
        else:
            of_group[rule.group] = of_group[rule.group] + points
            side_of_group[rule.group] = rule.side
    for number, group in enumerate(definition.groups, len(definition.rules)):
        uncut = of_group[group.id]
        points = _limited(uncut, group)
        side = side_of_group.get(group.id, "fit")
        sides[side] = sides[side] + points
        if with_reasons and given[group.id]:
            reasons = pl.concat(given[group.id])
            reasons, cut = _cut(reasons, uncut - points, number, BY_GROUP)
            cuts.append(cut)
            given[group.id] = [reasons]
    parts = [part for parts in given.values() for part in parts]
    return Weighed(
        sides["fit"], sides["engagement"],
        pl.concat(parts) if parts else pl.DataFrame(schema=REASONS),
        pl.concat(cuts) if cuts else pl.DataFrame(schema=CUTS),
    )


_EDGE = pl.Series([True])


class Rows(NamedTuple):
    """Activities that count for a rule, by person and moment: columns of the ledger, and what each of them gives."""

    person: pl.Series
    row: pl.Series
    occurred_us: pl.Series
    points: pl.Series

    def with_points(self) -> Rows:
        """Return those that give or take any points."""
        counts = self.points != 0
        return self if counts.all() else Rows(*(column.filter(counts) for column in self))


class Counting(Protocol):
    """What tells which activities count for a rule as of a moment, and what they give."""

    def rows(self, rule: Rule, as_of_us: Moment) -> Rows:
        """Return them by person and moment."""


class RulesMet:
    """Which activities of a ledger count for a rule, and what they give as of any moment before the next activity.

    Works with plain columns: a frame's methods plan a query each time, which for one person costs more than the work.
    """

    def __init__(self, ledger: Ledger, up_to_us: Moment) -> None:
        self._ledger = ledger
        self._columns = {column.name: column for column in ledger.frame}
        is_seen = self._columns["occurred_us"] <= _of_each(up_to_us, self._columns["person"])
        if not is_seen.all():
            self._columns = _chosen(self._columns, is_seen)
        self._by_kinds: dict[tuple[ActivityKind, ...], dict[str, pl.Series]] = {}
        self._picked: dict[str, dict[str, pl.Series]] = {}

    def rows(self, rule: Rule, as_of_us: Moment) -> Rows:
        """Return what counts for a rule on activities, with its points as of a moment."""
        if rule.id not in self._picked:
            self._picked[rule.id] = self._pick(rule)
        columns = self._picked[rule.id]
        if rule.within_days is not None:
            earliest = _of_each(as_of_us, columns["person"]) - whole_us(rule.within_days)
            columns = _chosen(columns, columns["occurred_us"] >= earliest)
        return Rows(**columns, points=_points(rule, columns, as_of_us))

    def _pick(self, rule: Rule) -> dict[str, pl.Series]:
        columns = self._of_kinds(rule.activity or ())
        conditions = [(column_of(name), self._values(name).accept(one)) for name, one in (rule.where or {}).items()]
        if rule.title:
            conditions.append(("title", self._ledger.titles.match(rule.title)))
        is_met = None
        for name, accepted in conditions:
            # An attribute that no activity has is without a value in all of them.
            met = accepted[columns[name]] if name in columns else accepted.new_from_index(0, len(columns["row"]))
            is_met = met if is_met is None else is_met & met
        columns = {name: columns[name] for name in ("person", "row", "occurred_us")}
        if is_met is not None:
            columns = _chosen(columns, is_met)
        if rule.times is not None and rule.in_days is not None:
            columns = _frequent(columns, rule.times - 1, whole_us(rule.in_days))
        if rule.counts != "every":
            changes = _changes(columns["person"])
            edge = _EDGE[:len(columns["person"])]
            columns = _chosen(columns, pl.concat([edge, changes] if rule.counts == "first" else [changes, edge]))
        return columns

    def _of_kinds(self, kinds: tuple[ActivityKind, ...]) -> dict[str, pl.Series]:
        if kinds not in self._by_kinds:
            kind = self._columns["kind"]
            is_one = kind == KIND_CODES[kinds[0]]
            for other in kinds[1:]:
                is_one = is_one | (kind == KIND_CODES[other])
            self._by_kinds[kinds] = _chosen(self._columns, is_one)
        return self._by_kinds[kinds]

    def _values(self, name: str) -> Values:
        return self._ledger.attributes.get(name) or Values()


def repeated(value: int, count: int, kind: pl.DataType) -> pl.Series:
    """Return a column of one value."""
    return _single(value, kind).new_from_index(0, count)


@lru_cache(maxsize=4096)
def _single(value: int | None, kind: pl.DataType) -> pl.Series:
    return pl.Series([value], dtype=kind)


def _of_each(moment: Moment, person: pl.Series) -> Moment:
    return moment if isinstance(moment, int) else moment[person]


def _points(rule: Rule, columns: Mapping[str, pl.Series], as_of_us: Moment) -> pl.Series:
    if rule.decay is None:
        return repeated(rule.base_hundredths, len(columns["row"]), pl.Int32())
    age_days = (_of_each(as_of_us, columns["person"]) - columns["occurred_us"]) // DAY_US
    oldest_days = int(age_days.max() or 0)  # type: ignore[arg-type]
    table = points_by_age(rule, oldest_days)
    if oldest_days >= len(table):
        age_days = age_days.set(age_days >= len(table), len(table) - 1)
    return table[age_days.cast(pl.UInt32)]


def _chosen(columns: Mapping[str, pl.Series], chosen: pl.Series) -> dict[str, pl.Series]:
    return {name: column.filter(chosen) for name, column in columns.items()}


def _frequent(columns: Mapping[str, pl.Series], before: int, within_us: int) -> dict[str, pl.Series]:
    """Return the activities before which there were so many of the same person, the first of them within the time."""
    earlier = max(0, len(columns["row"]) - before)
    later = {name: column[before:] for name, column in columns.items()}
    is_theirs = later["person"] == columns["person"][:earlier]
    is_near = later["occurred_us"] - columns["occurred_us"][:earlier] <= within_us
    return _chosen(later, is_theirs & is_near)


def _changes(person: pl.Series) -> pl.Series:
    """Return for each row but the first whether it is another person's than the one before it."""
    return person[1:] != person[:max(0, len(person) - 1)]


def whole_us(days: float) -> int:
    """Return so many days of 24 hours in whole microseconds."""
    return round(days * DAY_US)


def _sum_by_person(rows: Rows, count: int) -> pl.Series:
    sums = repeated(0, count, pl.Int64())
    if rows.person.is_empty():
        return sums
    last = pl.concat([_changes(rows.person), _EDGE]).arg_true()
    return sums.scatter(rows.person[last], _differences(rows.points.cast(pl.Int64).cum_sum()[last]))


def _differences(up_to: pl.Series) -> pl.Series:
    """Return what running sums grew by."""
    return up_to - pl.concat([_single(0, pl.Int64()), up_to[:-1]])


def _limited(points: pl.Series, limits: Rule | Group) -> pl.Series:
    if limits.max_points is not None:
        most = hundredths(Decimal(str(limits.max_points)))
        points = points.set(points > most, most)
    if limits.min_points is not None:
        least = hundredths(Decimal(str(limits.min_points)))
        points = points.set(points < least, least)
    return points


def _reasons(number: int, person: pl.Series, row: pl.Series, points: pl.Series) -> pl.DataFrame:
    count = len(person)
    columns = {
        "person": person, "rule": repeated(number, count, pl.UInt16()), "row": row, "points": points,
        "capped": repeated(BY_NOTHING, count, pl.UInt8()),
    }
    return pl.DataFrame(columns)


def _fit_reasons(number: int, rule: Rule, meets: pl.Series) -> pl.DataFrame:
    person = meets.arg_true().cast(pl.UInt32)
    no_row = _single(None, pl.UInt32()).new_from_index(0, len(person))
    return _reasons(number, person, no_row, repeated(rule.base_hundredths, len(person), pl.Int32()))


def _engagement_reasons(number: int, rows: Rows) -> pl.DataFrame:
    chosen = rows.with_points()
    return _reasons(number, chosen.person, chosen.row, chosen.points)


def _cut(reasons: pl.DataFrame, excess: pl.Series, limit: int, by: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take what each person has too much off their oldest reasons of the same sign, and return what was cut too."""
    too_much = excess[reasons["person"]]
    over = (too_much != 0) & ((reasons["points"] > 0) == (too_much > 0))
    if not over.any():
        return reasons, pl.DataFrame(schema=CUTS)
    touched = pl.DataFrame([column.filter(over) for column in reasons])
    if by == BY_GROUP:
        touched = touched.sort("person", "row", "rule", descending=[False, False, True])
    person, points = touched["person"], touched["points"].cast(pl.Int64)
    too_much, is_off = excess[person], points < 0
    size, taken = (-points).zip_with(is_off, points), (-too_much).zip_with(is_off, too_much)
    # Each person's sizes, summed up from their oldest: what lies within the excess is cut.
    changes, up_to = _changes(person), size.cum_sum()
    first, last = (pl.concat(edge).arg_true() for edge in ([_EDGE, changes], [changes, _EDGE]))
    number = pl.concat([_EDGE, changes]).cast(pl.UInt32).cum_sum() - 1
    kept = up_to - (up_to[first] - size[first])[number] - taken
    kept = size.zip_with(kept > size, kept)
    kept = kept.set(kept < 0, 0)
    is_cut = kept < size
    cut = pl.DataFrame({
        "person": person[first], "limit": repeated(limit, len(first), pl.UInt16()), "lost": too_much[first],
        "count": _differences(is_cut.cast(pl.Int64).cum_sum()[last]).cast(pl.UInt32),
    })
    columns = {
        **touched.to_dict(),
        "points": (-kept).zip_with(is_off, kept).cast(pl.Int32),
        "capped": repeated(by, len(kept), pl.UInt8()).zip_with(is_cut, touched["capped"]),
    }
    untouched = pl.DataFrame([column.filter(~over) for column in reasons])
    return untouched.vstack(pl.DataFrame(_chosen(columns, kept > 0))), cut
