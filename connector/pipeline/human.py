"""Find everything that is kept of one human, and the texts by which they would be recognised."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from connector.core.identity import normalize_email
from connector.core.merged import MergedRecords
from connector.core.normalize import Normalizer
from connector.errors import ConfigError
from connector.pipeline.company import Company
from connector.records import Contact, RecordKey

_PHONES = ("phone", "mobile", "tel", "fax")
_LEAST_DIGITS = 7
"""Fewer are an extension, which many have."""

_LEAST_NAME = 3
_BETWEEN = re.compile(r"[\s;,；，、<>\"'()\[\]]+")


class Sign(NamedTuple):
    """A text that tells of a human.

    Attributes:
        kind: `address`, `name` or `phone`.
        text: As it may stand somewhere.
        parts: What a record has in its fields that carries it.
    """

    kind: str
    text: str
    parts: tuple[str, ...]


class Human(NamedTuple):
    """What is kept of a human.

    Attributes:
        person_ids: Theirs, those that were merged into it among them.
        records: Those of the human themselves, in all CRMs; deleted and merged ones too.
        addresses: All that these ever had, normalised.
        signs: What they would be recognised by.
    """

    person_ids: frozenset[str]
    records: frozenset[RecordKey]
    addresses: frozenset[str]
    signs: frozenset[Sign]


def find_human(company: Company, address: str, record: RecordKey | None) -> Human:
    """Find a human by a normalised address, or by a record; by an address nobody has, they have nothing but that.

    Raises:
        ConfigError: The address is on records of several humans, or there is no such record.
    """
    store, name, normalizer = company.store, company.name, Normalizer(company.mapping)
    if record is None:
        among = {one for conflict in store.find_conflicts_at(name, [f"email:{address}"]) for one in conflict.records}
        if among:
            raise ConfigError(
                [f"the address is on records that were not taken for one human: {', '.join(sorted(among))}"],
                hint=f"erase them one by one: mql erase {name} --record {min(among)}",
            )
        asked = address
    else:
        asked = str(record)
    person_id = store.find_person(name, asked)
    people = store.with_merged(name, [person_id]) if person_id is not None else set()
    records = {record} if record is not None else set()
    keys = {key for theirs in store.get_person_keys(name, people).values() for key in theirs}
    records |= {RecordKey.parse(key) for key in keys if not key.startswith("email:")}
    records |= store.find_removed_from(name, people)
    if record is None:
        # Of a removed record nobody may know any more whose it was.
        records |= _carrying(company, normalizer, address)
    merged = MergedRecords(store.read_merges(name, map(str, records)))
    records |= {loser for key in records for loser in merged.taken_up_by(key)}
    records = {key for key in records if normalizer.is_people(key.crm, key.stream)}
    payloads = {key: store.read_payloads(name, key) for key in records}
    told = {key for key, versions in payloads.items() if versions}
    if record is not None and record not in told:
        raise ConfigError([f"{name}: nothing is kept of a human's record {record}"], hint="`mql people` lists them.")
    signs = {sign for key in told for payload in payloads[key] for sign in _signs_of(company, normalizer, key, payload)}
    addresses = {key.removeprefix("email:") for key in keys if key.startswith("email:")}
    addresses |= {a for key in told for payload in payloads[key]
                  for a in normalizer.contact(key, company.clock(), payload).emails}
    addresses |= {address} - {""}
    signs |= {Sign("address", one, (one,)) for one in addresses}
    return Human(frozenset(people), frozenset(told), frozenset(addresses), frozenset(signs))


def _carrying(company: Company, normalizer: Normalizer, address: str) -> set[RecordKey]:
    """Return the records of humans that have, or ever had, this address."""
    found = set()
    for key in company.store.find_records_with(company.name, [address]):
        if normalizer.is_people(key.crm, key.stream):
            payloads = company.store.read_payloads(company.name, key)
            if any(address in normalizer.contact(key, company.clock(), one).emails for one in payloads):
                found.add(key)
    return found


def _signs_of(
    company: Company, normalizer: Normalizer, key: RecordKey, payload: Mapping[str, Any],
) -> Iterable[Sign]:
    contact = normalizer.contact(key, company.clock(), payload)
    for text in payload.values():
        if isinstance(text, str) and ("@" in text or "＠" in text):
            yield from (Sign("address", one, (one,)) for one in _BETWEEN.split(text) if normalize_email(one))
    yield from _names(contact)
    for attribute, value in contact.attributes.items():
        if isinstance(value, str) and any(word in attribute for word in _PHONES):
            digits = "".join(c for c in value if c.isdigit())
            if len(digits) >= _LEAST_DIGITS:
                yield from (Sign("phone", one, (value,)) for one in {value, digits})


def _names(contact: Contact) -> Iterable[Sign]:
    """Yield the whole name in the ways in which it is written; a family name alone is that of many."""
    family, given = (str(contact.attributes.get(part) or "").strip() for part in ("last_name", "first_name"))
    if family and given and len(family) + len(given) >= _LEAST_NAME:
        for one in (family + given, f"{family} {given}", f"{family}\u3000{given}", f"{given} {family}"):
            yield Sign("name", one, (family, given))
