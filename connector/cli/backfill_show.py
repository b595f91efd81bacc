"""What `mql backfill` shows: the estimate, the progress with the time that remains, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.console import Console

from connector.cli.as_json import judged_as_json, plan_as_json, sync_as_json
from connector.cli.reasons import instant_as_json
from connector.cli.show import calls_line, person_line, reasons_line, safe, show_plan, show_sync
from connector.pipeline.backfill.order import describe
from connector.pipeline.backfill.parts import Advance, Tell
from connector.pipeline.backfill.report import BackfillReport
from connector.pipeline.backfill.share import SECONDS_PER_CALL, CrmCost
from connector.pipeline.company import Company

_LINE_EVERY_SECONDS = 30.0
_SHOWN = 20


def show_costs(out: Console, company: Company, costs: Sequence[CrmCost], since: datetime | None) -> None:
    """Print what is to be read: calls by stream, which part of the day's that is, and about how long it takes."""
    for cost in costs:
        share = ""
        if cost.allowed:
            part = f"{cost.calls / cost.allowed:.1%}".replace("%", " %")
            share = f", {part} of the {cost.allowed:,} a day that backfills may take; {cost.left or 0:,} are left"
        out.print(f"{safe(company.name)} {cost.crm}: about {cost.calls:,} calls{share}")
        for one in cost.streams:
            calls = "refused" if one.expected_calls is None else f"{one.expected_calls:,}"
            first = one.stream in cost.first_loads
            marks = [
                *(["first time"] if first else []),
                *(["cannot begin later: read whole"] if since is not None and one.is_whole else []),
                *(["not whole: the next run reads it from the beginning"] if first and not one.is_whole else []),
            ]
            out.print(f"  {calls:>9}  {one.stream}" + (f" ({'; '.join(marks)})" if marks else ""))
        if cost.days > 1:
            out.print(f"  more than is left today: about {cost.days} days; it stops and goes on, see --wait, --resume")
    out.print(f"about {_duration(sum(cost.calls for cost in costs) * SECONDS_PER_CALL)}, as a guess")


@contextmanager
def advance_on_terminal() -> Iterator[Tell]:
    """Give a progress that shows a line on standard error: renewed on a terminal, now and then in a pipe."""
    screen = Console(stderr=True, highlight=False, emoji=False)
    if screen.is_terminal:
        with screen.status("starting") as status:
            yield lambda step: status.update(safe(_line(step)))
        return
    screen.soft_wrap = True
    told_at, told_what = float("-inf"), ""

    def tell(step: Advance) -> None:
        nonlocal told_at, told_what
        key = step.waits or step.what
        if key != told_what or time.monotonic() - told_at >= _LINE_EVERY_SECONDS:
            screen.print(safe(_line(step)), soft_wrap=True)
            told_at, told_what = time.monotonic(), key

    yield tell


def show_backfill(out: Console, company: Company, report: BackfillReport) -> None:
    """Print how far a backfill is, what it brought and cost, and who would be MQL by it."""
    backfill, mapping, name = report.backfill, company.mapping, safe(company.name)
    records, calls = sum(s.records for s in backfill.streams), sum(s.calls for s in backfill.streams)
    done = sum(s.ended_at is not None for s in backfill.streams)
    out.print(f"{safe(describe(company, backfill))}: [bold]{backfill.state.value}[/]")
    out.print(f"  {done} of {len(backfill.streams)} streams read, {records:,} records, {calls:,} calls")
    if report.calls:
        out.print(f"  calls now: {safe('; '.join(calls_line(crm, count) for crm, count in report.calls.items()))}")
    for notice in report.notices:
        out.print(f"  {safe(notice)}")
    for problem in report.problems:
        out.print(f"  [yellow]![/] {safe(problem)}")
    if report.goes_on_at is not None:
        local = report.goes_on_at.astimezone(mapping.zone)
        out.print(f"  what was read is kept; `mql backfill {name} --resume` goes on after {local:%Y-%m-%d %H:%M}")
    elif report.problems:
        out.print(f"  what was read is kept; `mql backfill {name} --resume` goes on once that is mended")
    if report.unread:
        out.print(f"  [yellow]![/] nobody was judged: not yet read once: {safe(', '.join(report.unread))}")
        if not backfill.is_open:
            out.print("  the next run reads that; nobody is handed off then for what was before this backfill began")
    if report.plan is not None:
        show_plan(out, report.plan, mapping)
    elif report.would_be is not None:
        out.print(f"[bold]{report.would_be.count:,}[/] would become MQL by it, and are held: nothing was written")
        for judged in report.would_be.top[:_SHOWN]:
            out.print(f"  {person_line(judged, mapping)}  {safe(reasons_line(judged.decision.score))}")
        if more := report.would_be.count - min(_SHOWN, len(report.would_be.top)):
            out.print(f"  … and {more:,} more; --json lists up to 1,000")
        if report.would_be.count:
            out.print(f"`mql backfill {name} --resume --handoff plan` shows every write; `write` hands them off")
    if report.run is not None:
        show_sync(out, report.run, mapping)


def backfill_as_json(company: Company, report: BackfillReport) -> dict[str, Any]:
    """Return how far a backfill is and what became of it."""
    backfill = report.backfill
    return {
        "company": company.name,
        "number": backfill.number,
        "state": backfill.state.value,
        "is_open": backfill.is_open,
        "handoff": backfill.handoff.value,
        "since": instant_as_json(backfill.since),
        "started_at": instant_as_json(backfill.started_at),
        "ended_at": instant_as_json(backfill.ended_at),
        "streams": [
            {"crm": s.crm, "stream": s.stream, "is_whole": s.is_whole, "expected_calls": s.expected_calls,
             "calls": s.calls, "records": s.records, "ended_at": instant_as_json(s.ended_at)}
            for s in backfill.streams
        ],
        "calls": {crm: count._asdict() for crm, count in report.calls.items()},
        "problems": report.problems,
        "notices": report.notices,
        "goes_on_at": instant_as_json(report.goes_on_at),
        "unread": report.unread,
        "would_be_mql_count": None if report.would_be is None else report.would_be.count,
        "would_be_mql": [] if report.would_be is None else [judged_as_json(one) for one in report.would_be.top],
        "plan": None if report.plan is None else plan_as_json(report.plan),
        "besides": None if report.plan is None else report.plan.besides,
        "run": None if report.run is None else sync_as_json(report.run),
    }


def _line(step: Advance) -> str:
    if step.waits:
        return f"waits: {step.waits}"
    told = [f"{step.what} {step.done:,}" if step.done else step.what]
    if step.expected_calls:
        told.append(f"{step.calls:,} of about {step.expected_calls:,} calls")
    if step.remaining_seconds is not None:
        told.append(f"about {_duration(step.remaining_seconds)} left")
    return ", ".join(told)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"
