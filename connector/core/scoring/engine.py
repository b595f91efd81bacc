"""From people and what they did to scores with every reason; a pure function of its arguments, whatever their order.

One call scores one person in a few milliseconds or many thousands at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl

from connector.core.scoring.attributes import Attributes, evidence
from connector.core.scoring.ledger import Ledger, microseconds
from connector.core.scoring.weigh import BY_GROUP, BY_RULE, Moment, RulesMet, weigh
from connector.mapping.definition import Decay, Definition, Rule
from connector.records import POINT_DECIMALS, Activity, Cut, Person, Reason, Score

_PER_POINT = 10**POINT_DECIMALS


def score_people(
    people: Sequence[Person],
    activities_of: Mapping[str, Sequence[Activity]],
    definition: Definition,
    as_of: datetime | Sequence[datetime],
    zone: ZoneInfo,
) -> dict[str, Score]:
    """Score people by all that is told of them; see `score_ledger`.

    Args:
        activities_of: Person id -> what they did, as told; a missing person did nothing.
        zone: The company's, for what is the same day.
    """
    ledger = Ledger.of([person.person_id for person in people], activities_of, zone)
    return score_ledger(people, ledger, definition, as_of)


def score_ledger(
    people: Sequence[Person], ledger: Ledger, definition: Definition, as_of: datetime | Sequence[datetime]
) -> dict[str, Score]:
    """Score people as of a moment, or each as of theirs. Activities after it are not seen.

    Args:
        ledger: Of these people in this order.

    Returns:
        Person id -> Score. Reasons stand in the definition's order of rules, within a rule newest first; cuts in the
        order of rules, then of groups.
    """
    moments = [as_of] * len(people) if isinstance(as_of, datetime) else list(as_of)
    attributes = attributes_of(people, definition)
    as_of_us = instants(as_of)
    weighed = weigh(
        definition, attributes, len(people), RulesMet(ledger, as_of_us), as_of_us, with_reasons=True
    )
    reasons: dict[int, list[Reason]] = defaultdict(list)
    for number, rule_number, row, points, capped in weighed.reasons.sort(
        "person", "rule", "row", descending=[False, False, True]
    ).iter_rows():
        activity = None if row is None else ledger.activities[row]
        rule = definition.rules[rule_number]
        capped_by = {BY_RULE: "rule", BY_GROUP: rule.group or ""}.get(capped, "")
        reasons[number].append(_reason(rule, points, people[number], activity, moments[number], capped_by))
    cuts: dict[int, list[Cut]] = defaultdict(list)
    limits = [*definition.rules, *definition.groups]
    for number, limit_number, lost, count in weighed.cuts.sort("person", "limit", "lost").iter_rows():
        limit = limits[limit_number]
        limit_points = (limit.max_points if lost > 0 else limit.min_points) or 0.0
        cuts[number].append(Cut(limit.id, limit.label, limit_points, lost / _PER_POINT, count))
    disqualified = [(one.label, attributes.meet(one.person).to_list()) for one in definition.disqualifiers]
    return {
        person.person_id: Score(
            person_id=person.person_id,
            definition=definition.version,
            as_of=moment,
            reasons=tuple(reasons[number]),
            disqualified_by=next((label for label, meets in disqualified if meets[number]), ""),
            cuts=tuple(cuts[number]),
        )
        for number, (person, moment) in enumerate(zip(people, moments))
    }


def attributes_of(people: Sequence[Person], definition: Definition) -> Attributes:
    """Return what a definition asks of people, encoded."""
    conditions = [rule.person for rule in definition.rules if rule.person is not None]
    conditions += [one.person for one in definition.disqualifiers]
    names = sorted({name for one in conditions for name in one})
    return Attributes.of([person.attributes for person in people], names)


def instants(as_of: datetime | Sequence[datetime]) -> Moment:
    """Return one moment, or one for each person, as the arithmetic counts it."""
    if isinstance(as_of, datetime):
        return microseconds(as_of)
    return pl.Series([microseconds(moment) for moment in as_of], dtype=pl.Int64)


def _reason(
    rule: Rule, points: int, person: Person, activity: Activity | None, as_of: datetime, capped_by: str
) -> Reason:
    given = points / _PER_POINT
    if activity is None:
        met_by = evidence(rule.person or {}, person.attributes)
        return Reason(rule.id, rule.label, rule.side, given, met_by, base_points=rule.points, capped_by=capped_by)
    factor = 1.0 if rule.decay is None else _factor(rule.decay, (as_of - activity.occurred_at).days)
    return Reason(
        rule.id, rule.label, rule.side, given, activity.activity_id, activity.title, activity.occurred_at,
        rule.points, factor, capped_by,
    )


@lru_cache(maxsize=65_536)
def _factor(decay: Decay, age_days: int) -> float:
    return float(round(decay.factor(age_days), 4))
