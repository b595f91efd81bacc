"""A CRM's limits: token buckets for its short ones, and our share of its daily one.

The figures themselves are data of each adapter (`limits.py` in its folder), with their sources.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pyrate_limiter import InMemoryBucket, Limiter, Rate, SingleBucketFactory

from connector.errors import BudgetSpentError
from connector.logs import get_logger

log = get_logger(__name__)

READS_STOP_AT = 0.9
"""Reading stops at this part of our share, so that what was decided still gets written. Our choice."""

OTHERS_NEED = 0.05
"""Whatever our share: when no more than this part of the account's daily calls is left to everybody, we stop."""

TOLD_FROM_SECONDS = 1.0
"""A wait for a limit is worth a log line from here on: shorter ones belong to every larger pull. Our choice."""


class Limit(NamedTuple):
    """One limit of a CRM: so many calls in so many seconds, counted over everything of that kind."""

    name: str
    calls: int
    per_seconds: float


class Usage(NamedTuple):
    """How many calls an account has used of its daily ones, whoever made them, as the CRM itself counts."""

    used: int
    allowed: int


class Buckets:
    """One account's short limits: `wait` returns when a call may go out under them. Safe between threads."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._buckets = {
            limit.name: InMemoryBucket([Rate(limit.calls, int(limit.per_seconds * 1_000))]) for limit in limits
        }
        # A limiter that empties its bucket itself has a thread for it, which stays for ten seconds after its end: fifty
        # in a service. Source: pyrate_limiter/abstracts/bucket.py, 4.5.1 (Leaker), checked 2026-11-23.
        self._limiters = {
            name: Limiter(SingleBucketFactory(bucket, schedule_leak=False)) for name, bucket in self._buckets.items()
        }

    def wait(self, *names: str) -> None:
        """Wait until one more call fits under each of these limits, and count it."""
        for name in names:
            began = time.monotonic()
            self._limiters[name].try_acquire(name)
            self._buckets[name].leak(time.monotonic_ns() // 1_000_000)      # the bucket's own clock
            if (seconds := time.monotonic() - began) >= TOLD_FROM_SECONDS:
                log.info("waited for a limit", limit=name, seconds=round(seconds, 1))


class Meter:
    """Counts one adapter's calls of the day, and refuses the one that would go over our share.

    Attributes:
        share: Our part of the account's daily calls, 0 to 1.
        calls: Sent through this adapter since it was opened.
        spent_before: What we sent in the last 24 hours beside these, as the caller remembers; as calls of ours grow
            older than that, it falls, also below nothing.
        usage: The CRM's own figures as of its last answer; None before it gave any.
        reads_until: Reading stops when `calls` is that many, whatever is left of our share; None: it does not.
        guard: Called before each call, if there is one; raises when none may be sent any more.
    """

    def __init__(self, crm: str, *, share: float, daily_calls: int | None = None) -> None:
        """Start counting; `daily_calls` stands for the account's limit until the CRM itself has named it."""
        self.share = share
        self.calls = 0
        self.spent_before = 0
        self.usage: Usage | None = None
        self.reads_until: int | None = None
        self.guard: Callable[[], None] | None = None
        self._crm = crm
        self._daily_calls = daily_calls
        self._told = 0
        self._lock = threading.Lock()

    @property
    def allowed(self) -> int | None:
        """How many calls a day are ours; None as long as the account's limit is unknown."""
        daily = self.usage.allowed if self.usage else self._daily_calls
        return None if daily is None else int(daily * self.share)

    @property
    def left(self) -> int | None:
        """How many calls are left to us today, for reading; None as long as the account's limit is unknown."""
        allowed = self.allowed
        if allowed is None:
            return None
        ours = int(allowed * READS_STOP_AT) - self.spent_before - self.calls
        if self.usage:
            ours = min(ours, self.usage.allowed - self.usage.used - int(self.usage.allowed * OTHERS_NEED))
        return max(0, ours)

    def take_new(self) -> int:
        """Return how many calls were sent since this was asked last, for the caller to remember."""
        with self._lock:
            new = self.calls - self._told
            self._told = self.calls
            return new

    def spend(self, *, is_write: bool = False) -> None:
        """Count one call that is about to be sent.

        Raises:
            BudgetSpentError: It would go over our share, or leave nothing to the account's other users.
            ConnectorError: The guard lets no call pass.
        """
        if self.guard is not None:
            self.guard()
        with self._lock:
            allowed = self.allowed
            limit = None if allowed is None else allowed if is_write else int(allowed * READS_STOP_AT)
            spent = self.spent_before + self.calls
            # A share of nearly nothing of a limit that is only assumed: the first call asks the CRM for the real one.
            asks_for_limit = self.usage is None and self.calls == 0 and allowed is not None and allowed <= 1
            if limit is not None and spent >= limit and not asks_for_limit:
                kept = "" if is_write else f"; {1 - READS_STOP_AT:.0%} is kept for writing"
                raise BudgetSpentError(
                    f"{self._crm}: our share of its daily calls is used up ({spent:,} of {allowed:,}{kept})",
                    limit="budget", crm=self._crm,
                    hint="What was read is kept, and the next run goes on from there; "
                    f"raise {self._crm}.daily_calls_share if it should get more.",
                )
            if self.reads_until is not None and not is_write and self.calls >= self.reads_until:
                raise BudgetSpentError(
                    f"{self._crm}: what may be spent of its daily calls on this is used up", limit="budget",
                    crm=self._crm, hint="What was read is kept, and it goes on from there later.",
                )
            usage = self.usage
            if usage is not None and usage.allowed - usage.used <= int(usage.allowed * OTHERS_NEED):
                raise BudgetSpentError(
                    f"{self._crm}: the account's daily calls are nearly used up ({usage.used:,} of {usage.allowed:,})",
                    limit="budget", crm=self._crm,
                    hint="Others of the account need what is left; what was read is kept, the next run goes on.",
                )
            self.calls += 1
            if usage is not None:
                self.usage = Usage(usage.used + 1, usage.allowed)   # until the CRM's next answer says better

