"""The words of every text for sales, in Japanese and English, and how each language writes dates and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from connector.records import MAKE_MQL, NEVER_MQL, ActivityKind


def number(value: float) -> str:
    """Write points as people do: no fraction when whole, at most four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Japanese:
    """Japanese words."""

    why_now: str = "なぜ今"
    breakdown: str = "点数の内訳"
    origin: str = "獲得経路"
    customer: str = "お客様"
    to_do: str = "やること"
    records: str = "別のCRMの記録"
    basis: str = "判定の根拠"
    phone: str = "電話"
    email: str = "メール"
    company: str = "会社"
    position: str = "部署・役職"
    lead_source: str = "流入元"
    first_activity: str = "最初の行動"
    unknown: str = "不明"
    nobody: str = "ご担当者様"
    no_owner: str = "未定"
    notice_test: str = "MQLコネクターからのテスト通知です。"
    handed_off_again: str = "【次の引き渡しに引き継ぎ】"
    not_in_time: str = "期限までに対応の記録がなかったため"
    told_again: str = "前回届いていない可能性があるため再送："
    emptied_notice: str = "（個人情報の削除により内容は表示できません。CRMのタスクをご確認ください）"
    fit_alone: str = "属性だけで基準に達しました。"
    by_person: str = "CRMでの人の判断でMQLにしました。"
    override: str = "MQLの判断（担当者）"
    overrides: tuple[tuple[str, str], ...] = ((MAKE_MQL, "MQLにする"), (NEVER_MQL, "MQLにしない"))
    unsubscribed: str = "配信停止中のお客様です。メールは送らず、電話で連絡してください。"
    unreachable: str = "電話もメールも分かりません。まず連絡先を調べてください。"
    headings: Mapping[ActivityKind, str] = field(default_factory=lambda: {
        ActivityKind.DOCUMENT_DOWNLOADED: "見た資料",
        ActivityKind.SEMINAR_ATTENDED: "参加セミナー",
        ActivityKind.SEMINAR_REGISTERED: "申し込んだセミナー",
        ActivityKind.INQUIRY_MADE: "お問い合わせ",
        ActivityKind.WEBSITE_VISITED: "Webサイト来訪",
        ActivityKind.CARD_EXCHANGED: "名刺交換",
        ActivityKind.NEWSLETTER_CLICKED: "メルマガのクリック",
        ActivityKind.NEWSLETTER_OPENED: "メルマガの開封",
        ActivityKind.MEETING_HELD: "商談・打ち合わせ",
        ActivityKind.CALL_MADE: "電話",
        ActivityKind.EMAIL_EXCHANGED: "メールのやり取り",
        ActivityKind.OTHER: "その他の行動",
    })
    deeds: Mapping[ActivityKind, str] = field(default_factory=lambda: {
        ActivityKind.DOCUMENT_DOWNLOADED: "資料ダウンロード",
        ActivityKind.SEMINAR_ATTENDED: "セミナー参加",
        ActivityKind.SEMINAR_REGISTERED: "セミナー申込",
        ActivityKind.INQUIRY_MADE: "お問い合わせ",
        ActivityKind.WEBSITE_VISITED: "Webサイト来訪",
        ActivityKind.CARD_EXCHANGED: "名刺交換",
        ActivityKind.NEWSLETTER_CLICKED: "メルマガのクリック",
        ActivityKind.NEWSLETTER_OPENED: "メルマガの開封",
        ActivityKind.MEETING_HELD: "商談・打ち合わせ",
        ActivityKind.CALL_MADE: "電話",
        ActivityKind.EMAIL_EXCHANGED: "メールのやり取り",
        ActivityKind.OTHER: "その他の行動",
    })
    records_of: Mapping[str, str] = field(default_factory=lambda: {"contacts": "コンタクト", "leads": "リード"})

    def person(self, last_name: str, first_name: str) -> str:
        """Family name first, with 様 unless the CRM's text has it already."""
        name = " ".join(part for part in (last_name, first_name) if part).removesuffix("様").strip()
        return f"{name}様" if name else self.nobody

    def task_title(self, company: str, person: str, due_at: datetime) -> str:
        """Who, and by when; `due_at` on the company's clock."""
        who = " ".join(part for part in (company, person) if part)
        return f"【MQL】{who}へ {self.short_day(due_at)} {due_at:%H:%M}までに連絡"

    def note_title(self, person: str, points: str) -> str:
        """What the note explains."""
        return f"MQLになった理由：{person}（{points}）"

    def points(self, value: float) -> str:
        """`40点`."""
        return f"{number(value)}点"

    def total(self, total: float, fit: float, engagement: float, threshold: float | None, cell: str) -> str:
        """The sum, its two sides, and the line it crossed or the cell of the matrix it stands in."""
        line = f"基準{self.points(threshold)}" if threshold is not None else f"判定{cell}"
        return f"合計{self.points(total)}（属性{self.points(fit)}・行動{self.points(engagement)}、{line}）"

    def qualified_since(self, day: datetime) -> str:
        """When the points were enough for the first time; `day` on the company's clock."""
        return f"{self.short_day(day)}に基準に達しました。"

    def decided_by_person(self, line: str) -> str:
        """A line of points that did not decide alone."""
        return f"人の判断：{line}"

    def recycled_because(self, why: str) -> str:
        """What stands before the title of a task whose lead went back to nurturing."""
        return f"【再育成】{why}再育成に戻しました。"

    def withdrawn(self, day: str) -> str:
        """What stands before a task or a note that was taken back."""
        return f"【取消】{day}に取り消しました。"

    def came_back(self, cycle: int, handed_over: str, sent_back: str) -> str:
        """They were with sales before; the days are empty where unknown."""
        days = [f"前回の引き渡し {handed_over}"] * bool(handed_over) + [f"差し戻し {sent_back}"] * bool(sent_back)
        return f"再び動きがあったお客様です（{'、'.join([f'{cycle}回目', *days])}）。"

    def own_text_failed(self, key: str) -> str:
        """A template of the company's own could not be filled in."""
        return f"自社の文面（{key}）を作れなかったため、標準の文面です。"

    def in_all(self, count: int) -> str:
        """How often it happened, behind the latest time."""
        return f"（計{count}回）"

    def times(self, each: float | None, count: int, total: float) -> str:
        """One rule's share: `20点`, `5点×8回 = 40点`, or `3回で12点` when the points differ."""
        if count == 1:
            return self.points(total)
        if each is None:
            return f"{count}回で{self.points(total)}"
        return f"{self.points(each)}×{count}回 = {self.points(total)}"

    def labelled(self, label: str, text: str) -> str:
        """`電話：03-…`."""
        return f"{label}：{text}"

    def quoted(self, label: str, title: str) -> str:
        """What was done and with what."""
        return f"{label}「{title}」"

    def counted(self, count: int, last_day: str) -> str:
        """How often, and when last."""
        return f"{count}回（最終 {last_day}）" if count > 1 else f"1回（{last_day}）"

    def more(self, count: int) -> str:
        """Lines that are left out."""
        return f"ほか{count}件"

    def instruction(self, due_at: datetime) -> str:
        """What sales does now."""
        return f"{self.short_day(due_at)} {due_at:%H:%M}までに連絡し、結果をこのCRMに記録してください。"

    def definition(self, version: str, cycle: int) -> str:
        """Which rules judged, in which cycle."""
        return f"MQL定義 {version}・{cycle}回目のサイクル"

    def short_day(self, day: datetime) -> str:
        """`11/24(火)`."""
        return f"{day.month}/{day.day}({'月火水木金土日'[day.weekday()]})"

    def long_day(self, day: datetime) -> str:
        """`2026/11/24(火)`."""
        return f"{day.year}/{self.short_day(day)}"

    def notice(self, kind: str, who: str, *, points: str = "", due: str = "", owner: str = "", why: str = "",
               is_urgent: bool = False) -> str:
        """What people are told outside the CRM, on one line; `kind` as in `records.Notice`."""
        told = {
            "handoff": f"【MQL{'・至急' if is_urgent else ''}】{who} {points} → 期限 {due} 担当 {owner}",
            "reminder": f"【まもなく期限】{who} 期限 {due} 担当 {owner}",
            "escalation": f"【期限超過・未対応】{who} 期限 {due} 担当 {owner}",
            "recycled": f"【育成に戻しました】{who} 理由：{why}",
            "trigger": f"【{why}】{who}",
        }
        return told[kind]

    def notice_title(self, counts: Mapping[str, int]) -> str:
        """A message's heading: how many of which kind; names nobody."""
        names = {
            "handoff": "新しいMQL", "reminder": "期限間近", "escalation": "期限超過", "recycled": "育成に戻し",
            "trigger": "行動のお知らせ",
        }
        return "、".join(f"{name}{counts[kind]}件" for kind, name in names.items() if counts.get(kind))

    def who(self, company: str, person: str) -> str:
        """A person of a company."""
        return " ".join(part for part in (company, person) if part)

    def moment(self, at: datetime) -> str:
        """`11/24(火) 17:00`; `at` on the company's clock."""
        return f"{self.short_day(at)} {at:%H:%M}"


@dataclass(frozen=True)
class English:
    """English words; the same surface as Japanese."""

    why_now: str = "Why now"
    breakdown: str = "How the points add up"
    origin: str = "How they came to us"
    customer: str = "Who"
    to_do: str = "To do"
    records: str = "Records in other CRMs"
    basis: str = "Judged by"
    phone: str = "Phone"
    email: str = "E-mail"
    company: str = "Company"
    position: str = "Position"
    lead_source: str = "Lead source"
    first_activity: str = "First activity"
    unknown: str = "unknown"
    nobody: str = "unnamed contact"
    no_owner: str = "nobody yet"
    notice_test: str = "A test message of the MQL connector."
    handed_off_again: str = "[Taken over by a new handoff]"
    not_in_time: str = "nobody followed up in time"
    told_again: str = "Sent again, because it may not have arrived before:"
    emptied_notice: str = "(removed, because personal data was erased; please look at the tasks in the CRM)"
    fit_alone: str = "Who they are was enough to qualify."
    by_person: str = "A person in the CRM decided that this is an MQL."
    override: str = "MQL decision (by a person)"
    overrides: tuple[tuple[str, str], ...] = ((MAKE_MQL, "Make MQL"), (NEVER_MQL, "Never MQL"))
    unsubscribed: str = "They have opted out of e-mail: call, do not write."
    unreachable: str = "Neither phone nor e-mail is known: find a way to reach them first."
    headings: Mapping[ActivityKind, str] = field(default_factory=lambda: {
        ActivityKind.DOCUMENT_DOWNLOADED: "Documents downloaded",
        ActivityKind.SEMINAR_ATTENDED: "Seminars attended",
        ActivityKind.SEMINAR_REGISTERED: "Seminar registrations",
        ActivityKind.INQUIRY_MADE: "Inquiries",
        ActivityKind.WEBSITE_VISITED: "Website visits",
        ActivityKind.CARD_EXCHANGED: "Business cards exchanged",
        ActivityKind.NEWSLETTER_CLICKED: "Newsletter clicks",
        ActivityKind.NEWSLETTER_OPENED: "Newsletter opens",
        ActivityKind.MEETING_HELD: "Meetings",
        ActivityKind.CALL_MADE: "Calls",
        ActivityKind.EMAIL_EXCHANGED: "E-mails exchanged",
        ActivityKind.OTHER: "Other activities",
    })
    deeds: Mapping[ActivityKind, str] = field(default_factory=lambda: {
        ActivityKind.DOCUMENT_DOWNLOADED: "downloaded",
        ActivityKind.SEMINAR_ATTENDED: "attended",
        ActivityKind.SEMINAR_REGISTERED: "registered for",
        ActivityKind.INQUIRY_MADE: "inquired",
        ActivityKind.WEBSITE_VISITED: "visited the website",
        ActivityKind.CARD_EXCHANGED: "exchanged business cards",
        ActivityKind.NEWSLETTER_CLICKED: "clicked in the newsletter",
        ActivityKind.NEWSLETTER_OPENED: "opened the newsletter",
        ActivityKind.MEETING_HELD: "met",
        ActivityKind.CALL_MADE: "spoke by telephone",
        ActivityKind.EMAIL_EXCHANGED: "exchanged e-mail",
        ActivityKind.OTHER: "other",
    })
    records_of: Mapping[str, str] = field(default_factory=lambda: {"contacts": "contact", "leads": "lead"})

    def person(self, last_name: str, first_name: str) -> str:
        """Given name first."""
        return " ".join(part for part in (first_name, last_name) if part) or self.nobody

    def task_title(self, company: str, person: str, due_at: datetime) -> str:
        """Who, and by when; `due_at` on the company's clock."""
        who = f"{person} ({company})" if company else person
        return f"[MQL] Contact {who} by {self.short_day(due_at)}, {due_at:%H:%M}"

    def note_title(self, person: str, points: str) -> str:
        """What the note explains."""
        return f"Why this is an MQL: {person} ({points})"

    def points(self, value: float) -> str:
        """`40 points`."""
        return f"{number(value)} {'point' if value == 1 else 'points'}"

    def total(self, total: float, fit: float, engagement: float, threshold: float | None, cell: str) -> str:
        """The sum, its two sides, and the line it crossed or the cell of the matrix it stands in."""
        line = f"threshold {number(threshold)}" if threshold is not None else f"graded {cell}"
        return (
            f"{self.points(total)} in total ({number(fit)} for who they are, {number(engagement)} for what they did; "
            f"{line})"
        )

    def qualified_since(self, day: datetime) -> str:
        """When the points were enough for the first time; `day` on the company's clock."""
        return f"They first qualified on {self.short_day(day)}."

    def decided_by_person(self, line: str) -> str:
        """A line of points that did not decide alone."""
        return f"A person's decision: {line}"

    def recycled_because(self, why: str) -> str:
        """What stands before the title of a task whose lead went back to nurturing."""
        return f"[Back to nurturing: {why}]"

    def withdrawn(self, day: str) -> str:
        """What stands before a task or a note that was taken back."""
        return f"[Withdrawn on {day}]"

    def came_back(self, cycle: int, handed_over: str, sent_back: str) -> str:
        """They were with sales before; the days are empty where unknown."""
        days = [f"handed over before on {handed_over}"] * bool(handed_over)
        days += [f"sent back on {sent_back}"] * bool(sent_back)
        return f"They came back ({', '.join([f'cycle {cycle}', *days])})."

    def own_text_failed(self, key: str) -> str:
        """A template of the company's own could not be filled in."""
        return f"Your own text ({key}) could not be made; this is the one that comes along."

    def in_all(self, count: int) -> str:
        """How often it happened, behind the latest time."""
        return f" ({count} times in all)"

    def times(self, each: float | None, count: int, total: float) -> str:
        """One rule's share."""
        if count == 1:
            return self.points(total)
        if each is None:
            return f"{count} times, {self.points(total)}"
        return f"{number(each)} × {count} = {self.points(total)}"

    def labelled(self, label: str, text: str) -> str:
        """`Phone: 03-…`."""
        return f"{label}: {text}"

    def quoted(self, label: str, title: str) -> str:
        """What was done and with what."""
        return f"{label}: “{title}”"

    def counted(self, count: int, last_day: str) -> str:
        """How often, and when last."""
        return f"{count} times, last on {last_day}" if count > 1 else f"once, on {last_day}"

    def more(self, count: int) -> str:
        """Lines that are left out."""
        return f"and {count} more"

    def instruction(self, due_at: datetime) -> str:
        """What sales does now."""
        return f"Get in touch by {self.short_day(due_at)}, {due_at:%H:%M}, and log the outcome in this CRM."

    def definition(self, version: str, cycle: int) -> str:
        """Which rules judged, in which cycle."""
        return f"MQL definition {version}, cycle {cycle}"

    def short_day(self, day: datetime) -> str:
        """`Tue 24 Nov`."""
        weekday = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day.weekday()]
        months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
        return f"{weekday} {day.day} {months[day.month - 1]}"

    def long_day(self, day: datetime) -> str:
        """`Tue 24 Nov 2026`."""
        return f"{self.short_day(day)} {day.year}"

    def notice(self, kind: str, who: str, *, points: str = "", due: str = "", owner: str = "", why: str = "",
               is_urgent: bool = False) -> str:
        """What people are told outside the CRM, on one line; `kind` as in `records.Notice`."""
        told = {
            "handoff": f"[{'Urgent ' if is_urgent else ''}MQL] {who}, {points} → due {due}, owner: {owner}",
            "reminder": f"[Due soon] {who}, due {due}, owner: {owner}",
            "escalation": f"[Overdue, no follow-up] {who}, due {due}, owner: {owner}",
            "recycled": f"[Back to nurturing] {who}: {why}",
            "trigger": f"[{why}] {who}",
        }
        return told[kind]

    def notice_title(self, counts: Mapping[str, int]) -> str:
        """A message's heading: how many of which kind; names nobody."""
        names = {
            "handoff": ("new MQL", "new MQLs"), "reminder": ("due soon", "due soon"),
            "escalation": ("overdue", "overdue"), "recycled": ("back to nurturing", "back to nurturing"),
            "trigger": ("alert", "alerts"),
        }
        return ", ".join(
            f"{counts[kind]} {forms[counts[kind] != 1]}" for kind, forms in names.items() if counts.get(kind)
        )

    def who(self, company: str, person: str) -> str:
        """A person of a company."""
        return f"{person} ({company})" if company else person

    def moment(self, at: datetime) -> str:
        """`Tue 24 Nov, 17:00`; `at` on the company's clock."""
        return f"{self.short_day(at)}, {at:%H:%M}"


Words = Japanese | English

_WORDS: Mapping[str, Words] = {"ja": Japanese(), "en": English()}


def words_of(language: Literal["ja", "en"]) -> Words:
    """Return the words of a company's language."""
    return _WORDS[language]
