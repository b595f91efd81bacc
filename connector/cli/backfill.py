"""`mql backfill`: read what was there before, and hand nobody off unless asked to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter

from connector.cli.as_json import print_json
from connector.cli.backfill_show import (
    advance_on_terminal,
    backfill_as_json,
    show_backfill,
    show_costs,
)
from connector.cli.opening import Json, open_company
from connector.cli.show import console, safe
from connector.errors import ConfigError
from connector.pipeline.backfill.order import Order, all_streams, describe, find_since, find_streams, settle
from connector.pipeline.backfill.report import BackfillReport
from connector.pipeline.backfill.share import CrmCost, estimate_rest, estimate_streams
from connector.pipeline.backfill.work import begin, change_handoff, hold_backfill, work
from connector.pipeline.backfill.work import cancel as cancel_it
from connector.pipeline.company import Company
from connector.pipeline.pull import unread_streams
from connector.store import Backfill, BackfillState, HandoffMode

Switch = Annotated[bool, Parameter(negative="")]


def backfill(
    company: str, /, *, streams: list[str] | None = None, since: str | None = None,
    handoff: Literal["none", "plan", "write"] | None = None, resume: Switch = False, cancel: Switch = False,
    wait: Switch = False, yes: Switch = False, approve_over: int | None = None, html: Switch = False,
    json: Json = False,
) -> int:
    """Read what a company's CRMs hold from before, in parts beside the scheduled runs; hand nobody off unless asked to.

    The estimate comes first. The same command again, or --resume, goes on where it stopped.

    Args:
        streams: Only these: `contacts` (of every CRM) or `hubspot.contacts`, several joined by commas.
        since: Only what was changed or happened since this day (2026-04-01).
        handoff: What becomes of who would be MQL by it: none (they are held and listed), plan (every write is shown
            too), write (they are handed off).
        resume: Go on with the last one; behind its end with --handoff write: hand off whom it held.
        cancel: End the open one; what was read is kept, whom it held stays held.
        wait: When its share of the calls is used up, wait for new ones.
        yes: Do not ask whether to begin.
        approve_over: With --handoff write: as `mql sync` takes it.
        html: With --handoff plan: print the plan as a page for those who approve it.
    """
    if approve_over is not None and approve_over < 0:
        raise ConfigError([f"--approve-over: a number from 0 up, not {approve_over}"])
    if html and not resume and handoff != "plan":
        raise ConfigError(["--html: the page shows a plan; add --handoff plan"])
    report: BackfillReport | None = None
    while report is None or report.is_overtaken:
        before = report
        with open_company(company) as opened, hold_backfill(opened):
            if cancel:
                return _cancel(opened, json=json)
            order = Order(
                find_streams(opened, streams or ()), find_since(opened, since) if since else None,
                HandoffMode(handoff) if handoff else None, resumes=resume,
            ) if before is None else Order(resumes=True)
            found = _settle(opened, order, asks=not yes and before is None, json=json)
            if found is None:
                return 1
            with advance_on_terminal() as tell:
                report = work(opened, found, tell, waits=wait, approve_over=approve_over)
            if report.is_overtaken:
                _say(f"{opened.mapping_file} was edited: it goes on by what that says now")
            report = report.after(before)
            if not report.is_overtaken:
                _tell(opened, report, html=html, json=json)
    return 1 if report.problems or report.unread or (report.run is not None and report.run.problems) else 0


def _settle(company: Company, order: Order, *, asks: bool, json: bool) -> Backfill | None:
    """Return the backfill to work on, begun if it is a new one; None when somebody would rather not begin it."""
    found = settle(company, order, company.store.read_backfill(company.name))
    if found is None:
        costs = estimate_streams(company, order.streams or all_streams(company), order.since)
        if not _agrees(company, costs, order, asks=asks, json=json):
            return None
        return begin(company, order, costs)
    _say(f"goes on with {describe(company, found)}" if found.is_open else f"{describe(company, found)} is over")
    if found.state is BackfillState.READING:
        costs = estimate_rest(company, found)
        if costs and not _agrees(company, costs, order, asks=asks, json=json):
            return None
    # Behind the question: who says no has let nobody go.
    if order.handoff not in (None, found.handoff):
        found = change_handoff(company, found, order.handoff or found.handoff)
    return found


def _agrees(company: Company, costs: Sequence[CrmCost], order: Order, *, asks: bool, json: bool) -> bool:
    """Show what it costs, and ask where somebody can answer."""
    if not json:
        show_costs(console(stderr=True), company, costs, order.since)
    if not asks or not sys.stdin.isatty() or not sys.stderr.isatty():
        return True
    sys.stderr.write("begin? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    _say("nothing was begun")
    return False


def _cancel(company: Company, *, json: bool) -> int:
    last = company.store.read_backfill(company.name)
    if last is None or not last.is_open:
        raise ConfigError([f"{company.name} has no open backfill"])
    with advance_on_terminal() as tell:
        cancelled = cancel_it(company, last, tell)
    unread = unread_streams(company) if cancelled.holds else []
    _tell(company, BackfillReport(cancelled, unread=unread), html=False, json=json)
    return 0


def _tell(company: Company, report: BackfillReport, *, html: bool, json: bool) -> None:
    if json:
        print_json(backfill_as_json(company, report))
    elif html and report.plan is not None:
        from connector.pipeline.links import read_links
        from connector.reports.plan import render_plan, tell_plan

        print(render_plan(tell_plan(report.plan, company.mapping, read_links(company), company.clock())))
    else:
        show_backfill(console(), company, report)


def _say(line: str) -> None:
    console(stderr=True).print(safe(line))
