"""One person as of a past moment: who they were and what they had done, by the versions of records in force then.

Whatever is read later and dated later changes nothing of it: neither a changed, moved or deleted record nor a new one.
Whose a record is, is answered as of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from connector.core.accounts import choose, clues_of, keys_of_account, keys_to_look_up
from connector.core.identity import assemble, in_order
from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.pipeline.position import loaded_at
from connector.records import AccountDoubt, AccountMatch, Activity, Contact, Person, RecordKey
from connector.store import StoredRecord


class PastPerson(NamedTuple):
    """A person, and everything they had done by then or is dated later, as told."""

    person: Person
    activities: tuple[Activity, ...]


def person_at(company: Company, person_id: str, at: datetime) -> PastPerson | None:
    """Return somebody as of a moment, read by the present mapping; None when no record of theirs was there yet.

    A record has the version that was in force then; before it was first read, the oldest one. A person's record that
    was not there when its stream had been read for the first time counts from when it was first read. What somebody
    did counts whenever we heard of it: it is dated by itself. Asks the store only.
    """
    normalizer = Normalizer(company.mapping)
    keys = company.store.read_all_keys(company.name, person_id)
    contacts = _contacts_at(company, normalizer, keys, at)
    if not contacts:
        return None
    account = _account_at(company, normalizer, contacts, at)
    person = assemble(person_id, contacts, company.mapping, account)
    return PastPerson(person, tuple(_activities_at(company, normalizer, keys, at)))


def _contacts_at(company: Company, normalizer: Normalizer, keys: Iterable[str], at: datetime) -> list[Contact]:
    named = [RecordKey.parse(key) for key in keys if not key.startswith("email:")]
    found = _read_there(company, [key for key in named if normalizer.is_people(key.crm, key.stream)], at)
    return [normalizer.contact(one.key, one.modified_at, one.payload) for one in found]


def _account_at(
    company: Company, normalizer: Normalizer, contacts: list[Contact], at: datetime,
) -> AccountMatch | AccountDoubt | None:
    """Return the company of somebody with these records, among those that were there then.

    Companies are looked up under the domains and names they have today, and must have had them then.
    """
    crms = [crm for crm, part in company.mapping.crm.items() if part.accounts is not None]
    if not crms:
        return None
    clues = clues_of(in_order(contacts, company.mapping))
    today = company.store.find_accounts(company.name, keys_to_look_up(clues))
    keys = {*clues.links, *(account for accounts in today.values() for account in accounts)}
    there = _read_there(company, [key for key in keys if normalizer.is_accounts(key.crm, key.stream)], at)
    attributes = {one.key: normalizer.account(one.key, one.payload) for one in there}
    names = {key: keys_of_account(told) for key, told in attributes.items()}
    found = {key: [one for one in accounts if key in names.get(one, ())] for key, accounts in today.items()}
    choice = choose(clues, set(attributes), found, crms)
    if choice is None:
        return None
    if len(choice.accounts) > 1:
        return AccountDoubt(*choice)
    return AccountMatch(choice.accounts[0], choice.matched_by, choice.evidence, attributes[choice.accounts[0]])


def _read_there(company: Company, keys: Iterable[RecordKey], at: datetime) -> list[StoredRecord]:
    """Return those of these records that their CRM had then, as far as we can know, as they stood."""
    loaded = {
        (crm, stream): loaded_at(company, crm, stream) for crm, stream in {(key.crm, key.stream) for key in keys}
    }
    there = []
    for record, first_seen_at in company.store.read_records_at(company.name, keys, at):
        first_load_end = loaded[record.key.crm, record.key.stream]
        was_there = first_seen_at <= at or first_load_end is None or first_seen_at <= first_load_end
        if was_there and not record.is_gone:
            there.append(record)
    return there


def _activities_at(company: Company, normalizer: Normalizer, keys: list[str], at: datetime) -> list[Activity]:
    sources = company.store.read_sources(company.name, keys)
    own, activities = set(keys), []
    for record, _ in company.store.read_records_at(company.name, sources, at):
        if record.is_gone:
            continue
        told = normalizer.activities(record.key, record.modified_at, record.payload, record.links)
        activities += _as_kept([one for one in told if one.subject in own], sources[record.key])
    return sorted(activities, key=lambda one: (one.occurred_at, one.activity_id))


def _as_kept(told: list[Activity], kept: Mapping[str, datetime]) -> list[Activity]:
    """Return what a record tells, with the ledger's dates for what has none of its own.

    Steps of a counter that are too many to be told are taken from the ledger.
    """
    activities = []
    lowest: dict[str, tuple[int, Activity]] = {}
    for one in told:
        if not one.is_dated_once:
            activities.append(one)
            continue
        activities.append(replace(one, occurred_at=kept.get(one.activity_id, one.occurred_at), is_dated_once=False))
        counter, _, step = one.activity_id.rpartition("#")
        if step.isdecimal():
            lowest[counter] = min(lowest.get(counter, (int(step), one)), (int(step), one), key=lambda pair: pair[0])
    for activity_id, occurred_at in kept.items():
        counter, _, step = activity_id.rpartition("#")
        if step.isdecimal() and counter in lowest and int(step) < lowest[counter][0]:
            first = lowest[counter][1]
            activities.append(
                replace(first, activity_id=activity_id, occurred_at=occurred_at, is_dated_once=False)
            )
    return activities
