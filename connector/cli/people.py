"""`mql people`: who is who, and what could not be told."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company
from connector.cli.show import console, name_line, points, safe
from connector.errors import ConfigError
from connector.mapping.model import Mapping
from connector.records import Person
from connector.reports.people import REMEDIES, People, PersonEntry, list_conflicts, list_people
from connector.store import Conflict


def people(
    company: str, /, *, find: str = "", conflicts: Annotated[bool, Parameter(negative="")] = False, limit: int = 20,
    json: Json = False,
) -> int:
    """List people: their records in all CRMs, the ids and addresses they go by, and their company. Asks the store only.

    Args:
        find: An address, a person's or record's id (former ones too), or words of a name or company.
        conflicts: List what was set aside instead, with what to do about it in the CRM.
        limit: At most so many.
    """
    if limit < 1:
        raise ConfigError([f"--limit: a number from 1 up, not {limit}"])
    if conflicts and find:
        raise ConfigError(["--find and --conflicts do not go together"])
    with open_company(company) as opened:
        if conflicts:
            found = list_conflicts(opened)
            if json:
                print_json(conflicts_as_json(company, found, limit))
            else:
                show_conflicts(console(), company, found, limit)
            return 0
        listed = list_people(opened, find, limit)
        if json:
            print_json(people_as_json(company, listed))
        else:
            show_people(console(), company, listed, opened.mapping)
    return 0


def show_people(out: Console, company: str, listed: People, mapping: Mapping) -> None:
    """Print each person with what they go by, and how many there are."""
    for entry in listed.entries:
        person = entry.person
        judged = "not judged yet" if entry.points is None else f"{points(entry.points)} points"
        out.print(f"[bold]{name_line(person, mapping)}[/]  ({person.person_id}), {entry.stage.value}, {judged}")
        for contact in person.contacts:
            replaced = f", replaced by {safe(contact.superseded_by)}" if contact.superseded_by else ""
            out.print(f"  {safe(contact.key)}  {safe(', '.join(contact.emails)) or 'no address'}{replaced}")
        if before := (*entry.aliases, *entry.former):
            out.print(f"  also: {safe(', '.join(before))}")
        out.print(f"  company: {safe(account_line(person))}")
    more = "; there are more: --limit, --find" if listed.is_cut else ""
    out.print(f"{len(listed.entries):,} of {listed.total_count:,} people of {safe(company)}{more}")
    if not listed.total_count:
        out.print(f"nothing is pulled yet, or nobody was found in it: mql sync {safe(company)}")


def show_conflicts(out: Console, company: str, found: list[Conflict], limit: int) -> None:
    """Print what was set aside, why, and what to do about it."""
    table = Table("what they share", "records", "why", "what to do", box=None, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for conflict in found[:limit]:
        table.add_row(
            safe(conflict.key), safe(", ".join(conflict.records)), safe(conflict.reason), REMEDIES[conflict.reason],
        )
    if found:
        out.print(table)
    more = f", the first {limit:,} are shown" if len(found) > limit else ""
    out.print(f"{len(found):,} set aside in {safe(company)}{more}")


def people_as_json(company: str, listed: People) -> dict[str, Any]:
    """Return people with what they go by."""
    return {
        "company": company, "total_count": listed.total_count, "is_cut": listed.is_cut,
        "people": [_person_as_json(entry) for entry in listed.entries],
    }


def conflicts_as_json(company: str, found: list[Conflict], limit: int) -> dict[str, Any]:
    """Return what was set aside."""
    return {
        "company": company, "total_count": len(found),
        "conflicts": [
            {"key": c.key, "reason": c.reason, "records": list(c.records), "what_to_do": REMEDIES[c.reason]}
            for c in found[:limit]
        ],
    }


def _person_as_json(entry: PersonEntry) -> dict[str, Any]:
    person = entry.person
    attributes = person.attributes
    return {
        "person_id": person.person_id,
        "last_name": attributes.get("last_name"),
        "first_name": attributes.get("first_name"),
        "company_name": attributes.get("company_name"),
        "emails": list(person.emails),
        "stage": entry.stage.value,
        "total_points": entry.points,
        "records": [
            {"crm": c.key.crm, "stream": c.key.stream, "remote_id": c.key.remote_id, "emails": list(c.emails),
             "superseded_by": str(c.superseded_by) if c.superseded_by else None}
            for c in person.contacts
        ],
        "aliases": list(entry.aliases),
        "former": list(entry.former),
        "account": account_as_json(person),
        "account_doubt": account_doubt_as_json(person),
    }


def account_as_json(person: Person) -> dict[str, Any] | None:
    """Return the company that a person was matched to, and by what; None for none."""
    account = person.account
    if account is None:
        return None
    return {
        "record": str(account.key), "matched_by": account.matched_by, "evidence": account.evidence or None,
        "attributes": dict(account.attributes),
    }


def account_doubt_as_json(person: Person) -> dict[str, Any] | None:
    """Return the companies between which it could not be decided; None without a doubt."""
    doubt = person.account_doubt
    if doubt is None:
        return None
    return {
        "candidates": [str(key) for key in doubt.candidates], "matched_by": doubt.matched_by,
        "evidence": doubt.evidence,
    }


def account_line(person: Person) -> str:
    """Return the company that a person was matched to and by what, or why to none."""
    if person.account is not None:
        match = person.account
        by = f"{match.matched_by} {match.evidence}".strip()
        return f"{' '.join(str(match.attributes.get('name') or '?').split())} ({match.key}), by {by}"
    if person.account_doubt is not None:
        doubt = person.account_doubt
        return f"none: several by {doubt.matched_by} {doubt.evidence}: {', '.join(map(str, doubt.candidates))}"
    return "none"
