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
    """

    cycle: int = 1
    stage: Stage | None = None
    handed_off_at: datetime | None = None


def decide(person: Person, score: Score, state: PersonState, mapping: Mapping, now: datetime) -> Decision:
    """Judge one person.

    A handoff needs all of: points at or over the threshold, no disqualifier, no handoff yet in this cycle, a stage
    before MQL (inquiry, recycled or none), and a record that the mapping lets us write to.

    The next cycle opens when a person who was handed off was recycled by sales since then, and an activity that
    earns points happened after that handoff. An activity known only by its date counts from that day's midnight, so
    one on the very day of the handoff does not open it. When sales recycled is not remembered, only the handoff is:
    so what they did between the two counts as coming back too.

    Returns:
        The decision. `why_not` is empty below the threshold and at a handoff, else one of `disqualified`,
        `already_mql`, `already_with_sales`, `already_customer`, `already_lost`, `handed_off`, `no_record`.
    """
    reopens = _reopens(person, score, state)
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
        hands_off=hands_off, why_not=why_not, deadline_at=due_at,
    )


def next_state(state: PersonState, decision: Decision) -> PersonState:
    """Return what to remember after a decision; store it in the same transaction as the decision."""
    if decision.hands_off:
        return PersonState(decision.cycle, decision.stage_before, decision.decided_at)
    if decision.cycle > state.cycle:
        return PersonState(decision.cycle, decision.stage_before)
    keeps_stage = state.handed_off_at is not None and decision.stage_before is Stage.RECYCLED
    return PersonState(state.cycle, state.stage if keeps_stage else decision.stage_before, state.handed_off_at)


def _reopens(person: Person, score: Score, state: PersonState) -> bool:
    # Right after a handoff of a recycled person the CRM still says `recycled` until our write has landed. That is
    # why the remembered stage must differ: else every page view in between would open one more cycle.
    handed_off_at = state.handed_off_at
    if handed_off_at is None or person.stage is not Stage.RECYCLED or state.stage is Stage.RECYCLED:
        return False
    return any(r.occurred_at is not None and r.occurred_at > handed_off_at and r.points > 0 for r in score.reasons)


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
