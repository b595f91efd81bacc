"""From stored records to people and what they did: identity and activities, as the mapping reads the records.

Each step marks its input done in the transaction that stores its output, so it may stop between any two lines. What a
pull has just stored is understood from memory, page by page; the rest is read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from connector.core.identity import new_ids, resolve
from connector.core.merged import Merge
from connector.core.normalize import Normalizer
from connector.mapping.load import judging_fingerprint, reading_fingerprint
from connector.pipeline.accounts import index_accounts
from connector.pipeline.company import Company, Progress, Step
from connector.records import Contact, RecordKey
from connector.store import Conflict, Lease, StoredRecord

BATCH = 2_000
"""Records worked on at once: bounds memory."""


def understand(company: Company, lease: Lease, progress: Progress) -> None:
    """Turn every record that is new, or whose meaning the mapping changed, into people and activities."""
    heed_mapping(company, lease)
    company.store.mark_due_dirty(lease, company.clock())
    company.store.take_back_handed(lease)
    normalizer = Normalizer(company.mapping)
    done = 0
    progress(Step("evaluate", "records", done))    # there may be none left: most were understood page by page
    for records in _pending(company, normalizer, people=True):
        _understand(company, lease, normalizer, records, people=True)
        done += len(records)
        progress(Step("evaluate", "records", done))
    for records in _pending(company, normalizer, people=False):
        _understand(company, lease, normalizer, records, people=False)
        done += len(records)
        progress(Step("evaluate", "records", done))


def heed_mapping(company: Company, lease: Lease) -> None:
    """Have everything evaluated again that the mapping reads or judges in another way than the last time."""
    store = company.store
    state = store.get_company_state(company.name)
    reading, judging = reading_fingerprint(company.mapping), judging_fingerprint(company.mapping)
    if state.get("reading", reading) != reading:
        store.mark_all_pending(lease)
    if state.get("judging", judging) != judging:
        store.mark_all_dirty(lease)
    if (state.get("reading", reading), state.get("judging", judging)) != (reading, judging):
        # What they did before the last backfill is no news by another rule either: `run.sync` ends this.
        store.hold_again(lease)
    if (state.get("reading"), state.get("judging")) != (reading, judging):
        store.set_company_state(lease, reading=reading, judging=judging)


def understand_page(
    company: Company, lease: Lease, normalizer: Normalizer, crm: str, stream: str, records: Sequence[StoredRecord],
) -> None:
    """Turn the records of one stream that were handed on by the store into people and activities.

    `heed_mapping` must have come before: else what a killed run made by another mapping would be kept.
    """
    has_people = _has_people(company, normalizer, crm, stream)
    for at in range(0, len(records), BATCH):
        _understand(company, lease, normalizer, records[at : at + BATCH], people=has_people)
    if records:
        company.store.note_evaluated(lease, crm, stream)


def _understand(
    company: Company, lease: Lease, normalizer: Normalizer, records: Sequence[StoredRecord], *, people: bool,
) -> None:
    index_accounts(company, lease, normalizer, records)
    _save_activities(company, lease, normalizer, records, clear=not people)
    if people:
        _resolve(company, lease, normalizer, records)


def _has_people(company: Company, normalizer: Normalizer, crm: str, stream: str) -> bool:
    # A stream the mapping no longer takes for people may have people in the store: they give up its records.
    return normalizer.is_people(crm, stream) or company.store.has_keys_of(company.name, crm, stream)


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
    by_source = {
        r.key: [] if r.is_gone else normalizer.activities(r.key, r.modified_at, r.payload, r.links) for r in records
    }
    company.store.save_activities(lease, by_source, company.clock(), clear=clear)


def _resolve(company: Company, lease: Lease, normalizer: Normalizer, records: Sequence[StoredRecord]) -> None:
    """Find out whose these records are, together with every stored record that may be the same human's."""
    # What they were part of before they changed: the others may have the key for themselves now. A conflict may be
    # about the name that a record had before it was merged.
    store, name = company.store, company.name
    own = {str(r.key) for r in records}
    names = own.union(*(map(str, merge) for merge in store.read_merges(name, own)))
    before = {*store.find_conflicts_among(name, names), *store.find_conflicts_at(name, names)}
    contacts, former, known, merges = _gather(company, normalizer, records, before)
    everybody = (*contacts.values(), *former.values())
    resolution = resolve(list(contacts.values()), known, _taken_ids(company, everybody), merges, former.values())
    store.save_people(
        lease, resolution.keys, resolution.aliases,
        [Conflict(c.key, c.reason, tuple(map(str, c.records))) for c in resolution.conflicts],
        [r.key for r in records], reconsidered=[c.key for c in before],
    )


def _gather(
    company: Company, normalizer: Normalizer, records: Sequence[StoredRecord], before: Iterable[Conflict]
) -> tuple[dict[str, Contact], dict[str, Contact], dict[str, str], set[Merge]]:
    """Return the traces of all that share a key, a person or a conflict with these records, and all merges among them.

    Between the two: those of what was merged away, as it was last seen, and whose each key is.
    """
    store, name = company.store, company.name
    contacts = _traces(normalizer, [r for r in records if not r.is_gone])
    former: dict[str, Contact] = {}
    known: dict[str, str] = {}
    merges: set[Merge] = set()
    asked: set[str] = set()
    touched = {str(r.key) for r in records} | {key for c in before for key in (c.key, *c.records)}
    touched = touched.union(*map(_identity_keys, contacts.values()))
    # A neighbour may link on to further people; two or three rounds reach everybody.
    while new := touched - asked:
        asked |= new
        told = store.read_merges(name, new) - merges
        merges |= told
        touched = touched.union(*(map(str, merge) for merge in told))
        taken_up = read_former_contacts(company, normalizer, {loser for loser, _ in told})
        former |= taken_up
        touched = touched.union(*map(_identity_keys, taken_up.values()))
        found = store.get_person_ids(name, new)
        own = store.get_person_keys(name, set(found.values()) - set(known.values()))
        known |= {key: person_id for person_id, keys in own.items() for key in keys}
        neighbours = {key for keys in own.values() for key in keys}
        neighbours |= {record for c in store.find_conflicts_at(name, new) for record in c.records}
        fresh = _read_traces(company, normalizer, neighbours - contacts.keys())
        contacts |= fresh
        touched |= neighbours.union(*map(_identity_keys, fresh.values()))
    return contacts, former, known, merges


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
    rows = _read_people(company, normalizer, keys)
    return {str(row.key): normalizer.contact(row.key, row.modified_at, row.payload) for row in rows}


def _read_traces(company: Company, normalizer: Normalizer, keys: Iterable[str]) -> dict[str, Contact]:
    """Return of the same records what tells whose they are."""
    return _traces(normalizer, _read_people(company, normalizer, keys))


def _traces(normalizer: Normalizer, records: Iterable[StoredRecord]) -> dict[str, Contact]:
    """Return of those of these records that are people's what tells whose they are, by key."""
    found: dict[str, Contact] = {}
    for (crm, stream), of_stream in groupby(records, key=lambda record: record.key[:2]):
        if normalizer.is_people(crm, stream):
            keys, moments, payloads, *_ = zip(*of_stream)
            found |= {str(one.key): one for one in normalizer.traces(crm, stream, keys, moments, payloads)}
    return found


def _read_people(company: Company, normalizer: Normalizer, keys: Iterable[str]) -> list[StoredRecord]:
    named = [RecordKey.parse(key) for key in keys if not key.startswith("email:")]
    wanted = [key for key in named if normalizer.is_people(key.crm, key.stream)]
    return company.store.read_records(company.name, wanted) if wanted else []


def read_former_contacts(
    company: Company, normalizer: Normalizer, keys: Iterable[RecordKey],
) -> dict[str, Contact]:
    """Return what tells whose those of these records of people were that were merged away, by key.

    As their CRM last showed them. Everything else about the human stands in the record that goes on.
    """
    wanted = [key for key in keys if normalizer.is_people(key.crm, key.stream)]
    rows = company.store.read_merged_away(company.name, wanted) if wanted else []
    return _traces(normalizer, rows)
