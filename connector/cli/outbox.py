"""`mql outbox` and `mql retry`: what waits to be written, what was refused and why, and trying it again."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company
from connector.cli.reasons import instant_as_json
from connector.cli.show import console, in_zone, safe
from connector.errors import ConfigError
from connector.mapping.model import Mapping
from connector.pipeline.retrying import retry as retry_changes
from connector.records import Change
from connector.reports.outbox import OutboxTold, tell_outbox
from connector.store import OutboxRow, Retried


def outbox(
    company: str, /, *, rejected: Annotated[bool, Parameter(negative="")] = False, limit: int = 20, json: Json = False,
) -> int:
    """List what waits to be written: since when, why, and when it is tried next. Asks the store only.

    Args:
        rejected: List what was refused instead, with the CRM's own words and what to do.
        limit: At most so many of each CRM and state.
    """
    if limit < 1:
        raise ConfigError([f"--limit: a number from 1 up, not {limit}"])
    with open_company(company) as opened:
        told = tell_outbox(opened, rejected=rejected, limit=limit)
        if json:
            print_json(outbox_as_json(company, told))
        else:
            show_outbox(console(), company, told, opened.mapping, rejected=rejected)
    return 0


def retry(
    company: str, /, *keys: str, all: Annotated[bool, Parameter(negative="")] = False, json: Json = False,
) -> int:
    """Plan refused changes again, once what their CRM refused them for is mended. The next `mql sync` writes them.

    Args:
        keys: Their keys, as `mql outbox COMPANY --rejected` lists them.
        all: Everything that was refused.
    """
    if bool(keys) == all:
        raise ConfigError(
            ["say which changes: their keys, or --all"], hint=f"mql outbox {company} --rejected lists them.",
        )
    with open_company(company) as opened:
        done = retry_changes(opened, None if all else keys)
        if json:
            print_json(retried_as_json(company, done))
        else:
            show_retried(console(), company, done)
    return 0 if done.planned or not done.left else 1


def show_outbox(out: Console, company: str, told: OutboxTold, mapping: Mapping, *, rejected: bool) -> None:
    """Print how many changes there are, and each that is listed."""
    for crm, states in told.counts.items():
        said = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
        out.print(f"[bold]{safe(crm)}[/]: {said}")
    for row in told.rows:
        _show_row(out, row, mapping)
    if len(told.rows) < told.total:
        out.print(f"… and {told.total - len(told.rows):,} more: --limit")
    if not told.total:
        out.print(f"{safe(company)}: " + ("nothing was refused" if rejected else "nothing waits"))
    elif rejected:
        out.print(f"when what stands against them is mended: mql retry {safe(company)} KEY… (or --all)")


def _show_row(out: Console, row: OutboxRow, mapping: Mapping) -> None:
    change = row.change
    since = f"since {in_zone(row.planned_at, mapping)}"
    tries = f", tried {row.attempts}×" if row.attempts else ""
    next_try = f", next try {in_zone(row.next_attempt_at, mapping)}" if row.next_attempt_at else ""
    out.print(f"  {safe(change.record)} [cyan]{change.kind.value}[/] {row.state.value} {since}{tries}{next_try}")
    if change.fields:
        out.print(f"    fields: {safe(', '.join(change.fields))}")
    for line in filter(None, (row.reason, row.told, row.remedy)):
        out.print(f"    {safe(line)}")
    out.print(f"    key {safe(change.idempotency_key)}")


def show_retried(out: Console, company: str, done: Retried) -> None:
    """Print what is planned again, and what is not with the reason."""
    for change, why in done.left:
        out.print(f"  [yellow]![/] {safe(change.crm)} {safe(change.idempotency_key)}: left as it is, {safe(why)}")
    what_next = f": mql sync {safe(company)}" if done.planned else ""
    out.print(f"{len(done.planned):,} change(s) planned again{what_next}")


def outbox_as_json(company: str, told: OutboxTold) -> dict[str, Any]:
    """Return what waits or was refused."""
    return {
        "company": company, "counts": told.counts, "total": told.total,
        "changes": [
            {
                **_place(row.change), "state": row.state.value, "attempts": row.attempts,
                "planned_at": instant_as_json(row.planned_at), "updated_at": instant_as_json(row.updated_at),
                "next_attempt_at": instant_as_json(row.next_attempt_at), "reason": row.reason or None,
                "told": row.told or None, "remedy": row.remedy or None, "run_id": row.run_id,
                "fields": sorted(row.change.fields),
            }
            for row in told.rows
        ],
    }


def retried_as_json(company: str, done: Retried) -> dict[str, Any]:
    """Return what is planned again, and what is not."""
    return {
        "company": company, "planned": [_place(change) for change in done.planned],
        "left": [{**_place(change), "reason": why} for change, why in done.left],
    }


def _place(change: Change) -> dict[str, Any]:
    return {
        "crm": change.crm, "kind": change.kind.value, "record": str(change.record), "person_id": change.person_id,
        "cycle": change.cycle, "idempotency_key": change.idempotency_key,
    }
