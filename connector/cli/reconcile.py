"""`mql reconcile`: what marketing passed to sales against what sales can see."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company
from connector.cli.show import console, progress_on_terminal, safe
from connector.pipeline.reconcile import Difference, Reconciliation
from connector.pipeline.reconcile import reconcile as run_reconcile

_SHOWN = 10


def reconcile(company: str, /, *, json: Json = False, all: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Compare marketing's MQLs with what sales can see in each CRM; name every difference, its cause and its remedy.

    Asks the CRMs and writes nothing. Exit code 1 where something differs.

    Args:
        all: Show every record, not the first ten of each cause.
    """
    with open_company(company) as opened:
        with progress_on_terminal() as progress:
            found = run_reconcile(opened, progress)
        if json:
            print_json(reconciliation_as_json(found))
        else:
            _show(console(), found, None if all else _SHOWN)
    return 1 if found.differences or found.stopped else 0


def reconciliation_as_json(found: Reconciliation) -> dict[str, Any]:
    """Return all that was found."""
    return {
        "company": found.company,
        "passed_count": found.passed_count,
        "seen_counts": found.seen_counts,
        "differences": [
            {"crm": one.crm, "person_id": one.person_id, "record": None if one.record is None else str(one.record),
             "what": one.what, "cause": one.cause, "remedy": one.remedy}
            for one in found.differences
        ],
        "stopped": found.stopped,
    }


def _show(out: Console, found: Reconciliation, limit: int | None) -> None:
    out.print(f"[bold]{safe(found.company)}[/] {found.passed_count:,} MQL(s) were passed to sales")
    for crm, seen in found.seen_counts.items():
        mark = "[green]✓[/]" if seen == found.passed_count else "[yellow]![/]"
        out.print(f"{mark} {crm}: sales can see {seen:,} of them whole")
    for crm, why in found.stopped.items():
        out.print(f"[red]✗[/] {crm}: {safe(why)}")

    def sort(one: Difference) -> tuple[str, str, str, str]:
        return one.crm, one.what, one.cause, _general(one)

    for (crm, what, cause, remedy), group in groupby(sorted(found.differences, key=sort), key=sort):
        those = list(group)
        out.print(f"{crm} [bold]{what.replace('_', ' ')}[/] ({len(those):,}): {safe(cause)}")
        out.print(f"  → {safe(remedy)}")
        for one in those[:limit]:
            out.print(f"    {safe(one.record or one.person_id)}")
        if limit is not None and len(those) > limit:
            out.print(f"    … and {len(those) - limit:,} more; --all shows them")


def _general(one: Difference) -> str:
    """Return the remedy without whom it is about, so that one cause is told once."""
    return re.sub(r" \S+/\d+/\w+`", " KEY`", one.remedy).replace(f" {one.person_id}`", " PERSON`")
