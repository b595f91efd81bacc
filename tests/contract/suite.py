"""What the tests of the contract suite have in common: what a handoff writes, and how answers go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from accounts import NAME, Account, Failure, Kept, MovedAccount, Need

from connector.adapter_kit.sandbox.world import World
from connector.errors import RateLimitedError, UnavailableError
from connector.records import Change, ChangeKind, Document, Outcome, Receipt, RecordKey, Section, Value

DUE_AT = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
DOCUMENT = Document("MQL: 佐藤 花子", (Section("なぜ今か", ("セミナー参加 50点", "資料ダウンロード 20点")),))
HANDED_OFF = (ChangeKind.SCORE, ChangeKind.STAGE, ChangeKind.TASK, ChangeKind.NOTE)
CREATED = (ChangeKind.TASK, ChangeKind.NOTE)
MARKED = {ChangeKind.TASK: ChangeKind.CLOSE_TASK, ChangeKind.NOTE: ChangeKind.MARK_NOTE}
FOR_EVER = 99
PERSONAL_WORDS = (
    "kaneda.example", "person0", "名0", "改名", "佐藤", "花子", "セミナー", "資料", "なぜ今か", "カネダ",
    "非数値", "非非",
)
"""Parts of every address, name and text that the suite uses: none belongs into a log."""

READ_FAILURES: Mapping[str, Failure] = {
    "rate limit": Failure({"status": 429, "retry_after_seconds": 7}, RateLimitedError),
    "rate limit, no time named": Failure({"status": 429}, RateLimitedError),
    "rate limit for an hour": Failure({"status": 429, "retry_after_seconds": 3600}, RateLimitedError, passes=False),
    "500": Failure({"status": 500}, UnavailableError),
    "502 in HTML": Failure({"status": 502, "body": "<html>Bad Gateway</html>"}, UnavailableError),
    "503": Failure({"status": 503}, UnavailableError),
    "504": Failure({"status": 504, "body": ""}, UnavailableError),
    "521": Failure({"status": 521, "body": "<html>Web server is down</html>"}, UnavailableError),
    "timeout": Failure({"delay_seconds": 0.9}, UnavailableError),
    "reset": Failure({"drop": "before"}, UnavailableError),
    "answer lost": Failure({"drop": "after"}, UnavailableError),
    "truncated": Failure({"drop": "truncate"}, UnavailableError),
    "HTML for JSON": Failure({"status": 200, "body": "<html>maintenance</html>"}, UnavailableError),
    "nothing for JSON": Failure({"status": 200, "body": ""}, UnavailableError),
}
"""How the answers of any CRM may go wrong."""


def needs(*what: Need) -> pytest.MarkDecorator:
    """Say what a test needs of an account: it is not made for those that lack it."""
    return pytest.mark.needs(*what)


def failures_of(account: Any) -> dict[str, Failure]:
    """Return how this CRM's answers may go wrong."""
    return {**READ_FAILURES, **account.failures}


def no_seeds(name: str, **_: Any) -> World:
    raise KeyError(name)


def change(account: Account, kind: ChangeKind, remote_id: str, fields: Mapping[str, Value] = {}) -> Change:
    is_created = kind.creates
    return Change(
        idempotency_key=f"{NAME}/p-{remote_id}/1/{kind}", crm=account.crm, kind=kind, person_id=f"p-{remote_id}",
        cycle=1, record=RecordKey(account.crm, account.stream, remote_id), fields=fields,
        document=DOCUMENT if is_created else None, due_at=DUE_AT if kind is ChangeKind.TASK else None,
    )


def handoff(account: Account, remote_id: str) -> list[Change]:
    """Return what a handoff writes to a person: score, stage, task, note."""
    score = {account.words.score: 70, account.words.reason: "セミナー参加 50点"}
    return [
        change(account, ChangeKind.SCORE, remote_id, score),
        change(account, ChangeKind.STAGE, remote_id, dict([account.words.stage])),
        *(change(account, kind, remote_id) for kind in CREATED),
    ]


def stepping_back(account: Account, remote_id: str, kind: ChangeKind) -> Change:
    """Return the RECYCLE or RESTORE that takes a handoff's stage, and with RESTORE its score, back."""
    field, stage = account.words.stage
    scores = {account.words.score: 12, account.words.reason: None} if kind is ChangeKind.RESTORE else {}
    back = change(account, kind, remote_id, {field: account.words.earlier_stage, **scores})
    return replace(back, before={field: stage, **dict.fromkeys(scores)})


def marking(account: Account, made: Receipt, kind: ChangeKind) -> Change:
    """Return what marks a task or a note that was made."""
    record = RecordKey(account.crm, {ChangeKind.TASK: "tasks", ChangeKind.NOTE: "notes"}[kind], made.remote_id)
    marked = change(account, MARKED[kind], made.remote_id)
    return replace(marked, record=record, document=Document("【取り下げ】", ()))


def of_kind(account: Account, kind: ChangeKind, remote_id: str) -> Change:
    return next(one for one in handoff(account, remote_id) if one.kind is kind)


def outcomes(receipts: Sequence[Receipt]) -> list[Outcome]:
    return [receipt.outcome for receipt in receipts]


def keys(these: Sequence[Change | Receipt]) -> list[str]:
    return [one.idempotency_key for one in these]


def prepare(account: MovedAccount, kept: Kept, phase: str) -> None:
    """Have several pages wait for the next pull, of a first load or of changes after one."""
    if phase == "changes":
        account.add(3)
        account.outlast_overlap()
        kept.pull(account.connect())
    account.add(account.page * 2 + 5)
    account.outlast_overlap()


both_phases: Callable[..., Any] = pytest.mark.parametrize("phase", ["first load", "changes"])
