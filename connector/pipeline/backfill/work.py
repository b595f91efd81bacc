"""A backfill at work: part by part, the lease given back in between, and at the end what was asked to become of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from connector.errors import ConnectorError, LeaseHeldError, RunPausedError
from connector.logs import get_logger
from connector.pipeline.backfill.anew import MappingEditedError, begin_anew, heed_edits
from connector.pipeline.backfill.held import hold_some, plan_held, who_would_be
from connector.pipeline.backfill.order import Order, Place, all_streams
from connector.pipeline.backfill.parts import LONGEST, USUAL, Advance, Pace, Rhythm, Tell, read_again, take_turn
from connector.pipeline.backfill.report import BackfillReport, joined
from connector.pipeline.backfill.share import CallBook, CrmCost, lift_limits
from connector.pipeline.backfill.streams import StreamsReader
from connector.pipeline.budget import call_counter
from connector.pipeline.company import Company, Progress, Step, no_progress
from connector.pipeline.definitions import begin_judging
from connector.pipeline.lease import hold_work
from connector.pipeline.pull import unread_streams
from connector.pipeline.run import RunReport, require_fields_once, sync
from connector.pipeline.understand import understand
from connector.store import Backfill, BackfillState, HandoffMode, Lease

log = get_logger(__name__)


@contextmanager
def hold_backfill(company: Company) -> Iterator[None]:
    """Keep everybody else from working on a backfill of the company.

    Raises:
        ConnectorError: Somebody does.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_work(company, "backfill"))
        except LeaseHeldError as error:
            raise ConnectorError(
                f"a backfill of {company.name} is at work since {error.held_since:%Y-%m-%d %H:%M:%S} UTC "
                f"({error.holder})",
                hint="Wait until it ends, or end it there (Ctrl-C): it can be resumed.",
            ) from None
        yield


def begin(company: Company, order: Order, costs: Sequence[CrmCost], rhythm: Rhythm = USUAL) -> Backfill:
    """Note that a backfill begins; `costs` are those of its streams.

    Raises:
        ConfigError: The mapping names fields that an account does not have.
    """
    places = order.streams or tuple(all_streams(company))
    streams = [one for cost in costs for one in cost.streams if (one.crm, one.stream) in places]
    with take_turn(company, rhythm.sleep) as lease:
        require_fields_once(begin_judging(company), lease)
        backfill = company.store.start_backfill(
            lease, streams, handoff=order.handoff or HandoffMode.NONE, since=order.since, at=company.clock(),
        )
    log.info("backfill began", company=company.name, number=backfill.number, handoff=backfill.handoff.value)
    return backfill


def change_handoff(
    company: Company, backfill: Backfill, handoff: HandoffMode, rhythm: Rhythm = USUAL,
) -> Backfill:
    """Have a backfill end otherwise than it was begun for; `write` lets go of whom it, or one before it, held."""
    with take_turn(company, rhythm.sleep) as lease:
        if handoff is HandoffMode.WRITE:
            company.store.release_held(lease, backfill, company.clock())
        else:
            company.store.change_handoff(lease, backfill.number, handoff)
    return read_again(company)


def work(
    company: Company, backfill: Backfill, tell: Tell, *, waits: bool = False, approve_over: int | None = None,
    rhythm: Rhythm = USUAL,
) -> BackfillReport:
    """Go on with a backfill until its end, or until nothing is left that can be done now; one that is over is told.

    Args:
        waits: When the calls are used up, wait for new ones.
        approve_over: With `write`: as `run.sync` takes it.

    Raises:
        ConnectorError: A CRM refuses us altogether, or the store failed; what was read is kept.
        ConfigError: The mapping was edited and cannot be used now.
    """
    calls, book, pace = call_counter(company), CallBook(company), Pace(company)
    report = BackfillReport(backfill)
    try:
        if anew := begin_anew(company, backfill, rhythm.sleep):
            backfill = read_again(company)
            report.notices.append(_told_anew(anew))
        if backfill.state is BackfillState.READING:
            reader = StreamsReader(company, backfill, tell, book, pace, rhythm)
            reader.read_all(waits=waits)
            backfill, report.problems, report.goes_on_at = reader.backfill, reader.problems, reader.goes_on_at
        if not report.problems:
            lift_limits(company)
            _End(company, report, backfill, tell, pace, rhythm).reach(approve_over)
    except MappingEditedError:
        report.is_overtaken = True
        log.info("mapping edited", company=company.name, number=backfill.number)
    finally:
        book.keep()
        lift_limits(company)
    report.backfill, report.calls = read_again(company), calls()
    return report


def cancel(company: Company, backfill: Backfill, tell: Tell, rhythm: Rhythm = USUAL) -> Backfill:
    """End a backfill early, keeping what it read; whom it holds by then, and by what is read, stays held."""
    end = _End(company, BackfillReport(backfill), backfill, tell, Pace(company), rhythm)
    if backfill.holds:
        end.hold_all(BackfillState.CANCELLED)
    else:
        end.move(BackfillState.CANCELLED)
    return read_again(company)


class _End:
    """What comes behind the reading."""

    def __init__(
        self, company: Company, report: BackfillReport, backfill: Backfill, tell: Tell, pace: Pace, rhythm: Rhythm,
    ) -> None:
        self._company = company
        self._report = report
        self._backfill = backfill
        self._tell = tell
        self._pace = pace
        self._rhythm = rhythm

    def reach(self, approve_over: int | None) -> None:
        """Find out who would be MQL, or hand them off, as the backfill was begun for.

        Raises:
            MappingEditedError: The company must be opened again first.
        """
        heed_edits(self._company)
        backfill, judging = self._backfill, begin_judging(self._company)
        if not backfill.holds:
            if backfill.state is not BackfillState.WRITING:
                self.move(BackfillState.WRITING)
            self._hand_off(approve_over)
            return
        if backfill.is_open:
            if backfill.state is not BackfillState.JUDGING:
                self.move(BackfillState.JUDGING)
            self.hold_all(BackfillState.DONE)
        self._report.unread = unread_streams(self._company)
        if self._report.unread:
            return
        self._say("people")
        self._report.would_be = who_would_be(judging)
        if backfill.handoff is HandoffMode.PLAN:
            self._report.plan = plan_held(judging)

    def hold_all(self, end: BackfillState) -> None:
        """Hold everybody who would be handed off by what the backfill brought, and end it there, holding no more.

        Where nobody can be judged, for a stream was never read whole, it holds on until a run has judged everybody.
        """
        company, after, is_understood = begin_judging(self._company), "", False
        while True:
            with self._turn() as lease:
                if not is_understood:
                    understand(company, lease, no_progress)
                    is_understood = True
                is_blind = bool(unread_streams(company))
                if not is_blind:
                    after = hold_some(company, lease, self._backfill, after, self._rhythm.part_seconds)
                if not after:
                    # In the same turn: what a run brings in between would be judged as if nothing had held.
                    self._note_move(lease, end, holds_on=is_blind)
                    return
            self._say("people")
            self._rhythm.sleep(self._rhythm.pause_seconds)

    def move(self, state: BackfillState) -> None:
        """Note how far it is."""
        with self._turn() as lease:
            self._note_move(lease, state)

    def _note_move(self, lease: Lease, state: BackfillState, *, holds_on: bool = False) -> None:
        self._company.store.move_backfill(
            lease, self._backfill.number, state, self._company.clock(), holds_on=holds_on,
        )
        log.info("backfill moved", company=self._company.name, number=self._backfill.number, state=state.value)

    def _hand_off(self, approve_over: int | None) -> None:
        """Run as `mql sync` does, in parts, until all of it is done."""
        while True:
            try:
                run = sync(
                    self._company, self._progress(), approve_over=approve_over, is_part=True,
                    sleep=self._rhythm.sleep,
                )
            except LeaseHeldError as error:
                self._tell_held(error)
                self._rhythm.sleep(self._rhythm.pause_seconds)
                continue
            if run.is_paused:
                self._tell_written(run)
            self._report.run = run if self._report.run is None else joined(self._report.run, run)
            if not run.is_paused:
                break
            self._rhythm.sleep(self._rhythm.pause_seconds)
            heed_edits(self._company)
        self._report.unread = run.unread
        self.move(BackfillState.DONE)

    def _tell_written(self, run: RunReport) -> None:
        """Have a run that ended early tell what became of its changes until then."""
        for row in self._company.store.read_receipts(self._company.name, run.run_id):
            ours = run.outcomes.setdefault(row.crm, {})
            ours[row.outcome.value] = ours.get(row.outcome.value, 0) + 1
        run.refused = self._company.store.read_refused(self._company.name, run.started_at)

    def _progress(self) -> Progress:
        """Return what is told by a part of the run, and ends it after a part's time."""
        deadline: float | None = None

        def progress(step: Step) -> None:
            nonlocal deadline
            self._say(f"{step.phase.replace('_', ' ')}: {step.what}", step.done)
            if step.phase == "pull" or not step.done:
                return    # the next part would begin that anew
            # From the first step on that is done for good: there is one in every part.
            if deadline is None:
                deadline = time.monotonic() + LONGEST * self._rhythm.part_seconds
            elif time.monotonic() >= deadline:
                raise RunPausedError("a backfill's part ends")

        return progress

    def _turn(self) -> AbstractContextManager[Lease]:
        return take_turn(self._company, self._rhythm.sleep, self._tell_held)

    def _say(self, what: str, done: int = 0) -> None:
        self._tell(Advance(what, done, *self._pace.sums(self._backfill)))

    def _tell_held(self, error: LeaseHeldError) -> None:
        self._tell(Advance("", 0, *self._pace.sums(self._backfill), waits=f"a run is at work ({error.holder})"))


def _told_anew(places: Sequence[Place]) -> str:
    streams = ", ".join(f"{crm} {stream}" for crm, stream in places)
    return f"the mapping asks for fields that were not read yet: read from their beginning again: {streams}"
