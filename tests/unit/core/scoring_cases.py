"""Definitions, people and ledgers for Hypothesis: every key of the model, and moments that lie on its edges."""

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


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    known = {
        "any_of": st.lists(texts.filter(str.strip) | st.booleans() | st.sampled_from([0, 5.5, 100]), min_size=1),
        "none_of": st.lists(texts.filter(str.strip) | st.sampled_from([1, 12]), min_size=1),
        "contains": st.lists(st.sampled_from(["HE", "長", "0", "ａ"]), min_size=1),
        "regex": st.sampled_from(["^h", "部?長$", "[0-9]+", "A|F", "ST.FF"]),
        "at_least": st.sampled_from([0, 1, 5.5, 12]), "at_most": st.sampled_from([5, 100]),
        "above": st.sampled_from([0, 5, 12]), "below": st.sampled_from([5.5, 100]), "known": st.booleans(),
    }
    names = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=2, unique=True))
    return Condition(**{name: draw(known[name]) for name in names})


@st.composite
def decays(draw: st.DrawFn) -> dict[str, object]:
    way = draw(st.sampled_from(["half_life_days", "linear_days", "steps"]))
    if way != "steps":
        return {way: draw(days)}
    after = sorted(draw(st.sets(days, min_size=1, max_size=3)))
    factors = sorted(draw(st.lists(st.sampled_from([0, 0.1, 0.33, 0.5, 1]), min_size=3, max_size=3)), reverse=True)
    return {"steps": [{"after_days": day, "factor": factor} for day, factor in zip(after, factors)]}


@st.composite
def rules(draw: st.DrawFn, number: int) -> dict[str, object]:
    rule: dict[str, object] = {"id": f"r{number}", "label": f"Rule {number}", "points": draw(hundredths)}
    if draw(st.integers(0, 3)) == 0:
        rule["person"] = draw(st.dictionaries(st.sampled_from(["role", "size"]), conditions(), min_size=1, max_size=2))
        rule["group"] = draw(st.none() | st.just("fit"))
        return rule
    rule |= {
        "activity": draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True)),
        "title": draw(st.none() | st.sampled_from(["リョウ*", ["料金表", "GUIDE"], "*"])),
        "where": draw(st.none() | st.dictionaries(st.sampled_from(["page", "minutes"]), conditions(), min_size=1)),
        "within_days": draw(st.none() | days),
        "occurrence": draw(st.none() | st.sampled_from(["every", "first", "last"])),
        "decay": draw(st.none() | decays()),
        "group": draw(st.none() | st.sampled_from(["g1", "g2"])),
    }
    if draw(st.booleans()):
        rule |= {"times": draw(st.integers(2, 4)), "in_days": draw(days)}
    if draw(st.booleans()) and rule["points"]:
        name, sign = ("max_points", 1) if rule["points"] > 0 else ("min_points", -1)
        rule[name] = sign * draw(above_nought)
    return rule


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    groups = []
    for name in ("fit", "g1", "g2"):
        upper, lower = draw(st.none() | above_nought), draw(st.none() | above_nought)
        limits = {"max_points": 0 if upper is lower is None else upper, "min_points": lower and -lower}
        groups.append({"id": name, "label": f"Group {name}", **limits})
    found = [draw(rules(number)) for number in range(draw(st.integers(1, 6)))]
    return Definition.model_validate({
        "version": "t", "threshold_points": draw(above_nought), "groups": groups, "rules": found,
        "keeps_from_points": draw(st.none() | above_nought),
        "segments": draw(st.none() | st.just({"warm_from_points": -3, "hot_from_points": 20})),
        "disqualifiers": draw(st.lists(
            st.fixed_dictionaries({"label": st.just("D"), "person": st.fixed_dictionaries({"role": conditions()})}),
            max_size=1,
        )),
    })


# Whole days and the moments right beside them, some of them ahead.
moments = st.builds(
    lambda hours, microseconds: NOW - timedelta(hours=hours, microseconds=microseconds),
    st.integers(-30, 300) | st.integers(0, 12).map(lambda n: 24 * n), st.sampled_from([0, 0, 1, -1]),
)


@st.composite
def ledgers(draw: st.DrawFn, most: int = 12) -> list[Activity]:
    """What one person did, as one CRM tells it: each thing once."""
    return [
        Activity(
            f"hubspot:things:{draw(st.integers(0, 99))}-{number}#{kind}", "hubspot:contacts:1", kind, draw(moments),
            draw(st.sampled_from(["", "料金表", "ﾘｮｳｷﾝ", "リョウキン", "Guide"])), "hubspot",
            attributes=draw(st.dictionaries(st.sampled_from(["page", "minutes"]), values, max_size=2)),
        )
        for number in range(draw(st.integers(0, most))) for kind in [draw(st.sampled_from(KINDS))]
    ]


people = st.fixed_dictionaries({"role": values, "size": values})
