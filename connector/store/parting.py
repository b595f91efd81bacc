"""One person turned out to be two: what the one who is told apart takes along.

A handoff belongs to the record that sales has it in: whose that record is now has been handed off, and gets the rest
of it. Where sales has nothing yet, nothing is sent: it would tell of somebody else as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from connector.store.bulk import each_of, run_for_rows
from connector.store.firings import part_firings
from connector.store.merging import SENT, follow_merges, join_hold, join_state
from connector.store.notices import drop_baseless_notices
from connector.store.planning import HANDOFF_KINDS, UNDOING, UNSENT
from connector.store.receipts import part_receipts
from connector.store.rows import ChangeState
from connector.store.schema import outbox

_PARTED = "its record turned out to be another person's"

_DROP = "DELETE FROM outbox WHERE company = ? AND crm = ? AND idempotency_key = ?"
_LAY_ASIDE = """
    UPDATE outbox SET state = 'unchanged', reason = ?, next_attempt_at = NULL, not_before = NULL
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_STOP_WAITING = """
    UPDATE outbox SET replacement = NULL, replacement_run_id = NULL
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""


def part_people(
    connection: Connection, company: str, before: Mapping[str, str], after: Mapping[str, Collection[str]],
) -> None:
    """Settle, in the caller's transaction, what was decided about records that are another person's now.

    Who gets a record in which a handoff stands, wholly or in part, or is being written, is as far in the cycles as whom
    it was taken from. Whom a backfill held is held still. About any other record what is unsent is given up, and whose
    it is now is judged by their own deeds. Call it when the keys are assigned and the merges followed: a record of who
    was merged away is still theirs who go on.

    Args:
        before: Key -> whose it was.
        after: Person id -> all their keys.
    """
    if not before:
        return
    moved: dict[str, tuple[str, str]] = {}
    for person_id, keys in after.items():
        for key in keys:
            former = before.get(key, person_id)
            if former != person_id:
                moved[key] = (former, person_id)
    goes_on = {former: follow_merges(connection, company, former) for former, _ in moved.values()}
    told_apart = {key: (goes_on[former], now) for key, (former, now) in moved.items() if goes_on[former] != now}
    part_firings(connection, company, told_apart)
    parted = {key: people for key, people in told_apart.items() if not key.startswith("email:")}
    if not parted:
        return
    part_receipts(connection, company, parted)
    for former, now in sorted(set(parted.values())):
        join_hold(connection, company, former, now)
    columns = (
        outbox.c.crm, outbox.c.idempotency_key, outbox.c.kind, outbox.c.person_id, outbox.c.record, outbox.c.state,
        outbox.c.written, outbox.c.replacement,
    )
    rows = connection.execute(select(*columns).where(
        outbox.c.company == company, outbox.c.crm.in_(each_of({key.partition(":")[0] for key in parted})),
        outbox.c.record.in_(each_of(parted)),
    )).all()
    handed_on = {row.record for row in rows if row.kind in HANDOFF_KINDS and row.state in SENT}
    for former, now in sorted({parted[record] for record in handed_on}):
        join_state(connection, company, former, now)
    # Half a handoff is completed: sales has the note already, or may have.
    kept_back = [row for row in rows if row.record not in handed_on and row.person_id != parted[row.record][1]]
    unsent = [row for row in kept_back if row.state in UNSENT and row.kind not in UNDOING]
    run_for_rows(connection, _DROP, [
        (company, row.crm, row.idempotency_key) for row in unsent if row.written is None
    ])
    run_for_rows(connection, _LAY_ASIDE, [
        (_PARTED, company, row.crm, row.idempotency_key) for row in unsent if row.written is not None
    ])
    drop_baseless_notices(connection, company, {row.person_id for row in unsent if row.kind in HANDOFF_KINDS})
    run_for_rows(connection, _STOP_WAITING, [
        (company, row.crm, row.idempotency_key) for row in kept_back
        if row.state == ChangeState.SENDING and row.replacement is not None
    ])
