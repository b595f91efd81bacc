"""What a company's mapping makes of one field: who has to be told when it is missing."""

from __future__ import annotations

from connector.mapping.load import history_of
from connector.mapping.model import DERIVED_ATTRIBUTES, ActivityMapping, CrmMapping, Mapping
from connector.records import ActivityKind


def uses_of(mapping: Mapping, crm: str, stream: str, field: str) -> tuple[list[str], list[str]]:
    """Return what of ours comes from a remote field, and the labels of the rules and triggers that ask for it.

    The first are attributes by name, and in words what else is read from it: links, activities, owners, the history.
    """
    part = mapping.crm[crm]
    attributes = _attributes(part, stream, field)
    kinds = {one.kind for one in part.activities if one.stream == stream and field in _fields_of(one)}
    kinds |= _of_waterfall(part, stream, field)
    rules = [
        rule.label for rule in mapping.definition.rules
        if not kinds.isdisjoint(rule.activity or ()) or not attributes.isdisjoint(rule.person or ())
    ]
    rules += [one.label for one in mapping.definition.disqualifiers if not attributes.isdisjoint(one.person)]
    rules += [
        one.label for one in mapping.triggers
        if one.activity in kinds or not attributes.isdisjoint(one.person or ())
    ]
    ours = sorted(attributes) + _others(part, stream, field) + [f"activities {kind.value}" for kind in sorted(kinds)]
    return ours, rules


def _attributes(part: CrmMapping, stream: str, field: str) -> set[str]:
    if part.accounts is not None and part.accounts.stream == stream:
        return {f"account.{name}" for name, source in part.accounts.fields.items() if field in source.fields}
    people = part.people.get(stream)
    if people is None:
        return set()
    found = {name for name, source in people.fields.items() if field in source.fields}
    return found | set(DERIVED_ATTRIBUTES) if {"email", "additional_emails"} & found else found


def _others(part: CrmMapping, stream: str, field: str) -> list[str]:
    said = []
    if people := part.people.get(stream):
        said += [f"the link to {name}" for name, remote in people.links.items() if remote == field]
        said += [f"the replacement by {name}" for name, remote in people.superseded_by.items() if remote == field]
        if people.stage_history and history_of(people.stage_history) == field:
            said.append("the stages' history")
    if part.accounts is not None and part.accounts.linked_from.get(stream) == field:
        said.append("the link to the company")
    owners = part.owners
    if owners is not None and owners.stream == stream and field in {owners.email, *owners.is_active, *owners.name}:
        said.append("the owners of tasks")
    return said


def _of_waterfall(part: CrmMapping, stream: str, field: str) -> set[ActivityKind]:
    """Return what is told of deals and stages by help of a field."""
    kinds = set()
    if (deals := part.deals) is not None and deals.stream == stream:
        read = {name for source in (deals.outcome, *deals.attributes.values()) for name in source.fields}
        if field in {*read, deals.title, deals.opened_at}:
            kinds.add(ActivityKind.DEAL_OPENED)
        if field in {*read, deals.title, deals.closed_at}:
            kinds |= {ActivityKind.DEAL_WON, ActivityKind.DEAL_LOST}
    for moves in part.stage_moves:
        if moves.stream == stream and field in {*moves.where, *moves.stage.fields, moves.moved_at}:
            kinds.add(ActivityKind.STAGE_MOVED)
    return kinds


def _fields_of(activity: ActivityMapping) -> set[str]:
    read = {field for source in activity.attributes.values() for field in source.fields}
    return read | {*activity.where, *activity.same_as.values(), activity.title, activity.occurred_at, activity.count}
