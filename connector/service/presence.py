"""Whether anybody serves: what the store knows of it, and when that is too little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from connector.service.alarm_state import read_watch
from connector.service.alarms import Pace
from connector.service.schedule import next_due_at, schedule_of
from connector.service.status import CompanyStatus, State, local
from connector.settings import Config
from connector.store import Store


@dataclass(frozen=True)
class Presence:
    """What the store knows of whoever serves.

    Attributes:
        looked_at: When a service looked last who stalls, which it notes once a minute; None: never.
        turn_at: When a turn of any company began or ended last; None: there was none.
        late: Companies that are due, and were not synchronised by hand either.
        worker_count: Processes that the job engine heard of in the last seconds; None on SQLite, which has no engine.
        is_silent: They were served once, some are late, nobody is at work, and for minutes nobody took a turn or
            looked; or they are late by more than their interval, whoever looks.
    """

    looked_at: datetime | None
    turn_at: datetime | None
    late: Sequence[str]
    worker_count: int | None
    is_silent: bool

    @property
    def was_served(self) -> bool:
        """Whether a service was ever seen here: where none was, nobody relies on one but runs `mql sync`, or cron."""
        return self.looked_at is not None or self.turn_at is not None


def read_presence(config: Config, store: Store, statuses: Sequence[CompanyStatus], now: datetime) -> Presence:
    """Return what is known of whoever serves these companies.

    Raises:
        StoreError: The store cannot be asked.
    """
    looked_at = read_watch(store).looked_at
    turns = [at for row in store.read_schedules() for at in (row.started_at, row.ended_at) if at is not None]
    turn_at = max(turns, default=None)
    late = {one.company: is_overdue for one in statuses if (is_overdue := _is_overdue(config, one, now)) is not None}
    worker_count = _count_workers(config.store_url)
    is_seen = bool(worker_count) or _is_recent(looked_at, now)
    presence = Presence(looked_at, turn_at, sorted(late), worker_count, is_silent=False)
    is_silent = (
        presence.was_served and bool(late) and not _is_recent(turn_at, now) and (any(late.values()) or not is_seen)
        and all(one.state is not State.RUNNING for one in statuses)
    )
    return replace(presence, is_silent=is_silent)


def silence_of(presence: Presence, statuses: Sequence[CompanyStatus], now: datetime) -> str:
    """Return in one line that nobody seems to serve, or ever did; empty where somebody does, or nothing is due."""
    due = f"{len(presence.late):,} of {len(statuses):,} {'is' if len(presence.late) == 1 else 'are'} due"
    if not presence.was_served and presence.late and not presence.worker_count:
        return f"no service was ever seen here, and {due} by the schedule: `mql serve` keeps to it"
    if not presence.is_silent:
        return ""
    zones = {one.zone for one in statuses}
    zone = zones.pop() if len(zones) == 1 else ZoneInfo("UTC")
    turn_at, looked_at = presence.turn_at, presence.looked_at
    turn = "no turn was ever taken" if turn_at is None else f"no turn was taken since {local(turn_at, zone, now)}"
    seen = "was never seen here" if looked_at is None else f"was last seen at {local(looked_at, zone, now)}"
    return f"{turn}, and {due}: does `mql serve` run? It {seen}"


def _is_overdue(config: Config, status: CompanyStatus, now: datetime) -> bool | None:
    """Tell whether a company is late by more than its interval; None: it is not late."""
    if status.state in (State.OFF, State.RUNNING):
        return None
    schedule = schedule_of(config, status.company, status.zone.key)
    by_hand = None if status.ran_at is None else next_due_at(schedule, status.company, status.ran_at, status.ran_at)
    due_at = max((at for at in (status.due_at, by_hand) if at is not None), default=None)
    if due_at is None:
        return True      # neither a service nor anybody's hand ever came to it
    return next_due_at(schedule, status.company, due_at, due_at) <= now if due_at <= now else None


def _is_recent(at: datetime | None, now: datetime) -> bool:
    return at is not None and now - at <= Pace().break_after


def _count_workers(store_url: str) -> int | None:
    if store_url.startswith("sqlite"):
        return None
    # The engine is for PostgreSQL alone.
    from connector.service.job_tables import count_workers, job_address

    return count_workers(job_address(store_url))
