"""What became of a backfill, put together where it took several parts, or the company had to be opened again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.pipeline.backfill.held import WouldBe
from connector.pipeline.budget import CallCount
from connector.pipeline.run import TOLD_AT_MOST, Plan, RunReport
from connector.store import Backfill


@dataclass
class BackfillReport:
    """What became of a backfill in this call.

    Attributes:
        problems: One line for each thing that keeps it from its end.
        goes_on_at: When there are calls again; None when that is not what it waits for, or nobody knows.
        unread: Streams that were never read to their end: with any, nobody was judged.
        would_be: Who would be MQL; None where they are handed off, or nobody could be judged yet.
        plan: Every write that handing them off would make, where that was asked for.
        run: The run, or runs put together, that handed them off, where that was asked for.
        calls: CRM -> how many calls this took.
        notices: What the one who configures should know; nothing went wrong.
        is_overtaken: The mapping was edited meanwhile: open the company again, and go on.
    """

    backfill: Backfill
    problems: list[str] = field(default_factory=list)
    goes_on_at: datetime | None = None
    unread: list[str] = field(default_factory=list)
    would_be: WouldBe | None = None
    plan: Plan | None = None
    run: RunReport | None = None
    calls: dict[str, CallCount] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    is_overtaken: bool = False

    def after(self, before: BackfillReport | None) -> BackfillReport:
        """Return this report with what the same command did before the company was opened again."""
        if before is None:
            return self
        sent = {crm: count.sent for crm, count in before.calls.items()}
        calls = {crm: count._replace(sent=count.sent + sent.get(crm, 0)) for crm, count in self.calls.items()}
        runs = [report.run for report in (before, self) if report.run is not None]
        run = joined(*runs) if len(runs) > 1 else runs[0] if runs else None
        return replace(self, calls=calls, run=run, notices=list(dict.fromkeys([*before.notices, *self.notices])))


def joined(before: RunReport, run: RunReport) -> RunReport:
    """Return the report of a run together with what the parts before it did."""
    run.started_at = before.started_at
    run.judged_count += before.judged_count
    run.recycled_count += before.recycled_count
    run.handed_off_count += before.handed_off_count
    run.handed_off = [*before.handed_off, *run.handed_off][:TOLD_AT_MOST]
    told = {(row.change.crm, row.change.idempotency_key) for row in run.refused}
    earlier = [row for row in before.refused if (row.change.crm, row.change.idempotency_key) not in told]
    run.refused = [*earlier, *run.refused]
    for crm, counts in before.outcomes.items():
        ours = run.outcomes.setdefault(crm, {})
        for outcome, count in counts.items():
            ours[outcome] = ours.get(outcome, 0) + count
    return run
