"""From stored records to stored decisions: identity, activities, score, lifecycle, and the changes that follow.

Each step marks its input done in the transaction that stores its output, so it may stop between any two lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from connector.core.changes import OwnerDirectory, plan_changes
from connector.core.identity import assemble, resolve
from connector.core.lifecycle import decide
from connector.core.normalize import Normalizer, fold, matcher, text_of
from connector.core.scoring import look_again_at, score_people
from connector.errors import FatalError, RetryableError
from connector.mapping.load import judging_fingerprint, reading_fingerprint
from connector.mapping.model import OwnerMapping
from connector.pipeline.company import Company, Progress, Step
from connector.pipeline.differences import keep_differences, left_out
from connector.records import Activity, Change, Contact, Decision, Person, RecordKey, Stage, Value
from connector.store import Conflict, Handoff, Lease, StoredRecord

BATCH = 2_000
"""Records or people worked on at once: bounds memory, and amortises one scoring call over many people."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One person as evaluated now: who they are, what was decided, and what is to be written."""

    person: Person
    decision: Decision
    changes: tuple[Change, ...]


class Batch(NamedTuple):
    """People judged together.

    Attributes:
        at: The moment they were judged as of.
        dropped: The field writes that would change nothing, with those fields: an older one that did not get out is
            out of date.
        looked_at: Everybody who needs no further look in this run, those without any record left among them.
        waiting_count: How many wait for a CRM that cannot be asked.
    """

    at: datetime
    judged: list[Judged]
    dropped: list[Change]
    looked_at: list[str]
    waiting_count: int


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


def judge_dirty(company: Company, lease: Lease, stopped: dict[str, str]) -> Iterator[Batch]:
    """Yield everybody something changed about, judged by the store and the CRMs' current values; write to no CRM.

    Args:
        stopped: CRM -> why it cannot be asked in this run; one that stops now is added. Whoever has a record there
            waits: what sales has done meanwhile cannot be known.

    Raises:
        ConnectorError: A failure that is not one CRM's own.
    """
    owners = read_owners(company)
    after = ""
    while person_ids := company.store.read_dirty(company.name, BATCH, after=after):
        after = person_ids[-1]
        yield _judge_batch(company, lease, person_ids, owners, stopped)


def _judge_batch(
    company: Company, lease: Lease, person_ids: Sequence[str], owners: Mapping[str, OwnerDirectory],
    stopped: dict[str, str],
) -> Batch:
    at = company.clock()
    everybody = look_at(company, person_ids, at, owners)
    while True:
        judged = [j for j in everybody if not any(c.key.crm in stopped for c in j.person.contacts)]
        try:
            kept, gone = keep_differences(company, [(j.decision, j.changes) for j in judged])
        except (FatalError, RetryableError) as error:
            if error.crm in stopped or error.crm not in company.adapters:
                raise
            stopped[error.crm] = str(error)
            continue
        if gone:
            # Deleted or merged away since it was pulled: whoever is left of the person is judged by what is left.
            company.store.mark_gone(lease, gone, at)
            everybody = look_at(company, person_ids, at, owners)
            continue
        waiting = {j.person.person_id for j in everybody} - {j.person.person_id for j in judged}
        dropped = [change for j, changes in zip(judged, kept) for change in left_out(j.changes, changes)]
        judged = [replace(j, changes=changes) for j, changes in zip(judged, kept)]
        return Batch(at, judged, dropped, [i for i in person_ids if i not in waiting], len(waiting))


def look_at(
    company: Company, person_ids: Sequence[str], now: datetime, owners: Mapping[str, OwnerDirectory]
) -> list[Judged]:
    """Return what the rules say about these people now, and every write that follows; asks the store only."""
    store, name, mapping = company.store, company.name, company.mapping
    keys = store.get_person_keys(name, person_ids)
    normalizer = Normalizer(mapping)
    contacts = _read_contacts(company, normalizer, {key for own in keys.values() for key in own})
    people = {}
    for person_id, own in keys.items():
        theirs = [contacts[key] for key in own if key in contacts]
        if theirs:
            people[person_id] = assemble(person_id, theirs, mapping)
    activities = _read_activities(company, keys)
    scores = score_people(list(people.values()), activities, mapping.definition, now, mapping.zone)
    states = store.get_person_states(name, list(people))
    handoffs = store.get_handoffs(name, [i for i, state in states.items() if state.handed_off_at is not None])
    judged = []
    for person_id, person in people.items():
        done = activities.get(person_id, ())
        decision = replace(
            decide(person, scores[person_id], states[person_id], mapping, now),
            look_again_at=look_again_at(done, mapping.definition, now),
        )
        changes = plan_changes(name, decision, person, done, owners, mapping)
        if person_id in handoffs:
            missing = _complete_handoff(company, decision, handoffs[person_id], person, done, owners)
            changes = (*(c for c in changes if c.crm not in {m.crm for m in missing}), *missing)
        judged.append(Judged(person, decision, changes))
    return judged


def _complete_handoff(
    company: Company, decision: Decision, handoff: Handoff, person: Person, done: Sequence[Activity],
    owners: Mapping[str, OwnerDirectory],
) -> tuple[Change, ...]:
    """Return the handoff's changes for a CRM in which the person has come to have a record since it was made."""
    if decision.cycle != handoff.decision.cycle or person.stage not in (Stage.INQUIRY, Stage.MQL):
        return ()
    again = replace(
        decision, hands_off=True, decided_at=handoff.decision.decided_at, deadline_at=handoff.decision.deadline_at
    )
    changes = plan_changes(company.name, again, person, done, owners, company.mapping)
    return tuple(c for c in changes if c.crm not in handoff.crms)


def evaluate(
    company: Company, lease: Lease, run_id: int, progress: Progress, stopped: dict[str, str]
) -> Iterator[Batch]:
    """Judge everybody something changed about, storing decisions and changes; yield each batch once it is stored."""
    done = 0
    for batch in judge_dirty(company, lease, stopped):
        company.store.save_decisions(
            lease, [(j.decision, j.changes, _summary(j.person)) for j in batch.judged], run_id, batch.at,
            looked_at=batch.looked_at, cancelled=batch.dropped,
        )
        done += len(batch.looked_at)
        progress(Step("evaluate", "people", done))
        yield batch


def read_owners(company: Company) -> dict[str, OwnerDirectory]:
    """Return, for each CRM whose mapping says who owns records, the active owners by remote id."""
    directories = {}
    for crm, part in company.mapping.crm.items():
        if part.owners is not None:
            rows = company.store.read_stream(company.name, crm, part.owners.stream)
            directories[crm] = _directory(part.owners, rows)
    return directories


def _directory(owners: OwnerMapping, rows: Iterable[StoredRecord]) -> OwnerDirectory:
    tests = [(name, matcher(patterns)) for name, patterns in owners.is_active.items()]
    active, fallback_id = {}, ""
    for row in rows:
        if all(test(fold(text_of(row.payload.get(name)))) for name, test in tests):
            active[row.key.remote_id] = " ".join(text_of(row.payload.get(name)) for name in owners.name).strip()
            if owners.fallback_email and fold(text_of(row.payload.get(owners.email))) == fold(owners.fallback_email):
                fallback_id = row.key.remote_id
    return OwnerDirectory(active, fallback_id)


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
    resolution = resolve(list(contacts.values()), known)
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
        fresh = _read_contacts(company, normalizer, neighbours - contacts.keys())
        contacts |= fresh
        touched |= neighbours.union(*map(_identity_keys, fresh.values()))
    return contacts, known


def _identity_keys(contact: Contact) -> set[str]:
    keys = {str(contact.key), *(str(key) for key in contact.linked_to), *(f"email:{e}" for e in contact.emails)}
    return keys | ({str(contact.superseded_by)} if contact.superseded_by else set())


def _read_contacts(company: Company, normalizer: Normalizer, keys: Iterable[str]) -> dict[str, Contact]:
    named = [RecordKey.parse(key) for key in keys if not key.startswith("email:")]
    wanted = [key for key in named if normalizer.is_people(key.crm, key.stream)]
    rows = company.store.read_records(company.name, wanted)
    return {str(row.key): normalizer.contact(row.key, row.modified_at, row.payload) for row in rows}


def _read_activities(company: Company, keys: dict[str, list[str]]) -> dict[str, list[Activity]]:
    person_of = {key: person_id for person_id, own in keys.items() for key in own}
    activities: dict[str, list[Activity]] = defaultdict(list)
    for activity in company.store.read_activities(company.name, person_of):
        activities[person_of[activity.subject]].append(activity)
    return activities


def _summary(person: Person) -> dict[str, Value]:
    return {"records": len(person.contacts), "stage": person.stage.value}
