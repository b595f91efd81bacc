"""A company's own texts in place of those that come along: what they may name, and what is made of them.

What is filled in is cleared and cut like every line for sales (`plain`), so it cannot begin a line, a heading or a
link; and it is never read as a template itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

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
from connector.core.templates import TemplateProblem, Values, Vocabulary, fill_in, read_template
from connector.core.texts import Failed, LinkTo, newest_first, other_records, reason_line, why_now_lines
from connector.core.words import words_of
from connector.mapping.model import Mapping
from connector.mapping.problems import Problem
from connector.records import Activity, ActivityKind, Decision, Document, Link, Person, Section

MAX_TITLE_LENGTH = 250
"""Under the 255 characters of a task's subject in Salesforce."""
MAX_OWN_LINE_LENGTH = 1_000
MAX_DEEDS = 10
"""So many activities of a kind may be named, the newest; and three times as many of all kinds together."""

_HEADING = "\x01"
"""Stands for `## ` at the beginning of a template's line: `plain` leaves none of it in any value."""
_HEADING_MARK = "## "

Audience = Literal["sales", "notice"]


def in_own_words(
    what: Literal["task", "note"], document: Document, decision: Decision, person: Person,
    activities: Sequence[Activity], mapping: Mapping, *, crm: str, link: LinkTo | None, failed: Failed | None,
) -> Document:
    """Return the document with the company's own title and body, as far as it has them.

    What cannot be made stays as it came along: `failed` is told, and the document's last line says so.
    """
    texts = {key: getattr(mapping.texts, key) for key in (f"{what}_title", f"{what}_body")}
    values = values_of(decision, person, activities, mapping, url=_first_url(person, crm, link))
    made, missed = {}, []
    for key, source in texts.items():
        if not source:
            continue
        try:
            made[key] = _MAKERS[key](source, values)
        except TemplateProblem:
            missed.append(key)
            if failed is not None:
                failed(key)
    document = Document(
        title=made.get(f"{what}_title", document.title), sections=made.get(f"{what}_body", document.sections),
    )
    words = words_of(mapping.language)
    lines = tuple(words.own_text_failed(f"texts.{key}") for key in missed)
    return replace(document, sections=(*document.sections, Section("", lines))) if lines else document


def own_notice(
    decision: Decision, person: Person, activities: Sequence[Activity], mapping: Mapping, *,
    failed: Failed | None = None,
) -> str:
    """Return the company's own line for a handoff in notices; empty where it has none, or it cannot be made.

    Args:
        failed: Is told when it cannot be made.
    """
    source = mapping.texts.notice
    if not source:
        return ""
    try:
        return _line(source, values_of(decision, person, activities, mapping, audience="notice"), "notice")
    except TemplateProblem:
        if failed is not None:
            failed("notice")
        return ""


def values_of(
    decision: Decision, person: Person, activities: Sequence[Activity], mapping: Mapping, *, url: str = "",
    audience: Audience = "sales",
) -> dict[str, Any]:
    """Return all that a template may name, each text cleared and cut.

    What leaves the CRM for a chat or a mailbox names no telephone number and no address of the lead's; and no link,
    which every notice has behind it.
    """
    words, score = words_of(mapping.language), decision.score
    known = {
        "name": name_of(person, words), "company": company_of(person), "department": department_of(person),
        "title": job_title_of(person),
    }
    if audience == "sales":
        known |= {"phone": phone_of(person), "email": plain(person.emails[0]) if person.emails else ""}
    done = newest_first(activities, decision)
    due_at = decision.deadline_at.astimezone(mapping.zone) if decision.deadline_at is not None else None
    values: dict[str, Any] = {
        "person": known,
        "points": _whole(score.total_points),
        "fit_points": _whole(score.fit_points),
        "engagement_points": _whole(score.engagement_points),
        "reasons": [
            {
                "label": plain(one.label, MAX_NAME_LENGTH), "points": _whole(one.points), "count": one.times,
                "text": words.labelled(plain(one.label), words.times(one.each, one.times, one.points)),
            }
            for one in shares(score.reasons)
        ],
        "reason": reason_line(decision, mapping),
        "why_now": list(why_now_lines(decision, mapping)),
        "deadline": f"{words.short_day(due_at)} {due_at:%H:%M}" if due_at is not None else "",
        "cycle": decision.cycle,
        "activities": {
            "all": _deeds(done[: 3 * MAX_DEEDS], mapping),
            **{
                kind.value: _deeds([one for one in done if one.kind is kind][:MAX_DEEDS], mapping)
                for kind in ActivityKind if kind.is_by_lead
            },
        },
        "definition": plain(score.definition, MAX_NAME_LENGTH),
    }
    return values | {"link": url} if audience == "sales" else values


def template_problems(mapping: Mapping) -> Iterator[Problem]:
    """Yield what is wrong with the company's own texts, each with its place in the file.

    Each is filled in for a made-up person of whom everything is known, and for one of whom nothing is.
    """
    for key, make in _MAKERS.items():
        source = getattr(mapping.texts, key)
        if not source:
            continue
        full, bare = made_up(_AUDIENCES[key])
        for values, whom in ((full, ""), (bare, " for somebody of whom nothing is known")):
            try:
                made = make(source, values)
            except TemplateProblem as problem:
                yield Problem(("texts", key), f"{problem}{whom}")
                break
            if _is_cut(made):
                yield Problem(("texts", key), f"has a line of {MAX_OWN_LINE_LENGTH} characters or more; break it")
                break


def made_up(audience: Audience) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a template may name of a made-up person: once everything, and once as little as there can be."""
    known = {"name": "見本 花子様", "company": "見本商事株式会社", "department": "情報システム部", "title": "部長"}
    if audience == "sales":
        known |= {"phone": "03-0000-0000", "email": "hanako@mihon.example"}
    kinds = ["all", *(kind.value for kind in ActivityKind if kind.is_by_lead)]
    deed_of = {"kind": "document_downloaded", "what": "資料ダウンロード", "day": "2026/11/19(木)", "title": "料金表",
               "text": "2026/11/19(木) 資料ダウンロード「料金表」"}
    reason = {"label": "資料ダウンロード", "points": 40, "count": 2, "text": "資料ダウンロード：20点×2回 = 40点"}
    full: dict[str, Any] = {
        "person": known, "points": 60, "fit_points": 20, "engagement_points": 40, "reasons": [reason, reason],
        "reason": "資料ダウンロード 20×2 = 40点", "why_now": ["11/19(木) 資料ダウンロード「料金表」"],
        "deadline": "11/24(火) 18:00", "cycle": 2, "activities": {kind: [deed_of, deed_of] for kind in kinds},
        "definition": "2026-11",
    }
    bare = full | {
        "person": dict.fromkeys(known, "") | {"name": "ご担当者様"}, "points": 0, "fit_points": 0,
        "engagement_points": 0, "reasons": [], "reason": "0点", "cycle": 1,
        "activities": {kind: [] for kind in kinds},
    }
    if audience == "sales":
        return full | {"link": "https://crm.example/contact/1"}, bare | {"link": ""}
    return full, bare


def _title(source: str, values: Values) -> str:
    return _line(source, values, "sales")


def _line(source: str, values: Values, audience: Audience) -> str:
    text = plain(fill_in(read_template(source, _VOCABULARIES[audience]), values), MAX_TITLE_LENGTH)
    if not text:
        raise TemplateProblem("gives an empty text")
    return text


def _body(source: str, values: Values) -> tuple[Section, ...]:
    marked = "\n".join(
        _HEADING + line.removeprefix(_HEADING_MARK) if line.startswith(_HEADING_MARK) else line
        for line in source.split("\n")
    )
    text = fill_in(read_template(marked, _VOCABULARIES["sales"]), values)
    sections = _sections(text.split("\n"), values["link"])
    if not sections:
        raise TemplateProblem("gives an empty text")
    return sections


def _sections(lines: Iterable[str], url: str) -> tuple[Section, ...]:
    """Return the parts of a filled-in text; a heading without a line under it is left out."""
    found: list[tuple[str, list[str | Link]]] = [("", [])]
    for raw in lines:
        line = plain(raw, MAX_OWN_LINE_LENGTH)
        if raw.startswith(_HEADING):
            found.append((line, []))
        elif line:
            found[-1][1].append(_linked(line, url))
    return tuple(Section(heading, tuple(under)) for heading, under in found if under)


def _linked(line: str, url: str) -> str | Link:
    """Make a link of a line that ends with the address that we gave."""
    if not url or not line.endswith(url):
        return line
    return Link(line.removesuffix(url).rstrip(" :：") or url, url)


def _is_cut(made: Any) -> bool:
    lines = [made] if isinstance(made, str) else [line for section in made for line in section.lines]
    return any(length(line) >= MAX_OWN_LINE_LENGTH for line in lines if isinstance(line, str))


def _deeds(activities: Iterable[Activity], mapping: Mapping) -> list[dict[str, str]]:
    words = words_of(mapping.language)
    told = []
    for one in activities:
        day = words.long_day(one.occurred_at.astimezone(mapping.zone))
        what, title = words.deeds[one.kind], plain(one.title, 2 * MAX_NAME_LENGTH)
        told.append({
            "kind": one.kind.value, "what": what, "day": day, "title": title,
            "text": f"{day} {deed(what, title, words)}",
        })
    return told


def _first_url(person: Person, crm: str, link: LinkTo | None) -> str:
    urls = (link(contact.key) for contact in other_records(person, crm)) if link is not None else ()
    return next((url for url in urls if url), "")


def _whole(points: float) -> int | float:
    return int(points) if points == int(points) else points


_VOCABULARIES: dict[Audience, Vocabulary] = {
    "sales": Vocabulary(made_up("sales")[0]), "notice": Vocabulary(made_up("notice")[0]),
}
_AUDIENCES: dict[str, Audience] = {
    "task_title": "sales", "task_body": "sales", "note_title": "sales", "note_body": "sales", "notice": "notice",
}
_MAKERS: dict[str, Callable[[str, Values], Any]] = {
    "task_title": _title, "task_body": _body, "note_title": _title, "note_body": _body,
    "notice": lambda source, values: _line(source, values, "notice"),
}
