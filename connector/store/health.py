"""How every company does, in one look: what `/metrics` and `mql status` tell, and what raises an alarm.

Nothing here goes through a table that grows with the companies' data: every query is by company, and by the end of an
index.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from connector.store.backfills import QUIET_BEFORE
from connector.store.bulk import as_list, each_of, insert_rows, run_text
from connector.store.codec import dump_json, load_json
from connector.store.database import Database
from connector.store.instants import from_micros, hour_of, to_micros
from connector.store.rows import AtWork, ChangeState, Lease
from connector.store.schedules import ScheduleRow, to_schedule_row
from connector.store.schema import (
    company_state,
    definitions,
    leases,
    outbox,
    schedules,
    turns,
)

DAY = timedelta(hours=24)

UNFINISHED = (
    ChangeState.PLANNED, ChangeState.SENDING, ChangeState.RETRY, ChangeState.REJECTED, ChangeState.DEAD,
)
"""The states of changes that are counted: what is written grows for ever, and is told by the runs."""

_FRESHNESS = "freshness:"

# The newest run of each company by the end of an index: `GROUP BY` would read all runs there ever were.
_LAST_RUNS = """
    SELECT company, status, started_at, finished_at, trouble, kind FROM runs WHERE run_id IN (
        SELECT (SELECT max(newest.run_id) FROM runs newest WHERE newest.company = named.value)
        FROM (SELECT value FROM json_each(?)) named
    )
"""


# Looked up one by one for the same reason: hours are kept for ever.
_CALLS = """
    SELECT named.value, crms.value, (
        SELECT sum(calls) FROM calls WHERE company = named.value AND crm = crms.value AND hour >= ?
    )
    FROM (SELECT value FROM json_each(?)) named CROSS JOIN (SELECT value FROM json_each(?)) crms
"""

# In this order of tables, and looked up one by one: with joins, SQLite's planner reads every receipt, or makes a Bloom
# filter of all decisions.
_TASKS = """
    SELECT made.company, made.at,
        (SELECT event_at FROM decisions WHERE company = made.company AND person_id = made.person_id
            AND cycle = made.cycle AND kind = 'handoff'),
        (SELECT definition FROM decisions WHERE company = made.company AND person_id = made.person_id
            AND cycle = made.cycle AND kind = 'handoff')
    FROM (SELECT value FROM json_each(?)) named CROSS JOIN receipts made
    WHERE made.company = named.value AND made.kind = 'task' AND made.at >= ? AND made.outcome = 'done'
"""


class _Task(NamedTuple):
    """When a task became visible, and when what made it happened, both in microseconds; the definition that judged."""

    at: int
    event_at: int
    definition: str


@dataclass(frozen=True)
class Freshness:
    """How far a company is read from one CRM.

    Attributes:
        streams: Each mapped stream -> the moment up to which it is read, or known to have had no news; None: it was
            never read to its end.
        loaded_at: When the last of them had been read to its end for the first time; None: not yet.
        allowed: Our share of the CRM's calls in a day; None: unknown.
        promised_seconds: Stream -> how old it may get before a run asks for it; those that every run asks are left out.
        time_zone: The company's.
        language: The company's.
    """

    streams: Mapping[str, datetime | None]
    loaded_at: datetime | None = None
    allowed: int | None = None
    time_zone: str = "UTC"
    language: str = ""
    promised_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LastRun:
    """A company's newest run, whoever started it; `finished_at` is None while it runs, or where it died."""

    status: str
    started_at: datetime
    finished_at: datetime | None
    trouble: str
    kind: str


@dataclass(frozen=True)
class CompanyHealth:
    """What the store knows of how one company does.

    Attributes:
        schedule: Its turns; None: the service never had it.
        at_work: Who is at work for it; None: nobody is.
        last_run: Its newest run; None: there was none.
        freshness: CRM -> how far it is read.
        calls: CRM -> calls sent in the last 24 hours.
        outbox: CRM -> state -> how many changes; without those that are written.
        turns: How a turn ended -> how many did.
        latencies: Seconds from an event to its visible task, of the tasks of the last 24 hours, the shortest first.
    """

    company: str
    schedule: ScheduleRow | None = None
    at_work: AtWork | None = None
    last_run: LastRun | None = None
    freshness: Mapping[str, Freshness] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    outbox: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    turns: Mapping[str, int] = field(default_factory=dict)
    latencies: Sequence[float] = ()

    @property
    def progressed_at(self) -> datetime | None:
        """When the company last got anywhere; None: never.

        Where its last turn was not simply done, a CRM counts that could not be read for longer than that.
        """
        row = self.schedule
        if row is None or row.progressed_at is None or row.outcome == "done":
            return None if row is None else row.progressed_at
        read = [[at for at in one.streams.values() if at is not None] for one in self.freshness.values()]
        return min([row.progressed_at, *(max(moments) for moments in read if moments)])

    def latency(self, part: float) -> float | None:
        """The seconds that this part of the tasks took at most; None without any task."""
        if not self.latencies:
            return None
        return self.latencies[max(math.ceil(part * len(self.latencies)) - 1, 0)]


class HealthStore(Database):
    """How the companies do."""

    def note_freshness(
        self, lease: Lease, crm: str, freshness: Freshness, at: datetime,
    ) -> None:
        """Remember how far the lease's company is read from a CRM.

        Args:
            freshness: Streams without a moment keep the one they had; `loaded_at` is of no account.
        """
        mine = (company_state.c.company == lease.company, company_state.c.name == f"{_FRESHNESS}{crm}")
        with self._writing(lease) as connection:
            text = connection.scalar(select(company_state.c.value).where(*mine))
            before = _to_freshness(text) if text is not None else Freshness({})
            streams = {name: moment or before.streams.get(name) for name, moment in freshness.streams.items()}
            new = any(before.streams.get(name) is None for name in streams)
            loaded_at = None if None in streams.values() else at if new else before.loaded_at
            value = dump_json({
                "streams": {name: None if moment is None else to_micros(moment) for name, moment in streams.items()},
                "loaded_at": None if loaded_at is None else to_micros(loaded_at),
                "allowed": freshness.allowed if freshness.allowed is not None else before.allowed,
                "time_zone": freshness.time_zone, "language": freshness.language,
                "promised_seconds": dict(freshness.promised_seconds),
            })
            insert_rows(
                connection, company_state, ("company", "name", "value"), [(lease.company, f"{_FRESHNESS}{crm}", value)],
                "ON CONFLICT (company, name) DO UPDATE SET value = excluded.value",
            )

    def read_progress(self, companies: Mapping[str, Collection[str]]) -> list[CompanyHealth]:
        """The companies' turns and freshness alone, in their order; see `read_health`."""
        with self._reading() as connection:
            rows = {row.company: to_schedule_row(row) for row in connection.execute(select(schedules))}
            facts = _read_facts(connection, companies)
        return [
            CompanyHealth(name, rows.get(name), freshness=_freshness_of(facts[name], crms))
            for name, crms in companies.items()
        ]

    def read_health(self, companies: Mapping[str, Collection[str]], at: datetime) -> list[CompanyHealth]:
        """How these companies do at `at`, in their order, all seen at one moment.

        Args:
            companies: Name -> its CRMs; what is known of others is left out.
        """
        names = list(companies)
        with self._reading() as connection:
            rows = {row.company: to_schedule_row(row) for row in connection.execute(select(schedules))}
            held = _read_held(connection, names, at)
            last = _read_last_runs(connection, names)
            facts = _read_facts(connection, companies)
            spent = _read_calls(connection, names, sorted({crm for own in companies.values() for crm in own}), at)
            waiting = _read_outbox(connection, names)
            ended = _read_turns(connection, names)
            tasks = _read_tasks(connection, names, at - DAY)
            published = _read_publications(connection, names)
        told = []
        for name, crms in companies.items():
            of_company = facts[name]
            freshness = _freshness_of(of_company, crms)
            told.append(CompanyHealth(
                name, rows.get(name), held.get(name), last.get(name), freshness,
                {crm: spent[name].get(crm, 0) for crm in crms},
                {crm: waiting[name][crm] for crm in crms if crm in waiting[name]}, ended[name],
                _latencies(tasks[name], freshness, published[name], of_company.get(QUIET_BEFORE, "")),
            ))
        return told


def _read_held(connection: Connection, names: Sequence[str], at: datetime) -> dict[str, AtWork]:
    query = select(leases.c.company, leases.c.holder, leases.c.acquired_at).where(
        leases.c.company.in_(each_of(names)), leases.c.holder.is_not(None), leases.c.expires_at > at,
    )
    return {company: AtWork(holder, since) for company, holder, since in connection.execute(query)}


def _read_last_runs(connection: Connection, names: Sequence[str]) -> dict[str, LastRun]:
    found = run_text(connection, _LAST_RUNS, (as_list(connection, names),))
    return {
        company: LastRun(
            status, from_micros(started), None if finished is None else from_micros(finished), trouble, kind,
        )
        for company, status, started, finished, trouble, kind in found
    }


def _read_facts(connection: Connection, companies: Mapping[str, Collection[str]]) -> dict[str, dict[str, str]]:
    crms = {crm for own in companies.values() for crm in own}
    query = select(company_state).where(
        company_state.c.company.in_(each_of(companies)),
        company_state.c.name.in_([*(f"{_FRESHNESS}{crm}" for crm in sorted(crms)), QUIET_BEFORE]),
    )
    facts: dict[str, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(query):
        facts[row.company][row.name] = row.value
    return facts


def _read_calls(
    connection: Connection, names: Sequence[str], crms: Sequence[str], at: datetime,
) -> dict[str, dict[str, int]]:
    values = (to_micros(hour_of(at - DAY)), as_list(connection, names), as_list(connection, crms))
    spent: dict[str, dict[str, int]] = defaultdict(dict)
    for company, crm, number in run_text(connection, _CALLS, values):
        spent[company][crm] = int(number or 0)
    return spent


def _read_outbox(connection: Connection, names: Sequence[str]) -> dict[str, dict[str, dict[str, int]]]:
    query = select(outbox.c.company, outbox.c.crm, outbox.c.state, func.count()).where(
        outbox.c.company.in_(each_of(names)), outbox.c.state.in_(UNFINISHED),
    ).group_by(outbox.c.company, outbox.c.state, outbox.c.crm)
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for company, crm, state, count in connection.execute(query):
        found[company][crm][state] = count
    return found


def _read_turns(connection: Connection, names: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(select(turns).where(turns.c.company.in_(each_of(names)))):
        found[row.company][row.outcome] = row.number
    return found


def _read_tasks(connection: Connection, names: Sequence[str], since: datetime) -> dict[str, list[_Task]]:
    found: dict[str, list[_Task]] = defaultdict(list)
    for company, *task in run_text(connection, _TASKS, (as_list(connection, names), to_micros(since))):
        if None not in task:
            found[company].append(_Task(*task))
    return found


def _read_publications(connection: Connection, names: Sequence[str]) -> dict[str, dict[str, datetime]]:
    query = select(definitions.c.company, definitions.c.version, definitions.c.published_at).where(
        definitions.c.company.in_(each_of(names)),
    )
    found: dict[str, dict[str, datetime]] = defaultdict(dict)
    for company, version, published_at in connection.execute(query):
        found[company][version] = published_at
    return found


def _latencies(
    tasks: Sequence[_Task], freshness: Mapping[str, Freshness], publications: Mapping[str, datetime], quiet_before: str,
) -> list[float]:
    """Return the seconds from event to task of those tasks that could have been made when their event happened.

    Not counted: what happened before everything was read for the first time, before a backfill or before the
    definition was published.
    """
    loaded = [one.loaded_at for one in freshness.values() if one.loaded_at is not None]
    if not loaded or len(loaded) < len(freshness):
        return []
    earliest = max([*loaded, *([datetime.fromisoformat(quiet_before)] if quiet_before else [])])
    after = {version: to_micros(max(earliest, published_at)) for version, published_at in publications.items()}
    always = to_micros(earliest)
    return sorted(
        (task.at - task.event_at) / 1e6 for task in tasks if task.event_at > after.get(task.definition, always)
    )


def _freshness_of(facts: Mapping[str, str], crms: Collection[str]) -> dict[str, Freshness]:
    texts = {crm: facts.get(f"{_FRESHNESS}{crm}") for crm in crms}
    return {crm: _to_freshness(text) for crm, text in texts.items() if text is not None}


def _to_freshness(text: str) -> Freshness:
    plain = load_json(text)
    loaded_at = plain["loaded_at"]
    return Freshness(
        {name: None if moment is None else from_micros(moment) for name, moment in plain["streams"].items()},
        None if loaded_at is None else from_micros(loaded_at), plain["allowed"], plain["time_zone"], plain["language"],
        plain.get("promised_seconds", {}),      # what was noted before version 0007 has none
    )
