"""When a score changes although nothing happens: an activity's day comes, or its time is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from connector.mapping.model import Definition
from connector.records import Activity


def look_again_at(activities: Iterable[Activity], definition: Definition, as_of: datetime) -> datetime | None:
    """Return the first moment after `as_of` at which time alone may change the score; None when it never does.

    An activity that lies ahead (a meeting next week, or a CRM's clock that is ahead of ours) counts from its
    moment on; one under a rule with `within_days` stops to count right after these days.
    """
    moments = []
    for activity in activities:
        for rule in definition.rules:
            if rule.activity is not activity.kind:
                continue
            moments.append(activity.occurred_at)
            if rule.within_days is not None:
                moments.append(activity.occurred_at + timedelta(days=rule.within_days, microseconds=1))
    return min((moment for moment in moments if moment > as_of), default=None)
