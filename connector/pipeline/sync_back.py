"""Write the outbox to the CRMs: intent first, outcome after, doubt looked up before anything is sent again."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from connector.adapter_kit.protocol import Adapter
from connector.errors import FatalError, OutcomeUnknownError, RetryableError
from connector.pipeline.company import Company, Progress, Step
from connector.records import Change, ChangeKind, Outcome, Receipt
from connector.store import Lease

log = logging.getLogger(__name__)

BATCH = 200
LONGEST_WAIT_SECONDS = 20.0
"""A change that may be tried again sooner than this is waited for; a later one is left to the next run."""


def sync_back(
    company: Company, lease: Lease, progress: Progress, *, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Counter[str]]:
    """Send every change that is due, and return CRM -> outcome -> how many.

    A CRM that refuses us keeps its changes for the next run; the others go on.
    """
    return {crm: _sync_crm(company, lease, crm, progress, sleep) for crm in company.adapters}


def _sync_crm(
    company: Company, lease: Lease, crm: str, progress: Progress, sleep: Callable[[float], None]
) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    adapter = company.adapters[crm]
    try:
        _settle(company, lease, crm, company.store.read_sending(company.name, crm), outcomes)
        while True:
            changes = company.store.claim_changes(lease, crm, BATCH, company.clock())
            if not changes:
                wait = _seconds_until_next(company, crm)
                if wait is None or wait > LONGEST_WAIT_SECONDS:
                    break
                sleep(wait)
                continue
            receipts = _apply(adapter, changes)
            company.store.save_receipts(lease, crm, receipts, company.clock())
            outcomes.update(r.outcome.value for r in receipts if r.outcome is not Outcome.UNKNOWN)
            doubtful = {r.idempotency_key for r in receipts if r.outcome is Outcome.UNKNOWN}
            _settle(company, lease, crm, [c for c in changes if c.idempotency_key in doubtful], outcomes)
            company.store.renew_lease(lease, company.clock())
            progress(Step("sync_back", crm, sum(outcomes.values())))
    except (FatalError, RetryableError) as error:
        log.warning("sync back stopped crm=%s reason=%s", crm, type(error).__name__)
        outcomes["stopped"] += 1
    return outcomes


def _apply(adapter: Adapter, changes: Sequence[Change]) -> Sequence[Receipt]:
    try:
        return adapter.apply(changes)
    except OutcomeUnknownError:
        return [Receipt(c.idempotency_key, Outcome.UNKNOWN) for c in changes]


def _settle(
    company: Company, lease: Lease, crm: str, doubtful: Sequence[Change], outcomes: Counter[str]
) -> None:
    """Find out what became of changes whose answer was lost: found ones are done, the others may be sent again.

    A field write is the same twice, so it is simply sent again; a task or a note only when it is not there.
    """
    if not doubtful:
        return
    created = [c for c in doubtful if c.kind in (ChangeKind.TASK, ChangeKind.NOTE)]
    found = company.adapters[crm].look_up(created) if created else {}
    receipts = [
        Receipt(c.idempotency_key, Outcome.DONE, remote_id=found[c.idempotency_key])
        if c.idempotency_key in found
        else Receipt(c.idempotency_key, Outcome.RETRY, reason="the answer was lost", retry_after_seconds=1.0)
        for c in doubtful
    ]
    company.store.save_receipts(lease, crm, receipts, company.clock())
    outcomes.update(r.outcome.value for r in receipts)


def _seconds_until_next(company: Company, crm: str) -> float | None:
    due_at = company.store.next_attempt_at(company.name, crm)
    if due_at is None:
        return None
    return max(0.0, (due_at - company.clock()) / timedelta(seconds=1)) + 0.01
