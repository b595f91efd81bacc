"""Of the writes that follow from decisions, keep those that change something in the CRM as it stands now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from connector.core.normalize import Normalizer
from connector.pipeline.company import Company
from connector.records import Change, ChangeKind, Decision, RecordKey, Stage, Value

Fields = Mapping[str, Value]
Planned = Sequence[tuple[Decision, tuple[Change, ...]]]


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

    The CRM is asked only about records whose figures are not what we wrote there last; a stage that sales has moved
    to MQL or beyond is never overwritten.
    """
    written = _last_written(company, planned)
    due = [c for decision, changes in planned for c in changes if _has_news(c, decision, written)]
    current = _read_current(company, due)
    asked = {(c.crm, c.idempotency_key) for c in due}
    normalizer = Normalizer(company.mapping)

    def kept(change: Change) -> Change | None:
        if not _writes_fields(change):
            return change
        if (change.crm, change.idempotency_key) not in asked or change.record not in current:
            return None
        return _difference(change, current[change.record], normalizer)

    changes = [tuple(c for c in map(kept, changes) if c is not None) for _, changes in planned]
    return Kept(changes, {change.record for change in due} - current.keys())


def left_out(changes: Sequence[Change], kept: Sequence[Change]) -> list[Change]:
    """Return the field writes of `changes` with those fields only that `keep_differences` did not keep.

    Older writes of these fields that have not got out are out of date.
    """
    by_key = {(change.crm, change.idempotency_key): change.fields for change in kept}
    rest = []
    for change in filter(_writes_fields, changes):
        still = by_key.get((change.crm, change.idempotency_key), {})
        fields = {name: value for name, value in change.fields.items() if name not in still}
        if fields:
            rest.append(replace(change, fields=fields))
    return rest


def was_moved_by_sales(change: Change, current: Fields, normalizer: Normalizer) -> bool:
    """Tell whether the record stands where a STAGE of ours must not be written over it.

    That is at MQL or beyond, and at recycled when it was not recycled as the change was planned.
    """
    stages = {name: normalizer.stage(change.record, current.get(name)) for name in change.fields}
    return any(
        stage is not None and (
            stage.rank >= Stage.MQL.rank
            or (stage is Stage.RECYCLED and name in change.before and change.before[name] != current.get(name))
        )
        for name, stage in stages.items()
    )


def _writes_fields(change: Change) -> bool:
    return change.kind in (ChangeKind.STAGE, ChangeKind.SCORE)


def _last_written(company: Company, planned: Planned) -> dict[str, Fields]:
    records: dict[str, set[str]] = defaultdict(set)
    for _, changes in planned:
        for change in filter(_writes_fields, changes):
            records[change.crm].add(str(change.record))
    written: dict[str, Fields] = {}
    for crm, keys in records.items():
        written |= company.store.get_last_written(company.name, crm, keys)
    return written


def _has_news(change: Change, decision: Decision, written: Mapping[str, Fields]) -> bool:
    """Tell whether a field write may change something, by what we know without asking the CRM.

    Who has no points and never had any is left alone: most people of an account are.
    """
    if not _writes_fields(change):
        return False
    if change.kind is ChangeKind.STAGE:
        return True  # sales moves stages too: what we wrote there last says nothing about now
    last = written.get(str(change.record))
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


def _difference(change: Change, current: Fields, normalizer: Normalizer) -> Change | None:
    if change.kind is ChangeKind.STAGE and was_moved_by_sales(change, current, normalizer):
        return None
    differing = {name: value for name, value in change.fields.items() if current.get(name) != value}
    if not differing:
        return None
    return replace(change, fields=differing, before={name: current.get(name) for name in differing})
