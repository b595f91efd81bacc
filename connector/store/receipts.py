"""Proof of every write that got its answer: what was there before, what was written, and by which run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, update

from connector.records import ChangeKind, Outcome, Receipt, RecordKey
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.codec import dump_json, load_change, load_json
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.rows import ChangeState, ReceiptRow
from connector.store.schema import receipts

_COLUMNS = (
    "company", "crm", "idempotency_key", "kind", "person_id", "cycle", "record", "run_id", "outcome", "remote_id",
    "reason", "before", "after", "at",
)
_GIVE_RECORD = "UPDATE receipts SET person_id = ? WHERE company = ? AND crm = ? AND record = ? AND person_id = ?"


class ReceiptsStore(Database):
    """The receipts of every run: rows are only added."""

    def read_receipts(self, company: str, run_id: int) -> list[ReceiptRow]:
        """Every receipt of what this run sent, in the order the answers were kept."""
        query = select(receipts).where(receipts.c.company == company, receipts.c.run_id == run_id)
        with self._reading() as connection:
            return [_to_receipt_row(row) for row in connection.execute(query.order_by(receipts.c.receipt_id))]

    def count_written(self, company: str, run_ids: Iterable[int]) -> dict[int, dict[tuple[str, ChangeKind], int]]:
        """Run -> (CRM, kind) -> how many changes it wrote; a run that wrote nothing is left out."""
        query = select(receipts.c.run_id, receipts.c.crm, receipts.c.kind, func.count()).where(
            receipts.c.company == company, receipts.c.run_id.in_(list(run_ids)), receipts.c.outcome == Outcome.DONE,
        ).group_by(receipts.c.run_id, receipts.c.crm, receipts.c.kind)
        counts: dict[int, dict[tuple[str, ChangeKind], int]] = defaultdict(dict)
        with self._reading() as connection:
            for run_id, crm, kind, count in connection.execute(query):
                counts[run_id][crm, ChangeKind(kind)] = count
        return dict(counts)


def insert_receipts(
    connection: Connection, answered: Sequence[tuple[Row[*tuple[Any, ...]], Receipt, str]], at: datetime,
) -> None:
    """Keep, in the caller's transaction, proof of these answers.

    Args:
        answered: Rows of the outbox as they stood while they were under way, each with its receipt and the state that
            followed from it.
    """
    rows = []
    stamp = to_micros(at)
    for row, receipt, state in answered:
        kind, before, after = ChangeKind(row.kind), None, None
        if kind.writes_fields:
            change = load_change(row.change)
            before, after = dump_json(dict(change.before)), dump_json(dict(change.fields))
        rows.append((
            row.company, row.crm, row.idempotency_key, row.kind, row.person_id, row.cycle, row.record, row.run_id,
            state, receipt.remote_id, receipt.reason, before, after, stamp,
        ))
    insert_rows(connection, receipts, _COLUMNS, rows)


def move_receipts(connection: Connection, company: str, loser: str, winner: str) -> None:
    """Give the winner of a merge, in the caller's transaction, the loser's receipts."""
    connection.execute(
        update(receipts).where(receipts.c.company == company, receipts.c.person_id == loser).values(person_id=winner)
    )


def part_receipts(connection: Connection, company: str, parted: Mapping[str, tuple[str, str]]) -> None:
    """Give the receipts about these records, in the caller's transaction, to whose the records are now.

    Args:
        parted: Record -> whose it was, and whose it is.
    """
    run_for_rows(connection, _GIVE_RECORD, [
        (now, company, record.partition(":")[0], record, former) for record, (former, now) in parted.items()
    ])


def empty_receipts(
    connection: Connection, company: str, crm: str, erased: Iterable[str], person_ids: Iterable[str],
) -> None:
    """Take, in the caller's transaction, every value out of the receipts about these records and people.

    That something was written, when and with which outcome stays.

    Args:
        erased: Record keys of that CRM, as texts.
        person_ids: People of whom nothing is left in any CRM, those merged into them among them.
    """
    values = {"before": None, "after": None}
    of_company = update(receipts).where(
        receipts.c.company == company, or_(receipts.c.before.is_not(None), receipts.c.after.is_not(None)),
    )
    connection.execute(
        of_company.where(receipts.c.crm == crm, receipts.c.record.in_(each_of(erased))).values(values)
    )
    connection.execute(of_company.where(receipts.c.person_id.in_(each_of(person_ids))).values(values))


def _to_receipt_row(row: Row[*tuple[Any, ...]]) -> ReceiptRow:
    return ReceiptRow(
        row.run_id, row.crm, row.idempotency_key, ChangeKind(row.kind), row.person_id, row.cycle,
        RecordKey.parse(row.record), ChangeState(row.outcome), row.remote_id, row.reason, load_json(row.before),
        load_json(row.after), row.at,
    )
