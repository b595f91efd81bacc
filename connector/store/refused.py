"""Changes that were given up, and how somebody has them tried again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from connector.records import Change, ChangeKind
from connector.store.bulk import each_of, run_for_rows
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.outbox import SENDING_ORDER, to_outbox_row
from connector.store.planning import HANDOFF_KINDS, LATEST_WINS, WITHDRAWN
from connector.store.rows import ChangeState, Lease, OutboxRow, Retried
from connector.store.schema import outbox, persons

REFUSED = (ChangeState.REJECTED, ChangeState.DEAD)
"""The states of a change that was given up: its CRM rejected it, or it could not be written for too long."""

NEWER = "a newer change to the same record was planned since"
CYCLE_OVER = "its cycle is over"
GONE = "what it was about is gone from its CRM"

_TRY_AGAIN = """
    UPDATE outbox SET state = 'planned', attempts = 0, next_attempt_at = NULL, not_before = NULL, reason = '',
        told = '', remedy = '', planned_at = ?, updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ? AND state IN ('rejected', 'dead')
"""


class RefusedStore(Database):
    """What was given up, of every company."""

    def read_refused(self, company: str, since: datetime) -> list[OutboxRow]:
        """Every change that was given up since then: rejected by its CRM, or dead of age; oldest first."""
        query = select(outbox).where(
            outbox.c.company == company, outbox.c.state.in_(REFUSED), outbox.c.updated_at >= since,
        )
        with self._reading() as connection:
            return [to_outbox_row(row) for row in connection.execute(query.order_by(*SENDING_ORDER))]

    def read_outbox(self, company: str, states: Collection[ChangeState], *, limit: int = -1) -> list[OutboxRow]:
        """The changes of these states, CRM by CRM, the oldest first; of each CRM and state at most `limit`.

        Args:
            limit: Less than 0: all.
        """
        found: list[OutboxRow] = []
        with self._reading() as connection:
            crms = connection.execute(
                select(outbox.c.crm).where(outbox.c.company == company, outbox.c.state.in_(sorted(states))).distinct()
            ).scalars().all()
            for crm in sorted(crms):
                for state in states:
                    query = select(outbox).where(
                        outbox.c.company == company, outbox.c.crm == crm, outbox.c.state == state,
                    ).order_by(*SENDING_ORDER).limit(None if limit < 0 else limit)
                    found += [to_outbox_row(row) for row in connection.execute(query)]
        return found

    def find_refused(self, company: str, keys: Collection[str]) -> set[str]:
        """Those of these idempotency keys under which something was given up, in whichever CRM."""
        with self._reading() as connection:
            return {row.idempotency_key for row in _read_refused(connection, company, keys)}

    def retry_refused(self, lease: Lease, keys: Collection[str] | None, at: datetime) -> Retried:
        """Plan given-up changes again, as if they were planned at `at`.

        Left as they are: what a newer change to the same record has taken the place of, the stage, lead, task or note
        of a cycle that is over, and what is about a record that is gone.

        Args:
            keys: Idempotency keys, in whichever CRM they were given up; None for everything that was.
        """
        company, stamp = lease.company, to_micros(at)
        with self._writing(lease) as connection:
            rows = _read_refused(connection, company, keys)
            over = _cycles_over(connection, company, rows)
            newest = _newest_planned(connection, company, rows)
            planned: list[Change] = []
            left: list[tuple[Change, str]] = []
            for row in rows:
                change = to_outbox_row(row).change
                if why_not := _why_not(row, over, newest):
                    left.append((change, why_not))
                else:
                    planned.append(change)
            run_for_rows(connection, _TRY_AGAIN, [
                (stamp, stamp, company, change.crm, change.idempotency_key) for change in planned
            ])
        return Retried(tuple(planned), tuple(left))


def _read_refused(
    connection: Connection, company: str, keys: Collection[str] | None,
) -> Sequence[Row[*tuple[Any, ...]]]:
    query = select(outbox).where(outbox.c.company == company, outbox.c.state.in_(REFUSED))
    if keys is not None:
        query = query.where(outbox.c.idempotency_key.in_(each_of(keys)))
    return connection.execute(query.order_by(outbox.c.crm, outbox.c.planned_at, outbox.c.priority)).all()


def _cycles_over(
    connection: Connection, company: str, rows: Sequence[Row[*tuple[Any, ...]]],
) -> dict[str, int]:
    """Person id -> the last cycle of theirs that is over."""
    query = select(persons.c.person_id, persons.c.cycle, persons.c.sent_back_at).where(
        persons.c.company == company, persons.c.person_id.in_(each_of({row.person_id for row in rows})),
    )
    return {
        row.person_id: row.cycle if row.sent_back_at is not None else row.cycle - 1
        for row in connection.execute(query)
    }


def _newest_planned(
    connection: Connection, company: str, rows: Sequence[Row[*tuple[Any, ...]]],
) -> dict[tuple[str, str, str], datetime]:
    """CRM, record and kind -> when the newest change of that kind to that record was planned."""
    newest: dict[tuple[str, str, str], datetime] = {}
    for crm in sorted({row.crm for row in rows}):
        records = {row.record for row in rows if row.crm == crm and row.kind in LATEST_WINS}
        query = select(outbox.c.crm, outbox.c.record, outbox.c.kind, outbox.c.planned_at).where(
            outbox.c.company == company, outbox.c.crm == crm, outbox.c.record.in_(each_of(records)),
        )
        for row in connection.execute(query):
            place = (row.crm, row.record, row.kind)
            newest[place] = max(row.planned_at, newest.get(place, row.planned_at))
    return newest


def _why_not(
    row: Row[*tuple[Any, ...]], over: dict[str, int], newest: dict[tuple[str, str, str], datetime],
) -> str:
    if row.reason == WITHDRAWN:
        return GONE
    if row.kind in LATEST_WINS and newest[row.crm, row.record, row.kind] > row.planned_at:
        return NEWER
    if ChangeKind(row.kind) in HANDOFF_KINDS and row.cycle <= over.get(row.person_id, 0):
        return CYCLE_OVER
    return ""
