"""What earlier runs decided and did not get out yet, told by whom it is about: an approval is given to that."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from connector.core.identity import assemble
from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.pipeline.understand import read_contacts
from connector.records import Change, ChangeKind, Decision, Person

_MAKES_MQL = frozenset({ChangeKind.STAGE, ChangeKind.LEAD, ChangeKind.TASK})


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits to be written about one person.

    Attributes:
        person: Without an account; None when no record of theirs is left.
        handoff: The one whose stage, lead or task waits; None when only figures or notes do.
        changes: Oldest first.
    """

    person_id: str
    person: Person | None
    handoff: Decision | None
    changes: tuple[Change, ...]


def read_waiting(company: Company) -> list[Waiting]:
    """Return everybody about whom something waits, in the order in which it was planned; asks the store only."""
    changes: dict[str, list[Change]] = defaultdict(list)
    for change in company.store.read_waiting(company.name):
        changes[change.person_id].append(change)
    handoffs = company.store.read_handoffs(company.name, changes)
    keys = company.store.get_person_keys(company.name, changes)
    contacts = read_contacts(company, Normalizer(company.mapping), {key for own in keys.values() for key in own})
    found = []
    for person_id, own in changes.items():
        theirs = [contacts[key] for key in keys.get(person_id, ()) if key in contacts]
        cycles = {change.cycle for change in own if change.kind in _MAKES_MQL}
        found.append(Waiting(
            person_id,
            assemble(person_id, theirs, company.mapping) if theirs else None,
            next((one for one in reversed(handoffs.get(person_id, [])) if one.cycle in cycles), None),
            tuple(own),
        ))
    return found
