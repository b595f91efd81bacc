"""What a backfill's parts share: the turn at the company's lease, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from connector.errors import ConnectorError, LeaseHeldError
from connector.pipeline.company import Company
from connector.pipeline.lease import hold_lease
from connector.store import Backfill, Lease

PART_SECONDS = 10.0
"""So long a part holds the company's lease, about; twice as long where the one before it brought no news: so what was
read before is passed more quickly, and the end is reached where much changes all the time. Our choice."""

LONGEST = 4
"""So many times as many pages are read then at least, and so many times as long a part of handing off takes."""

PAUSE_SECONDS = 1.0
"""Between two parts, so that a run that waits gets the lease (`lease._LOOK_SECONDS`). Our choice."""


class Rhythm(NamedTuple):
    """How the parts follow each other; only tests say otherwise."""

    part_seconds: float = PART_SECONDS
    pause_seconds: float = PAUSE_SECONDS
    sleep: Callable[[float], None] = time.sleep


USUAL = Rhythm()


class Advance(NamedTuple):
    """How far a backfill is.

    Attributes:
        what: What it is at: a stream, or a word for what comes behind the reading.
        done: Records or people of it so far.
        calls: Sent by this backfill, of about `expected_calls`.
        remaining_seconds: By the pace so far; None before there is one.
        waits: Why it stands still; empty when it does not.
    """

    what: str
    done: int
    calls: int
    expected_calls: int
    remaining_seconds: float | None = None
    waits: str = ""


Tell = Callable[[Advance], None]


@contextmanager
def take_turn(
    company: Company, sleep: Callable[[float], None], tell: Callable[[LeaseHeldError], None] = lambda _: None,
) -> Iterator[Lease]:
    """Give the company's lease for a part; while a run has it, wait with growing patience, and tell."""
    seconds = 0.5
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(hold_lease(company, is_part=True))
                break
            except LeaseHeldError as error:
                tell(error)
                sleep(seconds)
                seconds = min(2 * seconds, 10.0)
        yield lease


def read_again(company: Company) -> Backfill:
    """Return the company's last backfill as it stands now. Raises ConnectorError when there is none."""
    backfill = company.store.read_backfill(company.name)
    if backfill is None:
        raise ConnectorError(f"the backfill of {company.name} is not there any more")
    return backfill


class Pace:
    """How long what is left takes, by how long it took so far."""

    _FROM_CALLS = 5

    def __init__(self, company: Company) -> None:
        self._adapters = company.adapters
        self._began = time.monotonic()
        self._before = self._calls()

    def sums(self, backfill: Backfill) -> tuple[int, int]:
        """Return the calls sent and expected, of all streams; a stream at its end took what it took."""
        sent = sum(one.calls for one in backfill.streams)
        rest = sum(max(0, (one.expected_calls or 0) - one.calls) for one in backfill.streams if one.ended_at is None)
        return sent, sent + rest

    def remaining_seconds(self, backfill: Backfill) -> float | None:
        """Return how long the expected rest takes; None before there is a pace."""
        calls = self._calls() - self._before
        if calls < self._FROM_CALLS:
            return None
        sent, expected = self.sums(backfill)
        return (expected - sent) * (time.monotonic() - self._began) / calls

    def _calls(self) -> int:
        return sum(adapter.meter.calls for adapter in self._adapters.values())
