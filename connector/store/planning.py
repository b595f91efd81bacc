"""Put changes into the outbox: what replaces what, and what of an older change still has to reach the CRM.

Of stages and scores only the newest matters, and that for each record: a change that is planned takes in the fields
of every older one to the same record that has not got out. Everything else is written exactly once under its key: a
recycling, a lead, a task, a note, and what undoes a run. A handoff takes out an unsent recycling of an earlier cycle;
a recycling takes out what is unsent of its own cycle's handoff.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from connector.records import Change, ChangeKind, Decision, RecordKey, Stage
from connector.store.bulk import each_of, insert_rows, run_for_rows
from connector.store.codec import dump_change, load_change
from connector.store.instants import to_micros
from connector.store.rows import ChangeState
from connector.store.schema import outbox

LATEST_WINS = frozenset({ChangeKind.STAGE, ChangeKind.SCORE})
"""The kinds of which only the newest matters; of the others each is written exactly once."""

HANDOFF_KINDS = frozenset({ChangeKind.STAGE, ChangeKind.LEAD, ChangeKind.TASK, ChangeKind.NOTE})
"""What belongs to the handoff of one cycle and to nothing else."""

UNDOING = frozenset({ChangeKind.RESTORE, ChangeKind.CLOSE_TASK, ChangeKind.MARK_NOTE})
"""What undoes a run: it is about what that run wrote there, whoever's it has become."""

UNSENT = frozenset({ChangeState.PLANNED, ChangeState.RETRY})
"""The states of a change that is still to be sent."""

_NOT_THROUGH = UNSENT | {ChangeState.SENDING, ChangeState.DEAD, ChangeState.REJECTED}

SUPERSEDED = "a newer change took its place"
WITHDRAWN = "a record it is about or tells of was removed from its CRM"
SENT_BACK = "they were sent back to nurturing before it was written"
HANDED_OFF_AGAIN = "they were handed off again before it was written"
UNDONE = "its run was undone before it was written"
BY_SALES = "sales went another way before it was written"
OVERTAKEN = (SENT_BACK, HANDED_OFF_AGAIN, UNDONE, BY_SALES)
"""Why a later decision, or undoing, took a change out; one that is under way then is not sent a second time."""

_TAKEN_OUT_BY = {
    ChangeKind.STAGE: (Stage.WON, Stage.LOST, Stage.RECYCLED),
    ChangeKind.RECYCLE: (Stage.SAL, Stage.SQL, Stage.WON, Stage.LOST),
}
_STAGES_OF_SALES = frozenset(stage for stages in _TAKEN_OUT_BY.values() for stage in stages)

_CANCELLED = "the CRM has these values already"

_COLUMNS = (
    "company", "crm", "idempotency_key", "kind", "priority", "person_id", "cycle", "record", "change", "state",
    "run_id", "planned_at", "updated_at",
)
_ANEW = """
    person_id = excluded.person_id, record = excluded.record, change = excluded.change, state = 'planned',
    attempts = 0, next_attempt_at = NULL, not_before = NULL, reason = '', told = '', remedy = '', remote_id = '',
    run_id = excluded.run_id, planned_at = excluded.planned_at, updated_at = excluded.updated_at
"""
_PLAN_FIELDS = f"""
    ON CONFLICT (company, crm, idempotency_key) DO UPDATE SET {_ANEW},
        written = CASE WHEN outbox.record = excluded.record THEN outbox.written END
    WHERE outbox.state <> 'sending'
"""
# What was restored once may be changed and restored again.
_PLAN_RESTORING = f"ON CONFLICT (company, crm, idempotency_key) DO UPDATE SET {_ANEW} WHERE outbox.state <> 'sending'"
# Refused for one record (it was converted or deleted meanwhile), it may still be made for another; withdrawn with
# its record, it may be made again when that comes back.
_PLAN_ONCE = f"""
    ON CONFLICT (company, crm, idempotency_key) DO UPDATE SET {_ANEW}
    WHERE outbox.state IN ('rejected', 'dead') AND (outbox.record <> excluded.record OR outbox.reason = '{WITHDRAWN}')
"""
_WAIT_BEHIND = """
    UPDATE outbox SET replacement = ?, replacement_run_id = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ? AND state = 'sending'
"""
_PLAN_REPLACEMENT = """
    UPDATE outbox SET written = CASE WHEN record = ? THEN written END, record = ?, change = ?, state = 'planned',
        attempts = 0, next_attempt_at = NULL, not_before = NULL, reason = '', told = '', remedy = '',
        run_id = replacement_run_id, planned_at = ?, replacement = NULL, replacement_run_id = NULL
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
SET_CHANGE = "UPDATE outbox SET change = ? WHERE company = ? AND crm = ? AND idempotency_key = ?"
_DROP = "DELETE FROM outbox WHERE company = ? AND crm = ? AND idempotency_key = ?"
_LAY_ASIDE = """
    UPDATE outbox SET state = 'unchanged', reason = ?, next_attempt_at = NULL, not_before = NULL, updated_at = ?
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_SUPERSEDE = """
    UPDATE outbox SET state = 'unchanged', reason = ?, next_attempt_at = NULL, not_before = NULL
    WHERE company = ? AND crm = ? AND idempotency_key = ? AND state = 'retry' AND EXISTS (
        SELECT 1 FROM outbox AS newer WHERE newer.company = outbox.company AND newer.crm = outbox.crm
            AND newer.record = outbox.record AND newer.kind = outbox.kind AND newer.planned_at > outbox.planned_at
    )
"""
_OVERTAKE = """
    UPDATE outbox SET reason = ?, replacement = NULL, replacement_run_id = NULL, next_attempt_at = NULL,
        not_before = NULL, updated_at = CASE state WHEN 'sending' THEN updated_at ELSE ? END,
        state = CASE state WHEN 'sending' THEN 'sending' ELSE 'unchanged' END
    WHERE company = ? AND crm = ? AND idempotency_key = ?
"""
_PRIORITIES = {kind: rank for rank, kind in enumerate(ChangeKind)}

Place = tuple[str, str, str]
"""Company, CRM and idempotency key of a row."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A field write that is in the outbox and has not got through."""

    place: Place
    state: ChangeState
    change: Change
    replacement: Change | None
    was_written: bool


class _Standings:
    """The field writes that have not got through under the keys of some changes, or to their records."""

    def __init__(self, connection: Connection, company: str, changes: Sequence[Change]) -> None:
        self._company = company
        self._by_place: dict[Place, _Standing] = {}
        self._by_record: dict[tuple[RecordKey, ChangeKind], list[_Standing]] = defaultdict(list)
        for one in _read_standing(connection, company, changes):
            self._by_place[one.place] = one
            self._by_record[one.change.record, one.change.kind].append(one)

    def own(self, change: Change) -> _Standing | None:
        """Return what stands under the change's own key."""
        return self._by_place.get((self._company, change.crm, change.idempotency_key))

    def others(self, change: Change) -> list[_Standing]:
        """Return the unsent ones of its kind to its record under other keys, newest first."""
        return [
            one for one in self._by_record[change.record, change.kind]
            if one.state in UNSENT and one.change.idempotency_key != change.idempotency_key
        ]


def plan_changes(
    connection: Connection, company: str, changes: Iterable[Change], run_id: int, at: datetime, *,
    cancelled: Sequence[Change] = (),
) -> None:
    """Put changes into the outbox in the caller's transaction.

    What is written once and is there already stays as it is, unless it was refused for another record. A stage or a
    score takes the place of every older one to its record, and takes over those of their fields that it does not have
    itself and that did not get out; of one that was refused, only under its own key. (The figures of a handoff are
    planned once, and what was refused may be mended.) While the older one of its own key is being sent, it waits for
    that one's answer.

    Args:
        cancelled: Field writes that are not needed: the CRM has the values of their `fields`. These fields are taken
            out of older changes that have not got out, refused ones among them, before anything is planned.
    """
    planned = list(changes)
    if cancelled:
        _cancel(connection, company, cancelled, run_id, at)
    fields = [change for change in planned if change.kind in LATEST_WINS]
    standings = _Standings(connection, company, fields)
    stamp = to_micros(at)
    waiting: list[tuple[Any, ...]] = []
    latest_wins: list[Change] = []
    superseded: list[_Standing] = []
    for change in fields:
        own, others = standings.own(change), standings.others(change)
        merged = change
        for older in others:
            merged = merge_fields(older.change, merged)
        superseded += others
        if own is not None and own.state is ChangeState.SENDING:
            merged = merge_fields(own.replacement, merged) if own.replacement else merged
            waiting.append((dump_change(merged), run_id, *own.place))
        else:
            latest_wins.append(merge_fields(own.change, merged) if own else merged)
    restoring = [change for change in planned if change.kind is ChangeKind.RESTORE]
    once_only = [change for change in planned if change.kind not in LATEST_WINS | {ChangeKind.RESTORE}]
    _put_away(connection, superseded, SUPERSEDED, stamp)
    run_for_rows(connection, _WAIT_BEHIND, waiting)
    for rows, on_conflict in (
        (latest_wins, _PLAN_FIELDS), (restoring, _PLAN_RESTORING), (once_only, _PLAN_ONCE),
    ):
        insert_rows(connection, outbox, _COLUMNS, [_to_row(company, c, run_id, stamp) for c in rows], on_conflict)


def take_out_overtaken(connection: Connection, company: str, decisions: Sequence[Decision], at: datetime) -> None:
    """Take out, in the caller's transaction, unsent changes that these decisions make pointless.

    A handoff takes out the recyclings of earlier cycles; a recycling takes out the stage, the lead, the task and the
    note of its cycle and of earlier ones; what sales did takes out the stages when it ended the cycle, and our
    recycling when it went on. They stay in the outbox, `unchanged`, with the reason. One that is under way is only
    marked: it is not sent again when its answer says that nothing was written.
    """
    handed_off = {one.person_id: one.cycle for one in decisions if one.hands_off}
    sent_back = {one.person_id: one.cycle for one in decisions if one.recycles}
    sales = {one.person_id: one for one in decisions if one.stage in _STAGES_OF_SALES and not one.recycles}
    if not handed_off and not sent_back and not sales:
        return
    columns = (
        outbox.c.company, outbox.c.crm, outbox.c.idempotency_key, outbox.c.kind, outbox.c.person_id, outbox.c.cycle,
    )
    rows = connection.execute(select(*columns).where(
        outbox.c.company == company, outbox.c.person_id.in_(each_of({*handed_off, *sent_back, *sales})),
        outbox.c.kind.in_(sorted(HANDOFF_KINDS | {ChangeKind.RECYCLE})),
        outbox.c.state.in_(sorted(UNSENT | {ChangeState.SENDING})),
    )).all()
    stamp = to_micros(at)
    run_for_rows(connection, _OVERTAKE, [
        (HANDED_OFF_AGAIN, stamp, *_place(row)) for row in rows
        if row.kind == ChangeKind.RECYCLE and row.cycle < handed_off.get(row.person_id, 0)
    ] + [
        (SENT_BACK, stamp, *_place(row)) for row in rows
        if row.kind != ChangeKind.RECYCLE and row.cycle <= sent_back.get(row.person_id, 0)
    ] + [
        (BY_SALES, stamp, *_place(row)) for row in rows
        if (one := sales.get(row.person_id)) is not None and row.cycle <= one.cycle
        and one.stage in _TAKEN_OUT_BY.get(ChangeKind(row.kind), ())
    ])


def take_out_undone(
    connection: Connection, company: str, run_id: int, taken_back: Collection[tuple[str, int]], at: datetime,
) -> None:
    """Take out, in the caller's transaction, what an undone run left unsent or refused.

    They stay in the outbox, `unchanged`, with the reason; one that is under way is not sent a second time.

    Args:
        taken_back: Person and cycle of handoffs: nothing more of these is written either, whichever run planned it.
    """
    rows = connection.execute(select(
        outbox.c.company, outbox.c.crm, outbox.c.idempotency_key, outbox.c.kind, outbox.c.person_id, outbox.c.cycle,
        outbox.c.run_id,
    ).where(
        outbox.c.company == company, outbox.c.state.in_(sorted(_NOT_THROUGH)),
        outbox.c.reason != WITHDRAWN,
        or_(outbox.c.run_id == run_id, outbox.c.person_id.in_(each_of({person_id for person_id, _ in taken_back}))),
    )).all()
    run_for_rows(connection, _OVERTAKE, [
        (UNDONE, to_micros(at), *_place(row)) for row in rows
        if row.run_id == run_id or (row.kind in HANDOFF_KINDS and (row.person_id, row.cycle) in taken_back)
    ])


def merge_fields(older: Change, newer: Change) -> Change:
    """Return the newer change with what the older one was still to write in other fields of the same object."""
    if (older.crm, older.record.stream) != (newer.crm, newer.record.stream):
        return newer
    before = {**older.before, **newer.before} if older.record == newer.record else newer.before
    return replace(newer, fields={**older.fields, **newer.fields}, before=before)


def plan_replacements(
    connection: Connection, rows: Iterable[Row[*tuple[Any, ...]]], unwritten: Collection[str], at: datetime,
) -> None:
    """Plan what waited behind these answered rows.

    Args:
        rows: As they stood while they were being sent.
        unwritten: The idempotency keys of those of which nothing was written, and may be another time.
    """
    statements = []
    for row in rows:
        if row.replacement is not None:
            change = load_change(row.replacement)
            if row.idempotency_key in unwritten:
                change = merge_fields(load_change(row.change), change)
            record = str(change.record)
            statements.append((record, record, dump_change(change), to_micros(at), *_place(row)))
    run_for_rows(connection, _PLAN_REPLACEMENT, statements)


def supersede_retries(connection: Connection, places: Sequence[Place]) -> None:
    """Give up those of these changes to be tried again whose record a newer change of the kind was planned for."""
    run_for_rows(connection, _SUPERSEDE, [(SUPERSEDED, *place) for place in places])


def _cancel(
    connection: Connection, company: str, cancelled: Sequence[Change], run_id: int, at: datetime,
) -> None:
    standings = _Standings(connection, company, cancelled)
    shrunk: list[tuple[Any, ...]] = []
    emptied: list[_Standing] = []
    waiting: list[tuple[Any, ...]] = []
    for change in cancelled:
        own = standings.own(change)
        for older in (*standings.others(change), *([own] if own else ())):
            rest = {name: value for name, value in older.change.fields.items() if name not in change.fields}
            if older.state is ChangeState.SENDING or len(rest) == len(older.change.fields):
                continue
            if rest:
                shrunk.append((dump_change(replace(older.change, fields=rest)), *older.place))
            else:
                emptied.append(older)
        if own is not None and own.state is ChangeState.SENDING and change.kind is ChangeKind.SCORE:
            again = _to_write_again(own, change)
            if again is not None:
                waiting.append((dump_change(again), run_id, *own.place))
    run_for_rows(connection, SET_CHANGE, shrunk)
    _put_away(connection, emptied, _CANCELLED, to_micros(at))
    run_for_rows(connection, _WAIT_BEHIND, waiting)


def _to_write_again(sending: _Standing, cancelled: Change) -> Change | None:
    """Return what must follow a change under way: it may still land, and then the CRM has these values no more."""
    last = sending.replacement or sending.change
    on_its_way = {**sending.change.fields, **last.fields}
    again = {n: v for n, v in cancelled.fields.items() if n in on_its_way and on_its_way[n] != v}
    if not again:
        return None
    newest = replace(cancelled, fields=again)
    return newest if sending.replacement is None else merge_fields(sending.replacement, newest)


def _put_away(connection: Connection, standings: Iterable[_Standing], reason: str, stamp: int) -> None:
    """Take unsent changes out; those that wrote something before stay, so that it is known."""
    gone = list(standings)
    run_for_rows(connection, _DROP, [one.place for one in gone if not one.was_written])
    run_for_rows(connection, _LAY_ASIDE, [(reason, stamp, *one.place) for one in gone if one.was_written])


def _read_standing(connection: Connection, company: str, changes: Sequence[Change]) -> list[_Standing]:
    """Read the field writes that have not got through, under these keys or to these records; newest first."""
    found = {}
    for crm in sorted({change.crm for change in changes}):
        ours = [change for change in changes if change.crm == crm]
        query = select(outbox).where(
            outbox.c.company == company, outbox.c.crm == crm, outbox.c.kind.in_(sorted(LATEST_WINS)),
            outbox.c.state.in_(sorted(_NOT_THROUGH)),
        )
        for which in (
            outbox.c.idempotency_key.in_(each_of({change.idempotency_key for change in ours})),
            outbox.c.record.in_(each_of({str(change.record) for change in ours})),
        ):
            found.update({_place(row): row for row in connection.execute(query.where(which))})
    return [
        _Standing(
            place, ChangeState(row.state), load_change(row.change),
            None if row.replacement is None else load_change(row.replacement), row.written is not None,
        )
        for place, row in sorted(found.items(), key=lambda item: item[1].planned_at, reverse=True)
    ]


def _to_row(company: str, change: Change, run_id: int, stamp: int) -> tuple[Any, ...]:
    return (
        company, change.crm, change.idempotency_key, change.kind.value, _PRIORITIES[change.kind], change.person_id,
        change.cycle, str(change.record), dump_change(change), ChangeState.PLANNED.value, run_id, stamp, stamp,
    )


def _place(row: Row[*tuple[Any, ...]]) -> Place:
    return row.company, row.crm, row.idempotency_key
