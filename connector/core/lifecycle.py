"""Who is handed to sales now: one decision per person, from their score, their stage and what is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector.core.deadlines import deadline_at
from connector.core.identity import home_records
from connector.mapping.model import Mapping
from connector.records import Decision, Person, Score, Stage

_STOPPING_STAGES = {
    Stage.MQL: "already_mql",
    Stage.SAL: "already_with_sales",
    Stage.SQL: "already_with_sales",
    Stage.WON: "already_customer",
    Stage.LOST: "already_lost",
}


@dataclass(frozen=True, slots=True)
class PersonState:
    """What is remembered of a person between runs; `next_state` makes the next one.

    Attributes:
        cycle: The passage through qualification they are in, from 1.
        stage: Where the CRMs last said they stand. After a handoff, a `recycled` does not replace it until the next
            cycle opens: only so can a recycling that came after the handoff be told from the one before it.
        handed_off_at: When they were handed off in this cycle; None when they were not.
        recycled_at: When sales sent them back after that handoff, as the record that says so was last changed before
            we first saw it; None when sales did not.
    """

    cycle: int = 1
    stage: Stage | None = None
    handed_off_at: datetime | None = None
    recycled_at: datetime | None = None


def decide(person: Person, score: Score, state: PersonState, mapping: Mapping, now: datetime) -> Decision:
    """Judge one person.

    A handoff needs all of: points at or over the threshold, no disqualifier, no handoff yet in this cycle, a stage
    before MQL (inquiry, recycled or none), and a record that the mapping lets us write to.

    The next cycle opens when a person who was handed off was recycled by sales since then, and an activity that
    earns points happened after the recycling: what sales knew when it sent them back is no news. An activity known
    only by its date counts from that day's midnight, so one on the very day of the recycling does not open it.

    Returns:
        The decision. `why_not` is empty below the threshold and at a handoff, else one of `disqualified`,
        `already_mql`, `already_with_sales`, `already_customer`, `already_lost`, `handed_off`, `no_record`.
    """
    recycled_at = _recycled_at(person, state)
    reopens = recycled_at is not None and _has_earned_since(score, recycled_at)
    cycle = state.cycle + 1 if reopens else state.cycle
    handed_off = state.handed_off_at is not None and not reopens
    reached = score.total_points >= mapping.definition.threshold_points
    why_not = _why_not(person, score, handed_off, mapping) if reached else ""
    hands_off = reached and not why_not
    due_at = None
    if hands_off:
        due_at = deadline_at(now, mapping.handoff.deadline_business_hours, mapping.business_hours, mapping.zone)
    return Decision(
        person_id=person.person_id, cycle=cycle, decided_at=now, score=score, stage_before=person.stage,
        hands_off=hands_off, why_not=why_not, deadline_at=due_at, recycled_at=None if reopens else recycled_at,
    )


def next_state(state: PersonState, decision: Decision) -> PersonState:
    """Return what to remember after a decision; store it in the same transaction as the decision."""
    if decision.hands_off:
        return PersonState(decision.cycle, decision.stage_before, decision.decided_at)
    if decision.cycle > state.cycle:
        return PersonState(decision.cycle, decision.stage_before)
    keeps_stage = state.handed_off_at is not None and decision.stage_before is Stage.RECYCLED
    stage = state.stage if keeps_stage else decision.stage_before
    return PersonState(state.cycle, stage, state.handed_off_at, decision.recycled_at)


def _recycled_at(person: Person, state: PersonState) -> datetime | None:
    """Return since when sales has a handed-off person back in nurturing; None when sales has not."""
    # Right after a handoff of a recycled person the CRM still says `recycled` until our write has landed. That is
    # why the remembered stage must differ: else every page view in between would open one more cycle.
    if state.handed_off_at is None or person.stage is not Stage.RECYCLED or state.stage is Stage.RECYCLED:
        return None
    if state.recycled_at is not None:
        return state.recycled_at
    return min(c.modified_at for c in home_records(person).values() if c.stage is Stage.RECYCLED)


def _has_earned_since(score: Score, at: datetime) -> bool:
    return any(r.occurred_at is not None and r.occurred_at > at and r.points > 0 for r in score.reasons)


def _why_not(person: Person, score: Score, handed_off: bool, mapping: Mapping) -> str:
    if score.disqualified_by:
        return "disqualified"
    if person.stage in _STOPPING_STAGES:
        return _STOPPING_STAGES[person.stage]
    if handed_off:
        return "handed_off"
    if not any(c.key.stream in mapping.crm[crm].write_back for crm, c in home_records(person).items()):
        return "no_record"
    return ""
