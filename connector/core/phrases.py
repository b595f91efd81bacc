"""What every text for sales says of a person, their points and their deeds, in a few words each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from connector.core.normalize import fold
from connector.core.plain import plain
from connector.core.words import Words
from connector.records import Person, Reason

MAX_NAME_LENGTH = 60


class Share(NamedTuple):
    """What one rule gave: `each` is None where its activities gave differently."""

    label: str
    each: float | None
    times: int
    points: float


def shares(reasons: Iterable[Reason]) -> list[Share]:
    """Return what each rule gave, in the order of the reasons."""
    rules: dict[str, list[Reason]] = {}
    for reason in reasons:
        rules.setdefault(reason.rule_id, []).append(reason)
    told = []
    for of_rule in rules.values():
        each = {reason.points for reason in of_rule}
        total = round(sum(reason.points for reason in of_rule), 4)
        told.append(Share(of_rule[0].label, each.pop() if len(each) == 1 else None, len(of_rule), total))
    return told


def name_of(person: Person, words: Words) -> str:
    """Return the name as the language addresses people, a word for somebody unnamed without one."""
    last_name, first_name = (plain(person.attributes.get(n), MAX_NAME_LENGTH) for n in ("last_name", "first_name"))
    return words.person(last_name, first_name)


def company_of(person: Person) -> str:
    """Return their company's name as their records have it."""
    return plain(person.attributes.get("company_name"), MAX_NAME_LENGTH)


def department_of(person: Person) -> str:
    """Return their department: in the customer's own words where the mapping keeps them, else in ours."""
    known = person.attributes
    return plain(known.get("department_name") or known.get("department"), MAX_NAME_LENGTH)


def job_title_of(person: Person) -> str:
    """Return their job title."""
    return plain(person.attributes.get("job_title"), MAX_NAME_LENGTH)


def phone_of(person: Person) -> str:
    """Return their telephone number."""
    return plain(person.attributes.get("phone"), MAX_NAME_LENGTH)


def deed(label: str, title: str, words: Words) -> str:
    """Return what was done and with what."""
    # Many companies begin a form's or a campaign's name with its kind: saying it twice costs reading time.
    if not title or fold(title).startswith(fold(label)):
        return title or label
    return words.quoted(label, title)
