"""When each company's turn comes next. Pure: no clock and no I/O, every moment is passed in.

A run is due so long after the last one began, or when cron(8) says so, and never in quiet hours. Local hours that a
clock change skips or doubles neither lose nor double runs: cronsim does as Debian's cron.
Source: https://github.com/cuu508/cronsim, "DST handling", checked 2026-11-23.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from connector.settings import Config, QuietHours

LONGEST_BACK_OFF = timedelta(hours=1)
"""So long at most a company waits whose turns fail."""

_FIRST_SPREAD = timedelta(minutes=1)


@dataclass(frozen=True)
class Schedule:
    """When one company is synchronised.

    Attributes:
        interval: From the beginning of one run to that of the next, where there is no `cron`.
        zone: Of `cron` and `quiet`.
        jitter: Runs by `cron` begin up to so much later.
        watch: What comes due by itself between two scheduled runs has an extra run, at most every so often.
    """

    interval: timedelta
    cron: str | None
    zone: ZoneInfo
    quiet: QuietHours | None
    jitter: timedelta
    watch: timedelta


def schedule_of(config: Config, company: str, time_zone: str) -> Schedule:
    """Return a company's schedule; `time_zone` (its mapping's) counts where the schedule names none."""
    own = config.settings.companies[company].schedule
    return Schedule(
        timedelta(minutes=own.every_minutes), own.cron, ZoneInfo(own.time_zone or time_zone), own.quiet,
        timedelta(seconds=own.jitter_seconds), timedelta(minutes=config.settings.service.watch_minutes),
    )


def first_due_at(schedule: Schedule, company: str, now: datetime) -> datetime:
    """Return when a company that never had a turn has its first: soon, each company at its own moment."""
    return leave_quiet(schedule, now + min(schedule.interval, _FIRST_SPREAD) * _share(company))


def next_due_at(
    schedule: Schedule, company: str, started_at: datetime, now: datetime, *, moment: datetime | None = None,
) -> datetime:
    """Return when the turn after the one that began at `started_at` is due: `now` or later, outside quiet hours.

    Args:
        started_at: One in the future (the clock was set back) counts as now.
        moment: When something comes due by itself: the turn may come sooner for it, never later.
    """
    began_at = min(started_at, now)
    if schedule.cron is None:
        due_at = began_at + schedule.interval
    else:
        late = schedule.jitter * _share(company)
        due_at = _next_by_cron(schedule.cron, schedule.zone, began_at - late) + late
    if moment is not None:
        due_at = min(due_at, max(moment, began_at + schedule.watch))
    return leave_quiet(schedule, max(due_at, now))


def retry_due_at(
    schedule: Schedule, company: str, failures: int, now: datetime, *, is_shut: bool = False,
) -> datetime:
    """Return when a company is due again whose turns fail: after 1, 2, 4 ... intervals, an hour at most.

    Args:
        failures: How many turns in a row got nowhere, this one included: 1 or more.
        is_shut: Only somebody's hand can help (a dead credential): an hour at once.
    """
    one = schedule.interval if schedule.cron is None else next_due_at(schedule, company, now, now) - now
    doubled = one * 2 ** min(failures - 1, 20)
    return leave_quiet(schedule, now + (LONGEST_BACK_OFF if is_shut else min(doubled, LONGEST_BACK_OFF)))


def is_too_far(schedule: Schedule, company: str, due_at: datetime, now: datetime, *, failures: int = 0) -> bool:
    """Tell whether a moment is further away than any turn that ends now could put it.

    The clock was set back since it was written, or the schedule was changed.
    """
    latest = next_due_at(schedule, company, now, now)
    if failures:
        latest = max(latest, leave_quiet(schedule, now + LONGEST_BACK_OFF))
    return due_at > latest


def leave_quiet(schedule: Schedule, at: datetime) -> datetime:
    """Return the first moment from `at` on that is outside the quiet hours."""
    if schedule.quiet is None:
        return at
    begin, end = schedule.quiet
    local = at.astimezone(schedule.zone)
    clock = local.time()
    is_quiet = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not is_quiet:
        return at
    on = local.date() if clock < end else local.date() + timedelta(days=1)
    # Of an hour that comes twice the same passage is meant; an end that is skipped counts as soon as it is past.
    return datetime.combine(on, end, schedule.zone).replace(fold=local.fold).astimezone(UTC)


def _next_by_cron(cron: str, zone: ZoneInfo, after: datetime) -> datetime:
    times = CronSim(cron, after.astimezone(zone))
    # In the second passage of an hour that comes twice, cronsim names the first one's times too.
    return next(at for at in (time.astimezone(UTC) for time in times) if at > after)


def _share(company: str) -> float:
    """Return a number from 0 to below 1 that is always the same for a company."""
    return int.from_bytes(hashlib.blake2b(company.encode(), digest_size=4).digest()) / 2**32
