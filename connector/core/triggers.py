"""What somebody's behaviour sets off beside points: an alert, a segment for nurturing; each once in a cool-down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from connector.core.normalize import fold, matcher
from connector.core.scoring.attributes import Attributes, meets
from connector.mapping.handoff import Trigger
from connector.mapping.model import Mapping as CompanyMapping
from connector.records import Activity, Person

FRESH = timedelta(days=7)
"""An activity that is older sets nothing off: a trigger that is new, or a first load, must not fire for years past.
Our choice."""


class Firing(NamedTuple):
    """A trigger fired for somebody: `evidence` is the id of the activity that completed it."""

    person_id: str
    trigger_id: str
    fired_at: datetime
    evidence: str


def fire(
    person: Person, done: Sequence[Activity], fired: Mapping[str, datetime], mapping: CompanyMapping, now: datetime
) -> tuple[Firing, ...]:
    """Return the triggers that fire for somebody now, in the mapping's order.

    A trigger fires when the newest activity that fits it is the one that makes it `at_least` so many, the first of
    these at most `within_days` before it. That activity happened at most `FRESH` ago, and after the cool-down that
    followed the last firing: what happens during a cool-down is not made up for later. Nothing fires for somebody
    disqualified, or of whom no record is left.

    Args:
        done: What they did, each thing once, in any order; what lies after `now` is not seen.
        fired: Trigger id -> when it last fired for them.
    """
    if not mapping.triggers or not person.contacts:
        return ()
    seen = [one for one in done if one.occurred_at <= now]
    found = []
    for trigger in mapping.triggers:
        evidence = _completed_by(trigger, seen, now)
        if evidence is None:
            continue
        last = fired.get(trigger.id)
        if last is not None and evidence.occurred_at <= last + timedelta(days=trigger.cool_down_days):
            continue
        if trigger.person is None or meets(person.attributes, trigger.person):
            found.append(Firing(person.person_id, trigger.id, now, evidence.activity_id))
    if any(meets(person.attributes, one.person) for one in mapping.definition.disqualifiers if found):
        return ()
    return tuple(found)


def next_look_at(done: Iterable[Activity], mapping: CompanyMapping, now: datetime) -> datetime | None:
    """Return when an activity that is dated ahead (a meeting to come) may set something off; None without one."""
    kinds = {trigger.activity for trigger in mapping.triggers}
    return min((one.occurred_at for one in done if one.occurred_at > now and one.kind in kinds), default=None)


def last_fired(firings: Iterable[Firing]) -> dict[str, datetime]:
    """Return when each trigger last fired, by its id, of one person's firings."""
    last: dict[str, datetime] = {}
    for one in firings:
        last[one.trigger_id] = max(one.fired_at, last.get(one.trigger_id, one.fired_at))
    return last


def nurture_of(firings: Iterable[Firing], mapping: CompanyMapping) -> str:
    """Return the word for nurturing of the trigger that fired last for somebody; empty without one.

    Of several that fired at once the one that the mapping names first goes before the others. A trigger that the
    mapping has no more, or that has no word, says nothing.
    """
    words = {trigger.id: trigger.nurture for trigger in mapping.triggers if trigger.nurture}
    order = {trigger_id: -number for number, trigger_id in enumerate(words)}
    told = [one for one in firings if one.trigger_id in words]
    newest = max(told, key=lambda one: (one.fired_at, order[one.trigger_id]), default=None)
    return words[newest.trigger_id] if newest is not None else ""


def _completed_by(trigger: Trigger, seen: Sequence[Activity], now: datetime) -> Activity | None:
    """Return the newest activity that fits, when with those before it there are enough; None otherwise."""
    # Before anything is compared: nearly everybody did nothing of the kind lately.
    if not any(one.kind is trigger.activity and one.occurred_at >= now - FRESH for one in seen):
        return None
    within = timedelta(days=trigger.within_days) if trigger.within_days is not None else None
    earliest = now - FRESH - within if within is not None else None
    of_kind = [
        one for one in seen
        if one.kind is trigger.activity and (earliest is None or one.occurred_at >= earliest)
    ]
    fitting = of_kind
    if trigger.title is not None:
        has_title = matcher(trigger.title)
        fitting = [one for one in fitting if has_title(fold(one.title))]
    if trigger.where is not None:
        attributes = Attributes.of([one.attributes for one in fitting], trigger.where)
        fitting = [one for one, is_met in zip(fitting, attributes.meet(trigger.where)) if is_met]
    newest = max(fitting, key=lambda one: (one.occurred_at, one.activity_id), default=None)
    if newest is None or newest.occurred_at < now - FRESH:
        return None
    if within is not None:
        fitting = [one for one in fitting if one.occurred_at >= newest.occurred_at - within]
    return newest if len(fitting) >= trigger.at_least else None
