"""Write the outbox to the CRMs: intent first, outcome after, doubt looked up before anything is sent again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from connector.adapter_kit.protocol import Adapter
from connector.adapter_kit.told import without_personal_data
from connector.core.normalize import Normalizer
from connector.errors import (
    ConnectorError,
    FatalError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    RetryableError,
)
from connector.logs import bound, get_logger
from connector.pipeline.company import Company, Progress, Step
from connector.pipeline.differences import check_before_sending
from connector.pipeline.understand import read_contacts
from connector.records import OVERRIDE, Change, ChangeKind, Outcome, Receipt
from connector.store import ANSWER_LOST, Lease, SentChange

log = get_logger(__name__)

NOTES_AT_ONCE = 1_950
"""Where a note whose answer was lost may still be carried out (`Adapter.lost_note_seconds`), so many leave at a time:
from when they are marked as leaving, that time runs, and a large write takes longer than it. These are 26 requests of
75, and one question of up to 2,500 ids before and after."""

PAUSES = 3
"""How often one run waits for changes that may soon be tried again; what is left then is the next run's."""

LONGEST_PAUSE = timedelta(seconds=20)
"""A change that may be tried again only later than this is left to the next run."""

# One CRM's own trouble: the others go on.
_STOPPING = (FatalError, RetryableError, RejectedError)


def sync_back(
    company: Company, lease: Lease, run_id: int, progress: Progress, *,
    kinds: Collection[ChangeKind] = tuple(ChangeKind), sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Counter[str]]:
    """Send every change that is due, and return CRM -> outcome -> how many; the receipts name the run.

    Whatever waited before is tried again, but for what the CRM itself named a later time for. A CRM that refuses us
    (`stopped` among the outcomes) keeps its changes for the next run; the others go on.

    Args:
        kinds: Send these only.
    """
    normalizer = Normalizer(company.mapping)
    outcomes: dict[str, Counter[str]] = {}
    for crm, adapter in company.adapters.items():
        delivery = _Delivery(company, lease, run_id, crm, adapter, normalizer, kinds, progress)
        try:
            with bound(crm=crm):
                delivery.run(sleep)
        except _STOPPING as error:
            log.warning("sync back stopped", crm=crm, error=type(error).__name__)
            delivery.outcomes["stopped"] += 1
        outcomes[crm] = delivery.outcomes
        if delivery.by_kind:
            log.info("written back", crm=crm, **delivery.by_kind)
    return outcomes


def settle(company: Company, lease: Lease, run_id: int, progress: Progress) -> None:
    """Find out what became of every change whose answer was lost; sends nothing.

    Raises:
        ConnectorError: A CRM cannot be asked.
    """
    normalizer = Normalizer(company.mapping)
    for crm, adapter in company.adapters.items():
        delivery = _Delivery(company, lease, run_id, crm, adapter, normalizer, (), progress)
        with bound(crm=crm):
            delivery.settle(company.store.read_sending(company.name, crm))


@dataclass
class _Delivery:
    """One run's write-back to one CRM.

    Attributes:
        outcomes: How many receipts by their outcome.
        by_kind: The same by kind of change and outcome: `task_done`.
    """

    company: Company
    lease: Lease
    run_id: int
    crm: str
    adapter: Adapter
    normalizer: Normalizer
    kinds: Collection[ChangeKind]
    progress: Progress
    outcomes: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    _kinds: dict[str, ChangeKind] = field(default_factory=dict)    # of what is being written, by key

    def run(self, sleep: Callable[[float], None]) -> None:
        """Settle what an earlier run left in doubt, then send; raises one of `_STOPPING`."""
        company, store = self.company, self.company.store
        self.settle(store.read_sending(company.name, self.crm))
        store.make_retries_due(self.lease, self.crm, company.clock())
        self._send_due()
        for _ in range(PAUSES):
            at = company.clock()
            due_at = store.last_retry_at(company.name, self.crm, at + LONGEST_PAUSE)
            if due_at is None:
                break
            seconds = max(0.0, (due_at - at) / timedelta(seconds=1))
            log.info("waiting to write again", seconds=round(seconds, 1))
            sleep(seconds)
            self._send_due()

    def _send_due(self) -> None:
        """Send what is planned, and once what is due by now; what is refused again waits for the next pause."""
        company, store, started_at = self.company, self.company.store, self.company.clock()
        while changes := store.claim_changes(
            self.lease, self.crm, self.adapter.largest_write, company.clock(), due_by=started_at, run_id=self.run_id,
            kinds=self.kinds,
        ):
            self._kinds = {change.idempotency_key: change.kind for change in changes}
            with self._handed_back(changes, *_STOPPING):
                checked = check_before_sending(company, self.normalizer, self.crm, changes)
            self._save(checked.left_alone)
            if checked.narrowed:
                store.narrow_changes(self.lease, self.crm, checked.narrowed)
            self._send_in_parts(checked.to_send)
            self.progress(Step("sync_back", self.crm, self.outcomes.total()))

    def _send_in_parts(self, changes: Sequence[Change]) -> None:
        """Send everything at once, but notes in groups where one whose answer is lost may land later."""
        if not self.adapter.lost_note_seconds:
            self._send(changes)
            return
        notes = [change for change in changes if change.kind is ChangeKind.NOTE]
        with self._handed_back(notes, *_STOPPING):
            self._send([change for change in changes if change.kind is not ChangeKind.NOTE])
        for start in range(0, len(notes), NOTES_AT_ONCE):
            group = notes[start : start + NOTES_AT_ONCE]
            with self._handed_back(notes[start + NOTES_AT_ONCE :], *_STOPPING):
                self.company.store.mark_sent(self.lease, self.crm, group, self.company.clock())
                self._send(group)

    def _send(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        try:
            # Only of a FatalError adapters promise that nothing was written; after any other, look up.
            with self._handed_back(changes, FatalError):
                receipts = self.adapter.apply(changes)
        except OutcomeUnknownError as error:
            receipts = [Receipt(c.idempotency_key, Outcome.UNKNOWN, reason=str(error)) for c in changes]
        self._save(without_names(self.company, self.normalizer, changes, receipts))
        doubtful = {r.idempotency_key for r in receipts if r.outcome is Outcome.UNKNOWN}
        at = self.company.clock()
        self.settle([SentChange(c, at) for c in changes if c.idempotency_key in doubtful])

    def settle(self, doubtful: Sequence[SentChange]) -> None:
        """Find out what became of changes whose answer was lost: found ones are done, the others are sent again.

        A field write, and a mark on what is there, is the same twice, so it is simply sent again; what creates a
        record only when it is not there. A note that may still be on its way stays in doubt, for a later run.
        """
        if not doubtful:
            return
        self._kinds |= {sent.change.idempotency_key: sent.change.kind for sent in doubtful}
        found = self.adapter.look_up([sent.change for sent in doubtful])
        longest_way = timedelta(seconds=self.adapter.lost_note_seconds)
        at = self.company.clock()
        receipts = []
        for change, sent_at in doubtful:
            key = change.idempotency_key
            if key in found:
                receipts.append(Receipt(key, Outcome.DONE, remote_id=found[key]))
            elif change.kind is not ChangeKind.NOTE or at >= sent_at + longest_way:
                receipts.append(Receipt(key, Outcome.RETRY, reason=ANSWER_LOST))
            elif at < sent_at:
                # The clock was set back: nobody knows how long ago it left, so the whole time runs from now.
                receipts.append(Receipt(key, Outcome.UNKNOWN, reason=ANSWER_LOST))
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
            known = [r for r in receipts if r.outcome is not Outcome.UNKNOWN]
            self.outcomes.update(r.outcome.value for r in known)
            self.by_kind.update(f"{self._kinds[r.idempotency_key].value}_{r.outcome.value}" for r in known)


def without_names(
    company: Company, normalizer: Normalizer, changes: Sequence[Change], receipts: Sequence[Receipt],
) -> list[Receipt]:
    """Return the receipts, what their CRM told cleared of what we know of the people.

    Adapters take out what was written; a rule's message may name the person all the same, whose name no field has.
    """
    told = {receipt.idempotency_key for receipt in receipts if receipt.told}
    if not told:
        return list(receipts)
    person_of = {change.idempotency_key: change.person_id for change in changes if change.idempotency_key in told}
    keys = company.store.get_person_keys(company.name, set(person_of.values()))
    contacts = read_contacts(company, normalizer, {key for own in keys.values() for key in own})
    known: dict[str, list[str]] = {}
    for person_id, own in keys.items():
        theirs = [contacts[key] for key in own if key in contacts]
        known[person_id] = [
            value for contact in theirs for name, value in contact.attributes.items()
            if isinstance(value, str) and name not in (OVERRIDE, "stage")    # words of ours, in every rule's message
        ] + [email for contact in theirs for email in contact.emails]
    return [
        replace(one, told=without_personal_data(one.told, known.get(person_of[one.idempotency_key], ())))
        if one.told else one
        for one in receipts
    ]
