"""Whether sales acts on a handoff in time: when its owner is reminded, when others are told, when it is given up.

All of it follows from the handoff as it was decided and from the mapping as it is now. That each of it happens once is
kept elsewhere: a notice by its key, a recycling by the person's state.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from connector.core.deadlines import deadline_at, moment_before
from connector.mapping.model import Mapping
from connector.records import Decision, Stage, StageEntry

REMINDER = "reminder"
ESCALATION = "escalation"

_WAITING_STAGES = frozenset({Stage.INQUIRY, Stage.MQL})
"""Where somebody stands whom sales has not acted on; INQUIRY while the CRM does not show our write yet."""


def deadline_of(segment: str, mapping: Mapping, now: datetime) -> datetime:
    """Return by when sales must follow up on a handoff of now.

    Args:
        segment: `cold`, `warm`, `hot`, or empty where the definition has none.
    """
    handoff = mapping.handoff
    by_segment = handoff.deadline_business_hours_by_segment
    hours = next((h for name, h in by_segment.items() if name == segment), handoff.deadline_business_hours)
    return deadline_at(now, hours, mapping.business_hours, mapping.zone)


def remind_at(handoff: Decision, mapping: Mapping) -> datetime | None:
    """Return when the owner is reminded; None: never.

    Nobody is reminded of what they were told this moment: a handoff whose whole time is not longer than the reminder's
    has none.
    """
    hours = mapping.handoff.remind_business_hours_before
    if hours is None or handoff.deadline_at is None:
        return None
    at = moment_before(handoff.deadline_at, hours, mapping.business_hours, mapping.zone)
    return at if at > handoff.decided_at else None


def escalate_at(handoff: Decision, mapping: Mapping) -> datetime | None:
    """Return when the channel is told that nobody acted; None: never."""
    return _after_deadline(handoff, mapping.handoff.escalate_business_hours_after, mapping)


def recycle_at(handoff: Decision, mapping: Mapping) -> datetime | None:
    """Return when somebody on whom nobody acted goes back to nurturing; None: never."""
    return _after_deadline(handoff, mapping.handoff.recycle_business_hours_after, mapping)


def due(
    handoff: Decision, followed_up_at: datetime | None, mapping: Mapping, now: datetime, *, stage: Stage = Stage.MQL,
) -> tuple[str, ...]:
    """Return which of `reminder` and `escalation` are due by now, whenever that came about.

    A reminder is due until the deadline only: after it there is nothing left to be in time for. An escalation stays
    due also when the lead is to be recycled by now, because nobody may have run in between.

    Args:
        handoff: As it was decided.
        followed_up_at: When sales first acted on it; None while it has not.
        stage: Where the person stands now: whom sales has taken on or sent back needs no watch.
    """
    if not _is_watched(handoff, followed_up_at, stage):
        return ()
    reminds_at, escalates_at, deadline = remind_at(handoff, mapping), escalate_at(handoff, mapping), handoff.deadline_at
    found = []
    if reminds_at is not None and deadline is not None and reminds_at <= now < deadline:
        found.append(REMINDER)
    if escalates_at is not None and escalates_at <= now:
        found.append(ESCALATION)
    return tuple(found)


def next_watch_at(
    handoff: Decision, followed_up_at: datetime | None, mapping: Mapping, now: datetime, *, stage: Stage = Stage.MQL,
) -> datetime | None:
    """Return the next moment after now at which time alone makes something due, recycling included; None: never."""
    if not _is_watched(handoff, followed_up_at, stage):
        return None
    moments = (remind_at(handoff, mapping), escalate_at(handoff, mapping), recycle_at(handoff, mapping))
    return min((at for at in moments if at is not None and at > now), default=None)


def followed_up_at(handoff: Decision, stages: Iterable[StageEntry]) -> datetime | None:
    """Return when sales first acted on a handoff, by where the person stood in its cycle; None while it has not.

    That sales had them before we handed them off counts from the handoff; what we did ourselves does not count.
    """
    moments = [
        max(entry.entered_at, handoff.decided_at) for entry in stages
        if entry.cycle == handoff.cycle and entry.stage not in _WAITING_STAGES
        and entry.basis not in ("skipped", "recycled")
    ]
    return min(moments, default=None)


def _is_watched(handoff: Decision, followed_up_at: datetime | None, stage: Stage) -> bool:
    return handoff.deadline_at is not None and followed_up_at is None and stage in _WAITING_STAGES


def _after_deadline(handoff: Decision, hours: float | None, mapping: Mapping) -> datetime | None:
    if hours is None or handoff.deadline_at is None:
        return None
    return deadline_at(handoff.deadline_at, hours, mapping.business_hours, mapping.zone)
