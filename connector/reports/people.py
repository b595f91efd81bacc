"""Who is who: people with all that they go by, and what was set aside because it could not be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from connector.core.company_names import comparable_name
from connector.core.human_names import fold_kanji
from connector.core.identity import assemble, normalize_email
from connector.core.normalize import Normalizer, fold, text_of
from connector.mapping.model import Mapping
from connector.pipeline.accounts import match_accounts
from connector.pipeline.company import Company
from connector.pipeline.understand import read_contacts
from connector.records import Person, Stage
from connector.store import Conflict, StoredRecord

SEARCHED = ("email", "additional_emails", "last_name", "first_name", "company_name")
"""The attributes in which a text is looked for."""

REMEDIES = {
    "email_on_two_humans": "two humans of one CRM have this address: give each their own, or merge the records",
    "link_contradicts_email": "the link leads to a record with another address and another name: correct the link, "
                              "or add the address to both if it is one human",
    "links_disagree": "this record links to records of different humans: correct its links",
    "shared_role_mailbox": "several people read this mailbox: give each their own address where they have one",
}
"""What to do in the CRM about each reason for which records were set aside."""


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """One person, and all that they go by.

    Attributes:
        stage: Where they stand, as they were last judged; before that as the CRMs have it.
        points: As they were last judged; None when they never were.
        aliases: Ids of people who turned out to be this one.
        former: Keys of records and addresses that no record of theirs has now, by which they are found all the same.
    """

    person: Person
    stage: Stage
    points: float | None
    aliases: tuple[str, ...]
    former: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class People:
    """Some people of a company.

    Attributes:
        total_count: How many people there are altogether.
        is_cut: Whether there are more than were asked for.
    """

    total_count: int
    entries: tuple[PersonEntry, ...]
    is_cut: bool


def find_person(company: Company, name: str) -> str | None:
    """Return the id of the living person who goes by this name, or ever did; asks the store only.

    Args:
        name: An address, a person's id, or a record, as `hubspot:contacts:101` or by its remote id alone.
    """
    name = name.strip()
    places = [f"{crm}:{stream}" for crm, part in company.mapping.crm.items() for stream in part.people]
    for one in (normalize_email(name) or name, *(f"{place}:{name}" for place in places)):
        if (person_id := company.store.find_person(company.name, one)) is not None:
            return person_id
    return None


def list_people(company: Company, find: str = "", limit: int = 20) -> People:
    """Return people with all that they go by; asks the store only.

    Args:
        find: Only who goes by this name (`find_person`), else only those with every word of it in their addresses,
            names or company. Every record is read for that until there are enough.
        limit: At most so many: those with the most points, or the first that are found.
    """
    store, name = company.store, company.name
    if not find.strip():
        ids = store.list_people(name, limit + 1)
    elif (person_id := find_person(company, find)) is not None:
        ids = [person_id]
    else:
        ids = list(islice(_search(company, find), limit + 1))
    return People(store.count_people(name), tuple(_describe(company, ids[:limit])), len(ids) > limit)


def list_conflicts(company: Company) -> list[Conflict]:
    """Return what was set aside and still stands, by reason and key; asks the store only."""
    return sorted(company.store.find_conflicts(company.name), key=lambda one: (one.reason, one.key))


def _describe(company: Company, person_ids: list[str]) -> Iterator[PersonEntry]:
    store, name, normalizer = company.store, company.name, Normalizer(company.mapping)
    keys = store.get_person_keys(name, person_ids)
    contacts = read_contacts(company, normalizer, {key for own in keys.values() for key in own})
    records = {i: [contacts[key] for key in own if key in contacts] for i, own in keys.items()}
    accounts = match_accounts(company, normalizer, records)
    points, aliases = store.get_points(name, person_ids), store.get_aliases(name, person_ids)
    stages = store.get_stages(name, person_ids)
    for person_id in person_ids:
        if theirs := records.get(person_id):
            person = assemble(person_id, theirs, company.mapping, accounts.get(person_id))
            present = {*(str(c.key) for c in theirs), *(f"email:{email}" for email in person.emails)}
            former = tuple(key for key in keys[person_id] if key not in present)
            stage = stages.get(person_id, person.stage)
            yield PersonEntry(person, stage, points.get(person_id), tuple(aliases.get(person_id, ())), former)


def _search(company: Company, text: str) -> Iterator[str]:
    """Yield the ids of people one of whose records has every word of the text, each once."""
    seen: set[str] = set()
    for keys in _batches(_matching(company, text)):
        found = company.store.get_person_ids(company.name, keys)
        for key in keys:
            if key in found and found[key] not in seen:
                seen.add(found[key])
                yield found[key]


def _matching(company: Company, text: str) -> Iterator[str]:
    words, name = fold(text).split(), comparable_name(text)
    for crm, part in company.mapping.crm.items():
        for stream in part.people:
            fields = _fields(company.mapping, crm, stream)
            for record in company.store.scan_stream(company.name, crm, stream):
                if _has(record, fields, words, name):
                    yield str(record.key)


def _fields(mapping: Mapping, crm: str, stream: str) -> list[tuple[str, ...]]:
    """Return the CRM's fields of each attribute that is searched."""
    sources = mapping.crm[crm].people[stream].fields
    return [sources[attribute].fields if attribute in sources else () for attribute in SEARCHED]


def _has(record: StoredRecord, fields: list[tuple[str, ...]], words: list[str], name: str) -> bool:
    told = ["".join(fold(text_of(record.payload.get(field))) + " " for field in own) for own in fields]
    emails, more, family, given, company_name = told
    # A name is found with and without a space in it, and either way round.
    names = f"{family}{given}".replace(" ", ""), f"{given}{family}".replace(" ", "")
    everything = " ".join((emails, more, family, given, company_name, *names))
    if all(word in everything for word in words):
        return True
    # Legal forms stand before and behind a name only: without them it is still in the text.
    return name in "".join(c for c in fold_kanji(company_name) if c.isalnum())


def _batches(keys: Iterable[str], size: int = 100) -> Iterator[list[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, size)):
        yield batch
