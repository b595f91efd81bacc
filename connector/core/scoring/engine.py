"""The weighing: a definition, people and their activities in; scores with every reason out.

One call weighs one person in a few milliseconds or a hundred thousand at once; the answer is a pure function of its
arguments, whatever their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from connector.core.normalize import matcher
from connector.core.scoring.attributes import condition, evidence
from connector.core.scoring.ledger import counted_once, ledger, microseconds
from connector.mapping.model import Definition, Rule
from connector.records import Activity, Person, Reason, Score

_DAY_US = 86_400_000_000
_LONG_AGO_US = -(2**62)


def score_people(
    people: Sequence[Person],
    activities_of: Mapping[str, Sequence[Activity]],
    definition: Definition,
    as_of: datetime,
    zone: ZoneInfo,
) -> dict[str, Score]:
    """Weigh people as of a moment.

    Activities after `as_of` are not seen, those told twice count once (`ledger.counted_once`). A rule on attributes
    gives its points once; a rule on activities for each, newest first until its `max_points`, the last one in part.

    Args:
        activities_of: Person id -> what they did; a missing person did nothing.
        zone: The company's, for what is the same day.

    Returns:
        Person id -> Score. Reasons stand in the definition's order of rules, within a rule newest first.
    """
    frame, activities = ledger(people, activities_of)
    reasons: list[list[list[Reason]]] = [[[] for _ in definition.rules] for _ in people]
    for number, rule in enumerate(definition.rules):
        if rule.person is not None and rule.points != 0:
            meets = condition(rule.person)
            for one, person in zip(reasons, people):
                if meets(person.attributes):
                    one[number].append(_fit_reason(rule, person))
    for person_number, number, row, points in _weigh(frame, definition, microseconds(as_of), zone):
        reasons[person_number][number].append(_activity_reason(definition.rules[number], activities[row], points))
    disqualifiers = [(d.label, condition(d.person)) for d in definition.disqualifiers]
    return {
        person.person_id: Score(
            person_id=person.person_id,
            definition=definition.version,
            as_of=as_of,
            reasons=tuple(reason for of_rule in one for reason in of_rule),
            disqualified_by=next((label for label, meets in disqualifiers if meets(person.attributes)), ""),
        )
        for one, person in zip(reasons, people)
    }


def _weigh(
    frame: pl.DataFrame, definition: Definition, as_of_us: int, zone: ZoneInfo
) -> list[tuple[int, int, int, float]]:
    """Return (person, rule, row, points) of every activity that meets an activity rule, newest first."""
    if frame.is_empty():
        return []
    seen = counted_once(frame.lazy().filter(pl.col("occurred_us") <= as_of_us), zone).collect()
    seen = seen.sort(["occurred_us", "activity_id"], descending=[True, False])
    titles = seen.get_column("title").unique().to_list() if any(r.title for r in definition.rules) else []
    weighed = [
        seen.lazy().filter(_meets(rule, titles, as_of_us)).select(
            "person", pl.lit(number, pl.UInt32).alias("rule"), "row", _points(rule).alias("points"),
        ).filter(pl.col("points") != 0)
        for number, rule in enumerate(definition.rules) if rule.activity is not None
    ]
    return pl.concat(weighed).collect().rows() if weighed else []


def _meets(rule: Rule, titles: Sequence[str], as_of_us: int) -> pl.Expr:
    meets = pl.col("kind") == str(rule.activity)
    if rule.title:
        # The patterns' meaning lives in one place; each different title is matched once.
        matches = matcher(rule.title)
        meets &= pl.col("title").is_in([title for title in titles if matches(title)])
    if rule.within_days:
        meets &= pl.col("occurred_us") >= max(_LONG_AGO_US, as_of_us - int(rule.within_days * _DAY_US))
    return meets


def _points(rule: Rule) -> pl.Expr:
    if rule.max_points is None or rule.points <= 0:
        return pl.lit(rule.points, pl.Float64)
    before = pl.int_range(pl.len()).over("person") * rule.points
    return (rule.max_points - before).clip(0, rule.points)


def _fit_reason(rule: Rule, person: Person) -> Reason:
    return Reason(rule.id, rule.label, rule.side, rule.points, evidence(rule.person or {}, person.attributes))


def _activity_reason(rule: Rule, activity: Activity, points: float) -> Reason:
    return Reason(
        rule.id, rule.label, rule.side, points, activity.activity_id, activity.title, activity.occurred_at
    )
