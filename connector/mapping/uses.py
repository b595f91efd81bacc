"""What a company's mapping makes of one field: who has to be told when it is missing."""

from __future__ import annotations

from connector.mapping.load import history_of
from connector.mapping.model import DERIVED_ATTRIBUTES, ActivityMapping, CrmMapping, Mapping


def uses_of(mapping: Mapping, crm: str, stream: str, field: str) -> tuple[list[str], list[str]]:
    """Return what of ours comes from a remote field, and the labels of the rules that ask for it.

    The first are attributes by name, and in words what else is read from it: links, activities, owners, the history.
    """
    part = mapping.crm[crm]
    attributes = _attributes(part, stream, field)
    kinds = {one.kind for one in part.activities if one.stream == stream and field in _fields_of(one)}
    rules = [
        rule.label for rule in mapping.definition.rules
        if not kinds.isdisjoint(rule.activity or ()) or not attributes.isdisjoint(rule.person or ())
    ]
    rules += [one.label for one in mapping.definition.disqualifiers if not attributes.isdisjoint(one.person)]
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


def _fields_of(activity: ActivityMapping) -> set[str]:
    read = {field for source in activity.attributes.values() for field in source.fields}
    return read | {*activity.where, *activity.same_as.values(), activity.title, activity.occurred_at, activity.count}
