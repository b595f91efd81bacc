"""Of the writes that follow from decisions, keep those that change something in the CRM as it stands now.

Looked at twice: when they are planned, and, where what sales has done since must not be written over, once more right
before they are sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.records import Change, ChangeKind, Decision, Outcome, Receipt, RecordKey, Stage, Value

Fields = Mapping[str, Value]
Planned = Sequence[tuple[Decision, tuple[Change, ...]]]


MOVED_BY_SALES = "sales moved it meanwhile"
NOT_MAPPED = "the mapping does not write it any more"
CHANGED_SINCE = "others have changed it since"

_EMPTY = (None, "")


class Kept(NamedTuple):
    """What is left to write.

    Attributes:
        changes: Per decision, in order.
        gone: Records that the CRM no longer has; nothing is to be written about them.
    """

    changes: list[tuple[Change, ...]]
    gone: set[RecordKey]


def keep_differences(company: Company, planned: Planned) -> Kept:
    """Return each decision's changes, the field writes cut down to what differs, `before` filled in.

    The CRM is asked only about records whose figures are not what we wrote there last; a stage is only ever moved
    forward, never over sales' own recycling unless they are handed off after it, and only one that stands at MQL is
    taken back to nurturing.
    """
    written = _last_written(company, planned)
    due = [c for decision, changes in planned for c in changes if _has_news(c, decision, written)]
    current = _read_current(company, due)
    asked = {(c.crm, c.idempotency_key) for c in due}
    normalizer = Normalizer(company.mapping)

    def kept(decision: Decision, change: Change) -> Change | None:
        if not change.kind.writes_fields:
            return change
        if (change.crm, change.idempotency_key) not in asked or change.record not in current:
            return None
        return _difference(change, decision, current[change.record], normalizer)

    changes = [tuple(c for c in (kept(d, one) for one in own) if c is not None) for d, own in planned]
    return Kept(changes, {change.record for change in due} - current.keys())


def may_differ(company: Company, planned: Planned) -> list[Change]:
    """Return those of the decisions' changes that may be written, as far as that is known without asking a CRM."""
    written = _last_written(company, planned)
    return [
        change for decision, changes in planned for change in changes
        if not change.kind.writes_fields or _has_news(change, decision, written)
    ]


def left_out(changes: Sequence[Change], kept: Sequence[Change]) -> list[Change]:
    """Return the field writes of `changes` with those fields only that `keep_differences` did not keep.

    Older writes of these fields that have not got out are out of date.
    """
    by_key = {(change.crm, change.idempotency_key): change.fields for change in kept}
    rest = []
    for change in changes:
        if change.kind not in (ChangeKind.STAGE, ChangeKind.SCORE):
            continue    # a recycling is for once: what stands instead of it is not up to date either
        still = by_key.get((change.crm, change.idempotency_key), {})
        fields = {name: value for name, value in change.fields.items() if name not in still}
        if fields:
            rest.append(replace(change, fields=fields))
    return rest


class Checked(NamedTuple):
    """Claimed changes, as the CRM stands right before they are sent.

    Attributes:
        left_alone: Receipts for what must not, or need not, be written.
        to_send: The others, in order.
        narrowed: Those of `to_send` that are not quite as planned: fewer fields, or other values there before.
    """

    left_alone: list[Receipt]
    to_send: list[Change]
    narrowed: list[Change]


def check_before_sending(company: Company, normalizer: Normalizer, crm: str, changes: Sequence[Change]) -> Checked:
    """Ask the CRM how the records of these STAGE, RECYCLE and RESTORE changes stand, and sort all changes by it.

    Since they were planned, sales may have moved a stage, and anybody may have changed what a run wrote. A STAGE is not
    written over itself or what lies beyond it; a RECYCLE only over what stood there when it was planned; a RESTORE
    writes those fields only that still have what the run wrote. A stage that is empty in a RECYCLE or RESTORE was
    cleared by ourselves, on the way to the value before it. A record that is gone is sent all the same: the CRM itself
    says best what is wrong. Of a STAGE or SCORE that waited, or is tried again, no field is written that the mapping
    has been rid of since.
    """
    current = _read_current(company, [change for change in changes if change.kind in _CHECKED])
    checked = Checked([], [], [])
    for change in changes:
        verdict = _still_mapped(company, change)
        values = current.get(change.record) if change.kind in _CHECKED else None
        if isinstance(verdict, Change) and values is not None:
            verdict = _CHECKED[change.kind](company, normalizer, verdict, values)
        if isinstance(verdict, Receipt):
            checked.left_alone.append(verdict)
            continue
        checked.to_send.append(verdict)
        if verdict != change:
            checked.narrowed.append(verdict)
    return checked


def _still_mapped(company: Company, change: Change) -> Change | Receipt:
    if change.kind not in (ChangeKind.STAGE, ChangeKind.SCORE):
        return change
    write_back = company.mapping.crm[change.crm].write_back.get(change.record.stream)
    names = {write_back.stage, *write_back.fields.values()} if write_back is not None else set()
    if change.fields.keys() <= names:
        return change
    fields = {name: value for name, value in change.fields.items() if name in names}
    return replace(change, fields=fields) if fields else Receipt(
        change.idempotency_key, Outcome.UNCHANGED, reason=NOT_MAPPED,
    )


def _checked_stage(company: Company, normalizer: Normalizer, change: Change, current: Fields) -> Change | Receipt:
    if all(current.get(name) == value for name, value in change.fields.items()):
        return Receipt(change.idempotency_key, Outcome.UNCHANGED)
    if _stands_further(change, current, normalizer):
        return Receipt(change.idempotency_key, Outcome.UNCHANGED, reason="it stands there already, or further")
    if _is_set_back(change, current, normalizer) or _is_sent_back_since(change, current, normalizer):
        return Receipt(change.idempotency_key, Outcome.UNCHANGED, reason=MOVED_BY_SALES)
    return replace(change, before={name: current.get(name) for name in change.fields})


def _checked_recycle(company: Company, normalizer: Normalizer, change: Change, current: Fields) -> Change | Receipt:
    if all(current.get(name) == value for name, value in change.fields.items()):
        return Receipt(change.idempotency_key, Outcome.UNCHANGED)
    if all(current.get(name) in (*_EMPTY, change.before.get(name)) for name in change.fields):
        return change
    return Receipt(change.idempotency_key, Outcome.UNCHANGED, reason=MOVED_BY_SALES)


def _checked_restore(company: Company, normalizer: Normalizer, change: Change, current: Fields) -> Change | Receipt:
    write_back = company.mapping.crm[change.crm].write_back.get(change.record.stream)
    stage = write_back.stage if write_back is not None else ""
    undone = {name: value for name, value in change.fields.items() if current.get(name) == value}
    still_ours = {
        name: value for name, value in change.fields.items() if name not in undone
        and (current.get(name) == change.before.get(name) or (name == stage and current.get(name) in _EMPTY))
    }
    if still_ours:
        return replace(change, fields=undone | still_ours)
    if undone:
        return Receipt(change.idempotency_key, Outcome.UNCHANGED)
    return Receipt(change.idempotency_key, Outcome.UNCHANGED, reason=CHANGED_SINCE)


_CHECKED = {
    ChangeKind.STAGE: _checked_stage, ChangeKind.RECYCLE: _checked_recycle, ChangeKind.RESTORE: _checked_restore,
}


def _stands_further(change: Change, current: Fields, normalizer: Normalizer) -> bool:
    """Tell whether the record stands where a STAGE would move it, or beyond: ours only go forward."""
    return any(
        (stands := normalizer.stage(change.record, current.get(name))) is not None
        and stands.rank >= (normalizer.stage(change.record, value) or Stage.MQL).rank
        for name, value in change.fields.items()
    )


def _is_set_back(change: Change, current: Fields, normalizer: Normalizer) -> bool:
    """Tell whether a STAGE beyond MQL finds the record before it: sales has set it back, whatever that is called."""
    return any(
        normalizer.stage(change.record, value) in (Stage.SAL, Stage.SQL)
        and (normalizer.stage(change.record, current.get(name)) or Stage.INQUIRY).rank < Stage.MQL.rank
        for name, value in change.fields.items()
    )


def _is_sent_back(change: Change, current: Fields, normalizer: Normalizer) -> bool:
    return any(normalizer.stage(change.record, current.get(name)) is Stage.RECYCLED for name in change.fields)


def _is_sent_back_since(change: Change, current: Fields, normalizer: Normalizer) -> bool:
    """Tell whether the record was recycled after a STAGE was planned for it."""
    return _is_sent_back(change, current, normalizer) and any(
        name in change.before and change.before[name] != current.get(name) for name in change.fields
    )


def _is_handed_off_after(decision: Decision) -> bool:
    """Tell whether this is the handoff of somebody of whom it was known that they may be recycled somewhere."""
    return decision.hands_off and decision.stage_before not in (Stage.INQUIRY, Stage.MQL, Stage.SAL)


def _stands_at_mql(change: Change, current: Fields, normalizer: Normalizer) -> bool:
    return all(normalizer.stage(change.record, current.get(name)) is Stage.MQL for name in change.fields)


def _last_written(company: Company, planned: Planned) -> dict[str, Fields]:
    records: dict[str, set[str]] = defaultdict(set)
    for _, changes in planned:
        for change in changes:
            if change.kind.writes_fields:
                records[change.crm].add(str(change.record))
    written: dict[str, Fields] = {}
    for crm, keys in records.items():
        written |= company.store.get_last_written(company.name, crm, keys)
    return written


def _has_news(change: Change, decision: Decision, written: Mapping[str, Fields]) -> bool:
    """Tell whether a field write may change something, by what we know without asking the CRM.

    Who has no points and never had any is left alone: most people of an account are.
    """
    if not change.kind.writes_fields:
        return False
    if change.kind is ChangeKind.RECYCLE or (change.kind is ChangeKind.STAGE and decision.hands_off):
        return True  # sales moves stages too: what we wrote there last says nothing about now
    last = written.get(str(change.record))
    if change.kind is ChangeKind.STAGE:
        # Somebody who followed a deal once is not moved on again: who set them back, or undid it, meant it.
        return last is None or any(last.get(name) != value for name, value in change.fields.items())
    if last is None:
        return decision.hands_off or decision.score.total_points != 0
    return any(name not in last or last[name] != value for name, value in change.fields.items())


def _read_current(company: Company, due: Sequence[Change]) -> dict[RecordKey, Fields]:
    by_stream: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for change in due:
        by_stream[change.crm, change.record.stream].append(change)
    current: dict[RecordKey, Fields] = {}
    for (crm, stream), changes in by_stream.items():
        remote_ids = sorted({change.record.remote_id for change in changes})
        fields = sorted({name for change in changes for name in change.fields})
        values = company.adapters[crm].read_back(stream, remote_ids, fields)
        current |= {RecordKey(crm, stream, remote_id): found for remote_id, found in values.items()}
    return current


def _difference(change: Change, decision: Decision, current: Fields, normalizer: Normalizer) -> Change | None:
    if change.kind is ChangeKind.STAGE:
        if _stands_further(change, current, normalizer) or _is_set_back(change, current, normalizer):
            return None
        if _is_sent_back(change, current, normalizer) and not _is_handed_off_after(decision):
            return None
    if change.kind is ChangeKind.RECYCLE and not _stands_at_mql(change, current, normalizer):
        return None
    differing = {name: value for name, value in change.fields.items() if current.get(name) != value}
    if not differing:
        return None
    return replace(change, fields=differing, before={name: current.get(name) for name in differing})
