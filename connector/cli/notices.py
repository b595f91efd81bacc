"""`mql notices`: what people were not told yet outside the CRMs, and whether they can be told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from connector.cli.as_json import print_json
from connector.cli.opening import Json, open_company
from connector.cli.reasons import instant_as_json
from connector.cli.show import console, safe
from connector.errors import ConfigError
from connector.notices import Notifier
from connector.pipeline.notify import try_addresses
from connector.store import NoticeRow, NoticeState


def notices(
    company: str, /, *, test: Annotated[bool, Parameter(negative="")] = False, owner: str = "", limit: int = 50,
    json: Json = False,
) -> int:
    """List what people outside the CRMs were not told yet, and what was given up, with the reason.

    Args:
        test: Send a test message to each address of the channel instead.
        owner: With --test: send one to this e-mail address too, as an owner gets it.
        limit: At most so many, the newest.
    """
    if owner and not test:
        raise ConfigError(["--owner goes with --test"])
    if limit < 1:
        raise ConfigError([f"--limit: a number from 1 up, not {limit}"])
    with open_company(company) as opened:
        if test:
            tried = try_addresses(opened, owner)
            if json:
                print_json({"company": company, "tried": [{"place": p, "error": why or None} for p, why in tried]})
            else:
                for place, why in tried:
                    console().print(f"[red]✗[/] {safe(place)}: {safe(why)}" if why else f"[green]✓[/] {safe(place)}")
            return 1 if any(why for _, why in tried) else 0
        rows = opened.store.read_notices(
            company, [NoticeState.PLANNED, NoticeState.SENDING, NoticeState.FAILED],
        )
        if json:
            print_json({
                "company": company, "count": len(rows),
                "notices": [_as_json(row, opened.notifier) for row in rows[-limit:]],
            })
        else:
            _show(console(), rows, limit, opened.notifier, opened.mapping.zone)
    return 0


def _show(out: Console, rows: list[NoticeRow], limit: int, notifier: Notifier | None, zone: ZoneInfo) -> None:
    if not rows:
        out.print("nothing waits, nothing was given up")
        return
    table = Table("state", "planned", "for", "what", "why not yet", box=None, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows[-limit:]:
        again = f" (tried {row.attempts}×, next {_moment(row.next_attempt_at, zone)})" if row.next_attempt_at else ""
        table.add_row(
            row.state.value, _moment(row.planned_at, zone), safe(_recipient(row, notifier)), safe(row.notice.line),
            safe(row.reason) + again,
        )
    out.print(table)
    if len(rows) > limit:
        out.print(f"and {len(rows) - limit} older: --limit")


def _recipient(row: NoticeRow, notifier: Notifier | None) -> str:
    to = row.notice.recipient
    return to.email or (notifier.place_of(to) if notifier is not None else to.kind)


def _moment(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at else "now"


def _as_json(row: NoticeRow, notifier: Notifier | None) -> dict[str, Any]:
    notice = row.notice
    return {
        "key": notice.key, "kind": notice.kind, "person_id": notice.person_id, "cycle": notice.cycle,
        "recipient": _recipient(row, notifier), "state": row.state.value, "line": notice.line,
        "url": notice.url or None, "attempts": row.attempts, "reason": row.reason or None,
        "planned_at": instant_as_json(row.planned_at), "next_attempt_at": instant_as_json(row.next_attempt_at),
    }
