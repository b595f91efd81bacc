"""Erase records and all that was made of them, as their CRM says (`removals`) or a privacy officer (`erase`).

What of a human must stay away afterwards is said by `store.addresses`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from connector.core.merged import MergedRecords
from connector.core.nameless import nameless_fields
from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.pipeline.understand import read_contacts, read_former_contacts
from connector.records import ChangeKind, RecordKey
from connector.store import Erasing, Lease

LEFT_TOLD = 20
"""So many ids of what is left in a CRM stand on one line."""

Made = tuple[str, ChangeKind, str]
"""CRM, kind and remote id of a task, note or lead of ours."""


def erase_records(
    company: Company, lease: Lease, crm: str, told: Mapping[RecordKey, datetime], former: Iterable[str], *,
    for_good: Mapping[str, datetime] | None = None,
) -> tuple[int, list[Made]]:
    """Erase these records of one CRM, and what they say of humans, in one transaction.

    Args:
        told: Each record, and when it was removed.
        former: The people whose they were when they were removed.
        for_good: Addresses that go with them and never come back, whatever a CRM tells of them later, and when it was
            said so. Of others only what is older than the removal stays away.

    Returns:
        How many records went, and what we made in CRMs about these humans and cannot delete there.
    """
    store, name = company.store, company.name
    normalizer = Normalizer(company.mapping)
    records = dict(told)
    records |= _taken_up(company, records)
    emails = {key: _emails_of(company, normalizer, key) for key in records}
    own = {f"email:{address}" for addresses in (*emails.values(), for_good or ()) for address in addresses}
    owners = store.get_person_ids(name, [*map(str, records), *own])
    people = {*owners.values(), *store.who_goes_on(name, former)}
    keys = store.get_person_keys(name, people)
    own |= {key for theirs in keys.values() for key in theirs if key.startswith("email:")}
    concerned = {record for c in store.find_conflicts_at(name, own) for record in c.records}
    concerned |= {key for theirs in keys.values() for key in theirs}
    left = {
        key: contact for key, contact in read_contacts(company, normalizer, concerned).items()
        if contact.key not in records
    }
    taken_up = read_former_contacts(company, normalizer, _records_among(concerned) - records.keys())
    carried = {address for contact in (*left.values(), *taken_up.values()) for address in contact.emails}
    carried_here = {address for contact in left.values() if contact.key.crm == crm for address in contact.emails}
    emptied = {person_id for person_id in people if not any(key in left for key in keys.get(person_id, ()))}
    theirs = {key for person_id in emptied for key in keys.get(person_id, ()) if key.startswith("email:")}
    forgotten = {address for addresses in emails.values() for address in addresses}
    forgotten |= {key.removeprefix("email:") for key in theirs} | set(for_good or ())
    addresses = {a: at for a, at in (for_good or {}).items() if a not in carried_here}
    for key, theirs_here in emails.items():
        for address in theirs_here - carried_here:
            addresses[address] = max(records[key], addresses.get(address, records[key]))
    humans = [key for key in records if normalizer.is_people(crm, key.stream)]
    merged = MergedRecords(store.read_merges(name, map(str, humans)))
    names = {one for key in humans for one in (key, *merged.taken_up_by(key))}
    part = company.mapping.crm.get(crm)
    figures = {stream: fields for stream, fields in nameless_fields(part).items() if fields} if part else {}
    erasing = Erasing(
        records, addresses, forgotten - carried, emptied, people - emptied, names,
        store.find_linked(name, crm, names) if names else (), figures, for_good=for_good is not None,
    )
    made = store.find_made(name, crm, erasing)
    return store.erase(lease, crm, erasing, company.clock()), made


def tell_left(made: Sequence[Made]) -> list[str]:
    """Return a line for each CRM in which something that we made tells of who is erased."""
    by_crm: dict[str, list[str]] = defaultdict(list)
    for crm, kind, remote_id in made:
        by_crm[crm].append(f"{kind} {remote_id}")
    return [
        f"{crm}: {len(ids):,} tasks, notes or leads that we made about who is erased may still be there, and are not "
        f"ours to delete: {', '.join(ids[:LEFT_TOLD])}{', ...' if len(ids) > LEFT_TOLD else ''}"
        for crm, ids in by_crm.items()
    ]


def _taken_up(company: Company, records: Mapping[RecordKey, datetime]) -> dict[RecordKey, datetime]:
    """Return what was merged into these records and is kept for its ties, with when they were removed."""
    merged = MergedRecords(company.store.read_merges(company.name, map(str, records)))
    found = {
        loser: removed_at for key, removed_at in records.items() for loser in merged.taken_up_by(key)
        if loser not in records
    }
    return {row.key: found[row.key] for row in company.store.read_merged_away(company.name, found)}


def _records_among(keys: Iterable[str]) -> set[RecordKey]:
    return {RecordKey.parse(key) for key in keys if not key.startswith("email:")}


def _emails_of(company: Company, normalizer: Normalizer, key: RecordKey) -> set[str]:
    """Return every address that a record of a human ever had here."""
    if not normalizer.is_people(key.crm, key.stream):
        return set()
    payloads: Iterable[Mapping[str, object]] = company.store.read_payloads(company.name, key)
    return {email for payload in payloads for email in normalizer.contact(key, company.clock(), payload).emails}
