"""Write the outbox to the CRMs: intent first, outcome after, doubt looked up before anything is sent again."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from connector.adapter_kit.protocol import Adapter
from connector.core.normalize import Normalizer
from connector.errors import (
    ConnectorError,
    FatalError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    RetryableError,
)
from connector.pipeline.company import Company, Progress, Step
from connector.pipeline.differences import was_moved_by_sales
from connector.records import Change, ChangeKind, Outcome, Receipt
from connector.store import Lease, SentChange

log = logging.getLogger(__name__)

BATCH = 200
PAUSES = 3
"""How often one run waits for changes that may soon be tried again; what is left then is the next run's."""

LONGEST_PAUSE = timedelta(seconds=20)
"""A change that may be tried again only later than this is left to the next run."""

# One CRM's own trouble: the others go on.
_STOPPING = (FatalError, RetryableError, RejectedError)


def sync_back(
    company: Company, lease: Lease, progress: Progress, *, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Counter[str]]:
    """Send every change that is due, and return CRM -> outcome -> how many.

    Whatever waited before is tried again, but for what the CRM itself named a later time for. A CRM that refuses us
    (`stopped` among the outcomes) keeps its changes for the next run; the others go on.
    """
    normalizer = Normalizer(company.mapping)
    outcomes: dict[str, Counter[str]] = {}
    for crm, adapter in company.adapters.items():
        delivery = _Delivery(company, lease, crm, adapter, normalizer, progress)
        try:
            delivery.run(sleep)
        except _STOPPING as error:
            log.warning("sync back stopped crm=%s reason=%s", crm, type(error).__name__)
            delivery.outcomes["stopped"] += 1
        outcomes[crm] = delivery.outcomes
    return outcomes


@dataclass
class _Delivery:
    """One run's write-back to one CRM; `outcomes` counts the receipts."""

    company: Company
    lease: Lease
    crm: str
    adapter: Adapter
    normalizer: Normalizer
    progress: Progress
    outcomes: Counter[str] = field(default_factory=Counter)

    def run(self, sleep: Callable[[float], None]) -> None:
        """Settle what an earlier run left in doubt, then send; raises one of `_STOPPING`."""
        company, store = self.company, self.company.store
        self._settle(store.read_sending(company.name, self.crm))
        store.make_retries_due(self.lease, self.crm, company.clock())
        self._send_due()
        for _ in range(PAUSES):
            at = company.clock()
            due_at = store.last_retry_at(company.name, self.crm, at + LONGEST_PAUSE)
            if due_at is None:
                break
            sleep(max(0.0, (due_at - at) / timedelta(seconds=1)))
            self._send_due()

    def _send_due(self) -> None:
        """Send what is planned, and once what is due by now; what is refused again waits for the next pause."""
        company, store, started_at = self.company, self.company.store, self.company.clock()
        while changes := store.claim_changes(self.lease, self.crm, BATCH, company.clock(), due_by=started_at):
            with self._handed_back(changes, *_STOPPING):
                left_alone = self._left_alone(changes)
            self._save(left_alone)
            answered = {receipt.idempotency_key for receipt in left_alone}
            self._send([change for change in changes if change.idempotency_key not in answered])
            self.progress(Step("sync_back", self.crm, self.outcomes.total()))

    def _send(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        try:
            # Only of a FatalError adapters promise that nothing was written; after any other, look up.
            with self._handed_back(changes, FatalError):
                receipts = self.adapter.apply(changes)
        except OutcomeUnknownError as error:
            receipts = [Receipt(c.idempotency_key, Outcome.UNKNOWN, reason=str(error)) for c in changes]
        self._save(receipts)
        doubtful = {r.idempotency_key for r in receipts if r.outcome is Outcome.UNKNOWN}
        at = self.company.clock()
        self._settle([SentChange(c, at) for c in changes if c.idempotency_key in doubtful])

    def _left_alone(self, changes: Sequence[Change]) -> list[Receipt]:
        """Return receipts for stages that must not be written: since they were planned, sales may have moved them."""
        by_stream: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            if change.kind is ChangeKind.STAGE and self.normalizer.is_people(self.crm, change.record.stream):
                by_stream[change.record.stream].append(change)
        receipts = []
        for stream, stages in by_stream.items():
            remote_ids = sorted({change.record.remote_id for change in stages})
            names = sorted({name for change in stages for name in change.fields})
            current = self.adapter.read_back(stream, remote_ids, names)
            for change in stages:
                values = current.get(change.record.remote_id)
                if values is None:
                    continue  # it is gone: the CRM itself says so best
                if all(values.get(name) == value for name, value in change.fields.items()):
                    receipts.append(Receipt(change.idempotency_key, Outcome.UNCHANGED))
                elif was_moved_by_sales(change, values, self.normalizer):
                    receipts.append(
                        Receipt(change.idempotency_key, Outcome.UNCHANGED, reason="sales moved it meanwhile")
                    )
        return receipts

    def _settle(self, doubtful: Sequence[SentChange]) -> None:
        """Find out what became of changes whose answer was lost: found ones are done, the others are sent again.

        A field write is the same twice, so it is simply sent again; a task or a note only when it is not there. A
        note that may still be on its way stays in doubt, for a later run.
        """
        created = [sent.change for sent in doubtful if sent.change.kind in (ChangeKind.TASK, ChangeKind.NOTE)]
        found = self.adapter.look_up(created) if created else {}
        longest_way = timedelta(seconds=self.adapter.lost_note_seconds)
        at = self.company.clock()
        receipts = []
        for change, sent_at in doubtful:
            key = change.idempotency_key
            if key in found:
                receipts.append(Receipt(key, Outcome.DONE, remote_id=found[key]))
            elif change.kind is not ChangeKind.NOTE or at >= sent_at + longest_way:
                receipts.append(Receipt(key, Outcome.RETRY, reason="the answer was lost"))
        self._save(receipts)

    @contextmanager
    def _handed_back(self, changes: Sequence[Change], *errors: type[ConnectorError]) -> Iterator[None]:
        """Keep claimed changes for later when one of these errors says that nothing was sent."""
        try:
            yield
        except errors as error:
            wait = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
            self._save([Receipt(c.idempotency_key, Outcome.RETRY, "", str(error), wait) for c in changes])
            raise

    def _save(self, receipts: Sequence[Receipt]) -> None:
        if receipts:
            self.company.store.save_receipts(self.lease, self.crm, receipts, self.company.clock())
            self.outcomes.update(r.outcome.value for r in receipts if r.outcome is not Outcome.UNKNOWN)
