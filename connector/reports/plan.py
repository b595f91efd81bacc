"""A plan as a page: every write that `sync` would make, who it is about and why, for people who approve it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.core.plain import plain
from connector.core.words import number, words_of
from connector.mapping.model import Mapping
from connector.pipeline.evaluate import Judged
from connector.pipeline.links import Link as LinkTo
from connector.pipeline.run import Plan
from connector.pipeline.waiting import Waiting
from connector.records import Change, ChangeKind, Decision, Link, Ownership, Person, Value
from connector.reports.rendering import environment

MOST_PEOPLE = 500
"""So many are shown one by one; nobody reads further, and a browser should still open the page."""
_LONGEST = 500


@dataclass(frozen=True)
class _Words:
    """What the page says."""

    title: str
    company: str
    at: str
    new: str
    writes: str
    left: str
    more: str
    nothing: str
    empty: str
    due: str
    owner: str
    nobody: str
    waiting: str
    text: str
    note: str
    besides: str
    about: str
    approval: str
    approve: str
    kinds: dict[ChangeKind, str]


_WORDS = {
    "ja": _Words(
        title="書き込み計画", company="会社", at="作成", new="MQLになる人", writes="書き込み", left="前回の残り",
        more="ほか{}人（mql plan --json ですべて見られます）", nothing="書き込むものはありません。", empty="（空）",
        due="期限", owner="担当", nobody="担当者なし", waiting="理由", text="本文",
        note="この計画ではCRMに何も書き込んでいません。",
        besides="ほかの人への書き込み", about="約{}",
        approval="承認", approve="承認なしで書き込める{}件を超えています。書き込むには {}",
        kinds={
            ChangeKind.RECYCLE: "再育成に戻す", ChangeKind.STAGE: "ステージ", ChangeKind.SCORE: "スコア",
            ChangeKind.LEAD: "リード", ChangeKind.TASK: "タスク", ChangeKind.NOTE: "メモ",
            ChangeKind.RESTORE: "元の値に戻す", ChangeKind.CLOSE_TASK: "タスクを閉じる",
            ChangeKind.MARK_NOTE: "メモに印を付ける",
        },
    ),
    "en": _Words(
        title="Planned writes", company="Company", at="Made", new="Would become MQL", writes="Writes",
        left="Left from before", more="and {} more people (mql plan --json has all)",
        nothing="There is nothing to write.", empty="(empty)", due="due", owner="owner", nobody="no owner",
        waiting="why", text="text", note="Nothing was written to any CRM by this plan.",
        besides="About others, besides", about="about {}",
        approval="Approval", approve="more than the {} writes that need none; to write them: {}",
        kinds={
            ChangeKind.RECYCLE: "back to nurturing", ChangeKind.STAGE: "stage", ChangeKind.SCORE: "score",
            ChangeKind.LEAD: "lead", ChangeKind.TASK: "task", ChangeKind.NOTE: "note",
            ChangeKind.RESTORE: "former values", ChangeKind.CLOSE_TASK: "close the task",
            ChangeKind.MARK_NOTE: "mark the note",
        },
    ),
}


@dataclass(frozen=True)
class PlannedWrite:
    """One write: its kind, the record with its address or none, fields with before and after, and a text's lines."""

    kind: str
    crm: str
    record: str
    url: str | None
    fields: tuple[tuple[str, str, str], ...]
    title: str
    facts: tuple[str, ...]
    sections: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class PlannedPerson:
    """Somebody with what is to be written about them.

    Attributes:
        is_new: They become MQL by it.
        is_left: An earlier run decided it.
        points: Empty, as `reasons`, where only figures are left from an earlier run.
    """

    name: str
    company: str
    is_new: bool
    is_left: bool
    points: str
    reasons: tuple[str, ...]
    why_not: str
    writes: tuple[PlannedWrite, ...]


@dataclass(frozen=True)
class PlanPage:
    """All that the page tells, as plain text; the template escapes it."""

    language: str
    words: _Words
    facts: tuple[tuple[str, str], ...]
    people: tuple[PlannedPerson, ...]
    more: str
    problems: tuple[str, ...]


def tell_plan(plan: Plan, mapping: Mapping, link: LinkTo, at: datetime) -> PlanPage:
    """Return the page's content in the company's language, those who would become MQL first.

    Args:
        link: Gives the address of a record.
        at: When the plan was made.
    """
    words = _WORDS[mapping.language]
    tell = _writes(mapping, words, link)
    everybody: list[Judged | Waiting] = [*plan.judged, *plan.waiting]
    ordered = sorted(everybody, key=lambda one: not _becomes_mql(one))
    counts = Counter((change.crm, change.kind) for one in everybody for change in one.changes)
    facts = [
        (words.company, mapping.name),
        (words.at, f"{at.astimezone(mapping.zone):%Y-%m-%d %H:%M}"),
        (words.new, f"{plan.mql_count:,}"),
    ]
    for crm in mapping.crm:
        said = ", ".join(f"{words.kinds[kind]} {counts[crm, kind]:,}" for kind in ChangeKind if counts[crm, kind])
        facts.append((f"{words.writes} ({_label(crm, mapping)})", said or "0"))
    for crm, besides in plan.besides.items():
        about = {kind: words.about.format(f"{besides[kind]:,}") for kind in ChangeKind if kind in besides}
        said = ", ".join(f"{words.kinds[kind]} {count}" for kind, count in about.items())
        facts.append((f"{words.besides} ({_label(crm, mapping)})", said))
    if plan.approved_by:
        facts.append((words.approval, words.approve.format(f"{plan.limit:,}", plan.approved_by)))
    hidden = len(ordered) - MOST_PEOPLE
    problems = [*plan.notices, *(f"{crm}: {why}" for crm, why in plan.stopped.items()), *plan.unread]
    return PlanPage(
        mapping.language, words, tuple(facts),
        tuple(_person(one, mapping, tell) for one in ordered[:MOST_PEOPLE]),
        words.more.format(f"{hidden:,}") if hidden > 0 else "", tuple(problems),
    )


def render_plan(page: PlanPage) -> str:
    """Return the page as HTML that needs nothing else; every text in it is escaped."""
    return environment().get_template("plan.html.j2").render(page=page)


def owner_of(change: Change, owners: Sequence[Ownership]) -> str:
    """Return who gets a task: by name where one of these owners is meant, else by remote id; empty for nobody."""
    if not change.owner_id:
        return change.queue_id
    names = [one.name for one in owners if (one.crm, one.owner_id) == (change.crm, change.owner_id)]
    return " ".join("".join(names[:1]).split()) or change.owner_id


_Tell = Callable[[Sequence[Change], Sequence[Ownership]], tuple[PlannedWrite, ...]]


def _writes(mapping: Mapping, words: _Words, link: LinkTo) -> _Tell:
    def value(of: Value) -> str:
        return words.empty if of in (None, "") else number(of) if isinstance(of, float) else plain(of, _LONGEST)

    def tell(change: Change, owners: Sequence[Ownership]) -> PlannedWrite:
        document, facts = change.document, []
        if change.kind is ChangeKind.TASK:
            due = f"{change.due_at.astimezone(mapping.zone):%Y-%m-%d %H:%M}" if change.due_at else words.empty
            owner = plain(owner_of(change, owners), _LONGEST)
            facts = [f"{words.due} {due}", f"{words.owner} {owner}" if owner else words.nobody]
        sections = () if document is None else tuple(
            (section.heading, tuple(line.text if isinstance(line, Link) else line for line in section.lines))
            for section in document.sections
        )
        return PlannedWrite(
            words.kinds[change.kind], _label(change.crm, mapping),
            f"{change.record.stream} {change.record.remote_id}", link(change.record),
            tuple((name, value(change.before.get(name)), value(after)) for name, after in change.fields.items()),
            "" if document is None else document.title, tuple(facts), sections,
        )

    return lambda changes, owners: tuple(tell(change, owners) for change in changes)


def _becomes_mql(one: Judged | Waiting) -> bool:
    return one.handoff is not None if isinstance(one, Waiting) else one.decision.hands_off


def _person(one: Judged | Waiting, mapping: Mapping, tell: _Tell) -> PlannedPerson:
    is_left = isinstance(one, Waiting)
    decision: Decision | None = one.handoff if isinstance(one, Waiting) else one.decision
    person: Person | None = one.person
    words, known = words_of(mapping.language), person.attributes if person is not None else {}
    name = words.person(*(plain(known.get(name), _LONGEST) for name in ("last_name", "first_name")))
    if decision is None:
        return PlannedPerson(
            name, plain(known.get("company_name"), _LONGEST), False, is_left, "", (), "", tell(one.changes, ()),
        )
    sums: dict[str, float] = {}
    for reason in decision.score.reasons:
        sums[reason.label] = sums.get(reason.label, 0) + reason.points
    return PlannedPerson(
        name, plain(known.get("company_name"), _LONGEST), _becomes_mql(one), is_left,
        words.points(decision.score.total_points),
        tuple(f"{label} {number(points)}" for label, points in sums.items()),
        "" if decision.hands_off else decision.score.disqualified_by or decision.why_not,
        tell(one.changes, decision.owners),
    )


def _label(crm: str, mapping: Mapping) -> str:
    return mapping.crm[crm].label or crm
