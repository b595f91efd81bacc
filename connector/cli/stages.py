"""How somebody's way through the waterfall is told, in a table and in JSON."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from connector.cli.reasons import instant_as_json
from connector.cli.show import in_zone, safe
from connector.core import waterfall
from connector.mapping.model import Mapping
from connector.records import Decision, StageEntry

_HOW = {
    waterfall.HANDOFF: "we handed them off", waterfall.SKIPPED: "skipped", waterfall.ACTIVITY: "what they did",
    waterfall.RECYCLED: "we sent them back: overdue, or a run was undone",
}
_HOW_BY_CRM = {
    waterfall.HISTORY: "the history of {crm}", waterfall.DEED: "what sales did in {crm}",
    waterfall.SEEN: "seen in {crm}",
}


def show_stages(out: Console, decision: Decision, mapping: Mapping, now: datetime) -> None:
    """Print each stage somebody came to with its time, how long they stood in it, and how that is known."""
    table = Table("cycle", "stage", "since", "for", "known by", box=None, padding=(0, 2, 0, 2))
    for one in decision.stages:
        table.add_row(
            str(one.cycle), one.stage.value, in_zone(one.entered_at, mapping), _lasted(one, now),
            safe(_how(one, mapping)),
        )
    out.print(f"lane {decision.lane.value}")
    out.print(table)


def stages_as_json(decision: Decision, now: datetime) -> list[dict[str, Any]]:
    """Return each stage somebody came to; `lasted_days` of an open one counts up to now."""
    return [
        {"cycle": one.cycle, "stage": one.stage.value, "entered_at": instant_as_json(one.entered_at),
         "left_at": instant_as_json(one.left_at), "lasted_days": round(_duration(one, now) / timedelta(days=1), 2),
         "is_skipped": one.basis == waterfall.SKIPPED, "basis": one.basis, "crm": one.crm or None}
        for one in decision.stages
    ]


def _duration(entry: StageEntry, now: datetime) -> timedelta:
    return max((entry.left_at or now) - entry.entered_at, timedelta())


def _lasted(entry: StageEntry, now: datetime) -> str:
    if entry.basis == waterfall.SKIPPED:
        return ""
    hours = _duration(entry, now) / timedelta(hours=1)
    if hours < 2:
        spent = f"{hours * 60:.0f} minutes"
    else:
        spent = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return spent if entry.left_at is not None else f"{spent} so far"


def _how(entry: StageEntry, mapping: Mapping) -> str:
    if entry.basis in _HOW:
        return _HOW[entry.basis]
    part = mapping.crm.get(entry.crm)
    return _HOW_BY_CRM[entry.basis].format(crm=(part.label if part else "") or entry.crm or "the CRMs")
