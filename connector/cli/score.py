"""`mql score`: one person's score as of any moment, the same whenever it is asked for."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from connector.cli.as_json import print_json
from connector.cli.explain import line_of
from connector.cli.opening import Json, open_company
from connector.cli.people import account_as_json, account_doubt_as_json, account_line
from connector.cli.reasons import cuts_as_json, points_as_json, reason_as_json, show_reasons
from connector.cli.show import console, name_line, safe
from connector.records import MAKE_MQL, OVERRIDE
from connector.reports.score import ScoreAt, score_at


def score(company: str, person: str, /, *, at: str = "", definition: str = "", json: Json = False) -> int:
    """Show somebody's score as of a moment, with every reason; the same whenever it is asked for. Asks the store only.

    Args:
        person: An address, or a person's or record's id; former ones too.
        at: A past moment in ISO 8601 (without an offset in the company's zone, a date its midnight); else now.
        definition: A published version to judge by; else the one in force at that moment.
    """
    with open_company(company) as opened:
        found = score_at(opened, person, at, definition)
        if json:
            print_json(score_as_json(found))
        else:
            show_score(console(), found)
    return 0


def show_score(out: Console, found: ScoreAt) -> None:
    """Print who they were, by what and as of when they are judged, every reason, and what that makes them."""
    score, mapping, definition = found.score, found.mapping, found.mapping.definition
    out.print(f"[bold]{name_line(found.person, mapping)}[/]")
    for contact in found.person.contacts:
        out.print(f"  {safe(contact.key)}")
    if found.person.account is not None or found.person.account_doubt is not None:
        out.print(f"  company: {safe(account_line(found.person))}")
    moment = found.at.astimezone(mapping.zone).isoformat()
    out.print(f"as of {moment} by definition {safe(definition.version)}, {safe(line_of(definition))}")
    show_reasons(out, score, mapping)
    said = ["qualified" if found.is_qualified else "not qualified"]
    said += [f"{name} {value}" for name, value in (("segment", found.segment), ("cell", found.cell)) if value]
    out.print(safe(", ".join(said)))
    if score.disqualified_by:
        out.print(f"  never an MQL by this definition: {safe(score.disqualified_by)}")
    if found.missing:
        out.print(f"  required and not known: {safe(', '.join(found.missing))}")
    if found.override:
        decided = "an MQL" if found.override == MAKE_MQL else "none"
        out.print(f"  a person in the CRM decided: {decided} ({OVERRIDE} = {found.override})")


def score_as_json(found: ScoreAt) -> dict[str, Any]:
    """Return a person's score as of a moment."""
    person, score = found.person, found.score
    return {
        "at": found.at.isoformat().replace("+00:00", "Z"),
        "definition": score.definition,
        "emails": list(person.emails),
        "attributes": dict(person.attributes),
        "records": [str(contact.key) for contact in person.contacts],
        "account": account_as_json(person),
        "account_doubt": account_doubt_as_json(person),
        **points_as_json(score),
        "reasons": [reason_as_json(reason) for reason in score.reasons],
        "cuts": cuts_as_json(score),
        "is_qualified": found.is_qualified,
        "segment": found.segment or None,
        "cell": found.cell or None,
        "disqualified_by": score.disqualified_by or None,
        "missing": list(found.missing),
        "override": found.override or None,
    }
