"""Who is handed off now, who stands in the CRMs as if they were, and taking handoffs back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, select

from connector.records import Change, ChangeKind, RecordKey, Stage, Value
from connector.store.bulk import each_of, run_for_rows
from connector.store.codec import dump_json, load_decision, load_json
from connector.store.database import Database
from connector.store.instants import to_micros
from connector.store.notices import drop_undone_notices
from connector.store.outbox import SENDING_ORDER, WAITING, to_outbox_row
from connector.store.planning import HANDOFF_KINDS, plan_changes, take_out_undone
from connector.store.rows import ChangeState, DecisionRow, Lease, OutboxRow, Passage
from connector.store.schema import decisions, outbox, persons, receipts, stage_entries

_SEND_BACK = """
    UPDATE persons SET sent_back_at = ?, dirty = 1, dirty_version = dirty_version + 1
    WHERE company = ? AND person_id = ? AND cycle = ? AND handed_off_at IS NOT NULL AND sent_back_at IS NULL
"""
_SET_WRITTEN = """
    UPDATE outbox SET written = ?, written_at = COALESCE(written_at, ?)
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""


class HandoffsStore(Database):
    """The handoffs of the cycles that people are in."""

    def read_current_handoffs(
        self, company: str, limit: int, *, after: str = "", taken_back: bool = False,
    ) -> list[DecisionRow]:
        """Up to `limit` handoffs of the cycle their person is in, in the order of the people above `after`.

        Without those that we took back, unless these are asked for, too.
        """
        query = select(decisions.c.person_id, decisions.c.decision, decisions.c.run_id).join(
            persons, (persons.c.company == decisions.c.company) & (persons.c.person_id == decisions.c.person_id)
            & (persons.c.cycle == decisions.c.cycle),
        ).where(
            decisions.c.company == company, decisions.c.kind == "handoff", decisions.c.person_id > after,
            persons.c.handed_off_at.is_not(None), persons.c.merged_into.is_(None),
            *(() if taken_back else [persons.c.sent_back_at.is_(None)]),
        ).order_by(decisions.c.person_id).limit(limit)
        with self._reading() as connection:
            # After a merge the row names who goes on; the JSON is the decision as it was made.
            return [
                DecisionRow(replace(load_decision(row.decision), person_id=row.person_id), row.run_id)
                for row in connection.execute(query)
            ]

    def read_handoff_changes(self, company: str, person_ids: Iterable[str]) -> dict[str, list[OutboxRow]]:
        """Person id -> the stages, figures, leads, tasks and notes planned for them in any cycle, as they stand now."""
        query = select(outbox).where(
            outbox.c.company == company, outbox.c.person_id.in_(each_of(person_ids)),
            outbox.c.kind.in_(sorted(HANDOFF_KINDS | {ChangeKind.SCORE})),
        ).order_by(*SENDING_ORDER)
        found: dict[str, list[OutboxRow]] = defaultdict(list)
        with self._reading() as connection:
            for row in connection.execute(query):
                found[row.person_id].append(to_outbox_row(row))
        return dict(found)

    def find_without_handoff(self, company: str, stage: Stage, limit: int) -> list[tuple[str, str]]:
        """Up to `limit` people who stand in this stage and were not handed off in this cycle, in order, with the CRM.

        As of when they were last judged; the CRM is the one that says so, empty where none does.
        """
        query = select(persons.c.person_id, stage_entries.c.crm).join(
            stage_entries, and_(
                stage_entries.c.company == persons.c.company, stage_entries.c.person_id == persons.c.person_id,
                stage_entries.c.cycle == persons.c.cycle,
            ),
        ).where(
            persons.c.company == company, persons.c.handed_off_at.is_(None), persons.c.merged_into.is_(None),
            stage_entries.c.stage == stage.value, stage_entries.c.left_at.is_(None),
        ).order_by(persons.c.person_id).limit(limit)
        with self._reading() as connection:
            return [(row.person_id, row.crm) for row in connection.execute(query)]

    def find_handoffs_of_run(self, company: str, run_id: int) -> list[Passage]:
        """The handoffs this run made or is still to make, of people who are in that cycle and were not sent back."""
        of_run = (HANDOFF_KINDS, run_id)
        written = _passages_of(receipts, company, *of_run).where(receipts.c.outcome == ChangeState.DONE.value)
        unsent = _passages_of(outbox, company, *of_run).where(outbox.c.state.in_(WAITING))
        with self._reading() as connection:
            records: dict[tuple[str, int], str] = {}
            for query in (written, unsent):
                for row in connection.execute(query):
                    records.setdefault((row.person_id, row.cycle), row.record)
            ids = each_of({person_id for person_id, _ in records})
            current = {tuple(row) for row in connection.execute(select(persons.c.person_id, persons.c.cycle).where(
                persons.c.company == company, persons.c.person_id.in_(ids), persons.c.handed_off_at.is_not(None),
                persons.c.sent_back_at.is_(None),
            ))}
            decided = {tuple(row) for row in connection.execute(select(decisions.c.person_id, decisions.c.cycle).where(
                decisions.c.company == company, decisions.c.person_id.in_(ids), decisions.c.run_id == run_id,
            ))}
            by_others = {tuple(row) for row in connection.execute(select(receipts.c.person_id, receipts.c.cycle).where(
                receipts.c.company == company, receipts.c.person_id.in_(ids), receipts.c.run_id != run_id,
                receipts.c.kind.in_(sorted(HANDOFF_KINDS)), receipts.c.outcome == ChangeState.DONE.value,
            ).distinct())}
        return [
            Passage(*passage, RecordKey.parse(record), passage in decided or passage not in by_others)
            for passage, record in sorted(records.items()) if passage in current
        ]

    def read_unsent_of_run(self, company: str, run_id: int) -> list[OutboxRow]:
        """What the run planned or last sent and has no answer to yet, oldest first."""
        query = select(outbox).where(
            outbox.c.company == company, outbox.c.run_id == run_id, outbox.c.state.in_(WAITING),
        ).order_by(*SENDING_ORDER)
        with self._reading() as connection:
            return [to_outbox_row(row) for row in connection.execute(query)]

    def find_planned(self, company: str, changes: Iterable[Change]) -> set[tuple[str, str]]:
        """CRM and idempotency key of those of these changes that are in the outbox, whatever became of them."""
        keys = each_of({change.idempotency_key for change in changes})
        query = select(outbox.c.crm, outbox.c.idempotency_key).where(
            outbox.c.company == company, outbox.c.idempotency_key.in_(keys),
        )
        with self._reading() as connection:
            return {(row.crm, row.idempotency_key) for row in connection.execute(query)}

    def save_undoing(
        self, lease: Lease, undone_run_id: int, changes: Sequence[Change], handoffs: Collection[Passage],
        figures: Mapping[RecordKey, Mapping[str, Value]], run_id: int, at: datetime,
    ) -> None:
        """Plan what undoes a run, all or nothing; said twice it plans nothing more.

        What the run planned and has not sent is not sent any more, nor what is left of the handoffs, nor notices of
        either. Whom it handed off, in the cycle they are in, counts as sent back to nurturing at `at`.

        Args:
            figures: Record -> field -> value that counts as written there: the next judgement says so, and that is no
                reason to write it.
        """
        company, stamp = lease.company, to_micros(at)
        with self._writing(lease) as connection:
            taken_back = {(one.person_id, one.cycle) for one in handoffs}
            take_out_undone(connection, company, undone_run_id, taken_back, at)
            drop_undone_notices(connection, company, undone_run_id, taken_back)
            run_for_rows(connection, _SEND_BACK, [(stamp, company, *passage) for passage in sorted(taken_back)])
            _count_as_written(connection, company, figures, stamp)
            plan_changes(connection, company, changes, run_id, at)


def _passages_of(table: Any, company: str, kinds: Collection[ChangeKind], run_id: int) -> Select[Any]:
    return select(table.c.person_id, table.c.cycle, table.c.record).where(
        table.c.company == company, table.c.run_id == run_id, table.c.kind.in_(sorted(kinds)),
    )


def _count_as_written(
    connection: Connection, company: str, figures: Mapping[RecordKey, Mapping[str, Value]], stamp: int,
) -> None:
    texts = {str(record): values for record, values in figures.items()}
    for crm in sorted({record.crm for record in figures}):
        rows = connection.execute(select(outbox.c.idempotency_key, outbox.c.record, outbox.c.written).where(
            outbox.c.company == company, outbox.c.crm == crm, outbox.c.record.in_(each_of(texts)),
            outbox.c.kind == ChangeKind.SCORE.value,
        )).all()
        run_for_rows(connection, _SET_WRITTEN, [
            (dump_json({**load_json(row.written), **texts[row.record]}), stamp, company, crm, row.idempotency_key)
            for row in rows
        ])
