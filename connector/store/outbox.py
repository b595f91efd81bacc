"""The durable list of changes still to write: claimed, sent, answered, and never lost in between.

Every answer that settles a change leaves a receipt, in the same transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select

from connector.records import Change, ChangeKind, Outcome, Receipt, Value
from connector.store.bulk import each_of, run_for_rows
from connector.store.codec import dump_change, dump_json, load_change, load_json
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.people import mark_dirty
from connector.store.planning import (
    LATEST_WINS,
    OVERTAKEN,
    SET_CHANGE,
    WITHDRAWN,
    plan_replacements,
    supersede_retries,
)
from connector.store.receipts import insert_receipts
from connector.store.rows import ChangeState, Lease, OutboxRow, SentChange
from connector.store.schema import outbox

LONGEST_LIFE = timedelta(days=14)
"""What could not be written for so long after it was planned is given up: sales would take it for news."""

ANSWER_LOST = "the answer was lost"
"""Why a change whose answer never came is sent again: what is found to stand there already is then our own writing."""

WAITING = (ChangeState.PLANNED, ChangeState.SENDING, ChangeState.RETRY)
"""The states of a change that may still be written."""

LONGEST_WAIT_NAMED = timedelta(days=2)
"""No CRM names a longer time to wait: their longest limits are counted in days of 24 hours. Our choice."""

_FIRST_RETRIES = (timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=5))
"""What passes soon (a locked row, a busy moment) is waited for; then minutes, doubled each time."""

_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=6)

_SET_SENDING = """
    UPDATE outbox SET state = 'sending', attempts = attempts + 1, next_attempt_at = NULL, not_before = NULL,
        run_id = COALESCE(?, run_id), updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_ANSWER = """
    UPDATE outbox SET state = ?, reason = ?, remote_id = ?, next_attempt_at = ?, not_before = ?, told = ?, remedy = ?,
        updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_CONFIRM = """
    UPDATE outbox SET written = ?, written_at = ? WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
# A change that was taken out while it was under way keeps the mark: it must not be sent again.
_MARKS = ", ".join(f"'{mark}'" for mark in (WITHDRAWN, *OVERTAKEN))
_STILL_UNKNOWN = f"""
    UPDATE outbox SET updated_at = ?, reason = CASE WHEN reason IN ({_MARKS}) THEN reason ELSE ? END
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""  # noqa: S608 - ours, like every statement here; values are bound
# What is restored is not what we would have there: the same figures must not be written again because of it.
_CONFIRMED_KINDS = frozenset(kind for kind in ChangeKind if kind.writes_fields) - {ChangeKind.RESTORE}
_SENT_NOW = """
    UPDATE outbox SET updated_at = ? WHERE company = ? AND crm = ? AND idempotency_key = ? AND state = 'sending'
"""
_NARROW = """
    UPDATE outbox SET change = ? WHERE company = ? AND crm = ? AND idempotency_key = ? AND state = 'sending'
"""
_MAKE_DUE = """
    UPDATE outbox SET next_attempt_at = ?
    WHERE company = ? AND crm = ? AND state = 'retry' AND (not_before IS NULL OR not_before <= ? OR not_before > ?)
"""
SENDING_ORDER = (outbox.c.planned_at, outbox.c.person_id, outbox.c.priority, outbox.c.idempotency_key)
"""Oldest first; those of one moment person by person, each person's in the order of `ChangeKind`."""


class OutboxStore(Database):
    """The changes of every company, per CRM under their idempotency key."""

    def make_retries_due(self, lease: Lease, crm: str, at: datetime) -> None:
        """Have everything to be tried again tried at `at`, but for what the CRM itself named a later time for.

        A time farther ahead than `LONGEST_WAIT_NAMED` was reckoned by a clock that has been set back since.
        """
        stamp, farthest = to_micros(at), to_micros(at + LONGEST_WAIT_NAMED)
        with self._writing(lease) as connection:
            run_for_rows(connection, _MAKE_DUE, [(stamp, lease.company, crm, stamp, farthest)])

    def claim_changes(
        self, lease: Lease, crm: str, limit: int, at: datetime, *, due_by: datetime | None = None,
        run_id: int | None = None, kinds: Collection[ChangeKind] = tuple(ChangeKind),
    ) -> list[Change]:
        """Take up to `limit` changes to send now: `sending` is committed before they are returned.

        Planned ones first, then those to be tried again that are due by `due_by` (by default `at`): what is refused
        again and again must not stand in the way of what is new. Each oldest first, those of one moment person by
        person, so that what goes to one record goes in one request; of a person in the order of `ChangeKind`. Nobody's
        changes of one moment are torn apart, unless they alone are more than `limit`.

        Args:
            run_id: Who sends them: their receipts name it. Without one it stays the run that planned them.
            kinds: Of these only.
        """
        # One query for each state, so that the index gives the order and millions of planned rows are never sorted.
        is_planned = outbox.c.state == ChangeState.PLANNED
        is_due = and_(outbox.c.state == ChangeState.RETRY, outbox.c.next_attempt_at <= (due_by or at))
        with self._writing(lease, is_intent=True) as connection:
            changes: list[Change] = []
            for condition in (is_planned, is_due):
                if room := limit - len(changes):
                    query = _next_to_send(lease.company, crm, room + 1).where(condition)
                    # Row by row: the texts of so many changes together take as much memory as the changes.
                    rows = connection.execute(query.where(outbox.c.kind.in_(sorted(kinds))))
                    found = [(row.planned_at, _to_change(row)) for row in rows]
                    changes += _whole_people(found, room, tears=not changes)
            stamp = to_micros(at)
            run_for_rows(
                connection, _SET_SENDING, [(run_id, stamp, lease.company, crm, c.idempotency_key) for c in changes],
            )
        return changes

    def mark_sent(self, lease: Lease, crm: str, changes: Iterable[Change], at: datetime) -> None:
        """Note that these claimed changes leave at `at` and no sooner: from then on their answers are waited for."""
        stamp = to_micros(at)
        with self._writing(lease, is_intent=True) as connection:
            run_for_rows(connection, _SENT_NOW, [
                (stamp, lease.company, crm, change.idempotency_key) for change in changes
            ])

    def narrow_changes(self, lease: Lease, crm: str, changes: Iterable[Change]) -> None:
        """Keep claimed changes as they are given, before they are sent: with fewer fields than were planned."""
        with self._writing(lease) as connection:
            run_for_rows(connection, _NARROW, [
                (dump_change(change), lease.company, crm, change.idempotency_key) for change in changes
            ])

    def read_sending(self, company: str, crm: str) -> list[SentChange]:
        """The changes that were sent and never answered, oldest first: after a crash, look each up in the CRM."""
        query = select(outbox.c.change, outbox.c.person_id, outbox.c.updated_at).where(
            _of_crm(company, crm), outbox.c.state == ChangeState.SENDING,
        ).order_by(*SENDING_ORDER)
        with self._reading() as connection:
            return [SentChange(_to_change(row), row.updated_at) for row in connection.execute(query)]

    def save_receipts(self, lease: Lease, crm: str, receipts: Sequence[Receipt], at: datetime) -> None:
        """Keep what became of the changes that were sent; a receipt for one that is not `sending` changes nothing.

        RETRY waits as long as the CRM said, else a few seconds at first and then 1, 2, 4 ... minutes up to 6 hours;
        it is dead when it was planned longer ago than `LONGEST_LIFE`, and given up when a newer change to the same
        record was planned meanwhile. A text that was withdrawn while it was under way is dead, and its person is to
        be judged again; what a later decision took out is UNCHANGED. UNKNOWN stays `sending`, as sent at `at`. What is
        DONE, and UNCHANGED without a reason, is known from now on to be in the CRM; where an earlier answer was lost,
        the latter is our own writing, and DONE. Where a newer change waited behind the answered one, that is planned.

        Every answer but RETRY and UNKNOWN, and a RETRY that comes too late, leaves a row in `receipts`, under the run
        that sent the change.
        """
        by_key = {receipt.idempotency_key: receipt for receipt in receipts}
        with self._writing(lease) as connection:
            rows = _read_sending_rows(connection, lease.company, crm, by_key)
            stamp = to_micros(at)
            unknown = [row for row in rows if by_key[row.idempotency_key].outcome is Outcome.UNKNOWN]
            run_for_rows(connection, _STILL_UNKNOWN, [
                (stamp, by_key[row.idempotency_key].reason, *_place(row)) for row in unknown
            ])
            answered = [row for row in rows if by_key[row.idempotency_key].outcome is not Outcome.UNKNOWN]
            answers = [_answer(by_key[row.idempotency_key], row, at) for row in answered]
            run_for_rows(connection, _ANSWER, [
                (*answer, stamp, *_place(row)) for answer, row in zip(answers, answered)
            ])
            insert_receipts(connection, [
                (row, by_key[row.idempotency_key], answer.state) for answer, row in zip(answers, answered)
                if answer.state != ChangeState.RETRY
            ], at)
            run_for_rows(connection, _CONFIRM, [
                (dump_json(_confirmed(row)), stamp, *_place(row))
                for row in answered
                if ChangeKind(row.kind) in _CONFIRMED_KINDS and _is_confirmed(by_key[row.idempotency_key])
            ])
            withdrawn = [row for row in answered if row.reason == WITHDRAWN]
            run_for_rows(connection, SET_CHANGE, [
                (dump_change(replace(load_change(row.change), document=None)), *_place(row)) for row in withdrawn
            ])
            mark_dirty(connection, lease.company, each_of([row.person_id for row in withdrawn]))
            retried = {row.idempotency_key for row in answered
                       if by_key[row.idempotency_key].outcome is Outcome.RETRY and row.reason not in OVERTAKEN}
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

    def count_waiting(self, company: str) -> dict[str, dict[ChangeKind, int]]:
        """CRM -> kind, in the order of `ChangeKind` -> how many are planned, under way or to be tried again."""
        query = select(outbox.c.crm, outbox.c.kind, func.count()).where(
            outbox.c.company == company, outbox.c.state.in_(WAITING),
        ).group_by(outbox.c.crm, outbox.c.kind).order_by(outbox.c.crm, func.min(outbox.c.priority))
        counts: dict[str, dict[ChangeKind, int]] = defaultdict(dict)
        with self._reading() as connection:
            for crm, kind, count in connection.execute(query):
                counts[crm][ChangeKind(kind)] = count
        return dict(counts)

    def read_waiting(self, company: str) -> list[Change]:
        """Every change that is planned, under way or to be tried again, oldest first."""
        query = select(outbox.c.change, outbox.c.person_id).where(
            outbox.c.company == company, outbox.c.state.in_(WAITING),
        ).order_by(outbox.c.crm, *SENDING_ORDER)
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

    def read_changes(self, company: str, person_id: str) -> list[OutboxRow]:
        """Every change planned for one person, and what became of it, oldest first."""
        query = select(outbox).where(outbox.c.company == company, outbox.c.person_id == person_id)
        with self._reading() as connection:
            return [to_outbox_row(row) for row in connection.execute(query.order_by(*SENDING_ORDER))]

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
    columns = (outbox.c.change, outbox.c.person_id, *SENDING_ORDER)
    return select(*columns).where(_of_crm(company, crm)).order_by(*SENDING_ORDER).limit(limit)


def _whole_people(found: Sequence[tuple[datetime, Change]], limit: int, *, tears: bool) -> list[Change]:
    """The first `limit` changes, without those at their end whose person and moment go on behind them.

    Args:
        found: When each was planned, and the change.
        tears: Whether these changes may be torn apart where there would be none left.
    """
    first = [change for _, change in found[:limit]]
    if len(found) <= limit:
        return first
    planned_at, torn = found[limit]
    whole = limit
    while whole and found[whole - 1][0] == planned_at and found[whole - 1][1].person_id == torn.person_id:
        whole -= 1
    return first[:whole] if whole or not tears else first


def _place(row: Row[*tuple[Any, ...]]) -> tuple[str, str, str]:
    return row.company, row.crm, row.idempotency_key


def _read_sending_rows(
    connection: Connection, company: str, crm: str, keys: Iterable[str],
) -> list[Row[*tuple[Any, ...]]]:
    query = select(outbox).where(
        _of_crm(company, crm), outbox.c.state == ChangeState.SENDING, outbox.c.idempotency_key.in_(each_of(keys)),
    )
    return list(connection.execute(query).all())


class _Answer(NamedTuple):
    """How a row stands after its answer; instants in microseconds."""

    state: str
    reason: str
    remote_id: str
    next_attempt_at: int | None = None
    not_before: int | None = None
    told: str = ""
    remedy: str = ""


def _answer(receipt: Receipt, row: Row[*tuple[Any, ...]], at: datetime) -> _Answer:
    if receipt.outcome is not Outcome.RETRY:
        is_ours = receipt.outcome is Outcome.UNCHANGED and not receipt.reason and row.reason == ANSWER_LOST
        return _of(receipt, ChangeState.DONE.value if is_ours else receipt.outcome.value)
    if row.reason in OVERTAKEN:
        return _Answer(ChangeState.UNCHANGED.value, row.reason, receipt.remote_id)
    if row.reason == WITHDRAWN:
        return _Answer(ChangeState.DEAD.value, WITHDRAWN, receipt.remote_id)
    if at - row.planned_at >= LONGEST_LIFE:
        return _of(receipt, ChangeState.DEAD.value)
    if receipt.retry_after_seconds is not None:
        # Never at once: a run would send it again and again.
        not_before = to_micros(at + max(timedelta(seconds=receipt.retry_after_seconds), _FIRST_RETRIES[0]))
        return _of(receipt, ChangeState.RETRY.value)._replace(next_attempt_at=not_before, not_before=not_before)
    return _of(receipt, ChangeState.RETRY.value)._replace(next_attempt_at=to_micros(at + _wait(row.attempts)))


def _of(receipt: Receipt, state: str) -> _Answer:
    return _Answer(state, receipt.reason, receipt.remote_id, told=receipt.told, remedy=receipt.remedy)


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


def to_outbox_row(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    """A change and what became of it, from a whole row of the outbox."""
    return OutboxRow(
        _to_change(row), ChangeState(row.state), row.attempts, row.next_attempt_at, row.remote_id, row.reason,
        row.run_id, row.planned_at, row.updated_at, load_json(row.written), row.told, row.remedy,
    )
