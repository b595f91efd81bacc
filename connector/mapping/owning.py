"""What the owner rules of a mapping name and the rest of the file does not give."""

from __future__ import annotations

from collections.abc import Iterator

from connector.mapping.handoff import OwnerRule
from connector.mapping.model import Mapping
from connector.mapping.parts import Place
from connector.mapping.problems import Problem, suggestion
from connector.mapping.references import of_persons
from connector.mapping.soundness import Lost, is_lost
from connector.records import Stage

_OWNERS: Place = ("handoff", "owners")


def unowned(mapping: Mapping, lost: Lost = frozenset()) -> Iterator[Problem]:
    """Yield what the owner rules ask for in vain, each with its place in the file."""
    first: dict[str, int] = {}
    for number, rule in enumerate(mapping.handoff.owners):
        yield from _unknown_parts(number, rule, mapping, lost)
        if rule.id and first.setdefault(rule.id, number) != number:
            yield Problem(
                (*_OWNERS, number, "id"),
                f"{rule.id!r} is the id of handoff.owners[{first[rule.id] + 1}] already; every list has its own",
            )
    yield from _blind_recycling(mapping, lost)


def _unknown_parts(number: int, rule: OwnerRule, mapping: Mapping, lost: Lost) -> Iterator[Problem]:
    place: Place = (*_OWNERS, number)
    yield from of_persons((*place, "person"), rule.person or {}, mapping, lost)
    for crm in rule.queues:
        if crm not in mapping.crm and not is_lost(lost, "crm"):
            yield Problem((*place, "queues", crm), f"{crm!r} is no CRM of this file{suggestion(crm, mapping.crm)}")
    # The rules that stand where a file gives none may ask for what it does not have.
    is_given = "owners" in mapping.handoff.model_fields_set
    accounts = [part.accounts for part in mapping.crm.values() if part.accounts is not None]
    is_whole = not is_lost(lost, "crm", "*", "accounts")
    if rule.by == "account" and is_given and is_whole and not any("owner_id" in one.fields for one in accounts):
        yield Problem(
            (*place, "by"), "no [crm.….accounts.fields] gives `owner_id`, so no company's owner is known; map it, or "
            "take the rule out",
        )


def _blind_recycling(mapping: Mapping, lost: Lost) -> Iterator[Problem]:
    """Yield why leads cannot be taken back: sales could not have told us of its work, or a CRM has no stage for it."""
    if mapping.handoff.recycle_business_hours_after is None or is_lost(lost, "crm"):
        return
    heard = {one.kind for part in mapping.crm.values() for one in part.activities}
    if not heard.intersection(mapping.handoff.accepted_by):
        yield Problem(
            ("handoff", "recycle_business_hours_after"),
            "no [[crm.….activities]] gives any of handoff.accepted_by "
            f"({', '.join(mapping.handoff.accepted_by)}), so leads that sales works on would be taken back",
        )
    if is_lost(lost, "crm", "*", "write_back"):
        return
    for crm, part in mapping.crm.items():
        staged = {stream: write.stages for stream, write in part.write_back.items() if write.stage}
        if staged and not any(Stage.RECYCLED in stages for stages in staged.values()):
            yield Problem(
                ("crm", crm, "write_back", next(iter(staged)), "stages"),
                "needs `recycled`, what the field says of a lead that goes back to nurturing "
                "(handoff.recycle_business_hours_after): else it would go on saying MQL",
            )
