"""One turn: one sync run of one company, and what its row in `schedules` says afterwards.

The same on one machine and on many. A turn never raises for its company's own trouble: that is in the row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from connector.errors import (
    AuthError,
    ConnectorError,
    LeaseHeldError,
    LeaseLostError,
    RunPausedError,
    StoreError,
)
from connector.logs import bound, get_logger
from connector.pipeline.company import Step
from connector.pipeline.run import RunReport, sync
from connector.pipeline.trouble import trouble_of
from connector.service.configured import stand_in
from connector.service.schedule import next_due_at, retry_due_at, schedule_of
from connector.settings import Config
from connector.store import ScheduleRow, Store
from connector.wiring import Clock, open_company, system_clock

log = get_logger(__name__)

BUSY_SECONDS = 10
"""So long after it found somebody else at work for its company a turn is due again."""

PATIENCE_SECONDS = 10.0
"""Who is due for less may get a free place yet: a turn hands its own over only to those who wait longer."""

_ELSEWHERE = timedelta(minutes=1)
"""When a company is due again that this process does not know (any more): another one may have newer files."""

_LOOK_SECONDS = 1.0
_STEP_SECONDS = 0.2
_NOTE_SECONDS = 60.0
"""So often a turn that stores things notes that it gets on, lest it be taken for stalled."""


class TurnOutcome(StrEnum):
    """How a turn ended.

    Those of a run that came to its end; `PAUSED`: it goes on in the next turn; `FAILED`: it got nowhere; `BUSY`:
    somebody else was at work for the company; `LOST`: somebody else took over.
    """

    DONE = "done"
    PROBLEMS = "done with problems"
    HELD = "held"
    PAUSED = "paused"
    FAILED = "failed"
    BUSY = "busy"
    LOST = "lost"


@dataclass(frozen=True)
class Turn:
    """What became of one turn.

    Attributes:
        trouble: What is wrong, on one line without personal data; empty for nothing.
        due_at: When the company's next turn is due.
        has_progressed: It came to its end, or stored something before it was paused.
        is_stored: The store's row says so too; where not, the store cannot be written at the moment.
        report: Of the run, where one came to its end or was paused.
    """

    company: str
    started_at: datetime
    ended_at: datetime
    outcome: TurnOutcome
    trouble: str
    due_at: datetime
    has_progressed: bool
    is_stored: bool
    report: RunReport | None = None


def take_turn(
    config: Config, store: Store, company: str, asked_to_stop: Callable[[], bool], clock: Clock = system_clock,
    *, others_wait: Callable[[], bool] | None = None,
) -> Turn:
    """Synchronise one company once, and note in the store how it went and when it is due again.

    The run is paused between two steps when the process is asked to stop, and when it has taken
    `service.turn_seconds` while other companies wait; it is due again at once then, after those.

    Args:
        others_wait: Tells whether other companies are due and have no place; None: whoever has been due for
            `PATIENCE_SECONDS` and has no lease.
    """
    with bound(company=company):
        began_at = clock()
        try:
            before = store.start_turn(company, began_at)
        except StoreError as error:
            return Turn(
                company, began_at, clock(), TurnOutcome.FAILED, trouble_of(error), began_at, has_progressed=False,
                is_stored=False,
            )
        work = _Work(config, store, company, asked_to_stop, clock, began_at, others_wait)
        # Before the turn reads its files: they may be mended while it fails. A first failure is tried again soon.
        configured = stand_in(config, company) if before.failures else ""
        work.run()
        if work.outcome is TurnOutcome.FAILED:
            work.failed_with = configured or stand_in(config, company)
        return _note(work, before)


class _Work:
    """One turn's work.

    Attributes:
        outcome: How it ended.
        trouble: What is wrong.
        is_shut: Only somebody's hand can help.
        has_stored: The run stored something.
        time_zone: The company's, once its mapping is read.
        report: The run's.
        failed_with: Stands for the configuration that it failed with.
    """

    def __init__(
        self, config: Config, store: Store, company: str, asked_to_stop: Callable[[], bool], clock: Clock,
        began_at: datetime, others_wait: Callable[[], bool] | None,
    ) -> None:
        self.config, self.store, self.company, self.clock, self.began_at = config, store, company, clock, began_at
        self.outcome, self.trouble, self.time_zone, self.failed_with = TurnOutcome.FAILED, "", "UTC", ""
        self.is_shut = self.has_stored = False
        self.report: RunReport | None = None
        self._asked_to_stop, self._others_wait = asked_to_stop, others_wait or self._somebody_waits
        # By a clock that nobody sets.
        self._hands_over_at = time.monotonic() + config.settings.service.turn_seconds
        self._looks_at = 0.0
        self._notes_at = time.monotonic() + _NOTE_SECONDS
        self.progressed_at: datetime | None = None

    @property
    def has_progressed(self) -> bool:
        """Whether the turn got anywhere."""
        ended = self.outcome in (TurnOutcome.DONE, TurnOutcome.PROBLEMS, TurnOutcome.HELD)
        return ended or (self.outcome is TurnOutcome.PAUSED and self.has_stored)

    def run(self) -> None:
        """Open the company and run; never raises for a trouble of the company or of the store."""
        try:
            with open_company(self.config, self.company, clock=self.clock, store=self.store) as opened:
                self.time_zone = opened.mapping.time_zone
                self.report = sync(opened, self._heed, sleep=self._sleep)
                self._judge(self.report)
        except LeaseHeldError:
            self.outcome = TurnOutcome.BUSY
        except LeaseLostError as error:
            self.outcome, self.trouble = TurnOutcome.LOST, trouble_of(error)
        except ConnectorError as error:
            self.trouble, self.is_shut = trouble_of(error), isinstance(error, AuthError)
        except Exception as error:      # one company's bug must not end the service for all others
            log.error("turn broken", exc_info=True)
            self.trouble = trouble_of(error)

    def _judge(self, report: RunReport) -> None:
        if report.is_paused:
            self.outcome = TurnOutcome.PAUSED
            return
        self.outcome = (
            TurnOutcome.HELD if report.held else TurnOutcome.PROBLEMS if report.problems else TurnOutcome.DONE
        )
        self.trouble = report.trouble

    def _heed(self, step: Step) -> None:
        """Take note of a step of the run; end the run there when it is time.

        Raises:
            RunPausedError: The process is to stop, or others wait for this turn's place.
        """
        self.has_stored = self.has_stored or (step.is_news and step.done > 0)
        if self._asked_to_stop():
            raise _stopped()
        now = time.monotonic()
        if step.done > 0 and now >= self._notes_at:
            self._notes_at, self.progressed_at = now + _NOTE_SECONDS, self.clock()
            self.store.note_progress(self.company, self.began_at, self.progressed_at)
        # A turn that found nothing new yet would find as little the next time, and never get any further.
        if self.has_stored and now >= max(self._hands_over_at, self._looks_at):
            self._looks_at = now + _LOOK_SECONDS
            if self._others_wait():
                raise RunPausedError("other companies waited", hint="it goes on after them")

    def _somebody_waits(self) -> bool:
        companies = self.config.settings.companies
        waiting = self.store.read_due(self.clock() - timedelta(seconds=PATIENCE_SECONDS), is_held=False)
        return any(name != self.company and name in companies and companies[name].schedule.is_on for name in waiting)

    def _sleep(self, seconds: float) -> None:
        """Wait as a run does between two tries, and pause the run when the process is to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._asked_to_stop():
                raise _stopped()
            time.sleep(min(left, _STEP_SECONDS))


def _stopped() -> RunPausedError:
    return RunPausedError("the service was ended", hint="its next start goes on")


def _note(work: _Work, before: ScheduleRow) -> Turn:
    """Store how the turn ended and when the next is due, and tell of it."""
    ended_at, outcome = work.clock(), work.outcome
    failures, is_stored = before.failures, True
    if outcome is TurnOutcome.FAILED:
        failures += 1
    elif work.has_progressed:
        failures = 0
    turn = Turn(
        work.company, work.began_at, ended_at, outcome, work.trouble, ended_at, work.has_progressed, is_stored,
        work.report,
    )
    try:
        turn = replace(turn, due_at=_due_at(work, failures, ended_at))
        row = _row_of(
            turn, replace(before, progressed_at=work.progressed_at or before.progressed_at), failures, work.failed_with,
        )
        if not work.store.end_turn(row, work.began_at, counted_as=outcome.value):
            log.info("another turn began meanwhile")
    except StoreError as error:
        turn = replace(turn, is_stored=False, trouble=turn.trouble or trouble_of(error))
    # A trouble is told when it comes and when it goes, not with every turn.
    if turn.trouble != before.trouble and outcome is not TurnOutcome.BUSY and turn.is_stored:
        if turn.trouble:
            log.warning("trouble", outcome=outcome.value, trouble=turn.trouble)
        else:
            log.info("trouble is over")
    seconds = round((ended_at - work.began_at).total_seconds(), 1)
    log.info("turn ended", outcome=outcome.value, seconds=seconds, due_at=turn.due_at.isoformat(timespec="seconds"))
    return turn


def _due_at(work: _Work, failures: int, now: datetime) -> datetime:
    if work.outcome is TurnOutcome.PAUSED:
        return now
    if work.outcome is TurnOutcome.BUSY:
        return now + timedelta(seconds=BUSY_SECONDS)
    if work.company not in work.config.settings.companies:
        return now + _ELSEWHERE
    schedule = schedule_of(work.config, work.company, work.time_zone)
    if work.outcome is TurnOutcome.FAILED:
        return retry_due_at(schedule, work.company, failures, now, is_shut=work.is_shut)
    moment = work.store.next_moment(work.company, work.began_at)
    return next_due_at(schedule, work.company, work.began_at, now, moment=moment)


def _row_of(turn: Turn, before: ScheduleRow, failures: int, failed_with: str) -> ScheduleRow:
    if turn.outcome is TurnOutcome.BUSY:
        # No turn of ours: the row tells of the last one that was, and that it is due again soon.
        return replace(before, due_at=turn.due_at)
    return replace(
        before, due_at=turn.due_at, started_at=turn.started_at, ended_at=turn.ended_at,
        progressed_at=turn.ended_at if turn.has_progressed else before.progressed_at, outcome=turn.outcome.value,
        trouble=turn.trouble, failures=failures, failed_with=(failed_with or before.failed_with) if failures else "",
    )
