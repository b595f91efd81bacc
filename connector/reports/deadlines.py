"""Which handoffs wait for sales, how long they have left, and why those that are over were not followed up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from connector.core.causes import Cause, Written, find_causes
from connector.core.deadlines import working_hours_between
from connector.core.identity import assemble
from connector.core.lifecycle import PersonState
from connector.core.normalize import Normalizer
from connector.core.owners import OwnerDirectory
from connector.core.watch import ESCALATION, REMINDER, followed_up_at
from connector.pipeline.company import Company
from connector.pipeline.owners import read_owners
from connector.pipeline.understand import read_contacts
from connector.records import Activity, ActivityKind, Decision, Person
from connector.store import ChangeState, NoticeState, OutboxRow

BATCH = 1_000
"""People looked at at once: bounds memory."""

WAITING, REMINDED, ESCALATED = "waiting", "reminded", "escalated"
RECYCLED, FOLLOWED_UP = "recycled", "followed_up"

Told = AbstractSet[tuple[str, int, str]]
"""Person id, cycle and kind of the notices that were sent."""


@dataclass(frozen=True, slots=True)
class WatchedHandoff:
    """One handoff of the cycle somebody is in.

    Attributes:
        person: Without an account; None when no record of theirs is left.
        state: `waiting`, `reminded` or `escalated` while nobody acted, `followed_up` once sales did, `recycled` when
            they were sent back to nurturing because nobody did.
        followed_up_at: When sales first acted; None while it has not.
        hours_left: Business hours until the deadline, counted from the follow-up, from the recycling, or from now while
            neither came; below nought when it was over by then.
        causes: Why they were no SQL in time; empty while there is time left, and for who was.
    """

    handoff: Decision
    person: Person | None
    state: str
    followed_up_at: datetime | None
    hours_left: float
    causes: tuple[Cause, ...]

    @property
    def is_open(self) -> bool:
        """Whether sales still has to act."""
        return self.state not in (FOLLOWED_UP, RECYCLED)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The handoffs of a company as of one moment; the earliest deadline first."""

    as_of: datetime
    handoffs: tuple[WatchedHandoff, ...]


def list_deadlines(company: Company, *, settled: bool = False) -> Deadlines:
    """Return every handoff that waits for sales; asks the store only.

    What sales did is known as of the last run.

    Args:
        settled: Those that sales acted on, and those given up, too.
    """
    now, directories = company.clock(), read_owners(company)
    told = {
        (row.notice.person_id, row.notice.cycle, row.notice.kind)
        for row in company.store.read_notices(company.name, [NoticeState.SENT])
    }
    found: list[WatchedHandoff] = []
    after = ""
    while rows := company.store.read_current_handoffs(company.name, BATCH, after=after, taken_back=settled):
        after = rows[-1].decision.person_id
        handoffs = [row.decision for row in rows]
        found += _watched(company, handoffs, directories, told, now, settled=settled)
    return Deadlines(now, tuple(sorted(found, key=lambda one: (one.handoff.deadline_at or now, one.handoff.person_id))))


def _watched(
    company: Company, handoffs: Sequence[Decision], directories: Mapping[str, OwnerDirectory], told: Told,
    now: datetime, *, settled: bool,
) -> list[WatchedHandoff]:
    states = company.store.get_person_states(company.name, [one.person_id for one in handoffs])
    stand = [(one, _state(one, states[one.person_id], told)) for one in handoffs if one.deadline_at is not None]
    shown = [(one, state) for one, state in stand if settled or state not in (FOLLOWED_UP, RECYCLED)]
    people, done = _read_people(company, [one.person_id for one, _ in shown])
    found = []
    for handoff, state in shown:
        remembered, person = states[handoff.person_id], people.get(handoff.person_id)
        acted_at = followed_up_at(handoff, remembered.stages)
        until = acted_at or remembered.sent_back_at or now
        causes: tuple[Cause, ...] = ()
        if person is not None and handoff.deadline_at is not None and max(now, until) > handoff.deadline_at:
            changes = company.store.read_changes(company.name, handoff.person_id)
            causes = find_causes(
                handoff, person, remembered.stages, done.get(handoff.person_id, []),
                [_written(row) for row in changes if row.change.cycle == handoff.cycle], directories, company.mapping,
                now,
            )
        hours = working_hours_between(
            until, handoff.deadline_at or until, company.mapping.business_hours, company.mapping.zone,
        )
        found.append(WatchedHandoff(handoff, person, state, acted_at, round(hours, 2), causes))
    return found


def _state(handoff: Decision, remembered: PersonState, told: Told) -> str:
    if followed_up_at(handoff, remembered.stages) is not None:
        return FOLLOWED_UP
    if remembered.sent_back_at is not None:
        return RECYCLED
    passage = (handoff.person_id, handoff.cycle)
    if (*passage, ESCALATION) in told:
        return ESCALATED
    return REMINDED if (*passage, REMINDER) in told else WAITING


def _read_people(company: Company, person_ids: Sequence[str]) -> tuple[dict[str, Person], dict[str, list[Activity]]]:
    """Return these people, and which deals of theirs were lost."""
    keys = company.store.get_person_keys(company.name, person_ids)
    contacts = read_contacts(company, Normalizer(company.mapping), {key for own in keys.values() for key in own})
    people = {}
    for person_id, own in keys.items():
        if theirs := [contacts[key] for key in own if key in contacts]:
            people[person_id] = assemble(person_id, theirs, company.mapping)
    person_of = {key: person_id for person_id, own in keys.items() for key in own}
    lost: dict[str, list[Activity]] = defaultdict(list)
    for one in company.store.read_activities(company.name, person_of):
        if one.kind is ActivityKind.DEAL_LOST:
            lost[person_of[one.subject]].append(one)
    return people, {person_id: sorted(own, key=lambda one: one.occurred_at) for person_id, own in lost.items()}


def _written(row: OutboxRow) -> Written:
    # One that was taken out before it left is `unchanged` for a reason: it never came to stand there.
    is_there = row.state is ChangeState.DONE or (row.state is ChangeState.UNCHANGED and not row.reason)
    state = "done" if is_there else ChangeState.DEAD.value if row.state is ChangeState.UNCHANGED else row.state.value
    return Written(row.change.crm, row.change.kind, state, row.told or row.reason, row.remedy, row.updated_at)
