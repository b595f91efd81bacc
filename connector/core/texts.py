"""What sales reads: the task, the note and the one-line reason of a handoff.

Written for ten seconds. Everything a CRM sent is data here: cleared of control characters, cut to a sane length, never
markup; the adapters escape it for where it lands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from connector.core.normalize import fold
from connector.core.phrases import (
    MAX_NAME_LENGTH,
    company_of,
    deed,
    department_of,
    job_title_of,
    name_of,
    phone_of,
    shares,
)
from connector.core.plain import length, plain
from connector.core.words import Words, number, words_of
from connector.mapping.model import Mapping
from connector.mapping.problems import Problem
from connector.mapping.texts import Texts
from connector.records import (
    MAKE_MQL,
    Activity,
    ActivityKind,
    Contact,
    Decision,
    Document,
    Link,
    Person,
    RecordKey,
    Section,
    Stage,
)

MAX_SECTION_LINES = 10
MAX_REASON_LENGTH = 250
"""Under the 255 characters of a Salesforce text field (Source: assumed, as `setup` makes the field)."""

LinkTo = Callable[[RecordKey], str | None]
"""Gives the address at which people see a record; None where there is none, or none is known."""

Failed = Callable[[str], None]
"""Is told the key of a company's own text (`task_body`) that could not be made."""


def reason_line(decision: Decision, mapping: Mapping) -> str:
    """Return why somebody qualified, as one line: `情報システム部門・部長 20 + 資料ダウンロード 20 = 40点`.

    Where a person in the CRM decided, it says so first.
    """
    words = words_of(mapping.language)
    total = f" = {words.points(decision.score.total_points)}"
    is_by_person = decision.override == MAKE_MQL
    terms = []
    for one in shares(decision.score.reasons):
        share = f"{number(one.each)}×{one.times}" if one.times > 1 and one.each is not None else number(one.points)
        terms.append(f"{plain(one.label, MAX_NAME_LENGTH)} {share}")
    shown = len(terms)
    while True:
        rest = [words.more(len(terms) - shown)] if shown < len(terms) else []
        line = (" + ".join(terms[:shown] + rest) + total).removeprefix(" = ")
        line = words.decided_by_person(line) if is_by_person else line
        if length(line) <= MAX_REASON_LENGTH or shown == 0:
            return line
        shown -= 1


def task_document(
    decision: Decision, person: Person, mapping: Mapping, *, activities: Sequence[Activity] = (),
    link: LinkTo | None = None, crm: str = "", failed: Failed | None = None,
) -> Document:
    """Return the task for a handoff; its title names who and by when on the company's clock.

    Args:
        activities: Everything the person did, for a text of the company's own.
        link: Makes the addresses of their records in the other CRMs.
        crm: Where the task will stand; without it no records are named.
        failed: Is told when a text of the company's own cannot be made, and the one that comes along stands for it.

    Raises:
        ValueError: The decision hands nobody off: it has no deadline.
    """
    words = words_of(mapping.language)
    if decision.deadline_at is None:
        raise ValueError("a task needs a handoff with its deadline")
    due_at = decision.deadline_at.astimezone(mapping.zone)
    to_do = [words.instruction(due_at)]
    if person.attributes.get("unsubscribed") is True:
        to_do.append(words.unsubscribed)
    if not person.attributes.get("phone") and not person.emails:
        to_do.append(words.unreachable)
    records = _record_lines(person, mapping, crm, link) if crm else []
    sections = [
        Section(words.why_now, (*why_now_lines(decision, mapping), reason_line(decision, mapping))),
        Section(words.customer, _customer_lines(person, mapping)),
        Section(words.to_do, tuple(to_do)),
        _section(words.records, records, words),
    ]
    document = Document(
        title=words.task_title(company_of(person), name_of(person, words), due_at),
        sections=tuple(section for section in sections if section.lines),
    )
    if not (mapping.texts.task_title or mapping.texts.task_body):
        return document
    # Few companies have texts of their own, and loading what makes them takes a while.
    from connector.core.own_texts import in_own_words

    return in_own_words("task", document, decision, person, activities, mapping, crm=crm, link=link, failed=failed)


def note_document(
    decision: Decision, person: Person, activities: Sequence[Activity], mapping: Mapping, crm: str, *,
    link: LinkTo | None = None, failed: Failed | None = None,
) -> Document:
    """Return the note for a handoff: why now, the points, how the lead was won, what they did, one section a kind.

    Args:
        activities: Everything the person did; what is later than the decision, and what sales did, is left out.
        crm: Where the note will stand; the records in the other CRMs are named in it.
        link: Makes their addresses.
        failed: Is told when a text of the company's own cannot be made, and the one that comes along stands for it.
    """
    words, score = words_of(mapping.language), decision.score
    done = newest_first(activities, decision)
    total = words.total(
        score.total_points, score.fit_points, score.engagement_points, mapping.definition.threshold_points,
        decision.cell,
    )
    breakdown = [
        words.labelled(plain(one.label), words.times(one.each, one.times, one.points))
        for one in shares(score.reasons)
    ]
    sections = [
        Section(words.why_now, (*why_now_lines(decision, mapping), total)),
        _section(words.breakdown, breakdown, words),
        _section(words.origin, _origin_lines(person, done, mapping), words),
        *(_section(words.headings[kind], _kind_lines(kind, done, mapping), words) for kind in words.headings),
        _section(words.records, _record_lines(person, mapping, crm, link), words),
        Section(words.basis, (words.definition(plain(score.definition, MAX_NAME_LENGTH), decision.cycle),)),
    ]
    document = Document(
        title=words.note_title(name_of(person, words), words.points(score.total_points)),
        sections=tuple(section for section in sections if section.lines),
    )
    if not (mapping.texts.note_title or mapping.texts.note_body):
        return document
    from connector.core.own_texts import in_own_words

    return in_own_words("note", document, decision, person, activities, mapping, crm=crm, link=link, failed=failed)


def lead_document(person: Person, mapping: Mapping) -> Document:
    """Return the name of a lead record: whose it is, as the title of a task begins."""
    words = words_of(mapping.language)
    return Document(words.who(company_of(person), name_of(person, words)), ())


def own_text_problems(mapping: Mapping) -> Iterable[Problem]:
    """Return what is wrong with the texts of the company's own, each with its place in the mapping file."""
    if mapping.texts == Texts():
        return ()
    from connector.core.own_texts import template_problems

    return template_problems(mapping)


def newest_first(activities: Iterable[Activity], decision: Decision) -> list[Activity]:
    """Return what the lead did up to the decision; what sales did alone is no news to sales."""
    done = (a for a in activities if a.kind.is_by_lead and a.occurred_at <= decision.decided_at)
    return sorted(done, key=lambda a: (a.occurred_at, a.activity_id), reverse=True)


def why_now_lines(decision: Decision, mapping: Mapping) -> tuple[str, ...]:
    """Tell who decided where a person did, of the newest activity that earned points, of a wait, and of a return."""
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
    if decision.cycle > 1:
        lines.append(_came_back_line(decision, mapping))
    return tuple(lines)


def other_records(person: Person, crm: str) -> list[Contact]:
    """Return their records in the other CRMs, without those that were replaced by one of them."""
    kept = {contact.key for contact in person.contacts}
    return [c for c in person.contacts if c.key.crm != crm and c.superseded_by not in kept]


def _latest_line(decision: Decision, mapping: Mapping) -> str:
    """Tell of the newest activity that earned points; empty without one."""
    words = words_of(mapping.language)
    earned = [(r.occurred_at, r) for r in decision.score.reasons if r.occurred_at is not None and r.points > 0]
    if not earned:
        return ""
    occurred_at, latest = max(earned, key=lambda pair: (pair[0], pair[1].evidence))
    label, title = plain(latest.label, MAX_NAME_LENGTH), plain(latest.title, MAX_NAME_LENGTH * 2)
    day = words.short_day(occurred_at.astimezone(mapping.zone))
    count = sum(reason.rule_id == latest.rule_id for _, reason in earned)
    return plain(f"{day} {deed(label, title, words)}{words.in_all(count) if count > 1 else ''}")


def _came_back_line(decision: Decision, mapping: Mapping) -> str:
    """Tell that sales had them before, and when it last was handed them and last sent them back since."""
    words, days = words_of(mapping.language), {Stage.MQL: "", Stage.RECYCLED: ""}
    for entry in decision.stages:
        if entry.cycle < decision.cycle and entry.stage in days and entry.basis != "skipped":
            days[entry.stage] = words.long_day(entry.entered_at.astimezone(mapping.zone))
            if entry.stage is Stage.MQL:
                days[Stage.RECYCLED] = ""
    return words.came_back(decision.cycle, days[Stage.MQL], days[Stage.RECYCLED])


def _customer_lines(person: Person, mapping: Mapping) -> tuple[str, ...]:
    words = words_of(mapping.language)
    lines = [
        (words.company, plain(person.attributes.get("company_name"), MAX_NAME_LENGTH * 2)),
        (words.position, " ".join(part for part in (department_of(person), job_title_of(person)) if part)),
        (words.phone, phone_of(person) or words.unknown),
        (words.email, plain(person.emails[0]) if person.emails else words.unknown),
    ]
    return tuple(words.labelled(label, text) for label, text in lines if text)


def _origin_lines(person: Person, newest_first: Sequence[Activity], mapping: Mapping) -> list[str]:
    words = words_of(mapping.language)
    lines = []
    if source := plain(person.attributes.get("lead_source"), MAX_NAME_LENGTH):
        lines.append(words.labelled(words.lead_source, source))
    if newest_first:
        first = newest_first[-1]
        what, title = words.deeds[first.kind], plain(first.title, MAX_NAME_LENGTH * 2)
        day = words.long_day(first.occurred_at.astimezone(mapping.zone))
        lines.append(words.labelled(words.first_activity, f"{day} {deed(what, title, words)}"))
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


def _record_lines(person: Person, mapping: Mapping, crm: str, link: LinkTo | None) -> list[str | Link]:
    """Name their records in the other CRMs; with their addresses where these are known."""
    words, lines = words_of(mapping.language), list[str | Link]()
    for contact in other_records(person, crm):
        label = mapping.crm[contact.key.crm].label or contact.key.crm.capitalize()
        stream = words.records_of.get(contact.key.stream, contact.key.stream)
        text = plain(words.labelled(f"{label} {stream}", contact.key.remote_id))
        url = link(contact.key) if link is not None else None
        lines.append(Link(text, url) if url else text)
    return lines


def _section(heading: str, lines: Sequence[str | Link], words: Words) -> Section:
    shown = tuple(line if isinstance(line, Link) else plain(line) for line in lines[:MAX_SECTION_LINES])
    left = len(lines) - len(shown)
    return Section(heading, (*shown, words.more(left)) if left else shown)
