"""The stable JSON forms of what commands print. docs/json.md documents them; add keys, never rename them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from connector.cli.reasons import instant_as_json, points_as_json, reason_as_json
from connector.pipeline.budget import CrmEstimate
from connector.pipeline.evaluate import Judged
from connector.pipeline.run import Plan, RunReport
from connector.records import Change, ChangeKind, Document, Link

_STEERING = re.compile("[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""Characters that hide something, turn text round or move a terminal's cursor, and that JSON allows as they are."""


def print_json(content: dict[str, Any]) -> None:
    """Print a JSON object, UTF-8, two spaces of indent, and a newline.

    Characters that would do something on a terminal are escaped: whoever reads the JSON gets each value as it is.
    """
    text = orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()
    escaped = _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stdout.buffer.write(escaped.encode() + b"\n")
    sys.stdout.buffer.flush()


def sync_as_json(report: RunReport) -> dict[str, Any]:
    """Return what a run did."""
    return {
        "company": report.company,
        "run_id": report.run_id,
        "started_at": instant_as_json(report.started_at),
        "finished_at": instant_as_json(report.finished_at),
        "pulled": [
            {"crm": c.crm, "stream": c.stream, "new": c.new, "changed": c.changed, "unchanged": c.unchanged,
             "removed": c.removed, "error": c.error or None, "is_fresh": c.is_fresh}
            for c in report.pulled
        ],
        "removed": [asdict(c) | {"error": c.error or None} for c in report.removed.counts],
        "erased_count": report.removed.erased_count,
        "judged_count": report.judged_count,
        "waiting_count": report.waiting_count,
        "handed_off_count": report.handed_off_count,
        "recycled_count": report.recycled_count,
        "handed_off": [judged_as_json(j) for j in report.handed_off],
        "outcomes": report.outcomes,
        "held": None if report.held is None else {
            "limit": report.held.limit, "total": report.held.total, "counts": _by_kind(report.held.counts),
            "usual": _by_kind(report.held.usual),
        },
        "told": {"notices": report.told.told_count, "messages": report.told.message_count,
                 "waiting": report.told.waiting_count},
        "set_aside": [
            {"key": c.key, "reason": c.reason, "records": list(c.records)} for c in report.set_aside
        ],
        "outbox": report.outbox,
        "calls": {crm: count._asdict() for crm, count in report.calls.items()},
        "notices": report.notices,
        "problems": report.problems,
    }


def _by_kind(numbers: Mapping[str, Mapping[ChangeKind, float]]) -> dict[str, dict[str, float]]:
    return {crm: {kind.value: number for kind, number in kinds.items()} for crm, kinds in numbers.items()}


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return every intended write."""
    changes = [c for people in (plan.judged, plan.waiting) for one in people for c in one.changes]
    return {
        "company": plan.company,
        "changes": [change_as_json(c) for c in changes],
        "stopped": plan.stopped,
        "unread": plan.unread,
        "notices": plan.notices,
    }


def estimate_as_json(company: str, estimates: list[CrmEstimate]) -> dict[str, Any]:
    """Return what the next pull takes."""
    return {
        "company": company,
        "crms": [
            {"crm": e.crm, "calls": e.calls, "allowed": e.allowed, "left": e.left,
             "streams": [s._asdict() for s in e.streams], "error": str(e.error) if e.error else None}
            for e in estimates
        ],
    }


def judged_as_json(judged: Judged) -> dict[str, Any]:
    """Return who was, or would be, handed off, and why."""
    decision = judged.decision
    return {
        "person_id": judged.person.person_id,
        "records": [str(c.key) for c in judged.person.contacts],
        "cycle": decision.cycle,
        "deadline_at": instant_as_json(decision.deadline_at),
        **points_as_json(decision.score),
        "reasons": [reason_as_json(r) for r in decision.score.reasons],
    }


def change_as_json(change: Change) -> dict[str, Any]:
    """Return one planned write."""
    return {
        "crm": change.crm, "kind": change.kind.value, "record": str(change.record), "person_id": change.person_id,
        "cycle": change.cycle, "idempotency_key": change.idempotency_key,
        "fields": [
            {"field": name, "before": change.before.get(name), "after": value}
            for name, value in change.fields.items()
        ],
        "document": _document(change.document),
        "owner_id": change.owner_id or None,
        "due_at": instant_as_json(change.due_at),
    }


def _document(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return {
        "title": document.title,
        "sections": [
            {"heading": s.heading, "lines": [one._asdict() if isinstance(one, Link) else one for one in s.lines]}
            for s in document.sections
        ],
    }
