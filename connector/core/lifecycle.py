"""Who is handed to sales now: one decision per person, from their score, their stage and what is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connector.core.identity import home_records
from connector.core.normalize import fold, text_of
from connector.core.watch import deadline_of, next_watch_at, recycle_at
from connector.core.waterfall import ACTIVITY, Trace, dormant_since, in_this_cycle, trace
from connector.core.waterfall import PersonState as PersonState
from connector.mapping.definition import Definition
from connector.mapping.model import Mapping
from connector.records import (
    MAKE_MQL,
    NEVER_MQL,
    OVERRIDE,
    OVERRIDES,
    Activity,
    Decision,
    Person,
    Score,
    Stage,
    StageEntry,
)

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
BACKFILLED = "backfilled"


OVERDUE = "overdue"
"""Why somebody is recycled on whom sales did not act in time."""


def decide(
    person: Person, score: Score, state: PersonState, mapping: Mapping, now: datetime, *,
    done: Sequence[Activity] = (), handoffs: Sequence[Decision] = (), holds_since: datetime | None = None,
) -> Decision:
    """Judge one person.

    Their points qualify them at the threshold or in a cell of the matrix that makes MQLs; once qualified, they stay so
    until they have fewer than `keeps_from_points`, are recycled, or another definition judges. A person in the CRM may
    decide instead (`override`): `mql` qualifies whatever the points are, `not_mql` holds back.

    A handoff needs all of: qualified, and no obstacle. Obstacles are, in this order: `disqualified`; a stage that is
    not before MQL, by the CRMs or by what sales did (`already_mql`, `already_with_sales`, `already_customer`,
    `already_lost`); a handoff in this cycle (`handed_off`); `held_back` by a person; `cooling_down` after they were
    sent back and `missing` required attributes, unless a person decided that they are an MQL; and `no_record` that the
    mapping lets us write to. Whom nothing of these stands against, or a cool-down alone, may still be
    `backfilled`: while a backfill holds, nobody is handed off for what happened before it began, and whom it held
    waits until they do something since that earns points. What is known only by its date counts from that day's
    midnight. A person in the CRM may hand them off all the same.

    We send back to nurturing whom nobody acted on until `watch.recycle_at`, while no CRM shows them further than MQL.

    The next cycle opens when a person who was handed off was sent back since then, by sales or by us, or fell dormant,
    and an activity that earns points happened after that: what sales knew when it sent them back is no news. An
    activity known only by its date counts from that day's midnight, so one on the very day of the recycling does not
    open it. What the CRMs showed when the cycle opened stands against no handoff in it.

    Args:
        done: All that is in the ledger about them, each real thing once, the oldest first, what sales did included.
        handoffs: All handoffs of theirs, the oldest first.
        holds_since: When the backfill began that is under way and holds; None without one.

    Returns:
        The decision; its `look_again_at` knows of the end of the cool-down and of what the handoff is watched for.
    """
    person = in_this_cycle(person, state)
    definition = mapping.definition
    handoff = _handoff_of(state, handoffs)
    found = trace(person, done, handoffs, state, mapping, now)
    recycles = OVERDUE if _is_overdue(handoff, found, state, mapping, now) else ""
    if recycles:
        state = replace(state, sent_back_at=now)
        found = trace(person, done, handoffs, state, mapping, now)
    recycled_at = _recycled_at(found, state)
    reopened_at = _reopened_at(found, recycled_at, score, state, done, mapping, now)
    qualified_at = _qualified_at(
        score, state, definition, now, anew=reopened_at is not None or recycled_at != state.recycled_at,
    )
    if reopened_at is not None:
        state = _opened(state, found.stages, person.stage, reopened_at)
        found = trace(person, done, handoffs, state, mapping, now)
    handed_off = state.handed_off_at is not None
    override = override_of(person)
    cools_until = _cools_until(recycled_at, definition, now)
    missing = missing_required(person, definition)
    obstacles = _obstacles(
        found.stage, score, override, handed_off=handed_off, says_mql=_says_mql(person, state),
    )
    if override != MAKE_MQL:
        obstacles += [COOLING_DOWN] * (cools_until is not None) + [MISSING] * bool(missing)
    if not any(c.key.stream in mapping.crm[crm].write_back for crm, c in home_records(person).items()):
        obstacles.append(NO_RECORD)
    is_qualified = qualified_at is not None or override == MAKE_MQL
    hands_off = is_qualified and not obstacles
    holds_since = max((at for at in (holds_since, state.held_at) if at is not None), default=None)
    # A cool-down's end is nothing that they did: whom it alone still keeps back would be handed off by it.
    is_next = is_qualified and set(obstacles) <= {COOLING_DOWN}
    is_held = is_next and override != MAKE_MQL and holds_since is not None and not _did_since(holds_since, score)
    if is_held:
        obstacles.append(BACKFILLED)
        hands_off = False
    segment = definition.segment(score.total_points)
    due_at = None
    if hands_off:
        due_at = deadline_of(segment, mapping, now)
        handing = replace(
            state, stage=person.stage, handed_off_at=now, recycled_at=None, sent_back_at=None, stages=found.stages,
        )
        found = trace(person, done, handoffs, handing, mapping, now)
    decision = Decision(
        person_id=person.person_id, cycle=state.cycle, decided_at=now, score=score, stage_before=person.stage,
        hands_off=hands_off, deadline_at=due_at, recycled_at=recycled_at,
        look_again_at=None if handed_off else cools_until, is_qualified=is_qualified,
        qualified_at=None if handed_off else qualified_at, obstacles=tuple(obstacles), missing=missing,
        cools_until=cools_until, override=override, segment=segment,
        cell=definition.cell(score.fit_points, score.engagement_points), lane=found.lane, stage=found.stage,
        stages=found.stages, followed_up_at=found.followed_up_at, recycles=recycles,
        is_urgent=hands_off and segment in mapping.handoff.urgent_segments,
        held_at=None if hands_off else holds_since if is_held else state.held_at,
    )
    watched = decision if hands_off else _handoff_of(state, handoffs)
    if watched is None:
        return decision
    watch_at = next_watch_at(watched, found.followed_up_at, mapping, now, stage=found.stage)
    moments = [at for at in (decision.look_again_at, watch_at) if at is not None]
    return replace(decision, look_again_at=min(moments, default=None))


def next_state(state: PersonState, decision: Decision) -> PersonState:
    """Return what to remember after a decision; store it in the same transaction as the decision."""
    stage_now = decision.stage_before
    if decision.hands_off:
        return PersonState(decision.cycle, stage_now, decision.decided_at, stages=decision.stages)
    reopens = decision.cycle > state.cycle
    return PersonState(
        max(state.cycle, decision.cycle), stage_now if reopens or stage_now is state.stage else None,
        None if reopens else state.handed_off_at, decision.recycled_at, decision.qualified_at,
        decision.score.definition if decision.qualified_at is not None else "",
        decision.decided_at if decision.recycles else None if reopens else state.sent_back_at, decision.held_at,
        decision.stages,
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


def _handoff_of(state: PersonState, handoffs: Sequence[Decision]) -> Decision | None:
    """Return the handoff of the cycle they are in."""
    if state.handed_off_at is None:
        return None
    return next((one for one in reversed(handoffs) if one.cycle == state.cycle), None)


def _is_overdue(
    handoff: Decision | None, found: Trace, state: PersonState, mapping: Mapping, now: datetime,
) -> bool:
    """Tell whether sales let the handoff lie until it is taken back; once in a cycle."""
    if handoff is None or state.sent_back_at is not None:
        return False
    if found.stage is not Stage.MQL or found.followed_up_at is not None:
        return False
    ends_at = recycle_at(handoff, mapping)
    return ends_at is not None and ends_at <= now


def _recycled_at(found: Trace, state: PersonState) -> datetime | None:
    """Return when the person was last sent back, with no handoff since; None when nobody did."""
    if found.stage is Stage.RECYCLED:
        return found.stages[-1].entered_at
    return state.recycled_at if state.handed_off_at is None else None


def _reopened_at(
    found: Trace, recycled_at: datetime | None, score: Score, state: PersonState, done: Sequence[Activity],
    mapping: Mapping, now: datetime,
) -> datetime | None:
    """Return what opens the next cycle: when they first earned points after this one was over; None: nothing."""
    if state.handed_off_at is None:
        return None
    since = recycled_at or dormant_since(found.stages, done, mapping, now)
    if since is None:
        return None
    earned = [r.occurred_at for r in score.reasons if r.occurred_at is not None and r.points > 0]
    return min((at for at in earned if at > since), default=None)


def _opened(
    state: PersonState, stages: tuple[StageEntry, ...], stage: Stage, opened_at: datetime,
) -> PersonState:
    """Return the state in the next cycle, which what they did then has opened.

    Whom a backfill holds is held still: what opened the cycle may be from before it.
    """
    cycle = state.cycle + 1
    opening = StageEntry(cycle, Stage.INQUIRY, opened_at, None, ACTIVITY)
    return replace(
        state, cycle=cycle, stage=stage, handed_off_at=None, sent_back_at=None, stages=(*stages, opening),
    )


def _did_since(moment: datetime, score: Score) -> bool:
    """Tell whether they did something since then that earns points."""
    return any(r.points > 0 and r.occurred_at is not None and r.occurred_at >= moment for r in score.reasons)


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


def _says_mql(person: Person, state: PersonState) -> bool:
    """Tell whether a CRM calls them an MQL in this cycle, and not still from the one before.

    The date of it says nothing: our write for the cycle before may have landed after what opened this one.
    """
    return person.stage is Stage.MQL and state.stage is not Stage.MQL


def _obstacles(stage: Stage, score: Score, override: str, *, handed_off: bool, says_mql: bool) -> list[str]:
    """Return what stands against a handoff whoever decides.

    Args:
        stage: Where they stand.
        says_mql: A CRM calls them an MQL in this cycle: one by our own handoff alone is `handed_off`.
    """
    found = [DISQUALIFIED] if score.disqualified_by else []
    if stage in STOPPING_STAGES and (stage is not Stage.MQL or says_mql):
        found.append(STOPPING_STAGES[stage])
    if handed_off:
        found.append(HANDED_OFF)
    if override == NEVER_MQL:
        found.append(HELD_BACK)
    return found
