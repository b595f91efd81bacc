"""What the store's tests keep in it: small values that differ only where a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from connector.records import (
    Activity,
    ActivityKind,
    Change,
    ChangeKind,
    Decision,
    Document,
    RawRecord,
    Reason,
    RecordKey,
    Score,
    Section,
    Stage,
)

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
COMPANY = "mirai"


def later(**duration: float) -> datetime:
    return NOW + timedelta(**duration)


def raw(remote_id: str, **payload: Any) -> RawRecord:
    return RawRecord("contacts", remote_id, NOW, payload or {"lastname": "佐藤"})


def key(remote_id: str, stream: str = "contacts") -> RecordKey:
    return RecordKey("hubspot", stream, remote_id)


def visit(source: RecordKey, subject: str, occurred_at: datetime = NOW, title: str = "価格ページ") -> Activity:
    return Activity(str(source), subject, ActivityKind.WEBSITE_VISITED, occurred_at, title, "hubspot")


def decision(person_id: str, *, cycle: int = 1, hands_off: bool = True, points: float = 60) -> Decision:
    reason = Reason("seminar", "セミナー参加", "engagement", points, "hubspot:seminars:1", "AI入門", NOW)
    return Decision(
        person_id, cycle, NOW, Score(person_id, "2026-11", NOW, (reason,)), Stage.INQUIRY, hands_off,
        deadline_at=later(hours=8) if hands_off else None,
    )


def change(person_id: str, kind: ChangeKind, *, cycle: int = 1, record: str = "1", **fields: Any) -> Change:
    document = Document("新しいMQL", (Section("理由", ("セミナー参加 50",)),))
    is_text = kind in (ChangeKind.TASK, ChangeKind.NOTE)
    return Change(
        f"{COMPANY}/{person_id}/{cycle}/{kind}", "hubspot", kind, person_id, cycle, key(record), fields,
        document=document if is_text else None,
    )
