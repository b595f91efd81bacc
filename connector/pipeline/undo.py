"""Take back what a run wrote, where nobody has changed it since; what is left as it is, is told with the reason.

Fields get the values back that they had before the run. Tasks that it made are closed, notes are marked; nothing is
deleted. Whom it handed off counts as sent back to nurturing, unless sales has taken them on: they are handed off anew
when they do something that earns points, not because the next run still finds the points that this one found.

Fields that are restored stay so until what the rules say about the person is something else.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connector.core.normalize import Normalizer
from connector.core.words import words_of
from connector.errors import ConfigError
from connector.pipeline.company import Company, Progress, no_progress
from connector.pipeline.lease import hold_lease
from connector.pipeline.run_frame import begin_run
from connector.pipeline.sync_back import settle, sync_back
from connector.records import Change, ChangeKind, Document, RecordKey, Stage, Value
from connector.store import UNDOING, ChangeState, OutboxRow, Passage, ReceiptRow

CHANGED_SINCE = "changed since"
GONE = "the record is gone"
WITH_SALES = "sales has taken them on: the handoff stands"
ELSEWHERE = "another run made the rest of it: undo that one, too"
IN_DOUBT = "it may still be on its way: undo the run once more in half an hour"
NO_ADAPTER = "the mapping names this CRM no more"
NOT_UNDONE = {
    ChangeKind.LEAD: "a lead record is not taken back: close it in the CRM",
    ChangeKind.CLOSE_TASK: "a task that was closed is not opened again",
    ChangeKind.MARK_NOTE: "a note keeps its mark",
}

_MADE = {ChangeKind.TASK: ("tasks", ChangeKind.CLOSE_TASK), ChangeKind.NOTE: ("notes", ChangeKind.MARK_NOTE)}
_WITH_SALES = frozenset({Stage.SAL, Stage.SQL, Stage.WON, Stage.LOST, Stage.RECYCLED})


class Left(NamedTuple):
    """Something that the run wrote and undoing leaves as it is.

    Attributes:
        what: The fields, or the kind of change, or `handoff`.
        why: In words.
    """

    crm: str
    record: RecordKey
    what: str
    why: str


@dataclass(frozen=True)
class Undoing:
    """What undoing a run would do.

    Attributes:
        changes: Every write.
        left: What stays, and why.
        unsent_count: How many changes of the run were not sent yet, and are not sent any more.
        handoffs: Person and cycle of every handoff that is taken back.
        figures: Record -> field -> what the run was still to write, and what the next judgement says of whom is sent
            back: no news to write there.
    """

    run_id: int
    changes: tuple[Change, ...]
    left: tuple[Left, ...]
    unsent_count: int
    handoffs: tuple[Passage, ...]
    figures: Mapping[RecordKey, Mapping[str, Value]]


@dataclass
class UndoReport:
    """What undoing a run did; `outcomes` as in a RunReport, the others as in Undoing."""

    run_id: int
    undone_run_id: int
    left: list[Left]
    unsent_count: int
    handoff_count: int
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)


def plan_undo(company: Company, run_id: int) -> Undoing:
    """Return what undoing a run would do now; asks the CRMs and writes nothing.

    Raises:
        ConfigError: The company has no such run.
    """
    store, name = company.store, company.name
    _require_run(company, run_id)
    written = [row for row in store.read_receipts(name, run_id) if row.outcome is ChangeState.DONE]
    unsent = store.read_unsent_of_run(name, run_id)
    left = [Left(row.crm, row.record, row.kind.value, NO_ADAPTER) for row in written if row.crm not in company.adapters]
    left += [
        Left(one.change.crm, one.change.record, one.change.kind.value, IN_DOUBT) for one in unsent
        if one.state is ChangeState.SENDING and not one.change.kind.writes_fields
    ]
    rows = [row for row in written if row.crm in company.adapters]
    maybe = [_as_if_answered(one) for one in unsent if one.change.kind.writes_fields and one.attempts]
    fields = _Fields.read(company, [row for row in rows if row.kind.writes_fields], maybe)
    handoffs, standing = _taken_back(company, run_id, fields.moved_on())
    changes, differing = fields.restore(run_id, {one.person_id for one in standing})
    withdrawn = [_withdraw(company, run_id, row) for row in rows if row.kind in _MADE]
    known = store.find_planned(name, withdrawn)
    changes += [change for change in withdrawn if (change.crm, change.idempotency_key) not in known]
    left += differing
    left += [Left(row.crm, row.record, row.kind.value, NOT_UNDONE[row.kind]) for row in rows if row.kind in NOT_UNDONE]
    left += [
        Left(one.record.crm, one.record, "handoff", WITH_SALES if one.is_whole else ELSEWHERE) for one in standing
    ]
    return Undoing(
        run_id, tuple(changes), tuple(left), len(unsent), handoffs,
        _figures_said_next(company, handoffs, rows, [one.change for one in unsent]),
    )


def undo(
    company: Company, run_id: int, progress: Progress = no_progress, *, sleep: Callable[[float], None] = time.sleep,
) -> UndoReport:
    """Take back what a run wrote; what a crash leaves over, the next run finishes, or undoing the run once more.

    Raises:
        ConfigError: The company has no such run.
        LeaseHeldError: Another run is at work for this company.
        ConnectorError: A CRM cannot be asked how things stand there; then nothing is taken back.
    """
    store = company.store
    _require_run(company, run_id)
    with hold_lease(company) as lease, begin_run(company, "undo") as run:
        own_id = run.run_id
        report = UndoReport(own_id, run_id, [], 0, 0)
        try:
            settle(company, lease, own_id, progress)
            undoing = plan_undo(company, run_id)
            report.left, report.unsent_count = list(undoing.left), undoing.unsent_count
            report.handoff_count = len(undoing.handoffs)
            store.save_undoing(
                lease, run_id, undoing.changes, undoing.handoffs, undoing.figures, own_id, company.clock(),
            )
            outcomes = sync_back(company, lease, own_id, progress, kinds=UNDOING, sleep=sleep)
            report.outcomes = {crm: dict(counts) for crm, counts in outcomes.items() if counts}
            report.left += _left_by_the_crm(company, own_id)
            run.status = "done"
        finally:
            counts = {f"{crm}_{what}": n for crm, own in report.outcomes.items() for what, n in own.items()}
            run.counts = {"undone_run": run_id, "sent_back": report.handoff_count, **counts}
    return report


def _require_run(company: Company, run_id: int) -> None:
    run = company.store.read_run(run_id)
    if run is None or run.company != company.name:
        raise ConfigError([f"{company.name}: there is no run {run_id}"], hint=f"mql runs {company.name} lists them.")


@dataclass(frozen=True)
class _Fields:
    """The fields that a run wrote, and what stands there now.

    Attributes:
        known: Record and field of what was surely written; of other writes nobody knows whether they got through.
        current: Record -> its fields' values; without those that are gone.
    """

    company: Company
    by_record: Mapping[RecordKey, Sequence[ReceiptRow]]
    known: Collection[tuple[RecordKey, str]]
    current: Mapping[RecordKey, Mapping[str, Value]]

    @classmethod
    def read(cls, company: Company, rows: Sequence[ReceiptRow], maybe: Sequence[ReceiptRow]) -> _Fields:
        """Ask the CRMs about what these writes were about.

        Args:
            maybe: Writes of which nobody knows whether they got through.
        """
        by_record: dict[RecordKey, list[ReceiptRow]] = defaultdict(list)
        by_stream: dict[tuple[str, str], list[RecordKey]] = defaultdict(list)
        for row in (*rows, *maybe):
            if row.record not in by_record:
                by_stream[row.record.crm, row.record.stream].append(row.record)
            by_record[row.record].append(row)
        current: dict[RecordKey, Mapping[str, Value]] = {}
        for (crm, stream), records in by_stream.items():
            names = sorted({name for record in records for row in by_record[record] for name in row.after})
            values = company.adapters[crm].read_back(stream, [record.remote_id for record in records], names)
            current |= {RecordKey(crm, stream, remote_id): own for remote_id, own in values.items()}
        return cls(company, by_record, {(row.record, name) for row in rows for name in row.after}, current)

    def moved_on(self) -> set[str]:
        """Return whom sales has moved on since, by the stage that a record shows now."""
        normalizer, found = Normalizer(self.company.mapping), set()
        for record, rows in self.by_record.items():
            stage, (before, after) = self._stage_field(record), _as_it_was(rows)
            now = self.current.get(record, {}).get(stage)
            is_changed = stage in after and now not in (before.get(stage), after[stage])
            if is_changed and normalizer.stage(record, now) in _WITH_SALES:
                found |= {row.person_id for row in rows}
        return found

    def restore(self, run_id: int, with_sales: Collection[str]) -> tuple[list[Change], list[Left]]:
        """Return a write for each record whose fields still are as the run left them, and what is not so.

        Args:
            with_sales: Of these people no stage is set back.
        """
        changes: list[Change] = []
        left: list[Left] = []
        for record, rows in self.by_record.items():
            (before, after), now, last = _as_it_was(rows), self.current.get(record), rows[-1]
            if now is None:
                left.append(Left(record.crm, record, ", ".join(sorted(after)), GONE))
                continue
            # What has its former value is not to be restored: undone before, or never written.
            fields = {n: before.get(n) for n, v in after.items() if now.get(n) == v and before.get(n) != v}
            changed = sorted(
                n for n, v in after.items() if now.get(n) not in (v, before.get(n)) and (record, n) in self.known
            )
            if changed:
                left.append(Left(record.crm, record, ", ".join(changed), CHANGED_SINCE))
            stage = self._stage_field(record)
            if stage in fields and any(row.person_id in with_sales for row in rows):
                del fields[stage]
                left.append(Left(record.crm, record, stage, WITH_SALES))
            if fields:
                key = f"{last.idempotency_key.rpartition('/')[0]}/undo-{run_id}-{record.stream}-{record.remote_id}"
                changes.append(Change(
                    key, record.crm, ChangeKind.RESTORE, last.person_id, last.cycle, record, fields,
                    {name: after[name] for name in fields},
                ))
        return changes, left

    def _stage_field(self, record: RecordKey) -> str:
        write_back = self.company.mapping.crm[record.crm].write_back.get(record.stream)
        return "" if write_back is None else write_back.stage


def _as_if_answered(row: OutboxRow) -> ReceiptRow:
    change = row.change
    return ReceiptRow(
        row.run_id, change.crm, change.idempotency_key, change.kind, change.person_id, change.cycle, change.record,
        row.state, row.remote_id, row.reason, change.before, change.fields, row.updated_at,
    )


def _as_it_was(rows: Iterable[ReceiptRow]) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return each field's value before the first of these writes, and after the last."""
    before: dict[str, Value] = {}
    after: dict[str, Value] = {}
    for row in rows:
        before = {**row.before, **before}
        after |= row.after
    return before, after


def _withdraw(company: Company, run_id: int, row: ReceiptRow) -> Change:
    """Return the write that closes a task or marks a note."""
    stream, kind = _MADE[row.kind]
    words = words_of(company.mapping.language)
    day = words.long_day(company.clock().astimezone(company.mapping.zone))
    return Change(
        f"{row.idempotency_key.rpartition('/')[0]}/undo-{run_id}-{row.kind}", row.crm, kind, row.person_id, row.cycle,
        RecordKey(row.crm, stream, row.remote_id), document=Document(words.withdrawn(day), ()),
    )


def _taken_back(
    company: Company, run_id: int, moved_on: Collection[str],
) -> tuple[tuple[Passage, ...], tuple[Passage, ...]]:
    """Return which of the run's handoffs are taken back, and which stand.

    Args:
        moved_on: Whom sales has moved on, beside those of whom we knew that when they were last judged.
    """
    found = company.store.find_handoffs_of_run(company.name, run_id)
    stages = company.store.get_stages(company.name, {one.person_id for one in found})
    with_sales = {person_id for person_id, stage in stages.items() if stage in _WITH_SALES}.union(moved_on)
    taken_back = tuple(one for one in found if one.is_whole and one.person_id not in with_sales)
    # That sales has them is said first.
    standing = tuple(
        one._replace(is_whole=one.person_id in with_sales) for one in found if one not in taken_back
    )
    return taken_back, standing


def _figures_said_next(
    company: Company, handoffs: Sequence[Passage], rows: Iterable[ReceiptRow], unsent: Iterable[Change],
) -> dict[RecordKey, dict[str, Value]]:
    passages = {(one.person_id, one.cycle) for one in handoffs}
    scores = [change for change in unsent if change.kind is ChangeKind.SCORE]
    figures: dict[RecordKey, dict[str, Value]] = {change.record: dict(change.fields) for change in scores}
    places = [(row.record, (row.person_id, row.cycle)) for row in rows if row.kind is ChangeKind.SCORE]
    places += [(change.record, (change.person_id, change.cycle)) for change in scores]
    for record, passage in places:
        part = company.mapping.crm.get(record.crm)
        write_back = None if part is None else part.write_back.get(record.stream)
        if passage in passages and write_back is not None and "status" in write_back.fields:
            figures.setdefault(record, {})[write_back.fields["status"]] = Stage.RECYCLED.value
    return figures


def _left_by_the_crm(company: Company, own_id: int) -> list[Left]:
    """Return what this undoing's own writes found changed meanwhile, or gone."""
    return [
        Left(row.crm, row.record, ", ".join(sorted(row.after)) or row.kind.value, row.reason)
        for row in company.store.read_receipts(company.name, own_id)
        if row.outcome is not ChangeState.DONE and row.reason
    ]
