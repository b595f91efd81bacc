"""JSON for what the store keeps whole: payloads, scores, decisions, changes. What is written is read back equal.

Keys are sorted, so that equal values are equal texts. Instants are ISO 8601 with microseconds and offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from connector.records import (
    Change,
    ChangeKind,
    Decision,
    Document,
    Reason,
    RecordKey,
    Score,
    Section,
    Stage,
)

_INT64 = range(-(2**63), 2**63)


def dump_json(value: Any) -> str:
    """JSON text of plain values, keys sorted.

    What JSON in UTF-8 cannot carry is made to fit, so that one hostile value never sinks a page: lone surrogates
    become U+FFFD, integers beyond 64 bits become text.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONEncodeError:
        return orjson.dumps(_made_fit(value), option=orjson.OPT_SORT_KEYS).decode()


def load_json(text: str | None) -> Any:
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
        "why_not": decision.why_not,
        "deadline_at": _iso(decision.deadline_at),
        "recycled_at": _iso(decision.recycled_at),
        "look_again_at": _iso(decision.look_again_at),
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
        "due_at": _iso(change.due_at),
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
            }
            for reason in score.reasons
        ],
        "disqualified_by": score.disqualified_by,
    }


def _score_from_plain(plain: dict[str, Any]) -> Score:
    reasons = tuple(
        Reason(**reason | {"occurred_at": _instant(reason["occurred_at"])}) for reason in plain["reasons"]
    )
    return Score(**plain | {"as_of": datetime.fromisoformat(plain["as_of"]), "reasons": reasons})


def _document_to_plain(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    sections = [{"heading": section.heading, "lines": list(section.lines)} for section in document.sections]
    return {"title": document.title, "sections": sections}


def _document_from_plain(plain: dict[str, Any] | None) -> Document | None:
    if plain is None:
        return None
    sections = tuple(Section(section["heading"], tuple(section["lines"])) for section in plain["sections"])
    return Document(plain["title"], sections)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
