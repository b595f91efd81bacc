"""What a mapping names and does not have: attributes, values, kinds of activity, tables, streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connector.mapping.definition import Condition, Conditions, Definition, Rule
from connector.mapping.handoff import Trigger
from connector.mapping.model import DERIVED_ATTRIBUTES, CrmMapping, Mapping
from connector.mapping.parts import Place
from connector.mapping.problems import Problem, suggestion
from connector.mapping.soundness import Lost, conditions, impossible, is_lost
from connector.mapping.sources import FieldSource
from connector.records import OVERRIDE, OVERRIDES, ActivityKind, Stage


def unknown_names(mapping: Mapping, lost: Lost = frozenset()) -> Iterator[Problem]:
    """Yield each name in `[crm]` that leads nowhere."""
    for crm, part in mapping.crm.items():
        for place, source in _sources(crm, part):
            if source.values and source.values not in mapping.values and not is_lost(lost, "values"):
                known = suggestion(source.values, mapping.values)
                yield Problem(place, f"no table [values.{source.values}]{known}")
        if not is_lost(lost, "crm", "*", "people"):
            yield from _unknown_targets(mapping, crm, part)
        if not is_lost(lost, "crm", "*", "activities"):
            yield from _unknown_twins(mapping, crm, part)
    yield from _unknown_overrides(mapping)
    yield from _unknown_stages(mapping)


def unsupported(definition: Definition, mapping: Mapping, lost: Lost = frozenset()) -> Iterator[Problem]:
    """Yield what a definition asks for that the rest of the mapping does not give, each with its place in the file."""
    if not any(is_lost(lost, "crm", "*", part) for part in ("people", "accounts")):
        yield from _unknown_attributes(definition, mapping)
    if not is_lost(lost, "crm", "*", "activities"):
        for number, rule in enumerate(definition.rules):
            if rule.activity is not None:
                yield from unheard_of(("definition", "rules", number), rule, rule.activity, mapping)
    if not any(is_lost(lost, *prefix) for prefix in (("values",), ("crm",))):
        yield from _unknown_values(definition, mapping)


def _sources(crm: str, part: CrmMapping) -> Iterator[tuple[Place, FieldSource]]:
    for stream, people in part.people.items():
        for name, source in people.fields.items():
            yield ("crm", crm, "people", stream, "fields", name), source
    if part.accounts is not None:
        for name, source in part.accounts.fields.items():
            yield ("crm", crm, "accounts", "fields", name), source
    for number, activity in enumerate(part.activities):
        for name, source in activity.attributes.items():
            yield ("crm", crm, "activities", number, "attributes", name), source
    if part.deals is not None:
        yield ("crm", crm, "deals", "outcome"), part.deals.outcome
        for name, source in part.deals.attributes.items():
            yield ("crm", crm, "deals", "attributes", name), source
    for number, moves in enumerate(part.stage_moves):
        yield ("crm", crm, "stage_moves", number, "stage"), moves.stage


def _unknown_overrides(mapping: Mapping) -> Iterator[Problem]:
    """Yield each row of an `override`'s value map that gives a word which decides nothing."""
    people = [people for part in mapping.crm.values() for people in part.people.values()]
    tables = {one.fields[OVERRIDE].values: None for one in people if OVERRIDE in one.fields}
    rows = [
        (("values", table, number, ours), ours)
        for table in tables for number, layer in enumerate(mapping.values.get(table, ())) for ours in layer
    ]
    for place, ours in rows:
        if ours not in OVERRIDES:
            known = suggestion(ours, OVERRIDES)
            yield Problem(place, f"is a row for {OVERRIDE!r}, which has {' and '.join(OVERRIDES)} alone{known}")


def _unknown_stages(mapping: Mapping) -> Iterator[Problem]:
    """Yield each row of a `stage`'s value map that gives no stage: who is in it would pass for a new lead."""
    people = [people for part in mapping.crm.values() for people in part.people.values()]
    tables = {one.fields["stage"].values: None for one in people if "stage" in one.fields}
    stages = [stage.value for stage in Stage]
    for table in tables:
        for number, layer in enumerate(mapping.values.get(table, ())):
            for ours in layer:
                if ours not in stages:
                    known = suggestion(ours, stages)
                    yield Problem(("values", table, number, ours), f"is a row for 'stage' and no stage{known}")


def _unknown_targets(mapping: Mapping, crm: str, part: CrmMapping) -> Iterator[Problem]:
    known = [f"{other}.{stream}" for other, theirs in mapping.crm.items() for stream in theirs.people]
    for stream, people in part.people.items():
        for key, targets in (("links", people.links), ("superseded_by", people.superseded_by)):
            for target in targets:
                if target not in known:
                    yield Problem(
                        ("crm", crm, "people", stream, key, target),
                        f"{target!r} is no people stream of this file{suggestion(target, known)}",
                    )
    for stream in part.accounts.linked_from if part.accounts is not None else ():
        if stream not in part.people:
            yield Problem(
                ("crm", crm, "accounts", "linked_from", stream),
                f"{stream!r} is no people stream of this CRM{suggestion(stream, part.people)}",
            )


def _unknown_twins(mapping: Mapping, crm: str, part: CrmMapping) -> Iterator[Problem]:
    """Yield each `same_as` that names no activities of this file, or could be taken for a CRM."""
    told = {f"{other}.{one.stream}" for other, p in mapping.crm.items() for one in p.activities if not one.count}
    for number, activity in enumerate(part.activities):
        for name in activity.same_as:
            place: Place = ("crm", crm, "activities", number, "same_as", name)
            if "." in name and name not in told:
                yield Problem(place, f"{name!r} is no stream of this file's activities{suggestion(name, told)}")
            elif "." not in name and name in mapping.crm:
                yield Problem(place, f"{name!r} is a CRM; name one of its streams, or choose another word")


def _unknown_attributes(definition: Definition, mapping: Mapping) -> Iterator[Problem]:
    known = attributes_of(mapping)
    for place, name, _ in conditions(definition):
        if place[3] == "person" and name not in known:
            yield Problem(place, f"no people stream and no account gives {name!r}{suggestion(name, known)}")
    for number, names in enumerate(definition.required):
        for name in names:
            if name not in known:
                yield Problem(
                    ("definition", "required", number),
                    f"no people stream and no account gives {name!r}{suggestion(name, known)}",
                )


def attributes_of(mapping: Mapping) -> set[str]:
    """Return every attribute a rule on persons may ask for."""
    known = set(DERIVED_ATTRIBUTES)
    for part in mapping.crm.values():
        known.update(*(people.fields for people in part.people.values()))
        if part.accounts is not None:
            known |= {f"account.{name}" for name in part.accounts.fields}
    return known


def unheard_of(
    place: Place, rule: Rule | Trigger, kinds: Iterable[ActivityKind], mapping: Mapping
) -> Iterator[Problem]:
    """Yield what a rule or a trigger on activities asks for that no activity of its kinds can have."""
    told = mapping.told()
    mine = [one for one in told if one.kind in kinds]
    if not mine:
        asked = " or ".join(kind.value for kind in kinds)
        known = suggestion(asked, {one.kind.value for one in told})
        yield Problem((*place, "activity"), f"no [[crm.….activities]] of this file gives {asked}{known}")
        return
    if rule.title is not None and not any(one.title for one in mine):
        yield Problem((*place, "title"), "none of these activities has a title; give `title` in their mapping")
    attributes = {name for one in mine for name in one.attributes}
    for name in rule.where or {}:
        if name not in attributes:
            yield Problem(
                (*place, "where", name), f"none of these activities has {name!r}{suggestion(name, attributes)}",
            )


def _unknown_values(definition: Definition, mapping: Mapping) -> Iterator[Problem]:
    """Yield each value asked for that no value map can give."""
    activities = mapping.told()
    for place, name, wanted in conditions(definition):
        if place[3] == "person":
            sources = sources_of(name, mapping)
        else:
            kinds = definition.rules[int(place[2])].activity or ()
            sources = [a.attributes[name] for a in activities if a.kind in kinds and name in a.attributes]
        yield from never_given(place, name, wanted, sources, mapping)


def of_persons(place: Place, asked: Conditions, mapping: Mapping, lost: Lost) -> Iterator[Problem]:
    """Yield what is asked for in vain of the attributes of persons, outside the definition."""
    is_whole = not any(is_lost(lost, "crm", "*", part) for part in ("people", "accounts"))
    known = attributes_of(mapping)
    for name, wanted in asked.items():
        yield from impossible((*place, name), wanted)
        if not is_whole:
            continue
        if name not in known:
            yield Problem((*place, name), f"no people stream and no account gives {name!r}{suggestion(name, known)}")
        elif not is_lost(lost, "values"):
            yield from never_given((*place, name), name, wanted, sources_of(name, mapping), mapping)


def never_given(
    place: Place, name: str, wanted: Condition, sources: Sequence[FieldSource], mapping: Mapping
) -> Iterator[Problem]:
    """Yield each value that a condition asks for and the value maps of where the attribute comes from cannot give."""
    if not sources or not all(source.values in mapping.values for source in sources):
        return    # as the CRM has it: anything may come
    given = {ours for source in sources for ours, _ in mapping.rows(source.values)}
    tables = ", ".join(sorted({f"[values.{source.values}]" for source in sources}))
    for key, values in (("any_of", wanted.any_of), ("none_of", wanted.none_of)):
        for value in values or ():
            spelled = str(value).lower() if isinstance(value, bool) else str(value)
            if spelled.strip() and spelled not in given:
                yield Problem((*place, key), f"{tables} never gives {name} = {value!r}{suggestion(spelled, given)}")


def sources_of(attribute: str, mapping: Mapping) -> list[FieldSource]:
    """Return everything that an attribute of persons comes from."""
    head, dot, name = attribute.partition(".")
    if head == "account" and dot:
        accounts = [part.accounts for part in mapping.crm.values() if part.accounts is not None]
        return [one.fields[name] for one in accounts if name in one.fields]
    people = [people for part in mapping.crm.values() for people in part.people.values()]
    return [one.fields[attribute] for one in people if attribute in one.fields]
