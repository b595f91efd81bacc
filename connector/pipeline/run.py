"""One run for one company: `sync` stores and applies, `plan` only tells; they share all but the last step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from connector.mapping.load import definition_fingerprint, judging_fingerprint
from connector.pipeline.check import require_fields
from connector.pipeline.company import Company, Progress, no_progress
from connector.pipeline.evaluate import Judged, evaluate, judge_dirty
from connector.pipeline.lease import hold_lease
from connector.pipeline.pull import StreamCounts, pull, unread_streams
from connector.pipeline.sync_back import sync_back
from connector.pipeline.understand import understand
from connector.records import Change
from connector.store import ChangeState, Conflict, Lease, OutboxRow


@dataclass
class RunReport:
    """What one run did.

    Attributes:
        unread: Streams that were never read to their end; with any, nobody was judged: somebody whom sales has in the
            CRM that is missing must not be handed off by what the other one says.
        stopped: CRM -> why it could not be asked.
        waiting_count: People who were not judged because they have a record in a CRM that stopped.
        handed_off: Everybody who became MQL in this run, in the order they were judged.
        outcomes: CRM -> outcome (`done`, `unchanged`, `retry`, `rejected`, ...) -> how many changes.
        refused: Changes that were given up in this run.
        notices: What the one who configures should know; nothing went wrong.
        set_aside: Records that may be one human and were not made one, each with the reason.
        outbox: CRM -> state -> how many changes are in it after the run.
    """

    run_id: int
    company: str
    started_at: datetime
    finished_at: datetime | None = None
    pulled: list[StreamCounts] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)
    waiting_count: int = 0
    judged_count: int = 0
    handed_off: list[Judged] = field(default_factory=list)
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    refused: list[OutboxRow] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    set_aside: list[Conflict] = field(default_factory=list)
    outbox: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """One line for each thing that did not go as it should."""
        lines = [f"{c.crm} {c.stream}: {c.error}" for c in self.pulled if c.error]
        lines += [f"{crm}: {why}" for crm, why in self.stopped.items() if crm not in _stopped(self.pulled)]
        if self.waiting_count:
            lines.append(f"{self.waiting_count} people wait for {', '.join(self.stopped)}: they were not judged")
        if self.unread:
            lines.append(f"nobody was judged: not yet read once: {', '.join(self.unread)}")
        for crm, outcomes in self.outcomes.items():
            if outcomes.get("stopped"):
                lines.append(f"{crm}: the write-back stopped; what is left goes out with the next run")
        for crm, states in self.outbox.items():
            if waiting := states.get(ChangeState.RETRY, 0) + states.get(ChangeState.SENDING, 0):
                lines.append(f"{crm}: {waiting} change(s) did not get out yet; the next run tries again")
        lines += [
            f"{row.change.crm}: the {row.change.kind} about {row.change.record} is {row.state}: {row.reason}"
            for row in self.refused
        ]
        return lines


def sync(
    company: Company, progress: Progress = no_progress, *, sleep: Callable[[float], None] = time.sleep
) -> RunReport:
    """Pull, evaluate and write back; what a crash or a refusal leaves over, the next run finishes.

    Raises:
        LeaseHeldError: Another run is at work for this company.
        ConnectorError: Nothing could be pulled at all, or the store failed.
    """
    store = company.store
    with hold_lease(company) as lease:
        report = RunReport(store.start_run(company.name, "sync", company.clock()), company.name, company.clock())
        status = "failed"
        try:
            _require_fields_once(company, lease)
            report.notices = _definition_notices(company, lease)
            report.pulled = pull(company, lease, progress)
            understand(company, lease, progress)
            report.stopped = _stopped(report.pulled)
            report.unread = unread_streams(company)
            if not report.unread:
                for batch in evaluate(company, lease, report.run_id, progress, report.stopped):
                    report.judged_count += len(batch.judged)
                    report.waiting_count += batch.waiting_count
                    report.handed_off += [j for j in batch.judged if j.decision.hands_off]
            report.outcomes = {crm: dict(n) for crm, n in sync_back(company, lease, progress, sleep=sleep).items()}
            report.refused = store.read_refused(company.name, report.started_at)
            report.set_aside = store.find_conflicts(company.name)
            report.outbox = store.outbox_counts(company.name)
            status = "done with problems" if report.problems else "done"
        finally:
            report.finished_at = company.clock()
            store.finish_run(report.run_id, status, _counts(report), report.finished_at)
    return report


@dataclass
class Plan:
    """Every write `sync` would make now.

    Attributes:
        waiting: Changes that an earlier run stored and did not get out.
        judged: People with something to be written, each with their changes.
        stopped: CRM -> why it could not be asked; people who have a record there are not in the plan.
        notices: What the one who configures should know.
    """

    company: str
    pulled: list[StreamCounts]
    waiting: list[Change]
    judged: list[Judged]
    stopped: dict[str, str]
    notices: list[str]


def plan(company: Company, progress: Progress = no_progress) -> Plan:
    """Pull and judge, and return what `sync` would write; writes nothing to any CRM and stores no decision."""
    with hold_lease(company) as lease:
        _require_fields_once(company, lease)
        notices = _definition_notices(company, lease)
        pulled = pull(company, lease, progress)
        understand(company, lease, progress)
        stopped = _stopped(pulled)
        batches = [] if unread_streams(company) else judge_dirty(company, lease, stopped)
        judged = [j for batch in batches for j in batch.judged if j.changes]
        return Plan(company.name, pulled, company.store.read_waiting(company.name), judged, stopped, notices)


def _require_fields_once(company: Company, lease: Lease) -> None:
    """Check the mapping's fields against the live accounts when the mapping is new; it costs a call per object."""
    fingerprint = judging_fingerprint(company.mapping)
    if company.store.get_company_state(company.name).get("fields_checked") != fingerprint:
        require_fields(company)
        company.store.set_company_state(lease, fields_checked=fingerprint)


def _definition_notices(company: Company, lease: Lease) -> list[str]:
    """Tell when the definition says something else than when its version was first used."""
    version, content = company.mapping.definition.version, definition_fingerprint(company.mapping)
    fact = f"definition:{version}"
    first = company.store.get_company_state(company.name).get(fact)
    if first is None:
        company.store.set_company_state(lease, **{fact: content})
    if first in (None, content):
        return []
    return [
        f"{company.mapping_file}: the definition has changed and is still called {version!r}: give it a new version, "
        "so that every score names what it was judged by"
    ]


def _stopped(pulled: list[StreamCounts]) -> dict[str, str]:
    return {count.crm: count.error for count in pulled if count.error}


def _counts(report: RunReport) -> dict[str, int]:
    return {
        "pulled": sum(c.new + c.changed for c in report.pulled),
        "judged": report.judged_count,
        "handed_off": len(report.handed_off),
        **{f"{crm}_{outcome}": n for crm, counts in report.outcomes.items() for outcome, n in counts.items()},
    }
