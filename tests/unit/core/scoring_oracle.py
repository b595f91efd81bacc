"""The whole definition once more as a plain loop over one person's activities: slow, exact, without any frame."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

from connector.core.normalize import fold, matcher, text_of
from connector.mapping.definition import Condition, Decay, Definition, Rule
from connector.records import Activity, Value


@dataclass
class Given:
    """One reason: hundredths, and whose limit took some of them."""

    rule: Rule
    number: int
    points: int
    activity: Activity | None = None
    capped_by: str = ""


@dataclass
class Verdict:
    reasons: list[Given]
    cuts: list[tuple[str, int, int]] = field(default_factory=list)    # limit, lost hundredths, how many reasons
    disqualified_by: str = ""

    def side(self, side: str) -> int:
        return sum(one.points for one in self.reasons if one.rule.side == side)


def judge(attributes: dict[str, Value], done: list[Activity], definition: Definition, as_of: datetime) -> Verdict:
    verdict = Verdict([])
    given: list[list[Given]] = []
    for number, rule in enumerate(definition.rules):
        if rule.person is not None:
            met = all(holds(one, attributes.get(name)) for name, one in rule.person.items())
            found = [Given(rule, number, whole(rule.points))] if met and rule.points else []
        else:
            found = [
                Given(rule, number, faded(rule, (as_of - one.occurred_at) // timedelta(days=1)), one)
                for one in newest_first(counting(rule, done, as_of), as_of, rule)
            ]
            found = [one for one in found if one.points]
            found = limited(found, rule.id, rule.max_points, rule.min_points, "rule", verdict)
        given.append(found)
    for group in definition.groups:
        members = [one for found in given for one in found if one.rule.group == group.id]
        # Newest first; of equally old ones the greater id, then the earlier rule. Attributes by the order of rules.
        members.sort(key=lambda one: one.number)
        members.sort(key=lambda one: one.activity.activity_id if one.activity else "", reverse=True)
        members.sort(key=lambda one: one.activity.occurred_at if one.activity else as_of, reverse=True)
        kept = limited(members, group.id, group.max_points, group.min_points, group.id, verdict)
        given = [[one for one in found if one.rule.group != group.id or any(one is k for k in kept)] for found in given]
    verdict.reasons = [one for found in given for one in found]
    for disqualifier in definition.disqualifiers:
        if all(holds(one, attributes.get(name)) for name, one in disqualifier.person.items()):
            verdict.disqualified_by = disqualifier.label
            break
    return verdict


def limited(
    newest: list[Given], limit: str, upper: float | None, lower: float | None, by: str, verdict: Verdict
) -> list[Given]:
    total = sum(one.points for one in newest)
    if upper is not None and total > whole(upper):
        excess, sign = total - whole(upper), 1
    elif lower is not None and total < whole(lower):
        excess, sign = whole(lower) - total, -1
    else:
        return newest
    lost, count = 0, 0
    for one in reversed(newest):
        taken = min(excess - lost, max(0, one.points * sign))
        if taken:
            one.points -= sign * taken
            one.capped_by = by
            lost, count = lost + taken, count + 1
    verdict.cuts.append((limit, sign * lost, count))
    return [one for one in newest if one.points]


def counting(rule: Rule, done: list[Activity], as_of: datetime) -> list[Activity]:
    """Every activity that meets the rule up to now and is picked by it, the oldest first."""
    met = []
    for one in sorted(done, key=lambda a: (a.occurred_at, a.activity_id)):
        titled = rule.title is None or matcher(rule.title)(fold(one.title))
        where = all(holds(wanted, one.attributes.get(name)) for name, wanted in (rule.where or {}).items())
        if one.occurred_at <= as_of and one.kind in rule.activity and titled and where:
            met.append(one)
    if rule.times is not None:
        met = [
            one for position, one in enumerate(met)
            if position >= rule.times - 1
            and one.occurred_at - met[position - rule.times + 1].occurred_at <= timedelta(days=rule.in_days)
        ]
    occurrence = rule.occurrence or ("every" if rule.times is None else "last")
    return {"every": met, "first": met[:1], "last": met[-1:]}[occurrence]


def newest_first(chosen: list[Activity], as_of: datetime, rule: Rule) -> list[Activity]:
    return [
        one for one in reversed(chosen)
        if rule.within_days is None or as_of - one.occurred_at <= timedelta(days=rule.within_days)
    ]


def holds(wanted: Condition, value: Value) -> bool:
    text = fold(text_of(value))
    if not text:
        return wanted.known is False and wanted == Condition(known=False)
    is_number = not isinstance(value, bool) and re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", text)
    number = float(text) if is_number else None

    def is_one_of(values) -> bool:
        for other in values:
            if isinstance(other, bool | str) and fold(text_of(other)) == text:
                return True
            if isinstance(other, int | float) and not isinstance(other, bool) and number == other:
                return True
        return False

    return all((
        wanted.known is not False,
        wanted.any_of is None or is_one_of(wanted.any_of),
        wanted.none_of is None or not is_one_of(wanted.none_of),
        wanted.contains is None or any(fold(part) in text for part in wanted.contains),
        wanted.regex is None or re.search(wanted.regex, text, re.IGNORECASE) is not None,
        wanted.at_least is None or (number is not None and number >= wanted.at_least),
        wanted.at_most is None or (number is not None and number <= wanted.at_most),
        wanted.above is None or (number is not None and number > wanted.above),
        wanted.below is None or (number is not None and number < wanted.below),
    ))


def whole(points: float) -> int:
    return int(Fraction(str(points)) * 100)


def faded(rule: Rule, age_days: int) -> int:
    """The hundredths left at an age, rounded once, halves away from nought."""
    exact = abs(Fraction(str(rule.points)) * 100) * left(rule.decay, age_days)
    rounded = int(exact + Fraction(1, 2))
    return rounded if rule.points > 0 else -rounded


def left(decay: Decay | None, age_days: int) -> Fraction:
    if decay is None:
        return Fraction(1)
    if decay.half_life_days is not None:
        with localcontext(prec=60):
            return Fraction(Decimal(2) ** (Decimal(-age_days) / Decimal(str(decay.half_life_days))))
    if decay.linear_days is not None:
        return max(Fraction(0), 1 - Fraction(age_days) / Fraction(str(decay.linear_days)))
    reached = [step.factor for step in decay.steps if step.after_days <= age_days]
    return Fraction(str(reached[-1])) if reached else Fraction(1)
