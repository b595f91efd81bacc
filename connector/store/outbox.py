"""The durable list of changes still to write: planned, sent, answered, and never lost in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select

from connector.records import Change, ChangeKind, Outcome, Receipt, Value
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.codec import dump_change, dump_json, load_change, load_json
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.rows import ChangeState, Lease, OutboxRow
from connector.store.schema import outbox

LATEST_WINS = frozenset({ChangeKind.STAGE, ChangeKind.SCORE})
"""The kinds of which only the newest matters; of the others each is written exactly once."""

_FIRST_RETRY = timedelta(minutes=1)
_LONGEST_RETRY = timedelta(hours=6)

_COLUMNS = (
    "company", "crm", "idempotency_key", "kind", "priority", "person_id", "cycle", "record", "change", "state",
    "run_id", "planned_at", "updated_at",
)
_PLAN_ANEW = """
    ON CONFLICT (company, crm, idempotency_key) DO UPDATE SET
        person_id = excluded.person_id, record = excluded.record, change = excluded.change, state = 'planned',
        attempts = 0, next_attempt_at = NULL, reason = '', run_id = excluded.run_id,
        planned_at = excluded.planned_at, updated_at = excluded.updated_at
    WHERE outbox.state <> 'sending'
"""
_WAIT_BEHIND = """
    UPDATE outbox SET replacement = ?, replacement_run_id = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ? AND state = 'sending'
"""
_SET_SENDING = """
    UPDATE outbox SET state = 'sending', attempts = attempts + 1, next_attempt_at = NULL, updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_ANSWER = """
    UPDATE outbox SET state = ?, reason = ?, remote_id = ?, next_attempt_at = ?, updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_CONFIRM = """
    UPDATE outbox SET written = ?, written_at = ? WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_PLAN_REPLACEMENT = """
    UPDATE outbox SET change = ?, record = ?, state = 'planned', attempts = 0, next_attempt_at = NULL, reason = '',
        run_id = replacement_run_id, planned_at = ?, replacement = NULL, replacement_run_id = NULL
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_PRIORITIES = {kind: rank for rank, kind in enumerate(ChangeKind)}
_SENDING_ORDER = (outbox.c.planned_at, outbox.c.priority, outbox.c.idempotency_key)


class OutboxStore(Database):
    """The changes of every company, per CRM under their idempotency key."""

    def claim_changes(self, lease: Lease, crm: str, limit: int, at: datetime) -> list[Change]:
        """Take up to `limit` changes to send now: `sending` is committed before they are returned.

        Planned ones, and those to retry whose time has come; oldest first, of one moment stage, score, task, note.
        """
        # One query for each state, so that the index gives the order and millions of planned rows are never sorted.
        is_planned = outbox.c.state == ChangeState.PLANNED
        is_due = and_(outbox.c.state == ChangeState.RETRY, outbox.c.next_attempt_at <= at)
        with self._writing(lease) as connection:
            rows = [
                row for condition in (is_planned, is_due)
                for row in connection.execute(_next_to_send(lease.company, crm, limit).where(condition))
            ]
            changes = [_to_change(row) for row in sorted(rows, key=_sending_order)[:limit]]
            stamp = to_micros(at)
            run_for_rows(
                connection, _SET_SENDING, [(stamp, lease.company, crm, c.idempotency_key) for c in changes],
            )
        return changes

    def read_sending(self, company: str, crm: str) -> list[Change]:
        """The changes that were sent and never answered, oldest first: after a crash, look each up in the CRM."""
        query = select(outbox.c.change, outbox.c.person_id).where(
            _of_crm(company, crm), outbox.c.state == ChangeState.SENDING,
        ).order_by(*_SENDING_ORDER)
        with self._reading() as connection:
            return [_to_change(row) for row in connection.execute(query)]

    def save_receipts(
        self, lease: Lease, crm: str, receipts: Sequence[Receipt], at: datetime, *, max_attempts: int = 8,
    ) -> None:
        """Keep what became of the changes that were sent; a receipt for one that is not `sending` changes nothing.

        RETRY waits as long as the CRM said, else 1, 2, 4 ... minutes up to 6 hours, and is dead after
        `max_attempts`. UNKNOWN stays `sending`. Where a newer change waited behind the answered one, that is planned.
        """
        by_key = {receipt.idempotency_key: receipt for receipt in receipts if receipt.outcome is not Outcome.UNKNOWN}
        with self._writing(lease) as connection:
            rows = _read_sending_rows(connection, lease.company, crm, by_key)
            stamp = to_micros(at)
            run_for_rows(connection, _ANSWER, [
                (*_answer(by_key[row.idempotency_key], row.attempts, at, max_attempts), stamp, *_place(row))
                for row in rows
            ])
            run_for_rows(connection, _CONFIRM, [
                (dump_json(dict(load_change(row.change).fields)), stamp, *_place(row))
                for row in rows
                if by_key[row.idempotency_key].outcome in (Outcome.DONE, Outcome.UNCHANGED)
                and row.kind in LATEST_WINS
            ])
            _plan_replacements(connection, rows, at)

    def requeue(self, lease: Lease, crm: str, keys: Iterable[str], at: datetime) -> None:
        """Plan these `sending` changes again: the CRM was asked and does not have them."""
        with self._writing(lease) as connection:
            rows = _read_sending_rows(connection, lease.company, crm, keys)
            stamp = to_micros(at)
            run_for_rows(
                connection, _ANSWER, [(ChangeState.PLANNED.value, "", "", None, stamp, *_place(row)) for row in rows],
            )
            _plan_replacements(connection, rows, at)

    def outbox_counts(self, company: str) -> dict[str, dict[str, int]]:
        """CRM -> state -> how many changes."""
        query = select(outbox.c.crm, outbox.c.state, func.count()).where(outbox.c.company == company)
        counts: dict[str, dict[str, int]] = defaultdict(dict)
        with self._reading() as connection:
            for crm, state, count in connection.execute(query.group_by(outbox.c.crm, outbox.c.state)):
                counts[crm][state] = count
        return dict(counts)

    def read_waiting(self, company: str) -> list[Change]:
        """Every change that is planned, under way or to be tried again, oldest first."""
        waiting = (ChangeState.PLANNED, ChangeState.SENDING, ChangeState.RETRY)
        query = select(outbox.c.change, outbox.c.person_id).where(
            outbox.c.company == company, outbox.c.state.in_(waiting),
        ).order_by(outbox.c.crm, *_SENDING_ORDER)
        with self._reading() as connection:
            return [_to_change(row) for row in connection.execute(query)]

    def next_attempt_at(self, company: str, crm: str) -> datetime | None:
        """When the next change to be tried again is due; None when there is none."""
        query = select(func.min(outbox.c.next_attempt_at)).where(
            _of_crm(company, crm), outbox.c.state == ChangeState.RETRY,
        )
        with self._reading() as connection:
            due_at: datetime | None = connection.execute(query).scalar()
            return due_at

    def read_changes(self, company: str, person_id: str) -> list[OutboxRow]:
        """Every change planned for one person, and what became of it, oldest first."""
        query = select(outbox).where(outbox.c.company == company, outbox.c.person_id == person_id)
        with self._reading() as connection:
            return [_to_outbox_row(row) for row in connection.execute(query.order_by(*_SENDING_ORDER))]

    def get_last_written(self, company: str, crm: str, records: Iterable[str]) -> dict[str, dict[str, Value]]:
        """Record key text -> field -> the value we last wrote there and saw confirmed.

        A newer change that is planned or under way does not hide what was written before it.
        """
        query = select(outbox.c.record, outbox.c.written).where(
            _of_crm(company, crm), outbox.c.record.in_(each_of(records)), outbox.c.written.is_not(None),
        ).order_by(outbox.c.written_at, outbox.c.cycle)
        found: dict[str, dict[str, Value]] = defaultdict(dict)
        with self._reading() as connection:
            for row in connection.execute(query):
                found[row.record] |= load_json(row.written)
        return dict(found)


def plan_changes(
    connection: Connection, company: str, changes: Iterable[Change], run_id: int, at: datetime,
) -> None:
    """Put changes into the outbox in the caller's transaction.

    A task or a note that is there already stays as it is. A stage or a score replaces an older one; where that one is
    being sent, the newer waits until it is answered.
    """
    stamp = to_micros(at)
    latest_wins: list[tuple[Any, ...]] = []
    once_only: list[tuple[Any, ...]] = []
    waiting: list[tuple[Any, ...]] = []
    for change in changes:
        text = dump_change(change)
        row = (
            company, change.crm, change.idempotency_key, change.kind.value, _PRIORITIES[change.kind],
            change.person_id, change.cycle, str(change.record), text, ChangeState.PLANNED.value, run_id, stamp, stamp,
        )
        if change.kind in LATEST_WINS:
            latest_wins.append(row)
            waiting.append((text, run_id, company, change.crm, change.idempotency_key))
        else:
            once_only.append(row)
    run_for_rows(connection, _WAIT_BEHIND, waiting)
    insert_rows(connection, outbox, _COLUMNS, latest_wins, _PLAN_ANEW)
    insert_rows(connection, outbox, _COLUMNS, once_only, "ON CONFLICT (company, crm, idempotency_key) DO NOTHING")


def _of_crm(company: str, crm: str) -> ColumnElement[bool]:
    return and_(outbox.c.company == company, outbox.c.crm == crm)


def _next_to_send(company: str, crm: str, limit: int) -> Select[*tuple[Any, ...]]:
    columns = (outbox.c.change, outbox.c.person_id, *_SENDING_ORDER)
    return select(*columns).where(_of_crm(company, crm)).order_by(*_SENDING_ORDER).limit(limit)


def _sending_order(row: Row[*tuple[Any, ...]]) -> tuple[datetime, int, str]:
    return row.planned_at, row.priority, row.idempotency_key


def _place(row: Row[*tuple[Any, ...]]) -> tuple[str, str, str]:
    return row.company, row.crm, row.idempotency_key


def _read_sending_rows(
    connection: Connection, company: str, crm: str, keys: Iterable[str],
) -> list[Row[*tuple[Any, ...]]]:
    query = select(outbox).where(
        _of_crm(company, crm), outbox.c.state == ChangeState.SENDING, outbox.c.idempotency_key.in_(each_of(keys)),
    )
    return list(connection.execute(query).all())


def _answer(
    receipt: Receipt, attempts: int, at: datetime, max_attempts: int,
) -> tuple[str, str, str, int | None]:
    """State, reason, remote id and next attempt that follow from a receipt."""
    next_attempt_at = None
    state = ChangeState(receipt.outcome.value)
    if state is ChangeState.RETRY and attempts >= max_attempts:
        state = ChangeState.DEAD
    elif state is ChangeState.RETRY:
        wait = min(_FIRST_RETRY * 2 ** min(attempts - 1, 20), _LONGEST_RETRY)
        if receipt.retry_after_seconds is not None:
            wait = timedelta(seconds=receipt.retry_after_seconds)
        next_attempt_at = to_micros(at + wait)
    return state.value, receipt.reason, receipt.remote_id, next_attempt_at


def _plan_replacements(connection: Connection, rows: Iterable[Row[*tuple[Any, ...]]], at: datetime) -> None:
    run_for_rows(connection, _PLAN_REPLACEMENT, [
        (row.replacement, str(load_change(row.replacement).record), to_micros(at), *_place(row))
        for row in rows if row.replacement is not None
    ])


def _to_change(row: Row[*tuple[Any, ...]]) -> Change:
    # After a merge the row names who goes on; the JSON is the change as it was planned.
    return replace(load_change(row.change), person_id=row.person_id)


def _to_outbox_row(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    return OutboxRow(
        _to_change(row), ChangeState(row.state), row.attempts, row.next_attempt_at, row.remote_id, row.reason,
        row.run_id, row.planned_at, row.updated_at, load_json(row.written),
    )
