"""All streams of a backfill, one after the other, part by part, as far as the CRMs let us now."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from connector.errors import (
    AccessDeniedError,
    ApiChangedError,
    BudgetSpentError,
    LeaseHeldError,
    RejectedError,
    RetryableError,
)
from connector.pipeline.backfill.anew import heed_edits
from connector.pipeline.backfill.order import Place
from connector.pipeline.backfill.parts import LONGEST, Advance, Pace, Rhythm, Tell, read_again, take_turn
from connector.pipeline.backfill.reading import read_part
from connector.pipeline.backfill.share import CallBook, limit_reading, told_spent
from connector.pipeline.company import Company
from connector.store import Backfill, BackfillStream

PATIENCE_SECONDS = 3_600.0
"""A CRM that fails, or is at work on a bulk job, is asked again for so long since the last that came. Our choice."""

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 60.0

_NOTED_EVERY_SECONDS = 1.0
"""What was sent is noted so often: who kills a part takes no more with it from the day's count."""


class StreamsReader:
    """Reads what is left of a backfill.

    Attributes:
        backfill: As it stands.
    """

    def __init__(
        self, company: Company, backfill: Backfill, tell: Tell, book: CallBook, pace: Pace, rhythm: Rhythm,
    ) -> None:
        self.backfill = backfill
        self._company = company
        self._tell = tell
        self._book = book
        self._pace = pace
        self._rhythm = rhythm
        self._stopped: dict[str, str] = {}             # CRM -> why it gives nothing now
        self._goes_on_at: dict[str, datetime] = {}     # CRM -> when it has calls again
        self._refused: dict[Place, str] = {}           # stream -> why the CRM does not give it
        self._paused_at = time.monotonic()

    @property
    def problems(self) -> list[str]:
        """What keeps it from the end, one line each."""
        return [
            *self._stopped.values(), *(f"{crm} {stream}: {why}" for (crm, stream), why in self._refused.items()),
        ]

    @property
    def goes_on_at(self) -> datetime | None:
        """When a CRM has calls again; None when that is not what it waits for, or nobody knows."""
        return min(self._goes_on_at.values(), default=None)

    def read_all(self, *, waits: bool) -> None:
        """Read every stream to its end, as far as the CRMs let us.

        Raises:
            MappingEditedError: The company must be opened again before the next part.
        """
        for adapter in self._company.adapters.values():
            adapter.patience_seconds = self._rhythm.part_seconds
        while True:
            one = self._next_stream()
            if one is not None:
                self._read_stream(one)
            elif not (waits and self._wait_for_calls()):
                break

    def _next_stream(self) -> BackfillStream | None:
        return next((
            one for one in self.backfill.streams
            if one.ended_at is None and one.crm not in self._stopped and (one.crm, one.stream) not in self._refused
            and one.crm in self._company.adapters    # else the mapping says nothing of the CRM any more
        ), None)

    def _read_stream(self, one: BackfillStream) -> None:
        """Read a stream part by part until its end, or until its CRM gives no more of it now."""
        longer, wait_seconds, failing_since = 1, _FIRST_WAIT_SECONDS, None
        while True:
            try:
                news, is_end = self._read_part(one, longer)
            except BudgetSpentError:
                self._stopped[one.crm], at = told_spent(self._company, one.crm)
                if at is not None:
                    self._goes_on_at[one.crm] = at
                return
            except (AccessDeniedError, ApiChangedError, RejectedError) as error:
                self._refused[one.crm, one.stream] = str(error)
                return
            except RetryableError as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > PATIENCE_SECONDS:
                    self._stopped[one.crm] = f"{one.crm} {one.stream}: {error}"
                    return
                self._say(one, waits=f"{error}; asked again in {wait_seconds:.0f} s")
                self._rhythm.sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)
                continue
            self._pause()
            if is_end:
                return
            wait_seconds, failing_since = _FIRST_WAIT_SECONDS, None
            longer = 1 if news else min(2 * longer, LONGEST)

    def _pause(self) -> None:
        """Leave the lease to who waits for it, when we had it for a part's time since the last pause."""
        if time.monotonic() - self._paused_at >= self._rhythm.part_seconds:
            self._rhythm.sleep(self._rhythm.pause_seconds)
            self._paused_at = time.monotonic()

    def _read_part(self, one: BackfillStream, longer: int) -> tuple[int, bool]:
        """Read one part, up to so many times as long as usual; return how much was news, and if it was the last."""
        company, meter, store = self._company, self._company.adapters[one.crm].meter, self._company.store
        heed_edits(company)
        with take_turn(company, self._rhythm.sleep, self._tell_held) as lease:
            limit_reading(company)
            before, records = meter.calls, 0
            noted_calls, noted_records, noted_at = before, 0, time.monotonic()

            def note(*, is_end: bool = False) -> None:
                nonlocal noted_calls, noted_records, noted_at
                self._book.keep()
                store.note_part(
                    lease, self.backfill.number, one.crm, one.stream, calls=meter.calls - noted_calls,
                    records=records - noted_records, is_end=is_end, at=company.clock(),
                )
                noted_calls, noted_records, noted_at = meter.calls, records, time.monotonic()

            def tell(count: int) -> None:
                nonlocal records
                records = count
                if time.monotonic() - noted_at >= _NOTED_EVERY_SECONDS:
                    note()
                self._say(one, records=count, calls=meter.calls - before)

            is_end = False
            try:
                part = read_part(
                    company, lease, self.backfill, one, min(longer, 2) * self._rhythm.part_seconds, tell,
                    pages_at_least=2 * longer,
                )
                is_end = part.is_end
            finally:
                # What is stored is stored, whatever stopped it; when the lease is lost this says so, too.
                note(is_end=is_end)
            self.backfill = read_again(company)
        return part.news, is_end

    def _wait_for_calls(self) -> bool:
        """Wait until a CRM has calls again; return whether there was anything to wait for."""
        if not self._goes_on_at:
            return False
        crm, at = min(self._goes_on_at.items(), key=lambda one: one[1])
        local = at.astimezone(self._company.mapping.zone)
        while (now := self._company.clock()) < at:
            self._tell(Advance(crm, 0, *self._pace.sums(self.backfill), waits=(
                f"{self._stopped[crm]}; goes on after {local:%Y-%m-%d %H:%M}"
            )))
            self._rhythm.sleep(min(_LOOK_EVERY_SECONDS, (at - now) / timedelta(seconds=1)))
        del self._stopped[crm], self._goes_on_at[crm]
        return True

    def _tell_held(self, error: LeaseHeldError) -> None:
        self._tell(Advance("", 0, *self._pace.sums(self.backfill), waits=f"a run is at work ({error.holder})"))

    def _say(self, one: BackfillStream, *, records: int = 0, calls: int = 0, waits: str = "") -> None:
        now = next(s for s in self.backfill.streams if (s.crm, s.stream) == (one.crm, one.stream))
        done, expected = self._pace.sums(self.backfill)
        self._tell(Advance(
            f"{one.crm} {one.stream}", now.records + records, done + calls, expected,
            self._pace.remaining_seconds(self.backfill), waits,
        ))
