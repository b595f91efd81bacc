"""From people to stored decisions: score, lifecycle, and the changes that follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from connector.core.changes import OwnerDirectory, plan_changes
from connector.core.identity import assemble
from connector.core.lifecycle import decide
from connector.core.normalize import Normalizer, fold, matcher, text_of
from connector.core.scoring import Ledger, next_crossings, score_ledger
from connector.errors import FatalError, RejectedError, RetryableError
from connector.mapping.model import OwnerMapping
from connector.pipeline.accounts import keep_account_keys, match_accounts
from connector.pipeline.check import remedy_if_named
from connector.pipeline.company import Company, Progress, Step
from connector.pipeline.differences import keep_differences, left_out
from connector.pipeline.removals import follow_gone
from connector.pipeline.understand import read_contacts
from connector.records import Activity, Change, Decision, Person, Stage, Value
from connector.store import Handoff, Lease, StoredRecord

BATCH = 2_000
"""People judged at once: bounds memory, and amortises one scoring call over many."""


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
        batch = _judge_batch(company, lease, person_ids, owners, stopped)
        if batch is not None:
            after = person_ids[-1]
            yield batch


def _judge_batch(
    company: Company, lease: Lease, person_ids: Sequence[str], owners: Mapping[str, OwnerDirectory],
    stopped: dict[str, str],
) -> Batch | None:
    """Judge these people; None when it shows that records of theirs are gone: who is left is to be judged anew."""
    at = company.clock()
    everybody = look_at(company, person_ids, at, owners)
    while True:
        judged = [j for j in everybody if not any(c.key.crm in stopped for c in j.person.contacts)]
        try:
            kept, gone = keep_differences(company, [(j.decision, j.changes) for j in judged])
            if gone:
                follow_gone(company, lease, gone)
                return None
        except (FatalError, RetryableError, RejectedError) as error:
            if error.crm in stopped or error.crm not in company.adapters:
                raise
            written = [n for w in company.mapping.crm[error.crm].write_back.values() for n in w.fields.values()]
            stopped[error.crm] = f"{error}{remedy_if_named(company.name, written, str(error))}"
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
    contacts = read_contacts(company, normalizer, {key for own in keys.values() for key in own})
    records = {person_id: [contacts[key] for key in own if key in contacts] for person_id, own in keys.items()}
    accounts = match_accounts(company, normalizer, records)
    people = {
        person_id: assemble(person_id, theirs, mapping, accounts.get(person_id))
        for person_id, theirs in records.items() if theirs
    }
    activities = _read_activities(company, keys)
    everybody = list(people.values())
    ledger = Ledger.of(list(people), activities, mapping.zone)
    scores = score_ledger(everybody, ledger, mapping.definition, now)
    crossings = next_crossings(everybody, ledger, mapping.definition, now)
    states = store.get_person_states(name, list(people))
    handoffs = store.get_handoffs(name, [i for i, state in states.items() if state.handed_off_at is not None])
    judged = []
    for number, (person_id, person) in enumerate(people.items()):
        done = ledger.activities_of(number)
        decision = decide(person, scores[person_id], states[person_id], mapping, now)
        moments = [at for at in (decision.look_again_at, crossings.get(person_id)) if at is not None]
        decision = replace(decision, look_again_at=min(moments, default=None))
        changes = plan_changes(name, decision, person, done, owners, mapping)
        if person_id in handoffs:
            missing = _complete_handoff(company, decision, handoffs[person_id], person, done, owners)
            changes = (*(c for c in changes if c.crm not in {m.crm for m in missing}), *missing)
        judged.append(Judged(person, decision, changes))
    return judged


def read_told(company: Company, person_id: str) -> Sequence[Activity]:
    """Return what somebody did by the ledger, each real thing once, the oldest first."""
    activities = _read_activities(company, company.store.get_person_keys(company.name, [person_id]))
    return Ledger.of([person_id], activities, company.mapping.zone).activities_of(0)


def _complete_handoff(
    company: Company, decision: Decision, handoff: Handoff, person: Person, done: Sequence[Activity],
    owners: Mapping[str, OwnerDirectory],
) -> tuple[Change, ...]:
    """Return the handoff's changes for a CRM in which the person has come to have a record since it was made."""
    if decision.cycle != handoff.decision.cycle or person.stage not in (Stage.INQUIRY, Stage.MQL):
        return ()
    made = handoff.decision
    again = replace(
        decision, hands_off=True, decided_at=made.decided_at, deadline_at=made.deadline_at,
        qualified_at=made.qualified_at, override=made.override,
    )
    changes = plan_changes(company.name, again, person, done, owners, company.mapping)
    return tuple(c for c in changes if c.crm not in handoff.crms)


def evaluate(
    company: Company, lease: Lease, run_id: int, progress: Progress, stopped: dict[str, str]
) -> Iterator[Batch]:
    """Judge everybody something changed about, storing decisions and changes; yield each batch once it is stored."""
    done = 0
    for batch in judge_dirty(company, lease, stopped):
        keep_account_keys(company, lease, batch.looked_at, [j.person for j in batch.judged])
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


def _read_activities(company: Company, keys: dict[str, list[str]]) -> dict[str, list[Activity]]:
    person_of = {key: person_id for person_id, own in keys.items() for key in own}
    activities: dict[str, list[Activity]] = defaultdict(list)
    for activity in company.store.read_activities(company.name, person_of):
        activities[person_of[activity.subject]].append(activity)
    return activities


def _summary(person: Person) -> dict[str, Value]:
    return {"records": len(person.contacts), "stage": person.stage.value}
