"""What sales reads: the task, the note and the one-line reason of a handoff.

Written for ten seconds. Everything a CRM sent is data here: cleared of control characters, cut to a sane length, never
markup; the adapters escape it for where it lands.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from connector.core.normalize import fold
from connector.core.words import Words, number, words_of
from connector.mapping.model import Mapping
from connector.records import (
    MAKE_MQL,
    Activity,
    ActivityKind,
    Contact,
    Decision,
    Document,
    Person,
    Reason,
    Section,
    Value,
)

MAX_LINE_LENGTH = 200
MAX_SECTION_LINES = 10
MAX_REASON_LENGTH = 250
"""Under the 255 characters of a Salesforce text field (Source: assumed, as `setup` makes the field)."""

_MAX_NAME_LENGTH = 60


def plain(value: Value, limit: int = MAX_LINE_LENGTH) -> str:
    """Return a CRM's text fit for one line: no control or direction-changing characters, single spaces, cut with `…`.

    Args:
        limit: Characters at most.
    """
    # What is far beyond the limit is not worth looking at.
    visible = ("" if value is None else str(value)).strip()[: 10 * limit]
    spaced = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in visible)
    text = " ".join(spaced.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def reason_line(decision: Decision, mapping: Mapping) -> str:
    """Return why somebody qualified, as one line: `情報システム部門・部長 20 + 資料ダウンロード 20 = 40点`.

    Where a person in the CRM decided, it says so first.
    """
    words = words_of(mapping.language)
    total = f" = {words.points(decision.score.total_points)}"
    is_by_person = decision.override == MAKE_MQL
    terms = []
    for label, each, count, points in _by_rule(decision.score.reasons):
        share = f"{number(each)}×{count}" if count > 1 and each is not None else number(points)
        terms.append(f"{plain(label, _MAX_NAME_LENGTH)} {share}")
    shown = len(terms)
    while True:
        rest = [words.more(len(terms) - shown)] if shown < len(terms) else []
        line = (" + ".join(terms[:shown] + rest) + total).removeprefix(" = ")
        line = words.decided_by_person(line) if is_by_person else line
        if len(line) <= MAX_REASON_LENGTH or shown == 0:
            return line
        shown -= 1


def task_document(decision: Decision, person: Person, mapping: Mapping) -> Document:
    """Return the task for a handoff; its title names who and by when on the company's clock.

    Raises:
        ValueError: The decision hands nobody off: it has no deadline.
    """
    words = words_of(mapping.language)
    if decision.deadline_at is None:
        raise ValueError("a task needs a handoff with its deadline")
    due_at = decision.deadline_at.astimezone(mapping.zone)
    company = plain(person.attributes.get("company_name"), _MAX_NAME_LENGTH)
    to_do = [words.instruction(due_at)]
    if person.attributes.get("unsubscribed") is True:
        to_do.append(words.unsubscribed)
    if not person.attributes.get("phone") and not person.emails:
        to_do.append(words.unreachable)
    return Document(
        title=words.task_title(company, _name(person, words), due_at),
        sections=(
            Section(words.why_now, (*_why_now_lines(decision, mapping), reason_line(decision, mapping))),
            Section(words.customer, _customer_lines(person, mapping)),
            Section(words.to_do, tuple(to_do)),
        ),
    )


def note_document(
    decision: Decision, person: Person, activities: Sequence[Activity], mapping: Mapping, crm: str
) -> Document:
    """Return the note for a handoff: why now, the points, how the lead was won, what they did, one section a kind.

    Args:
        activities: Everything the person did; what is later than the decision is left out.
        crm: Where the note will stand; the records in the other CRMs are named in it.
    """
    words, score = words_of(mapping.language), decision.score
    done = sorted(
        (a for a in activities if a.occurred_at <= decision.decided_at),
        key=lambda a: (a.occurred_at, a.activity_id), reverse=True,
    )
    total = words.total(
        score.total_points, score.fit_points, score.engagement_points, mapping.definition.threshold_points,
        decision.cell,
    )
    shares = [
        words.labelled(plain(label), words.times(each, count, points))
        for label, each, count, points in _by_rule(score.reasons)
    ]
    others = [_record_line(c, mapping) for c in person.contacts if c.key.crm != crm]
    sections = [
        Section(words.why_now, (*_why_now_lines(decision, mapping), total)),
        _section(words.breakdown, shares, words),
        _section(words.origin, _origin_lines(person, done, mapping), words),
        *(_section(words.headings[kind], _kind_lines(kind, done, mapping), words) for kind in words.headings),
        _section(words.records, others, words),
        Section(words.basis, (words.definition(plain(score.definition, _MAX_NAME_LENGTH), decision.cycle),)),
    ]
    return Document(
        title=words.note_title(_name(person, words), words.points(score.total_points)),
        sections=tuple(section for section in sections if section.lines),
    )


def _by_rule(reasons: Iterable[Reason]) -> list[tuple[str, float | None, int, float]]:
    """Return (label, points each or None when they differ, how often, points together) per rule, in order."""
    rules: dict[str, list[Reason]] = {}
    for reason in reasons:
        rules.setdefault(reason.rule_id, []).append(reason)
    shares = []
    for of_rule in rules.values():
        each = {reason.points for reason in of_rule}
        total = round(sum(reason.points for reason in of_rule), 4)
        shares.append((of_rule[0].label, each.pop() if len(each) == 1 else None, len(of_rule), total))
    return shares


def _why_now_lines(decision: Decision, mapping: Mapping) -> tuple[str, ...]:
    """Tell who decided where a person did, of the newest activity that earned points, and of a wait since."""
    words, lines = words_of(mapping.language), []
    is_by_person = decision.override == MAKE_MQL
    if is_by_person:
        lines.append(words.by_person)
    if latest := _latest_line(decision, mapping):
        lines.append(latest)
    elif not is_by_person:
        lines.append(words.fit_alone)
    if decision.qualified_at is not None and decision.qualified_at != decision.decided_at:
        lines.append(words.qualified_since(decision.qualified_at.astimezone(mapping.zone)))
    return tuple(lines)


def _latest_line(decision: Decision, mapping: Mapping) -> str:
    """Tell of the newest activity that earned points; empty without one."""
    words = words_of(mapping.language)
    earned = [(r.occurred_at, r) for r in decision.score.reasons if r.occurred_at is not None and r.points > 0]
    if not earned:
        return ""
    occurred_at, latest = max(earned, key=lambda pair: (pair[0], pair[1].evidence))
    label, title = plain(latest.label, _MAX_NAME_LENGTH), plain(latest.title, _MAX_NAME_LENGTH * 2)
    day = words.short_day(occurred_at.astimezone(mapping.zone))
    count = sum(reason.rule_id == latest.rule_id for _, reason in earned)
    return plain(f"{day} {_told(label, title, words)}{words.in_all(count) if count > 1 else ''}")


def _told(label: str, title: str, words: Words) -> str:
    # Many companies begin a form's or a campaign's name with its kind: saying it twice costs reading time.
    if not title or fold(title).startswith(fold(label)):
        return title or label
    return words.quoted(label, title)


def _name(person: Person, words: Words) -> str:
    last_name, first_name = (plain(person.attributes.get(n), _MAX_NAME_LENGTH) for n in ("last_name", "first_name"))
    return words.person(last_name, first_name)


def _customer_lines(person: Person, mapping: Mapping) -> tuple[str, ...]:
    words, known = words_of(mapping.language), person.attributes
    # The customer's own words where the mapping keeps them, else our word for them.
    department = plain(known.get("department_name") or known.get("department"), _MAX_NAME_LENGTH)
    title = plain(known.get("job_title"), _MAX_NAME_LENGTH)
    lines = [
        (words.company, plain(known.get("company_name"), _MAX_NAME_LENGTH * 2)),
        (words.position, " ".join(part for part in (department, title) if part)),
        (words.phone, plain(known.get("phone"), _MAX_NAME_LENGTH) or words.unknown),
        (words.email, plain(person.emails[0]) if person.emails else words.unknown),
    ]
    return tuple(words.labelled(label, text) for label, text in lines if text)


def _origin_lines(person: Person, newest_first: Sequence[Activity], mapping: Mapping) -> list[str]:
    words = words_of(mapping.language)
    lines = []
    if source := plain(person.attributes.get("lead_source"), _MAX_NAME_LENGTH):
        lines.append(words.labelled(words.lead_source, source))
    if newest_first:
        first = newest_first[-1]
        what, title = words.deeds[first.kind], plain(first.title, _MAX_NAME_LENGTH * 2)
        day = words.long_day(first.occurred_at.astimezone(mapping.zone))
        lines.append(words.labelled(words.first_activity, f"{day} {_told(what, title, words)}"))
    return lines


def _kind_lines(kind: ActivityKind, newest_first: Sequence[Activity], mapping: Mapping) -> list[str]:
    """Return a line per thing and day; what has no title is only counted."""
    words = words_of(mapping.language)
    lines: dict[tuple[str, str], str] = {}
    untitled: list[str] = []
    for activity in newest_first:
        if activity.kind is not kind:
            continue
        day = words.long_day(activity.occurred_at.astimezone(mapping.zone))
        if title := plain(activity.title):
            # Two CRMs that tell of one thing give one line.
            lines.setdefault((day, fold(title)), plain(f"{day} {title}"))
        else:
            untitled.append(day)
    count = [words.counted(len(untitled), untitled[0])] if untitled else []
    return [*count, *lines.values()]


def _record_line(contact: Contact, mapping: Mapping) -> str:
    crm, stream, remote_id = contact.key
    words, label = words_of(mapping.language), mapping.crm[crm].label or crm.capitalize()
    return plain(words.labelled(f"{label} {words.records_of.get(stream, stream)}", remote_id))


def _section(heading: str, lines: Sequence[str], words: Words) -> Section:
    shown = tuple(plain(line) for line in lines[:MAX_SECTION_LINES])
    left = len(lines) - len(shown)
    return Section(heading, (*shown, words.more(left)) if left else shown)
