"""How every company does: what `mql status` tells. Asks the store only, whether or not a service runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connector.errors import ConfigError
from connector.reports.runs import CUT_OFF, CUT_OFF_TROUBLE, is_at_work
from connector.service.schedule import Schedule, next_due_at, schedule_of
from connector.settings import Config
from connector.store import WAITING, CompanyHealth, Store

_GRACE = timedelta(minutes=1)
"""A stream may be so much later than its rhythm says: a run takes its time."""


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


class Behind(NamedTuple):
    """The stream that is furthest behind what is promised.

    Attributes:
        read_at: The moment up to which it is read; None: it was never read to its end.
        promised_at: By when it was to be read again; None: as soon as possible.
    """

    crm: str
    stream: str
    read_at: datetime | None
    promised_at: datetime | None


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
        is_promised: Something is known of what was read, and the company is on.
        behind: None where every stream is as fresh as promised.
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
    is_promised: bool
    behind: Behind | None
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
    return [_status(config, one, now) for one in healths]


def _status(config: Config, health: CompanyHealth, now: datetime) -> CompanyStatus:
    row, run, is_on = health.schedule, health.last_run, config.settings.companies[health.company].schedule.is_on
    time_zone = next((one.time_zone for one in health.freshness.values()), "UTC")
    state, since = _state(health, now, is_on=is_on)
    counts = [(state, count) for states in health.outbox.values() for state, count in states.items()]
    waiting = sum(count for state, count in counts if state in WAITING)
    freshness = health.freshness
    return CompanyStatus(
        health.company, state, since, _trouble(health, state),
        ZoneInfo(time_zone),
        None if run is None else run.finished_at or run.started_at, health.progressed_at,
        None if row is None or not is_on else row.due_at, is_on and bool(freshness),
        _behind(health, schedule_of(config, health.company, time_zone), now) if is_on else None,
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
    if health.at_work is not None and is_at_work(health.at_work):
        began_at = None if row is None else row.started_at
        is_turn = began_at is not None and (row is None or row.ended_at is None or began_at > row.ended_at)
        return State.RUNNING, began_at if is_turn else health.at_work.since
    if ended in (State.PROBLEMS, "held"):
        return State.PROBLEMS if ended == State.PROBLEMS else State.HELD, None
    if row is not None and row.due_at <= now:
        return State.WAITING, row.due_at
    if run is None:
        return State.NEW, None
    return State.FRESH, None


def _trouble(health: CompanyHealth, state: State) -> str:
    """Return what the service's last turn, or a run of somebody's own after it, told to be wrong."""
    row, run = health.schedule, health.last_run
    if state is State.OFF:
        return ""
    if run is not None and run.finished_at is None and not is_at_work(health.at_work):
        return f"run {CUT_OFF}: {CUT_OFF_TROUBLE}"
    if run is not None and run.status != "paused" and _is_by_hand(health):      # as the parts of a backfill are
        return run.trouble
    return "" if row is None else row.trouble


def _is_by_hand(health: CompanyHealth) -> bool:
    """Tell whether the last run that ended was somebody's own, after the service's last turn.

    Undoing one says nothing of whether the CRMs can be read.
    """
    row, run = health.schedule, health.last_run
    if run is None or run.finished_at is None or run.kind != "sync":
        return False
    return row is None or row.ended_at is None or run.finished_at > row.ended_at


def _behind(health: CompanyHealth, schedule: Schedule, now: datetime) -> Behind | None:
    """Return the stream that is latest, by its own rhythm: many are asked seldom because they change seldom."""
    late = []
    for crm, freshness in health.freshness.items():
        for stream, read_at in freshness.streams.items():
            if read_at is None:
                return Behind(crm, stream, None, None)
            asked_at = read_at + timedelta(seconds=freshness.promised_seconds.get(stream, 0))
            promised_at = next_due_at(schedule, health.company, asked_at, asked_at) + _GRACE
            if promised_at < now:
                late.append((promised_at, Behind(crm, stream, read_at, promised_at)))
    return min(late, default=(None, None))[1]


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
    """Return whether all is as fresh as promised, or what is latest: `12 min late (hubspot contacts)`."""
    if status.behind is None:
        return "as promised" if status.is_promised else "–"
    crm, stream, _, promised_at = status.behind
    told = "not read yet" if promised_at is None else f"{age((now - promised_at) / timedelta(seconds=1))} late"
    return f"{told} ({crm} {stream})"
