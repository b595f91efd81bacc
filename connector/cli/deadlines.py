"""`mql deadlines`: which handoffs wait for sales, and why those that are over were not followed up."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company
from connector.cli.reasons import instant_as_json
from connector.cli.show import console, in_zone, name_line, safe
from connector.core.causes import title_of
from connector.mapping.model import Mapping
from connector.records import Decision
from connector.reports.deadlines import Deadlines, WatchedHandoff, list_deadlines


def deadlines(
    company: str, /, *, everything: Annotated[bool, Parameter(name="--all", negative="")] = False, json: Json = False,
) -> int:
    """List the handoffs that wait for sales: by when, who must act, and why nobody did in time. Asks the store only.

    Args:
        everything: Those that sales acted on, and those given up, too.
    """
    with open_company(company) as opened:
        found = list_deadlines(opened, settled=everything)
        if json:
            print_json(deadlines_as_json(company, found, opened.mapping))
        else:
            show_deadlines(console(), company, found, opened.mapping)
    return 0


def show_deadlines(out: Console, company: str, found: Deadlines, mapping: Mapping) -> None:
    """Print each handoff with who must act, beneath it why nobody did in time, and how many there are."""
    if found.handoffs:
        out.print(f"{'due':18}{'business hours':16}{'state':13}who → who must act")
    for one in found.handoffs:
        late = "red" if one.is_open and one.hours_left < 0 else "default" if one.is_open else "dim"
        who = name_line(one.person, mapping) if one.person is not None else safe(one.handoff.person_id)
        out.print(
            f"{in_zone(one.handoff.deadline_at, mapping):18}[{late}]{_hours(one):16}{one.state.replace('_', ' '):13}[/]"
            f"{who} → {safe(_owner(one.handoff))}"
        )
        for cause in one.causes:
            out.print(f"    {safe(title_of(cause, mapping))}: {safe(cause.evidence)}")
    open_ones = [one for one in found.handoffs if one.is_open]
    over = sum(one.hours_left < 0 for one in open_ones)
    out.print(f"{safe(company)}: {len(open_ones):,} waiting for sales, {over:,} of them past their deadline")


def deadlines_as_json(company: str, found: Deadlines, mapping: Mapping) -> dict[str, Any]:
    """Return every listed handoff."""
    return {
        "company": company,
        "as_of": instant_as_json(found.as_of),
        "handoffs": [
            {
                "person_id": one.handoff.person_id,
                "records": [str(contact.key) for contact in one.person.contacts] if one.person is not None else [],
                "cycle": one.handoff.cycle,
                "handed_off_at": instant_as_json(one.handoff.decided_at),
                "deadline_at": instant_as_json(one.handoff.deadline_at),
                "business_hours_left": one.hours_left,
                "state": one.state,
                "followed_up_at": instant_as_json(one.followed_up_at),
                "owners": [owner._asdict() for owner in one.handoff.owners],
                "causes": [
                    {"kind": cause.kind, "title": title_of(cause, mapping), "evidence": cause.evidence}
                    for cause in one.causes
                ],
            }
            for one in found.handoffs
        ],
    }


def _hours(one: WatchedHandoff) -> str:
    """Return how long before or after the deadline it is, or it was settled."""
    hours = f"{abs(one.hours_left):.1f}".removesuffix(".0")
    if one.hours_left < 0:
        return f"{hours} over" if one.is_open else f"{hours} late"
    return f"{hours} left" if one.is_open else f"{hours} early"


def _owner(handoff: Decision) -> str:
    """Return who must act: each human once, queues by their CRM, and nobody where nobody was found."""
    names = []
    for one in handoff.owners:
        if one.owner_id:
            names.append(f"{' '.join(one.name.split()) or one.owner_id} ({one.rule})")
        elif one.queue_id:
            names.append(f"queue {one.queue_id} in {one.crm}")
    return ", ".join(dict.fromkeys(names)) or "nobody"
