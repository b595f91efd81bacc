"""How every company does, in words: what `mql status` tells. Asks the store only, whether or not a service runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connector.errors import ConfigError
from connector.settings import Config
from connector.store import WAITING, CompanyHealth, Store


class State(StrEnum):
    """How a company does, the worst first."""

    STALLED = "stalled"
    FAILING = "failing"
    PROBLEMS = "done with problems"
    HELD = "held for approval"
    RUNNING = "running"
    WAITING = "waiting"
    NEW = "not begun"
    OFF = "off"
    FRESH = "fresh"


BAD = (State.STALLED, State.FAILING)
"""With any of these the command's exit code is 1."""


class OldestStream(NamedTuple):
    """The stream that is furthest behind, and the moment up to which it is read; None: never to its end."""

    crm: str
    stream: str
    read_at: datetime | None


class Budget(NamedTuple):
    """Calls of the last 24 hours, and how many are ours in a day; None: unknown."""

    used: int
    allowed: int | None


@dataclass(frozen=True)
class CompanyStatus:
    """How one company does.

    Attributes:
        since: Since when it is in this state, where that says something.
        trouble: What is wrong, on one line; empty for nothing.
        ran_at: When its last run ended or, while it runs, began.
        due_at: When its next turn is due; None: the service does not know it.
        oldest: None as long as nothing is known of what was read.
        waiting_count: Changes that wait to be written.
        refused_count: Changes that were given up.
        budgets: CRM -> calls.
        latency_seconds: From an event to its visible task, 95 of 100 at most, in the last 24 hours.
        task_count: Of so many tasks.
    """

    company: str
    state: State
    since: datetime | None
    trouble: str
    zone: ZoneInfo
    ran_at: datetime | None
    progressed_at: datetime | None
    due_at: datetime | None
    oldest: OldestStream | None
    waiting_count: int
    refused_count: int
    budgets: Mapping[str, Budget]
    latency_seconds: float | None
    task_count: int


def read_status(config: Config, store: Store, now: datetime, company: str | None = None) -> list[CompanyStatus]:
    """Return how the companies of the configuration do, or the one that is named, by name.

    Raises:
        ConfigError: There is no company of this name.
    """
    companies = config.settings.companies
    if company is not None and company not in companies:
        raise ConfigError([f"{config.path}: no company {company!r}; it names: {', '.join(sorted(companies))}"])
    names = [company] if company is not None else sorted(companies)
    healths = store.read_health({name: tuple(companies[name].crm_sections) for name in names}, now)
    return [_status(one, now, is_on=companies[one.company].schedule.is_on) for one in healths]


def _status(health: CompanyHealth, now: datetime, *, is_on: bool) -> CompanyStatus:
    row, run = health.schedule, health.last_run
    state, since = _state(health, now, is_on=is_on)
    counts = [(state, count) for states in health.outbox.values() for state, count in states.items()]
    waiting = sum(count for state, count in counts if state in WAITING)
    freshness = health.freshness
    return CompanyStatus(
        health.company, state, since, _trouble(health, state),
        ZoneInfo(next((one.time_zone for one in freshness.values()), "UTC")),
        None if run is None else run.finished_at or run.started_at, health.progressed_at,
        None if row is None or not is_on else row.due_at, _oldest(health, now),
        waiting, sum(count for _, count in counts) - waiting,
        {
            crm: Budget(used, freshness[crm].allowed if crm in freshness else None)
            for crm, used in health.calls.items()
        },
        health.latency(0.95), len(health.latencies),
    )


def _state(health: CompanyHealth, now: datetime, *, is_on: bool) -> tuple[State, datetime | None]:
    row, run = health.schedule, health.last_run
    if not is_on:
        return State.OFF, None
    if row is not None and row.alarmed_at is not None:
        return State.STALLED, health.progressed_at or row.alarmed_at
    # Somebody's run by hand tells more than the service's turn before it.
    ended = run.status if run is not None and _is_by_hand(health) else "" if row is None else row.outcome
    if ended == "failed":
        return State.FAILING, health.progressed_at
    if health.held_since is not None:
        began_at = None if row is None else row.started_at
        is_turn = began_at is not None and (row is None or row.ended_at is None or began_at > row.ended_at)
        return State.RUNNING, began_at if is_turn else health.held_since
    if ended in (State.PROBLEMS, "held"):
        return State.PROBLEMS if ended == State.PROBLEMS else State.HELD, None
    if row is not None and row.due_at <= now:
        return State.WAITING, row.due_at
    if run is None:
        return State.NEW, None
    return State.FRESH, None


def _trouble(health: CompanyHealth, state: State) -> str:
    """Return what the service's last turn told to be wrong, unless a run of somebody's own has got over it since."""
    row, run = health.schedule, health.last_run
    if row is None or state is State.OFF or (run is not None and run.status == "done" and _is_by_hand(health)):
        return ""
    return row.trouble


def _is_by_hand(health: CompanyHealth) -> bool:
    """Tell whether the last run that ended was somebody's own, after the service's last turn."""
    row, run = health.schedule, health.last_run
    if run is None or run.finished_at is None:
        return False
    return row is None or row.ended_at is None or run.finished_at > row.ended_at


def _oldest(health: CompanyHealth, now: datetime) -> OldestStream | None:
    streams = [
        OldestStream(crm, stream, read_at)
        for crm, freshness in health.freshness.items() for stream, read_at in freshness.streams.items()
    ]
    unread = [one for one in streams if one.read_at is None]
    return unread[0] if unread else min(streams, key=lambda one: one.read_at or now, default=None)


def in_words(status: CompanyStatus, now: datetime) -> str:
    """Return the state with its moment: `running since 09:10`."""
    if status.since is None:
        return status.state.value
    return f"{status.state.value} since {local(status.since, status.zone, now)}"


def local(at: datetime | None, zone: ZoneInfo, now: datetime) -> str:
    """Return a moment as the company reads it, without the day where it is today."""
    if at is None:
        return "–"
    there = at.astimezone(zone)
    is_today = there.date() == now.astimezone(zone).date()
    return f"{there:%H:%M %Z}" if is_today else f"{there:%Y-%m-%d %H:%M %Z}"


def age(seconds: float | None) -> str:
    """Return a length of time as people say it: `40 s`, `12 min`, `3 h`, `5 d`."""
    if seconds is None:
        return "–"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def summary(statuses: Sequence[CompanyStatus]) -> str:
    """Return how many there are of each state, in one line, the worst first."""
    counts = {state: sum(one.state is state for one in statuses) for state in State}
    told = ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)
    return f"{len(statuses):,} {'company' if len(statuses) == 1 else 'companies'}: {told}"


def freshness_of(status: CompanyStatus, now: datetime) -> str:
    """Return how old what is known of the stream furthest behind is: `12 min (hubspot contacts)`."""
    if status.oldest is None:
        return "–"
    crm, stream, read_at = status.oldest
    told = "not read yet" if read_at is None else age((now - read_at) / timedelta(seconds=1))
    return f"{told} ({crm} {stream})"
