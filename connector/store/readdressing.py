"""What becomes of changes whose record was removed: withdrawn, or aimed at the record that goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select

from connector.records import RecordKey
from connector.store.bulk import each_of, run_for_rows
from connector.store.codec import dump_change, load_change
from connector.store.instants import to_micros
from connector.store.planning import UNSENT, WITHDRAWN
from connector.store.rows import ChangeState
from connector.store.schema import outbox

_WITHDRAW = """
    UPDATE outbox SET state = 'dead', reason = ?, next_attempt_at = NULL, not_before = NULL, updated_at = ?
    WHERE company = ? AND crm = ? AND record = ? AND state IN ('planned', 'retry')
"""
_AIM = """
    UPDATE outbox SET record = ?, change = ?, replacement = ?, written = NULL, written_at = NULL, updated_at = ?,
        state = CASE state WHEN 'dead' THEN 'planned' ELSE state END,
        attempts = CASE state WHEN 'dead' THEN 0 ELSE attempts END,
        reason = CASE state WHEN 'dead' THEN '' ELSE reason END
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""


def withdraw_changes(connection: Connection, company: str, keys: Iterable[RecordKey], at: datetime) -> None:
    """Give up, in the caller's transaction, what has not been sent about these records."""
    stamp = to_micros(at)
    run_for_rows(connection, _WITHDRAW, [(WITHDRAWN, stamp, company, key.crm, str(key)) for key in keys])


def aim_changes(
    connection: Connection, company: str, crm: str, targets: Mapping[RecordKey, RecordKey], at: datetime,
) -> None:
    """Have what did not get out about each record written to its target, in the caller's transaction.

    What is under way goes along: its answer is looked up by its key, and if it was lost, it is sent to the target.
    So does what was withdrawn when the record was first told to be gone. What was confirmed in the record itself
    says nothing about its target.
    """
    query = select(outbox.c.idempotency_key, outbox.c.record, outbox.c.change, outbox.c.replacement).where(
        outbox.c.company == company, outbox.c.crm == crm, outbox.c.record.in_(each_of(map(str, targets))),
        or_(
            outbox.c.state.in_(sorted(UNSENT | {ChangeState.SENDING})),
            and_(outbox.c.state == ChangeState.DEAD, outbox.c.reason == WITHDRAWN),
        ),
    )
    stamp = to_micros(at)
    statements = []
    for row in connection.execute(query).all():
        target = targets[RecordKey.parse(row.record)]
        statements.append((
            str(target), _aimed(row.change, target), row.replacement and _aimed(row.replacement, target), stamp,
            company, crm, row.idempotency_key,
        ))
    run_for_rows(connection, _AIM, statements)


def _aimed(change: str, target: RecordKey) -> str:
    return dump_change(replace(load_change(change), record=target))
