"""From stored records to people and what they did: identity and activities, as the mapping reads the records.

Each step marks its input done in the transaction that stores its output, so it may stop between any two lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.core.identity import new_ids, resolve
from connector.core.normalize import Normalizer
from connector.mapping.load import judging_fingerprint, reading_fingerprint
from connector.pipeline.company import Company, Progress, Step
from connector.records import Contact, RecordKey
from connector.store import Conflict, Lease, StoredRecord

BATCH = 2_000
"""Records worked on at once: bounds memory."""


def understand(company: Company, lease: Lease, progress: Progress) -> None:
    """Turn every record that is new, or whose meaning the mapping changed, into people and activities."""
    store, name = company.store, company.name
    state = store.get_company_state(name)
    reading, judging = reading_fingerprint(company.mapping), judging_fingerprint(company.mapping)
    if state.get("reading", reading) != reading:
        store.mark_all_pending(lease)
    if state.get("judging", judging) != judging:
        store.mark_all_dirty(lease)
    store.mark_due_dirty(lease, company.clock())
    store.set_company_state(lease, reading=reading, judging=judging)
    normalizer = Normalizer(company.mapping)
    done = 0
    for records in _pending(company, normalizer, people=True):
        _save_activities(company, lease, normalizer, records, clear=False)
        _resolve(company, lease, normalizer, records)
        done += len(records)
        progress(Step("evaluate", "records", done))
    for records in _pending(company, normalizer, people=False):
        _save_activities(company, lease, normalizer, records, clear=True)
        done += len(records)
        progress(Step("evaluate", "records", done))


def _pending(company: Company, normalizer: Normalizer, *, people: bool) -> Iterator[list[StoredRecord]]:
    """Yield what is to be evaluated, batch by batch; `people`: of streams that are, or were before, of people."""
    store, name = company.store, company.name
    for crm, stream in store.pending_streams(name):
        # A stream the mapping no longer takes for people may have people in the store: they give up its records.
        if (normalizer.is_people(crm, stream) or (people and store.has_keys_of(name, crm, stream))) is people:
            while records := store.read_pending(name, crm=crm, stream=stream, limit=BATCH):
                yield records


def _save_activities(
    company: Company, lease: Lease, normalizer: Normalizer, records: Iterable[StoredRecord], *, clear: bool
) -> None:
    by_source = {r.key: normalizer.activities(r.key, r.modified_at, r.payload, r.links) for r in records}
    company.store.save_activities(lease, by_source, company.clock(), clear=clear)


def _resolve(company: Company, lease: Lease, normalizer: Normalizer, records: list[StoredRecord]) -> None:
    """Find out whose these records are, together with every stored record that may be the same human's."""
    # What they were part of before they changed: the others may have the key for themselves now.
    before = company.store.find_conflicts_among(company.name, [str(r.key) for r in records])
    contacts, known = _gather(company, normalizer, records, before)
    resolution = resolve(list(contacts.values()), known, _taken_ids(company, contacts.values()))
    company.store.save_people(
        lease, resolution.keys, resolution.aliases,
        [Conflict(c.key, c.reason, tuple(map(str, c.records))) for c in resolution.conflicts],
        [r.key for r in records], reconsidered=[c.key for c in before],
    )


def _gather(
    company: Company, normalizer: Normalizer, records: list[StoredRecord], before: list[Conflict]
) -> tuple[dict[str, Contact], dict[str, str]]:
    """Return all contacts that share a key, a person or a conflict with these records, and whose each key is."""
    store, name = company.store, company.name
    contacts = {
        str(r.key): normalizer.contact(r.key, r.modified_at, r.payload)
        for r in records if normalizer.is_people(r.key.crm, r.key.stream)
    }
    known: dict[str, str] = {}
    asked: set[str] = set()
    touched = {str(r.key) for r in records} | {key for c in before for key in (c.key, *c.records)}
    touched = touched.union(*map(_identity_keys, contacts.values()))
    # A neighbour may link on to further people; two or three rounds reach everybody.
    while new := touched - asked:
        asked |= new
        found = store.get_person_ids(name, new)
        own = store.get_person_keys(name, set(found.values()) - set(known.values()))
        known |= {key: person_id for person_id, keys in own.items() for key in keys}
        neighbours = {key for keys in own.values() for key in keys}
        neighbours |= {record for c in store.find_conflicts_at(name, new) for record in c.records}
        fresh = read_contacts(company, normalizer, neighbours - contacts.keys())
        contacts |= fresh
        touched |= neighbours.union(*map(_identity_keys, fresh.values()))
    return contacts, known


def _taken_ids(company: Company, contacts: Iterable[Contact]) -> set[str]:
    """Return which ids that new people among these could get are somebody's."""
    taken: set[str] = set()
    choices = [new_ids(contact.key) for contact in contacts]
    while choices:
        next_choices = {next(ids): ids for ids in choices}
        living = company.store.get_person_keys(company.name, next_choices).keys()
        taken |= living
        choices = [next_choices[person_id] for person_id in living]
    return taken


def _identity_keys(contact: Contact) -> set[str]:
    keys = {str(contact.key), *(str(key) for key in contact.linked_to), *(f"email:{e}" for e in contact.emails)}
    return keys | ({str(contact.superseded_by)} if contact.superseded_by else set())


def read_contacts(company: Company, normalizer: Normalizer, keys: Iterable[str]) -> dict[str, Contact]:
    """Return the stored records of people among these keys, in our words, by key."""
    named = [RecordKey.parse(key) for key in keys if not key.startswith("email:")]
    wanted = [key for key in named if normalizer.is_people(key.crm, key.stream)]
    rows = company.store.read_records(company.name, wanted)
    return {str(row.key): normalizer.contact(row.key, row.modified_at, row.payload) for row in rows}
