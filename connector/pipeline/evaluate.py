"""From people to stored decisions: score, lifecycle, and the changes that follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from connector.core.changes import plan_changes
from connector.core.identity import assemble, home_records
from connector.core.lifecycle import decide
from connector.core.normalize import Normalizer
from connector.core.owners import Assignment
from connector.core.scoring import Ledger, next_crossings, score_ledger
from connector.core.triggers import Firing, next_look_at, nurture_of
from connector.core.waterfall import without_ours
from connector.errors import FatalError, RejectedError, RetryableError
from connector.pipeline.accounts import keep_account_keys, match_accounts
from connector.pipeline.backfill.standing import Standing, read_standing
from connector.pipeline.check import remedy_if_named
from connector.pipeline.company import Company, Progress, Step
from connector.pipeline.desk import Desk
from connector.pipeline.differences import keep_differences, left_out
from connector.pipeline.removals import follow_gone
from connector.pipeline.understand import read_contacts
from connector.records import Activity, Change, ChangeKind, Decision, Notice, Person, RecordKey, Stage, Value
from connector.store import Decided, Handoff, Lease

BATCH = 2_000
"""People judged at once: bounds memory, and amortises one scoring call over many."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One person as evaluated now: who they are, what was decided, what is to be written and told.

    Attributes:
        assignments: The turns of rotations that the handoff took.
        firings: The triggers that fired.
    """

    person: Person
    decision: Decision
    changes: tuple[Change, ...]
    notices: tuple[Notice, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    firings: tuple[Firing, ...] = ()


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


def judge_dirty(company: Company, lease: Lease, desk: Desk, stopped: dict[str, str]) -> Iterator[Batch]:
    """Yield everybody something changed about, judged by the store and the CRMs' current values; write to no CRM.

    Args:
        stopped: CRM -> why it cannot be asked in this run; one that stops now is added. Whoever has a record there
            waits: what sales has done meanwhile cannot be known.

    Raises:
        ConnectorError: A failure that is not one CRM's own.
    """
    after = ""
    while person_ids := company.store.read_dirty(company.name, BATCH, after=after):
        batch = _judge_batch(company, lease, person_ids, desk, stopped)
        if batch is not None:
            after = person_ids[-1]
            yield batch


def _judge_batch(
    company: Company, lease: Lease, person_ids: Sequence[str], desk: Desk, stopped: dict[str, str],
) -> Batch | None:
    """Judge these people; None when it shows that records of theirs are gone: who is left is to be judged anew."""
    at, turns = company.clock(), desk.turns
    everybody = look_at(company, person_ids, at, desk)
    while True:
        judged = [j for j in everybody if not any(c.key.crm in stopped for c in j.person.contacts)]
        try:
            kept, gone = keep_differences(company, [(j.decision, j.changes) for j in judged])
            if gone:
                follow_gone(company, lease, gone)
                desk.turns = turns    # what was given to somebody in vain is given again
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
    company: Company, person_ids: Sequence[str], now: datetime, desk: Desk, *, heeds_backfill: bool = True,
) -> list[Judged]:
    """Return what the rules say about these people now, and all that follows; asks the store only.

    Args:
        heeds_backfill: Whom a backfill holds is held; without, as if none had ever held anybody.
    """
    store, name, mapping = company.store, company.name, company.mapping
    standing = read_standing(company) if heeds_backfill else Standing()
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
    if not heeds_backfill:
        states = {person_id: replace(state, held_at=None) for person_id, state in states.items()}
    known_to_sales = [i for i, state in states.items() if state.cycle > 1 or state.handed_off_at is not None]
    passed, closings = store.read_handoffs(name, known_to_sales), store.read_closings(name, known_to_sales)
    handoffs = store.get_handoffs(name, [i for i, state in states.items() if state.handed_off_at is not None])
    firings = store.read_firings(name, list(people)) if mapping.triggers else {}
    judged = []
    for number, (person_id, person) in enumerate(people.items()):
        done = ledger.activities_of(number)
        decision = decide(
            person, scores[person_id], states[person_id], mapping, now, done=without_ours(done, closings),
            handoffs=passed.get(person_id, ()), holds_since=standing.holds_since,
        )
        moments = (decision.look_again_at, crossings.get(person_id), next_look_at(done, mapping, now))
        decision = replace(decision, look_again_at=min((at for at in moments if at is not None), default=None))
        fired = desk.set_off(person, done, firings.get(person_id, ()), now)
        if fired and standing.quiet_before is not None:
            moments_of = {one.activity_id: one.occurred_at for one in done}
            fired = tuple(one for one in fired if moments_of[one.evidence] >= standing.quiet_before)
        nurture = nurture_of([*firings.get(person_id, ()), *fired], mapping)
        handoff = handoffs.get(person_id)
        judged.append(_judged(company, desk, person, decision, done, fired, nurture, handoff, now))
    return judged


def _judged(
    company: Company, desk: Desk, person: Person, decision: Decision, done: Sequence[Activity],
    fired: tuple[Firing, ...], nurture: str, handoff: Handoff | None, now: datetime,
) -> Judged:
    """Return one person with all that follows from what was decided."""
    assignments: tuple[Assignment, ...] = ()
    if decision.hands_off:
        decision, assignments = desk.assign(person, decision)
    plan = _Plan(company, desk, person, done, nurture)
    changes = plan.of(decision)
    if handoff is not None:
        missing, assignments = _complete_handoff(desk, plan, decision, handoff, assignments)
        changes = (*(c for c in changes if c.crm not in {m.crm for m in missing}), *missing)
    made = handoff.decision if handoff is not None and handoff.decision.cycle == decision.cycle else None
    notices = desk.tell(person, decision, made, done, fired, now)
    return Judged(person, decision, changes, notices, assignments, fired)


class _Plan(NamedTuple):
    """What the writes about one person are made of, whatever was decided."""

    company: Company
    desk: Desk
    person: Person
    done: Sequence[Activity]
    nurture: str

    def lacks(self, handoff: Handoff) -> bool:
        """Tell whether there is a CRM in which they have a record and not the handoff."""
        write_backs = {crm: part.write_back for crm, part in self.company.mapping.crm.items()}
        return any(
            crm not in handoff.crms and contact.key.stream in write_backs[crm]
            for crm, contact in home_records(self.person).items()
        )

    def of(self, decision: Decision) -> tuple[Change, ...]:
        """Return the writes of a decision."""
        tasks: dict[str, RecordKey] = {}
        if decision.recycles:
            tasks = _tasks_of(self.company, decision.person_id, decision.cycle)
        elif decision.hands_off and decision.cycle > 1:
            tasks = _tasks_of(self.company, decision.person_id, decision.cycle - 1)
        return plan_changes(
            self.company.name, decision, self.person, self.done, self.company.mapping, link=self.desk.link,
            nurture=self.nurture, tasks=tasks, failed=self.desk.note_failure,
        )


def _tasks_of(company: Company, person_id: str, cycle: int) -> dict[str, RecordKey]:
    """Return, by CRM, the task that was made for the handoff of a cycle, but for those that we closed already."""
    rows = company.store.read_changes(company.name, person_id)
    closed = {row.change.record for row in rows if row.change.kind is ChangeKind.CLOSE_TASK}
    made = [
        RecordKey(row.change.crm, "tasks", row.remote_id) for row in rows
        if row.change.kind is ChangeKind.TASK and row.change.cycle == cycle and row.remote_id
    ]
    return {task.crm: task for task in made if task not in closed}


def read_told(company: Company, person_id: str) -> Sequence[Activity]:
    """Return what somebody did by the ledger, each real thing once, the oldest first."""
    activities = _read_activities(company, company.store.get_person_keys(company.name, [person_id]))
    return Ledger.of([person_id], activities, company.mapping.zone).activities_of(0)


def _complete_handoff(
    desk: Desk, plan: _Plan, decision: Decision, handoff: Handoff, assignments: tuple[Assignment, ...],
) -> tuple[tuple[Change, ...], tuple[Assignment, ...]]:
    """Return the handoff's changes for a CRM in which the person has come to have a record since it was made."""
    made = handoff.decision
    if decision.cycle != made.cycle or decision.stage is not Stage.MQL or decision.recycles:
        return (), assignments
    if not plan.lacks(handoff):
        return (), assignments
    again, assignments = desk.assign(
        plan.person, replace(
            decision, hands_off=True, decided_at=made.decided_at, deadline_at=made.deadline_at,
            qualified_at=made.qualified_at, override=made.override, is_urgent=made.is_urgent,
        ), made.owners,
    )
    return tuple(c for c in plan.of(again) if c.crm not in handoff.crms), assignments


def evaluate(
    company: Company, lease: Lease, run_id: int, desk: Desk, progress: Progress, stopped: dict[str, str]
) -> Iterator[Batch]:
    """Judge everybody something changed about, storing decisions and changes; yield each batch once it is stored."""
    done = 0
    for batch in judge_dirty(company, lease, desk, stopped):
        keep_account_keys(company, lease, batch.looked_at, [j.person for j in batch.judged])
        company.store.save_decisions(
            lease, [
                Decided(j.decision, j.changes, _summary(j.person), j.notices, j.assignments, j.firings)
                for j in batch.judged
            ], run_id, batch.at,
            looked_at=batch.looked_at, cancelled=batch.dropped,
        )
        done += len(batch.looked_at)
        progress(Step("evaluate", "people", done))
        yield batch


def _read_activities(company: Company, keys: dict[str, list[str]]) -> dict[str, list[Activity]]:
    person_of = {key: person_id for person_id, own in keys.items() for key in own}
    activities: dict[str, list[Activity]] = defaultdict(list)
    for activity in company.store.read_activities(company.name, person_of):
        activities[person_of[activity.subject]].append(activity)
    return activities


def _summary(person: Person) -> dict[str, Value]:
    return {"records": len(person.contacts), "stage": person.stage.value}
