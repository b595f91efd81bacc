"""Backfills: which one is open, how far each of its streams is, what it may still spend, and whom it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, Update, delete, func, insert, select, update

from connector.store.bulk import insert_rows, run_for_rows
from connector.store.database import Database
from connector.store.instants import hour_of, to_micros
from connector.store.rows import Lease
from connector.store.schema import backfill_calls, backfill_streams, backfills, company_state, cursors, persons

HOLDS_SINCE = "holds_since"
"""The fact about a company that says since when a backfill holds everybody: empty when none does."""

QUIET_BEFORE = "quiet_before"
"""The fact that says before which moment nothing sets off a trigger: a backfill brought it, or may have."""

_PLACE = "/backfill"
"""What the name of a stream ends with under which a backfill's cursor is kept."""

_ADD = "ON CONFLICT (company, crm, hour) DO UPDATE SET calls = backfill_calls.calls + excluded.calls"
_SET_FACT = "ON CONFLICT (company, name) DO UPDATE SET value = excluded.value"
_HOLD = "UPDATE persons SET held_at = ? WHERE company = ? AND person_id = ?"


class BackfillState(StrEnum):
    """How far a backfill is."""

    READING = "reading"
    JUDGING = "judging"
    """All is read; who would be MQL by it is being found out, and held."""
    WRITING = "writing"
    """All is read; who is MQL by it is being handed off."""
    DONE = "done"
    CANCELLED = "cancelled"


class HandoffMode(StrEnum):
    """What becomes of who would be MQL by a backfill."""

    NONE = "none"
    """They are held, and told."""
    PLAN = "plan"
    """They are held, and every write is told."""
    WRITE = "write"
    """They are handed off."""


class BackfillStream(NamedTuple):
    """One stream of a backfill.

    Attributes:
        is_whole: It is read from its beginning.
        expected_calls: Before it began; None where the CRM would not say.
        calls: Sent so far; so are the `records` that came.
        ended_at: When it was read to its end; None: it is not.
    """

    crm: str
    stream: str
    is_whole: bool
    expected_calls: int | None
    calls: int = 0
    records: int = 0
    ended_at: datetime | None = None


class Backfill(NamedTuple):
    """One backfill of a company.

    Attributes:
        number: From 1, in the order in which they began.
        since: Only what was changed or happened since then is read; None: everything.
        worked_at: When its last part ended.
        ended_at: None while it is open.
    """

    company: str
    number: int
    state: BackfillState
    handoff: HandoffMode
    since: datetime | None
    started_at: datetime
    worked_at: datetime
    ended_at: datetime | None
    streams: tuple[BackfillStream, ...]

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.ended_at is None

    @property
    def holds(self) -> bool:
        """Whether nobody is handed off for what happened before it began."""
        return self.handoff is not HandoffMode.WRITE


def cursor_name(stream: str) -> str:
    """Under which name a backfill's cursor of a stream is kept, beside the stream's own."""
    return f"{stream}{_PLACE}"


class BackfillsStore(Database):
    """The backfills of every company."""

    def read_backfill(self, company: str) -> Backfill | None:
        """The company's last backfill, the open one if there is one; None when it never had any."""
        table = backfills.c
        query = select(backfills).where(table.company == company).order_by(table.number.desc()).limit(1)
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else _to_backfill(connection, row)

    def start_backfill(
        self, lease: Lease, streams: Sequence[BackfillStream], *, handoff: HandoffMode, since: datetime | None,
        at: datetime,
    ) -> Backfill:
        """Note that a backfill begins; from this moment on it holds, unless it writes."""
        company = lease.company
        with self._writing(lease) as connection:
            last = select(func.max(backfills.c.number)).where(backfills.c.company == company)
            number = (connection.execute(last).scalar() or 0) + 1
            connection.execute(insert(backfills).values(
                company=company, number=number, state=BackfillState.READING.value, handoff=handoff.value, since=since,
                started_at=at, worked_at=at,
            ))
            insert_rows(
                connection, backfill_streams, ("company", "number", "crm", "stream", "is_whole", "expected_calls"),
                [(company, number, s.crm, s.stream, int(s.is_whole), s.expected_calls) for s in streams],
            )
            _forget_cursors(connection, company)
            facts = {HOLDS_SINCE: ""} if handoff is HandoffMode.WRITE else dict.fromkeys(
                (HOLDS_SINCE, QUIET_BEFORE), at.isoformat(),
            )
            _set_facts(connection, company, facts)
            row = connection.execute(_one(company, number)).one()
            return _to_backfill(connection, row)

    def note_part(
        self, lease: Lease, number: int, crm: str, stream: str, *, calls: int, records: int, is_end: bool, at: datetime,
    ) -> None:
        """Add to a stream of a backfill what one part brought and cost; `is_end`: it was read to its end."""
        table = backfill_streams.c
        values = {"calls": table.calls + calls, "records": table.records + records}
        with self._writing(lease) as connection:
            connection.execute(
                update(backfill_streams).where(
                    table.company == lease.company, table.number == number, table.crm == crm, table.stream == stream,
                ).values(values | ({"ended_at": at} if is_end else {}))
            )
            connection.execute(_change(lease.company, number).values(worked_at=at))

    def read_streams_again(
        self, lease: Lease, number: int, places: Sequence[tuple[str, str]], at: datetime,
    ) -> None:
        """Note that a backfill is to read these (CRM, stream) pairs once more, and is at its reading again."""
        table = backfill_streams.c
        with self._writing(lease) as connection:
            for crm, stream in places:
                connection.execute(update(backfill_streams).where(
                    table.company == lease.company, table.number == number, table.crm == crm, table.stream == stream,
                ).values(ended_at=None))
            connection.execute(
                _change(lease.company, number).values(state=BackfillState.READING.value, worked_at=at)
            )

    def move_backfill(
        self, lease: Lease, number: int, state: BackfillState, at: datetime, *, holds_on: bool = False,
    ) -> None:
        """Note that a backfill goes over to `state`; one that is done or cancelled holds no more, but whom it held.

        Args:
            holds_on: It holds all the same at its end, until `stop_holding`: for nobody could be judged yet.
        """
        is_end = state in (BackfillState.DONE, BackfillState.CANCELLED)
        with self._writing(lease) as connection:
            connection.execute(
                _change(lease.company, number).values(state=state.value, worked_at=at, ended_at=at if is_end else None)
            )
            if is_end:
                if not holds_on:
                    _set_facts(connection, lease.company, {HOLDS_SINCE: ""})
                _forget_cursors(connection, lease.company)

    def hold_again(self, lease: Lease) -> None:
        """Have the last backfill that held hold again, until `stop_holding`; nothing where none did, or one does."""
        company = lease.company
        with self._writing(lease) as connection:
            table = company_state.c
            query = select(table.name, table.value).where(
                table.company == company, table.name.in_((HOLDS_SINCE, QUIET_BEFORE)),
            )
            facts = {row.name: row.value for row in connection.execute(query)}
            if facts.get(QUIET_BEFORE) and not facts.get(HOLDS_SINCE):
                _set_facts(connection, company, {HOLDS_SINCE: facts[QUIET_BEFORE]})

    def stop_holding(self, lease: Lease) -> None:
        """Have nobody held any more but whom a backfill held, unless one is open that holds."""
        company = lease.company
        with self._writing(lease) as connection:
            is_at_work = select(backfills.c.number).where(
                backfills.c.company == company, backfills.c.ended_at.is_(None),
                backfills.c.handoff != HandoffMode.WRITE.value,
            ).limit(1)
            if connection.execute(is_at_work).scalar() is None:
                _set_facts(connection, company, {HOLDS_SINCE: ""})

    def change_handoff(self, lease: Lease, number: int, handoff: HandoffMode) -> None:
        """Have an open backfill end with `none` instead of `plan`, or the other way round."""
        with self._writing(lease) as connection:
            connection.execute(_change(lease.company, number).values(handoff=handoff.value))

    def release_held(self, lease: Lease, backfill: Backfill, at: datetime) -> int:
        """Let everybody go whom this backfill or one before it holds, to be judged again; return how many these are.

        The backfill ends with handing them off: one that was over is open again.
        """
        # By whichever: one that began while the clock was ahead seems to have begun later than this one.
        company = lease.company
        held = (persons.c.company == company, persons.c.held_at.is_not(None))
        is_over = not backfill.is_open
        with self._writing(lease) as connection:
            count = connection.execute(
                update(persons).where(*held).values(held_at=None, dirty=1, dirty_version=persons.c.dirty_version + 1)
            ).rowcount
            change: dict[str, Any] = {"handoff": HandoffMode.WRITE.value, "worked_at": at}
            if is_over or backfill.state is BackfillState.JUDGING:
                change |= {"state": BackfillState.WRITING.value, "ended_at": None}
            connection.execute(_change(company, backfill.number).values(change))
            _set_facts(connection, company, {HOLDS_SINCE: "", QUIET_BEFORE: ""})
            return int(count)

    def hold_people(self, lease: Lease, person_ids: Sequence[str], since: datetime) -> None:
        """Remember that the backfill that began at `since` holds these people, until their next handoff."""
        with self._writing(lease) as connection:
            run_for_rows(connection, _HOLD, [(to_micros(since), lease.company, one) for one in sorted(person_ids)])

    def read_held(self, company: str, limit: int, *, after: str = "") -> list[str]:
        """Up to `limit` ids above `after` of living people whom a backfill holds, in order."""
        query = select(persons.c.person_id).where(
            persons.c.company == company, persons.c.held_at.is_not(None), persons.c.merged_into.is_(None),
            persons.c.person_id > after,
        ).order_by(persons.c.person_id).limit(limit)
        with self._reading() as connection:
            return list(connection.execute(query).scalars())

    def add_backfill_calls(self, company: str, crm: str, number: int, at: datetime) -> None:
        """Note that so many of the calls sent, in the hour of `at`, were a backfill's; needs no lease."""
        with self._changing() as connection:
            insert_rows(
                connection, backfill_calls, ("company", "crm", "hour", "calls"),
                [(company, crm, to_micros(hour_of(at)), number)], _ADD,
            )

    def read_backfill_calls(self, company: str, crm: str, since: datetime) -> list[tuple[datetime, int]]:
        """The hours since `since` with a backfill's calls, its own hour as a whole; oldest first."""
        table = backfill_calls.c
        query = select(table.hour, table.calls).where(
            table.company == company, table.crm == crm, table.hour >= hour_of(since),
        ).order_by(table.hour)
        with self._reading() as connection:
            return [(hour, number) for hour, number in connection.execute(query)]


def _one(company: str, number: int) -> Select[*tuple[Any, ...]]:
    return select(backfills).where(backfills.c.company == company, backfills.c.number == number)


def _change(company: str, number: int) -> Update:
    return update(backfills).where(backfills.c.company == company, backfills.c.number == number)


def _to_backfill(connection: Connection, row: Row[*tuple[Any, ...]]) -> Backfill:
    table = backfill_streams.c
    streams = connection.execute(
        select(
            table.crm, table.stream, table.is_whole, table.expected_calls, table.calls, table.records, table.ended_at,
        ).where(table.company == row.company, table.number == row.number).order_by(table.crm, table.stream)
    )
    return Backfill(
        row.company, row.number, BackfillState(row.state), HandoffMode(row.handoff), row.since, row.started_at,
        row.worked_at, row.ended_at, tuple(BackfillStream(*s)._replace(is_whole=bool(s.is_whole)) for s in streams),
    )


def _forget_cursors(connection: Connection, company: str) -> None:
    connection.execute(
        delete(cursors).where(cursors.c.company == company, cursors.c.stream.endswith(_PLACE, autoescape=True))
    )


def _set_facts(connection: Connection, company: str, facts: Mapping[str, str]) -> None:
    insert_rows(
        connection, company_state, ("company", "name", "value"),
        [(company, name, value) for name, value in facts.items()], _SET_FACT,
    )
