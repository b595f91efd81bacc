"""People and their companies: the companies' index, and the match of a batch of people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connector.core.accounts import choose, clues_of, keys_of_account, keys_of_person, keys_to_look_up
from connector.core.identity import in_order
from connector.core.merged import MergedRecords
from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.records import AccountDoubt, AccountMatch, Contact, Person, RecordKey, Value
from connector.store import Lease, StoredRecord


def index_accounts(company: Company, lease: Lease, normalizer: Normalizer, records: Sequence[StoredRecord]) -> None:
    """Note under which keys those of these records of one stream that are companies are found; none that are gone.

    The people concerned become dirty. Call it before the records are no longer pending.
    """
    if not records:
        return
    store, name, (crm, stream, _) = company.store, company.name, records[0].key
    is_mapped = normalizer.is_accounts(crm, stream)
    # A stream that the mapping no longer takes for companies may be in the index: its records give up their keys.
    if not is_mapped and not store.has_accounts_of(name, crm, stream):
        return
    merged = MergedRecords(store.read_merges(name, (str(record.key) for record in records)))
    store.save_account_keys(
        lease,
        {
            r.key: keys_of_account(normalizer.account(r.key, r.payload)) if is_mapped and not r.is_gone else set()
            for r in records
        },
        {r.key: {str(known) for known in merged.names(r.key)} for r in records},
    )


def match_accounts(
    company: Company, normalizer: Normalizer, people: Mapping[str, Sequence[Contact]],
) -> dict[str, AccountMatch | AccountDoubt]:
    """Return the company of each of these people, by person id, or between which it could not be decided.

    Those of whom no company is known are left out. Asks the store only, once for all.

    Args:
        people: Person id -> their records.
    """
    crms = [crm for crm, part in company.mapping.crm.items() if part.accounts is not None]
    if not crms:
        return {}
    store, name = company.store, company.name
    clues = {person_id: clues_of(in_order(theirs, company.mapping)) for person_id, theirs in people.items()}
    links = {link for own in clues.values() for link in own.links}
    merged = MergedRecords(store.read_merges(name, map(str, links)))
    clues = {
        person_id: own._replace(links=tuple(dict.fromkeys(map(merged.end, own.links))))
        for person_id, own in clues.items()
    }
    attributes = _read_accounts(company, normalizer, {link for own in clues.values() for link in own.links})
    linked = set(attributes)
    found = store.find_accounts(name, {key for own in clues.values() for key in keys_to_look_up(own)})
    choices = {person_id: choose(own, linked, found, crms) for person_id, own in clues.items()}
    chosen = {c.accounts[0] for c in choices.values() if c is not None and len(c.accounts) == 1}
    attributes |= _read_accounts(company, normalizer, chosen - linked)
    matches: dict[str, AccountMatch | AccountDoubt] = {}
    for person_id, choice in choices.items():
        if choice is not None and len(choice.accounts) > 1:
            matches[person_id] = AccountDoubt(*choice)
        elif choice is not None and choice.accounts[0] in attributes:
            key = choice.accounts[0]
            matches[person_id] = AccountMatch(key, choice.matched_by, choice.evidence, attributes[key])
    return matches


def keep_account_keys(
    company: Company, lease: Lease, person_ids: Iterable[str], judged: Iterable[Person],
) -> None:
    """Note which companies, coming, changing or going, concern these people.

    Call it before they are no longer dirty: until then they are looked at again whatever comes.

    Args:
        person_ids: Everybody who is no longer dirty then; who is not among those judged has no record left.
    """
    if not any(part.accounts is not None for part in company.mapping.crm.values()):
        return
    keys: dict[str, set[str]] = {person_id: set() for person_id in person_ids}
    keys |= {person.person_id: keys_of_person(clues_of(person.contacts)) for person in judged}
    company.store.save_person_account_keys(lease, keys)


def _read_accounts(
    company: Company, normalizer: Normalizer, keys: Iterable[RecordKey],
) -> dict[RecordKey, Mapping[str, Value]]:
    wanted = [key for key in keys if normalizer.is_accounts(key.crm, key.stream)]
    rows = company.store.read_records(company.name, wanted) if wanted else []
    return {row.key: normalizer.account(row.key, row.payload) for row in rows}
