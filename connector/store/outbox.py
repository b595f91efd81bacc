"""The durable list of changes still to write: claimed, sent, answered, and never lost in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select

from connector.records import Change, Outcome, Receipt, Value
from connector.store.bulk import each_of, run_for_rows
from connector.store.codec import dump_change, dump_json, load_change, load_json
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.people import mark_dirty
from connector.store.planning import LATEST_WINS, SET_CHANGE, WITHDRAWN, plan_replacements, supersede_retries
from connector.store.rows import ChangeState, Lease, OutboxRow, SentChange
from connector.store.schema import outbox

LONGEST_LIFE = timedelta(days=14)
"""What could not be written for so long after it was planned is given up: sales would take it for news."""

_FIRST_RETRIES = (timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=5))
"""What passes soon (a locked row, a busy moment) is waited for; then minutes, doubled each time."""

_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=6)

_SET_SENDING = """
    UPDATE outbox SET state = 'sending', attempts = attempts + 1, next_attempt_at = NULL, not_before = NULL,
        updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_ANSWER = """
    UPDATE outbox SET state = ?, reason = ?, remote_id = ?, next_attempt_at = ?, not_before = ?, updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_CONFIRM = """
    UPDATE outbox SET written = ?, written_at = ? WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_STILL_UNKNOWN = "UPDATE outbox SET reason = ?, updated_at = ? WHERE company = ? AND crm = ? AND idempotency_key = ?"
_MAKE_DUE = """
    UPDATE outbox SET next_attempt_at = ?
    WHERE company = ? AND crm = ? AND state = 'retry' AND (not_before IS NULL OR not_before <= ?)
"""
_SENDING_ORDER = (outbox.c.planned_at, outbox.c.priority, outbox.c.idempotency_key)


class OutboxStore(Database):
    """The changes of every company, per CRM under their idempotency key."""

    def make_retries_due(self, lease: Lease, crm: str, at: datetime) -> None:
        """Have everything to be tried again tried at `at`, but for what the CRM itself named a later time for."""
        stamp = to_micros(at)
        with self._writing(lease) as connection:
            run_for_rows(connection, _MAKE_DUE, [(stamp, lease.company, crm, stamp)])

    def claim_changes(
        self, lease: Lease, crm: str, limit: int, at: datetime, *, due_by: datetime | None = None,
    ) -> list[Change]:
        """Take up to `limit` changes to send now: `sending` is committed before they are returned.

        Planned ones first, then those to be tried again that are due by `due_by` (by default `at`): what is refused
        again and again must not stand in the way of what is new. Each oldest first, of one moment stage, score,
        task, note.
        """
        # One query for each state, so that the index gives the order and millions of planned rows are never sorted.
        is_planned = outbox.c.state == ChangeState.PLANNED
        is_due = and_(outbox.c.state == ChangeState.RETRY, outbox.c.next_attempt_at <= (due_by or at))
        with self._writing(lease) as connection:
            rows: list[Row[*tuple[Any, ...]]] = []
            for condition in (is_planned, is_due):
                if len(rows) < limit:
                    query = _next_to_send(lease.company, crm, limit - len(rows))
                    rows += connection.execute(query.where(condition))
            changes = [_to_change(row) for row in rows]
            stamp = to_micros(at)
            run_for_rows(
                connection, _SET_SENDING, [(stamp, lease.company, crm, c.idempotency_key) for c in changes],
            )
        return changes

    def read_sending(self, company: str, crm: str) -> list[SentChange]:
        """The changes that were sent and never answered, oldest first: after a crash, look each up in the CRM."""
        query = select(outbox.c.change, outbox.c.person_id, outbox.c.updated_at).where(
            _of_crm(company, crm), outbox.c.state == ChangeState.SENDING,
        ).order_by(*_SENDING_ORDER)
        with self._reading() as connection:
            return [SentChange(_to_change(row), row.updated_at) for row in connection.execute(query)]

    def save_receipts(self, lease: Lease, crm: str, receipts: Sequence[Receipt], at: datetime) -> None:
        """Keep what became of the changes that were sent; a receipt for one that is not `sending` changes nothing.

        RETRY waits as long as the CRM said, else a few seconds at first and then 1, 2, 4 ... minutes up to 6 hours;
        it is dead when it was planned longer ago than `LONGEST_LIFE`, and given up when a newer change to the same
        record was planned meanwhile. A text that was withdrawn while it was under way is dead, and its person is to
        be judged again. UNKNOWN stays `sending`, as sent at `at`. What is DONE, and UNCHANGED without a
        reason, is known from now on to be in the CRM. Where a newer change waited behind the answered one, that is
        planned.
        """
        by_key = {receipt.idempotency_key: receipt for receipt in receipts}
        with self._writing(lease) as connection:
            rows = _read_sending_rows(connection, lease.company, crm, by_key)
            stamp = to_micros(at)
            unknown = [row for row in rows if by_key[row.idempotency_key].outcome is Outcome.UNKNOWN]
            run_for_rows(connection, _STILL_UNKNOWN, [
                (by_key[row.idempotency_key].reason, stamp, *_place(row)) for row in unknown
            ])
            answered = [row for row in rows if by_key[row.idempotency_key].outcome is not Outcome.UNKNOWN]
            run_for_rows(connection, _ANSWER, [
                (*_answer(by_key[row.idempotency_key], row, at), stamp, *_place(row)) for row in answered
            ])
            run_for_rows(connection, _CONFIRM, [
                (dump_json(_confirmed(row)), stamp, *_place(row))
                for row in answered if row.kind in LATEST_WINS and _is_confirmed(by_key[row.idempotency_key])
            ])
            withdrawn = [row for row in answered if row.reason == WITHDRAWN]
            run_for_rows(connection, SET_CHANGE, [
                (dump_change(replace(load_change(row.change), document=None)), *_place(row)) for row in withdrawn
            ])
            mark_dirty(connection, lease.company, each_of([row.person_id for row in withdrawn]))
            retried = {row.idempotency_key for row in answered
                       if by_key[row.idempotency_key].outcome is Outcome.RETRY}
            plan_replacements(connection, answered, retried, at)
            supersede_retries(connection, [
                _place(row) for row in answered if row.idempotency_key in retried and row.kind in LATEST_WINS
            ])

    def outbox_counts(self, company: str, states: Iterable[ChangeState] = ChangeState) -> dict[str, dict[str, int]]:
        """CRM -> state -> how many changes. Takes time with their number: that of all ever written unless limited."""
        query = select(outbox.c.crm, outbox.c.state, func.count()).where(
            outbox.c.company == company, outbox.c.state.in_(list(states)),
        )
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

    def last_retry_at(self, company: str, crm: str, by: datetime) -> datetime | None:
        """When the last of the changes to be tried again until `by` is due; None when none is."""
        query = select(func.max(outbox.c.next_attempt_at)).where(
            _of_crm(company, crm), outbox.c.state == ChangeState.RETRY, outbox.c.next_attempt_at <= by,
        )
        with self._reading() as connection:
            due_at: datetime | None = connection.execute(query).scalar()
            return due_at

    def read_refused(self, company: str, since: datetime) -> list[OutboxRow]:
        """Every change that was given up since then: rejected by its CRM, or dead of age; oldest first."""
        query = select(outbox).where(
            outbox.c.company == company, outbox.c.state.in_([ChangeState.REJECTED, ChangeState.DEAD]),
            outbox.c.updated_at >= since,
        )
        with self._reading() as connection:
            return [_to_outbox_row(row) for row in connection.execute(query.order_by(*_SENDING_ORDER))]

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


def _of_crm(company: str, crm: str) -> ColumnElement[bool]:
    return and_(outbox.c.company == company, outbox.c.crm == crm)


def _next_to_send(company: str, crm: str, limit: int) -> Select[*tuple[Any, ...]]:
    columns = (outbox.c.change, outbox.c.person_id, *_SENDING_ORDER)
    return select(*columns).where(_of_crm(company, crm)).order_by(*_SENDING_ORDER).limit(limit)


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
    receipt: Receipt, row: Row[*tuple[Any, ...]], at: datetime,
) -> tuple[str, str, str, int | None, int | None]:
    """State, reason, remote id, next attempt, and not before when, as they follow from a receipt."""
    if receipt.outcome is not Outcome.RETRY:
        return receipt.outcome.value, receipt.reason, receipt.remote_id, None, None
    if row.reason == WITHDRAWN:
        return ChangeState.DEAD.value, WITHDRAWN, receipt.remote_id, None, None
    if at - row.planned_at >= LONGEST_LIFE:
        return ChangeState.DEAD.value, receipt.reason, receipt.remote_id, None, None
    if receipt.retry_after_seconds is not None:
        # Never at once: a run would send it again and again.
        not_before = at + max(timedelta(seconds=receipt.retry_after_seconds), _FIRST_RETRIES[0])
        return ChangeState.RETRY.value, receipt.reason, receipt.remote_id, to_micros(not_before), to_micros(not_before)
    return ChangeState.RETRY.value, receipt.reason, receipt.remote_id, to_micros(at + _wait(row.attempts)), None


def _wait(attempts: int) -> timedelta:
    if attempts <= len(_FIRST_RETRIES):
        return _FIRST_RETRIES[max(attempts, 1) - 1]
    doublings = min(attempts - len(_FIRST_RETRIES) - 1, 20)
    return min(_FIRST_WAIT * (1 << doublings), _LONGEST_WAIT)


def _is_confirmed(receipt: Receipt) -> bool:
    return receipt.outcome is Outcome.DONE or (receipt.outcome is Outcome.UNCHANGED and not receipt.reason)


def _confirmed(row: Row[*tuple[Any, ...]]) -> dict[str, Value]:
    written: dict[str, Value] = {**load_json(row.written), **load_change(row.change).fields}
    return written


def _to_change(row: Row[*tuple[Any, ...]]) -> Change:
    # After a merge the row names who goes on; the JSON is the change as it was planned.
    return replace(load_change(row.change), person_id=row.person_id)


def _to_outbox_row(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    return OutboxRow(
        _to_change(row), ChangeState(row.state), row.attempts, row.next_attempt_at, row.remote_id, row.reason,
        row.run_id, row.planned_at, row.updated_at, load_json(row.written),
    )
