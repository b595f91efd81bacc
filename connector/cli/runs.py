"""`mql runs`: what the last runs did, and every write of one of them, before → after."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from cyclopts import App
from rich.console import Console
from rich.table import Table

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company, whose_run
from connector.cli.reasons import instant_as_json
from connector.cli.show import console, in_zone, safe, value_text
from connector.errors import ConfigError
from connector.mapping.model import Mapping
from connector.reports.runs import RunTold, list_runs, tell_run
from connector.store import ReceiptRow, Run

app = App(help="List a company's last runs; `mql runs show RUN` tells every write of one.")


@app.default
def runs(company: str, /, *, limit: int = 20, json: Json = False) -> int:
    """List a company's last runs, the newest first. Asks the store only.

    Args:
        limit: At most so many.
    """
    if limit < 1:
        raise ConfigError([f"--limit: a number from 1 up, not {limit}"])
    with open_company(company) as opened:
        found = list_runs(opened, limit)
        if json:
            print_json({"company": company, "runs": [run_as_json(run) for run in found]})
        else:
            show_runs(console(), company, found, opened.mapping)
    return 0


@app.command
def show(company: str, run: int | None = None, /, *, limit: int = 50, json: Json = False) -> int:
    """Show what one run wrote, field by field, and what was refused. Asks the store only.

    Args:
        company: Whose run it is; may be left out, as in `mql runs show 7`.
        run: Its number, as `mql runs` tells it.
        limit: At most so many writes; --json gives all.
    """
    company, run = whose_run(company, run)
    with open_company(company) as opened:
        told = tell_run(opened, run)
        if json:
            print_json(told_as_json(told))
        else:
            show_run(console(), told, opened.mapping, limit)
    return 0


def show_runs(out: Console, company: str, found: list[Run], mapping: Mapping) -> None:
    """Print one line a run: when, how long, how it ended, and what it counted."""
    table = Table("run", "what", "began", "took", "ended", "what it did", box=None, padding=(0, 2, 0, 0))
    for run in found:
        table.add_row(
            str(run.run_id), safe(run.kind), in_zone(run.started_at, mapping), _took(run), safe(run.status),
            safe(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in run.counts.items() if count)),
        )
    if found:
        out.print(table)
        for (status, trouble), group in groupby(found, lambda run: (run.status, run.trouble)):
            if trouble:
                newest, *older = (run.run_id for run in group)
                more = f" and {len(older)} before it" if older else ""
                out.print(f"[yellow]![/] run {newest}{more}, {safe(status)}: {safe(trouble)}")
        out.print("`mql runs show RUN` tells every write of one")
    else:
        out.print(f"{safe(company)} has had no run yet: mql sync {safe(company)}")


def show_run(out: Console, told: RunTold, mapping: Mapping, limit: int) -> None:
    """Print what a run wrote, the refused first."""
    run = told.run
    out.print(
        f"[bold]run {run.run_id}[/] of {safe(run.company)}: {safe(run.kind)}, {in_zone(run.started_at, mapping)}, "
        + ", ".join(filter(None, (_took(run), safe(run.status))))
    )
    if run.trouble:
        out.print(f"[yellow]![/] {safe(run.trouble)}")
    for crm, kinds in told.counts.items():
        for kind, outcomes in kinds.items():
            said = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))
            out.print(f"  {safe(crm)} {safe(kind)}: {said}")
    rows = sorted(told.receipts, key=lambda row: row.outcome not in ("rejected", "dead"))
    for row in rows[:limit]:
        _show_receipt(out, row, *told.told.get((row.crm, row.idempotency_key), ("", "")))
    if len(rows) > limit:
        out.print(f"  … and {len(rows) - limit:,} more: --limit, --json")
    if not rows:
        out.print("  nothing was written")


def _show_receipt(out: Console, row: ReceiptRow, told: str, remedy: str) -> None:
    colour = {"done": "green", "unchanged": "dim"}.get(row.outcome.value, "yellow")
    made = f" → {safe(row.remote_id)}" if row.remote_id and not row.after else ""
    why = f": {safe(row.reason)}" if row.reason else ""
    out.print(f"  {safe(row.record)} [cyan]{row.kind.value}[/]{made} [{colour}]{row.outcome.value}[/]{why}")
    for name, value in row.after.items():
        out.print(f"    {safe(name)}: {safe(value_text(row.before.get(name)))} → {safe(value_text(value))}")
    for line in filter(None, (told, remedy)):
        out.print(f"    {safe(line)}")


def run_as_json(run: Run) -> dict[str, Any]:
    """Return a run and what it counted."""
    return {
        "run_id": run.run_id, "kind": run.kind, "status": run.status, "started_at": instant_as_json(run.started_at),
        "finished_at": instant_as_json(run.finished_at), "trouble": run.trouble or None, "counts": dict(run.counts),
    }


def told_as_json(told: RunTold) -> dict[str, Any]:
    """Return a run with every write it sent."""
    writes = []
    for row in told.receipts:
        words, remedy = told.told.get((row.crm, row.idempotency_key), ("", ""))
        writes.append({
            "crm": row.crm, "kind": row.kind.value, "record": str(row.record), "person_id": row.person_id,
            "cycle": row.cycle, "idempotency_key": row.idempotency_key, "outcome": row.outcome.value,
            "remote_id": row.remote_id or None, "reason": row.reason or None, "told": words or None,
            "remedy": remedy or None, "at": instant_as_json(row.at),
            "fields": [
                {"field": name, "before": row.before.get(name), "after": value} for name, value in row.after.items()
            ],
        })
    return {"company": told.run.company, **run_as_json(told.run), "writes": writes}


def _took(run: Run) -> str:
    return "" if run.finished_at is None else f"{(run.finished_at - run.started_at).total_seconds():.0f} s"
