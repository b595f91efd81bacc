"""JSON for what the store keeps whole: payloads, scores, decisions, changes. What is written is read back equal.

Keys are sorted, so that equal values are equal texts. Instants are ISO 8601 with microseconds and offset.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from connector.records import (
    Change,
    ChangeKind,
    Cut,
    Decision,
    Document,
    Lane,
    Link,
    Ownership,
    RawRecord,
    Reason,
    RecordKey,
    Score,
    Section,
    Stage,
    StageEntry,
)

_MARK = secrets.token_hex(16)
"""A text that nobody outside this process knows, so that no payload has it."""

_BETWEEN, _AT_END = f',"{_MARK}",'.encode(), f',"{_MARK}"]'.encode()

_INT64 = range(-(2**63), 2**63)


def dump_json(value: Any) -> str:
    """JSON text of plain values, keys sorted.

    What JSON in UTF-8 cannot carry is made to fit, so that one hostile value never sinks a page: lone surrogates
    become U+FFFD, integers beyond 64 bits become text.
    """
    return dump_utf8(value).decode()


def dump_utf8(value: Any) -> bytes:
    """The same in UTF-8, as the database keeps it."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return orjson.dumps(_made_fit(value), option=orjson.OPT_SORT_KEYS)


def dump_payloads(records: Sequence[RawRecord]) -> tuple[Sequence[RawRecord], list[bytearray]]:
    """These records with payloads that JSON can carry, and their texts in UTF-8.

    All are written as one text and cut apart: orjson takes a kilobyte for each text and gives most of it back, which
    leaves holes that nothing fits in, and the memory's way from and to the system costs several times the writing.
    Cut into bytearrays, because Python's `sqlite3` binds them as they are; for each `bytes` (and None) it first looks
    for an adapter, 0.25 µs. Source: `need_adapt` in CPython's Modules/_sqlite, checked 2026-11-23.
    """
    if not records:
        return records, []
    marked = [part for record in records for part in (record.payload, _MARK)]
    try:
        written = memoryview(orjson.dumps(marked, option=orjson.OPT_SORT_KEYS))
        return records, bytearray(written[1 : -len(_AT_END)]).split(_BETWEEN)
    except orjson.JSONEncodeError:
        fit = [record._replace(payload=load_json(dump_utf8(record.payload))) for record in records]
        return dump_payloads(fit)


def fit_ids(records: Sequence[RawRecord]) -> Sequence[RawRecord]:
    """These records with ids that every database holds and compares alike: NUL, which no CRM uses, becomes U+FFFD."""
    if "\0" not in "".join([record.remote_id for record in records]):
        return records
    return [record._replace(remote_id=record.remote_id.replace("\0", "\ufffd")) for record in records]


def load_json(text: str | bytes | bytearray | None) -> Any:
    """The value that `dump_json` wrote; an empty dict for NULL."""
    return {} if text is None else orjson.loads(text)


def _made_fit(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and value not in _INT64:
        return str(value)
    if isinstance(value, Mapping):
        return {_made_fit(str(name)): _made_fit(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_made_fit(item) for item in value]
    return value


def dump_links(links: Mapping[str, tuple[str, ...]]) -> str | None:
    """JSON of a record's links; None when there are none."""
    return dump_json(links) if links else None


def load_links(text: str | None) -> dict[str, tuple[str, ...]]:
    """The links that `dump_links` wrote."""
    return {stream: tuple(remote_ids) for stream, remote_ids in load_json(text).items()}


def dump_score(score: Score) -> str:
    """JSON of a score with its reasons."""
    return dump_json(_score_to_plain(score))


def load_score(text: str) -> Score:
    """The score that `dump_score` wrote."""
    return _score_from_plain(orjson.loads(text))


def dump_decision(decision: Decision) -> str:
    """JSON of a decision with its score."""
    return dump_json({
        "person_id": decision.person_id,
        "cycle": decision.cycle,
        "decided_at": _iso(decision.decided_at),
        "score": _score_to_plain(decision.score),
        "stage_before": decision.stage_before,
        "hands_off": decision.hands_off,
        "deadline_at": _iso(decision.deadline_at),
        "recycled_at": _iso(decision.recycled_at),
        "look_again_at": _iso(decision.look_again_at),
        "is_qualified": decision.is_qualified,
        "qualified_at": _iso(decision.qualified_at),
        "obstacles": list(decision.obstacles),
        "missing": list(decision.missing),
        "cools_until": _iso(decision.cools_until),
        "override": decision.override,
        "segment": decision.segment,
        "cell": decision.cell,
        "lane": decision.lane,
        "stage": decision.stage,
        "stages": [
            [one.cycle, one.stage, _iso(one.entered_at), _iso(one.left_at), one.basis, one.crm]
            for one in decision.stages
        ],
        "followed_up_at": _iso(decision.followed_up_at),
        "recycles": decision.recycles,
        "is_urgent": decision.is_urgent,
        "owners": [list(one) for one in decision.owners],
        "held_at": _iso(decision.held_at),
    })


def load_decision(text: str) -> Decision:
    """The decision that `dump_decision` wrote."""
    plain = orjson.loads(text)
    return Decision(**plain | {
        "decided_at": datetime.fromisoformat(plain["decided_at"]),
        "score": _score_from_plain(plain["score"]),
        "stage_before": Stage(plain["stage_before"]),
        "deadline_at": _instant(plain["deadline_at"]),
        "recycled_at": _instant(plain["recycled_at"]),
        "look_again_at": _instant(plain["look_again_at"]),
        "qualified_at": _instant(plain["qualified_at"]),
        "cools_until": _instant(plain["cools_until"]),
        "obstacles": tuple(plain["obstacles"]),
        "missing": tuple(plain["missing"]),
        "lane": Lane(plain["lane"]),
        "stage": Stage(plain["stage"]),
        "stages": tuple(
            StageEntry(cycle, Stage(stage), datetime.fromisoformat(entered_at), _instant(left_at), basis, crm)
            for cycle, stage, entered_at, left_at, basis, crm in plain["stages"]
        ),
        "followed_up_at": _instant(plain["followed_up_at"]),
        "owners": tuple(Ownership(*one)._replace(skipped=tuple(one[-1])) for one in plain["owners"]),
        "held_at": _instant(plain.get("held_at")),    # of before there were backfills: not there
    })


def dump_change(change: Change) -> str:
    """JSON of a change with its document."""
    return dump_json({
        "idempotency_key": change.idempotency_key,
        "crm": change.crm,
        "kind": change.kind,
        "person_id": change.person_id,
        "cycle": change.cycle,
        "record": list(change.record),
        "fields": dict(change.fields),
        "before": dict(change.before),
        "document": _document_to_plain(change.document),
        "owner_id": change.owner_id,
        "queue_id": change.queue_id,
        "due_at": _iso(change.due_at),
        "is_urgent": change.is_urgent,
        "account_id": change.account_id,
    })


def load_change(text: str) -> Change:
    """The change that `dump_change` wrote."""
    plain = orjson.loads(text)
    return Change(**plain | {
        "kind": ChangeKind(plain["kind"]),
        "record": RecordKey(*plain["record"]),
        "document": _document_from_plain(plain["document"]),
        "due_at": _instant(plain["due_at"]),
    })


def _score_to_plain(score: Score) -> dict[str, Any]:
    return {
        "person_id": score.person_id,
        "definition": score.definition,
        "as_of": _iso(score.as_of),
        "reasons": [
            {
                "rule_id": reason.rule_id,
                "label": reason.label,
                "side": reason.side,
                "points": reason.points,
                "evidence": reason.evidence,
                "title": reason.title,
                "occurred_at": _iso(reason.occurred_at),
                "base_points": reason.base_points,
                "decay_factor": reason.decay_factor,
                "capped_by": reason.capped_by,
            }
            for reason in score.reasons
        ],
        "disqualified_by": score.disqualified_by,
        "cuts": [cut._asdict() for cut in score.cuts],
    }


def _score_from_plain(plain: dict[str, Any]) -> Score:
    reasons = tuple(
        Reason(**reason | {"occurred_at": _instant(reason["occurred_at"])}) for reason in plain["reasons"]
    )
    cuts = tuple(Cut(**cut) for cut in plain["cuts"])
    return Score(**plain | {"as_of": datetime.fromisoformat(plain["as_of"]), "reasons": reasons, "cuts": cuts})


def _document_to_plain(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    sections = [
        {"heading": section.heading, "lines": [list(one) if isinstance(one, Link) else one for one in section.lines]}
        for section in document.sections
    ]
    return {"title": document.title, "sections": sections}


def _document_from_plain(plain: dict[str, Any] | None) -> Document | None:
    if plain is None:
        return None
    sections = tuple(
        Section(section["heading"], tuple(Link(*one) if isinstance(one, list) else one for one in section["lines"]))
        for section in plain["sections"]
    )
    return Document(plain["title"], sections)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
