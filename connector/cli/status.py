"""`mql status`: how every company does, whether or not a service runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from connector.cli import opening
from connector.cli.as_json import print_json
from connector.cli.opening import Json
from connector.cli.reasons import instant_as_json
from connector.cli.show import console, safe
from connector.reports.status import (
    BAD,
    Budget,
    CompanyStatus,
    State,
    age,
    freshness_of,
    in_words,
    local,
    read_status,
    summary,
)
from connector.settings import load_config
from connector.store import open_store
from connector.wiring import system_clock

_COLOURS = {
    State.STALLED: "red", State.FAILING: "red", State.PROBLEMS: "yellow", State.HELD: "yellow", State.FRESH: "green",
    State.RUNNING: "cyan", State.OFF: "dim",
}


def status(company: str | None = None, /, *, json: Json = False) -> int:
    """Tell how the companies do: their state, last and next run, freshness, outbox, calls. Asks the store only.

    Exit code 1 when any is stalled or failing.

    Args:
        company: This one alone.
    """
    config, now = load_config(opening.config_path), system_clock()
    with open_store(config.store_url) as store:
        statuses = read_status(config, store, now, company)
    if json:
        print_json(status_as_json(statuses, now))
    else:
        show_status(console(), statuses, now)
    return 1 if any(one.state in BAD for one in statuses) else 0


def show_status(out: Console, statuses: Sequence[CompanyStatus], now: datetime) -> None:
    """Print a line for each company, beneath it what is wrong, and how many there are of each state."""
    table = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False)
    for heading in ("company", "state", "last run", "next due", "oldest stream", "outbox", "calls", "p95"):
        table.add_column(heading, overflow="fold", no_wrap=not out.is_terminal)
    for one in statuses:
        colour = _COLOURS.get(one.state, "default")
        table.add_row(
            safe(one.company), f"[{colour}]{safe(in_words(one, now))}[/]", local(one.ran_at, one.zone, now),
            local(one.due_at, one.zone, now), safe(freshness_of(one, now)), _outbox(one),
            ", ".join(f"{safe(crm)} {_budget(budget)}" for crm, budget in one.budgets.items()),
            age(one.latency_seconds),
        )
    out.print(table)
    for one in statuses:
        if one.trouble:
            out.print(f"[{_COLOURS.get(one.state, 'yellow')}]![/] {safe(one.company)}: {safe(one.trouble)}")
    out.print(summary(statuses))


def status_as_json(statuses: Sequence[CompanyStatus], now: datetime) -> dict[str, Any]:
    """Return how the companies do."""
    return {"as_of": instant_as_json(now), "companies": [_as_json(one) for one in statuses]}


def _as_json(one: CompanyStatus) -> dict[str, Any]:
    oldest = one.oldest
    return {
        "company": one.company, "state": one.state.value, "since": instant_as_json(one.since),
        "trouble": one.trouble or None, "ran_at": instant_as_json(one.ran_at),
        "progressed_at": instant_as_json(one.progressed_at), "due_at": instant_as_json(one.due_at),
        "oldest_stream": None if oldest is None else {
            "crm": oldest.crm, "stream": oldest.stream, "read_at": instant_as_json(oldest.read_at),
        },
        "waiting_count": one.waiting_count, "refused_count": one.refused_count,
        "calls": {crm: budget._asdict() for crm, budget in one.budgets.items()},
        "event_to_task_p95_seconds": one.latency_seconds, "task_count": one.task_count,
    }


def _outbox(one: CompanyStatus) -> str:
    refused = f", {one.refused_count:,} refused" if one.refused_count else ""
    return f"{one.waiting_count:,}{refused}"


def _budget(budget: Budget) -> str:
    return f"{budget.used / budget.allowed:.0%}" if budget.allowed else f"{budget.used:,}"
