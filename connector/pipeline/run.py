"""One run for one company: `sync` stores and applies, `plan` only tells; they share all but the last step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from connector.errors import RunPausedError
from connector.mapping.load import judging_fingerprint
from connector.pipeline.approval import Held, ask_approval, limit_writes, standing_limit
from connector.pipeline.backfill.standing import end_hold, first_load_lines
from connector.pipeline.budget import CallCount, call_counter, first_load_notices, save_calls
from connector.pipeline.check import remedy_if_named, require_fields
from connector.pipeline.company import Company, Progress, Step, no_progress
from connector.pipeline.definitions import begin_judging, draft_notices
from connector.pipeline.desk import open_desk
from connector.pipeline.drift import drift_notices
from connector.pipeline.evaluate import Judged, evaluate, judge_dirty
from connector.pipeline.lease import hold_lease
from connector.pipeline.links import remember_place
from connector.pipeline.notify import NoticeReport, notify
from connector.pipeline.pull import StreamCounts, pull, unread_streams
from connector.pipeline.removals import RemovedReport, pull_removed
from connector.pipeline.run_frame import begin_run
from connector.pipeline.sync_back import sync_back
from connector.pipeline.trouble import one_line, trouble_of
from connector.pipeline.understand import understand
from connector.pipeline.waiting import Waiting, read_waiting
from connector.records import ChangeKind
from connector.store import WAITING, ChangeState, Conflict, Lease, OutboxRow

_REFUSED_TOLD = 20

TOLD_AT_MOST = 1_000
"""So many of those who became MQL a report names: it is kept in memory until the run ends, however large that is."""


@dataclass
class RunReport:
    """What one run did.

    Attributes:
        unread: Streams that were never read to their end; with any, nobody was judged: somebody whom sales has in the
            CRM that is missing must not be handed off by what the other one says.
        stopped: CRM -> why it could not be asked.
        waiting_count: People who were not judged because they have a record in a CRM that stopped.
        handed_off: Who became MQL in this run, in the order they were judged; the first `TOLD_AT_MOST`.
        handed_off_count: How many became MQL.
        recycled_count: How many were sent back to nurturing, because nobody had acted in time.
        held: Why nothing was written, when it would have been more than may be without approval; else None.
        outcomes: CRM -> outcome (`done`, `unchanged`, `retry`, `rejected`, ...) -> how many changes.
        refused: Changes that were given up in this run.
        notices: What the one who configures should know; nothing went wrong.
        set_aside: Records that may be one human and were not made one, each with the reason.
        outbox: CRM -> state -> how many changes wait in it after the run.
        calls: CRM -> how many calls the run took.
        removed: What became of removed records that no pull tells of.
        told: What people were told outside the CRMs.
        is_paused: It was asked to end before its work was done: the next run goes on.
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
    handed_off_count: int = 0
    recycled_count: int = 0
    held: Held | None = None
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    refused: list[OutboxRow] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    set_aside: list[Conflict] = field(default_factory=list)
    outbox: dict[str, dict[str, int]] = field(default_factory=dict)
    calls: dict[str, CallCount] = field(default_factory=dict)
    removed: RemovedReport = field(default_factory=RemovedReport)
    told: NoticeReport = field(default_factory=NoticeReport)
    is_paused: bool = False

    @property
    def problems(self) -> list[str]:
        """One line for each thing that did not go as it should."""
        told = {c.crm for c in self.pulled if c.error}
        lines = [
            f"{c.crm} {c.stream}: {c.error}" for c in self.pulled
            if c.error and (c.crm in self.stopped or f"{c.crm} {c.stream}" in self.unread)
        ]
        lines += [f"{crm}: {why}" for crm, why in self.stopped.items() if crm not in told]
        lines += [f"{c.crm} {c.stream}, removed records: {c.error}" for c in self.removed.counts if c.error]
        if self.waiting_count:
            lines.append(f"{self.waiting_count} people wait for {', '.join(self.stopped)}: they were not judged")
        if self.held is not None:
            lines += self.held.lines(self.company)
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
            f"{self._remedy(row)}" for row in self.refused[:_REFUSED_TOLD]
        ]
        if (more := len(self.refused) - _REFUSED_TOLD) > 0:
            lines.append(f"... and {more:,} more are refused: `mql outbox {self.company} --rejected` lists them")
        return lines + self.told.problems

    @property
    def trouble(self) -> str:
        """The worst of the problems on one line that names no person, with where to look; empty for nothing."""
        name = self.company
        if self.stopped:
            lines = [f"{crm}: {why}" for crm, why in self.stopped.items()]
        elif self.unread:
            reasons = {f"{c.crm} {c.stream}": f" ({c.error})" for c in self.pulled if c.error}
            unread = ", ".join(f"{stream}{reasons.get(stream, '')}" for stream in self.unread)
            lines = [f"nobody was judged, for not all is read to its end yet: {unread}"]
        elif self.held is not None:
            lines = [
                f"nothing was written: {self.held.total:,} changes wait for approval; `mql plan {name}` shows them, "
                f"`mql sync {name} --approve-over {self.held.total}` writes them"
            ]
        else:
            states = [ChangeState.RETRY, ChangeState.SENDING]
            waiting = sum(counts.get(state, 0) for counts in self.outbox.values() for state in states)
            unlisted = [f"{c.crm} {c.stream}" for c in self.removed.counts if c.error]
            lines = [line for holds, line in (
                (self.refused, f"{len(self.refused):,} change(s) are refused: `mql outbox {name} --rejected`"),
                (waiting, f"{waiting:,} change(s) did not get out yet: `mql outbox {name}`"),
                (unlisted, f"removed records cannot be read: {', '.join(unlisted)}"),
                (self.told.problems, f"somebody could not be told: `mql notices {name}`"),
            ) if holds]
            if self.problems and not lines:
                lines = ["the write-back stopped; what is left goes out with the next run"]
        return one_line("; ".join(lines))

    def _remedy(self, row: OutboxRow) -> str:
        names = row.change.fields if row.change.kind is ChangeKind.SCORE else ()
        ours = remedy_if_named(self.company, names, row.reason)
        return ours or (f" ({row.remedy})" if row.remedy else "")


def sync(
    company: Company, progress: Progress = no_progress, *, ask_all: bool = False, erase_all: bool = False,
    approve_over: int | None = None, is_part: bool = False, sleep: Callable[[float], None] = time.sleep,
) -> RunReport:
    """Pull, evaluate and write back; what a crash or a refusal leaves over, the next run finishes.

    Args:
        progress: Told how far the run is, each time between two steps. It may raise RunPausedError, which ends the run
            there, without harm and without an error.
        ask_all: Ask the streams too that were read a short time ago.
        erase_all: Erase what the CRMs say is erased however much it is.
        approve_over: Write nothing when more changes than this wait to be written; see `pipeline.approval`. Without
            one the setting counts.
        is_part: It is one part of a backfill's end, and short.

    Raises:
        LeaseHeldError: Another run is at work for this company.
        ConnectorError: Nothing could be pulled at all, or the store failed.
    """
    store = company.store
    with hold_lease(company, is_part=is_part) as lease, begin_run(company, "sync") as run:
        report, calls = RunReport(run.run_id, company.name, company.clock()), call_counter(company)
        try:
            limit = limit_writes(company, lease, approve_over)
            require_fields_once(begin_judging(company), lease)
            company = begin_judging(company, lease)    # a file that cannot be used publishes nothing
            report.notices = draft_notices(company) + _first_load_notices(company, progress)
            report.pulled = pull(company, lease, progress, ask_all=ask_all)
            report.stopped = _stopped(company, report.pulled)
            report.removed = _pull_removed(company, lease, progress, report.stopped, erase_all=erase_all)
            understand(company, lease, progress)
            report.unread = unread_streams(company)
            report.notices += first_load_lines(company)
            report.notices += drift_notices(company) + _refusals(report.pulled, report.stopped, report.unread)
            report.notices += report.removed.notices
            if not report.unread:
                desk = open_desk(company)
                for batch in evaluate(company, lease, report.run_id, desk, progress, report.stopped):
                    report.judged_count += len(batch.judged)
                    report.waiting_count += batch.waiting_count
                    handed_off = [j for j in batch.judged if j.decision.hands_off]
                    report.handed_off_count += len(handed_off)
                    report.recycled_count += sum(bool(j.decision.recycles) for j in batch.judged)
                    room = TOLD_AT_MOST - len(report.handed_off)
                    report.handed_off += handed_off[:room]
                report.notices += desk.notices
                if not report.waiting_count:
                    end_hold(company, lease)
            save_calls(company)
            report.held = ask_approval(company, lease, limit)
            if report.held is None:
                outcomes = sync_back(company, lease, report.run_id, progress, sleep=sleep)
                report.outcomes = {crm: dict(counts) for crm, counts in outcomes.items()}
                report.told = notify(company, lease, report.run_id, progress)
            report.refused = store.read_refused(company.name, report.started_at)
            report.set_aside = store.find_conflicts(company.name)
            report.outbox = store.outbox_counts(company.name, WAITING)
            run.status = "held" if report.held else "done with problems" if report.problems else "done"
            run.trouble = report.trouble
        except RunPausedError as error:
            run.status, run.trouble, report.is_paused = "paused", trouble_of(error), True
        finally:
            report.finished_at, report.calls = company.clock(), calls()
            run.counts = _counts(report)
    return report


@dataclass
class Plan:
    """Every write `sync` would make now.

    Attributes:
        unread: Streams that were never read to their end; with any, nobody was judged.
        waiting: Whom earlier runs decided something about that did not get out yet, with their changes.
        judged: People with something to be written, each with their changes.
        stopped: CRM -> why it could not be asked; people who have a record there are not in the plan.
        notices: What the one who configures should know.
        limit: More writes than this wait for approval; None: any number goes out.
        command: What writes them; empty: `mql sync`.
        besides: CRM -> kind -> how many writes, about, the same run makes about others than these.
    """

    company: str
    pulled: list[StreamCounts]
    unread: list[str]
    waiting: list[Waiting]
    judged: list[Judged]
    stopped: dict[str, str]
    notices: list[str]
    limit: int | None = None
    command: str = ""
    besides: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def written_by(self) -> str:
        """The command that writes them."""
        return self.command or f"mql sync {self.company}"

    @property
    def write_count(self) -> int:
        """How many writes these are."""
        return sum(len(one.changes) for people in (self.judged, self.waiting) for one in people)

    @property
    def besides_count(self) -> int:
        """About how many writes the same run makes about others."""
        return sum(sum(counts.values()) for counts in self.besides.values())

    @property
    def approved_by(self) -> str:
        """The command that writes them where they, and what is written besides, are more than need no approval.

        Empty where they are not.
        """
        total = self.write_count + self.besides_count
        return f"{self.written_by} --approve-over {total}" if self.limit is not None and total > self.limit else ""

    @property
    def mql_count(self) -> int:
        """How many people become MQL in the CRMs by them."""
        new = {judged.person.person_id for judged in self.judged if judged.decision.hands_off}
        return len(new | {one.person_id for one in self.waiting if one.handoff is not None})


def plan(company: Company, progress: Progress = no_progress) -> Plan:
    """Pull and judge, and return what `sync` would write; writes nothing to any CRM and stores no decision."""
    with hold_lease(company) as lease:
        company = begin_judging(company)
        require_fields_once(company, lease)
        notices = draft_notices(company) + _first_load_notices(company, progress)
        pulled = pull(company, lease, progress)
        stopped = _stopped(company, pulled)
        removed = _pull_removed(company, lease, progress, stopped)
        understand(company, lease, progress)
        unread = unread_streams(company)
        notices += first_load_lines(company)
        notices += drift_notices(company) + _refusals(pulled, stopped, unread) + removed.notices
        desk = open_desk(company)
        batches = [] if unread else judge_dirty(company, lease, desk, stopped)
        judged = [j for batch in batches for j in batch.judged if j.changes]
        notices += desk.notices
        return Plan(
            company.name, pulled, unread, read_waiting(company), judged, stopped, notices, standing_limit(company),
        )


def require_fields_once(company: Company, lease: Lease) -> None:
    """Check the mapping's fields against the live accounts when the mapping is new; it costs a call per object."""
    fingerprint = judging_fingerprint(company.mapping)
    is_new = company.store.get_company_state(company.name).get("fields_checked") != fingerprint
    if is_new and require_fields(company):
        for crm in company.mapping.crm:
            remember_place(company, lease, crm)
        company.store.set_company_state(lease, fields_checked=fingerprint)


def _first_load_notices(company: Company, progress: Progress) -> list[str]:
    """Say, before it begins, that a first load takes a considerable part of the day's calls."""
    notices = first_load_notices(company)
    for notice in notices:
        progress(Step("pull", notice, 0))
    return notices


def _pull_removed(
    company: Company, lease: Lease, progress: Progress, stopped: dict[str, str], *, erase_all: bool = False
) -> RemovedReport:
    try:
        return pull_removed(company, lease, progress, stopped=stopped, erase_all=erase_all)
    finally:
        save_calls(company)


def _stopped(company: Company, pulled: list[StreamCounts]) -> dict[str, str]:
    """Return why each CRM that stopped did.

    One stream that is refused does not stop the others, unless it is of people: where sales has them cannot be known.
    """
    return {
        count.crm: count.error for count in pulled
        if count.error and (not count.is_refused or count.stream in company.mapping.crm[count.crm].people)
    }


def _refusals(pulled: list[StreamCounts], stopped: dict[str, str], unread: list[str]) -> list[str]:
    """Return a line for each stream that is refused and was read before: what is known of it counts meanwhile."""
    return [
        f"{c.crm} {c.stream}: {c.error} (this stream waits; what was read of it before counts)"
        for c in pulled if c.error and c.crm not in stopped and f"{c.crm} {c.stream}" not in unread
    ]


def _counts(report: RunReport) -> dict[str, int]:
    return {
        "pulled": sum(c.new + c.changed for c in report.pulled),
        "judged": report.judged_count,
        "handed_off": report.handed_off_count,
        "sent_back": report.recycled_count,
        "told": report.told.told_count,
        **{f"{crm}_calls": count.sent for crm, count in report.calls.items()},
        **{f"{crm}_{outcome}": n for crm, counts in report.outcomes.items() for outcome, n in counts.items()},
    }
