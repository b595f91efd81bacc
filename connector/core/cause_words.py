"""The words in which it is told why an MQL did not become an SQL in time, in Japanese and English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from connector.records import ChangeKind


@dataclass(frozen=True)
class Japanese:
    """Japanese words."""

    kinds: Mapping[str, str] = field(default_factory=lambda: {
        "rejected_without_reason": "理由の記録なく見送り",
        "rejected_with_reason": "理由を示して見送り",
        "converted_elsewhere": "別のレコードに変換",
        "sync_error": "CRMに書き込めていない",
        "no_owner": "担当者がいない",
        "owner_inactive": "担当者が無効",
        "no_phone_or_email": "電話もメールもない",
        "bounced": "メールが不達",
        "opted_out": "配信停止",
        "late": "対応が遅れた",
        "task_never_opened": "タスクが手つかず",
        "no_follow_up": "対応の記録がない",
        "undecided": "対応中で未確定",
    })
    changes: Mapping[ChangeKind, str] = field(default_factory=lambda: {
        ChangeKind.STAGE: "ステージ", ChangeKind.LEAD: "リード", ChangeKind.TASK: "タスク", ChangeKind.NOTE: "メモ",
    })
    rules: Mapping[str, str] = field(default_factory=lambda: {
        "record": "レコードの所有者", "account": "会社の所有者", "listed": "一覧", "round_robin": "持ち回り",
        "queue": "キュー",
    })
    reasons: Mapping[str, str] = field(default_factory=lambda: {
        "no_owner": "なし", "inactive": "無効", "unknown_owner": "利用者でない", "no_account": "会社が不明",
        "account_in_doubt": "会社を1つに決められない", "not_in_this_crm": "このCRMにいない",
        "nobody_active": "有効な人がいない", "not_for_them": "対象外", "no_queue": "このCRMのキューがない",
    })
    no_reason_read: str = "（理由の項目 reject_reason は設定されていません）"
    no_contact: str = "電話番号もメールアドレスも登録がありません"

    def rejected(self, at: str, crm: str, reason: str) -> str:
        """When and where sales let them go, and why where it said so."""
        told = f"{at} {crm}で見送り" if crm else f"{at} 見送り"
        return f"{told}：「{reason}」" if reason else f"{told}、理由の記録なし"

    def converted(self, record: str, into: str) -> str:
        """A record that went on as another one, with no deal of theirs."""
        return f"{record} は {into} に変換されましたが、本人の商談がありません"

    def unwritten(self, what: str, state: str, told: str, remedy: str) -> str:
        """A write that did not get through: the CRM's own words, and what can be done."""
        return "。".join(part for part in (f"{what}：{_STATES_JA.get(state, state)}", told, remedy) if part)

    def nobody(self, crm: str, skipped: Sequence[str]) -> str:
        """Why each owner rule gave nobody in a CRM."""
        return f"{crm}：{'、'.join(skipped)}" if skipped else f"{crm}：決め方がありません"

    def skipped(self, rule: str, name: str, reason: str) -> str:
        """Why one owner rule gave nobody."""
        return f"{rule}{f' {name}' if name else ''}（{reason}）"

    def queued(self, crm: str, queue: str) -> str:
        """A queue has it, and nobody took it out."""
        return f"{crm}：キュー {queue} にあり、まだ誰も引き取っていません"

    def inactive(self, crm: str, name: str) -> str:
        """Who cannot act any more."""
        return f"{crm}：{name} は無効です"

    def bounced(self, value: str) -> str:
        """That mail to them comes back, and what else the CRM says about it."""
        return f"CRMに不達の記録があります{f'（{value}）' if value else ''}"

    def opted_out(self, has_phone: bool) -> str:
        """Whom we may not write to."""
        return "メールは送れません（電話番号あり）" if has_phone else "メールは送れず、電話番号もありません"

    def late(self, at: str, hours: str) -> str:
        """When sales first acted, and how many business hours after the deadline."""
        return f"最初の対応は {at}、期限から{hours}営業時間後"

    def untouched(self, crm: str, at: str) -> str:
        """A task that nobody completed."""
        return f"{crm}のタスク（{at}作成）が未完了で、電話・メール・面談の記録もありません"

    def not_followed_up(self, due: str) -> str:
        """Nothing was done, and there was no task."""
        return f"期限 {due} までに完了・電話・メール・面談の記録がありません"

    def undecided(self, at: str) -> str:
        """Sales acted in time and it is open what comes of it."""
        return f"{at} に対応済み、商談はまだありません"


@dataclass(frozen=True)
class English:
    """English words; the same surface as Japanese."""

    kinds: Mapping[str, str] = field(default_factory=lambda: {
        "rejected_without_reason": "rejected without a reason",
        "rejected_with_reason": "rejected with a reason",
        "converted_elsewhere": "converted elsewhere",
        "sync_error": "not written to the CRM",
        "no_owner": "no owner",
        "owner_inactive": "owner inactive",
        "no_phone_or_email": "no phone and no e-mail",
        "bounced": "e-mail bounces",
        "opted_out": "opted out",
        "late": "followed up late",
        "task_never_opened": "task not touched",
        "no_follow_up": "no follow-up",
        "undecided": "still undecided",
    })
    changes: Mapping[ChangeKind, str] = field(default_factory=lambda: {
        ChangeKind.STAGE: "stage", ChangeKind.LEAD: "lead", ChangeKind.TASK: "task", ChangeKind.NOTE: "note",
    })
    rules: Mapping[str, str] = field(default_factory=lambda: {
        "record": "the record's owner", "account": "the company's owner", "listed": "list", "round_robin": "rotation",
        "queue": "queue",
    })
    reasons: Mapping[str, str] = field(default_factory=lambda: {
        "no_owner": "none", "inactive": "inactive", "unknown_owner": "no user", "no_account": "company unknown",
        "account_in_doubt": "several companies fit", "not_in_this_crm": "not in this CRM",
        "nobody_active": "nobody active", "not_for_them": "for others", "no_queue": "none in this CRM",
    })
    no_reason_read: str = " (the mapping reads no `reject_reason`)"
    no_contact: str = "neither a phone number nor an e-mail address is known"

    def rejected(self, at: str, crm: str, reason: str) -> str:
        """When and where sales let them go, and why where it said so."""
        told = f"rejected on {at} in {crm}" if crm else f"rejected on {at}"
        return f"{told}: “{reason}”" if reason else f"{told}, no reason recorded"

    def converted(self, record: str, into: str) -> str:
        """A record that went on as another one, with no deal of theirs."""
        return f"{record} was converted into {into}, and they are in no deal"

    def unwritten(self, what: str, state: str, told: str, remedy: str) -> str:
        """A write that did not get through: the CRM's own words, and what can be done."""
        return "; ".join(part for part in (f"{what}: {_STATES_EN.get(state, state)}", told, remedy) if part)

    def nobody(self, crm: str, skipped: Sequence[str]) -> str:
        """Why each owner rule gave nobody in a CRM."""
        return f"{crm}: {', '.join(skipped)}" if skipped else f"{crm}: there is no rule"

    def skipped(self, rule: str, name: str, reason: str) -> str:
        """Why one owner rule gave nobody."""
        return f"{rule}{f' {name}' if name else ''} ({reason})"

    def queued(self, crm: str, queue: str) -> str:
        """A queue has it, and nobody took it out."""
        return f"{crm}: in queue {queue}, nobody has taken it"

    def inactive(self, crm: str, name: str) -> str:
        """Who cannot act any more."""
        return f"{crm}: {name} is inactive"

    def bounced(self, value: str) -> str:
        """That mail to them comes back, and what else the CRM says about it."""
        return f"the CRM says that mail bounces{f' ({value})' if value else ''}"

    def opted_out(self, has_phone: bool) -> str:
        """Whom we may not write to."""
        return "no e-mail may be sent; there is a phone number" if has_phone else "no e-mail may be sent, and no phone"

    def late(self, at: str, hours: str) -> str:
        """When sales first acted, and how many business hours after the deadline."""
        return f"first acted on {at}, {hours} business hours after the deadline"

    def untouched(self, crm: str, at: str) -> str:
        """A task that nobody completed."""
        return f"the task in {crm}, made {at}, is not completed, and no call, e-mail or meeting is logged"

    def not_followed_up(self, due: str) -> str:
        """Nothing was done, and there was no task."""
        return f"no completed task, call, e-mail or meeting is logged; it was due {due}"

    def undecided(self, at: str) -> str:
        """Sales acted in time and it is open what comes of it."""
        return f"acted on {at}, no deal yet"


_STATES_JA = {
    "planned": "書き込み待ち", "sending": "送信中", "retry": "再試行待ち", "rejected": "CRMが拒否", "dead": "断念",
}
_STATES_EN = {
    "planned": "waits to be written", "sending": "under way", "retry": "to be tried again", "rejected": "refused",
    "dead": "given up",
}

CauseWords = Japanese | English

_WORDS: Mapping[str, CauseWords] = {"ja": Japanese(), "en": English()}


def cause_words_of(language: Literal["ja", "en"]) -> CauseWords:
    """Return the words of a company's language."""
    return _WORDS[language]
