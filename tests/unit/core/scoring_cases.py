"""Definitions, people and ledgers for Hypothesis: every key of the model, and moments that lie on its edges.

Strategies stand at the top level: one that is put together inside a draw is put together anew, and checked by
Hypothesis anew, for every example, which took more than half of the time.
"""

from __future__ import annotations

from datetime import timedelta

from core_cases import NOW
from hypothesis import strategies as st

from connector.mapping.definition import Condition, Definition
from connector.records import Activity, ActivityKind

KINDS = [ActivityKind.DOCUMENT_DOWNLOADED, ActivityKind.WEBSITE_VISITED, ActivityKind.MEETING_HELD]
hundredths = st.integers(-2_000, 2_000).map(lambda n: n / 100)
above_nought = st.integers(1, 3_000).map(lambda n: n / 100)
days = st.sampled_from([0.25, 1, 2.5, 3, 7, 10])
texts = st.sampled_from(["head", "Ｈｅａｄ", "staff", "部長", "営業部長", " ", "100"])
values = st.none() | texts | st.booleans() | st.sampled_from([0, 1, 5, 5.5, 100, "12", "1_0", "inf", "nan", "１２"])


maybe = st.booleans()
maybe_above_nought = st.none() | above_nought
MEASURES = {
    "any_of": st.lists(texts.filter(str.strip) | st.booleans() | st.sampled_from([0, 5.5, 100]), min_size=1),
    "none_of": st.lists(texts.filter(str.strip) | st.sampled_from([1, 12]), min_size=1),
    "contains": st.lists(st.sampled_from(["HE", "長", "0", "ａ"]), min_size=1),
    "regex": st.sampled_from(["^h", "部?長$", "[0-9]+", "A|F", "ST.FF"]),
    "at_least": st.sampled_from([0, 1, 5.5, 12]), "at_most": st.sampled_from([5, 100]),
    "above": st.sampled_from([0, 5, 12]), "below": st.sampled_from([5.5, 100]), "known": st.booleans(),
}
some_measures = st.lists(st.sampled_from(sorted(MEASURES)), min_size=1, max_size=2, unique=True)


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    return Condition(**{name: draw(MEASURES[name]) for name in draw(some_measures)})


conditions = _conditions()
ways_to_fade = st.sampled_from(["half_life_days", "linear_days", "steps"])
days_of_steps = st.sets(days, min_size=1, max_size=3)
factors_of_steps = st.lists(st.sampled_from([0, 0.1, 0.33, 0.5, 1]), min_size=3, max_size=3)


@st.composite
def _decays(draw: st.DrawFn) -> dict[str, object]:
    way = draw(ways_to_fade)
    if way != "steps":
        return {way: draw(days)}
    after = sorted(draw(days_of_steps))
    factors = sorted(draw(factors_of_steps), reverse=True)
    return {"steps": [{"after_days": day, "factor": factor} for day, factor in zip(after, factors)]}


of_a_person = st.integers(0, 3).map(lambda n: n == 0)
on_a_person = st.fixed_dictionaries({
    "person": st.dictionaries(st.sampled_from(["role", "size"]), conditions, min_size=1, max_size=2),
    "group": st.none() | st.just("fit"),
})
on_activities = st.fixed_dictionaries({
    "activity": st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True),
    "title": st.none() | st.sampled_from(["リョウ*", ["料金表", "GUIDE"], "*"]),
    "where": st.none() | st.dictionaries(st.sampled_from(["page", "minutes"]), conditions, min_size=1),
    "within_days": st.none() | days,
    "occurrence": st.none() | st.sampled_from(["every", "first", "last"]),
    "decay": st.none() | _decays(),
    "group": st.none() | st.sampled_from(["g1", "g2"]),
})
frequencies = st.fixed_dictionaries({"times": st.integers(2, 4), "in_days": days})


@st.composite
def _rules(draw: st.DrawFn) -> dict[str, object]:
    points = draw(hundredths)
    if draw(of_a_person):
        return {"points": points, **draw(on_a_person)}
    rule: dict[str, object] = {"points": points, **draw(on_activities)}
    if draw(maybe):
        rule |= draw(frequencies)
    if draw(maybe) and points:
        name, sign = ("max_points", 1) if points > 0 else ("min_points", -1)
        rule[name] = sign * draw(above_nought)
    return rule


rules = _rules()
some_rules = st.integers(1, 6).flatmap([st.lists(rules, min_size=n, max_size=n) for n in range(7)].__getitem__)
maybe_segments = st.none() | st.just({"warm_from_points": -3, "hot_from_points": 20})
some_disqualifiers = st.lists(
    st.fixed_dictionaries({"label": st.just("D"), "person": st.fixed_dictionaries({"role": conditions})}), max_size=1,
)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    groups = []
    for name in ("fit", "g1", "g2"):
        upper, lower = draw(maybe_above_nought), draw(maybe_above_nought)
        limits = {"max_points": 0 if upper is lower is None else upper, "min_points": lower and -lower}
        groups.append({"id": name, "label": f"Group {name}", **limits})
    found = [{"id": f"r{n}", "label": f"Rule {n}", **rule} for n, rule in enumerate(draw(some_rules))]
    return Definition.model_validate({
        "version": "t", "threshold_points": draw(above_nought), "groups": groups, "rules": found,
        "keeps_from_points": draw(maybe_above_nought),
        "segments": draw(maybe_segments),
        "disqualifiers": draw(some_disqualifiers),
    })


# Whole days and the moments right beside them, some of them ahead.
moments = st.builds(
    lambda hours, microseconds: NOW - timedelta(hours=hours, microseconds=microseconds),
    st.integers(-30, 300) | st.integers(0, 12).map(lambda n: 24 * n), st.sampled_from([0, 0, 1, -1]),
)


numbers = st.integers(0, 99)
kinds = st.sampled_from(KINDS)
titles = st.sampled_from(["", "料金表", "ﾘｮｳｷﾝ", "リョウキン", "Guide"])
attributes = st.dictionaries(st.sampled_from(["page", "minutes"]), values, max_size=2)
deeds = st.tuples(numbers, kinds, moments, titles, attributes)
LONGEST = 12
of_length = [st.lists(deeds, min_size=count, max_size=count) for count in range(LONGEST + 1)]


def ledgers(most: int = LONGEST) -> st.SearchStrategy[list[Activity]]:
    """What one person did, as one CRM tells it: each thing once."""
    return st.integers(0, most).flatmap(of_length.__getitem__).map(lambda told: [
        Activity(
            f"hubspot:things:{remote}-{number}#{kind}", "hubspot:contacts:1", kind, at, title, "hubspot",
            attributes=of_it,
        )
        for number, (remote, kind, at, title, of_it) in enumerate(told)
    ])


people = st.fixed_dictionaries({"role": values, "size": values})
