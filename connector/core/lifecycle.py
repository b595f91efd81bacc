"""Who is handed to sales now: one decision per person, from their score, their stage and what is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.core.deadlines import deadline_at
from connector.core.identity import home_records
from connector.core.normalize import fold, text_of
from connector.mapping.definition import Definition
from connector.mapping.model import Mapping
from connector.records import MAKE_MQL, NEVER_MQL, OVERRIDE, OVERRIDES, Decision, Person, Score, Stage

STOPPING_STAGES = {
    Stage.MQL: "already_mql",
    Stage.SAL: "already_with_sales",
    Stage.SQL: "already_with_sales",
    Stage.WON: "already_customer",
    Stage.LOST: "already_lost",
}

DISQUALIFIED = "disqualified"
HANDED_OFF = "handed_off"
HELD_BACK = "held_back"
COOLING_DOWN = "cooling_down"
MISSING = "missing"
NO_RECORD = "no_record"


@dataclass(frozen=True, slots=True)
class PersonState:
    """What is remembered of a person between runs; `next_state` makes the next one.

    Attributes:
        cycle: The passage through qualification they are in, from 1.
        stage: Where the CRMs last said they stand. After a handoff, a `recycled` does not replace it until the next
            cycle opens: only so can a recycling that came after the handoff be told from the one before it.
        handed_off_at: When they were handed off in this cycle; None when they were not.
        recycled_at: When sales last sent them back with no handoff since, as the record that says so was last changed
            before we first saw it; None when sales did not.
        qualified_at: Since when their points make them an MQL while no handoff has followed; None when they do not.
        qualified_by: The version of the definition that said so: under another one they have to qualify anew.
    """

    cycle: int = 1
    stage: Stage | None = None
    handed_off_at: datetime | None = None
    recycled_at: datetime | None = None
    qualified_at: datetime | None = None
    qualified_by: str = ""


def decide(person: Person, score: Score, state: PersonState, mapping: Mapping, now: datetime) -> Decision:
    """Judge one person.

    Their points qualify them at the threshold or in a cell of the matrix that makes MQLs; once qualified, they stay so
    until they have fewer than `keeps_from_points`, are recycled, or another definition judges. A person in the CRM may
    decide instead (`override`): `mql` qualifies whatever the points are, `not_mql` holds back.

    A handoff needs all of: qualified, and no obstacle. Obstacles are, in this order: `disqualified`; a stage that is
    not before MQL (`already_mql`, `already_with_sales`, `already_customer`, `already_lost`); a handoff in this cycle
    (`handed_off`); `held_back` by a person; `cooling_down` after sales sent them back and `missing` required
    attributes, unless a person decided that they are an MQL; and `no_record` that the mapping lets us write to.

    The next cycle opens when a person who was handed off was recycled by sales since then, and an activity that
    earns points happened after the recycling: what sales knew when it sent them back is no news. An activity known
    only by its date counts from that day's midnight, so one on the very day of the recycling does not open it.

    Returns:
        The decision; its `look_again_at` knows of the end of the cool-down alone.
    """
    definition = mapping.definition
    recycled_at = _recycled_at(person, state)
    reopens = state.handed_off_at is not None and recycled_at is not None and _has_earned_since(score, recycled_at)
    handed_off = state.handed_off_at is not None and not reopens
    qualified_at = _qualified_at(score, state, definition, now, anew=reopens or recycled_at != state.recycled_at)
    override = override_of(person)
    cools_until = _cools_until(recycled_at, definition, now)
    missing = missing_required(person, definition)
    obstacles = _obstacles(person, score, override, handed_off=handed_off)
    if override != MAKE_MQL:
        obstacles += [COOLING_DOWN] * (cools_until is not None) + [MISSING] * bool(missing)
    if not any(c.key.stream in mapping.crm[crm].write_back for crm, c in home_records(person).items()):
        obstacles.append(NO_RECORD)
    is_qualified = qualified_at is not None or override == MAKE_MQL
    hands_off = is_qualified and not obstacles
    due_at = None
    if hands_off:
        due_at = deadline_at(now, mapping.handoff.deadline_business_hours, mapping.business_hours, mapping.zone)
    return Decision(
        person_id=person.person_id, cycle=state.cycle + 1 if reopens else state.cycle, decided_at=now, score=score,
        stage_before=person.stage, hands_off=hands_off, deadline_at=due_at, recycled_at=recycled_at,
        look_again_at=None if handed_off else cools_until, is_qualified=is_qualified,
        qualified_at=None if handed_off else qualified_at, obstacles=tuple(obstacles), missing=missing,
        cools_until=cools_until, override=override, segment=definition.segment(score.total_points),
        cell=definition.cell(score.fit_points, score.engagement_points),
    )


def next_state(state: PersonState, decision: Decision) -> PersonState:
    """Return what to remember after a decision; store it in the same transaction as the decision."""
    if decision.hands_off:
        return PersonState(decision.cycle, decision.stage_before, decision.decided_at)
    reopens = decision.cycle > state.cycle
    handed_off_at = None if reopens else state.handed_off_at
    keeps_stage = handed_off_at is not None and decision.stage_before is Stage.RECYCLED
    return PersonState(
        max(state.cycle, decision.cycle), state.stage if keeps_stage else decision.stage_before, handed_off_at,
        decision.recycled_at, decision.qualified_at,
        decision.score.definition if decision.qualified_at is not None else "",
    )


def override_of(person: Person) -> str:
    """Return what a person in the CRM decided about this one: `mql`, `not_mql`, or empty for nothing."""
    word = fold(text_of(person.attributes.get(OVERRIDE)))
    return word if word in OVERRIDES else ""


def missing_required(person: Person, definition: Definition) -> tuple[str, ...]:
    """Return the required attributes that have no value, alternatives joined by ` or `."""
    known = person.attributes
    return tuple(
        " or ".join(names) for names in definition.required if all(known.get(name) in (None, "") for name in names)
    )


def _recycled_at(person: Person, state: PersonState) -> datetime | None:
    """Return when sales last sent the person back, with no handoff since; None when sales did not."""
    # Right after a handoff of a recycled person the CRM still says `recycled` until our write has landed. That is
    # why the remembered stage must differ: else every page view in between would open one more cycle.
    is_news = person.stage is Stage.RECYCLED and state.stage is not Stage.RECYCLED
    if state.handed_off_at is None:
        return _sent_back_at(person) if is_news else state.recycled_at
    if not is_news:
        return None
    return state.recycled_at or _sent_back_at(person)


def _sent_back_at(person: Person) -> datetime:
    return min(c.modified_at for c in home_records(person).values() if c.stage is Stage.RECYCLED)


def _has_earned_since(score: Score, at: datetime) -> bool:
    return any(r.occurred_at is not None and r.occurred_at > at and r.points > 0 for r in score.reasons)


def _qualified_at(
    score: Score, state: PersonState, definition: Definition, now: datetime, *, anew: bool,
) -> datetime | None:
    since = None if anew or state.qualified_by != score.definition else state.qualified_at
    if definition.qualifies(score.fit_points, score.engagement_points):
        return since or now
    keeps_from = definition.keeps_from_points
    return since if keeps_from is not None and score.total_points >= keeps_from else None


def _cools_until(recycled_at: datetime | None, definition: Definition, now: datetime) -> datetime | None:
    if recycled_at is None:
        return None
    end = recycled_at + timedelta(days=definition.cool_down_days)
    return end if end > now else None


def _obstacles(person: Person, score: Score, override: str, *, handed_off: bool) -> list[str]:
    """Return what stands against a handoff whoever decides."""
    found = [DISQUALIFIED] if score.disqualified_by else []
    if person.stage in STOPPING_STAGES:
        found.append(STOPPING_STAGES[person.stage])
    if handed_off:
        found.append(HANDED_OFF)
    if override == NEVER_MQL:
        found.append(HELD_BACK)
    return found
