"""Changes as the house plans them for Salesforce, for the tests of its writer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from connector.records import Change, ChangeKind, Document, Outcome, Receipt, RecordKey, Section

DUE_AT = datetime(2026, 11, 26, 16, 30, tzinfo=UTC)   # the 27th in Tokyo
DOCUMENT = Document("MQL: 佐藤 花子", (
    Section("なぜ今か", ("セミナー参加 50点", "資料ダウンロード 20点")), Section("", ("よろしくお願いします。",)),
))


def change(kind: ChangeKind, record_id: str, *, stream: str = "leads", number: int = 1, **parts: Any) -> Change:
    return Change(
        idempotency_key=f"mirai/p-{record_id}/{number}/{kind}", crm="salesforce", kind=kind,
        person_id=f"p-{record_id}", cycle=number, record=RecordKey("salesforce", stream, record_id), **parts,
    )


def stage(record_id: str, status: str = "MQL", **parts: Any) -> Change:
    return change(ChangeKind.STAGE, record_id, fields={"Status": status}, **parts)


def score(record_id: str, points: float = 40, **parts: Any) -> Change:
    fields = {"MQL_Score__c": points, "MQL_Reason__c": "情報システム部門・部長 20点\n資料ダウンロード 20点"}
    return change(ChangeKind.SCORE, record_id, fields=fields, **parts)


def task(record_id: str, document: Document = DOCUMENT, **parts: Any) -> Change:
    return change(ChangeKind.TASK, record_id, document=document, due_at=DUE_AT, **parts)


def note(record_id: str, document: Document = DOCUMENT, **parts: Any) -> Change:
    return change(ChangeKind.NOTE, record_id, document=document, **parts)


def outcomes(receipts: Iterable[Receipt]) -> list[Outcome]:
    return [receipt.outcome for receipt in receipts]
