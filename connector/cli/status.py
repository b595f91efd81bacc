"""`mql status`: how every company does, whether or not a service runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from connector.cli import opening
from connector.cli.as_json import print_json
from connector.cli.opening import Json
from connector.cli.reasons import instant_as_json
from connector.cli.show import console, safe
from connector.service.presence import Presence, read_presence, silence_of
from connector.service.status import (
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


_COLUMNS = {
    "company": 8, "state": 13, "last run": 9, "next due": 9, "freshness": 9, "outbox": 6, "calls": 5, "p95": 4,
}
"""Heading -> characters it has on the narrowest terminal: its words are not broken."""


def status(company: str | None = None, /, *, json: Json = False) -> int:
    """Tell how the companies do: their state, last and next run, freshness, outbox, calls. Asks the store only.

    Exit code 1 when any is stalled or failing, or nobody serves them any more.

    Args:
        company: This one alone.
    """
    config, now = load_config(opening.config_path), system_clock()
    with open_store(config.store_url) as store:
        statuses = read_status(config, store, now, company)
        presence = read_presence(config, store, statuses, now)
    if json:
        print_json(status_as_json(statuses, presence, now))
    else:
        show_status(console(), statuses, presence, now)
    return 1 if presence.is_silent or any(one.state in BAD for one in statuses) else 0


def show_status(out: Console, statuses: Sequence[CompanyStatus], presence: Presence, now: datetime) -> None:
    """Print a line for each company, beneath it what is wrong, and how many there are of each state.

    Above all of it, where nobody serves them, or ever did, that.
    """
    if silence := silence_of(presence, statuses, now):
        out.print(f"[{'red' if presence.is_silent else 'yellow'}]![/] {silence}")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading, least in _COLUMNS.items():
        table.add_column(heading, overflow="fold", no_wrap=not out.is_terminal, min_width=least)
    for one in statuses:
        colour = _COLOURS.get(one.state, "default")
        table.add_row(
            safe(one.company), f"[{colour}]{safe(in_words(one, now))}[/]", local(one.ran_at, one.zone, now),
            local(one.due_at, one.zone, now), safe(freshness_of(one, now)), _outbox(one),
            _calls(one.budgets),
            age(one.latency_seconds),
        )
    out.print(table)
    for one in statuses:
        if one.trouble:
            out.print(f"[{_COLOURS.get(one.state, 'yellow')}]![/] {safe(one.company)}: {safe(one.trouble)}")
    workers = presence.worker_count
    out.print(summary(statuses) + ("" if workers is None else f"; {workers} {'worker' if workers == 1 else 'workers'}"))


def status_as_json(statuses: Sequence[CompanyStatus], presence: Presence, now: datetime) -> dict[str, Any]:
    """Return how the companies do, and whether anybody serves them."""
    return {
        "as_of": instant_as_json(now),
        "service": {
            "is_silent": presence.is_silent, "looked_at": instant_as_json(presence.looked_at),
            "turn_at": instant_as_json(presence.turn_at), "late": list(presence.late),
            "worker_count": presence.worker_count,
        },
        "companies": [_as_json(one) for one in statuses],
    }


def _as_json(one: CompanyStatus) -> dict[str, Any]:
    behind = one.behind
    return {
        "company": one.company, "state": one.state.value, "since": instant_as_json(one.since),
        "trouble": one.trouble or None, "ran_at": instant_as_json(one.ran_at),
        "progressed_at": instant_as_json(one.progressed_at), "due_at": instant_as_json(one.due_at),
        "behind": None if behind is None else {
            "crm": behind.crm, "stream": behind.stream, "read_at": instant_as_json(behind.read_at),
            "promised_at": instant_as_json(behind.promised_at),
        },
        "waiting_count": one.waiting_count, "refused_count": one.refused_count,
        "calls": {crm: budget._asdict() for crm, budget in one.budgets.items()},
        "event_to_task_p95_seconds": one.latency_seconds, "task_count": one.task_count,
    }


def _outbox(one: CompanyStatus) -> str:
    refused = f", {one.refused_count:,} refused" if one.refused_count else ""
    return f"{one.waiting_count:,}{refused}"


def _calls(budgets: Mapping[str, Budget]) -> str:
    """Return how much of our share is used at the CRM where that is most; how many calls, where no share is known."""
    parts = [budget.used / budget.allowed for budget in budgets.values() if budget.allowed]
    return f"{max(parts):.0%}" if parts else f"{sum(budget.used for budget in budgets.values()):,}"
