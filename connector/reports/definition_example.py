"""A made-up person who just becomes an MQL by a definition, scored by the real engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connector.core.scoring import score_people
from connector.mapping.definition import Condition, Definition, Rule
from connector.records import Activity, Person, Score, Stage, Value

_AT = datetime(2026, 4, 1, 9, tzinfo=UTC)
"""When the example is scored: any moment does, for all that is done in it is dated by this one."""

_MOST_RULES = 5


class Example(NamedTuple):
    """Who it is, what they did (the rules it meets), and the score.

    Attributes:
        done: Each rule on activities that was aimed at, and how often it was done.
    """

    attributes: Mapping[str, Value]
    done: tuple[tuple[Rule, int], ...]
    score: Score
    is_mql: bool


def example_of(definition: Definition, zone: ZoneInfo) -> Example | None:
    """Return somebody of the best fit who did as little as makes an MQL; None where no such person can be made up.

    Only rules on plain values are aimed at: what a regular expression wants is not guessed.
    """
    best = max(
        (rule for rule in definition.rules if rule.points > 0 and rule.person and _made_up(rule.person) is not None),
        key=lambda rule: rule.points, default=None,
    )
    attributes = {} if best is None else _made_up(best.person or {}) or {}
    able = sorted(
        (rule for rule in definition.rules
         if rule.points > 0 and rule.activity and _made_up(rule.where or {}) is not None),
        key=lambda rule: rule.points,
    )
    chosen: list[Rule] = []
    example, = _scored(definition, zone, attributes, [chosen])
    while able and len(chosen) < _MOST_RULES and not example.is_mql:
        tries = _scored(definition, zone, attributes, [[*chosen, rule] for rule in able])
        example = next((one for one in tries if one.is_mql), tries[-1])
        chosen.append(able.pop())
    return example if example.score.reasons else None


def _scored(
    definition: Definition, zone: ZoneInfo, attributes: Mapping[str, Value], done: Sequence[Sequence[Rule]],
) -> list[Example]:
    """Return somebody for each of these lists of what was done, all scored at once."""
    people = [Person(str(number), (), attributes, (), Stage.INQUIRY) for number in range(len(done))]
    activities = {
        person.person_id: [activity for number, rule in enumerate(rules) for activity in _deeds(rule, number)]
        for person, rules in zip(people, done)
    }
    scores = score_people(people, activities, definition, _AT, zone)
    examples = []
    for person, rules in zip(people, done):
        score = scores[person.person_id]
        is_mql = not score.disqualified_by and definition.qualifies(score.fit_points, score.engagement_points)
        examples.append(Example(attributes, tuple((rule, rule.times or 1) for rule in rules), score, is_mql))
    return examples


def _deeds(rule: Rule, number: int) -> Iterator[Activity]:
    """Yield as many activities as the rule asks for, the newest an hour ago."""
    times = rule.times or 1
    apart = timedelta(days=min(rule.in_days or 1, rule.within_days or 1, 1)) / (2 * times)
    title = (rule.title or ("",))[0].replace("*", "")
    for earlier in range(times):
        yield Activity(
            f"example#{number}#{earlier}", "example", (rule.activity or ())[0],
            _AT - earlier * apart, f"{title}{earlier or ''}" if rule.title is None else title, "example",
            attributes=_made_up(rule.where or {}) or {},
        )


def _made_up(asked: Mapping[str, Condition]) -> dict[str, Value] | None:
    """Return attributes that meet plain conditions; None where one is not plain."""
    made = {name: _value(wanted) for name, wanted in asked.items()}
    return None if None in made.values() else made


def _value(wanted: Condition) -> Value:
    if wanted.any_of is not None and wanted.model_dump(exclude_none=True).keys() == {"any_of"}:
        return wanted.any_of[0]
    if wanted.model_dump(exclude_none=True).keys() <= {"at_least", "at_most"}:
        return wanted.at_least if wanted.at_least is not None else wanted.at_most
    return None
